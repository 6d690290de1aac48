//! How other threads reach a loop: `Handle`, `RemoteHandle`, and futures-rs's spawn traits.
//!
//! | row (semantics section 9) | test |
//! |---|---|
//! | run_coroutine_threadsafe | a_thread_sends_a_future_and_waits_for_its_value |
//! | ..._with_exception | a_panic_crosses_to_the_thread_that_waits |
//! | ..._with_timeout | a_thread_that_gives_up_cancels_the_task_and_none_is_left |
//! | ..._task_cancelled | a_cancel_crosses_to_the_thread_that_waits |
//! | ..._task_factory_exception | a_closure_that_panics_instead_of_making_a_future_is_reported |
//! | a cancel between making and handle | a_task_cancelled_while_it_is_being_made_never_runs |
//! | K11 a cancel whose answer was taken | a_task_called_off_before_the_loop_looked_never_runs_though_its_result_was_taken |
//! | K11 a cancel and then a drop | a_cancel_is_not_lost_though_the_handle_is_dropped_right_after_it |
//! | a result is given once | a_result_that_was_given_already_is_not_waited_for |
//! | section 0, 10 | a_future_sent_to_a_sleeping_loop_wakes_it |
#![allow(clippy::unwrap_used)]

mod support;

use std::cell::RefCell;
use std::future::pending;
use std::panic;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::task::{LocalSpawnExt, SpawnExt};
use roundel::{Event, EventLoop, Handle, Observer, RemoteHandle, all_tasks, block_on, spawn, to_thread, yield_now};
use support::panics_during;

/// Runs `work` in a thread of its own while the loop waits for it.
fn beside<T: Send + 'static>(work: impl FnOnce(Handle) -> T + Send + 'static) -> T {
    block_on(async {
        let handle = Handle::current();
        to_thread(move || work(handle)).await.unwrap()
    })
}

#[test]
fn a_thread_sends_a_future_and_waits_for_its_value() {
    let value = beside(|handle| {
        let remote = handle.spawn(async {
            yield_now().await;
            3
        });
        remote.wait().unwrap()
    });
    assert_eq!(value, 3);
}

#[test]
fn a_future_sent_to_a_sleeping_loop_wakes_it() {
    let (sender, receiver) = futures::channel::oneshot::channel();
    let value = block_on(async {
        let handle = Handle::current();
        let thread = thread::spawn(move || {
            handle.spawn(async move { sender.send("from afar") }).wait().unwrap().unwrap();
        });
        let value = receiver.await.unwrap();
        to_thread(move || thread.join()).await.unwrap().unwrap();
        value
    });
    assert_eq!(value, "from afar");
}

#[test]
fn a_future_that_is_not_send_is_made_on_the_loops_thread() {
    let here = thread::current().id();
    let there = beside(move |handle| {
        let remote = handle.spawn_with(move || async move {
            let local = Rc::new(thread::current().id());
            yield_now().await;
            *local
        });
        remote.wait().unwrap()
    });
    assert_eq!(there, here);
}

#[test]
fn a_panic_crosses_to_the_thread_that_waits() {
    let error = beside(|handle| handle.spawn(async { panic!("in the loop") }).wait().unwrap_err());
    assert!(error.is_panic());
    assert_eq!(*error.into_panic().unwrap().downcast_ref::<&str>().unwrap(), "in the loop");
}

#[test]
fn a_closure_that_panics_instead_of_making_a_future_is_reported() {
    fn make() -> std::future::Ready<()> {
        panic!("no future")
    }
    let error = beside(|handle| handle.spawn_with(make).wait().unwrap_err());
    assert!(error.is_panic());
}

#[test]
fn a_thread_that_gives_up_cancels_the_task_and_none_is_left() {
    block_on(async {
        let handle = Handle::current();
        let given_up = to_thread(move || {
            let remote = handle.spawn(pending::<()>());
            let remote = remote.wait_timeout(Duration::from_millis(1)).unwrap_err();
            remote.cancel();
            remote.wait().unwrap_err().is_cancelled()
        });
        assert!(given_up.await.unwrap());
        assert_eq!(all_tasks().len(), 1, "only this task is left");
    });
}

