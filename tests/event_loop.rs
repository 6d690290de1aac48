//! The loop itself: `block_on`, `turn`, and its end.
//!
//! | row | test |
//! |---|---|
//! | 10 run() returns the value | block_on_returns_the_value_of_a_future_that_borrows |
//! | 10 run() propagates panic | a_panic_comes_out_of_block_on_and_the_loop_is_usable_afterwards |
//! | 10 run() refuses inside a running loop | a_nested_block_on_is_refused_and_the_outer_loop_goes_on |
//! | 10 run() cancels what is left before returning | block_on_drops_what_is_left_before_it_returns |
//! | 10 run() panics in those drops are reported, not lost | a_panic_in_one_destructor_does_not_lose_the_others |
//! | 10 run() can be called again | ten_thousand_loops_leave_no_descriptor_and_no_thread_behind |
//! | 10 run() fresh clock and registry | each_loop_has_a_clock_and_tasks_of_its_own |
//! | 10 loop: call_soon from a wrong thread | n/a: the types are not `Send` (ground_rules: only_wakers_and_handles_cross_threads) |
//! | 10 loop: cancelled timers are purged | memory: a_million_timeouts_leave_the_heap_where_it_was |
//! | 10 loop: negative delay = now | a_deadline_in_the_past_is_ready_at_once (a `Duration` is never negative) |
//! | 10 loop: slow callbacks logged | n/a: an `Observer` can measure them |
//! | 10 loop: error hook that fails | n/a: there is no hook; an observer's panic passes through (its documentation) |
//! | 10 loop: stop finishes the round | what_is_left_goes_on_in_the_next_block_on (nothing is lost by leaving a round early) |
//! | 10 loop: accept retry, closed watcher | n/a here: tested with `net` |
//! | 10 to_thread | n/a here: tests/threads.rs |
#![allow(clippy::unwrap_used, clippy::async_yields_async, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use roundel::{
    Clock, EventLoop, Instant, JoinHandle, all_tasks, block_on, current_task, sleep, sleep_until, spawn, yield_now,
};
use support::{OnDrop, Trace, alone, millis, panics_during, virtual_loop};

#[test]
fn block_on_returns_the_value_of_a_future_that_borrows() {
    let words = [String::from("not"), String::from("'static")];
    assert_eq!(block_on(async { words.join(" ") }), "not 'static");
}

#[test]
fn a_panic_comes_out_of_block_on_and_the_loop_is_usable_afterwards() {
    // K35, K46: a panic of the root leaves at once, whatever else is going on.
    let event_loop = virtual_loop();
    let turns = Rc::new(Cell::new(0));
    let counter = turns.clone();
    let _endless = event_loop.spawn(async move {
        loop {
            counter.set(counter.get() + 1);
            yield_now().await;
        }
    });
    let (result, panics) = panics_during(|| {
        event_loop.block_on(async {
            yield_now().await;
            panic!("out of here");
        })
    });
    assert_eq!(support::panic_text(&*result.unwrap_err()), "out of here");
    assert_eq!(panics.len(), 1);
    assert!(current_task().is_none(), "the thread is outside again");
    let before = turns.get();
    assert_eq!(event_loop.block_on(async { spawn(async { 3 }).await }).unwrap(), 3);
    assert!(turns.get() > before, "the other task goes on");
}

#[test]
fn a_nested_block_on_is_refused_and_the_outer_loop_goes_on() {
    // K54
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let sibling = trace.clone();
        let sibling = spawn(async move {
            sleep(millis(5)).await;
            sibling.note("sibling done");
        });
        let (inner, panics) = panics_during(|| block_on(async { 1 }));
        assert!(inner.is_err());
        assert!(panics[0].text.contains("await the future instead"), "{panics:?}");
        assert_eq!(current_task().unwrap().name.as_deref(), Some("main"));
        assert_eq!(all_tasks().len(), 2);
        sibling.await.unwrap();
        assert_eq!(Instant::now(), Clock::virtual_time().now() + millis(5));
    });
    assert_eq!(trace.take(), ["sibling done"]);
}

