//! Stories of `sleep`, `timeout`, `timeout_at`, `Sleep::reset` and `interval`.
//!
//! Rows of section 8 of the asyncio semantics:
//!
//! | row | test |
//! |---|---|
//! | basic, at_basic | `a_long_sleep_under_a_short_limit_elapses_at_the_deadline` |
//! | nested_timeouts | `of_two_nested_limits_with_one_deadline_exactly_one_reports` |
//! | waiter_cancelled, wait_for, waits_for_task_cancellation ×2 | `the_inner_future_is_dropped_before_elapsed_comes_out` |
//! | not_called | `a_future_that_is_early_leaves_no_timer_behind` |
//! | disabled ×2, wait_for_blocking | `no_limit_waits_for_ever` |
//! | zero, zero_sleep_zero, in_the_past | `a_limit_of_zero_or_in_the_past_allows_one_poll` |
//! | foreign_exception_passed | `the_futures_own_error_passes_untouched` |
//! | foreign_exception_on_timeout | `a_panic_in_the_inner_destructor_wins_over_elapsed` |
//! | foreign_cancel_doesnt_timeout, cancel_blocking_wait_for, cancel_wait_for | `a_cancel_from_outside_is_no_timeout_and_drops_the_inner_future` |
//! | outer_task_is_not_cancelled | `a_task_that_handled_elapsed_ends_normally` |
//! | nested_concurrent, nested_loop_busy | `when_both_limits_are_past_the_inner_reports_and_then_the_outer` |
//! | reschedule | `a_limit_can_be_moved_and_removed` |
//! | repr ×4, exception_cause | n/a: Python only |
//! | nested_timeout_in_finally, timeout_after_cancellation, cancel_in_timeout_after_cancellation | `clean_up_after_elapsed_has_a_limit_of_its_own` |
//! | already_entered, double_enter, finished, expired, expiring, not_entered, without_task | n/a: types; outside a loop: `outside_a_loop_everything_panics_with_the_cure` |
//! | wait_for cancelled / timeout with a task that refuses to stop | `a_task_behind_a_handle_goes_on_after_elapsed` |
//! | timeout ≤ 0, already done future | `a_limit_of_zero_or_in_the_past_allows_one_poll` |
//! | timeout ≤ 0, not started | `a_limit_of_zero_or_in_the_past_allows_one_poll` (decided: the body is polled once) |
//! | timeout ≤ 0, running task | `a_limit_of_zero_or_in_the_past_allows_one_poll`, `a_task_behind_a_handle_goes_on_after_elapsed` |
//! | race_condition | `a_result_that_comes_at_the_deadline_wins` |
//! | cancellation_race, reraises_exception_during_cancellation, self_cancellation | n/a: a cancel is a drop |
//!
//! What the bug catalogue's rows about timers come to stands in `tests/CATALOGUE.md`.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::{FutureExt, poll};
use roundel::sync::oneshot;
use roundel::{Clock, Elapsed, Event, EventLoop, Instant, Interval, MissedTicks, Observer, Sleep};
use roundel::{all_tasks, gather, interval, sleep, sleep_until, spawn, timeout, timeout_at, yield_now};
use support::{Trace, millis as ms, virtual_loop};

/// A loop whose clock only moves by hand, and that clock.
fn manual_loop() -> (EventLoop, Clock) {
    let clock = Clock::manual();
    (EventLoop::builder().clock(clock.clone()).build().unwrap(), clock)
}

/// A waker that counts.
#[derive(Default)]
struct Spy(AtomicUsize);

impl Wake for Spy {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Spy {
    fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn poll(self: &Arc<Self>, future: &mut (impl Future + Unpin)) -> bool {
        let waker = Waker::from(self.clone());
        future.poll_unpin(&mut Context::from_waker(&waker)).is_ready()
    }
}

// --- timeout ---

#[test]
fn a_long_sleep_under_a_short_limit_elapses_at_the_deadline() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        assert!(timeout(ms(10), sleep(ms(10_000))).await.is_err());
        assert_eq!(begun.elapsed(), ms(10));

        let deadline = Instant::now() + ms(10);
        let elapsed = timeout_at(deadline, sleep(ms(10_000))).await.unwrap_err();
        assert_eq!(Instant::now(), deadline);
        assert_eq!(elapsed.to_string(), "the time limit was reached");
        assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(sleep_until(deadline).deadline(), deadline);
    });
}

#[test]
fn the_limit_counts_from_the_call() {
    virtual_loop().block_on(async {
        let limited = timeout(ms(10), pending::<()>());
        sleep(ms(8)).await;
        let begun = Instant::now();
        assert!(limited.await.is_err());
        assert_eq!(begun.elapsed(), ms(2));
    });
}

#[test]
fn of_two_nested_limits_with_one_deadline_exactly_one_reports() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let nested = timeout(ms(10), timeout(ms(10), pending::<()>())).await;
        // The outer one polls its future first, so the inner one is heard.
        assert!(matches!(nested, Ok(Err(_))));
        assert_eq!(begun.elapsed(), ms(10));
        assert!(timeout(ms(5), timeout(ms(10), pending::<()>())).await.is_err());
    });
}

