//! Tasks and their handles: join, cancel, panics, destructors, names.
//!
//! | row of section 9 | test |
//! |---|---|
//! | task_basics | a_task_that_awaits_two_others_returns_their_sum |
//! | task_awaits_on_itself | a_task_that_awaits_itself_is_told_so |
//! | task_del_collect | memory: a_million_tasks_leave_the_heap_where_it_was |
//! | other_loop_future | a_handle_can_be_awaited_under_another_executor |
//! | ensure_future_* | n/a: `spawn` takes any future |
//! | cancelling | a_cancelled_task_is_finished_only_once_its_future_is_dropped |
//! | uncancel_* | n/a: no counter; a timeout drops only what it holds |
//! | cancel | a_cancelled_sleeper_is_over_at_once_and_the_clock_has_not_moved |
//! | cancel_with_message_*, cancellation_exception_context | n/a: a cancel carries no message |
//! | cancel_with_message_before_starting_task | a_task_cancelled_before_its_first_poll_never_runs |
//! | cancel_yield | a_task_can_be_cancelled_between_two_yields |
//! | cancel_inner_future | the_cancel_of_an_awaited_task_is_seen_as_an_error |
//! | cancel_both_task_and_inner_future | a_task_and_the_one_it_awaits_can_be_cancelled_at_once |
//! | cancel_task_catching, cancel_task_ignoring | n/a: a drop cannot be refused |
//! | cancel_current_task | a_task_that_cancels_itself_goes_no_further_than_its_next_wait |
//! | cancel_at_end | a_task_that_cancels_itself_and_does_not_wait_again_keeps_its_result |
//! | cancel_awaited_task | cancelling_a_task_leaves_the_one_it_awaits_running |
//! | cancel_traceback_*, stop_while_run_in_complete | n/a |
//! | log_traceback, tb_logger_not_called_after_cancel | a_panic_is_reported_once_and_a_cancel_not_at_all |
//! | wait*, as_completed*, gather*, shield* | n/a here: gather.rs, as_completed.rs |
//! | sleep, sleep_zero | two_sleeps_add_up; ground_rules: a_turn_given_away_is_one_turn_for_every_other_ready_task |
//! | sleep_cancel | a_cancelled_sleeper_leaves_no_timer_behind |
//! | task_cancel_sleeping_task | whoever_awaits_a_cancelled_sleeper_hears_of_it_at_that_moment |
//! | task_cancel_waiter_future, yield_future_passes_cancel | a_cancel_drops_from_the_innermost_await_outward |
//! | task_set_methods | n/a: a handle cannot set a result |
//! | step_result_future, coroutine_non_gen_* | a_future_that_is_ready_takes_one_turn |
//! | baseexception_during_cancel | a_panic_in_a_destructor_ends_that_task_only |
//! | current_task, current_task_with_interleaving_tasks | each_task_knows_itself_before_between_and_after |
//! | yield_wait_does_not_shield_cancel | cancelling_a_task_leaves_the_one_it_awaits_running |
//! | log_destroyed_pending_task | a_pending_task_thrown_away_is_told_to_the_observer |
//! | task_source_traceback, get_stack, repr | all_tasks_tell_name_line_turns_and_wait |
//! | context_* | n/a: no context variables |
//! | set_result/exception causes invalid state, introspection registers, refleaks | n/a |
//! | run_coroutine_threadsafe* | n/a here: handle.rs |
//!
//! Of the bug catalogue: K1 to K12, K34, K37, K51, K52, K57, G12 (memory.rs); each is named where it is answered.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use roundel::{
    CancelHandle, Clock, Event, EventLoop, Handle, Instant, JoinHandle, Observer, Outcome, Waits, all_tasks,
    current_task, sleep, spawn, spawn_named, yield_now,
};
use support::{OnDrop, Trace, counting_waker, millis, panic_text, panics_during, virtual_loop};

