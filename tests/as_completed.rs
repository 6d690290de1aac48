//! Stories of `as_completed`: waiting for tasks that run already, whichever ends first. It is also
//! what asyncio's `wait` comes to: one `next` is FIRST_COMPLETED, `next` until an `Err` is
//! FIRST_EXCEPTION, `next` until `None` is ALL_COMPLETED, and a `timeout` around any of them is its timeout.
//!
//! Rows of section 9 of the asyncio semantics:
//!
//! | row | test |
//! |---|---|
//! | wait | `waiting_for_all_takes_as_long_as_the_slowest_and_no_time_the_second_time` |
//! | wait_duplicate_coroutines, as_completed_duplicate_coroutines | n/a: a handle is moved in, so it cannot be passed twice; one already used: `a_handle_that_gave_its_result_before_panics_with_the_cure` |
//! | wait_errors | `no_tasks_are_all_done_at_once`; n/a bad mode: there is no mode |
//! | wait_first_completed | `the_others_go_on_after_the_first` |
//! | wait_really_done | `two_that_end_in_the_same_round_are_both_there` |
//! | wait_first_exception, …_in_wait | `waiting_until_the_first_failure` |
//! | wait_with_exception | `a_panic_and_a_cancel_are_results_like_any` |
//! | wait_with_timeout, as_completed_with_timeout | `at_the_timeout_some_are_done_and_the_rest_run_on` |
//! | wait_concurrent_complete | `a_task_that_ends_at_the_deadline_is_done` |
//! | wait_with_iterator_of_tasks | `any_iterator_of_handles_will_do` |
//! | yield_wait_does_not_shield_cancel | `dropping_it_leaves_the_tasks_running` |
//! | as_completed | `results_come_in_order_of_completion` |
//! | as_completed_with_unused_timeout | `an_unused_timeout_does_not_hold_the_loop` |
//! | as_completed_reverse_wait | `a_next_dropped_half_way_loses_nothing` |
//! | as_completed_concurrent | n/a: `next` takes `&mut self`, so two cannot wait at once; distinct results: `results_come_in_order_of_completion` |
//! | as_completed_*_loop (2), invalid_args, wait_invalid_args | n/a: types |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use roundel::{Clock, EventLoop, Instant, JoinHandle, all_tasks, as_completed, sleep, spawn, timeout, yield_now};

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A task that sleeps so long and returns how long that was.
fn sleeper(n: u64) -> JoinHandle<u64> {
    spawn(async move {
        sleep(ms(n)).await;
        n
    })
}

#[test]
fn results_come_in_order_of_completion() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut done = as_completed([30, 10, 20, 20].map(sleeper));
        assert_eq!(done.len(), 4);
        let mut seen = Vec::new();
        while let Some(result) = done.next().await {
            seen.push((result.unwrap(), begun.elapsed()));
        }
        assert_eq!(seen, [(10, ms(10)), (20, ms(20)), (20, ms(20)), (30, ms(30))]);
        assert!(done.is_empty());
        assert!(done.next().await.is_none(), "and it stays so");
    });
}

#[test]
fn waiting_for_all_takes_as_long_as_the_slowest_and_no_time_the_second_time() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let tasks = [100, 150].map(sleeper);
        let mut done = as_completed(tasks);
        while done.next().await.is_some() {}
        assert_eq!(begun.elapsed(), ms(150));

        let finished = [sleeper(0), sleeper(0)];
        sleep(ms(1)).await;
        let mut again = as_completed(finished);
        assert_eq!(again.next().now_or_never().unwrap().unwrap().unwrap(), 0);
        assert_eq!(again.next().now_or_never().unwrap().unwrap().unwrap(), 0);
        assert_eq!(begun.elapsed(), ms(151));
    });
}

#[test]
fn no_tasks_are_all_done_at_once() {
    virtual_loop().block_on(async {
        assert!(as_completed(Vec::<JoinHandle<()>>::new()).next().now_or_never().unwrap().is_none());
    });
}

#[test]
fn the_others_go_on_after_the_first() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut done = as_completed([10_000, 100].map(sleeper));
        assert_eq!(done.next().await.unwrap().unwrap(), 100);
        assert_eq!((begun.elapsed(), done.len(), all_tasks().len()), (ms(100), 1, 2));
        assert_eq!(done.next().await.unwrap().unwrap(), 10_000);
    });
}

#[test]
fn two_that_end_in_the_same_round_are_both_there() {
    virtual_loop().block_on(async {
        let mut done = as_completed([sleeper(5), sleeper(7), sleeper(5)]);
        assert_eq!(done.next().await.unwrap().unwrap(), 5);
        assert_eq!(done.next().now_or_never().unwrap().unwrap().unwrap(), 5);
        assert!(done.next().now_or_never().is_none(), "the third still sleeps");
    });
}

