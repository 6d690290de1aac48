//! The ground rules that everything else rests on (section 0 of the asyncio semantics).
//!
//! | row | test |
//! |---|---|
//! | 0.1 rounds, first in first out | ready_tasks_run_in_rounds_first_in_first_out; a_cancelled_tasks_turn_goes_to_nobody_of_the_next_round |
//! | 0.2 spawn does not run the child | a_child_first_runs_when_its_spawner_gives_its_turn_away |
//! | 0.3 sleep(0) | a_turn_given_away_is_one_turn_for_every_other_ready_task |
//! | 0.4, 0.5, 0.6 | n/a here: they are about `sync`, and tested with it |
//! | 0.7 cancel of a finished task | cancelling_a_finished_task_keeps_its_result |
//! | 0.8 cancel drops at once | cancel_drops_the_future_at_once_at_the_await_where_it_stands |
//! | 0.9 timers in order, never early | timers_of_one_deadline_run_in_order_of_creation; no_timer_is_early |
//! | 0.10 what crosses threads | only_wakers_and_handles_cross_threads; what_crosses_threads_wakes_a_sleeping_loop |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use roundel::{
    CancelHandle, Event, EventLoop, Handle, Instant, Interval, JoinHandle, Observer, RemoteHandle, Sleep, block_on,
    sleep, spawn, yield_now,
};
use support::{Trace, crosses_threads, millis, virtual_loop};

#[test]
fn ready_tasks_run_in_rounds_first_in_first_out() {
    // 0.1
    let trace = Trace::new();
    let [a, b, c, d] = [trace.clone(), trace.clone(), trace.clone(), trace.clone()];
    let event_loop = virtual_loop();
    let _a = event_loop.spawn(async move {
        a.note("a:1");
        // Made ready by this round, so it runs in the next.
        let _d = spawn(async move { d.note("d:1") });
        yield_now().await;
        a.note("a:2");
    });
    let _b = event_loop.spawn(async move {
        b.note("b:1");
        yield_now().await;
        b.note("b:2");
    });
    let _c = event_loop.spawn(async move { c.note("c:1") });
    assert!(event_loop.turn());
    assert_eq!(trace.take(), ["a:1", "b:1", "c:1"]);
    assert!(!event_loop.turn());
    assert_eq!(trace.take(), ["d:1", "a:2", "b:2"]);
}

#[test]
fn a_cancelled_tasks_turn_goes_to_nobody_of_the_next_round() {
    // 0.1: one of the round, or so many that the line is cleared of them, are cancelled by the first.
    for many in [1, 200] {
        let trace = Trace::new();
        let event_loop = virtual_loop();
        let victims = Rc::new(RefCell::new(Vec::new()));
        let (story, doomed) = (trace.clone(), victims.clone());
        let _killer = event_loop.spawn(async move {
            doomed.take().iter().for_each(|victim: &JoinHandle<()>| assert!(victim.cancel()));
            story.note("killer:1");
            yield_now().await;
            story.note("killer:2");
        });
        victims.borrow_mut().extend((0..many).map(|_| event_loop.spawn(pending())));
        let story = trace.clone();
        let _last = event_loop.spawn(async move { story.note("last") });
        assert!(event_loop.turn());
        assert_eq!(trace.take(), ["killer:1", "last"]);
        assert!(!event_loop.turn());
        assert_eq!(trace.take(), ["killer:2"]);
    }
}

#[test]
fn a_child_first_runs_when_its_spawner_gives_its_turn_away() {
    // 0.2
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let child = trace.clone();
        let child = spawn(async move { child.note("child") });
        trace.note("spawner goes on");
        yield_now().await;
        trace.note("spawner is back");
        child.await.unwrap();
    });
    assert_eq!(trace.take(), ["spawner goes on", "child", "spawner is back"]);
}

#[test]
fn a_turn_given_away_is_one_turn_for_every_other_ready_task() {
    // 0.3: by yield_now(), and by sleep(0), with more tasks than fit between two looks at the world.
    for by_sleep in [false, true] {
        let turns: Rc<[Cell<u32>]> = (0..200).map(|_| Cell::new(0)).collect();
        virtual_loop().block_on(async {
            for number in 0..turns.len() {
                let turns = turns.clone();
                let _others = spawn(async move {
                    loop {
                        turns[number].set(turns[number].get() + 1);
                        yield_now().await;
                    }
                });
            }
            for mine in 1..=5 {
                if by_sleep {
                    sleep(Duration::ZERO).await
                } else {
                    yield_now().await
                }
                assert!(turns.iter().all(|turns| turns.get() == mine), "after {mine}: {turns:?}");
            }
        });
    }
}

