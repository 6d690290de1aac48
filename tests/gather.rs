//! Stories of `gather`, `gather!`, `try_gather` and `gather_settled`, and of what asyncio calls a
//! shield: a task whose awaiter goes away.
//!
//! Rows of section 9 of the asyncio semantics:
//!
//! | row | test |
//! |---|---|
//! | gather success ×2 | `results_come_in_the_order_of_the_arguments`, `the_parent_is_woken_once_for_children_of_one_round` |
//! | gather one_exception | `try_gather_gives_the_first_error_at_once_and_lets_the_siblings_run_on` |
//! | gather return_exceptions | `gather_settled_waits_for_all_and_gives_panics_as_values` |
//! | gather env_var_debug | n/a: no such variable |
//! | gather constructors (10) | `a_gather_without_children_is_done_at_its_first_poll`; n/a rest: no loop argument |
//! | gather one_cancellation | `a_child_cancelled_by_somebody_else_is_a_panic_that_says_so` |
//! | gather result_exception_one_cancellation | `gather_settled_gives_cancels_as_values` |
//! | gather duplicate_coroutines | n/a: a future is moved into the gather, so it cannot be passed twice |
//! | gather cancellation_broadcast | `dropping_a_gather_cancels_every_child_before_the_drop_returns` |
//! | gather exception_marking | `a_second_error_is_dropped_once_and_makes_no_noise` |
//! | gather issue46672 | `an_iterator_that_panics_leaves_nothing_half_done` |
//! | cancel_gather_1 | `a_gather_that_is_done_cannot_be_cancelled` |
//! | cancel_gather_2 | `a_cancel_ends_a_task_that_gathers_in_a_loop` |
//! | shield_result / _exception | `a_shielded_task_passes_its_result_or_panic_through` |
//! | shield_cancel_inner | `cancelling_a_shielded_task_is_seen_by_its_awaiter` |
//! | shield_cancel_outer, shield_effect | `a_shielded_task_finishes_its_work_when_its_awaiter_goes` |
//! | shield_shortcut | `a_shielded_task_that_is_done_is_there_at_the_first_poll` |
//! | shield_gather, gather_shield | `a_gather_in_a_task_of_its_own_is_shielded`, `dropping_a_gather_of_handles_leaves_their_tasks_alone` |
//! | shield_*_loop (3) | n/a: no loop argument |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;

use futures::FutureExt;
use roundel::sync::Event;
use roundel::{Instant, JoinError};
use roundel::{all_tasks, current_task, gather, gather_settled, sleep, spawn, timeout, try_gather, yield_now};
use support::{Trace, millis as ms, virtual_loop};