#[test]
fn block_on_drops_what_is_left_before_it_returns() {
    // K51: until then, a detached task lives.
    let trace = Trace::new();
    block_on(async {
        for name in ["first", "second"] {
            let dropped = trace.on_drop(name);
            let _detached = spawn(async move {
                let _dropped = dropped;
                pending::<()>().await;
            });
        }
        let never_begun = trace.on_drop("never begun");
        yield_now().await;
        let _detached = spawn(async move {
            let _dropped = never_begun;
            unreachable!("the root is done before its turn");
        });
        trace.note("root done");
    });
    trace.note("returned");
    assert_eq!(trace.take(), ["root done", "first", "second", "never begun", "returned"]);
}

#[test]
fn a_panic_in_one_destructor_does_not_lose_the_others() {
    // K7, K3: each is dropped, the panic is reported once, and the loop's drop returns.
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let mut handles = Vec::new();
    for number in 0..5 {
        let trace = trace.clone();
        let guard = OnDrop(move || {
            trace.note(number);
            assert_ne!(number, 1, "in the destructor of task 1");
        });
        handles.push(event_loop.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
    }
    event_loop.turn();
    let (result, panics) = panics_during(|| drop(event_loop));
    assert!(result.is_ok());
    assert_eq!(panics.len(), 1);
    assert_eq!(trace.take(), ["0", "1", "2", "3", "4"]);
    let ends = handles.into_iter().map(|handle| futures::executor::block_on(handle).unwrap_err().is_panic());
    assert_eq!(ends.collect::<Vec<_>>(), [false, true, false, false, false]);
}

#[test]
fn a_loop_that_ends_because_of_a_panic_still_drops_everything() {
    // K7: destructors that panic while the root's panic is on its way out must not abort the process.
    let trace = Trace::new();
    let (result, panics) = panics_during(|| {
        block_on(async {
            for name in ["a", "b"] {
                let trace = trace.clone();
                let guard = OnDrop(move || {
                    trace.note(name);
                    panic!("and {name} too");
                });
                let _detached = spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
            }
            yield_now().await;
            panic!("the root");
        })
    });
    assert_eq!(support::panic_text(&*result.unwrap_err()), "the root");
    assert_eq!(
        panics.iter().map(|panic| panic.text.as_str()).collect::<Vec<_>>(),
        ["the root", "and a too", "and b too"]
    );
    assert_eq!(trace.take(), ["a", "b"]);
}

#[test]
fn foreign_wakers_that_panic_do_not_keep_the_loop_from_closing() {
    // K7, S25: the wakers of a timer and of a handle, woken or dropped at the loop's end.
    struct Grenade;
    impl std::task::Wake for Grenade {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("woken");
        }
    }
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let held = |waker: &std::task::Waker| waker.clone();
    let first = event_loop.spawn(pending::<()>());
    let last = trace.on_drop("the last task is dropped");
    let _last = event_loop.spawn(async move {
        let _last = last;
        pending::<()>().await;
    });
    event_loop.turn();
    let mut first = Box::pin(first);
    let mut timer = Box::pin(event_loop.block_on(poll_fn(|_| Poll::Ready(sleep(millis(5))))));
    let grenade = held(&std::sync::Arc::new(Grenade).into());
    let (result, _) = panics_during(|| {
        let mut cx = std::task::Context::from_waker(&grenade);
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(timer.as_mut().poll(&mut cx).is_pending());
        drop(event_loop);
    });
    assert!(result.is_ok(), "the loop's drop returns");
    // Kept until here, for a waker that panics when woken and when dropped, both at once, ends the process.
    drop((first, timer));
    let (last_owner, _) = panics_during(|| drop(grenade));
    assert!(last_owner.is_err(), "the loop has let go of its two");
    assert_eq!(trace.take(), ["the last task is dropped"]);
}

