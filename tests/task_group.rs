//! Stories of `TaskGroup`: children that end before their parent goes on, and fall together.
//!
//! Rows of section 7 of the asyncio semantics:
//!
//! | row | test |
//! |---|---|
//! | 01, 02 | `a_scope_waits_for_its_children_also_those_added_later` |
//! | 03 | `a_child_cancelled_by_hand_does_not_fail_the_group` |
//! | 04, cancel_children_on_child_error | `a_failing_child_cancels_its_siblings_and_the_body` |
//! | cancellation, 07, 22 | `dropping_a_scope_drops_the_body_and_every_child_once` |
//! | cancellation_in_body | `a_cancel_from_outside_wins_over_a_failure_of_the_same_round` |
//! | 09, 10 | `a_failing_body_cancels_the_children`, `children_of_a_body_that_fails_at_once_never_run` |
//! | 11, 12 | `nested_groups_unwind_when_the_outer_is_cancelled` |
//! | 13 | `a_failing_child_of_the_outer_group_drops_the_inner_one` |
//! | 14 | `the_error_of_an_inner_group_reaches_the_outer_one` |
//! | 15, 16, 18 | n/a: a cancel is a drop, which cannot be handled, delayed or turned into an error |
//! | 17 | `an_empty_group_whose_body_is_cancelled_ends` |
//! | 19 | `the_errors_of_body_and_child_are_both_reported`, `children_that_fail_in_the_same_round_are_all_reported` |
//! | 20, 20a, 21a | `a_panicking_child_cancels_its_siblings_and_panics_at_the_await`, `a_panic_weighs_more_than_an_error`, `a_panicking_body_cancels_the_children` |
//! | 23 | `finished_children_are_forgotten`; in tests/many_memory.rs: `a_million_of_each_leave_the_memory_where_it_was` |
//! | 24 | `children_add_children_and_the_group_waits_for_all` |
//! | 25 | `children_that_multiply_for_ever_end_when_one_fails` |
//! | task_name, task_context | n/a: Python only (but see `children_know_their_names_and_spawn_sites`) |
//! | no_create_task_after_failure | `nothing_is_spawned_after_a_failure` |
//! | context_manager_exit_raises | `a_panic_in_a_destructor_during_the_abort_is_not_lost` |
//! | already_entered, double_enter, finished, not_entered, without_parent_task | types; `a_handle_that_outlives_its_group_is_refused`, `a_group_outside_a_loop_panics_with_the_cure` |
//! | (new) coro_closed_when_tg_closed | `a_refused_future_is_dropped_at_once` |
//! | (new) cancelling_level_preserved, cancellation_does_not_leak_out | `after_a_handled_failure_the_parent_goes_on_as_ever` |
//! | (new) nested_groups_both_cancelled, error_and_cancel | `a_handled_inner_failure_does_not_swallow_an_outer_cancel` |
//! | (new) exception_refcycles ×6 | `a_group_keeps_nothing_of_its_errors` |
//! | (new) cancels_task_if_created_during_creation | `a_child_that_spawned_a_failing_one_is_cancelled_itself` |
//! | (new) child cancels group before first suspension | `a_child_that_cancels_its_group_at_once_hangs_nothing` |
//! | (new) outer timeout after own cancel | `an_outer_timeout_is_not_swallowed` |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt::Display;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;

use futures::FutureExt;
use roundel::{CancelHandle, GroupClosed, GroupError, GroupHandle, Instant, JoinError, TaskGroup};
use roundel::{all_tasks, sleep, spawn, timeout, yield_now};
use support::{NoteDrop, Trace, millis as ms, panics_during, virtual_loop};

type Error = &'static str;

/// A child that waits for ever and notes when it is dropped.
fn sleeper<T, N: Display>(trace: &Trace, name: N) -> impl Future<Output = Result<T, Error>> + use<T, N> {
    let dropped = trace.at_drop(name);
    async move {
        pending::<()>().await;
        drop(dropped);
        Err("never")
    }
}