#[test]
fn cancelling_a_finished_task_keeps_its_result() {
    // 0.7, K57
    virtual_loop().block_on(async {
        let task = spawn(async { 5 });
        let from_afar = task.cancel_handle();
        yield_now().await;
        assert!(task.is_finished());
        assert!(!task.cancel() && !task.cancel());
        from_afar.cancel();
        yield_now().await;
        assert_eq!(task.await.unwrap(), 5);
        // Twice is fine for a task under way as well.
        let task = spawn(pending::<()>());
        yield_now().await;
        assert!(task.cancel());
        assert!(!task.cancel(), "it is over already");
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn cancel_drops_the_future_at_once_at_the_await_where_it_stands() {
    // 0.8
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let story = trace.clone();
        let task = spawn(async move {
            let _before = story.on_drop("what stood before the await is dropped");
            pending::<()>().await;
            story.note("never reached");
        });
        yield_now().await;
        trace.note("cancel");
        assert!(task.cancel());
        trace.note("cancelled");
        assert!(task.is_finished());
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(trace.take(), ["cancel", "what stood before the await is dropped", "cancelled"]);
}

#[test]
fn timers_of_one_deadline_run_in_order_of_creation() {
    // 0.9
    let trace = Trace::new();
    virtual_loop().block_on(async {
        let deadline = Instant::now() + millis(100);
        let early = [3_u64, 1, 2].map(|number| {
            let trace = trace.clone();
            spawn(async move {
                // Set at different times, for the same moment.
                sleep(millis(10 * number)).await;
                roundel::sleep_until(deadline).await;
                assert_eq!(Instant::now(), deadline);
                trace.note(number);
            })
        });
        for task in early {
            task.await.unwrap();
        }
    });
    assert_eq!(trace.take(), ["1", "2", "3"]);
}

#[test]
fn no_timer_is_early() {
    // 0.9, T11, T22: on the real clock, with deadlines between its ticks, each set after some work.
    let mut random = fastrand::Rng::with_seed(11);
    block_on(async {
        let sleepers: Vec<JoinHandle<()>> = (0..200)
            .map(|_| {
                let duration = Duration::from_nanos(random.u64(0..3_000_000));
                spawn(async move {
                    let deadline = Instant::now() + duration;
                    sleep(duration).await;
                    assert!(Instant::now() >= deadline);
                    roundel::sleep_until(deadline + duration).await;
                    assert!(Instant::now() >= deadline + duration);
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
    });
}

#[test]
fn only_wakers_and_handles_cross_threads() {
    // 0.10, K22, K42
    assert!(crosses_threads!(Waker));
    assert!(crosses_threads!(CancelHandle));
    assert!(crosses_threads!(Handle));
    assert!(crosses_threads!(RemoteHandle<u8>));
    assert!(!crosses_threads!(RemoteHandle<Rc<u8>>));
    assert!(!crosses_threads!(EventLoop));
    assert!(!crosses_threads!(JoinHandle<u8>));
    assert!(!crosses_threads!(Sleep));
    assert!(!crosses_threads!(Interval));
    assert!(!crosses_threads!(roundel::Clock));
    assert!(!crosses_threads!(roundel::TaskGroup<(), ()>));
    assert!(!crosses_threads!(roundel::net::TcpListener));
    assert!(!crosses_threads!(roundel::net::TcpStream));
    assert!(!crosses_threads!(roundel::net::OwnedReadHalf));
    assert!(!crosses_threads!(roundel::net::OwnedWriteHalf));
    assert!(!crosses_threads!(roundel::sync::Lock<u8>));
    assert!(!crosses_threads!(roundel::sync::Semaphore));
}

/// Sends word when the loop goes to sleep.
struct Bedtime(mpsc::Sender<()>);

impl Observer for Bedtime {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Parked { .. }) {
            let _ = self.0.send(());
        }
    }
}

/// Runs `story` on a loop; each time the loop falls asleep, another thread does one of the `deeds`.
fn wake_from_sleep(story: impl Future<Output = ()>, deeds: Vec<Box<dyn FnOnce() + Send>>) {
    let (sleeps, bedtime) = mpsc::channel();
    let other = thread::spawn(move || {
        for deed in deeds {
            bedtime.recv().unwrap();
            deed();
        }
    });
    let event_loop = EventLoop::builder().observer(Rc::new(Bedtime(sleeps))).build().unwrap();
    event_loop.block_on(story);
    other.join().unwrap();
}

#[test]
fn what_crosses_threads_wakes_a_sleeping_loop() {
    // 0.10, K39: nothing else would ever wake these loops.
    let (wakers, waker) = mpsc::channel::<Waker>();
    let mut polls = 0;
    let story = poll_fn(move |cx| {
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        wakers.send(cx.waker().clone()).unwrap();
        Poll::Pending
    });
    wake_from_sleep(story, vec![Box::new(move || waker.recv().unwrap().wake())]);

    let (handles, handle) = mpsc::channel::<CancelHandle>();
    let story = async move {
        let task = spawn(pending::<()>());
        handles.send(task.cancel_handle()).unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    };
    wake_from_sleep(story, vec![Box::new(move || handle.recv().unwrap().cancel())]);
}