#[test]
fn a_cancel_crosses_to_the_thread_that_waits() {
    let error = beside(|handle| {
        let remote = handle.spawn(pending::<()>());
        remote.cancel();
        remote.wait().unwrap_err()
    });
    assert!(error.is_cancelled());
}

#[test]
fn a_handle_used_after_the_loops_death_says_cancelled() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    assert!(handle.is_alive());
    let unheard = handle.spawn(async {});
    drop(event_loop);
    assert!(!handle.is_alive());
    assert!(unheard.wait().unwrap_err().is_cancelled());
    assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
}

#[test]
fn a_task_under_way_at_the_loops_death_is_cancelled_for_the_thread_that_waits() {
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.handle().spawn(pending::<()>());
    let waiting = thread::spawn(move || remote.wait());
    event_loop.turn();
    drop(event_loop);
    assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
}

#[test]
fn waiting_inside_the_loop_is_refused_with_the_cure() {
    let refused = panic::catch_unwind(|| {
        block_on(async {
            let _ = Handle::current().spawn(async {}).wait();
        })
    });
    let text = *refused.unwrap_err().downcast::<&str>().unwrap();
    assert!(text.contains("await the handle instead"), "{text}");
}

#[test]
fn a_remote_handle_can_be_awaited_by_another_loop() {
    let (send_handle, handle) = mpsc::channel();
    let (send_done, done) = futures::channel::oneshot::channel::<()>();
    let server = thread::spawn(move || {
        block_on(async move {
            send_handle.send(Handle::current()).unwrap();
            done.await.unwrap();
        })
    });
    let handle = handle.recv().unwrap();
    let answer = block_on(handle.spawn(async { "served" })).unwrap();
    send_done.send(()).unwrap();
    server.join().unwrap();
    assert_eq!(answer, "served");
}

#[test]
fn a_remote_handle_may_go_at_the_moment_its_task_ends() {
    // K19: whoever comes last, the thread or the task, drops the output.
    let output = std::sync::Arc::new(());
    let value = output.clone();
    beside(move |handle| {
        for round in 0..4000 {
            let value = value.clone();
            let remote = handle.spawn(async move { value });
            match round % 4 {
                0 => drop(remote),
                1 => remote.cancel(),
                2 => drop(remote.wait_timeout(Duration::ZERO)),
                _ => drop(remote.wait().unwrap()),
            }
        }
    });
    assert_eq!(std::sync::Arc::strong_count(&output), 1);
}

#[test]
fn a_future_that_comes_too_late_is_dropped_and_not_kept() {
    // K4, K13
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    drop(event_loop);
    let late = std::sync::Arc::new(());
    let value = late.clone();
    let remote = handle.spawn(async move { drop(value) });
    assert_eq!(std::sync::Arc::strong_count(&late), 1, "though the handle is still there");
    assert!(remote.wait().unwrap_err().is_cancelled());
}

#[test]
fn code_written_against_futures_rs_spawns_here() {
    let event_loop = EventLoop::new().unwrap();
    let trace = Rc::new(RefCell::new(Vec::new()));
    let local = trace.clone();
    event_loop.spawn_local(async move { local.borrow_mut().push("before the loop runs") }).unwrap();
    let inside = trace.clone();
    event_loop.block_on(async move {
        let handle = Handle::current();
        let local = inside.clone();
        handle.spawn_local(async move { local.borrow_mut().push("inside") }).unwrap();
        let value = SpawnExt::spawn_with_handle(&handle, async { 5 }).unwrap().await;
        inside.borrow_mut().push(if value == 5 { "by handle" } else { "?" });
    });
    assert_eq!(*trace.borrow(), ["before the loop runs", "inside", "by handle"]);
    assert!(event_loop.handle().spawn_local(async {}).is_err(), "outside the loop nothing local can be spawned");
    let handle = event_loop.handle();
    drop(event_loop);
    assert!(SpawnExt::spawn(&handle, async {}).unwrap_err().is_shutdown());
}