#[test]
fn the_inner_future_is_dropped_before_elapsed_comes_out() {
    // G3
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let dropped = trace.at_drop("inner");
        let elapsed = timeout(ms(1), async move {
            pending::<()>().await;
            drop(dropped);
        })
        .await;
        assert_eq!(trace.take(), ["inner dropped"]);
        assert!(elapsed.is_err());
    });
}

#[test]
fn a_future_that_is_early_leaves_no_timer_behind() {
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        let spy = Arc::<Spy>::default();
        let mut limited = Box::pin(timeout(ms(10), yield_now()));
        assert!(!spy.poll(&mut limited));
        assert_eq!((spy.wakes(), Arc::strong_count(&spy)), (1, 2), "the timer holds a waker");
        assert!(spy.poll(&mut limited));
        assert_eq!(Arc::strong_count(&spy), 1, "and is gone");
        clock.advance(ms(100));
        yield_now().await;
        assert_eq!(spy.wakes(), 1);
    });
}

#[test]
fn no_limit_waits_for_ever() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        assert_eq!(timeout(None, sleep(ms(1_000_000)).map(|()| 7)).await, Ok(7));
        assert_eq!(begun.elapsed(), ms(1_000_000));
        assert_eq!(timeout(Some(ms(1)), pending::<()>()).await.ok(), None);
        assert_eq!(timeout_at(Instant::FAR, async { 8 }).await, Ok(8));
    });
}

#[test]
fn a_limit_of_zero_or_in_the_past_allows_one_poll() {
    // On both clocks: on the real one the deadline lies after the turn's beginning.
    for event_loop in [virtual_loop(), EventLoop::new().unwrap()] {
        event_loop.block_on(async {
            let past = Instant::now() - ms(1);
            assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1), "a body that needs no more is done");
            assert_eq!(timeout_at(past, async { 2 }).await, Ok(2));
            assert!(timeout(Duration::ZERO, yield_now()).await.is_err());
            assert!(timeout_at(past, yield_now()).await.is_err());
            assert!(timeout(Duration::ZERO, sleep(Duration::ZERO)).await.is_err());
            assert!(timeout(Duration::ZERO, pending::<()>()).now_or_never().unwrap().is_err(), "at its first poll");
        });
    }
}

#[test]
fn the_futures_own_error_passes_untouched() {
    virtual_loop().block_on(async {
        let failing = async {
            sleep(ms(1)).await;
            Err::<(), _>("its own")
        };
        assert_eq!(timeout(ms(10), failing).await, Ok(Err("its own")));
    });
}

#[test]
fn a_panic_in_the_inner_destructor_wins_over_elapsed() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("cleaning up");
        }
    }
    virtual_loop().block_on(async {
        let task = spawn(async {
            timeout(ms(1), async {
                let _bomb = Bomb;
                pending::<()>().await;
            })
            .await
        });
        assert!(task.await.unwrap_err().to_string().ends_with("panicked: cleaning up"));
    });
}

#[test]
fn a_cancel_from_outside_is_no_timeout_and_drops_the_inner_future() {
    // G1, G4
    let trace = Trace::default();
    virtual_loop().block_on(async {
        for limit in [Some(ms(10)), None] {
            let (inside, dropped) = (trace.clone(), trace.at_drop("inner"));
            let task = spawn(async move {
                let _ = timeout(limit, async move {
                    pending::<()>().await;
                    drop(dropped);
                })
                .await;
                inside.note("went on");
            });
            // The limit is reached in the same round as the cancel comes.
            yield_now().await;
            sleep(ms(10)).await;
            if limit.is_some() {
                assert_eq!(trace.take(), ["inner dropped", "went on"], "its timer was the earlier one");
                assert!(!task.cancel());
                continue;
            }
            assert!(task.cancel());
            assert_eq!(trace.take(), ["inner dropped"]);
            assert!(task.await.unwrap_err().is_cancelled());
        }
        // The other way round: the cancel comes first, and there is no Elapsed to be seen.
        let inside = trace.clone();
        let (canceller, cancelled) =
            (Rc::new(RefCell::new(None::<roundel::JoinHandle<()>>)), Rc::new(Cell::new(false)));
        let (handle, done) = (canceller.clone(), cancelled.clone());
        let _detached = spawn(async move {
            sleep(ms(10)).await;
            done.set(handle.borrow().as_ref().unwrap().cancel());
        });
        *canceller.borrow_mut() = Some(spawn(async move {
            let _ = timeout(ms(10), pending::<()>()).await;
            inside.note("went on");
        }));
        sleep(ms(20)).await;
        assert!(cancelled.get());
        assert_eq!(trace.take(), Vec::<String>::new());
    });
}

#[test]
fn a_cancel_in_the_turn_in_which_the_inner_future_is_done_still_cancels() {
    // G1: the value is on its way, the task is woken for it, and then the cancel comes.
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let (sender, receiver) = oneshot::channel();
        let inside = trace.clone();
        let task = spawn(async move {
            let _ = timeout(ms(10), receiver).await;
            inside.note("went on");
        });
        yield_now().await;
        sender.send(trace.at_drop("the value")).unwrap();
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(trace.take(), ["the value dropped"]);
    });
}

#[test]
fn a_task_that_handled_elapsed_ends_normally() {
    virtual_loop().block_on(async {
        let task = spawn(async {
            assert!(timeout(ms(1), pending::<()>()).await.is_err());
            sleep(ms(1)).await;
            "normally"
        });
        assert_eq!(task.await.unwrap(), "normally");
    });
}