async fn fail_after(n: u64, error: Error) -> Result<(), Error> {
    sleep(ms(n)).await;
    Err(error)
}

/// What a task's panic said.
fn message(error: JoinError) -> String {
    let payload = error.into_panic().unwrap();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

#[test]
fn a_scope_waits_for_its_children_also_those_added_later() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let value = |n| async move {
            sleep(ms(n)).await;
            Ok::<u64, Error>(n)
        };
        let (body, children) = TaskGroup::scope(|group| async move {
            group.spawn(value(30)).unwrap();
            group.spawn(value(10)).unwrap();
            sleep(ms(15)).await;
            group.spawn(value(5)).unwrap();
            Ok("body")
        })
        .await
        .unwrap();
        assert_eq!((body, children, begun.elapsed()), ("body", vec![10, 5, 30], ms(30)));
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_group_joined_gives_the_values_in_order_of_completion() {
    virtual_loop().block_on(async {
        let group = TaskGroup::<_, Error>::new();
        for n in [3, 1, 2] {
            group
                .spawn(async move {
                    sleep(ms(n)).await;
                    Ok(n)
                })
                .unwrap();
        }
        assert_eq!(group.len(), 3);
        sleep(ms(2)).await;
        yield_now().await;
        assert_eq!((group.len(), group.is_empty()), (1, false));
        assert_eq!(group.join().await.unwrap(), [1, 2, 3]);
        assert!(TaskGroup::<u8, Error>::default().join().await.unwrap().is_empty());
    });
}

#[test]
fn next_gives_results_as_they_come_and_children_may_be_added_meanwhile() {
    virtual_loop().block_on(async {
        let mut group = TaskGroup::<u64, Infallible>::new();
        let add = |group: &TaskGroup<u64, Infallible>, n| {
            group
                .spawn(async move {
                    sleep(ms(n)).await;
                    Ok(n)
                })
                .unwrap();
        };
        assert!(group.next().await.is_none());
        add(&group, 20);
        add(&group, 10);
        assert_eq!(group.next().await, Some(Ok(10)));
        add(&group, 5);
        assert!(timeout(ms(1), group.next()).await.is_err(), "dropped half-way");
        sleep(ms(100)).await;
        assert_eq!(group.next().await, Some(Ok(5)));
        assert_eq!(group.next().await, Some(Ok(20)));
        assert_eq!(group.next().await, None);
        add(&group, 1);
        assert_eq!(group.join().await.unwrap(), [1], "what next() gave out is not given again");
    });
}

#[test]
fn next_gives_the_values_before_a_failure_and_then_the_errors() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let mut group = TaskGroup::new();
        group.spawn(sleeper(&trace, "sibling")).unwrap();
        group.spawn(async { Ok(1) }).unwrap();
        group.spawn(async { Err("one") }).unwrap();
        group.spawn(async { Err("two") }).unwrap();
        yield_now().await;
        assert_eq!(group.next().await, Some(Ok(1)));
        assert_eq!(trace.take(), ["sibling dropped"]);
        assert_eq!(group.next().await, Some(Err("one")));
        assert_eq!(group.next().await, Some(Err("two")));
        assert_eq!(group.next().await, None);
        assert!(group.spawn(async { Ok(1) }).is_err());
    });
}

#[test]
fn a_child_cancelled_by_hand_does_not_fail_the_group() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let group = TaskGroup::new();
        let child: CancelHandle = group.spawn(sleeper(&trace, "by hand")).unwrap();
        group
            .spawn(async {
                sleep(ms(5)).await;
                Ok(5)
            })
            .unwrap();
        yield_now().await;
        child.cancel();
        child.cancel();
        yield_now().await;
        assert_eq!((trace.take(), group.len()), (vec!["by hand dropped".to_string()], 1));
        assert_eq!(group.join().await, Ok(vec![5]));
    });
}

