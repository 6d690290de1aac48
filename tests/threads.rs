//! `to_thread` and its pool.
//!
//! | row (semantics section 10, to_thread) | test |
//! |---|---|
//! | value | the_value_comes_back |
//! | panic/error comes back | a_panic_reaches_the_handle_and_the_pool_goes_on |
//! | called exactly once | each_closure_is_called_once |
//! | ten concurrent | ten_closures_run_at_once |
//! | arguments moved in | the_value_comes_back |
//! | task-locals visible? | n/a: a closure on another thread sees none of the loop's state |
#![allow(clippy::async_yields_async, reason = "a handle is made inside the loop and awaited later")]
#![allow(clippy::unwrap_used)]

mod support;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use roundel::{Clock, Event, EventLoop, Instant, Observer, block_on, sleep, spawn, timeout, to_thread, yield_now};
use support::soon;

#[test]
fn the_value_comes_back() {
    let words = vec!["a", "b"];
    assert_eq!(block_on(to_thread_later(words)), "ab");
}

async fn to_thread_later(words: Vec<&'static str>) -> String {
    to_thread(move || words.concat()).await.unwrap()
}

#[test]
fn a_panic_reaches_the_handle_and_the_pool_goes_on() {
    // B7
    let event_loop = EventLoop::builder().threads(1).build().unwrap();
    event_loop.block_on(async {
        let error = to_thread(|| panic!("in the pool")).await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.to_string(), "the work for another thread panicked: in the pool");
        assert_eq!(*error.into_panic().unwrap().downcast::<&str>().unwrap(), "in the pool");
        assert_eq!(to_thread(|| 1).await.unwrap(), 1);
    });
}

#[test]
fn each_closure_is_called_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    block_on(async move { to_thread(move || count.fetch_add(1, Ordering::SeqCst)).await }).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn closures_one_after_another_are_run_by_one_thread() {
    block_on(async {
        let first = to_thread(|| thread::current().id()).await.unwrap();
        for _ in 0..1_000 {
            // The first has told its answer and may not have looked for more work yet.
            assert_eq!(to_thread(|| thread::current().id()).await.unwrap(), first);
        }
    });
}