#[test]
fn when_both_limits_are_past_the_inner_reports_and_then_the_outer() {
    let (event_loop, clock) = manual_loop();
    let trace = Trace::default();
    event_loop.block_on(async {
        let outer = timeout(ms(20), async {
            let inner = timeout(ms(10), async {
                clock.advance(ms(50)); // the loop is busy past both deadlines
                yield_now().await;
                pending::<()>().await;
            });
            assert!(inner.await.is_err());
            trace.note("inner reported");
            yield_now().await;
            trace.note("not reached");
        });
        assert!(outer.await.is_err());
    });
    assert_eq!(trace.take(), ["inner reported"]);
}

#[test]
fn a_limit_can_be_moved_and_removed() {
    // T34
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let limit = Rc::new(RefCell::new(sleep(ms(10))));
        let shared = limit.clone();
        let waiter = spawn(async move {
            poll_fn(|cx| shared.borrow_mut().poll_unpin(cx)).await;
            begun.elapsed()
        });
        sleep(ms(5)).await;
        limit.borrow_mut().reset(begun + ms(100)); // later, by somebody else than who waits
        sleep(ms(50)).await;
        assert!(!waiter.is_finished());
        limit.borrow_mut().reset(Instant::FAR); // removed
        sleep(ms(1_000)).await;
        assert!(!waiter.is_finished() && !limit.borrow().is_elapsed());
        limit.borrow_mut().reset(begun + ms(2_000)); // and back again
        assert_eq!(waiter.await.unwrap(), ms(2_000));
        assert!(limit.borrow().is_elapsed());
    });
}

#[test]
fn clean_up_after_elapsed_has_a_limit_of_its_own() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        assert!(timeout(ms(10), pending::<()>()).await.is_err());
        assert_eq!(timeout(ms(10), sleep(ms(5))).await, Ok(()));
        assert!(timeout(ms(10), pending::<()>()).await.is_err());
        assert_eq!(begun.elapsed(), ms(25));
    });
}

#[test]
fn a_task_behind_a_handle_goes_on_after_elapsed() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut task = spawn(async {
            sleep(ms(50)).await;
            "its work"
        });
        assert!(timeout(Duration::ZERO, &mut task).await.is_err());
        assert!(timeout(ms(10), &mut task).await.is_err());
        assert_eq!(begun.elapsed(), ms(10), "at once, not when the task is over");
        assert_eq!(task.await.unwrap(), "its work");
    });
}

#[test]
fn a_result_that_comes_at_the_deadline_wins() {
    // G2
    virtual_loop().block_on(async {
        assert_eq!(timeout(ms(10), sleep(ms(10)).map(|()| "in time")).await, Ok("in time"));
        // Also if the result is made by another task in the round that the limit is reached in.
        let task = spawn(async {
            sleep(ms(10)).await;
            "in time"
        });
        yield_now().await;
        assert_eq!(timeout(ms(10), task).await.unwrap().unwrap(), "in time");
    });
}

#[test]
fn a_future_that_never_rests_is_stopped_at_its_limit() {
    // T28, G3
    EventLoop::new().unwrap().block_on(async {
        let restless = async {
            loop {
                yield_now().await;
            }
        };
        let stopped: Result<(), Elapsed> = timeout(ms(2), restless).await;
        assert!(stopped.is_err());
    });
}

// --- sleep ---

#[test]
fn the_longest_sleep_pends_for_ever_and_cancels_cleanly() {
    // T1, T2, T10
    virtual_loop().block_on(async {
        for far in [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_secs(1 << 40)] {
            let mut never = pin!(sleep(far));
            assert!(poll!(never.as_mut()).is_pending());
            assert_eq!(never.deadline(), Instant::FAR);
            sleep(ms(1)).await;
            assert!(poll!(never.as_mut()).is_pending() && !never.is_elapsed());
            assert_eq!(timeout(far, async { 1 }).await, Ok(1));
            assert_eq!(timeout(far, sleep(ms(1)).map(|()| 2)).await, Ok(2));
            assert!(timeout(ms(1), timeout(far, pending::<()>())).await.is_err());
        }
    });
}

#[test]
fn at_the_end_of_time_what_never_comes_has_not_come() {
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        let mut never = pin!(sleep(Duration::MAX));
        assert!(poll!(never.as_mut()).is_pending());
        clock.advance(Duration::MAX);
        assert!(poll!(never.as_mut()).is_pending());
        assert!(poll!(pin!(sleep(Duration::MAX))).is_pending());
    });
}

#[test]
fn deadlines_at_every_edge_of_the_wheel_are_met_to_the_millisecond() {
    // T9, T12, T13
    let mut edges = vec![1, 2];
    for level in 1..=6 {
        let span = 64_u64.pow(level);
        edges.extend([span - 1, span, span + 1, 2 * span]);
    }
    virtual_loop().block_on(async {
        for edge in edges {
            let begun = Instant::now();
            sleep(ms(edge)).await;
            assert_eq!(begun.elapsed(), ms(edge));
            // From an uneven moment too.
            sleep(ms(edge % 97)).await;
        }
    });
    // Close to the end of time: 18 digits of nanoseconds before it, and the last but one.
    for before_the_end in [1_000_000_000_000_000_000, 2_000_000] {
        virtual_loop().block_on(async {
            let deadline = Instant::FAR - Duration::from_nanos(before_the_end);
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline && Instant::now() - deadline < ms(1));
        });
    }
}