#[test]
fn what_other_threads_left_unheard_is_dropped_whatever_its_destructors_do() {
    // K7, B3: errands and closures that never began go with the loop, one after another.
    let dropped = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let grenade = || {
        let dropped = dropped.clone();
        OnDrop(move || {
            dropped.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            panic!("unheard");
        })
    };
    let event_loop = EventLoop::builder().threads(1).build().unwrap();
    let handle = event_loop.handle();
    let unheard: Vec<_> = (0..3)
        .map(|_| {
            let grenade = grenade();
            handle.spawn(async move { drop(grenade) })
        })
        .collect();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let closures = event_loop.block_on(async {
        // The only thread is busy, so the others wait; the errands were heard by now, and are tasks.
        let busy = roundel::to_thread(move || released.recv().is_err());
        let waiting = (0..3).map(|_| {
            let grenade = grenade();
            roundel::to_thread(move || drop(grenade))
        });
        (busy, waiting.collect::<Vec<_>>())
    });
    let late: Vec<_> = (0..3)
        .map(|_| {
            let grenade = grenade();
            handle.spawn(async move { drop(grenade) })
        })
        .collect();
    let (result, panics) = panics_during(|| drop(event_loop));
    drop(release);
    assert!(result.is_ok(), "the loop's drop returns");
    assert_eq!(dropped.load(std::sync::atomic::Ordering::SeqCst), 9);
    assert_eq!(panics.len(), 9);
    drop((unheard, closures, late));
}

#[test]
fn each_loop_has_a_clock_and_tasks_of_its_own() {
    for _ in 0..2 {
        let start = Clock::virtual_time().now();
        virtual_loop().block_on(async {
            assert_eq!(Instant::now(), start);
            assert_eq!(spawn(async {}).id().number(), 1);
            assert_eq!(all_tasks().len(), 2);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(Instant::now(), start + Duration::from_secs(1));
        });
    }
}

#[test]
fn what_is_left_goes_on_in_the_next_block_on() {
    // K5: a task is ended by its loop's drop, and by nothing before it.
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let story = trace.clone();
    let _left = event_loop.spawn(async move {
        for step in 1..=3 {
            story.note(step);
            yield_now().await;
        }
    });
    event_loop.block_on(async { trace.note("first root") });
    event_loop.block_on(async {
        yield_now().await;
        trace.note("second root");
    });
    assert_eq!(trace.take(), ["1", "first root", "2", "3", "second root"]);
}

#[test]
fn the_root_runs_in_line_with_the_other_tasks() {
    let trace = Trace::new();
    virtual_loop().block_on(async {
        for name in ["a", "b"] {
            let trace = trace.clone();
            let _other = spawn(async move {
                for step in 1..=2 {
                    trace.note(format_args!("{name}:{step}"));
                    yield_now().await;
                }
            });
        }
        for step in 1..=2 {
            trace.note(format_args!("root:{step}"));
            yield_now().await;
        }
    });
    assert_eq!(trace.take(), ["root:1", "a:1", "b:1", "root:2", "a:2", "b:2"]);
}

#[test]
fn the_root_is_polled_only_when_it_was_woken() {
    // K20, K39
    let mut polls = 0;
    virtual_loop().block_on(async {
        let _busy = spawn(async {
            for _ in 0..1000 {
                yield_now().await;
            }
        });
        let mut timer = Box::pin(sleep(millis(1)));
        poll_fn(|cx| {
            polls += 1;
            timer.as_mut().poll(cx)
        })
        .await;
    });
    assert_eq!(polls, 2);
}