#[test]
fn a_failing_child_cancels_its_siblings_and_the_body() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let error = TaskGroup::scope(|group| {
            let trace = trace.clone();
            async move {
                group.spawn(sleeper(&trace, "first")).unwrap();
                group.spawn(fail_after(10, "boom")).unwrap();
                group.spawn(sleeper(&trace, "second")).unwrap();
                let _body = trace.at_drop("body");
                sleep(ms(10_000)).await;
                trace.note("not reached");
                Ok(())
            }
        })
        .await
        .unwrap_err();
        assert_eq!((error.first(), error.others()), (&"boom", &[][..]), "failures, not cancels");
        assert_eq!(begun.elapsed(), ms(10));
        assert_eq!(trace.take(), ["first dropped", "second dropped", "body dropped"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_child_that_fails_before_its_first_await_ends_the_group() {
    // G11
    virtual_loop().block_on(async {
        let result = TaskGroup::<(), _>::scope(|group| async move {
            group.spawn(async { Err("at once") }).unwrap();
            pending::<Result<(), Error>>().await
        });
        assert_eq!(result.await.unwrap_err().into_first(), "at once");

        let group = TaskGroup::<(), _>::new();
        group.spawn(async { Err("at once") }).unwrap();
        assert_eq!(group.join().await.unwrap_err().into_first(), "at once");
    });
}

#[test]
fn dropping_a_scope_drops_the_body_and_every_child_once() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let task = spawn(async move {
            let result = TaskGroup::<(), Error>::scope(|group| async move {
                for n in 0..3 {
                    group.spawn(sleeper(&inside, n)).unwrap();
                }
                let _body = inside.at_drop("body");
                pending::<Result<(), Error>>().await
            });
            result.await
        });
        sleep(ms(1)).await;
        assert!(task.cancel());
        assert_eq!(trace.take(), ["body dropped", "0 dropped", "1 dropped", "2 dropped"]);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn dropping_a_group_or_its_join_cancels_the_children_before_the_drop_returns() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), _>::new();
        group.spawn(sleeper(&trace, "a")).unwrap();
        group.spawn(sleeper(&trace, "never begun")).unwrap();
        drop(group);
        assert_eq!(trace.take(), ["a dropped", "never begun dropped"]);

        let group = TaskGroup::<(), _>::new();
        group.spawn(sleeper(&trace, "b")).unwrap();
        assert!(timeout(ms(1), group.join()).await.is_err());
        assert_eq!(trace.take(), ["b dropped"]);
    });
}

#[test]
fn a_cancel_from_outside_wins_over_a_failure_of_the_same_round() {
    // G1
    virtual_loop().block_on(async {
        let outcome = Rc::new(Cell::new("nothing seen"));
        let seen = outcome.clone();
        let task = spawn(async move {
            let result = TaskGroup::<(), _>::scope(|group| async move {
                group.spawn(fail_after(10, "child")).unwrap();
                pending::<Result<(), Error>>().await
            });
            seen.set(if result.await.is_err() { "failure seen" } else { "success seen" });
        });
        yield_now().await;
        // This timer comes after the child's, so the child has failed when the cancel comes.
        sleep(ms(10)).await;
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(outcome.get(), "nothing seen");
    });
}

#[test]
fn a_failing_body_cancels_the_children() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let error = TaskGroup::<(), _>::scope(|group| {
            let trace = trace.clone();
            async move {
                group.spawn(sleeper(&trace, "child")).unwrap();
                sleep(ms(5)).await;
                Err::<(), _>("body")
            }
        });
        let error = error.await.unwrap_err();
        assert_eq!((error.first(), error.others().len()), (&"body", 0));
        assert_eq!(trace.take(), ["child dropped"]);
    });
}

#[test]
fn children_of_a_body_that_fails_at_once_never_run() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let error = TaskGroup::<(), _>::scope(|group| {
            let trace = trace.clone();
            async move {
                let inside = trace.clone();
                group
                    .spawn(async move {
                        inside.note("began");
                        Ok(())
                    })
                    .unwrap();
                Err::<(), _>("body")
            }
        });
        assert_eq!(error.await.unwrap_err().into_first(), "body");
        yield_now().await;
        assert_eq!(trace.take(), Vec::<String>::new());
    });
}