#[test]
fn a_foreign_waker_that_waits_for_another_closure_holds_up_nobody() {
    // A waker of ours leaves word and is done; this one takes a second thread to come back from.
    struct Waits(Mutex<mpsc::Receiver<()>>, mpsc::Sender<bool>);
    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            let answer = self.0.lock().unwrap().recv_timeout(Duration::from_secs(20));
            self.1.send(answer.is_ok()).unwrap();
        }
    }
    let event_loop = EventLoop::builder().threads(2).build().unwrap();
    let (second_ran, hears) = mpsc::channel();
    let (told, came_back) = mpsc::channel();
    let waker = Waker::from(Arc::new(Waits(Mutex::new(hears), told)));
    let (go, begins) = mpsc::channel::<()>();
    let (mut first, gate) = event_loop.block_on(async {
        let gate = Arc::new(Barrier::new(2));
        let at_gate = gate.clone();
        (
            to_thread(move || {
                begins.recv().unwrap();
                at_gate.wait();
            }),
            gate,
        )
    });
    assert!(pin!(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    go.send(()).unwrap();
    gate.wait();
    // Sooner or later than the first has told its answer: either way somebody is there to run it.
    let second = event_loop.block_on(async { to_thread(move || second_ran.send(()).unwrap()) });
    assert!(came_back.recv().unwrap(), "the second closure waited for the first one's waker");
    event_loop.block_on(second).unwrap();
}

#[test]
fn ten_closures_run_at_once() {
    // They can only end if all ten run at the same time.
    let event_loop = EventLoop::builder().threads(10).build().unwrap();
    let all_here = Arc::new(Barrier::new(10));
    let leaders = event_loop.block_on(async {
        let closures = (0..10).map(|_| {
            let all_here = all_here.clone();
            to_thread(move || all_here.wait().is_leader())
        });
        let mut leaders = 0;
        for closure in closures.collect::<Vec<_>>() {
            leaders += usize::from(closure.await.unwrap());
        }
        leaders
    });
    assert_eq!(leaders, 1);
}

#[test]
fn the_pool_is_bounded() {
    let event_loop = EventLoop::builder().threads(2).build().unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    event_loop.block_on(async {
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let (running, most) = (running.clone(), most.clone());
                to_thread(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 2);
}

/// A loop with one pool thread, which is busy until the sender is dropped.
fn one_busy_thread() -> (EventLoop, mpsc::Sender<()>, impl Future<Output = ()>) {
    let event_loop = EventLoop::builder().threads(1).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (say_begun, begun) = mpsc::channel();
    let busy = event_loop.block_on(async {
        to_thread(move || {
            say_begun.send(()).unwrap();
            let _ = released.recv();
        })
    });
    begun.recv().unwrap();
    (event_loop, release, async { busy.await.unwrap() })
}

#[test]
fn a_closure_called_off_while_it_waits_never_runs() {
    // B9
    let (event_loop, release, busy) = one_busy_thread();
    let ran = Arc::new(AtomicUsize::new(0));
    let (first, second) = (ran.clone(), ran.clone());
    event_loop.block_on(async {
        let cancelled = to_thread(move || first.fetch_add(1, Ordering::SeqCst));
        let dropped = to_thread(move || second.fetch_add(1, Ordering::SeqCst));
        drop(dropped);
        assert!(cancelled.cancel());
        assert!(cancelled.await.unwrap_err().is_cancelled());
        drop(release);
        busy.await;
        to_thread(|| ()).await.unwrap();
    });
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_running_closure_cannot_be_cancelled() {
    // B9
    block_on(async {
        let (say_begun, begun) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        let handle = to_thread(move || {
            say_begun.send(()).unwrap();
            wait.recv().unwrap();
            "to the end"
        });
        begun.recv().unwrap();
        assert!(!handle.cancel());
        go_on.send(()).unwrap();
        assert_eq!(handle.await.unwrap(), "to the end");
    });
}

#[test]
fn closures_still_waiting_at_the_loops_death_are_cancelled_and_the_running_one_is_not_waited_for() {
    // B3, B4
    let (event_loop, release, busy) = one_busy_thread();
    let waiting = event_loop.block_on(async { to_thread(|| ()) });
    drop(event_loop);
    let other = EventLoop::new().unwrap();
    assert!(other.block_on(waiting).unwrap_err().is_cancelled());
    drop(release);
    other.block_on(busy);
}

#[test]
fn the_loop_goes_on_while_a_closure_runs() {
    let (go_on, wait) = mpsc::channel::<()>();
    block_on(async {
        let turns = Rc::new(Cell::new(0));
        let count = turns.clone();
        let beside = spawn(async move {
            for _ in 0..100 {
                count.set(count.get() + 1);
                yield_now().await;
            }
            go_on.send(()).unwrap();
        });
        to_thread(move || wait.recv().unwrap()).await.unwrap();
        beside.await.unwrap();
        assert_eq!(turns.get(), 100);
    });
}

#[test]
fn virtual_time_waits_for_a_thread_before_it_jumps() {
    // B8
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).build().unwrap();
    event_loop.block_on(async {
        let began = Instant::now();
        let quick = timeout(Duration::from_secs(3600), to_thread(|| "in time")).await;
        assert_eq!(quick.unwrap().unwrap(), "in time");
        assert_eq!(began.elapsed(), Duration::ZERO);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(3600));
    });
}

#[test]
fn virtual_time_goes_on_when_a_closure_has_answered_though_nobody_awaits_it() {
    // The loop is asleep by then, for an hour of real time at most.
    soon(|| {
        let (sleeps, bedtime) = mpsc::channel();
        let event_loop =
            EventLoop::builder().clock(Clock::virtual_time()).observer(Rc::new(Bedtime(sleeps))).build().unwrap();
        event_loop.block_on(async {
            let answered = to_thread(move || bedtime.recv());
            sleep(Duration::from_secs(3600)).await;
            answered.await.unwrap().unwrap();
        });
    });
}

#[test]
fn virtual_time_goes_on_though_the_waker_of_an_answer_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a foreign waker");
        }
    }
    soon(|| {
        let (sleeps, bedtime) = mpsc::channel();
        let event_loop =
            EventLoop::builder().clock(Clock::virtual_time()).observer(Rc::new(Bedtime(sleeps))).build().unwrap();
        event_loop.block_on(async {
            let mut answered = pin!(to_thread(move || bedtime.recv()));
            let waker = Waker::from(Arc::new(Panics));
            assert!(answered.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            sleep(Duration::from_secs(3600)).await;
            answered.await.unwrap().unwrap();
        });
    });
}

