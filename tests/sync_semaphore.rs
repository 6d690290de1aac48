//! Stories of the semaphore: counting, strict order, wishes for many, closing, and cancelling.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 free is taken without yielding | `a_free_permit_is_taken_without_giving_the_turn_away` |
//! | 0.5 hand-over to the oldest, nobody overtakes | `three_tasks_take_turns_in_strict_order`, `who_gives_back_and_asks_again_goes_to_the_end_of_the_line` |
//! | 0.6 a dropped waiter loses nothing | `a_waiter_cancelled_just_after_it_was_served_gives_the_permit_back` |
//! | 4 initial_value_zero | `zero_permits_make_everyone_wait` |
//! | 4 repr | `debug_shows_what_is_free_and_who_waits` |
//! | 4 semaphore, semaphore_value | n/a: Python only; permits are unsigned |
//! | 4 acquire | `as_many_go_on_as_permits_come_back_and_late_ones_wait` |
//! | 4 acquire_cancel | `a_cancelled_waiter_leaves_no_entry` |
//! | 4 acquire_cancel_before_awoken | `two_cancelled_and_one_permit_back_serves_the_third` |
//! | 4 acquire_hang | `first_cancelled_and_permit_back_at_once_serves_the_second` |
//! | 4 acquire_no_hang | `a_waiter_cancelled_just_after_it_was_served_gives_the_permit_back` |
//! | 4 release_not_acquired (bounded) | `too_many_permits_are_refused_and_nothing_changes` |
//! | 4 release_no_waiters | `a_permit_given_back_with_nobody_in_line_is_free` |
//! | 4 acquire_fifo_order | `three_tasks_take_turns_in_strict_order` |
//! | 4 acquire_fifo_order_2 | `who_gives_back_and_asks_again_goes_to_the_end_of_the_line` |
//! | 4 acquire_fifo_order_3 | `first_cancelled_and_two_permits_back_serve_second_and_third` |
//! | 4 (3.12) re-acquire in the same turn; multiple release | `who_gives_back_and_asks_again_goes_to_the_end_of_the_line`, `several_permits_back_in_one_turn_serve_several_in_order` |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::{Event as Flag, Semaphore};
use roundel::{Clock, Event, EventLoop, JoinHandle, Observer, Waits, sleep, spawn, yield_now};

type Trace = Rc<RefCell<Vec<String>>>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn note(trace: &Trace, what: impl Into<String>) {
    trace.borrow_mut().push(what.into());
}

async fn turns(many: usize) {
    for _ in 0..many {
        yield_now().await;
    }
}

/// A task that takes `wants` permits, notes its name, and keeps them for good.
fn taker(semaphore: &Rc<Semaphore>, trace: &Trace, name: &'static str, wants: usize) -> JoinHandle<()> {
    let (semaphore, trace) = (semaphore.clone(), trace.clone());
    spawn(async move {
        match semaphore.acquire_many(wants).await {
            Ok(permit) => {
                note(&trace, name);
                permit.forget();
            }
            Err(closed) => note(&trace, format!("{name}: {closed}")),
        }
    })
}

fn one(semaphore: &Rc<Semaphore>, trace: &Trace, name: &'static str) -> JoinHandle<()> {
    taker(semaphore, trace, name, 1)
}

#[test]
fn a_free_permit_is_taken_without_giving_the_turn_away() {
    virtual_loop().block_on(async {
        let trace = Trace::default();
        let semaphore = Rc::new(Semaphore::new(2));
        let other = one(&semaphore, &trace, "other");
        let _mine = semaphore.acquire().await.unwrap();
        note(&trace, "mine");
        other.await.unwrap();
        assert_eq!(trace.take(), ["mine", "other"]);
    });
}