#[test]
fn nested_groups_unwind_when_the_outer_is_cancelled() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let task = spawn(async move {
            let outer = TaskGroup::<(), Error>::scope(|outer| async move {
                outer.spawn(sleeper(&inside, "outer child")).unwrap();
                let failing = inside.clone();
                let inner = TaskGroup::<(), Error>::scope(|inner| async move {
                    inner.spawn(sleeper(&failing, "inner child")).unwrap();
                    // Fails in the very round of the cancel: it must not mask that.
                    inner.spawn(fail_after(10, "inner")).unwrap();
                    pending::<Result<(), Error>>().await
                });
                inner.await.map_err(GroupError::into_first)
            });
            outer.await
        });
        yield_now().await;
        yield_now().await;
        sleep(ms(10)).await;
        task.cancel();
        assert_eq!(trace.take(), ["inner child dropped", "outer child dropped"]);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_failing_child_of_the_outer_group_drops_the_inner_one() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let error = TaskGroup::<(), Error>::scope(|outer| {
            let trace = trace.clone();
            async move {
                outer.spawn(fail_after(10, "outer child")).unwrap();
                let inner = TaskGroup::<(), Error>::scope(|inner| async move {
                    inner.spawn(sleeper(&trace, "inner child")).unwrap();
                    pending::<Result<(), Error>>().await
                });
                inner.await.map_err(GroupError::into_first)?;
                Ok(())
            }
        });
        assert_eq!(error.await.unwrap_err().into_all(), ["outer child"], "one flat error");
        assert_eq!(trace.take(), ["inner child dropped"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn the_error_of_an_inner_group_reaches_the_outer_one() {
    #[derive(Debug, PartialEq)]
    enum Failed {
        Inner(GroupError<Error>),
    }
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let sibling = sleeper::<(), _>(&trace, "outer child").map(|result| result.map_err(|_| unreachable!()));
        let outer = TaskGroup::scope(|outer| async move {
            outer.spawn(sibling).unwrap();
            let inner = TaskGroup::scope(|inner| async move {
                inner.spawn(fail_after(10, "inner child")).unwrap();
                pending::<Result<(), Error>>().await
            });
            inner.await.map_err(Failed::Inner)
        });
        let Failed::Inner(inner) = outer.await.unwrap_err().into_first();
        assert_eq!(inner.first(), &"inner child");
        assert_eq!(trace.take(), ["outer child dropped"]);
    });
}

#[test]
fn an_empty_group_whose_body_is_cancelled_ends() {
    virtual_loop().block_on(async {
        let empty = TaskGroup::<(), Error>::scope(|_| pending::<Result<(), Error>>());
        let task = spawn(empty);
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());

        let never_polled = TaskGroup::<(), Error>::scope(|_| pending::<Result<(), Error>>());
        drop(never_polled);
    });
}

#[test]
fn the_errors_of_body_and_child_are_both_reported() {
    virtual_loop().block_on(async {
        let error = TaskGroup::<(), _>::scope(|group| async move {
            group.spawn(fail_after(10, "child")).unwrap();
            yield_now().await; // the child's timer is set before the body's
            sleep(ms(10)).await;
            Err::<(), _>("body")
        });
        let error = error.await.unwrap_err();
        assert_eq!((error.first(), error.others()), (&"body", &["child"][..]));
        assert_eq!(error.to_string(), "body (and one more error in the same group)");
    });
}

#[test]
fn children_that_fail_in_the_same_round_are_all_reported() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let group = TaskGroup::new();
        group.spawn(fail_after(10, "one")).unwrap();
        group.spawn(sleeper(&trace, "sibling")).unwrap();
        group.spawn(fail_after(11, "too late")).unwrap();
        group.spawn(fail_after(10, "two")).unwrap();
        group.spawn(fail_after(10, "three")).unwrap();
        let error = group.join().await.unwrap_err();
        assert_eq!(error.others(), ["two", "three"]);
        assert_eq!(error.to_string(), "one (and 2 more errors in the same group)");
        assert_eq!(error.into_all(), ["one", "two", "three"]);
        assert_eq!(trace.take(), ["sibling dropped"]);
    });
}