/// What a task's panic said.
fn message(error: JoinError) -> String {
    let payload = error.into_panic().unwrap();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

#[test]
fn results_come_in_the_order_of_the_arguments() {
    let trace = Trace::default();
    let results = virtual_loop().block_on(gather_in(&trace));
    assert_eq!(results, [2, 1, 3]);
    assert_eq!(trace.take(), ["1 done", "2 done", "3 done"]);
}

async fn gather_in(trace: &Trace) -> Vec<u64> {
    let children = [2, 1, 3].map(|n| {
        let trace = trace.clone();
        async move {
            sleep(ms(n)).await;
            trace.note(format!("{n} done"));
            n
        }
    });
    gather(children).await
}

#[test]
fn the_parent_is_woken_once_for_children_of_one_round() {
    virtual_loop().block_on(async {
        let before = current_task().unwrap().polls;
        let results = gather((0..1000).map(|n| async move { n })).await;
        assert_eq!(results, (0..1000).collect::<Vec<_>>());
        // A loop looks at the world every 64 polls; the children report while the parent is queued.
        let polls = current_task().unwrap().polls - before;
        assert!(polls <= 1000 / 64 + 2, "{polls} polls of the parent");
    });
}

#[test]
fn a_gather_without_children_is_done_at_its_first_poll() {
    virtual_loop().block_on(async {
        assert_eq!(gather(Vec::<std::future::Ready<u8>>::new()).now_or_never(), Some(vec![]));
        let none: [std::future::Ready<Result<u8, ()>>; 0] = [];
        assert_eq!(try_gather(none).now_or_never(), Some(Ok(vec![])));
        assert!(gather_settled(None::<std::future::Ready<u8>>).now_or_never().unwrap().is_empty());
    });
}

#[test]
fn children_are_spawned_at_the_call_in_order_and_at_the_callers_line() {
    virtual_loop().block_on(async {
        let line = line!() + 1;
        let gathered = gather([1, 2].map(|n| async move { n }));
        let children: Vec<_> = all_tasks().into_iter().skip(1).collect();
        assert_eq!(children.iter().map(|child| child.id.number()).collect::<Vec<_>>(), [1, 2]);
        assert!(children.iter().all(|child| child.site.line() == line && child.site.file() == file!()));
        assert!(children.iter().all(|child| child.polls == 0), "spawned, not begun");
        assert_eq!(gathered.await, [1, 2]);
        assert_eq!(all_tasks().len(), 1);

        let line = line!() + 1;
        let gathered = roundel::gather!(async { 1 }, async { "b" });
        assert!(all_tasks().into_iter().skip(1).all(|child| child.site.line() == line));
        assert_eq!(gathered.await, (1, "b"));
    });
}

#[test]
fn the_macro_gathers_futures_of_different_types() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let slow = async {
            sleep(ms(3)).await;
            String::from("slow")
        };
        let (text, number, nothing) = roundel::gather!(slow, async { 7_u8 }, sleep(ms(5)),).await;
        assert_eq!((text.as_str(), number, nothing), ("slow", 7, ()));
        assert_eq!(begun.elapsed(), ms(5), "side by side, not one after another");
        assert_eq!(roundel::gather!(async { 1 }).await, (1,));
    });
}

#[test]
fn the_macro_takes_twelve_futures() {
    virtual_loop().block_on(async {
        let f = |n: u8| async move {
            yield_now().await;
            n
        };
        let all = roundel::gather!(f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11)).await;
        assert_eq!(all, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    });
}

#[test]
fn a_panicking_child_cancels_its_siblings_and_panics_at_the_await() {
    let trace = Trace::default();
    let inside = trace.clone();
    virtual_loop().block_on(async move {
        let task = spawn(async move {
            let children = (0..4).map(|n| {
                let dropped = inside.at_drop(n);
                async move {
                    sleep(ms(1)).await;
                    if n == 1 {
                        panic!("child one");
                    }
                    sleep(ms(10)).await;
                    drop(dropped);
                }
            });
            gather(children).await
        });
        let begun = Instant::now();
        assert_eq!(message(task.await.unwrap_err()), "child one");
        assert_eq!(begun.elapsed(), ms(1));
        assert_eq!(all_tasks().len(), 1, "no child is left");
    });
    assert_eq!(trace.take(), ["1 dropped", "0 dropped", "2 dropped", "3 dropped"]);
}

#[test]
fn a_panicking_child_of_the_macro_cancels_its_siblings() {
    let trace = Trace::default();
    let dropped = trace.at_drop("sibling");
    virtual_loop().block_on(async {
        let sibling = async move {
            pending::<()>().await;
            drop(dropped);
        };
        let failing = async {
            yield_now().await;
            panic!("two");
        };
        let task = spawn(async { roundel::gather!(sibling, failing).await });
        assert_eq!(message(task.await.unwrap_err()), "two");
        assert_eq!(trace.take(), ["sibling dropped"]);
    });
}

