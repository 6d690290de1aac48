//! What an operation costs in system calls, counted by strace call by call.
//!
//! ```text
//!   64 echoes              64 reads, 64 writes, and the loop's own waits for all of them together
//!   a deadline             1 wait, whoever waits for it
//!   a wake from a thread   1 write to the eventfd if the loop sleeps, however many come at once; 0 if not
//!   to_thread              1 call to wake the thread, 1 wait, and the thread's write that ends it
//! ```
//!
//! A story is told by a process of its own, which is this test program once more, and counted between two
//! marks that it writes. Where strace is not installed, or may not watch, the tests say so and pass.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::env;
use std::fs;
use std::future::poll_fn;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use roundel::net::TcpListener;
use roundel::sync::Event;
use roundel::{EventLoop, Instant, block_on, sleep, sleep_until, spawn, to_thread, yield_now};

const STORY: &str = "ROUNDEL_SYSCALLS_STORY";
const BEGIN: &str = "the-story-begins";
const END: &str = "the-story-ends";

/// Not a test: it tells the story that the others ask for.
#[test]
fn the_child() {
    let Ok(story) = env::var(STORY) else { return };
    match story.split_once(' ').unwrap_or((&story, "")) {
        ("echo", _) => block_on(echo()),
        ("deadlines", _) => block_on(deadlines()),
        ("one", "deadline") => block_on(one_deadline()),
        ("asleep", wakes) => block_on(wakes_from_a_thread(wakes.parse().unwrap(), true)),
        ("busy", wakes) => block_on(wakes_from_a_thread(wakes.parse().unwrap(), false)),
        ("threads", _) => EventLoop::builder().threads(1).build().unwrap().block_on(round_trips()),
        _ => panic!("there is no story {story}"),
    }
}

fn mark(text: &str) {
    rustix::io::write(std::io::stderr(), text.as_bytes()).unwrap();
}

/// The names of the system calls of a story, in their order.
struct Calls {
    of_the_loop: Vec<String>,
    of_others: Vec<String>,
}

impl Calls {
    /// The calls that `story` makes between its marks; nothing where they cannot be watched.
    fn of(story: &str) -> Option<Calls> {
        let name = format!("syscalls.{}.{}.strace", story.replace(' ', "_"), std::process::id());
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // What the allocator asks for is not the question.
        let traced = Command::new("strace")
            .args(["-f", "-e", "trace=!%memory", "-o"])
            .arg(&log)
            .arg(env::current_exe().unwrap())
            .args(["the_child", "--exact", "--test-threads", "1", "--nocapture"])
            .env(STORY, story)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output();
        let report = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        if traced.is_err() || !report.contains(BEGIN) {
            println!("skipped: there is no working strace here");
            return None;
        }
        let traced = traced.unwrap();
        assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
        let begin = report.lines().find(|line| line.contains(BEGIN)).unwrap();
        let loops_thread = begin.split_whitespace().next().unwrap();
        let mut calls = Calls { of_the_loop: Vec::new(), of_others: Vec::new() };
        let told = report.lines().skip_while(|line| *line != begin).skip(1).take_while(|line| !line.contains(END));
        for line in told {
            // 1234 write(5, "\1\0\0\0\0\0\0\0", 8) = 8
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let Some((name, _)) = call.trim_start().split_once('(') else { continue };
            // Neither the rest of a call that was begun before, nor a signal, nor the end of a thread.
            if name.chars().all(|char| char.is_alphanumeric() || char == '_') {
                let calls = if thread == loops_thread { &mut calls.of_the_loop } else { &mut calls.of_others };
                calls.push(name.replace("epoll_pwait", "epoll_wait"));
            }
        }
        println!("{story}: loop {:?}, others {:?}", tally(&calls.of_the_loop), tally(&calls.of_others));
        Some(calls)
    }
}

fn tally(calls: &[String]) -> Vec<(&str, usize)> {
    let mut names: Vec<&str> = calls.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect()
}

fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|call| *call == name).count()
}

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 50;

/// All connections ask at once, and when all have their answer, ask again. The clients are blocking
/// sockets on the loop's thread, so that nothing depends on who is quicker; they use `write` and `read`,
/// which the runtime does not.
async fn echo() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (answered, all_answered) = (Rc::new(Cell::new(0)), Rc::new(Event::new()));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (answered, all_answered) = (answered.clone(), all_answered.clone());
        drop(spawn(async move {
            let mut buf = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut buf).await {
                stream.write_all(&buf[..count]).await.unwrap();
                answered.set(answered.get() + 1);
                if answered.get() % CONNECTIONS == 0 {
                    all_answered.set();
                }
            }
        }));
    }
    // The first time each tries to read before there is something.
    for round in 0..=ROUNDS {
        if round == 1 {
            mark(BEGIN);
        }
        for client in &clients {
            assert_eq!(rustix::io::write(client, b"question"), Ok(8));
        }
        all_answered.wait().await;
        all_answered.clear();
        for client in &clients {
            assert_eq!(rustix::io::read(client, &mut [0; 64]), Ok(8));
        }
    }
    mark(END);
}

#[test]
fn an_echo_is_two_calls_and_a_share_of_a_wait() {
    let Some(Calls { of_the_loop: calls, .. }) = Calls::of("echo") else { return };
    let requests = CONNECTIONS * ROUNDS;
    assert_eq!(count(&calls, "recvfrom"), requests);
    assert_eq!(count(&calls, "sendto"), requests);
    let of_the_clients = count(&calls, "write") + count(&calls, "read");
    assert_eq!(of_the_clients, 2 * requests);
    // The wait itself, and a look at the world after 64 polls; one more should the system hand the
    // questions over by halves.
    let waits = count(&calls, "epoll_wait");
    assert!(waits <= 3 * ROUNDS, "{waits} waits");
    assert_eq!(calls.len(), 4 * requests + waits, "nothing else: {:?}", tally(&calls));
}