#[test]
fn a_panicking_child_cancels_its_siblings_and_panics_at_the_await() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let scope = spawn(TaskGroup::<(), Error>::scope(|group| async move {
            group.spawn(sleeper(&inside, "sibling")).unwrap();
            group.spawn(async { panic!("child") }).unwrap();
            let _body = inside.at_drop("body");
            pending::<Result<(), Error>>().await
        }));
        assert_eq!(message(scope.await.unwrap_err()), "child");
        assert_eq!(trace.take(), ["sibling dropped", "body dropped"]);

        let mut group = TaskGroup::<(), Error>::new();
        group.spawn(sleeper(&trace, "sibling")).unwrap();
        group.spawn(async { panic!("child") }).unwrap();
        let panicked = AssertUnwindSafe(group.next()).catch_unwind().await.unwrap_err();
        assert_eq!(*panicked.downcast::<&str>().unwrap(), "child");
        assert_eq!(trace.take(), ["sibling dropped"]);
        assert_eq!(group.next().await, None, "the panic is told once");
    });
}

#[test]
fn a_panic_weighs_more_than_an_error() {
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), Error>::new();
        group.spawn(async { Err("an error first") }).unwrap();
        group.spawn(async { panic!("then a panic") }).unwrap();
        group.spawn(async { panic!("and another") }).unwrap();
        let joined = spawn(group.join());
        assert_eq!(message(joined.await.unwrap_err()), "then a panic");
    });
}

#[test]
fn outputs_beside_an_error_whose_destructors_panic_harm_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb");
        }
    }
    let (result, panics) = panics_during(|| {
        virtual_loop().block_on(async {
            let group = TaskGroup::new();
            for _ in 0..2 {
                group.spawn(async { Ok(Bomb) }).unwrap();
            }
            group.spawn(async { Err("the third fails") }).unwrap();
            let failed = group.join().await.map(|_| ()).unwrap_err();
            // A group that is dropped with values in it is another way to the same place.
            let dropped = TaskGroup::<Bomb, &str>::new();
            for _ in 0..2 {
                dropped.spawn(async { Ok(Bomb) }).unwrap();
            }
            yield_now().await;
            assert!(dropped.is_empty());
            drop(dropped);
            failed.into_first()
        })
    });
    assert_eq!(result.unwrap(), "the third fails");
    assert_eq!(panics.len(), 4);
}

#[test]
fn a_panicking_body_cancels_the_children() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let scope = spawn(TaskGroup::<(), Error>::scope(|group| async move {
            group.spawn(sleeper(&inside, "child")).unwrap();
            yield_now().await;
            if true {
                panic!("body");
            }
            Ok(())
        }));
        assert_eq!(message(scope.await.unwrap_err()), "body");
        assert_eq!(trace.take(), ["child dropped"]);
    });
}

#[test]
fn a_panic_in_a_destructor_during_the_abort_is_not_lost() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let scope = spawn(TaskGroup::<(), Error>::scope(|group| async move {
            group.spawn(sleeper(&inside, "before")).unwrap();
            group
                .spawn(async {
                    let _bomb = Bomb;
                    pending().await
                })
                .unwrap();
            group.spawn(sleeper(&inside, "after")).unwrap();
            yield_now().await;
            Err::<(), _>("body")
        }));
        assert_eq!(message(scope.await.unwrap_err()), "in the destructor");
        assert_eq!(trace.take(), ["before dropped", "after dropped"]);
        assert_eq!(all_tasks().len(), 1, "the count of children came down to none");
    });
}

#[test]
fn finished_children_are_forgotten() {
    virtual_loop().block_on(async {
        let (most, children) = TaskGroup::scope(|group| async move {
            let mut most = 0;
            for _ in 0..1000 {
                group.spawn(async { Ok::<(), Error>(()) }).unwrap();
                group.spawn(async { Ok(()) }).unwrap();
                yield_now().await;
                most = most.max(all_tasks().len());
            }
            Ok(most)
        })
        .await
        .unwrap();
        assert_eq!(children.len(), 2000, "values without size, which take no room");
        assert_eq!(most, 1, "no child is left a round later");
    });
}