#[test]
fn a_root_that_woke_itself_at_its_end_leaves_nothing_in_the_line() {
    // K20, K47: the wake of the first root is not the next one's.
    let event_loop = virtual_loop();
    for _ in 0..3 {
        event_loop.block_on(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
    }
    let mut polls = 0;
    let wakers = RefCell::new(Vec::new());
    event_loop.block_on(poll_fn(|cx| {
        polls += 1;
        wakers.borrow_mut().push(cx.waker().clone());
        cx.waker().wake_by_ref();
        if polls == 10 { Poll::Ready(()) } else { Poll::Pending }
    }));
    // Old wakers, of the same slot.
    let mut polls = 0;
    event_loop.block_on(async {
        let mut timer = Box::pin(sleep(millis(1)));
        let mut watched = poll_fn(|cx| {
            polls += 1;
            timer.as_mut().poll(cx)
        });
        poll_fn(|cx| {
            wakers.take().into_iter().for_each(|waker| waker.wake());
            std::pin::Pin::new(&mut watched).poll(cx)
        })
        .await;
    });
    assert_eq!(polls, 2, "once to set the timer, once when it fires");
}

#[test]
fn a_turn_polls_each_ready_task_once() {
    // K30: also if a task that was ready is over by then.
    let event_loop = virtual_loop();
    let turns = Rc::new(Cell::new(0));
    let counter = turns.clone();
    let _endless = event_loop.spawn(async move {
        loop {
            counter.set(counter.get() + 1);
            yield_now().await;
        }
    });
    for turn in 1..=10 {
        for _ in 0..turn {
            let over = event_loop.spawn(async { unreachable!("cancelled before its first poll") });
            assert!(over.cancel());
        }
        assert!(event_loop.turn(), "the endless one is ready again");
        assert_eq!(turns.get(), turn);
    }
}

#[test]
fn a_turn_waits_for_nothing_and_says_whether_there_is_more() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    assert!(!event_loop.turn(), "nothing to do");
    let task = event_loop.spawn(async { sleep(Duration::from_secs(3600)).await });
    assert!(!event_loop.turn(), "it sleeps, the loop does not");
    clock.advance(Duration::from_secs(3600));
    assert!(!task.is_finished());
    assert!(!event_loop.turn());
    assert!(task.is_finished());
}

#[test]
fn a_task_spawned_before_the_loop_runs_is_run() {
    // K21
    let event_loop = virtual_loop();
    let early = event_loop.spawn(async { current_task().unwrap().id.number() });
    assert_eq!(event_loop.block_on(early).unwrap(), 1);
}

#[test]
fn a_loop_kept_awake_by_other_threads_still_looks_at_its_timers() {
    // T27, K27: mail is there whenever the line is empty, so the loop never goes to sleep.
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let polls = event_loop.block_on(async {
        let timer = spawn(sleep(millis(1)));
        yield_now().await;
        clock.advance(millis(1));
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if timer.is_finished() || polls == 1000 {
                return Poll::Ready(polls);
            }
            let waker = cx.waker();
            thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap());
            Poll::Pending
        })
        .await
    });
    assert!(polls <= 70, "{polls} polls until the timer was seen");
}

#[test]
fn a_deadline_in_the_past_is_ready_at_once() {
    // T12: and so is this very moment, on the real clock as well.
    block_on(async {
        let story = async {
            sleep_until(Instant::now()).await;
            sleep_until(Instant::now() - Duration::from_secs(1)).await;
        };
        assert_eq!(futures::poll!(std::pin::pin!(story)), Poll::Ready(()));
    });
}

