//! Stories of the barrier: meeting, meeting again, and leaving before the others came.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.6 a dropped waiter loses nothing | `a_cancelled_waiter_counts_no_longer` |
//! | 5 barrier, repr | n/a: Python only; `debug_shows_how_many_are_there` |
//! | 5 barrier_parties | `a_barrier_for_nobody_is_refused` |
//! | 5 context_manager | `three_meet_with_three_indexes_and_one_leader` |
//! | 5 filling_one_task, filling_one_task_twice | `alone_nobody_ever_waits` |
//! | 5 filling_task_by_task | `the_count_goes_up_and_back_to_zero` |
//! | 5 filling_tasks_wait_twice | `each_passes_twice_in_a_row` |
//! | 5 filling_tasks_check_return_value | `each_passes_twice_in_a_row` |
//! | 5 draining_state | `three_meet_with_three_indexes_and_one_leader` (the leader is the one that did not wait) |
//! | 5 blocking_tasks_while_draining | `who_comes_back_fast_waits_for_the_next_meeting` |
//! | 5 filling_tasks_cancel_one | `a_cancelled_waiter_counts_no_longer` |
//! | 5 reset_barrier.., abort_barrier.. | n/a: optional, left out; dropping the waits does it |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::panic::catch_unwind;
use std::rc::Rc;

use roundel::sync::{Barrier, BarrierTurn};
use roundel::{Clock, EventLoop, JoinHandle, Waits, spawn, yield_now};

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn party(barrier: &Rc<Barrier>) -> JoinHandle<BarrierTurn> {
    let barrier = barrier.clone();
    spawn(async move { barrier.wait().await })
}

async fn indexes(tasks: impl IntoIterator<Item = JoinHandle<BarrierTurn>>) -> Vec<usize> {
    let mut indexes = Vec::new();
    for task in tasks {
        indexes.push(task.await.unwrap().index());
    }
    indexes.sort_unstable();
    indexes
}

#[test]
fn a_barrier_for_nobody_is_refused() {
    assert!(catch_unwind(|| Barrier::new(0)).is_err());
}

#[test]
fn alone_nobody_ever_waits() {
    virtual_loop().block_on(async {
        let barrier = Barrier::new(1);
        for _ in 0..3 {
            let turn = barrier.wait().await;
            assert!(turn.is_leader());
            assert_eq!(turn.index(), 0);
        }
        assert_eq!((barrier.parties(), barrier.waiting()), (1, 0));
    });
}

#[test]
fn three_meet_with_three_indexes_and_one_leader() {
    virtual_loop().block_on(async {
        let barrier = Rc::new(Barrier::new(3));
        let tasks = [(); 3].map(|()| party(&barrier));
        let mut turns = Vec::new();
        for task in tasks {
            turns.push(task.await.unwrap());
        }
        assert_eq!(turns.iter().map(|turn| turn.index()).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(turns.iter().map(|turn| turn.is_leader()).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn the_count_goes_up_and_back_to_zero() {
    virtual_loop().block_on(async {
        let barrier = Rc::new(Barrier::new(3));
        let mut tasks = Vec::new();
        for expected in [1, 2, 0] {
            tasks.push(party(&barrier));
            yield_now().await;
            assert_eq!(barrier.waiting(), expected);
        }
        assert_eq!(indexes(tasks).await, [0, 1, 2]);
    });
}

#[test]
fn each_passes_twice_in_a_row() {
    virtual_loop().block_on(async {
        let (barrier, passed) = (Rc::new(Barrier::new(4)), Rc::new(RefCell::new([Vec::new(), Vec::new()])));
        let tasks = [(); 4].map(|()| {
            let (barrier, passed) = (barrier.clone(), passed.clone());
            spawn(async move {
                for round in 0..2 {
                    let turn = barrier.wait().await;
                    passed.borrow_mut()[round].push(turn.index());
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        for mut round in passed.take() {
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2, 3]);
        }
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn who_comes_back_fast_waits_for_the_next_meeting() {
    virtual_loop().block_on(async {
        let barrier = Rc::new(Barrier::new(2));
        let slow = party(&barrier);
        yield_now().await;
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Barrier));
        // This is the last to arrive: it goes on at once, and comes back before the other has run.
        assert!(barrier.wait().await.is_leader());
        let mut again = Box::pin(barrier.wait());
        assert!(futures::poll!(&mut again).is_pending());
        assert!(!slow.is_finished());
        assert_eq!(barrier.waiting(), 1);
        slow.await.unwrap();
        assert!(futures::poll!(&mut again).is_pending());

        let next = party(&barrier);
        assert_eq!(again.await.index(), 0);
        assert!(next.await.unwrap().is_leader());
    });
}

// S1, S6
#[test]
fn a_cancelled_waiter_counts_no_longer() {
    virtual_loop().block_on(async {
        let barrier = Rc::new(Barrier::new(3));
        let gone = party(&barrier);
        let first = party(&barrier);
        yield_now().await;
        assert_eq!(barrier.waiting(), 2);
        gone.cancel();
        assert_eq!(barrier.waiting(), 1);
        let second = party(&barrier);
        yield_now().await;
        assert_eq!(barrier.waiting(), 2);
        let third = party(&barrier);
        assert_eq!(indexes([first, second, third]).await, [0, 1, 2]);
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn a_party_cancelled_after_all_were_there_changes_nothing_for_the_others() {
    virtual_loop().block_on(async {
        let barrier = Rc::new(Barrier::new(3));
        let (gone, stays) = (party(&barrier), party(&barrier));
        yield_now().await;
        assert!(barrier.wait().await.is_leader());
        gone.cancel();
        assert_eq!(stays.await.unwrap().index(), 1);
        assert_eq!(barrier.waiting(), 0);

        let tasks = [(); 3].map(|()| party(&barrier));
        assert_eq!(indexes(tasks).await, [0, 1, 2]);
    });
}

#[test]
fn debug_shows_how_many_are_there() {
    virtual_loop().block_on(async {
        let barrier = Rc::new(Barrier::new(2));
        let task = party(&barrier);
        yield_now().await;
        assert_eq!(format!("{barrier:?}"), "Barrier { parties: 2, waiting: 1 }");
        task.cancel();
    });
}
