//! Wakers: from home and from abroad, late, repeated, of tasks and loops that are gone.
//!
//! | row of the bug catalogue | test |
//! |---|---|
//! | K13, K2 waker used after the loop's end | a_waker_outlives_its_loop_and_then_does_nothing |
//! | K14, K15 wake while the loop is dropped | wakes_may_come_at_any_moment_of_a_loops_end; another_thread_may_reach_for_a_loop_in_the_midst_of_its_end |
//! | K16, K24, K41 thread-locals | a_thread_locals_destructor_may_wake; a_loop_in_a_thread_local_ends_as_any_other |
//! | B10 thread-locals of the pool | a_thread_of_the_pool_may_wake_with_its_last_breath |
//! | K17, K31 writes seen by the poll | what_was_written_before_a_wake_is_seen_by_the_poll |
//! | K18 will_wake | all_wakers_of_a_task_are_alike_and_of_two_they_differ |
//! | K28, K40 wake during the poll | a_wake_during_the_poll_queues_once_more_and_only_once |
//! | K34, K50 a waker keeps nothing alive | a_waker_keeps_no_future_alive |
//! | K38 park token | a_blocking_park_in_a_task_steals_no_wake |
//! | K47 slot reuse | the_wakers_of_a_slots_former_tenants_do_not_wake_the_present_one |
//! | K48 wake after completion | a_wake_after_the_end_polls_nothing |
//! | K49 stack tasks | a_waker_of_the_root_outlives_it |
//! | K53 thousands of wakes | a_million_wakes_from_many_threads_are_few_polls |
//! | K21 waking from outside a poll | a_wake_between_two_runs_is_kept |
//! | R28 the unpark outlives every waker | a_wake_reaches_the_right_loop_of_many |
//!
//! All rows, with those tested elsewhere and those that cannot be, stand in CATALOGUE.md.
#![allow(clippy::waker_clone_wake, reason = "both ways to wake are told of")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use roundel::{EventLoop, JoinHandle, block_on, sleep, spawn, to_thread, yield_now};
use support::{OnDrop, Trace, millis, virtual_loop};

/// A task that counts its polls, gives out its waker at each, and is done when told.
#[derive(Clone, Default)]
struct Sleeper(Rc<SleeperState>);

#[derive(Default)]
struct SleeperState {
    polls: Cell<u32>,
    waker: RefCell<Option<Waker>>,
    done: Cell<bool>,
}

impl Sleeper {
    fn spawn_on(event_loop: &EventLoop) -> (Sleeper, JoinHandle<()>) {
        let sleeper = Sleeper::default();
        let story = sleeper.clone();
        let handle = event_loop.spawn(poll_fn(move |cx| {
            story.0.polls.set(story.0.polls.get() + 1);
            *story.0.waker.borrow_mut() = Some(cx.waker().clone());
            if story.0.done.get() { Poll::Ready(()) } else { Poll::Pending }
        }));
        event_loop.turn();
        (sleeper, handle)
    }

    fn waker(&self) -> Waker {
        self.0.waker.borrow().clone().unwrap()
    }

    fn polls(&self) -> u32 {
        self.0.polls.get()
    }
}

#[test]
fn a_wake_between_two_runs_is_kept() {
    // K21
    let event_loop = virtual_loop();
    let (sleeper, _handle) = Sleeper::spawn_on(&event_loop);
    sleeper.waker().wake();
    assert_eq!(sleeper.polls(), 1, "a wake runs nothing");
    event_loop.block_on(async { yield_now().await });
    assert_eq!(sleeper.polls(), 2);
}