#[test]
fn waiting_until_the_first_failure() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let failing = spawn(async {
            sleep(ms(20)).await;
            panic!("at 20")
        });
        let mut done = as_completed([sleeper(10), failing, sleeper(30)]);
        let mut good = Vec::new();
        let error = loop {
            match done.next().await.unwrap() {
                Ok(value) => good.push(value),
                Err(error) => break error,
            }
        };
        assert_eq!((good, error.to_string().as_str()), (vec![10], "task 1 panicked: at 20"));
        assert_eq!((begun.elapsed(), done.len()), (ms(20), 1));

        // One that had failed before is there at once.
        let failed = spawn(async { panic!("before") });
        yield_now().await;
        let mut done = as_completed([sleeper(10), failed]);
        assert!(done.next().now_or_never().unwrap().unwrap().unwrap_err().is_panic());
    });
}

#[test]
fn a_panic_and_a_cancel_are_results_like_any() {
    virtual_loop().block_on(async {
        let panicking = spawn(async { panic!("first") });
        let cancelled = spawn(pending::<u64>());
        let canceller = cancelled.cancel_handle();
        let mut done = as_completed([sleeper(9), cancelled, panicking]);
        assert!(done.next().await.unwrap().unwrap_err().is_panic());
        canceller.cancel();
        assert!(done.next().await.unwrap().unwrap_err().is_cancelled());
        assert_eq!(done.next().await.unwrap().unwrap(), 9);
    });
}

#[test]
fn at_the_timeout_some_are_done_and_the_rest_run_on() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut done = as_completed([100, 150].map(sleeper));
        let mut in_time = Vec::new();
        let all = timeout(ms(110), async {
            while let Some(result) = done.next().await {
                in_time.push(result.unwrap());
            }
        });
        assert!(all.await.is_err());
        assert_eq!((in_time, begun.elapsed(), done.len()), (vec![100], ms(110), 1));
        assert_eq!(done.next().await.unwrap().unwrap(), 150);
        assert_eq!(begun.elapsed(), ms(150));
    });
}

#[test]
fn a_task_that_ends_at_the_deadline_is_done() {
    virtual_loop().block_on(async {
        let mut done = as_completed([sleeper(150), sleeper(100)]);
        yield_now().await; // the sleepers set their timers first
        assert_eq!(timeout(ms(100), done.next()).await.unwrap().unwrap().unwrap(), 100);
        assert_eq!(done.len(), 1);
    });
}

#[test]
fn any_iterator_of_handles_will_do() {
    virtual_loop().block_on(async {
        let mut done = as_completed((1..=3).rev().map(sleeper).filter(|_| true));
        let mut seen = Vec::new();
        while let Some(result) = done.next().await {
            seen.push(result.unwrap());
        }
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn an_unused_timeout_does_not_hold_the_loop() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut done = as_completed([sleeper(10)]);
        assert!(timeout(ms(1000), done.next()).await.is_ok());
        assert_eq!(begun.elapsed(), ms(10));
        sleep(ms(1)).await;
        assert_eq!(begun.elapsed(), ms(11));
    });
}

#[test]
fn a_next_dropped_half_way_loses_nothing() {
    virtual_loop().block_on(async {
        let mut done = as_completed([sleeper(20), sleeper(10)]);
        assert!(timeout(ms(5), done.next()).await.is_err());
        assert!(timeout(ms(1), done.next()).await.is_err());
        sleep(ms(100)).await;
        assert_eq!(done.next().await.unwrap().unwrap(), 10);
        assert_eq!(done.next().await.unwrap().unwrap(), 20);
    });
}

#[test]
fn dropping_it_leaves_the_tasks_running() {
    virtual_loop().block_on(async {
        let finished = Rc::new(Cell::new(0));
        let tasks = (1..=3).map(|n| {
            let finished = finished.clone();
            spawn(async move {
                sleep(ms(n)).await;
                finished.set(finished.get() + 1);
            })
        });
        let mut done = as_completed(tasks);
        done.next().await.unwrap().unwrap();
        drop(done);
        sleep(ms(10)).await;
        assert_eq!(finished.get(), 3);
    });
}

#[test]
fn a_task_awaited_before_may_be_passed_in_later() {
    virtual_loop().block_on(async {
        let mut task = sleeper(10);
        assert!(timeout(ms(1), &mut task).await.is_err());
        assert_eq!(as_completed([task]).next().await.unwrap().unwrap(), 10);
    });
}

#[test]
fn a_handle_that_gave_its_result_before_panics_with_the_cure() {
    virtual_loop().block_on(async {
        let mut task = sleeper(1);
        (&mut task).await.unwrap();
        let used = spawn(async move { as_completed([task]).next().await.is_some() });
        assert!(used.await.unwrap_err().to_string().contains("pass each only once"));
    });
}

#[test]
fn tasks_of_a_loop_that_ended_are_cancelled() {
    let short_lived = virtual_loop();
    let mut done = short_lived.block_on(async { as_completed([sleeper(1)]) });
    drop(short_lived);
    assert!(virtual_loop().block_on(done.next()).unwrap().unwrap_err().is_cancelled());
}