#[test]
fn a_task_that_awaits_two_others_returns_their_sum() {
    virtual_loop().block_on(async {
        let task = spawn(async {
            let (a, b) = (spawn(async { 10 }), spawn(async { 20 }));
            a.await.unwrap() + b.await.unwrap()
        });
        assert!(!task.is_finished());
        assert_eq!(task.await.unwrap(), 30);
    });
}

#[test]
fn a_task_that_awaits_itself_is_told_so() {
    let (result, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
            let story = own.clone();
            *own.borrow_mut() = Some(spawn(async move {
                let handle = story.take().unwrap();
                let _ = handle.await;
            }));
            sleep(millis(1)).await;
        });
    });
    result.unwrap();
    assert_eq!(panics.len(), 1, "and the loop goes on");
    assert!(panics[0].text.contains("awaits its own JoinHandle"));
}

#[test]
fn a_handle_can_be_awaited_under_another_executor() {
    let event_loop = virtual_loop();
    let done = event_loop.spawn(async { 7 });
    let left = event_loop.spawn(pending::<()>());
    event_loop.turn();
    assert_eq!(futures::executor::block_on(done).unwrap(), 7);
    // Another executor's task waits for it across this loop's end.
    let mut pool = futures::executor::LocalPool::new();
    let ends = Rc::new(Cell::new(false));
    let heard = ends.clone();
    futures::task::LocalSpawnExt::spawn_local(&pool.spawner(), async move {
        heard.set(left.await.unwrap_err().is_cancelled());
    })
    .unwrap();
    pool.run_until_stalled();
    assert!(!ends.get());
    drop(event_loop);
    pool.run_until_stalled();
    assert!(ends.get());
}

#[test]
fn a_handle_of_one_loop_can_be_awaited_in_another() {
    let (one, two) = (virtual_loop(), virtual_loop());
    let task = one.spawn(async {
        sleep(millis(1)).await;
        5
    });
    let waiter = two.spawn(async move { task.await.unwrap() });
    two.turn();
    one.block_on(sleep_here(2));
    assert_eq!(two.block_on(waiter).unwrap(), 5);
}

async fn sleep_here(time: u64) {
    sleep(millis(time)).await;
}

#[test]
fn a_cancelled_task_is_finished_only_once_its_future_is_dropped() {
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let dropped = trace.on_drop("dropped");
        let task = spawn(async move {
            let _dropped = dropped;
            pending::<()>().await;
        });
        // A message: it is obeyed at the loop's next round.
        task.cancel_handle().cancel();
        assert!(!task.is_finished());
        assert_eq!(trace.take(), [""; 0]);
        yield_now().await;
        assert!(task.is_finished());
        assert_eq!(trace.take(), ["dropped"]);
    });
}

/// A task cancels another by message in the turn before that one's: who has had a turn?
fn first_cancels_second(run: impl FnOnce(&EventLoop)) -> Vec<String> {
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let second: Rc<Cell<Option<CancelHandle>>> = Rc::default();
    let first = {
        let (trace, second) = (trace.clone(), second.clone());
        event_loop.spawn(async move {
            trace.note("first");
            // As another thread would: it does not wait for the round to end.
            second.take().unwrap().cancel();
        })
    };
    let task = {
        let trace = trace.clone();
        event_loop.spawn(async move { trace.note("second") })
    };
    second.set(Some(task.cancel_handle()));
    run(&event_loop);
    assert!(first.is_finished() && task.is_finished());
    trace.take()
}

#[test]
fn a_message_is_read_before_the_next_turn() {
    assert_eq!(first_cancels_second(|event_loop| event_loop.block_on(yield_now())), ["first"]);
    let one_turn = |event_loop: &EventLoop| {
        event_loop.turn();
    };
    assert_eq!(first_cancels_second(one_turn), ["first"]);
}