#[test]
fn try_gather_gives_the_first_error_at_once_and_lets_the_siblings_run_on() {
    let trace = Trace::default();
    let (ok, late) = (trace.clone(), trace.clone());
    virtual_loop().block_on(async move {
        let begun = Instant::now();
        let child = |after: u64, result: Result<u64, &'static str>, trace: Trace| async move {
            sleep(ms(after)).await;
            trace.note(format!("{result:?} at {after}"));
            result
        };
        let gathered =
            try_gather([child(3, Ok(3), ok), child(1, Err("first"), trace.clone()), child(2, Err("second"), late)]);
        assert_eq!(gathered.await, Err("first"));
        assert_eq!(begun.elapsed(), ms(1));
        assert_eq!(trace.take(), [r#"Err("first") at 1"#]);
        sleep(ms(5)).await;
        assert_eq!(trace.take(), [r#"Err("second") at 2"#, "Ok(3) at 3"]);
        assert_eq!(try_gather([child(2, Ok(2), trace.clone()), child(1, Ok(1), trace)]).await, Ok(vec![2, 1]));
    });
}

#[test]
fn a_second_error_is_dropped_once_and_makes_no_noise() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let fail = |name: &str| {
            let error = trace.at_drop(name);
            async move { Err::<(), _>(error) }
        };
        let error = try_gather([fail("first"), fail("second")]).await.unwrap_err();
        assert_eq!(error.1, "first dropped");
        assert_eq!(trace.take(), ["second dropped"], "it was there in the same round");
    });
}

#[test]
fn dropping_a_try_gather_half_way_cancels_the_children() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let dropped = trace.at_drop("child");
        let child = async move {
            pending::<()>().await;
            drop(dropped);
            Ok::<(), ()>(())
        };
        assert!(timeout(ms(1), try_gather([child])).await.is_err());
        assert_eq!(trace.take(), ["child dropped"]);
    });
}

#[test]
fn a_panic_in_try_gather_cancels_the_siblings() {
    let trace = Trace::default();
    let dropped = trace.at_drop(0);
    virtual_loop().block_on(async {
        let task = spawn(async move {
            let children = [Some(dropped), None].map(|sibling| async move {
                if sibling.is_some() {
                    pending::<()>().await;
                }
                panic!("no error, a panic");
            });
            try_gather::<_, (), ()>(children).await
        });
        assert_eq!(message(task.await.unwrap_err()), "no error, a panic");
        assert_eq!(trace.take(), ["0 dropped"]);
    });
}

#[test]
fn gather_settled_waits_for_all_and_gives_panics_as_values() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut results = gather_settled([3, 1, 2].map(|n| async move {
            sleep(ms(n)).await;
            if n == 1 {
                panic!("one");
            }
            n
        }))
        .await;
        assert_eq!(begun.elapsed(), ms(3));
        assert_eq!(*results[0].as_ref().unwrap(), 3);
        assert_eq!(*results[2].as_ref().unwrap(), 2);
        assert_eq!(message(results.remove(1).unwrap_err()), "one");
    });
}

#[test]
fn gather_settled_gives_cancels_as_values() {
    let short_lived = virtual_loop();
    let mut kept = None;
    short_lived.block_on(async {
        kept = Some(gather_settled([0, 1].map(|n| async move {
            if n == 1 {
                pending::<()>().await;
            }
            n
        })));
        yield_now().await;
    });
    drop(short_lived);
    let results = virtual_loop().block_on(kept.unwrap());
    assert_eq!(*results[0].as_ref().unwrap(), 0, "what was done stays done");
    assert!(results[1].as_ref().unwrap_err().is_cancelled());
}

#[test]
fn a_child_cancelled_by_somebody_else_is_a_panic_that_says_so() {
    let short_lived = virtual_loop();
    let (gathered, line) = short_lived.block_on(async { (gather([pending::<()>()]), line!()) });
    drop(short_lived);
    let event_loop = virtual_loop();
    let error = event_loop.block_on(async { spawn(gathered).await.unwrap_err() });
    assert!(error.is_panic(), "the gathering task is not cancelled");
    let said = message(error);
    assert!(said.starts_with("task 1 was cancelled, but the gather at "), "{said}");
    assert!(said.contains(&format!("gather.rs:{line}:")) && said.contains("gather_settled()"), "{said}");
}