#[test]
fn zero_permits_make_everyone_wait() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::default());
        assert!(semaphore.try_acquire().is_none());
        let waiter = one(&semaphore, &trace, "w");
        turns(2).await;
        assert!(!waiter.is_finished());
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Semaphore));
        semaphore.add_permits(1);
        waiter.await.unwrap();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn debug_shows_what_is_free_and_who_waits() {
    let semaphore = Semaphore::new(1);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { available_permits: 1, waiting: 0, closed: false }");
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(format!("{permit:?}"), "Permit { permits: 1, .. }");
    semaphore.close();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { available_permits: 0, waiting: 0, closed: true }");
}

#[test]
fn as_many_go_on_as_permits_come_back_and_late_ones_wait() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(3)), Trace::default());
        let (first, second) = (semaphore.acquire().await.unwrap(), semaphore.acquire().await.unwrap());
        let tasks = ["1", "2", "3"].map(|name| one(&semaphore, &trace, name));
        turns(2).await;
        assert_eq!(trace.take(), ["1"]);
        assert_eq!(semaphore.waiting(), 2);

        drop(first);
        drop(second);
        let late = one(&semaphore, &trace, "late");
        turns(3).await;
        assert_eq!(trace.take(), ["2", "3"]);
        assert!(!late.is_finished());
        semaphore.add_permits(1);
        late.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_cancelled_waiter_leaves_no_entry() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::default());
        let waiter = one(&semaphore, &trace, "w");
        yield_now().await;
        assert_eq!(semaphore.waiting(), 1);
        waiter.cancel();
        assert_eq!(semaphore.waiting(), 0);
        semaphore.add_permits(1);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

// S1
#[test]
fn two_cancelled_and_one_permit_back_serves_the_third() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(1)), Trace::default());
        let held = semaphore.acquire().await.unwrap();
        let tasks = ["1", "2", "3", "4"].map(|name| one(&semaphore, &trace, name));
        yield_now().await;
        tasks[0].cancel();
        tasks[1].cancel();
        drop(held);
        turns(3).await;
        assert_eq!(trace.take(), ["3"]);
        assert_eq!(semaphore.waiting(), 1);
        semaphore.add_permits(1);
        turns(2).await;
        assert_eq!(trace.take(), ["4"]);
    });
}

// S1
#[test]
fn first_cancelled_and_permit_back_at_once_serves_the_second() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(1)), Trace::default());
        let held = semaphore.acquire().await.unwrap();
        let (first, second) = (one(&semaphore, &trace, "1"), one(&semaphore, &trace, "2"));
        yield_now().await;
        // The other way round: served first, then cancelled.
        drop(held);
        first.cancel();
        second.await.unwrap();
        assert_eq!(trace.take(), ["2"]);
        assert_eq!(semaphore.available_permits(), 0);
    });
}

// S1, S9
#[test]
fn a_waiter_cancelled_just_after_it_was_served_gives_the_permit_back() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(1)), Trace::default());
        let held = semaphore.acquire().await.unwrap();
        let waiter = one(&semaphore, &trace, "w");
        yield_now().await;
        drop(held);
        assert_eq!(semaphore.available_permits(), 0);
        waiter.cancel();
        assert_eq!(semaphore.available_permits(), 1);
        assert!(waiter.await.unwrap_err().is_cancelled());
        drop(semaphore.acquire().await.unwrap());
        assert!(trace.borrow().is_empty());
    });
}

// S10
#[test]
fn too_many_permits_are_refused_and_nothing_changes() {
    let full = Semaphore::new(Semaphore::MAX_PERMITS);
    let refused = |act: &dyn Fn()| catch_unwind(AssertUnwindSafe(act)).is_err();
    assert!(refused(&|| full.add_permits(1)));
    assert!(refused(&|| full.add_permits(usize::MAX)));
    assert_eq!(full.available_permits(), Semaphore::MAX_PERMITS);

    // Permits in use count too, or giving them back would overflow.
    let held = full.try_acquire_many(2).unwrap();
    assert!(refused(&|| full.add_permits(1)));
    drop(held);
    assert_eq!(full.available_permits(), Semaphore::MAX_PERMITS);

    // Forgotten ones do not.
    assert_eq!(full.forget(1), 1);
    full.try_acquire().unwrap().forget();
    full.add_permits(2);
    assert!(refused(&|| full.add_permits(1)));
    full.add_permits(0);

    assert!(refused(&|| drop(Semaphore::new(usize::MAX))));
    assert!(refused(&|| drop(full.acquire_many(usize::MAX))));
    assert!(full.try_acquire_many(usize::MAX).is_none());
}

