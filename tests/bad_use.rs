//! What bad use gets: a message with the cure, at the user's own line, or a result that says what happened.
//!
//! | misuse | test |
//! |---|---|
//! | a call outside a loop | whatever_needs_a_loop_says_so_at_the_line_of_the_call |
//! | a nested `block_on` or `turn` | a_loop_inside_a_loop_is_refused_at_the_line_of_the_call |
//! | awaiting one's own handle, or one handle twice | a_handle_that_can_give_nothing_says_so_at_the_line_of_the_await |
//! | a sleep that outlives its loop | a_sleep_that_outlives_its_loop_names_both_lines |
//! | a sleep in another loop than its own | a_sleep_that_is_awaited_in_another_loop_names_both_lines (T20) |
//! | timers at the end of time | a_wheel_of_timers_at_the_end_of_time_harms_nobody (T1, T2, T3, T4, T9, T39) |
//! | a panic in a task, its destructor, its output | a_panic_keeps_its_line; tasks: a_panic_in_a_destructor_ends_that_task_only, an_output_that_panics_when_dropped_harms_nobody |
//! | a loop dropped with live tasks | event_loop: block_on_drops_what_is_left_before_it_returns |
//! | a handle used after the loop's end | what_is_used_after_the_loops_end_has_a_result |
//! | the real clock moved, a period of zero | what_cannot_be_is_refused_at_the_line_of_the_call |
//! | a schedule that cannot be | seams: a_schedule_that_names_a_task_that_is_not_ready_is_refused |
//! | `Queue::task_done` too many | n/a here: sync_queue.rs |
//! | everything else that panics | callers.rs, with the table of all panics |
//! | B6 timers in a pool's thread | what_needs_a_loop_says_so_in_a_closure_of_the_pool_too |
#![allow(clippy::async_yields_async, reason = "futures are made inside the loop and awaited outside")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use roundel::{
    Clock, EventLoop, Handle, Instant, JoinHandle, MissedTicks, TaskGroup, all_tasks, block_on, current_task, interval,
    sleep, sleep_until, spawn, spawn_named, timeout, timeout_at, to_thread, yield_now,
};
use support::{Panic, assert_refused, millis, panics_during, virtual_loop};

#[test]
fn whatever_needs_a_loop_says_so_at_the_line_of_the_call() {
    assert_refused!("spawn() needs a running loop: call it inside block_on()", spawn(async {}));
    assert_refused!("TaskGroup::spawn() needs a running loop", TaskGroup::<(), ()>::new().spawn(async { Ok(()) }));
    assert_refused!("spawn_named() needs a running loop", spawn_named("name", async {}));
    assert_refused!("all_tasks() needs a running loop", all_tasks());
    assert_refused!("dump() needs a running loop", roundel::study::dump());
    assert_refused!("Handle::current() needs a running loop", Handle::current());
    assert_refused!("sleep() needs a running loop", sleep(millis(1)));
    assert_refused!("sleep_until() needs a running loop", sleep_until(Instant::FAR));
    assert_refused!("timeout() needs a running loop", timeout(millis(1), pending::<()>()));
    assert_refused!("timeout() needs a running loop", timeout(None, pending::<()>()));
    assert_refused!("timeout_at() needs a running loop", timeout_at(Instant::FAR, pending::<()>()));
    assert_refused!("interval() needs a running loop", interval(millis(1)));
    assert_refused!("to_thread() needs a running loop", to_thread(|| 1));
    // What needs none, says nothing.
    assert!(current_task().is_none());
    assert!(Instant::now() < Instant::FAR);
    drop(yield_now());
}