#[test]
fn a_cancelled_sleeper_is_over_at_once_and_the_clock_has_not_moved() {
    virtual_loop().block_on(async {
        let start = Instant::now();
        let task = spawn(sleep(Duration::from_secs(10)));
        yield_now().await;
        assert!(task.cancel());
        assert!(task.is_finished());
        assert!(!task.cancel(), "no second effect");
        let error = task.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), "task 1 was cancelled");
        assert_eq!(Instant::now(), start);
    });
}

#[test]
fn a_task_cancelled_before_its_first_poll_never_runs() {
    virtual_loop().block_on(async {
        let task = spawn(async { unreachable!("it never begins") });
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_task_can_be_cancelled_between_two_yields() {
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let story = trace.clone();
        let task = spawn(async move {
            story.note(1);
            yield_now().await;
            story.note(2);
            yield_now().await;
            story.note(3);
        });
        yield_now().await;
        yield_now().await;
        // It is ready just now, and loses its place in the line.
        assert!(task.cancel());
        yield_now().await;
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(trace.take(), ["1", "2"]);
}

#[test]
fn the_cancel_of_an_awaited_task_is_seen_as_an_error() {
    virtual_loop().block_on(async {
        let inner = spawn(pending::<()>());
        let cancel = inner.cancel_handle();
        let outer = spawn(async move { inner.await.unwrap_err().is_cancelled() });
        yield_now().await;
        cancel.cancel();
        assert!(outer.await.unwrap(), "the outer task goes on");
    });
}

#[test]
fn a_task_and_the_one_it_awaits_can_be_cancelled_at_once() {
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let [for_inner, for_outer] = [trace.on_drop("inner"), trace.on_drop("outer")];
        let inner = spawn(async move {
            let _dropped = for_inner;
            pending::<()>().await;
        });
        let cancel = inner.cancel_handle();
        let outer = spawn(async move {
            let _dropped = for_outer;
            let _ = inner.await;
            unreachable!("cancelled in the same turn");
        });
        yield_now().await;
        cancel.cancel();
        assert!(outer.cancel());
        assert!(outer.await.unwrap_err().is_cancelled());
        yield_now().await;
    });
    assert_eq!(trace.take(), ["outer", "inner"]);
}

#[test]
fn a_task_that_cancels_itself_goes_no_further_than_its_next_wait() {
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let (story, slot) = (trace.clone(), own.clone());
        let task = spawn(async move {
            assert!(slot.borrow().as_ref().unwrap().cancel());
            story.note("goes on");
            ready(()).await;
            story.note("and on, for this did not wait");
            yield_now().await;
            story.note("never");
        });
        let cancelled = task.cancel_handle();
        *own.borrow_mut() = Some(task);
        yield_now().await;
        let task = own.take().unwrap();
        assert!(task.is_finished());
        cancelled.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(trace.take(), ["goes on", "and on, for this did not wait"]);
}

#[test]
fn a_task_that_cancels_itself_and_does_not_wait_again_keeps_its_result() {
    // K57. Our choice, as tokio's: there was no await left at which to drop it.
    virtual_loop().block_on(async {
        let own = Rc::new(RefCell::new(None::<JoinHandle<u8>>));
        let slot = own.clone();
        let task = spawn(async move {
            slot.borrow().as_ref().unwrap().cancel();
            3
        });
        *own.borrow_mut() = Some(task);
        yield_now().await;
        assert_eq!(own.take().unwrap().await.unwrap(), 3);
    });
}

#[test]
fn cancelling_a_task_leaves_the_one_it_awaits_running() {
    virtual_loop().block_on(async {
        let inner = spawn(async {
            sleep(millis(5)).await;
            4
        });
        let shared = Rc::new(RefCell::new(inner));
        let borrowed = shared.clone();
        let outer = spawn(poll_fn(move |cx| Pin::new(&mut *borrowed.borrow_mut()).poll(cx)));
        yield_now().await;
        assert!(outer.cancel());
        let inner = Rc::into_inner(shared).unwrap().into_inner();
        assert_eq!(inner.await.unwrap(), 4);
    });
}

#[test]
fn a_panic_is_reported_once_and_a_cancel_not_at_all() {
    // K37: it belongs to the handle, and the loop goes on.
    let (result, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            drop(spawn(async { panic!("nobody asks for this one") }));
            let kept: JoinHandle<()> = spawn(async { panic!("code {}", 7) });
            let cancelled = spawn(pending::<()>());
            yield_now().await;
            cancelled.cancel();
            let error = kept.await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!(error.id().unwrap().number(), 2);
            assert_eq!(error.to_string(), "task 2 panicked: code 7");
            assert_eq!(panic_text(&*error.into_panic().unwrap()), "code 7");
            assert!(cancelled.await.unwrap_err().into_panic().is_err());
            "goes on"
        })
    });
    assert_eq!(result.unwrap(), "goes on");
    assert_eq!(
        panics.iter().map(|panic| panic.text.as_str()).collect::<Vec<_>>(),
        ["nobody asks for this one", "code 7"]
    );
}