#[test]
fn children_add_children_and_the_group_waits_for_all() {
    async fn family(group: GroupHandle<u32, Error>, depth: u32) -> Result<u32, Error> {
        sleep(ms(1)).await;
        if depth < 3 {
            for _ in 0..2 {
                let child: Pin<Box<dyn Future<Output = _>>> = Box::pin(family(group.clone(), depth + 1));
                group.spawn(child).unwrap();
            }
        }
        Ok(depth)
    }
    virtual_loop().block_on(async {
        let group = TaskGroup::new();
        let begun = Instant::now();
        group.spawn(family(group.handle(), 0)).unwrap();
        assert_eq!(group.join().await.unwrap(), [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(begun.elapsed(), ms(4));
    });
}

#[test]
fn children_that_multiply_for_ever_end_when_one_fails() {
    // G5, G8
    virtual_loop().block_on(async {
        fn multiply(group: GroupHandle<(), Error>) -> Pin<Box<dyn Future<Output = Result<(), Error>>>> {
            Box::pin(async move {
                loop {
                    sleep(ms(1)).await;
                    // Refused once the group has failed; then this child is about to be dropped.
                    let _ = group.spawn(multiply(group.clone()));
                }
            })
        }
        let error = TaskGroup::scope(|group| async move {
            group.spawn(multiply(group.clone())).unwrap();
            group.spawn(fail_after(8, "enough")).unwrap();
            pending::<Result<(), Error>>().await
        });
        assert_eq!(error.await.unwrap_err().into_all(), ["enough"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn nothing_is_spawned_after_a_failure() {
    // G5
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), _>::new();
        group.spawn(sleeper(&trace, "sibling")).unwrap();
        group.spawn(async { Err("failed") }).unwrap();
        yield_now().await;
        yield_now().await;
        // Nobody has awaited the group: the spawn itself looks, and refuses.
        assert!(group.spawn(async { Ok(()) }).is_err());
        assert_eq!(trace.take(), ["sibling dropped"]);
        assert!(group.handle().spawn_named("late", async { Ok(()) }).is_err());
        assert_eq!(group.join().await.unwrap_err().into_all(), ["failed"]);
    });
}

#[test]
fn a_destructor_that_spawns_into_its_own_failing_group_is_refused() {
    // G8
    struct Spawner(GroupHandle<(), Error>, Rc<Cell<Option<Result<(), GroupClosed>>>>);
    impl Drop for Spawner {
        fn drop(&mut self) {
            self.1.set(Some(self.0.spawn(async { Ok(()) }).map(drop)));
        }
    }
    let answer = Rc::new(Cell::new(None));
    virtual_loop().block_on(async {
        let error = TaskGroup::scope(|group| {
            let spawner = Spawner(group.clone(), answer.clone());
            async move {
                group
                    .spawn(async move {
                        pending::<()>().await;
                        drop(spawner);
                        Ok(())
                    })
                    .unwrap();
                group.spawn(fail_after(1, "boom")).unwrap();
                Ok(())
            }
        });
        assert_eq!(error.await.unwrap_err().into_first(), "boom");
        assert_eq!(all_tasks().len(), 1);
    });
    let refused = answer.take().unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "the task group takes no more children: one has failed, or the group is over");
}

#[test]
fn a_refused_future_is_dropped_at_once() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), Error>::new();
        let handle = group.handle();
        drop(group);
        assert!(handle.spawn(sleeper(&trace, "refused")).is_err());
        assert_eq!(trace.take(), ["refused dropped"]);
    });
}

