//! Nobody works who need not, and nobody waits who need not: counted, never timed.
//!
//! | row | test |
//! |---|---|
//! | bug catalogue R38 | an_idle_loop_makes_no_system_call_while_it_waits |
//! | bug catalogue K27, K28, T23, T27 | a_busy_task_starves_no_timer, a_busy_task_starves_no_socket |
//! | bug catalogue T24 | a_wait_shorter_than_a_tick_is_one_wait |
//! | bug catalogue K28 | two_tasks_that_wake_each_other_starve_nobody |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::{Cell, RefCell};
use std::env;
use std::future::poll_fn;
use std::io::Write;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use roundel::net::TcpListener;
use roundel::{Clock, Event, EventLoop, Observer, block_on, sleep, spawn, yield_now};

/// Counts how often the loop goes to wait.
#[derive(Default)]
struct Parks(RefCell<Vec<Option<Duration>>>);

impl Observer for Parks {
    fn event(&self, event: &Event<'_>) {
        if let Event::Parked { limit } = event {
            self.0.borrow_mut().push(*limit);
        }
    }
}

fn parks_during(future: impl Future) -> usize {
    let parks = Rc::new(Parks::default());
    let event_loop = EventLoop::builder().observer(parks.clone()).build().unwrap();
    event_loop.block_on(future);
    parks.0.borrow().len()
}

#[test]
fn one_timer_is_one_wait_whatever_level_of_the_wheel_it_is_on() {
    // 70 ms is on the second level: it moves down without a wait of its own.
    assert_eq!(parks_during(async { sleep(Duration::from_millis(70)).await }), 1);
}

#[test]
fn a_wait_shorter_than_a_tick_is_one_wait() {
    // T24
    assert!(parks_during(async { sleep(Duration::from_micros(400)).await }) <= 2);
}

#[test]
fn a_busy_task_starves_no_timer() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let fired = Rc::new(Cell::new(false));
    let says_so = fired.clone();
    let polls = event_loop.block_on(async move {
        let waiter = spawn(async move {
            sleep(Duration::from_millis(1)).await;
            says_so.set(true);
        });
        yield_now().await;
        clock.advance(Duration::from_millis(1));
        let mut polls = 0;
        while !fired.get() && polls < 1000 {
            yield_now().await;
            polls += 1;
        }
        waiter.await.unwrap();
        polls
    });
    assert!(polls <= 66, "the world is looked at every 64 polls, not after {polls}");
}

#[test]
fn two_tasks_that_wake_each_other_starve_nobody() {
    // K28: neither a third task nor a timer.
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(async {
        let wakers: Rc<[RefCell<Option<Waker>>; 2]> = Rc::default();
        let polls = Rc::new(Cell::new(0));
        for (own, other) in [(0, 1), (1, 0)] {
            let (wakers, polls) = (wakers.clone(), polls.clone());
            drop(spawn(poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                *wakers[own].borrow_mut() = Some(cx.waker().clone());
                let other = wakers[other].borrow().clone();
                // They stop some time, so that a loop which they do starve fails rather than hangs.
                if polls.get() < 10_000 {
                    other.unwrap_or(cx.waker().clone()).wake();
                }
                Poll::<()>::Pending
            })));
        }
        let timer = spawn(sleep(Duration::from_millis(1)));
        yield_now().await;
        clock.advance(Duration::from_millis(1));
        let before = polls.get();
        timer.await.unwrap();
        let until_it_fired = polls.get() - before;
        assert!(until_it_fired <= 66, "the world is looked at every 64 polls, not after {until_it_fired}");
        let before = polls.get();
        for _ in 0..100 {
            yield_now().await;
        }
        let meanwhile = polls.get() - before;
        assert!((99..=201).contains(&meanwhile), "a turn each beside 100 turns of a third, not {meanwhile}");
    });
}

#[test]
fn a_busy_task_starves_no_socket() {
    // T23: whether it gives its turn away or sets a timer of zero again and again.
    starves_no_socket(yield_now);
    starves_no_socket(|| sleep(Duration::ZERO));
}

fn starves_no_socket<F: Future<Output = ()>>(busy: impl Fn() -> F) {
    let polls = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Rc::new(Cell::new(false));
        let says_so = accepted.clone();
        let waiter = spawn(async move {
            listener.accept().await.unwrap();
            says_so.set(true);
        });
        // The new listener is tried once, has nobody, and waits.
        for _ in 0..200 {
            busy().await;
        }
        let client = std::net::TcpStream::connect(address).unwrap();
        let mut polls = 0;
        while !accepted.get() && polls < 1000 {
            busy().await;
            polls += 1;
        }
        waiter.await.unwrap();
        drop(client);
        polls
    });
    assert!(polls <= 66, "the world is looked at every 64 polls, not after {polls}");
}

/// Not a test of its own: what `strace` watches below. Between two marks it has one far timer and
/// nothing to do.
#[test]
fn the_idle_child() {
    if env::var_os("ROUNDEL_IDLE_CHILD").is_none() {
        return;
    }
    block_on(async {
        let far = spawn(sleep(Duration::from_secs(3600)));
        yield_now().await;
        write!(std::io::stderr(), "idle-begins").unwrap();
        sleep(Duration::from_millis(1300)).await;
        write!(std::io::stderr(), "idle-ends").unwrap();
        far.cancel();
    });
}

#[test]
fn an_idle_loop_makes_no_system_call_while_it_waits() {
    // R38
    let this = env::current_exe().unwrap();
    let log = env::temp_dir().join(format!("roundel-idle-{}.strace", std::process::id()));
    let traced = Command::new("strace")
        .args(["-f", "-o"])
        .arg(&log)
        .arg(this)
        .args(["the_idle_child", "--exact", "--test-threads", "1", "--nocapture"])
        .env("ROUNDEL_IDLE_CHILD", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let trace = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    if !traced.is_ok_and(|status| status.success()) || !trace.contains("idle-begins") {
        eprintln!("skipped: there is no working strace here");
        return;
    }
    let thread = trace.lines().find(|line| line.contains("idle-begins")).unwrap().split_whitespace().next().unwrap();
    let calls: Vec<&str> = trace
        .lines()
        .filter(|line| line.starts_with(thread))
        .skip_while(|line| !line.contains("idle-begins"))
        .skip(1)
        .take_while(|line| !line.contains("idle-ends"))
        .filter(|line| !line.contains("resumed>"))
        .collect();
    assert_eq!(calls.len(), 1, "one wait, and nothing else:\n{}", calls.join("\n"));
    assert!(calls[0].contains("epoll_wait") || calls[0].contains("epoll_pwait"), "{}", calls[0]);
}