const DEADLINES: usize = 50;

async fn deadlines() {
    mark(BEGIN);
    for _ in 0..DEADLINES {
        sleep(Duration::from_millis(2)).await;
    }
    mark(END);
}

/// A thousand tasks that wait for the same moment.
async fn one_deadline() {
    let deadline = Instant::now() + Duration::from_millis(300);
    let waiters: Vec<_> = (0..1000).map(|_| spawn(sleep_until(deadline))).collect();
    yield_now().await;
    mark(BEGIN);
    for waiter in waiters {
        waiter.await.unwrap();
    }
    mark(END);
}

#[test]
fn a_deadline_is_one_wait_and_nothing_else() {
    // Fewer if the machine was so slow that a deadline had come before it was waited for.
    for (story, deadlines) in [("deadlines", DEADLINES), ("one deadline", 1)] {
        let Some(Calls { of_the_loop: calls, of_others }) = Calls::of(story) else { return };
        assert!(count(&calls, "epoll_wait") <= deadlines, "{:?}", tally(&calls));
        assert_eq!(calls.len(), count(&calls, "epoll_wait"), "nothing else: {:?}", tally(&calls));
        assert_eq!(count(&of_others, "write"), 0, "nobody wakes the loop");
    }
}

/// Another thread wakes so many tasks while the loop sleeps, or while it is busy with another task.
async fn wakes_from_a_thread(wakes: usize, asleep: bool) {
    let wakers: Rc<Cell<Vec<Waker>>> = Rc::default();
    // The loop's thread and the other one.
    let meeting = Arc::new(Barrier::new(2));
    let woken = Rc::new(Cell::new(0));
    let waiters: Vec<_> = (0..wakes)
        .map(|number| {
            let (wakers, meeting, woken) = (wakers.clone(), meeting.clone(), woken.clone());
            let mut is_told = false;
            spawn(poll_fn(move |cx| {
                if !is_told {
                    is_told = true;
                    let mut all = wakers.take();
                    all.push(cx.waker().clone());
                    wakers.set(all);
                    return Poll::Pending;
                }
                // It gets up for the first, which keeps it from lying down again until all are woken.
                if asleep && number == 0 {
                    meeting.wait();
                }
                woken.set(woken.get() + 1);
                Poll::Ready(())
            }))
        })
        .collect();
    yield_now().await;
    let wakers = wakers.take();
    assert_eq!(wakers.len(), wakes);
    let other = thread::spawn({
        let meeting = meeting.clone();
        move || {
            meeting.wait();
            if asleep {
                // Long enough for the loop to go to sleep; if not, its wakes cost even less.
                thread::sleep(Duration::from_millis(200));
            }
            wakers.iter().for_each(Waker::wake_by_ref);
            meeting.wait();
        }
    });
    mark(BEGIN);
    meeting.wait();
    if !asleep {
        // Busy until all are woken.
        meeting.wait();
    }
    for waiter in waiters {
        waiter.await.unwrap();
    }
    mark(END);
    assert_eq!(woken.get(), wakes);
    other.join().unwrap();
}

#[test]
fn wakes_from_a_thread_are_one_write_however_many_come_at_once() {
    for wakes in [1, 1_000, 100_000] {
        let Some(Calls { of_the_loop, of_others }) = Calls::of(&format!("asleep {wakes}")) else { return };
        assert!(count(&of_others, "write") <= 1, "{wakes} wakes: {:?}", tally(&of_others));
        let waits = count(&of_the_loop, "epoll_wait");
        assert!(waits <= 1, "{wakes} wakes: {:?}", tally(&of_the_loop));
    }
}

#[test]
fn wakes_of_a_busy_loop_are_no_call() {
    for wakes in [1, 1_000, 100_000] {
        let Some(Calls { of_the_loop, of_others }) = Calls::of(&format!("busy {wakes}")) else { return };
        assert_eq!(count(&of_others, "write"), 0, "{wakes} wakes: {:?}", tally(&of_others));
        assert_eq!(count(&of_the_loop, "epoll_wait"), 0, "{wakes} wakes: {:?}", tally(&of_the_loop));
    }
}

const ROUND_TRIPS: usize = 200;

async fn round_trips() {
    to_thread(|| ()).await.unwrap();
    mark(BEGIN);
    for number in 0..ROUND_TRIPS {
        // Long enough for the loop to go to sleep; if not, its calls are fewer.
        let closure = move || {
            thread::sleep(Duration::from_millis(1));
            number
        };
        assert_eq!(to_thread(closure).await.unwrap(), number);
    }
    mark(END);
}

#[test]
fn a_round_trip_to_a_thread_is_two_calls_of_the_loop_and_a_write_of_the_thread() {
    let Some(Calls { of_the_loop, of_others }) = Calls::of("threads") else { return };
    assert!(count(&of_the_loop, "epoll_wait") <= ROUND_TRIPS, "{:?}", tally(&of_the_loop));
    assert!(count(&of_others, "write") <= ROUND_TRIPS, "{:?}", tally(&of_others));
    // Its own sleep, and no notice to a thread that waits for the answer, for there is none.
    assert!(count(&of_others, "futex") <= ROUND_TRIPS * 3 / 2, "{:?}", tally(&of_others));
    // The thread is woken, and now and then met at the lock of the pool.
    assert!(of_the_loop.len() <= ROUND_TRIPS * 5 / 2, "{:?}", tally(&of_the_loop));
    assert_eq!(count(&of_the_loop, "futex") + count(&of_the_loop, "epoll_wait"), of_the_loop.len(), "nothing else");
}