/// Sends word whenever the loop goes to sleep.
struct Bedtime(mpsc::Sender<()>);

impl Observer for Bedtime {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Parked { .. }) {
            let _ = self.0.send(());
        }
    }
}

#[test]
fn a_closure_that_ends_while_the_loop_sleeps_wakes_it() {
    // B8: it begins to end when the loop has announced its sleep, and nothing else ends that.
    let (sleeps, bedtime) = mpsc::channel();
    let event_loop = EventLoop::builder().observer(Rc::new(Bedtime(sleeps))).build().unwrap();
    let woken = event_loop.block_on(async {
        // In a task of its own: the limit wakes this one, which must not find the answer by that.
        let task = spawn(async { to_thread(move || bedtime.recv().unwrap()).await.unwrap() });
        timeout(Duration::from_secs(60), task).await
    });
    woken.expect("the loop sleeps on").unwrap();
}

#[test]
fn a_closure_handed_over_while_its_thread_goes_idle_is_not_left_lying() {
    // B1: each comes at the moment when the only thread has nothing to do any more. (It would look again
    // after ten seconds, were it not told.)
    let event_loop = EventLoop::builder().threads(1).build().unwrap();
    event_loop.block_on(async {
        for round in 0..5000 {
            let closure = timeout(Duration::from_secs(8), to_thread(move || round));
            assert_eq!(closure.await.expect("its thread was not told").unwrap(), round);
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn the_threads_of_a_loop_go_home_with_it() {
    // B2, K26: idle ones, and the one that was still busy.
    if !support::alone("the_threads_of_a_loop_go_home_with_it") {
        return;
    }
    // One number, and not a folder that is read while threads come and go, and entries missed.
    let threads = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
    };
    let before = threads();
    for _ in 0..50 {
        let event_loop = EventLoop::builder().threads(4).build().unwrap();
        let together = Arc::new(Barrier::new(4));
        let busy = event_loop.block_on(async {
            let closures = (0..4).map(|_| {
                let together = together.clone();
                to_thread(move || together.wait())
            });
            for closure in closures.collect::<Vec<_>>() {
                closure.await.unwrap();
            }
            to_thread(std::thread::yield_now)
        });
        assert_eq!(threads(), before + 4, "they wait for more work");
        drop((event_loop, busy));
        // An idle thread goes home by itself after ten seconds; these must not need so long.
        let began = std::time::Instant::now();
        while threads() > before {
            assert!(began.elapsed() < Duration::from_secs(8), "{} threads are left", threads() - before);
            std::thread::yield_now();
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_room_for_a_thread_a_closure_waits_for_another_one_or_is_refused() {
    // B5: the stack of a thread is 2 MiB, and there is none of that.
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !support::alone("without_room_for_a_thread_a_closure_waits_for_another_one_or_is_refused") {
        return;
    }
    let before = getrlimit(Resource::As);
    let without_room = |submit: &dyn Fn() -> roundel::ThreadHandle<u8>| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let used: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        setrlimit(Resource::As, Rlimit { current: Some((used + 1000) << 10), ..before }).unwrap();
        let handle = submit();
        setrlimit(Resource::As, before).unwrap();
        handle
    };
    let event_loop = EventLoop::builder().threads(2).build().unwrap();
    event_loop.block_on(async {
        let refused = without_room(&|| to_thread(|| 1));
        assert!(refused.is_finished());
        let error = refused.await.unwrap_err();
        assert!(!error.is_cancelled() && !error.is_panic(), "{error}");

        let ((started, has_started), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        let busy = to_thread(move || {
            started.send(()).unwrap();
            released.recv().is_err()
        });
        // A thread that starts maps more than it keeps; what it gives back would be room for the next one.
        has_started.recv().unwrap();
        let waits = without_room(&|| to_thread(|| 2));
        assert!(!waits.is_finished());
        drop(release);
        assert_eq!(waits.await.unwrap(), 2);
        assert!(busy.await.unwrap());
        assert_eq!(to_thread(|| 3).await.unwrap(), 3, "and afterwards all is as ever");
    });
}

#[test]
fn a_thousand_closures_come_back_in_any_order() {
    // B1: a crowd
    let sum = block_on(async {
        let handles: Vec<_> = (0..1000_u64).map(|n| to_thread(move || n)).collect();
        let mut sum = 0;
        for handle in handles.into_iter().rev() {
            sum += handle.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 499_500);
}