#[test]
fn a_permit_given_back_with_nobody_in_line_is_free() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire();
    assert!(permit.is_some() && semaphore.try_acquire().is_none());
    drop(permit);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn a_semaphore_may_be_made_outside_any_loop() {
    thread_local! { static TABLES: Semaphore = const { Semaphore::new(3) }; }
    TABLES.with(|tables| assert_eq!(tables.available_permits(), 3));
}

// S5
#[test]
fn three_tasks_take_turns_in_strict_order() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(1)), Trace::default());
        let tasks = ["c1", "c2", "c3"].map(|name| {
            let (semaphore, trace) = (semaphore.clone(), trace.clone());
            spawn(async move {
                for _ in 0..2 {
                    let _permit = semaphore.acquire().await.unwrap();
                    note(&trace, name);
                    sleep(Duration::from_millis(10)).await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), ["c1", "c2", "c3", "c1", "c2", "c3"]);
    });
}

// S5
#[test]
fn who_gives_back_and_asks_again_goes_to_the_end_of_the_line() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(1)), Trace::default());
        let held = semaphore.acquire().await.unwrap();
        let waiter = one(&semaphore, &trace, "waiter");
        yield_now().await;
        drop(held);
        assert!(semaphore.try_acquire().is_none());
        let again = one(&semaphore, &trace, "again");
        turns(3).await;
        assert_eq!(trace.take(), ["waiter"]);
        semaphore.add_permits(1);
        again.await.unwrap();
        waiter.await.unwrap();
    });
}

#[test]
fn first_cancelled_and_two_permits_back_serve_second_and_third() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::default());
        let tasks = ["1", "2", "3"].map(|name| one(&semaphore, &trace, name));
        yield_now().await;
        semaphore.add_permits(1);
        tasks[0].cancel();
        semaphore.add_permits(1);
        turns(3).await;
        assert_eq!(trace.take(), ["2", "3"]);
    });
}

#[test]
fn several_permits_back_in_one_turn_serve_several_in_order() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(3)), Trace::default());
        let held = [(); 3].map(|()| semaphore.try_acquire().unwrap());
        let tasks = ["1", "2", "3", "4"].map(|name| one(&semaphore, &trace, name));
        yield_now().await;
        drop(held);
        turns(2).await;
        assert_eq!(trace.take(), ["1", "2", "3"]);
        assert_eq!(tasks.map(|task| task.is_finished()), [true, true, true, false]);
    });
}

// S13
#[test]
fn a_wish_for_many_is_not_starved_by_wishes_for_few() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(3)), Trace::default());
        let held = semaphore.acquire_many(2).await.unwrap();
        let big = taker(&semaphore, &trace, "big", 3);
        let small = one(&semaphore, &trace, "small");
        turns(2).await;
        // One is free, but it is kept for the one who came first.
        assert_eq!(semaphore.available_permits(), 1);
        assert!(semaphore.try_acquire().is_none());
        assert!(trace.borrow().is_empty());
        drop(held);
        big.await.unwrap();
        assert_eq!(trace.take(), ["big"]);
        semaphore.add_permits(1);
        small.await.unwrap();
    });
}

#[test]
fn the_small_ones_behind_a_big_wish_go_on_when_it_is_dropped() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(2)), Trace::default());
        let big = taker(&semaphore, &trace, "big", 3);
        let small = [one(&semaphore, &trace, "a"), one(&semaphore, &trace, "b")];
        turns(2).await;
        assert!(trace.borrow().is_empty());
        big.cancel();
        for task in small {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), ["a", "b"]);
    });
}