#[test]
fn a_loop_can_be_dropped_inside_a_task_of_another() {
    // K55, K24: the inner loop's tasks are dropped inside the inner loop, then the outer one is back.
    let trace = Trace::new();
    let inner = virtual_loop();
    let story = trace.clone();
    let guard = OnDrop(move || {
        let refused = spawn(async {});
        let names: Vec<_> = all_tasks().into_iter().map(|task| task.name).collect();
        story.note(format_args!("inside {names:?}, spawn is refused: {}", refused.is_finished()));
    });
    let _inner_task = inner.spawn(async move {
        let _guard = guard;
        sleep(millis(1)).await;
    });
    inner.turn();
    virtual_loop().block_on(async {
        drop(inner);
        assert_eq!(all_tasks()[0].name.as_deref(), Some("main"));
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    assert_eq!(trace.take(), ["inside [None], spawn is refused: true"]);
}

#[test]
fn a_task_may_let_go_of_the_loop_it_runs_in() {
    // K55: whoever runs the loop has borrowed it, so a task's share of it is never the last one.
    let event_loop = Rc::new(virtual_loop());
    let share = event_loop.clone();
    let answer = event_loop.block_on(async {
        let task = spawn(async move {
            drop(share);
            yield_now().await;
            spawn(async { 3 }).await.unwrap()
        });
        task.await.unwrap()
    });
    assert_eq!((answer, Rc::strong_count(&event_loop)), (3, 1));
}

#[test]
fn two_loops_on_one_thread_keep_their_tasks_apart() {
    let (one, two) = (virtual_loop(), virtual_loop());
    let first: JoinHandle<u8> = one.spawn(async { 1 });
    let second: JoinHandle<u8> = two.spawn(async { 2 });
    assert!(!first.is_finished() && !second.is_finished());
    two.block_on(yield_now());
    assert!(!first.is_finished() && second.is_finished());
    one.turn();
    assert!(first.is_finished());
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn ten_thousand_loops_leave_no_descriptor_and_no_thread_behind() {
    // K26, and the loop numbers come round.
    if !alone("ten_thousand_loops_leave_no_descriptor_and_no_thread_behind") {
        return;
    }
    if !fs::exists("/proc/self/fd").unwrap() {
        return println!("skipped: this system has no /proc to count descriptors in");
    }
    let life = || {
        let answer = block_on(async {
            sleep(Duration::ZERO).await;
            spawn(async { 1 }).await.unwrap()
        });
        assert_eq!(answer, 1);
    };
    life();
    let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
    for _ in 0..10_000 {
        life();
    }
    assert_eq!((entries("/proc/self/fd"), entries("/proc/self/task")), before);
}

#[test]
fn one_loop_more_than_4096_is_an_error() {
    const LIMIT: usize = 4096;
    if !alone("one_loop_more_than_4096_is_an_error") {
        return;
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|most| most < 4 * LIMIT as u64) {
        return println!("skipped: only {maximum:?} descriptors are allowed here");
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum.map(|most| most.min(100_000)), maximum }).unwrap();
    let mut loops: Vec<EventLoop> = (0..LIMIT).map(|_| EventLoop::new().unwrap()).collect();
    let error = EventLoop::new().unwrap_err();
    assert!(error.to_string().contains("drop one before making another"), "{error}");
    // The oldest and the youngest work, and one that is dropped makes room for one.
    assert_eq!(loops[0].block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
    assert_eq!(loops[LIMIT - 1].block_on(async { spawn(async { 2 }).await.unwrap() }), 2);
    loops.pop();
    assert_eq!(EventLoop::new().unwrap().block_on(async { 3 }), 3);
}

#[test]
fn a_loop_made_without_descriptors_is_an_error_and_leaks_none() {
    // R17: whatever step the system refuses.
    if !alone("a_loop_made_without_descriptors_is_an_error_and_leaks_none") {
        return;
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !fs::exists("/proc/self/fd").unwrap() {
        return println!("skipped: this system has no /proc to count descriptors in");
    }
    let before = getrlimit(Resource::Nofile);
    let open = entries("/proc/self/fd") as u64 - 1;
    let mut refusals = 0;
    for limit in 0..open + 8 {
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: before.maximum }).unwrap();
        match EventLoop::new() {
            Ok(event_loop) => assert_eq!(event_loop.block_on(async { 1 }), 1),
            Err(_) => refusals += 1,
        }
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(entries("/proc/self/fd") as u64 - 1, open);
    }
    assert!((4..open + 8).contains(&refusals), "{refusals} were refused");
}