#[test]
fn deadlines_next_to_the_end_of_time_come_at_their_tick_or_never() {
    // T9, T10: none of them stands for something else.
    const TICK: u64 = 1_000_000;
    // The last millisecond of all time is a broken one: it never begins, so a deadline in it never comes.
    let broken = u64::MAX % TICK;
    let (event_loop, clock) = manual_loop();
    let near = [0, 1, 2, broken - 1, broken, broken + 1, broken + TICK - 1, broken + TICK, broken + TICK + 1];
    let before_the_end = |nanos| Instant::FAR - Duration::from_nanos(nanos);
    let tasks = near.map(|nanos| {
        let deadline = before_the_end(nanos);
        (u64::MAX - nanos, event_loop.spawn(async move { sleep_until(deadline).await }))
    });
    event_loop.turn();
    for nanos in near.into_iter().rev() {
        let now = u64::MAX - nanos;
        clock.advance(before_the_end(nanos) - clock.now());
        event_loop.turn();
        for (deadline, task) in &tasks {
            let comes = deadline.div_ceil(TICK).checked_mul(TICK).is_some_and(|tick| tick <= now);
            assert_eq!(task.is_finished(), comes, "{deadline} at {now}");
        }
    }
}

#[test]
fn many_random_sleeps_end_in_the_order_of_their_deadlines() {
    // T40, and T18: each one may be earlier than all before it.
    let mut random = fastrand::Rng::with_seed(7);
    let mut length = || {
        let most = 1 << random.u32(0..18);
        random.u64(0..most)
    };
    let lengths: Vec<u64> = (0..3000).map(|_| length()).collect();
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let ends = Trace::default();
        let sleepers = lengths.iter().map(|&length| {
            let ends = ends.clone();
            async move {
                sleep(ms(length)).await;
                assert_eq!(begun.elapsed(), ms(length), "neither early nor late");
                ends.note(length);
            }
        });
        gather(sleepers).await;
        let mut sorted = lengths.clone();
        sorted.sort();
        assert_eq!(ends.take(), sorted.iter().map(u64::to_string).collect::<Vec<_>>());
    });
}

#[test]
fn equal_deadlines_end_in_the_order_of_the_waits() {
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let deadline = Instant::now() + ms(70);
        for name in ["a", "b", "c"] {
            let trace = trace.clone();
            let _detached = spawn(async move {
                sleep_until(deadline).await;
                trace.note(name);
            });
            sleep(ms(20)).await;
        }
        sleep(ms(20)).await;
    });
    assert_eq!(trace.take(), ["a", "b", "c"]);
}

#[test]
fn nothing_is_early_on_the_real_clock() {
    // T11
    let mut random = fastrand::Rng::with_seed(11);
    EventLoop::new().unwrap().block_on(async {
        for _ in 0..20 {
            let lengths: Vec<u64> = (0..8).map(|_| random.u64(0..2_000_000)).collect();
            gather(lengths.into_iter().map(|nanos| async move {
                let sleep = sleep(Duration::from_nanos(nanos));
                let deadline = sleep.deadline();
                sleep.await;
                assert!(Instant::now() >= deadline);
            }))
            .await;
        }
    });
}

#[test]
fn a_deadline_that_has_come_needs_no_wait() {
    // T12, on both clocks
    for event_loop in [virtual_loop(), EventLoop::new().unwrap()] {
        event_loop.block_on(async {
            assert!(sleep_until(Instant::now()).now_or_never().is_some());
            assert!(sleep_until(Instant::now() - ms(10)).now_or_never().is_some());
            let mut moved = sleep(ms(1_000_000));
            assert!(poll!(&mut moved).is_pending());
            moved.reset(Instant::now());
            assert!(poll!(&mut moved).is_ready());
            assert!(poll!(&mut moved).is_ready(), "and stays so");
        });
    }
}

#[test]
fn a_deadline_of_a_fraction_ends_at_the_next_millisecond_of_the_clock() {
    // T12, T14: no fraction falls between the clock's ticks and the wheel's.
    virtual_loop().block_on(async {
        let begun = Instant::now();
        sleep(Duration::from_micros(300)).await;
        assert_eq!(begun.elapsed(), ms(1));
        sleep(Duration::from_nanos(1)).await;
        assert_eq!(begun.elapsed(), ms(2));
        sleep(ms(3)).await;
        assert_eq!(begun.elapsed(), ms(5), "exact ones get nothing added");

        let mut random = fastrand::Rng::with_seed(14);
        for _ in 0..300 {
            let (begun, nanos) = (Instant::now(), random.u64(1..70_000_000));
            sleep(Duration::from_nanos(nanos)).await;
            assert_eq!(begun.elapsed(), ms(nanos.div_ceil(1_000_000)), "{nanos} ns");
        }
    });
}

#[test]
fn a_million_zero_sleeps_are_a_million_turns_and_no_waits() {
    // T32
    EventLoop::new().unwrap().block_on(async {
        let turns = Rc::new(Cell::new(0_u32));
        let counted = turns.clone();
        let other = spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        for _ in 0..1_000_000 {
            sleep(Duration::ZERO).await;
        }
        assert_eq!(turns.get(), 1_000_000, "one turn for the other task each time");
        other.cancel();
    });
}