#[test]
fn two_sleeps_add_up() {
    virtual_loop().block_on(async {
        let start = Instant::now();
        let value = async {
            sleep(millis(50)).await;
            sleep(millis(50)).await;
            "yeah"
        };
        assert_eq!(value.await, "yeah");
        assert_eq!(start.elapsed(), millis(100));
    });
}

/// Notes each `Parked`, with its limit, and how tasks end.
#[derive(Default)]
struct Watch {
    limits: RefCell<Vec<Option<Duration>>>,
    ends: RefCell<Vec<(u64, Outcome)>>,
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Parked { limit } => self.limits.borrow_mut().push(*limit),
            Event::Finished { task, outcome } => self.ends.borrow_mut().push((task.number(), *outcome)),
            _ => {}
        }
    }
}

#[test]
fn a_cancelled_sleeper_leaves_no_timer_behind() {
    // T30: with nothing left to wait for, the loop sleeps until the thread wakes it; or until it looks for circles,
    // since the root waits for a task.
    let watch = Rc::new(Watch::default());
    let event_loop = EventLoop::builder().observer(watch.clone()).build().unwrap();
    event_loop.block_on(async {
        let task = spawn(sleep(Duration::from_secs(3600)));
        yield_now().await;
        task.cancel();
        let handle = Handle::current();
        let (begun, begin) = std::sync::mpsc::channel::<()>();
        let woken = spawn(pending::<()>());
        let cancel = woken.cancel_handle();
        let thread = thread::spawn(move || {
            begin.recv().unwrap();
            cancel.cancel();
            handle.is_alive()
        });
        begun.send(()).unwrap();
        assert!(woken.await.unwrap_err().is_cancelled());
        assert!(thread.join().unwrap());
    });
    let next_look = Some(Duration::from_secs(5));
    assert!(watch.limits.borrow().iter().all(|limit| limit.is_none() || *limit <= next_look));
}

#[test]
fn whoever_awaits_a_cancelled_sleeper_hears_of_it_at_that_moment() {
    virtual_loop().block_on(async {
        let start = Instant::now();
        let sleeper = spawn(sleep(Duration::from_secs(5000)));
        let cancel = sleeper.cancel_handle();
        let _killer = spawn(async move {
            sleep(millis(100)).await;
            cancel.cancel();
        });
        assert!(sleeper.await.unwrap_err().is_cancelled());
        assert_eq!(start.elapsed(), millis(100));
    });
}