#[test]
fn a_task_spawned_from_afar_can_spawn_more() {
    let sum = beside(|handle| {
        let remote = handle.spawn_with(|| async { spawn(async { 2 }).await.unwrap() + 40 });
        remote.wait().unwrap()
    });
    assert_eq!(sum, 42);
}

#[test]
fn a_remote_handle_that_is_dropped_detaches_its_task() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    drop(event_loop.handle().spawn(async move { sender.send("ran").unwrap() }));
    event_loop.turn();
    assert_eq!(receiver.try_recv(), Ok("ran"));
}

#[test]
fn a_result_that_was_given_already_is_not_waited_for() {
    let (result, panics) = panics_during(|| {
        let event_loop = EventLoop::new().unwrap();
        let mut remote = event_loop.handle().spawn(async { 1 });
        assert_eq!(event_loop.block_on(&mut remote).unwrap(), 1);
        let _ = remote.wait_timeout(Duration::ZERO);
    });
    assert!(result.is_err());
    assert_eq!(panics[0].text, "a RemoteHandle gives its result once: await it only once, or wait for it");
    assert!(panics[0].file.ends_with("tests/handle.rs"));
}

#[test]
fn a_task_cancelled_while_it_is_being_made_never_runs() {
    // The observer is the one party that can come between the making of a task and its handle.
    struct Canceller(RefCell<Option<RemoteHandle<()>>>);
    impl Observer for Canceller {
        fn event(&self, event: &Event<'_>) {
            if let (Event::Spawned { .. }, Some(remote)) = (event, &*self.0.borrow()) {
                remote.cancel();
            }
        }
    }
    let canceller = Rc::new(Canceller(RefCell::default()));
    let event_loop = EventLoop::builder().observer(canceller.clone()).build().unwrap();
    event_loop.block_on(async {
        let ran = Arc::new(AtomicBool::new(false));
        let remote = Handle::current().spawn({
            let ran = ran.clone();
            async move { ran.store(true, Ordering::SeqCst) }
        });
        canceller.0.replace(Some(remote));
        yield_now().await;
        yield_now().await;
        let remote = canceller.0.take().unwrap();
        assert!(remote.await.unwrap_err().is_cancelled());
        assert!(!ran.load(Ordering::SeqCst));
    });
}

#[test]
fn a_task_called_off_before_the_loop_looked_never_runs_though_its_result_was_taken() {
    // K11
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.handle().spawn_with(|| async { panic!("it was called off") });
    remote.cancel();
    assert!(remote.wait().unwrap_err().is_cancelled());
    event_loop.turn();
    assert!(event_loop.all_tasks().is_empty());
}

#[test]
fn a_cancel_is_not_lost_though_the_handle_is_dropped_right_after_it() {
    // K11. The observer holds the loop between the making of the task and the note of how to cancel it.
    struct Gate(mpsc::Sender<()>, mpsc::Receiver<()>);
    impl Observer for Gate {
        fn event(&self, event: &Event<'_>) {
            if matches!(event, Event::Spawned { task, .. } if task.number() == 1) {
                self.0.send(()).unwrap();
                self.1.recv().unwrap();
            }
        }
    }
    let (made, is_made) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let event_loop = EventLoop::builder().observer(Rc::new(Gate(made, may_go_on))).build().unwrap();
    let remote = event_loop.handle().spawn(async { panic!("it was cancelled before its first turn") });
    let thread = thread::spawn(move || {
        is_made.recv().unwrap();
        remote.cancel();
        drop::<RemoteHandle<()>>(remote);
        go_on.send(()).unwrap();
    });
    let ((), panics) = {
        let (result, panics) = panics_during(|| event_loop.block_on(yield_now()));
        (result.unwrap(), panics)
    };
    thread.join().unwrap();
    assert_eq!(panics, []);
    assert!(event_loop.all_tasks().is_empty());
}