#[test]
fn a_spinning_task_does_not_stall_a_timer() {
    // T23, T27, T29
    EventLoop::new().unwrap().block_on(async {
        let spinning = spawn(async {
            loop {
                sleep(Duration::ZERO).await;
            }
        });
        sleep(ms(2)).await;
        assert!(spinning.cancel());
    });
}

#[test]
fn a_sleep_compares_the_clock_itself_within_one_turn() {
    // T29
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        let mut sleep = pin!(sleep(ms(10)));
        assert!(poll!(sleep.as_mut()).is_pending());
        clock.advance(ms(9));
        assert!(poll!(sleep.as_mut()).is_pending());
        clock.advance(ms(1));
        assert!(poll!(sleep.as_mut()).is_ready(), "though the loop has not looked in between");
    });
}

#[test]
fn a_sleep_begun_after_a_long_computation_is_not_early() {
    // T22
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        let begun = Instant::now();
        clock.advance(ms(100)); // computing
        let mut sleep = pin!(sleep(ms(10)));
        assert_eq!(sleep.deadline(), begun + ms(110));
        assert!(poll!(sleep.as_mut()).is_pending());
        yield_now().await;
        assert!(poll!(sleep.as_mut()).is_pending());
        clock.advance(ms(10));
        sleep.await;
    });
}

#[test]
fn a_deadline_that_passes_between_the_call_and_the_await_is_met() {
    // T16: when the timer is set, its time has gone by on the clock, but not yet on the wheel.
    for late in [1, 63, 64, 65, 5000] {
        let (event_loop, clock) = manual_loop();
        let task = event_loop.spawn(async move {
            let short = sleep(ms(1));
            clock.advance(ms(late));
            short.await;
        });
        for _ in 0..3 {
            event_loop.turn();
        }
        assert!(task.is_finished(), "{late} ms late");
    }
}

#[test]
fn an_advance_wakes_what_is_due_in_order_and_nothing_else() {
    // T25
    let (event_loop, clock) = manual_loop();
    let trace = Trace::default();
    for n in [30, 10, 20, 40] {
        let trace = trace.clone();
        let _detached = event_loop.spawn(async move {
            sleep(ms(n)).await;
            trace.note(n);
        });
    }
    while event_loop.turn() {}
    for (step, woken) in [(5, vec![]), (24, vec!["10", "20"]), (1, vec!["30"]), (100, vec!["40"])] {
        let before = clock.now();
        clock.advance(ms(step));
        while event_loop.turn() {}
        assert_eq!(trace.take(), woken);
        assert_eq!(clock.now(), before + ms(step));
    }
}

#[test]
fn the_same_program_has_the_same_trace_twice() {
    // T26
    let run = || {
        let trace = Trace::default();
        virtual_loop().block_on(async {
            let sleepers = (0..20_u64).map(|n| {
                let trace = trace.clone();
                async move {
                    for k in 1..5 {
                        sleep(ms(n * 7 % 5 * k)).await;
                        trace.note(format!("{n} {k} {:?}", Instant::now()));
                    }
                }
            });
            gather(sleepers).await;
        });
        trace.take()
    };
    assert_eq!(run(), run());
}

#[test]
fn an_earlier_timer_shortens_the_wait() {
    // T16, T18
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let far = spawn(sleep(ms(1_000_000)));
        sleep(ms(1)).await;
        sleep(ms(3)).await;
        assert_eq!(begun.elapsed(), ms(4));
        assert!(far.cancel());
    });
}

/// Counts how often the loop goes to wait.
#[derive(Default)]
struct Parks(Cell<usize>);

impl Observer for Parks {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Parked { .. }) {
            self.0.set(self.0.get() + 1);
        }
    }
}

#[test]
fn a_wait_longer_than_the_system_can_count_is_no_short_one() {
    // T5, T6, T7, T8: just over 32 bits of milliseconds, nearly all of time, and what is cut off at its end.
    for long in [Duration::from_millis(1 << 32), Duration::from_secs(18_000_000_000), Duration::MAX] {
        let parks = Rc::new(Parks::default());
        let event_loop = EventLoop::builder().observer(parks.clone()).build().unwrap();
        let alarm = event_loop.block_on(async {
            let far = spawn(sleep(long));
            let mut alarm = None;
            poll_fn(|cx| match alarm {
                Some(_) => Poll::Ready(()),
                None => {
                    let waker = cx.waker().clone();
                    // Long enough for a loop that misread the wait to have spun many times.
                    alarm = Some(std::thread::spawn(move || {
                        std::thread::sleep(ms(50));
                        waker.wake();
                    }));
                    Poll::Pending
                }
            })
            .await;
            assert!(far.cancel());
            alarm
        });
        alarm.unwrap().join().unwrap();
        assert!(parks.0.get() <= 3, "{long:?}: waited {} times", parks.0.get());
    }
}

