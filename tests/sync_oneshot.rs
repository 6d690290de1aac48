//! Stories of the oneshot channel: one value, and the two ends going in every order.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 what is there is taken without yielding | `a_value_that_is_there_is_taken_at_the_first_poll` |
//! | 0.6 a dropped waiter loses nothing | `a_wait_given_up_half_way_loses_nothing` |
//! | 1 to 6 | n/a: asyncio's Future is tested with its tasks |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::Cell;
use std::future::Future;
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use roundel::sync::oneshot::{self, TryRecvError};
use roundel::{Clock, EventLoop, Waits, spawn, timeout, yield_now};
use support::counting_waker;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

/// Counts how often it is dropped.
#[derive(Debug)]
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_value_goes_from_one_task_to_another() {
    virtual_loop().block_on(async {
        let (sender, receiver) = oneshot::channel();
        let task = spawn(receiver);
        yield_now().await;
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Oneshot));
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(task.await.unwrap(), Ok(1));
    });
}

#[test]
fn a_value_that_is_there_is_taken_at_the_first_poll() {
    use futures::future::FutureExt;
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    assert_eq!((&mut receiver).now_or_never(), Some(Ok(1)));
    // Once it has given its value, it answers that none will come.
    assert!((&mut receiver).now_or_never().unwrap().is_err());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Dropped));
}

#[test]
fn a_wait_given_up_half_way_loses_nothing() {
    virtual_loop().block_on(async {
        let (sender, mut receiver) = oneshot::channel();
        assert!(timeout(Duration::from_millis(1), &mut receiver).await.is_err());
        sender.send("late").unwrap();
        assert_eq!(receiver.await, Ok("late"));
    });
}

// S16
#[test]
fn a_sender_that_goes_without_sending_ends_the_wait() {
    virtual_loop().block_on(async {
        let (sender, receiver) = oneshot::channel::<u8>();
        let task = spawn(receiver);
        yield_now().await;
        drop(sender);
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the sender was dropped without sending a value");
    });
}

// S16
#[test]
fn try_recv_says_empty_then_the_value_then_dropped() {
    let (sender, mut receiver) = oneshot::channel();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Dropped));
}

#[test]
fn a_sender_learns_that_nobody_listens_any_more() {
    virtual_loop().block_on(async {
        let (mut sender, receiver) = oneshot::channel::<u8>();
        let waiting = spawn(async move {
            sender.closed().await;
            assert!(sender.is_closed());
            sender.send(5)
        });
        yield_now().await;
        assert!(!waiting.is_finished());
        drop(receiver);
        assert_eq!(waiting.await.unwrap(), Err(5));
    });
}

#[test]
fn a_closed_receiver_still_gives_what_was_sent_before() {
    virtual_loop().block_on(async {
        let (sender, mut receiver) = oneshot::channel();
        sender.send(1).unwrap();
        receiver.close();
        assert_eq!(receiver.await, Ok(1));

        let (mut sender, mut receiver) = oneshot::channel();
        receiver.close();
        sender.closed().await;
        assert_eq!(sender.send(2), Err(2));
        assert!(receiver.await.is_err());

        // Closed with the sender still there: nothing will come, and nobody waits for it.
        let (_sender, mut receiver) = oneshot::channel::<u8>();
        receiver.close();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Dropped));
        assert!(receiver.await.is_err());
    });
}

// S16, S26: all orders of six steps, polled or not, against what each must answer.
#[test]
fn the_value_is_dropped_once_in_whatever_order_the_ends_go() {
    for order in 0..6_u32.pow(6) {
        let steps: Vec<u32> = (0..6).map(|place| order / 6_u32.pow(place) % 6).collect();
        let drops = Rc::new(Cell::new(0));
        let (wakes, waker) = counting_waker();
        let (sender, receiver) = oneshot::channel();
        let (mut sender, mut receiver) = (Some(sender), Some(receiver));
        let (mut sent, mut lies_there, mut closed, mut sleeps) = (0, false, false, false);
        for step in &steps {
            let (woken, listened) = (wakes.count(), receiver.is_some());
            let nothing_comes = sender.is_none() || closed;
            match (step, &mut receiver) {
                (0, Some(receiver)) => {
                    let polled = pin!(receiver).poll(&mut Context::from_waker(&waker)).map(|got| got.map(drop).ok());
                    sleeps = !lies_there && !nothing_comes;
                    assert_eq!(polled.is_pending(), sleeps, "{steps:?}");
                    assert_eq!(polled == Poll::Ready(Some(())), mem::take(&mut lies_there), "{steps:?}");
                }
                (1, Some(receiver)) => {
                    let got = receiver.try_recv().map(drop);
                    let none = if nothing_comes { TryRecvError::Dropped } else { TryRecvError::Empty };
                    assert_eq!(got, if mem::take(&mut lies_there) { Ok(()) } else { Err(none) }, "{steps:?}");
                }
                (2, Some(receiver)) => {
                    receiver.close();
                    closed = true;
                }
                (3, _) => {
                    drop(receiver.take());
                    lies_there = false;
                    assert_eq!(drops.get(), sent, "{steps:?}: the value goes with its receiver");
                    assert_eq!(Arc::strong_count(&wakes), 2, "{steps:?}: and so does its waker");
                }
                (4, _) if sender.is_some() => {
                    sent = 1;
                    let taken = sender.take().unwrap().send(Counted(drops.clone())).is_ok();
                    lies_there = listened && !closed;
                    assert_eq!(taken, lies_there, "{steps:?}");
                }
                (5, _) => drop(sender.take()),
                _ => continue,
            }
            // Whoever sleeps is woken by the sender's going, once; whoever closed its end may be.
            let wakes_it = matches!(step, 4 | 5) && mem::take(&mut sleeps) && receiver.is_some() && !closed;
            let woken = wakes.count() - woken;
            assert!(woken == usize::from(wakes_it) || closed && woken <= 1, "{steps:?}: woken {woken} times");
        }
        drop((sender, receiver));
        assert_eq!(drops.get(), sent, "{steps:?}");
    }
}

#[test]
fn a_value_nobody_took_goes_with_the_receiver() {
    let drops = Rc::new(Cell::new(0));
    let (sender, receiver) = oneshot::channel();
    sender.send(Counted(drops.clone())).unwrap();
    assert_eq!(drops.get(), 0);
    drop(receiver);
    assert_eq!(drops.get(), 1);
}