// S13, and S9: the close loses no permit either.
#[test]
fn closing_tells_everyone_who_waits_and_everyone_who_comes() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(1)), Trace::default());
        let held = semaphore.acquire().await.unwrap();
        let tasks = [taker(&semaphore, &trace, "big", 2), one(&semaphore, &trace, "small")];
        yield_now().await;
        semaphore.close();
        assert_eq!(semaphore.waiting(), 0);
        semaphore.close();
        assert!(semaphore.is_closed());
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(trace.take(), ["big: the semaphore is closed", "small: the semaphore is closed"]);
        drop(held);
        assert_eq!(semaphore.available_permits(), 1);
        assert!(semaphore.acquire().await.is_err());
        assert!(semaphore.try_acquire().is_none());
    });
}

#[test]
fn a_permit_on_its_way_when_the_semaphore_is_closed_still_arrives() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::default());
        let waiter = one(&semaphore, &trace, "served");
        yield_now().await;
        semaphore.add_permits(1);
        semaphore.close();
        waiter.await.unwrap();
        assert_eq!(trace.take(), ["served"]);
    });
}

// S11
#[test]
fn forgetting_after_the_close_does_not_open_it_again() {
    let semaphore = Semaphore::new(3);
    let permit = semaphore.try_acquire().unwrap();
    semaphore.close();
    assert_eq!(semaphore.forget(5), 2);
    permit.forget();
    semaphore.add_permits(4);
    assert!(semaphore.is_closed());
    assert!(semaphore.try_acquire().is_none());
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn forgotten_permits_do_not_come_back() {
    let semaphore = Semaphore::new(3);
    semaphore.try_acquire_many(2).unwrap().forget();
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.forget(9), 1);
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn nothing_is_also_had_in_line() {
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::default());
        drop(semaphore.acquire_many(0).await.unwrap());
        let first = one(&semaphore, &trace, "one");
        let second = taker(&semaphore, &trace, "none", 0);
        turns(2).await;
        assert!(trace.borrow().is_empty());
        semaphore.add_permits(1);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(trace.take(), ["one", "none"]);
    });
}

// S20
#[test]
fn a_leaked_waiter_keeps_its_place_and_what_it_is_given_and_no_more() {
    use futures::future::FutureExt;
    virtual_loop().block_on(async {
        let (semaphore, trace) = (Rc::new(Semaphore::new(0)), Trace::default());
        let mut leaked = semaphore.acquire();
        assert!((&mut leaked).now_or_never().is_none());
        std::mem::forget(leaked);
        let next = one(&semaphore, &trace, "next");
        yield_now().await;
        semaphore.add_permits(1);
        turns(2).await;
        assert!(!next.is_finished());
        semaphore.add_permits(1);
        next.await.unwrap();
    });
}

#[test]
fn an_observer_hears_of_permits_taken_and_given_back_with_the_callers_line() {
    struct Listener(Trace);
    impl Observer for Listener {
        fn event(&self, event: &Event<'_>) {
            match event {
                Event::Acquired { resource, site, .. } if resource.kind == Waits::Semaphore => {
                    assert_eq!(site.file(), file!());
                    note(&self.0, "acquired");
                }
                Event::Waiting { resource, site, .. } if resource.kind == Waits::Semaphore => {
                    assert_eq!(site.unwrap().file(), file!());
                    note(&self.0, "waiting");
                }
                Event::Released { resource, .. } if resource.kind == Waits::Semaphore => note(&self.0, "released"),
                _ => {}
            }
        }
    }
    let trace = Trace::default();
    let event_loop = EventLoop::builder().observer(Rc::new(Listener(trace.clone()))).build().unwrap();
    event_loop.block_on(async {
        let semaphore = Rc::new(Semaphore::new(1));
        let held = semaphore.try_acquire();
        let go = Rc::new(Flag::new());
        let waiter = spawn({
            let (semaphore, go) = (semaphore.clone(), go.clone());
            async move {
                let _permit = semaphore.acquire().await.unwrap();
                go.set();
            }
        });
        yield_now().await;
        drop(held);
        go.wait().await;
        waiter.await.unwrap();
    });
    assert_eq!(trace.take(), ["acquired", "waiting", "released", "acquired", "released"]);
}
