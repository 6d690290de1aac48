//! Stories of the oneshot channel: one value, and the two ends going in every order.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 what is there is taken without yielding | `a_value_that_is_there_is_taken_at_the_first_poll` |
//! | 0.6 a dropped waiter loses nothing | `a_wait_given_up_half_way_loses_nothing` |
//! | 1 to 6 | n/a: asyncio's Future is tested with its tasks |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::oneshot::{self, TryRecvError};
use roundel::{Clock, EventLoop, Waits, spawn, timeout, yield_now};

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

// S16, S26
#[test]
fn the_value_is_dropped_once_in_whatever_order_the_ends_go() {
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Poll,
        Send,
        Close,
        Receive,
        DropReceiver,
        DropSender,
    }
    use Step::*;
    let orders: [&[Step]; 12] = [
        &[Send, Receive, DropReceiver],
        &[Poll, Send, Receive, DropReceiver],
        &[Send, DropReceiver],
        &[Poll, Send, DropReceiver],
        &[DropReceiver, Send],
        &[Poll, DropReceiver, Send],
        &[Close, Send, DropReceiver],
        &[Poll, Close, Send, Receive, DropReceiver],
        &[Send, Close, DropReceiver],
        &[Send, Close, Receive],
        &[Poll, DropSender, Receive, DropReceiver],
        &[DropReceiver, DropSender],
    ];
    for (number, order) in orders.into_iter().enumerate() {
        use futures::future::FutureExt;
        let drops = Rc::new(Cell::new(0));
        let (sender, receiver) = oneshot::channel();
        let (mut sender, mut receiver) = (Some(sender), Some(receiver));
        for step in order {
            match step {
                Poll => assert!(receiver.as_mut().unwrap().now_or_never().is_none()),
                Send => drop(sender.take().unwrap().send(Counted(drops.clone()))),
                Close => receiver.as_mut().unwrap().close(),
                Receive => drop(receiver.as_mut().unwrap().try_recv()),
                DropReceiver => drop(receiver.take()),
                DropSender => drop(sender.take()),
            }
        }
        drop((sender, receiver));
        assert_eq!(drops.get(), u32::from(order.contains(&Send)), "order {number}");
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
