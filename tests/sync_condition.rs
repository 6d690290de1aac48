//! Stories of the condition: letting the lock go, being notified, and taking the lock again in line.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.6 a dropped waiter loses nothing | `a_notification_whose_receiver_is_dropped_goes_to_the_next` |
//! | 3 wait | `the_notified_go_on_in_order_each_as_it_gets_the_lock` |
//! | 3 wait_cancel | `a_waiter_dropped_before_the_news_leaves_lock_and_line_free` |
//! | 3 wait_cancel_contested | `a_waiter_dropped_in_the_line_of_the_lock_loses_neither_lock_nor_news` |
//! | 3 wait_cancel_after_notify | `a_waiter_dropped_in_the_line_of_the_lock_loses_neither_lock_nor_news` |
//! | 3 wait_unacquired | n/a: `wait` takes the guard |
//! | 3 wait_for | `wait_for_sleeps_again_until_the_predicate_is_true` |
//! | 3 wait_for_unacquired | `wait_for_a_predicate_that_is_true_keeps_the_lock`; without a guard n/a: types |
//! | 3 notify | `notify_wakes_as_many_as_it_says_and_more_than_present_is_fine` |
//! | 3 notify_all | `notify_all_wakes_all_who_wait_in_order` |
//! | 3 notify_unacquired, notify_all_unacquired | `notify_needs_no_guard` |
//! | 3 repr | `debug_shows_how_many_wait` |
//! | 3 context_manager | n/a: the guard's scope, in sync_lock.rs |
//! | 3 explicit_lock | `two_conditions_share_one_lock` |
//! | 3 ambiguous_loops | `a_waiter_in_another_loop_of_this_thread_is_served_too` |
//! | 3 timeout_in_block | `a_time_limit_around_a_wait_ends_without_a_fault` |
//! | 3 (3.13) cancel while notified | `a_notification_whose_receiver_is_dropped_goes_to_the_next` |
//! | 3 (3.13) error while waking | `a_receiver_that_panics_before_it_has_the_lock_passes_the_news_on` |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::{Condition, Lock};
use roundel::{Clock, EventLoop, JoinHandle, Waits, spawn, timeout, yield_now};

type Trace = Rc<RefCell<Vec<u32>>>;
type Shared = Rc<(Lock<u32>, Condition)>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn shared() -> (Shared, Trace) {
    (Rc::new((Lock::new(0), Condition::new())), Trace::default())
}

/// Waits once, notes its number, and lets the lock go.
fn waiter(shared: &Shared, trace: &Trace, number: u32) -> JoinHandle<()> {
    let (shared, trace) = (shared.clone(), trace.clone());
    spawn(async move {
        let (lock, condition) = &*shared;
        let guard = condition.wait(lock.acquire().await).await;
        trace.borrow_mut().push(number);
        drop(guard);
    })
}

async fn turns(many: usize) {
    for _ in 0..many {
        yield_now().await;
    }
}

#[test]
fn the_notified_go_on_in_order_each_as_it_gets_the_lock() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let (lock, condition) = &*shared;
        let tasks = [1, 2, 3].map(|number| waiter(&shared, &trace, number));
        turns(5).await;
        assert_eq!(condition.waiting(), 3);
        assert!(!lock.is_locked());
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Condition));

        let guard = lock.acquire().await;
        condition.notify(1);
        turns(3).await;
        assert!(trace.borrow().is_empty());
        drop(guard);
        turns(3).await;
        assert_eq!(trace.take(), [1]);

        let guard = lock.acquire().await;
        condition.notify(2);
        turns(3).await;
        assert!(trace.borrow().is_empty());
        assert_eq!(lock.waiting(), 2);
        drop(guard);
        turns(1).await;
        assert_eq!(*trace.borrow(), [2]);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), [2, 3]);
    });
}

// S4: there is no guard after a dropped wait, and none is missed.
#[test]
fn a_waiter_dropped_before_the_news_leaves_lock_and_line_free() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let task = waiter(&shared, &trace, 1);
        turns(2).await;
        assert_eq!(shared.1.waiting(), 1);
        task.cancel();
        assert_eq!(shared.1.waiting(), 0);
        assert!(shared.0.try_acquire().is_some());

        // Dropped before its first poll, the wait drops the guard it was given.
        let never_polled = shared.1.wait(shared.0.acquire().await);
        assert!(shared.0.is_locked());
        drop(never_polled);
        assert!(!shared.0.is_locked());
    });
}