#[test]
fn a_cancel_drops_from_the_innermost_await_outward() {
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let story = trace.clone();
        let task = spawn(async move {
            let _outer = story.on_drop("outer");
            let middle = async {
                let _middle = story.on_drop("middle");
                let _inner = story.on_drop("inner");
                pending::<()>().await;
            };
            middle.await;
        });
        yield_now().await;
        task.cancel();
        assert_eq!(trace.take(), ["inner", "middle", "outer"]);
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_future_that_is_ready_takes_one_turn() {
    virtual_loop().block_on(async {
        let task = spawn(ready("bare"));
        assert!(!task.is_finished());
        yield_now().await;
        assert!(task.is_finished());
        assert_eq!(task.await.unwrap(), "bare");
    });
}

#[test]
fn a_panic_in_a_destructor_ends_that_task_only() {
    // K7, K52: on a cancel, after the future's end, and of an output that nobody takes.
    let (result, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let guard = || OnDrop(|| panic!("destructor"));
            let on_cancel = spawn({
                let guard = guard();
                async move {
                    let _guard = guard;
                    pending::<()>().await;
                }
            });
            // The captured guard outlives the body that returns 1, and goes with the future.
            let captured = guard();
            let mut after_end = Some(1);
            let at_end = spawn(poll_fn(move |_| {
                let _ = &captured;
                Poll::Ready(after_end.take().unwrap())
            }));
            yield_now().await;
            assert!(on_cancel.cancel());
            assert!(on_cancel.await.unwrap_err().is_panic());
            assert_eq!(panic_text(&*at_end.await.unwrap_err().into_panic().unwrap()), "destructor");
        })
    });
    result.unwrap();
    assert_eq!(panics.len(), 2);
}

#[test]
fn the_first_of_two_panics_is_the_one_to_tell() {
    let (result, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let captured = OnDrop(|| panic!("second"));
            let task = spawn(poll_fn(move |_| -> Poll<()> {
                let _ = &captured;
                panic!("first")
            }));
            panic_text(&*task.await.unwrap_err().into_panic().unwrap())
        })
    });
    assert_eq!(result.unwrap(), "first");
    assert_eq!(panics.len(), 2);
}

/// An output, or a panic's payload, that cannot even be dropped without a panic.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("grenade");
        }
    }
}

#[test]
fn an_output_that_panics_when_dropped_harms_nobody() {
    // K8: dropped with its handle, before or after the task's end; and as a payload.
    let (result, _) = panics_during(|| {
        virtual_loop().block_on(async {
            drop(spawn(async { Grenade }));
            let kept = spawn(async { Grenade });
            let thrown: JoinHandle<()> = spawn(async { std::panic::panic_any(Grenade) });
            yield_now().await;
            drop(kept);
            drop(thrown);
            let detached: JoinHandle<()> = spawn(async { std::panic::panic_any(Grenade) });
            drop(detached);
            yield_now().await;
            spawn(async { 1 }).await.unwrap()
        })
    });
    assert_eq!(result.unwrap(), 1);
}

#[test]
fn each_task_knows_itself_before_between_and_after() {
    assert!(current_task().is_none());
    virtual_loop().block_on(async {
        let id = || current_task().unwrap().id.number();
        assert_eq!(id(), 0);
        let tasks = [1, 2].map(|number| {
            spawn(async move {
                assert_eq!(id(), number);
                yield_now().await;
                assert_eq!(id(), number);
                sleep(millis(10 * number)).await;
                assert_eq!(id(), number);
            })
        });
        assert_eq!(id(), 0, "spawning does not run them");
        for task in tasks {
            task.await.unwrap();
            assert_eq!(id(), 0);
        }
    });
    assert!(current_task().is_none());
}