#[test]
fn a_handle_that_outlives_its_group_is_refused() {
    // S21: it does not bring the group back.
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), Error>::new();
        let leaked = group.handle().clone();
        group.join().await.unwrap();
        assert!(leaked.spawn(async { Ok(()) }).is_err());
        assert_eq!(format!("{leaked:?}"), "GroupHandle(of a group that is over)");

        let mut leaked = None;
        TaskGroup::<(), Error>::scope(|group| {
            leaked = Some(group);
            async { Ok(()) }
        })
        .await
        .unwrap();
        assert!(leaked.unwrap().spawn(async { Ok(()) }).is_err());
    });
}

#[test]
fn a_group_outside_a_loop_panics_with_the_cure() {
    let group = TaskGroup::<(), Error>::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| group.spawn(async { Ok(()) }))).unwrap_err();
    assert!(panicked.downcast_ref::<String>().unwrap().contains("needs a running loop"));
    assert_eq!(group.len(), 0);
}

#[test]
fn a_group_outlived_by_nothing_when_its_loop_ends() {
    let trace = Trace::default();
    let event_loop = virtual_loop();
    let group = event_loop.block_on(async {
        let group = TaskGroup::<(), Error>::new();
        group.spawn(sleeper(&trace, "child")).unwrap();
        yield_now().await;
        group
    });
    drop(event_loop);
    assert_eq!(trace.take(), ["child dropped"]);
    // The end of the loop cancelled the child, which is no failure.
    assert_eq!(virtual_loop().block_on(group.join()), Ok(vec![]));
}

#[test]
fn after_a_handled_failure_the_parent_goes_on_as_ever() {
    // G6, G10
    virtual_loop().block_on(async {
        let task = spawn(async {
            let group = TaskGroup::<(), _>::new();
            group.spawn(async { Err("handled") }).unwrap();
            assert!(group.join().await.is_err());
            let begun = Instant::now();
            sleep(ms(5)).await;
            begun.elapsed()
        });
        assert_eq!(task.await.unwrap(), ms(5));
    });
}

#[test]
fn a_handled_inner_failure_does_not_swallow_an_outer_cancel() {
    // G7, G10
    virtual_loop().block_on(async {
        let swallowed = Rc::new(Cell::new(false));
        let seen = swallowed.clone();
        let task = spawn(async move {
            let inner = TaskGroup::<(), Error>::scope(|inner| async move {
                inner.spawn(fail_after(5, "inner")).unwrap();
                pending::<Result<(), Error>>().await
            });
            assert!(inner.await.is_err());
            sleep(ms(5)).await;
            seen.set(true);
        });
        sleep(ms(7)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        sleep(ms(20)).await;
        assert!(!swallowed.get());
    });
}

#[test]
fn an_outer_failure_in_the_round_of_a_handled_inner_one_is_not_swallowed() {
    // G7
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let inside = trace.clone();
        let outer = TaskGroup::<(), Error>::scope(|outer| async move {
            outer.spawn(fail_after(5, "outer")).unwrap();
            let inner = TaskGroup::<(), Error>::scope(|inner| async move {
                inner.spawn(fail_after(5, "inner")).unwrap();
                pending::<Result<(), Error>>().await
            });
            assert_eq!(inner.await.unwrap_err().into_all(), ["inner"]);
            // By now the outer group has failed as well: this wait is the body's last.
            sleep(ms(1)).await;
            inside.note("went on");
            Ok(())
        });
        assert_eq!(outer.await.unwrap_err().into_all(), ["outer"]);
        sleep(ms(5)).await;
        assert_eq!(trace.take(), Vec::<String>::new());
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn a_group_keeps_nothing_of_its_errors() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        for name in ["join", "next"] {
            let mut group = TaskGroup::<(), NoteDrop>::new();
            let handle = group.handle();
            let error = trace.at_drop(name);
            group.spawn(async { Err(error) }).unwrap();
            let error = match name {
                "next" => group.next().await.unwrap().unwrap_err(),
                _ => group.join().await.unwrap_err().into_first(),
            };
            assert_eq!(trace.take(), Vec::<String>::new());
            drop(error);
            assert_eq!(trace.take(), [format!("{name} dropped")]);
            drop(handle);
        }
        // Nor of values and errors that nobody asked for.
        let group = TaskGroup::<NoteDrop, NoteDrop>::new();
        let (value, error) = (trace.at_drop("value"), trace.at_drop("error"));
        group.spawn(async { Ok(value) }).unwrap();
        group.spawn(async { Err(error) }).unwrap();
        yield_now().await;
        drop(group);
        assert_eq!(trace.take(), ["value dropped", "error dropped"]);
    });
}