// S1, S3
#[test]
fn a_notification_whose_receiver_is_dropped_goes_to_the_next() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let (lock, condition) = &*shared;
        let tasks = [1, 2, 3].map(|number| waiter(&shared, &trace, number));
        turns(4).await;
        condition.notify(1);
        tasks[0].cancel();
        turns(4).await;
        assert_eq!(trace.take(), [2]);
        assert_eq!(condition.waiting(), 1);

        // With nobody behind it is forgotten, as any notification that nobody waits for.
        condition.notify(1);
        tasks[2].cancel();
        let late = waiter(&shared, &trace, 4);
        turns(3).await;
        assert!(!late.is_finished() && !lock.is_locked());
        late.cancel();
    });
}

// S3, S4
#[test]
fn a_waiter_dropped_in_the_line_of_the_lock_loses_neither_lock_nor_news() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let (lock, condition) = &*shared;
        let tasks = [1, 2].map(|number| waiter(&shared, &trace, number));
        turns(3).await;
        let guard = lock.acquire().await;
        condition.notify(1);
        turns(2).await;
        assert_eq!((condition.waiting(), lock.waiting()), (1, 1));
        // Notified, and now waiting for the lock.
        tasks[0].cancel();
        assert_eq!((condition.waiting(), lock.waiting()), (0, 0));
        drop(guard);
        turns(3).await;
        assert_eq!(trace.take(), [2]);
        assert!(!lock.is_locked());

        // The same, dropped when it has even been handed the lock.
        let tasks = [3, 4].map(|number| waiter(&shared, &trace, number));
        turns(3).await;
        let guard = lock.acquire().await;
        condition.notify(1);
        turns(2).await;
        drop(guard);
        tasks[0].cancel();
        turns(3).await;
        assert_eq!(trace.take(), [4]);
        assert!(!lock.is_locked());
    });
}

// S8
#[test]
fn one_of_many_notified_at_once_that_is_dropped_wakes_nobody_else() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let (lock, condition) = &*shared;
        let first = waiter(&shared, &trace, 1);
        turns(2).await;
        let guard = lock.acquire().await;
        condition.notify_all();
        turns(2).await;
        drop(guard);
        first.cancel();
        let late = waiter(&shared, &trace, 2);
        turns(3).await;
        assert!(!late.is_finished());
        late.cancel();
    });
}

#[test]
fn a_receiver_that_panics_before_it_has_the_lock_passes_the_news_on() {
    use std::future::Future;
    use std::task::Poll;
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let (lock, condition) = &*shared;
        let panicking = spawn({
            let shared = shared.clone();
            async move {
                let mut wait = Box::pin(shared.1.wait(shared.0.acquire().await));
                let mut polls = 0;
                std::future::poll_fn(|cx| {
                    polls += 1;
                    let polled = wait.as_mut().poll(cx).is_ready();
                    // In the line of the lock.
                    assert!(polls < 2, "something fails around the wait");
                    if polled { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        });
        let next = waiter(&shared, &trace, 2);
        turns(3).await;
        let guard = lock.acquire().await;
        condition.notify(1);
        turns(2).await;
        assert!(panicking.await.unwrap_err().is_panic());
        drop(guard);
        next.await.unwrap();
        assert_eq!(trace.take(), [2]);
    });
}

#[test]
fn wait_for_sleeps_again_until_the_predicate_is_true() {
    virtual_loop().block_on(async {
        let (shared, _) = shared();
        let (lock, condition) = &*shared;
        let asked = Rc::new(RefCell::new(Vec::new()));
        let task = spawn({
            let (shared, asked) = (shared.clone(), asked.clone());
            async move {
                let (lock, condition) = &*shared;
                let guard = lock.acquire().await;
                let predicate = |value: &mut u32| {
                    asked.borrow_mut().push(*value);
                    *value >= 2
                };
                *condition.wait_for(guard, predicate).await
            }
        });
        turns(1).await;
        for _ in 0..2 {
            assert!(!task.is_finished());
            *lock.acquire().await += 1;
            condition.notify(1);
            turns(3).await;
        }
        assert_eq!(task.await.unwrap(), 2);
        assert_eq!(asked.take(), [0, 1, 2]);
    });
}

// S18
#[test]
fn a_predicate_that_panics_leaves_the_lock_free() {
    virtual_loop().block_on(async {
        let (shared, _) = shared();
        let task = spawn({
            let shared = shared.clone();
            async move {
                let guard = shared.0.acquire().await;
                drop(shared.1.wait_for(guard, |_| panic!("the predicate fails")).await);
            }
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(shared.0.try_acquire().is_some());
        assert_eq!(shared.1.waiting(), 0);
    });
}

// S18: it is asked with the lock held, and with nothing borrowed.
#[test]
fn a_predicate_may_use_the_condition_and_look_at_the_lock() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let other = waiter(&shared, &trace, 1);
        turns(2).await;
        let (lock, condition) = &*shared;
        let predicate = |_: &mut u32| {
            condition.notify_all();
            lock.try_acquire().is_none() && condition.waiting() == 0 && !format!("{lock:?}").is_empty()
        };
        drop(condition.wait_for(lock.acquire().await, predicate).await);
        other.await.unwrap();
    });
}

#[test]
fn wait_for_a_predicate_that_is_true_keeps_the_lock() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let (lock, condition) = &*shared;
        let guard = lock.acquire().await;
        let other = spawn({
            let (shared, trace) = (shared.clone(), trace.clone());
            async move {
                drop(shared.0.acquire().await);
                trace.borrow_mut().push(2);
            }
        });
        yield_now().await;
        let guard = condition.wait_for(guard, |value| *value == 0).await;
        trace.borrow_mut().push(1);
        drop(guard);
        other.await.unwrap();
        assert_eq!(trace.take(), [1, 2]);
    });
}