#[test]
fn a_wake_during_the_poll_queues_once_more_and_only_once() {
    // K28, K40: three wakes in one poll are one turn.
    let event_loop = virtual_loop();
    let turns = Rc::new(Cell::new(0));
    let counter = turns.clone();
    let _restless = event_loop.spawn(poll_fn(move |cx| {
        counter.set(counter.get() + 1);
        cx.waker().wake_by_ref();
        cx.waker().clone().wake();
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    for turn in 1..=5 {
        assert!(event_loop.turn());
        assert_eq!(turns.get(), turn);
    }
}

#[test]
fn a_wake_after_the_end_polls_nothing() {
    // K48
    let event_loop = virtual_loop();
    let (sleeper, handle) = Sleeper::spawn_on(&event_loop);
    let waker = sleeper.waker();
    sleeper.0.done.set(true);
    waker.wake_by_ref();
    event_loop.turn();
    assert!(handle.is_finished());
    waker.wake_by_ref();
    thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap());
    event_loop.turn();
    assert_eq!(sleeper.polls(), 2);
}

#[test]
fn the_wakers_of_a_slots_former_tenants_do_not_wake_the_present_one() {
    // K47: one slot, a thousand tenants, and every waker they ever had.
    let event_loop = virtual_loop();
    let mut old = Vec::new();
    for _ in 0..1000 {
        let (sleeper, handle) = Sleeper::spawn_on(&event_loop);
        old.push(sleeper.waker());
        handle.cancel();
    }
    let (tenant, _handle) = Sleeper::spawn_on(&event_loop);
    old.iter().for_each(Waker::wake_by_ref);
    event_loop.turn();
    let old = thread::spawn(move || {
        old.iter().for_each(Waker::wake_by_ref);
        old
    });
    let old = old.join().unwrap();
    event_loop.turn();
    assert_eq!(tenant.polls(), 1);
    assert!(old.iter().all(|waker| !waker.will_wake(&tenant.waker())));
    tenant.waker().wake();
    event_loop.turn();
    assert_eq!(tenant.polls(), 2, "its own waker does");
}

#[test]
fn all_wakers_of_a_task_are_alike_and_of_two_they_differ() {
    // K18
    let event_loop = virtual_loop();
    let (one, _handle) = Sleeper::spawn_on(&event_loop);
    let (two, _other) = Sleeper::spawn_on(&event_loop);
    let first = one.waker();
    first.wake_by_ref();
    event_loop.turn();
    assert!(first.will_wake(&one.waker()) && first.will_wake(&first.clone()));
    assert!(!first.will_wake(&two.waker()));
}

#[test]
fn a_waker_keeps_no_future_alive() {
    // K34, K50
    let trace = Trace::new();
    let event_loop = virtual_loop();
    let kept = Rc::new(RefCell::new(None));
    let (dropped, waker) = (trace.on_drop("dropped"), kept.clone());
    let task = event_loop.spawn(poll_fn(move |cx| {
        let _ = &dropped;
        *waker.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    event_loop.turn();
    task.cancel();
    assert_eq!(trace.take(), ["dropped"]);
    assert!(kept.borrow().is_some());
}

#[test]
fn a_waker_of_the_root_outlives_it() {
    // K49: the root lives on the stack, and that is where the waker must not reach.
    let event_loop = virtual_loop();
    let waker = event_loop.block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
    waker.wake_by_ref();
    assert!(!event_loop.turn(), "nobody is ready");
    let mut polls = 0;
    event_loop.block_on(async {
        let mut task = spawn(async {
            for _ in 0..5 {
                yield_now().await;
            }
        });
        let watched = poll_fn(|cx| {
            polls += 1;
            waker.wake_by_ref();
            Pin::new(&mut task).poll(cx)
        });
        watched.await.unwrap();
    });
    assert_eq!(polls, 2, "the next root is woken by the task's end, and by nothing else");
}

#[test]
fn a_waker_outlives_its_loop_and_then_does_nothing() {
    // K13, K2: at home and from abroad, while another loop runs as well.
    let event_loop = virtual_loop();
    let (sleeper, _handle) = Sleeper::spawn_on(&event_loop);
    let waker = sleeper.waker();
    drop(event_loop);
    waker.wake_by_ref();
    virtual_loop().block_on(async {
        waker.wake_by_ref();
        yield_now().await;
        waker.clone().wake();
    });
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(sleeper.polls(), 1);
}

#[test]
fn wakes_may_come_at_any_moment_of_a_loops_end() {
    // K14, K15: another thread wakes, clones and drops wakers as fast as it can while loops come and go.
    let stop = Arc::new(AtomicBool::new(false));
    let (wakers, to_wake) = mpsc::channel::<Waker>();
    let over = stop.clone();
    let other = thread::spawn(move || {
        let mut latest = Waker::noop().clone();
        let mut wakes = 0_u64;
        while !over.load(Ordering::Relaxed) {
            latest = to_wake.try_recv().unwrap_or(latest);
            latest.clone().wake();
            wakes += 1;
        }
        wakes
    });
    for _ in 0..500 {
        let mut polls = 0;
        let event_loop = EventLoop::new().unwrap();
        event_loop.block_on(poll_fn(|cx| {
            polls += 1;
            wakers.send(cx.waker().clone()).unwrap();
            // Twice woken by the other thread, wherever this one is.
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
    stop.store(true, Ordering::Relaxed);
    assert!(other.join().unwrap() >= 1000);
}

#[test]
fn another_thread_may_reach_for_a_loop_in_the_midst_of_its_end() {
    // K14, K15, K2: it wakes a task that is gone, the one that is going, and one whose end is yet to come.
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let wakers = Rc::new(RefCell::new(Vec::new()));
    let late = Rc::new(RefCell::new(None));
    let (first, _first) = Sleeper::spawn_on(&event_loop);
    let (own, to_wake, too_late) = (wakers.clone(), wakers.clone(), late.clone());
    let guard = OnDrop(move || {
        let (wakers, handle) = (to_wake.take(), handle.clone());
        let from_afar = thread::spawn(move || {
            wakers.iter().for_each(Waker::wake_by_ref);
            handle.spawn(async { unreachable!("the loop has ended") })
        });
        *too_late.borrow_mut() = Some(from_afar.join().unwrap());
    });
    let _going = event_loop.spawn(poll_fn(move |cx| {
        let _ = &guard;
        own.borrow_mut().push(cx.waker().clone());
        Poll::<()>::Pending
    }));
    let (last, _last) = Sleeper::spawn_on(&event_loop);
    wakers.borrow_mut().extend([first.waker(), last.waker()]);
    drop(event_loop);
    assert_eq!((first.polls(), last.polls()), (1, 1));
    assert!(late.take().unwrap().wait().unwrap_err().is_cancelled());
}

#[test]
fn what_was_written_before_a_wake_is_seen_by_the_poll() {
    // K17, K31: also when the task is woken already, and the second wake changes nothing.
    const ROUNDS: u64 = 2000;
    let written = Arc::new(AtomicU64::new(0));
    let (ask, asked) = mpsc::channel::<Waker>();
    let writer = written.clone();
    let other = thread::spawn(move || {
        for waker in asked {
            waker.wake_by_ref();
            writer.fetch_add(1, Ordering::Relaxed);
            waker.wake();
        }
    });
    block_on(async {
        for round in 1..=ROUNDS {
            let mut asked = false;
            poll_fn(|cx| {
                if !asked {
                    asked = true;
                    ask.send(cx.waker().clone()).unwrap();
                }
                // No wake comes after the second: if this poll missed the write, it would wait for ever.
                if written.load(Ordering::Relaxed) == round { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    });
    drop(ask);
    other.join().unwrap();
}

#[test]
fn a_million_wakes_from_many_threads_are_few_polls() {
    // K42, K53: the task is polled at least once after the last wake; memory.rs looks at the inbox's room.
    const THREADS: usize = 4;
    const WAKES: usize = 250_000;
    let event_loop = EventLoop::new().unwrap();
    let (sleeper, handle) = Sleeper::spawn_on(&event_loop);
    let start = Arc::new(Barrier::new(THREADS));
    let threads = (0..THREADS).map(|_| {
        let (waker, start) = (sleeper.waker(), start.clone());
        thread::spawn(move || {
            start.wait();
            (0..WAKES).for_each(|_| waker.wake_by_ref());
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    event_loop.turn();
    assert_eq!(sleeper.polls(), 2, "a million wakes of one task are one turn");
    // The same again while the loop runs: it ends, and each turn takes in whatever there is.
    let threads = (0..THREADS).map(|_| {
        let waker = sleeper.waker();
        thread::spawn(move || (0..WAKES).for_each(|_| waker.wake_by_ref()))
    });
    let threads: Vec<_> = threads.collect();
    event_loop.block_on(async {
        for thread in threads {
            while !thread.is_finished() {
                yield_now().await;
            }
        }
        sleeper.0.done.set(true);
        sleeper.waker().wake();
        handle.await.unwrap();
    });
}

#[test]
fn a_blocking_park_in_a_task_steals_no_wake() {
    // K38: the loop does not sleep by `thread::park`, so the two cannot take each other's token.
    block_on(async {
        let (wakers, to_wake) = mpsc::channel::<Waker>();
        let here = thread::current();
        let other = thread::spawn(move || {
            here.unpark();
            to_wake.recv().unwrap().wake();
        });
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            wakers.send(cx.waker().clone()).unwrap();
            thread::park();
            Poll::Pending
        })
        .await;
        other.join().unwrap();
    });
}

thread_local! {
    static AT_EXIT: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    static GUARD: OnExit = const { OnExit };
    static LOOP: EventLoop = virtual_loop();
}

/// Runs what the thread left in `AT_EXIT`, in the destructor of a thread-local.
struct OnExit;

impl Drop for OnExit {
    fn drop(&mut self) {
        if let Some(last) = AT_EXIT.try_with(|last| last.take()).ok().flatten() {
            last();
        }
    }
}

#[test]
fn a_thread_locals_destructor_may_wake() {
    // K16: once initialised before this thread's first use of a loop, once after it.
    for guard_first in [true, false] {
        let event_loop = virtual_loop();
        let (sleeper, _handle) = Sleeper::spawn_on(&event_loop);
        let waker = sleeper.waker();
        let other = thread::spawn(move || {
            if guard_first {
                AT_EXIT.with(|_| GUARD.with(|_| ()));
            }
            // Its own task's waker, and one of another thread's loop.
            let own = virtual_loop();
            let (local, handle) = Sleeper::spawn_on(&own);
            AT_EXIT.set(Some(Box::new(move || {
                local.waker().wake();
                own.turn();
                assert_eq!(local.polls(), 2);
                drop((handle, own));
                waker.wake();
            })));
            GUARD.with(|_| ());
        });
        other.join().unwrap();
        event_loop.turn();
        assert_eq!(sleeper.polls(), 2);
    }
}

#[test]
fn a_loop_in_a_thread_local_ends_as_any_other() {
    // K24, K41: its tasks' destructors find the loop around them, though the thread is ending.
    let (notes, noted) = mpsc::channel();
    let other = thread::spawn(move || {
        LOOP.with(|event_loop| {
            let (sibling, handle) = Sleeper::spawn_on(event_loop);
            let guard = OnDrop(move || {
                sibling.waker().wake();
                assert!(!handle.cancel(), "it went first");
                let refused = spawn(async {});
                assert!(!refused.cancel());
                notes.send((refused.is_finished(), roundel::Handle::current().is_alive())).unwrap();
            });
            event_loop.block_on(async {
                let _left = spawn(async move {
                    let _guard = guard;
                    sleep(millis(1000)).await;
                });
                yield_now().await;
            });
        });
    });
    other.join().unwrap();
    assert_eq!(noted.recv().unwrap(), (true, true));
}

#[test]
fn a_thread_of_the_pool_may_wake_with_its_last_breath() {
    // B10: its thread-locals are destroyed after the loop that they would wake.
    let event_loop = EventLoop::builder().threads(1).build().unwrap();
    let (sleeper, _handle) = Sleeper::spawn_on(&event_loop);
    let waker = sleeper.waker();
    let (say_over, over) = mpsc::channel();
    event_loop.block_on(async {
        let closure = to_thread(move || {
            AT_EXIT.set(Some(Box::new(move || {
                waker.wake_by_ref();
                drop(waker);
                say_over.send(()).unwrap();
            })));
            GUARD.with(|_| ());
        });
        closure.await.unwrap();
    });
    drop(event_loop);
    over.recv().expect("the thread goes home, and its last act is done");
    assert_eq!(sleeper.polls(), 1);
}

#[test]
fn a_wake_reaches_the_right_loop_of_many() {
    // R28: eight loops in eight threads, and one thread that wakes whoever asks, in whatever order they
    // come. The waker it wakes by is the last of its task, and the loop is unparked again and again.
    const LOOPS: usize = 8;
    const ROUNDS: usize = 200;
    let (ask, asked) = mpsc::channel::<Waker>();
    let ask_and_wait = |ask: mpsc::Sender<Waker>| async move {
        for _ in 0..ROUNDS {
            let mut sent = false;
            poll_fn(|cx| {
                if sent {
                    return Poll::Ready(());
                }
                sent = true;
                ask.send(cx.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
        }
    };
    let loops: Vec<_> = (0..LOOPS)
        .map(|_| {
            let ask = ask.clone();
            thread::spawn(move || block_on(ask_and_wait(ask)))
        })
        .collect();
    drop(ask);
    assert_eq!(asked.iter().map(Waker::wake).count(), LOOPS * ROUNDS);
    for thread in loops {
        thread.join().unwrap();
    }
}