#[test]
fn all_tasks_tell_name_line_turns_and_wait() {
    virtual_loop().block_on(async {
        let line = line!() + 1;
        let named = spawn_named("sleeper", sleep(millis(5)));
        let plain = spawn(pending::<()>());
        yield_now().await;
        yield_now().await;
        let all = all_tasks();
        assert_eq!(all.iter().map(|task| task.id.number()).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(all[0].name.as_deref(), Some("main"));
        assert_eq!(
            (all[0].waits_for, all[1].waits_for, all[2].waits_for),
            (None, Some(Waits::Timer), Some(Waits::Foreign))
        );
        assert_eq!((named.name().as_deref(), plain.name()), (Some("sleeper"), None));
        assert_eq!((all[1].site.file(), all[1].site.line()), (file!(), line));
        assert_eq!((all[0].polls, all[1].polls), (3, 1));
        assert_eq!(format!("{named:?}"), "JoinHandle { id: task 1, .. }");
        named.await.unwrap();
        assert_eq!(all_tasks().len(), 2);
        plain.cancel();
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_handle_knows_its_task_also_after_the_result_is_taken() {
    virtual_loop().block_on(async {
        let mut handle = spawn(async { 1 });
        assert_eq!((&mut handle).await.unwrap(), 1);
        assert!(handle.is_finished());
        assert!(!handle.cancel());
        assert_eq!(handle.id().number(), 1);
    });
}

#[test]
fn a_pending_task_thrown_away_is_told_to_the_observer() {
    let watch = Rc::new(Watch::default());
    let event_loop = EventLoop::builder().observer(watch.clone()).build().unwrap();
    let _pending = event_loop.spawn(pending::<()>());
    let _done = event_loop.spawn(async {});
    event_loop.turn();
    drop(event_loop);
    assert_eq!(*watch.ends.borrow(), [(2, Outcome::Returned), (1, Outcome::Cancelled)]);
}

#[test]
fn a_destructor_at_the_loops_end_may_spawn_wake_and_cancel() {
    // K1, K2, K3, K4, K6: it finds the loop around it; what it spawns is dropped at once, and once; what
    // it wakes never runs.
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let sibling_waker = Rc::new(RefCell::new(None::<Waker>));
    let (story, waker) = (trace.clone(), sibling_waker.clone());
    let guard = OnDrop(move || {
        waker.borrow().as_ref().unwrap().wake_by_ref();
        assert!(Handle::current().is_alive());
        let dropped = story.on_drop("spawned by a destructor");
        let refused = spawn(async move {
            let _dropped = dropped;
            unreachable!("the loop has ended");
        });
        assert!(refused.is_finished());
        let error = futures::executor::block_on(refused).unwrap_err();
        story.note(error);
        drop(sleep(millis(1)));
    });
    let _first = event_loop.spawn(async move {
        let _guard = guard;
        sleep(Duration::from_secs(1)).await;
    });
    let story = trace.clone();
    let mut polls = 0;
    let dropped = trace.on_drop("sibling");
    let _sibling = event_loop.spawn(poll_fn(move |cx| {
        let _ = &dropped;
        polls += 1;
        story.note(format_args!("poll {polls}"));
        *sibling_waker.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    event_loop.turn();
    let (result, panics) = panics_during(|| drop(event_loop));
    result.unwrap();
    assert_eq!(panics, []);
    assert_eq!(trace.take(), ["poll 1", "spawned by a destructor", "task 3 was cancelled", "sibling"]);
}

#[test]
fn a_cancel_from_outside_the_loop_has_the_loop_around_it() {
    // K6: outside any loop, and inside another one. The destructor finds its own loop, and whoever watches
    // that one hears of the end.
    let (watch, other_watch) = (Rc::<Watch>::default(), Rc::<Watch>::default());
    let event_loop = EventLoop::builder().clock(Clock::manual()).observer(watch.clone()).build().unwrap();
    let other = EventLoop::builder().clock(Clock::manual()).observer(other_watch.clone()).build().unwrap();
    let ran = Rc::new(Cell::new(0));
    let task = || {
        let (home, ran) = (event_loop.handle(), ran.clone());
        let guard = OnDrop(move || {
            assert!(Handle::current() == home);
            let ran = ran.clone();
            drop(spawn(async move { ran.set(ran.get() + 1) }));
        });
        event_loop.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        })
    };
    let (first, second) = (task(), task());
    event_loop.turn();
    assert!(first.cancel());
    other.block_on(async { assert!(second.cancel()) });
    event_loop.turn();
    assert_eq!(ran.get(), 2, "what the destructors spawned");
    let cancelled = |id| (id, Outcome::Cancelled);
    let returned = |id| (id, Outcome::Returned);
    assert_eq!(*watch.ends.borrow(), [cancelled(1), cancelled(2), returned(3), returned(4)]);
    assert_eq!(*other_watch.ends.borrow(), [returned(0)], "its own root, and nobody of this loop");
    assert!(event_loop.block_on(first).unwrap_err().is_cancelled());
}

#[test]
fn an_output_that_nobody_took_is_dropped_with_the_loop_around_it() {
    let event_loop = virtual_loop();
    let home = event_loop.handle();
    let found = Rc::new(Cell::new(false));
    let seen = found.clone();
    let task = event_loop.spawn(async move { OnDrop(move || seen.set(Handle::current() == home)) });
    event_loop.turn();
    assert!(task.is_finished());
    drop(task);
    assert!(found.get());
}

#[test]
fn a_destructor_may_wake_and_cancel_its_own_task() {
    // K52
    let polls = Rc::new(Cell::new(0));
    let counter = polls.clone();
    virtual_loop().block_on(async move {
        let own = Rc::new(RefCell::new(None::<(Waker, JoinHandle<()>)>));
        let slot = own.clone();
        let guard = OnDrop(move || {
            if let Some((waker, handle)) = &*slot.borrow() {
                waker.wake_by_ref();
                handle.cancel();
            }
        });
        let slot = own.clone();
        let task = spawn(poll_fn(move |cx| {
            let _ = &guard;
            counter.set(counter.get() + 1);
            if let Some((waker, _)) = &mut *slot.borrow_mut() {
                waker.clone_from(cx.waker());
            }
            Poll::<()>::Pending
        }));
        let cancel = task.cancel_handle();
        *own.borrow_mut() = Some((Waker::noop().clone(), task));
        yield_now().await;
        cancel.cancel();
        yield_now().await;
        yield_now().await;
        let (waker, handle) = own.take().unwrap();
        assert!(handle.await.unwrap_err().is_cancelled());
        waker.wake();
        yield_now().await;
    });
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_cancel_followed_by_the_drop_of_the_handle_is_not_lost() {
    // K11
    let trace = Trace::new();
    virtual_loop().block_on(async {
        for by_message in [false, true] {
            let dropped = trace.on_drop("dropped");
            let task = spawn(async move {
                let _dropped = dropped;
                pending::<()>().await;
            });
            if by_message {
                task.cancel_handle().cancel();
            } else {
                task.cancel();
            }
            drop(task);
            yield_now().await;
            assert_eq!(trace.take(), ["dropped"]);
        }
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_cancel_from_another_thread_drops_on_the_loops_thread() {
    // K9, K10
    let here = thread::current().id();
    let dropped_on = Rc::new(Cell::new(None));
    let event_loop = virtual_loop();
    let noted = dropped_on.clone();
    let guard = OnDrop(move || noted.set(Some(thread::current().id())));
    let task = event_loop.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    event_loop.turn();
    let cancel = task.cancel_handle();
    let error = event_loop.block_on(async {
        let canceller = thread::spawn(move || cancel.cancel());
        let error = task.await.unwrap_err();
        canceller.join().unwrap();
        error
    });
    assert!(error.is_cancelled());
    assert_eq!(dropped_on.get(), Some(here));
}

#[test]
fn a_cancel_handle_outlives_its_task_and_its_loop() {
    // K9: also when other tasks have its slot by then, and another loop its number.
    let event_loop = virtual_loop();
    let late = event_loop.block_on(async {
        let task = spawn(async { 1 });
        let late = task.cancel_handle();
        task.await.unwrap();
        let tenant = spawn(async {
            yield_now().await;
            2
        });
        late.cancel();
        yield_now().await;
        assert_eq!(tenant.await.unwrap(), 2, "it is another task");
        late
    });
    drop(event_loop);
    late.cancel();
    thread::spawn(move || late.cancel()).join().unwrap();
}

#[test]
fn two_tasks_that_await_each_other_are_freed_with_the_loop() {
    // K12
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let handles = [(); 2].map(|()| Rc::new(RefCell::new(None::<JoinHandle<()>>)));
    for (name, mine, other) in [("one", 0, 1), ("two", 1, 0)] {
        let (dropped, other) = (trace.on_drop(name), handles[other].clone());
        let task = event_loop.spawn(async move {
            let _dropped = dropped;
            let other = other.take().unwrap();
            let _ = other.await;
        });
        *handles[mine].borrow_mut() = Some(task);
    }
    event_loop.turn();
    assert!(handles.iter().all(|handle| handle.borrow().is_none()), "each holds the other");
    drop(event_loop);
    assert_eq!(trace.take(), ["one", "two"]);
    assert!(handles.iter().all(|handle| Rc::strong_count(handle) == 1));
}

#[test]
fn a_handle_keeps_only_the_last_waker_and_lets_it_go() {
    // K12, T31: polled with one waker, then with another, then dropped.
    let event_loop = virtual_loop();
    let mut task = event_loop.spawn(async { yield_now().await });
    let (first_wakes, first) = counting_waker();
    let (second_wakes, second) = counting_waker();
    for waker in [&first, &second] {
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(waker)).is_pending());
    }
    event_loop.turn();
    event_loop.turn();
    assert_eq!((first_wakes.count(), second_wakes.count()), (0, 1));
    let mut task = event_loop.spawn(pending::<()>());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&second)).is_pending());
    drop(task);
    drop(second);
    assert_eq!(std::sync::Arc::strong_count(&second_wakes), 1, "no waker is kept");
}

#[test]
fn a_foreign_waker_that_panics_costs_nobody_a_turn() {
    // S25: whoever listens to the end of a task, its panic is not the loop's.
    struct Grumbler;
    impl std::task::Wake for Grumbler {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("do not wake me");
        }
    }
    let event_loop = virtual_loop();
    let mut task = event_loop.spawn(async {});
    let after = event_loop.spawn(async { 1 });
    let waker = std::sync::Arc::new(Grumbler).into();
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    let (result, panics) = panics_during(|| event_loop.block_on(after));
    assert_eq!(result.unwrap().unwrap(), 1);
    assert_eq!(panics.len(), 1);
    assert!(task.is_finished());
}

#[test]
fn many_tasks_in_every_state_all_come_to_their_end() {
    // K23: none is lost, whatever wakes, cancels and ends happen in between.
    let mut random = fastrand::Rng::with_seed(23);
    let (ended, started) = virtual_loop().block_on(async {
        let ended = Rc::new(Cell::new(0));
        let mut handles = Vec::new();
        let mut started = 0;
        for _ in 0..20_000 {
            match random.u8(0..4) {
                0 | 1 => {
                    let (ended, steps, naps) = (ended.clone(), random.u64(0..4), random.bool());
                    started += 1;
                    let guard = OnDrop(move || ended.set(ended.get() + 1));
                    handles.push(spawn(async move {
                        let _guard = guard;
                        for step in 0..steps {
                            if naps { sleep(millis(step)).await } else { yield_now().await }
                        }
                    }));
                }
                2 if !handles.is_empty() => {
                    let handle = handles.swap_remove(random.usize(0..handles.len()));
                    if random.bool() {
                        handle.cancel();
                    }
                }
                _ => yield_now().await,
            }
        }
        for handle in handles {
            handle.await.unwrap();
        }
        while all_tasks().len() > 1 {
            sleep(millis(10)).await;
        }
        (ended.get(), started)
    });
    assert_eq!(ended, started);
}