#[test]
fn notify_wakes_as_many_as_it_says_and_more_than_present_is_fine() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let tasks = [1, 2, 3].map(|number| waiter(&shared, &trace, number));
        turns(4).await;
        shared.1.notify(1);
        turns(3).await;
        assert_eq!(*trace.borrow(), [1]);
        shared.1.notify(1);
        shared.1.notify(2048);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), [1, 2, 3]);
        shared.1.notify(usize::MAX);
        shared.1.notify(0);
    });
}

#[test]
fn notify_all_wakes_all_who_wait_in_order() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let tasks = [1, 2, 3].map(|number| waiter(&shared, &trace, number));
        turns(4).await;
        shared.1.notify_all();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), [1, 2, 3]);
    });
}

#[test]
fn notify_needs_no_guard() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        let task = waiter(&shared, &trace, 1);
        turns(2).await;
        let somebody_else_has_it = shared.0.acquire().await;
        shared.1.notify_all();
        drop(somebody_else_has_it);
        task.await.unwrap();
        assert_eq!(trace.take(), [1]);
    });
}

#[test]
fn two_conditions_share_one_lock() {
    virtual_loop().block_on(async {
        let lock = Rc::new(Lock::new(0));
        let (full, empty) = (Rc::new(Condition::new()), Rc::new(Condition::new()));
        let filler = spawn({
            let (lock, full, empty) = (lock.clone(), full.clone(), empty.clone());
            async move {
                for _ in 0..3 {
                    let mut value = empty.wait_for(lock.acquire().await, |value| *value == 0).await;
                    *value += 1;
                    full.notify(1);
                }
            }
        });
        for _ in 0..3 {
            let mut value = full.wait_for(lock.acquire().await, |value| *value == 1).await;
            *value -= 1;
            empty.notify(1);
        }
        filler.await.unwrap();
        assert_eq!(*lock.acquire().await, 0);
    });
}

#[test]
fn a_waiter_in_another_loop_of_this_thread_is_served_too() {
    let (shared, trace) = shared();
    let (one, two) = (virtual_loop(), virtual_loop());
    let mut task = None;
    one.block_on(async {
        task = Some(waiter(&shared, &trace, 1));
        turns(2).await;
    });
    two.block_on(async { shared.1.notify(1) });
    one.block_on(task.unwrap()).unwrap();
    assert_eq!(trace.take(), [1]);
}

#[test]
fn a_time_limit_around_a_wait_ends_without_a_fault() {
    virtual_loop().block_on(async {
        let (shared, _) = shared();
        let (lock, condition) = &*shared;
        let guard = lock.acquire().await;
        assert!(timeout(Duration::from_millis(10), condition.wait(guard)).await.is_err());
        assert!(!lock.is_locked());
        assert_eq!(condition.waiting(), 0);
    });
}

#[test]
fn debug_shows_how_many_wait() {
    virtual_loop().block_on(async {
        let (shared, trace) = shared();
        assert_eq!(format!("{:?}", shared.1), "Condition { waiting: 0 }");
        let task = waiter(&shared, &trace, 1);
        turns(2).await;
        assert_eq!(format!("{:?}", shared.1), "Condition { waiting: 1 }");
        task.cancel();
    });
}