#[test]
fn a_very_long_wait_beside_a_very_short_one() {
    // T5, T8, T39
    EventLoop::new().unwrap().block_on(async {
        for long in [u64::MAX, u64::MAX / 10, 86_400 * 25].map(Duration::from_secs) {
            let far = spawn(sleep(long));
            sleep(Duration::from_nanos(1)).await;
            far.cancel();
            // With the far one alone the loop parks for as long as the system can be asked to.
            let mut woken = false;
            let patient = timeout(
                long,
                poll_fn(|cx| {
                    if std::mem::replace(&mut woken, true) {
                        return Poll::Ready(());
                    }
                    let waker = cx.waker().clone();
                    std::thread::spawn(move || waker.wake());
                    Poll::Pending
                }),
            );
            assert_eq!(patient.await, Ok(()));
        }
    });
}

#[test]
fn a_fraction_of_a_millisecond_is_slept_in_one_go() {
    // T24
    let parks = Rc::new(Parks::default());
    let event_loop = EventLoop::builder().observer(parks.clone()).build().unwrap();
    event_loop.block_on(async {
        for _ in 0..10 {
            sleep(Duration::from_micros(400)).await;
        }
    });
    assert!(parks.0.get() <= 20, "parked {} times for 10 sleeps", parks.0.get());
}

#[test]
fn a_loop_with_its_wheel_fits_a_small_thread() {
    // T38: an unoptimised build needs some room for its frames.
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    let slept = small.spawn(|| virtual_loop().block_on(async { sleep(ms(5)).await })).unwrap();
    slept.join().unwrap();
}

#[test]
fn a_sleep_dropped_in_the_batch_it_is_due_in_is_gone() {
    // T15
    let trace = Trace::default();
    virtual_loop().block_on(async {
        let victim = Rc::new(RefCell::new(None::<roundel::JoinHandle<()>>));
        let (inside, to_cancel) = (trace.clone(), victim.clone());
        let killer = spawn(async move {
            sleep(ms(5)).await;
            inside.note("first");
            to_cancel.borrow_mut().take().unwrap().cancel();
            sleep(ms(5)).await;
            inside.note("later");
        });
        let inside = trace.clone();
        *victim.borrow_mut() = Some(spawn(async move {
            sleep(ms(5)).await;
            inside.note("cancelled, not reached");
        }));
        killer.await.unwrap();
        assert_eq!(trace.take(), ["first", "later"]);
    });
}

#[test]
fn a_waker_may_drop_the_sleep_that_wakes_it() {
    // T15: from inside the wake itself.
    struct Dropper(RefCell<Option<Sleep>>);
    thread_local! {
        static SLEEP: Dropper = const { Dropper(RefCell::new(None)) };
    }
    struct DropIt;
    impl Wake for DropIt {
        fn wake(self: Arc<Self>) {
            SLEEP.with(|sleep| sleep.0.borrow_mut().take());
        }
    }
    virtual_loop().block_on(async {
        let mut doomed = sleep(ms(5));
        let waker = Waker::from(Arc::new(DropIt));
        assert!(doomed.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        SLEEP.with(|sleep| sleep.0.replace(Some(doomed)));
        sleep(ms(5)).await;
        SLEEP.with(|sleep| assert!(sleep.0.borrow().is_none()));
    });
}

#[test]
fn a_waker_may_drop_the_sleeps_that_are_due_with_it_and_after_it() {
    // T15: from inside another's wake.
    thread_local! { static SLEEPS: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) }; }
    struct DropThem;
    impl Wake for DropThem {
        fn wake(self: Arc<Self>) {
            drop(SLEEPS.take());
        }
    }
    virtual_loop().block_on(async {
        let waker = Waker::from(Arc::new(DropThem));
        let mut first = sleep(ms(5));
        assert!(first.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        let spies = [5, 6, 70, 5000].map(|due| {
            let (spy, mut doomed) = (Arc::<Spy>::default(), sleep(ms(due)));
            assert!(!spy.poll(&mut doomed));
            SLEEPS.with_borrow_mut(|sleeps| sleeps.push(doomed));
            spy
        });
        sleep(ms(10_000)).await;
        assert_eq!(spies.each_ref().map(Arc::strong_count), [1; 4]);
        // The one that was due with it had been taken out already: a wake for nothing is allowed there.
        assert_eq!(spies[1..].iter().map(|spy| spy.wakes()).sum::<usize>(), 0);
    });
}

#[test]
fn a_dropped_sleep_wakes_nobody() {
    // T30, and T19: one that was in no wheel yet takes no other timer out when it goes.
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        let spy = Arc::<Spy>::default();
        let mut dropped = sleep(ms(5));
        assert!(!spy.poll(&mut dropped));
        assert_eq!(Arc::strong_count(&spy), 2);
        drop(dropped);
        assert_eq!(Arc::strong_count(&spy), 1);
        let (neighbour, mut kept) = (Arc::<Spy>::default(), sleep(ms(5)));
        assert!(!neighbour.poll(&mut kept));
        drop(sleep(ms(5)));
        let mut moved = sleep(ms(5));
        moved.reset(Instant::now() + ms(5));
        drop(moved);
        clock.advance(ms(10));
        turn_of_the_loop().await;
        assert_eq!((spy.wakes(), neighbour.wakes()), (0, 1));
    });
}