#[test]
fn dropping_a_gather_cancels_every_child_before_the_drop_returns() {
    // G3
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let children = (0..3).map(|n| {
            let dropped = trace.at_drop(n);
            async move {
                pending::<()>().await;
                drop(dropped);
            }
        });
        let mut gathered = gather(children);
        assert!(timeout(ms(1), &mut gathered).await.is_err());
        assert_eq!(trace.take(), Vec::<String>::new(), "a gather that is lent out lives on");
        drop(gathered);
        assert_eq!(trace.take(), ["0 dropped", "1 dropped", "2 dropped"]);
        assert_eq!(all_tasks().len(), 1);

        // Children that had no turn yet never begin.
        let begun = Rc::new(Cell::new(false));
        let seen = begun.clone();
        drop(roundel::gather!(async move { seen.set(true) }, async {}));
        yield_now().await;
        assert!(!begun.get());
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_panic_in_one_childs_destructor_does_not_save_its_siblings() {
    // K32
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let children = (0..3).map(|n| {
            let dropped = trace.at_drop(n);
            async move {
                let _bomb = (n == 1).then(|| Bomb);
                pending::<()>().await;
                drop(dropped);
            }
        });
        let gathered = gather(children);
        yield_now().await;
        drop(gathered);
        assert_eq!(trace.take(), ["0 dropped", "1 dropped", "2 dropped"]);
    });
}

#[test]
fn children_are_polled_in_the_order_of_their_wakes_and_the_first_is_not_favoured() {
    // K29: each is woken for itself; those that wait are not polled along with it.
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let signals = Rc::new([(); 2].map(|()| Event::new()));
        let waiting = [0, 1].map(|child| {
            let (trace, signals) = (trace.clone(), signals.clone());
            async move {
                let mut waiting = pin!(signals[child].wait());
                let polled = poll_fn(|cx| {
                    trace.note(format_args!("{child} polled"));
                    waiting.as_mut().poll(cx)
                });
                polled.await;
            }
        });
        let last = {
            let (trace, signals) = (trace.clone(), signals.clone());
            async move {
                for _ in 0..5 {
                    yield_now().await;
                }
                trace.note("2 wakes");
                signals[1].set();
                signals[0].set();
            }
        };
        let [first, second] = waiting;
        roundel::gather!(first, second, last).await;
    });
    assert_eq!(trace.take(), ["0 polled", "1 polled", "2 wakes", "1 polled", "0 polled"]);
}