#[test]
fn what_needs_a_loop_says_so_in_a_closure_of_the_pool_too() {
    // B6
    block_on(async {
        let error = to_thread(|| drop(spawn(async {}))).await.unwrap_err();
        assert!(error.to_string().contains("spawn() needs a running loop"), "{error}");
        let error = to_thread(|| drop(sleep(millis(1)))).await.unwrap_err();
        assert!(error.to_string().contains("sleep() needs a running loop"), "{error}");
        let error = to_thread(|| roundel::net::TcpListener::bind("127.0.0.1:0").is_ok()).await.unwrap_err();
        assert!(error.to_string().contains("TcpListener::bind() needs a running loop"), "{error}");
        assert_eq!(to_thread(|| 1).await.unwrap(), 1, "that closure only");
    });
    // One that is still under way when its loop has ended.
    let event_loop = EventLoop::builder().threads(1).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (say_begun, begun) = mpsc::channel();
    let late = event_loop.block_on(async {
        to_thread(move || {
            say_begun.send(()).unwrap();
            let _ = released.recv();
            drop(sleep(millis(1)));
        })
    });
    begun.recv().unwrap();
    drop(event_loop);
    drop(release);
    let error = block_on(late).unwrap_err();
    assert!(error.to_string().contains("sleep() needs a running loop"), "{error}");
}

#[test]
fn a_loop_inside_a_loop_is_refused_at_the_line_of_the_call() {
    // K54
    let other = virtual_loop();
    virtual_loop().block_on(async {
        assert_refused!("block_on() was called inside a running loop", block_on(async {}));
        assert_refused!("await the future instead", other.block_on(async {}));
        assert_refused!("turn() was called inside a running loop", other.turn());
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1, "this loop goes on");
    });
    assert_eq!(other.block_on(async { 2 }), 2, "and so does the other");
}

#[test]
fn a_handle_that_can_give_nothing_says_so_at_the_line_of_the_await() {
    async fn awaits(handle: Rc<RefCell<Option<JoinHandle<()>>>>) {
        let own = handle.take().unwrap();
        own.await.unwrap(); // its own
    }
    let (_, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let slot = Rc::new(RefCell::new(None));
            *slot.borrow_mut() = Some(spawn(awaits(slot.clone())));
            yield_now().await;
        })
    });
    assert_at("its own", "await it from another task", &panics);

    let (_, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let mut handle = spawn(async { 1 });
            (&mut handle).await.unwrap();
            handle.await.unwrap(); // a task's, twice
        })
    });
    assert_at("a task's, twice", "await it only once", &panics);

    let (_, panics) = panics_during(|| {
        block_on(async {
            let mut handle = to_thread(|| 1);
            (&mut handle).await.unwrap();
            handle.await.unwrap(); // a thread's, twice
        })
    });
    assert_at("a thread's, twice", "await it only once", &panics);

    let (_, panics) = panics_during(|| {
        block_on(async {
            let mut handle = Handle::current().spawn(async { 1 });
            (&mut handle).await.unwrap();
            handle.await.unwrap(); // a remote one's, twice
        })
    });
    assert_at("a remote one's, twice", "await it only once", &panics);
}

/// There was one panic, with this text, in the line of this file that ends in the comment `mark`.
fn assert_at(mark: &str, text: &str, panics: &[Panic]) {
    let source = include_str!("bad_use.rs");
    let line = 1 + source.lines().position(|line| line.ends_with(&format!("// {mark}"))).unwrap();
    assert_eq!(panics.len(), 1, "{panics:?}");
    assert!(panics[0].text.contains(text), "{panics:?}");
    assert_eq!((panics[0].file.as_str(), panics[0].line as usize), (file!(), line), "{mark}");
}

#[test]
fn a_sleep_that_outlives_its_loop_names_both_lines() {
    let line = line!() + 1;
    let late = virtual_loop().block_on(async { sleep(millis(1)) });
    let (_, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            late.await; // too late
        })
    });
    assert_at("too late", "await it inside the loop that made it", &panics);
    assert!(panics[0].text.contains(&format!("{}:{line}", file!())), "{panics:?}");
}

#[test]
fn a_sleep_that_is_awaited_in_another_loop_names_both_lines() {
    // T20
    let home = virtual_loop();
    let line = line!() + 1;
    let stray = home.block_on(async { sleep(millis(1)) });
    let (_, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            stray.await; // far from home
        })
    });
    assert_at("far from home", "belongs to another loop, which does not run: await it in its own", &panics);
    assert!(panics[0].text.contains(&format!("{}:{line}", file!())), "{panics:?}");

    let due = home.block_on(async { sleep(millis(1)) });
    home.clock().advance(millis(2));
    virtual_loop().block_on(due);

    let waiting = home.block_on(async {
        let mut sleep = sleep(millis(1));
        assert!(futures::poll!(&mut sleep).is_pending());
        sleep
    });
    let (_, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            waiting.await; // set at home
        })
    });
    assert_at("set at home", "belongs to another loop, which does not run: await it in its own", &panics);
    let stray = home.block_on(async { sleep(millis(1)) });
    home.block_on(stray);
}