#[test]
fn only_the_last_who_polled_is_woken() {
    // T31
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        for far in [false, true] {
            let (first, last) = (Arc::<Spy>::default(), Arc::<Spy>::default());
            let mut sleep = sleep(if far { Duration::MAX } else { ms(5) });
            assert!(!first.poll(&mut sleep) && !last.poll(&mut sleep));
            assert_eq!((Arc::strong_count(&first), Arc::strong_count(&last)), (1, 2));
            if far {
                sleep.reset(Instant::now() + ms(5));
            }
            clock.advance(ms(5));
            turn_of_the_loop().await;
            assert_eq!((first.wakes(), last.wakes()), (0, 1));
        }
    });
}

/// Long enough for the loop to have looked at its timers.
async fn turn_of_the_loop() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[test]
fn a_reset_to_the_past_wakes_whoever_waits() {
    // T17
    let (event_loop, _clock) = manual_loop();
    event_loop.block_on(async {
        for first in [ms(100), Duration::MAX] {
            let spy = Arc::<Spy>::default();
            let mut sleep = sleep(first);
            assert!(!spy.poll(&mut sleep));
            sleep.reset(Instant::now() - ms(1));
            assert_eq!((spy.wakes(), Arc::strong_count(&spy)), (1, 1));
            assert!(spy.poll(&mut sleep));
        }
    });
}

#[test]
fn a_reset_moves_the_deadline_forward_and_back_across_the_levels() {
    // T34
    let (event_loop, clock) = manual_loop();
    event_loop.block_on(async {
        let spy = Arc::<Spy>::default();
        let begun = Instant::now();
        let mut moved = sleep(ms(70));
        assert!(!spy.poll(&mut moved));
        for target in [5000, 63, 64, 300_000, 64, 64, 4096, 20] {
            moved.reset(begun + ms(target));
            assert!(!spy.poll(&mut moved));
        }
        clock.advance(ms(19));
        turn_of_the_loop().await;
        assert_eq!(spy.wakes(), 0);
        clock.advance(ms(1));
        turn_of_the_loop().await;
        assert_eq!(spy.wakes(), 1);
        assert!(spy.poll(&mut moved));
        // Again after it has passed; and none of the earlier deadlines is still armed.
        moved.reset(begun + ms(1_000_000));
        assert!(!spy.poll(&mut moved));
        clock.advance(ms(400_000));
        turn_of_the_loop().await;
        assert_eq!(spy.wakes(), 1);
        clock.advance(ms(600_000));
        turn_of_the_loop().await;
        assert_eq!(spy.wakes(), 2);
    });
}

#[test]
fn a_reset_zero_sleep_waits_for_its_new_deadline() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut sleep = sleep(Duration::ZERO);
        sleep.reset(begun + ms(3));
        sleep.await;
        assert_eq!(begun.elapsed(), ms(3));
    });
}

#[test]
fn a_waker_whose_destructor_panics_leaves_the_timers_in_order() {
    // T33
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the waker's destructor");
        }
    }
    virtual_loop().block_on(async {
        let mut doomed = sleep(ms(5));
        let waker = Waker::from(Arc::new(Bomb));
        assert!(doomed.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(doomed))).is_err());
        let begun = Instant::now();
        sleep(ms(5)).await;
        assert_eq!(begun.elapsed(), ms(5));
    });
}

#[test]
fn a_sleep_stays_with_the_loop_that_made_it() {
    // T20; one that is not due is refused: bad_use, a_sleep_that_is_awaited_in_another_loop_names_both_lines
    let (first, clock) = manual_loop();
    let slept = first.block_on(async {
        let mut slept = sleep(ms(5));
        assert!(poll!(&mut slept).is_pending());
        Some(slept)
    });
    clock.advance(ms(5));
    virtual_loop().block_on(async {
        assert!(poll!(slept.unwrap()).is_ready(), "by its own loop's clock");
    });
    let orphan = first.block_on(async { Some(sleep(ms(5))) });
    drop(first);
    let task = virtual_loop().block_on(async { spawn(orphan.unwrap()).await });
    let said = task.unwrap_err().to_string();
    assert!(said.contains("tests/timeouts.rs:") && said.contains("await it inside the loop that made it"), "{said}");
}

#[test]
fn outside_a_loop_everything_panics_with_the_cure() {
    let cures: [(&str, fn()); 5] = [
        ("sleep()", || drop(sleep(ms(1)))),
        ("sleep_until()", || drop(sleep_until(Instant::now()))),
        ("timeout()", || drop(timeout(ms(1), async {}))),
        ("timeout_at()", || drop(timeout_at(Instant::FAR, async {}))),
        ("interval()", || drop(interval(ms(1)))),
    ];
    for (name, call) in cures {
        let said = catch_unwind(call).unwrap_err().downcast::<String>().unwrap();
        assert!(said.starts_with(&format!("{name} needs a running loop: call it inside block_on()")), "{said}");
    }
}

#[test]
fn a_sleeping_task_says_what_it_waits_for() {
    virtual_loop().block_on(async {
        let sleeping = spawn(sleep(ms(5)));
        let limited = spawn(timeout(ms(5), spawn(sleep(ms(4)))));
        yield_now().await;
        yield_now().await;
        let waits: Vec<_> = all_tasks().into_iter().filter_map(|task| task.waits_for).collect();
        assert_eq!(waits, [roundel::Waits::Timer, roundel::Waits::Timer, roundel::Waits::Task]);
        drop((sleeping, limited));
    });
}

// --- interval ---