#[test]
fn an_iterator_that_panics_leaves_nothing_half_done() {
    // K36
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let futures = (0..3).map(|n| {
            assert!(n < 2, "junk among the arguments");
            let dropped = trace.at_drop(n);
            async move { drop(dropped) }
        });
        assert!(catch_unwind(AssertUnwindSafe(|| gather(futures))).is_err());
        assert_eq!(trace.take(), ["0 dropped", "1 dropped"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_gather_that_is_done_cannot_be_cancelled() {
    virtual_loop().block_on(async {
        let task = spawn(gather([async { 1 }]));
        sleep(ms(1)).await;
        assert!(!task.cancel());
        assert_eq!(task.await.unwrap(), [1]);
    });
}

#[test]
fn a_cancel_ends_a_task_that_gathers_in_a_loop() {
    virtual_loop().block_on(async {
        let task = spawn(async {
            loop {
                gather_settled([sleep(ms(1)), sleep(ms(2))]).await;
            }
        });
        sleep(ms(7)).await;
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_gather_awaited_twice_panics_with_the_cure() {
    virtual_loop().block_on(async {
        let task = spawn(async {
            let mut gathered = gather([async {}]);
            (&mut gathered).await;
            (&mut gathered).await
        });
        assert!(message(task.await.unwrap_err()).contains("await it only once"));
    });
}

#[test]
fn a_gather_outside_a_loop_panics_at_the_callers_line() {
    let panicked = catch_unwind(|| drop(gather([async {}]))).unwrap_err();
    assert!(panicked.downcast_ref::<String>().unwrap().starts_with("gather() needs a running loop"));
    assert!(catch_unwind(|| drop(roundel::gather!(async {}))).is_err());
}

#[test]
fn a_child_that_cancels_its_gatherer_is_dropped_at_its_next_await() {
    // G9
    let trace = Trace::default();
    let event_loop = virtual_loop();
    event_loop.block_on(async {
        let parent = Rc::new(RefCell::new(None::<roundel::JoinHandle<Vec<()>>>));
        let (inside, dropped) = (parent.clone(), trace.at_drop("child"));
        let child = async move {
            assert!(inside.borrow().as_ref().unwrap().cancel());
            pending::<()>().await;
            drop(dropped);
        };
        *parent.borrow_mut() = Some(spawn(async move { gather([child]).await }));
        let parent_handle = parent.clone();
        yield_now().await;
        yield_now().await;
        yield_now().await;
        assert_eq!(trace.take(), ["child dropped"]);
        let handle = parent_handle.borrow_mut().take().unwrap();
        assert!(handle.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_shielded_task_passes_its_result_or_panic_through() {
    virtual_loop().block_on(async {
        let good = spawn(async { 42 });
        assert_eq!(timeout(ms(1), good).await.unwrap().unwrap(), 42);
        let bad = spawn(async { panic!("inner") });
        let error: JoinError = timeout(ms(1), bad).await.unwrap().unwrap_err();
        assert_eq!(message(error), "inner");
    });
}

#[test]
fn cancelling_a_shielded_task_is_seen_by_its_awaiter() {
    virtual_loop().block_on(async {
        let inner = spawn(pending::<()>());
        let canceller = inner.cancel_handle();
        let outer = spawn(inner);
        yield_now().await;
        canceller.cancel();
        assert!(outer.await.unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_shielded_task_finishes_its_work_when_its_awaiter_goes() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let inner = spawn(async move {
            sleep(ms(5)).await;
            inside.note("work done");
        });
        let outer = spawn(inner);
        sleep(ms(1)).await;
        assert!(outer.cancel());
        assert!(outer.await.unwrap_err().is_cancelled());
        sleep(ms(10)).await;
        assert_eq!(trace.take(), ["work done"]);
    });
}

#[test]
fn a_shielded_task_that_is_done_is_there_at_the_first_poll() {
    virtual_loop().block_on(async {
        let inner = spawn(async { 3 });
        sleep(ms(1)).await;
        assert_eq!(inner.now_or_never().unwrap().unwrap(), 3);
    });
}

#[test]
fn a_gather_in_a_task_of_its_own_is_shielded() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let shielded = spawn(async move {
            let names = gather(["a", "b"].map(|name| async move {
                sleep(ms(5)).await;
                name
            }));
            inside.note(names.await.concat());
        });
        assert!(timeout(ms(1), shielded).await.is_err());
        sleep(ms(10)).await;
        assert_eq!(trace.take(), ["ab"]);
    });
}

#[test]
fn dropping_a_gather_of_handles_leaves_their_tasks_alone() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let tasks = ["a", "b"].map(|name| {
            let trace = trace.clone();
            spawn(async move {
                sleep(ms(5)).await;
                trace.note(name);
            })
        });
        assert!(timeout(ms(1), gather(tasks)).await.is_err());
        sleep(ms(10)).await;
        assert_eq!(trace.take(), ["a", "b"]);
    });
}

#[test]
fn two_outputs_that_panic_when_dropped_harm_nobody() {
    // K32
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the output's destructor");
        }
    }
    virtual_loop().block_on(async {
        let child = |last: bool| async move {
            yield_now().await;
            if last { panic!("a child") } else { Bomb }
        };
        let gathered = AssertUnwindSafe(gather([child(false), child(false), child(true)])).catch_unwind().await;
        assert!(gathered.is_err());
    });
}