#[test]
fn what_is_used_after_the_loops_end_has_a_result() {
    // K9, K13, R20: no panic, no hang.
    let event_loop = virtual_loop();
    let handle = event_loop.handle();
    let (task, done) = (event_loop.spawn(pending::<()>()), event_loop.spawn(async { 1 }));
    event_loop.turn();
    let cancel = task.cancel_handle();
    let mut sleeping = Box::pin(event_loop.block_on(async { sleep(Duration::from_secs(1)) }));
    drop(event_loop);
    assert!(!handle.is_alive());
    assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
    cancel.cancel();
    assert!(!task.cancel(), "it is over");
    assert!(task.is_finished());
    assert!(futures::executor::block_on(task).unwrap_err().is_cancelled());
    assert_eq!(futures::executor::block_on(done).unwrap(), 1, "what was done stays done");
    // A sleep may be looked at, moved and dropped; only waiting for it would never end.
    assert!(!sleeping.is_elapsed());
    sleeping.as_mut().reset(Instant::FAR);
    drop(sleeping);
}

#[test]
fn a_wheel_of_timers_at_the_end_of_time_harms_nobody() {
    // T1, T2, T3, T4, T9, T39: every Duration is legal, beside the shortest one.
    virtual_loop().block_on(async {
        let far = [
            Duration::MAX,
            Duration::from_secs(u64::MAX),
            Duration::from_nanos(u64::MAX),
            Duration::from_nanos(u64::MAX / 10),
        ];
        let sleepers: Vec<JoinHandle<()>> = far
            .into_iter()
            .flat_map(|far| [far, far - Duration::from_nanos(1), far - millis(1), far / 2])
            .map(|far| spawn(sleep(far)))
            .collect();
        sleep(Duration::from_nanos(1)).await;
        assert_eq!(timeout(Duration::MAX, async { 1 }).await, Ok(1));
        assert!(timeout(millis(1), sleep(Duration::MAX)).await.is_err());
        for policy in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
            let mut interval = interval(Duration::MAX);
            interval.set_missed_ticks(policy);
            interval.tick().await;
            assert!(timeout(millis(1), interval.tick()).await.is_err());
        }
        assert!(sleepers.iter().all(|sleeper| sleeper.cancel()), "none has ended");
    });
}

#[test]
fn a_clock_at_the_end_of_time_still_runs_what_is_ready() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let never = event_loop.spawn(async { sleep_until(Instant::FAR).await });
    event_loop.turn();
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    event_loop.turn();
    assert!(!never.is_finished());
    assert_eq!(event_loop.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
}

#[test]
fn a_panic_keeps_its_line() {
    let line = line!() + 3;
    let (error, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let task: JoinHandle<()> = spawn(async { panic!("here") });
            task.await.unwrap_err().to_string()
        })
    });
    assert_eq!(error.unwrap(), "task 1 panicked: here");
    assert_eq!((panics.len(), panics[0].line), (1, line));
}

#[test]
fn what_cannot_be_is_refused_at_the_line_of_the_call() {
    assert_refused!("build the loop with Clock::manual()", Clock::real().advance(millis(1)));
    virtual_loop().block_on(async {
        assert_refused!("interval() needs a period above zero: use yield_now()", interval(Duration::ZERO));
        let remote = thread::spawn({
            let handle = Handle::current();
            move || handle.spawn(pending::<()>())
        });
        let remote = remote.join().unwrap();
        assert_refused!("await the handle instead", remote.wait());
    });
    // No threads at all would be a pool that never answers: it has one at least.
    let event_loop = EventLoop::builder().threads(0).build().unwrap();
    assert_eq!(event_loop.block_on(async { to_thread(|| 1).await.unwrap() }), 1);
}