/// How late each of `computing` makes a tick come: (the time it was due, the time it came).
async fn ticks(mut interval: Interval, computing: &[u64]) -> Vec<(u64, u64)> {
    let begun = Instant::now();
    let mut seen = Vec::new();
    for &busy in computing {
        let due = interval.tick().await;
        seen.push(((due - begun).as_millis() as u64, begun.elapsed().as_millis() as u64));
        sleep(ms(busy)).await;
    }
    seen
}

#[test]
fn the_first_tick_is_at_once_and_the_others_keep_their_schedule() {
    // T36
    virtual_loop().block_on(async {
        let kept = ticks(interval(ms(10)), &[3, 9, 0, 1, 10]).await;
        assert_eq!(kept, [(0, 0), (10, 10), (20, 20), (30, 30), (40, 40)]);
    });
    EventLoop::new().unwrap().block_on(async {
        assert!(interval(ms(1_000_000)).tick().now_or_never().is_some(), "at once on the real clock too");
    });
}

#[test]
fn missed_ticks_burst() {
    // T36
    virtual_loop().block_on(async {
        let burst = ticks(interval(ms(10)), &[35, 0, 0, 0, 0]).await;
        assert_eq!(burst, [(0, 0), (10, 35), (20, 35), (30, 35), (40, 40)]);
        assert_eq!(MissedTicks::default(), MissedTicks::Burst);
    });
}

#[test]
fn missed_ticks_delay() {
    // T36
    virtual_loop().block_on(async {
        let mut delayed = interval(ms(10));
        delayed.set_missed_ticks(MissedTicks::Delay);
        assert_eq!(ticks(delayed, &[35, 0, 0, 0]).await, [(0, 0), (10, 35), (45, 45), (55, 55)]);
    });
}

#[test]
fn missed_ticks_skip() {
    // T36
    virtual_loop().block_on(async {
        let mut skipping = interval(ms(10));
        skipping.set_missed_ticks(MissedTicks::Skip);
        assert_eq!(ticks(skipping, &[35, 0, 0, 0]).await, [(0, 0), (10, 35), (40, 40), (50, 50)]);
    });
}

#[test]
fn the_longest_interval_ticks_once_under_every_policy() {
    // T3, T4
    virtual_loop().block_on(async {
        for policy in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
            for period in [Duration::MAX, Duration::from_nanos(u64::MAX - 1), Duration::from_nanos(u64::MAX / 2 + 1)] {
                let mut rare = interval(period);
                rare.set_missed_ticks(policy);
                assert_eq!(rare.period(), period);
                rare.tick().await;
                assert!(timeout(ms(1), rare.tick()).await.is_err());
                rare.reset();
                assert!(timeout(ms(1), rare.tick()).await.is_err());
            }
        }
    });
}

#[test]
fn ticks_missed_by_ages_are_counted_without_overflow() {
    // T4
    for policy in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
        let (event_loop, clock) = manual_loop();
        event_loop.block_on(async {
            let mut interval = interval(Duration::from_nanos(3));
            interval.set_missed_ticks(policy);
            let begun = interval.tick().await;
            clock.advance(Duration::from_nanos(u64::MAX / 2 - u64::MAX / 2 % 3 + 2));
            let late = Instant::now();
            assert_eq!(interval.tick().await, begun + Duration::from_nanos(3));
            clock.advance(ms(1)); // a deadline is met at the next whole millisecond
            let due = interval.tick().await;
            match policy {
                MissedTicks::Burst => assert_eq!(due, begun + Duration::from_nanos(6)),
                MissedTicks::Delay => assert_eq!(due, late + Duration::from_nanos(3)),
                MissedTicks::Skip => assert_eq!(due, late + Duration::from_nanos(1), "the schedule is kept"),
            }
        });
    }
}

#[test]
fn a_tick_dropped_half_way_is_not_lost() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut interval = interval(ms(10));
        interval.tick().await;
        assert!(timeout(ms(4), interval.tick()).await.is_err());
        assert!(timeout(ms(4), interval.tick()).await.is_err());
        assert_eq!(interval.tick().await, begun + ms(10));
        assert_eq!(begun.elapsed(), ms(10));
    });
}

#[test]
fn a_reset_interval_counts_one_period_from_now() {
    virtual_loop().block_on(async {
        let begun = Instant::now();
        let mut interval = interval(ms(10));
        interval.tick().await;
        sleep(ms(7)).await;
        interval.reset();
        assert_eq!(interval.tick().await, begun + ms(17));
        assert_eq!(interval.tick().await, begun + ms(27));
    });
}

#[test]
fn an_interval_of_zero_panics_with_the_cure() {
    virtual_loop().block_on(async {
        let task = spawn(async { drop(interval(Duration::ZERO)) });
        assert!(task.await.unwrap_err().to_string().contains("needs a period above zero: use yield_now()"));
    });
}

#[test]
fn a_deadline_in_the_last_broken_millisecond_of_time_never_comes_and_spins_nobody() {
    let (event_loop, clock) = manual_loop();
    let never = event_loop.spawn(async {
        let almost = Instant::FAR - Duration::from_nanos(1);
        sleep_until(almost).await;
    });
    event_loop.turn();
    clock.advance(Duration::MAX);
    for _ in 0..3 {
        event_loop.turn();
    }
    assert!(!never.is_finished());
    assert!(!event_loop.turn(), "nothing is ready");
}