#[test]
fn a_child_that_spawned_a_failing_one_is_cancelled_itself() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let error = TaskGroup::<(), Error>::scope(|group| {
            let (inner, trace) = (group.clone(), trace.clone());
            async move {
                group
                    .spawn(async move {
                        inner.spawn(async { Err("grandchild") }).unwrap();
                        sleeper(&trace, "child").await
                    })
                    .unwrap();
                Ok(())
            }
        });
        assert_eq!(error.await.unwrap_err().into_all(), ["grandchild"]);
        assert_eq!(trace.take(), ["child dropped"]);
    });
}

#[test]
fn a_child_that_notices_the_failure_by_a_spawn_ends_at_its_next_await() {
    // G8: the group is aborted from within a child's own turn.
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), Error>::new();
        let (handle, inside) = (group.handle(), trace.clone());
        group.spawn(async { Err("first") }).unwrap();
        group
            .spawn(async move {
                assert!(handle.spawn(async { Ok(()) }).is_err(), "the sibling failed in this round");
                inside.note("still in its turn");
                sleeper(&inside, "it").await
            })
            .unwrap();
        assert_eq!(group.join().await.unwrap_err().into_all(), ["first"]);
        assert_eq!(trace.take(), ["still in its turn", "it dropped"]);
    });
}

#[test]
fn a_child_that_cancels_its_group_at_once_hangs_nothing() {
    // G9
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let parent = Rc::new(RefCell::new(None::<roundel::JoinHandle<()>>));
        let (to_cancel, inside) = (parent.clone(), trace.clone());
        let task = spawn(async move {
            let scope = TaskGroup::<(), Error>::scope(|group| async move {
                group.spawn(sleeper(&inside, "sibling")).unwrap();
                group
                    .spawn(async move {
                        to_cancel.borrow().as_ref().unwrap().cancel();
                        inside.note("cancelled it");
                        sleeper(&inside, "culprit").await
                    })
                    .unwrap();
                pending::<Result<(), Error>>().await
            });
            let _ = scope.await;
        });
        *parent.borrow_mut() = Some(task);
        for _ in 0..4 {
            yield_now().await;
        }
        assert_eq!(trace.take(), ["sibling dropped", "cancelled it", "culprit dropped"]);
        let task = parent.borrow_mut().take().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(all_tasks().len(), 1);
    });
}

#[test]
fn an_outer_timeout_is_not_swallowed() {
    // G10
    virtual_loop().block_on(async {
        let outer = timeout(ms(10), async {
            let group = TaskGroup::<(), _>::new();
            group.spawn(fail_after(5, "handled")).unwrap();
            assert!(group.join().await.is_err());
            pending::<()>().await;
        });
        assert!(outer.await.is_err());

        let inner = timeout(ms(10), TaskGroup::<(), Error>::scope(|_| pending::<Result<(), Error>>()));
        assert!(inner.await.is_err());
    });
}

#[test]
fn children_know_their_names_and_spawn_sites() {
    virtual_loop().block_on(async {
        let group = TaskGroup::<(), Error>::new();
        let line = line!() + 1;
        group.spawn_named("worker", pending()).unwrap();
        let child = all_tasks().pop().unwrap();
        assert_eq!((child.name.as_deref(), child.site.line()), (Some("worker"), line));
        let line = line!() + 1;
        group.handle().spawn(pending()).unwrap();
        assert_eq!(all_tasks().pop().unwrap().site.line(), line);
        assert_eq!(format!("{group:?}"), "TaskGroup { running: 2, closed: false, .. }");
    });
}
