//! Stories of the event: who goes on when, and what a cleared flag does not take back.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 a set event is passed without yielding | `a_set_event_is_passed_without_giving_the_turn_away` |
//! | 2 repr | `debug_shows_the_flag_and_how_many_wait` |
//! | 2 wait | `a_fresh_waiter_sees_the_flag_before_the_old_ones_have_their_turn` |
//! | 2 wait_on_set | `a_set_event_is_passed_without_giving_the_turn_away` |
//! | 2 wait_cancel | `a_cancelled_waiter_leaves_no_entry` |
//! | 2 clear | `set_and_clear_toggle_the_flag` |
//! | 2 clear_with_waiters | `a_waiter_wakes_once_and_returns_though_the_flag_was_cleared_meanwhile` |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::rc::Rc;

use roundel::sync::Event;
use roundel::{Clock, EventLoop, JoinHandle, Waits, spawn, yield_now};

type Trace = Rc<RefCell<Vec<u32>>>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn waiter(event: &Rc<Event>, trace: &Trace, number: u32) -> JoinHandle<()> {
    let (event, trace) = (event.clone(), trace.clone());
    spawn(async move {
        event.wait().await;
        trace.borrow_mut().push(number);
    })
}

#[test]
fn a_set_event_is_passed_without_giving_the_turn_away() {
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        event.set();
        let other = waiter(&event, &trace, 1);
        event.wait().await;
        trace.borrow_mut().push(0);
        other.await.unwrap();
        assert_eq!(trace.take(), [0, 1]);
    });
}

#[test]
fn a_fresh_waiter_sees_the_flag_before_the_old_ones_have_their_turn() {
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        let first = waiter(&event, &trace, 1);
        let second = waiter(&event, &trace, 2);
        yield_now().await;
        assert_eq!(event.waiting(), 2);
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Event));

        let third = waiter(&event, &trace, 3);
        event.set();
        for task in [first, second, third] {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), [3, 1, 2]);
    });
}

#[test]
fn a_cancelled_waiter_leaves_no_entry() {
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        let (gone, stays) = (waiter(&event, &trace, 1), waiter(&event, &trace, 2));
        yield_now().await;
        gone.cancel();
        assert_eq!(event.waiting(), 1);
        event.set();
        stays.await.unwrap();
        assert_eq!(trace.take(), [2]);
    });
}

#[test]
fn set_and_clear_toggle_the_flag() {
    let event = Event::new();
    assert!(!event.is_set());
    event.set();
    event.set();
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
}

#[test]
fn a_waiter_wakes_once_and_returns_though_the_flag_was_cleared_meanwhile() {
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        let task = waiter(&event, &trace, 1);
        yield_now().await;
        event.set();
        event.clear();
        event.set();
        event.set();
        event.clear();
        task.await.unwrap();
        assert_eq!(trace.take(), [1]);
        assert_eq!(event.waiting(), 0);

        // And a new one waits, for the flag is down. S8
        let late = waiter(&event, &trace, 2);
        yield_now().await;
        assert!(!late.is_finished());
        event.set();
        late.await.unwrap();
    });
}

// S8
#[test]
fn set_wakes_those_who_wait_and_nobody_who_comes_later() {
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        let first = waiter(&event, &trace, 1);
        yield_now().await;
        event.set();
        event.clear();
        let late = waiter(&event, &trace, 2);
        // A woken waiter that is dropped passes nothing on: the wake was meant for it alone.
        first.cancel();
        yield_now().await;
        assert!(!late.is_finished());
        assert!(trace.borrow().is_empty());
        late.cancel();
    });
}

// S9
#[test]
fn a_set_flag_outlasts_the_waiters_it_was_set_for() {
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        let gone = waiter(&event, &trace, 1);
        yield_now().await;
        event.set();
        gone.cancel();
        assert!(event.is_set());
        waiter(&event, &trace, 2).await.unwrap();
        assert_eq!(trace.take(), [2]);
    });
}

#[test]
fn debug_shows_the_flag_and_how_many_wait() {
    let event = Event::new();
    assert_eq!(format!("{event:?}"), "Event { set: false, waiting: 0 }");
    event.set();
    assert_eq!(format!("{event:?}"), "Event { set: true, waiting: 0 }");
    virtual_loop().block_on(async {
        let (event, trace) = (Rc::new(Event::new()), Trace::default());
        let task = waiter(&event, &trace, 1);
        yield_now().await;
        assert_eq!(format!("{event:?}"), "Event { set: false, waiting: 1 }");
        task.cancel();
    });
}
