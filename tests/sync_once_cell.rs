//! Stories of the once-cell: one makes the value, the others wait, and giving up passes the turn on.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 what is there is taken without yielding | `a_full_cell_answers_without_giving_the_turn_away` |
//! | 0.5 turns go in order of arrival | `whoever_fails_leaves_the_turn_to_the_next_in_line` |
//! | 0.6 a dropped waiter loses nothing | `a_maker_that_is_dropped_leaves_the_turn_to_the_next`, `a_waiter_dropped_just_as_its_turn_comes_passes_it_on` |
//! | 1 to 6 | n/a: asyncio has no once-cell |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::OnceCell;
use roundel::{Clock, EventLoop, JoinHandle, Waits, sleep, spawn, yield_now};

type Trace = Rc<RefCell<Vec<String>>>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

/// A task that asks for the value, or makes `number` of it in one second.
fn asker(cell: &Rc<OnceCell<u32>>, made: &Rc<Cell<u32>>, number: u32) -> JoinHandle<u32> {
    let (cell, made) = (cell.clone(), made.clone());
    spawn(async move {
        *cell
            .get_or_init(async || {
                sleep(Duration::from_secs(1)).await;
                made.set(made.get() + 1);
                number
            })
            .await
    })
}

#[test]
fn one_makes_the_value_and_all_see_it() {
    virtual_loop().block_on(async {
        let (cell, made) = (Rc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let tasks = [1, 2, 3].map(|number| asker(&cell, &made, number));
        yield_now().await;
        assert_eq!(roundel::all_tasks()[2].waits_for, Some(Waits::OnceCell));
        assert_eq!(cell.get(), None);
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
        assert_eq!(made.get(), 1);
        assert_eq!(cell.get(), Some(&1));
    });
}

#[test]
fn a_full_cell_answers_without_giving_the_turn_away() {
    use futures::future::FutureExt;
    let cell = OnceCell::with_value(1);
    assert_eq!(cell.get_or_init(async || unreachable!()).now_or_never(), Some(&1));
    assert_eq!(cell.get_or_try_init(async || Err("unreachable")).now_or_never(), Some(Ok(&1)));
}

#[test]
fn a_maker_that_is_dropped_leaves_the_turn_to_the_next() {
    virtual_loop().block_on(async {
        let (cell, made) = (Rc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let tasks = [1, 2, 3].map(|number| asker(&cell, &made, number));
        yield_now().await;
        tasks[0].cancel();
        for (task, expected) in tasks.into_iter().zip([None, Some(2), Some(2)]) {
            assert_eq!(task.await.ok(), expected);
        }
        assert_eq!(made.get(), 1);
    });
}

// S1
#[test]
fn a_waiter_dropped_just_as_its_turn_comes_passes_it_on() {
    virtual_loop().block_on(async {
        let (cell, made) = (Rc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let tasks = [1, 2, 3].map(|number| asker(&cell, &made, number));
        yield_now().await;
        tasks[0].cancel();
        tasks[1].cancel();
        let [_, _, last] = tasks;
        assert_eq!(last.await.unwrap(), 3);
    });
}

#[test]
fn whoever_fails_leaves_the_turn_to_the_next_in_line() {
    virtual_loop().block_on(async {
        let (cell, trace) = (Rc::new(OnceCell::new()), Trace::default());
        let tasks = ["a", "b", "c", "d"].map(|name| {
            let (cell, trace) = (cell.clone(), trace.clone());
            spawn(async move {
                let got = cell
                    .get_or_try_init(async || {
                        trace.borrow_mut().push(format!("{name} tries"));
                        yield_now().await;
                        if name < "c" { Err(format!("{name} failed")) } else { Ok(name) }
                    })
                    .await;
                got.copied()
            })
        });
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        assert_eq!(results, [Err("a failed".into()), Err("b failed".into()), Ok("c"), Ok("c")]);
        assert_eq!(trace.take(), ["a tries", "b tries", "c tries"]);
    });
}

#[test]
fn a_maker_that_panics_leaves_the_turn_to_the_next() {
    virtual_loop().block_on(async {
        let (cell, made) = (Rc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let panicking = spawn({
            let cell = cell.clone();
            async move {
                cell.get_or_init(async || {
                    yield_now().await;
                    panic!("the maker fails")
                })
                .await;
            }
        });
        let next = asker(&cell, &made, 2);
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(next.await.unwrap(), 2);
    });
}

#[test]
fn set_fills_an_empty_cell_and_wakes_those_who_wait() {
    virtual_loop().block_on(async {
        let (cell, made) = (Rc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let (maker, waiter) = (asker(&cell, &made, 1), asker(&cell, &made, 2));
        yield_now().await;
        assert_eq!(cell.set(9), Ok(()));
        assert_eq!(cell.set(8), Err(8));
        yield_now().await;
        assert_eq!(waiter.await.unwrap(), 9);
        // The maker comes too late, and sees the same as everyone.
        assert!(!maker.is_finished());
        assert_eq!(maker.await.unwrap(), 9);
        assert_eq!(made.get(), 1);
    });
}

#[test]
fn the_value_is_reached_by_whoever_owns_the_cell() {
    let mut cell = OnceCell::from(1);
    *cell.get_mut().unwrap() += 1;
    assert_eq!(format!("{cell:?}"), "OnceCell(2)");
    assert_eq!(cell.into_inner(), Some(2));
    assert_eq!(format!("{:?}", OnceCell::<u8>::default()), "OnceCell(<empty>)");
}
