//! What an exploration promises beside its counts: failures told apart, schedules replayed, cancel safety,
//! random runs, bounds that are said, and clear words for programs that cannot be explored.
//!
//! | promise | test |
//! |---|---|
//! | each kind of failure is told | a_panic_a_deadlock_and_a_wrong_outcome_are_told_apart |
//! | an error that nobody reads is a failure, one that is read is none | a_panic_counts_if_nobody_reads_its_error |
//! | the same schedule, the same failure, twice | a_schedule_that_fails_fails_again_in_the_same_way |
//! | a schedule may be used with an ordinary loop | a_schedule_found_is_one_for_an_ordinary_loop |
//! | what is no schedule, or does not fit, says so | a_schedule_that_does_not_fit_says_where |
//! | a sleep may end early | with_racing_timers_the_shorter_sleep_may_be_later |
//! | the root's too | a_time_limit_of_the_root_may_end_early |
//! | on the clock alone it does not | on_the_clock_alone_sleeps_end_in_order |
//! | a drop at every await finds what it breaks | a_permit_lost_to_a_cancel_is_found, ours_are_not_lost |
//! | the same in the loop's own order | in_order_a_drop_at_each_await_is_tried |
//! | a seed repeats its runs; failures get shorter | a_random_exploration_repeats_itself_and_shortens_what_fails |
//! | a handle that was made a task is not dropped | a_gather_of_handles_has_more_schedules_and_no_false_failures |
//! | it is said how a schedule counts | the_empty_schedule_and_the_counting_are_said |
//! | bounds are said | a_bound_that_is_reached_is_said, a_program_that_never_ends_is_cut_off |
//! | no sockets | a_socket_is_refused_at_the_call_and_for_good |
//! | no threads | a_thread_is_refused_at_the_call, a_wake_from_another_thread_is_refused, and_so_is_what_it_sends |
//! | what a program sends itself is its own | a_program_may_send_itself_messages |
//! | of several unread errors the real one counts | an_error_behind_one_that_passes_the_drop_on_is_told |
//! | the root goes first, after a drop too | the_root_is_first_after_a_drop_as_well |
//! | other tasks stuck, another way to fail | a_circle_and_an_event_that_nobody_sets_are_two_ways_to_fail |
//! | the same if somebody has set another hook since | a_hook_that_was_set_since_makes_no_panic_loud |
//! | nor is a panic lost that nobody can hear | a_destructor_that_panics_where_nobody_hears_is_a_failure |
//! | whoever waits is dropped in line too | a_drop_comes_also_where_only_the_root_or_the_clock_goes_on |
//! | small numbers are told right | one_schedule_is_told_as_one, no_run_at_all_proves_nothing |
//! | a panic has its own line | of_two_panics_that_end_alike_each_has_its_line |
//! | nonsense is not reported | a_program_that_is_not_the_same_in_every_run_is_found_out |
//! | quiet, but only here and now | panics_of_the_program_are_not_printed_and_others_are |
//! | tasks may be left over | what_waits_when_the_program_is_done_is_no_failure |
//! | the report can be read | the_report_can_be_read |
//! | an observer hears a replay | an_observer_hears_the_replay_and_not_the_exploration |
//! | the shortest failure has its diagram | the_shortest_schedule_that_fails_has_its_diagram |
//! | neither panics nor warnings are printed | an_exploration_prints_nothing_of_what_it_reports |
//! | not inside a loop | an_exploration_inside_a_loop_is_refused |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::env;
use std::future::{pending, poll_fn};
use std::panic;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, mpsc};
use std::task::Poll;
use std::thread;

use roundel::net::TcpListener;
use roundel::study::recording::What;
use roundel::study::{Bound, Exploration, Explore, Failure, FailureKind, explore, replay, timeline};
use roundel::sync::{Event, Lock, Queue, Semaphore};
use roundel::{Actor, Clock, EventLoop, Handle, Observer, Order, TaskId};
use roundel::{gather, gather_settled, sleep, spawn, timeout, to_thread, yield_now};
use support::{alone, millis, panic_text, panics_during};

/// Two tasks add one; the sum is told by whoever asks.
async fn lost_update() -> u32 {
    let sum = Rc::new(Cell::new(0));
    let add_one = |sum: Rc<Cell<u32>>| async move {
        let read = sum.get();
        yield_now().await;
        sum.set(read + 1);
    };
    gather([add_one(sum.clone()), add_one(sum.clone())]).await;
    sum.get()
}

async fn two_locks() {
    let [a, b] = ["a", "b"].map(|name| Rc::new(Lock::new(()).named(name)));
    let task = |first: Rc<Lock<()>>, second: Rc<Lock<()>>| async move {
        let _first = first.acquire().await;
        yield_now().await;
        let _second = second.acquire().await;
    };
    gather([task(a.clone(), b.clone()), task(b, a)]).await;
}

/// The only failure of an exploration.
fn only<T>(exploration: &Exploration<T>) -> &Failure {
    let [failing] = exploration.failing() else { panic!("{} ways to fail", exploration.failing().len()) };
    &failing.failure
}

/// What is said of a deadlock, but for the root, which has the line that explored or replayed.
fn without_the_root(failure: &Failure) -> Vec<&str> {
    failure.text.lines().filter(|line| !line.contains("task 0 \"main\"")).collect()
}

#[test]
fn a_panic_a_deadlock_and_a_wrong_outcome_are_told_apart() {
    // Two hooks are set here, and by two tests at once one of them would be lost.
    if !alone("a_panic_a_deadlock_and_a_wrong_outcome_are_told_apart") {
        return;
    }
    let (exploration, panics) = panics_during(|| {
        Explore::new().expect(|sum| *sum == 2).run(|| async {
            let sum = lost_update().await;
            assert_eq!(sum, 2, "an update is lost");
            sum
        })
    });
    let exploration = exploration.unwrap();
    assert_eq!((exploration.schedules(), exploration.failures()), (6, 4));
    let failure = only(&exploration);
    assert_eq!(failure.kind, FailureKind::Panicked);
    assert!(failure.text.contains("an update is lost") && failure.text.contains(file!()), "{failure}");
    assert_eq!(panics, [], "none came out of it");

    let exploration = Explore::new().expect(|sum| *sum == 2).run(lost_update);
    let failure = only(&exploration);
    assert_eq!((failure.kind, &*failure.text), (FailureKind::Unexpected, "the outcome is 1"));
    assert_eq!(exploration.outcomes()[&1], 4, "it is counted all the same");

    let exploration = explore(two_locks);
    let failure = only(&exploration);
    assert_eq!(failure.kind, FailureKind::Deadlocked);
    let text = &failure.text;
    assert!(text.starts_with("deadlock: 2 tasks wait for each other in a circle"), "{text}");
    assert!(text.contains("holds Lock \"a\"") && text.contains("waits for Lock \"b\""), "{text}");
    assert_eq!(failure.deadlock.as_ref().unwrap().cycles.len(), 1);

    let exploration = explore(|| poll_fn(|_| Poll::<()>::Pending));
    assert_eq!(only(&exploration).kind, FailureKind::Foreign);
}

#[test]
fn the_report_can_be_read() {
    let exploration = Explore::new().expect(|sum| *sum == 2).run(lost_update);
    let report = "6 schedules, which are all there are\n\
                  \x20      4  1\n\
                  \x20      2  2\n\
                  4 fail (a schedule counts tasks from 0: 0 is task 1):\n\
                  \x20      4  give what was not expected, the shortest by 0.1.0.1\n\
                  \x20         the outcome is 1";
    assert_eq!(exploration.to_string(), report);
    let (checked, _) = panics_during(|| exploration.check());
    let line = "\nto run it again: Explore::new().expect(..).replay(\"0.1.0.1\", program)";
    assert_eq!(panic_text(&*checked.unwrap_err()), format!("{report}{line}"));
    let (checked, _) = panics_during(|| explore(two_locks).check());
    let said = panic_text(&*checked.unwrap_err()).to_string();
    assert!(said.ends_with("\nto run it again: replay(\"0.1.0.1\", program)"), "{said}");
}

#[test]
fn the_empty_schedule_and_the_counting_are_said() {
    // It fails in any order, so the shortest schedule names nobody.
    let fails = || async { gather([async { panic!("always") }]).await.len() };
    let exploration = Explore::new().random(1, 3).run(fails);
    assert_eq!(exploration.schedule(), Some(""));
    let report = exploration.to_string();
    assert!(report.contains("the shortest by the empty schedule (first in, first out)\n"), "{report}");
    let title = exploration.diagram(fails).unwrap().title;
    assert!(title.starts_with("the empty schedule (first in, first out): always"), "{title}");
    let run = replay("1", lost_update).unwrap().to_string();
    assert_eq!(run, "schedule 1.0.1.0 (0 is task 1)\noutcome 1");
}

#[test]
fn a_panic_counts_if_nobody_reads_its_error() {
    let unlucky = || spawn(async { panic!("unlucky") });
    let unread = explore(|| async move {
        drop(unlucky());
        spawn(async {}).await.unwrap();
    });
    assert_eq!(unread.schedules(), 2);
    // If the other one is first, the loop ends before it panics.
    assert_eq!(unread.failures_of(FailureKind::Panicked), 1);
    assert!(only(&unread).text.starts_with("task 1 panicked: unlucky (at tests/"), "{}", only(&unread));
    assert_eq!(unread.outcomes()[&()], 2);

    let read = explore(|| async move { unlucky().await.unwrap_err().is_panic() });
    read.check();

    let passed_on = explore(|| async move { drop(gather([async { panic!("unlucky") }]).await) });
    assert!(only(&passed_on).text.starts_with("unlucky (at tests/"), "{}", only(&passed_on));
}

#[test]
fn a_schedule_that_fails_fails_again_in_the_same_way() {
    let exploration = Explore::new().expect(|sum| *sum == 2).run(lost_update);
    let schedule = exploration.schedule().unwrap();
    let runs = [(); 2].map(|()| Explore::new().expect(|sum| *sum == 2).replay(schedule, lost_update).unwrap());
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0].result.as_ref(), Err(only(&exploration)));
    assert_eq!(runs[0].schedule, schedule);

    let exploration = explore(two_locks);
    let runs = [(); 2].map(|()| replay(exploration.schedule().unwrap(), two_locks).unwrap());
    assert_eq!(runs[0], runs[1]);
    let again = runs[0].result.as_ref().unwrap_err();
    assert_eq!(without_the_root(again), without_the_root(only(&exploration)), "in the same words");

    // What is not named goes first in, first out.
    let run = replay("1", lost_update).unwrap();
    assert_eq!((&*run.schedule, run.result), ("1.0.1.0", Ok(1)));
    assert_eq!(replay("", lost_update).unwrap().schedule, "0.1.0.1");
}

#[test]
fn a_schedule_found_is_one_for_an_ordinary_loop() {
    let exploration = Explore::new().expect(|sum| *sum == 2).run(lost_update);
    let tasks = exploration.schedule().unwrap().split('.').map(|task| task.parse().unwrap());
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).order(Order::schedule(tasks)).build().unwrap();
    assert_eq!(event_loop.block_on(lost_update()), 1);
}

#[test]
fn a_schedule_that_does_not_fit_says_where() {
    let refused = |schedule: &str| replay(schedule, lost_update).unwrap_err().to_string();
    assert!(refused("0.x").starts_with("\"0.x\" is no schedule: its step 2, \"x\", is no task"), "{}", refused("0.x"));
    let said = refused("0.5");
    assert!(
        said.contains("0.5 does not fit this program: at its step 2 it has 5, but who may be next there is 0, 1"),
        "{said}"
    );
    let said = refused("x1");
    assert!(
        said.contains("it has x1, which drops a task, as under cancelling(), but there is none there that has"),
        "{said}"
    );
    let said = refused("0.x1");
    assert!(
        said.contains("it has x1, which drops a task, as under cancelling(), but what may be dropped there is x0;"),
        "{said}"
    );
    let said = refused("0.1.0.1.0");
    assert!(said.ends_with("the program ended after 4 of its 5 steps"), "{said}");
    // The root is named only where timers race.
    let said = replay("m", || async { sleep(millis(1)).await }).unwrap_err().to_string();
    assert!(said.contains("after 0 of its 1 steps; was it found under racing_timers()?"), "{said}");
}

/// Who is done first, of two that sleep.
async fn a_race() -> u64 {
    let first = Rc::new(Cell::new(None));
    let run = |time| {
        let first = first.clone();
        async move {
            sleep(millis(time)).await;
            first.set(first.get().or(Some(time)));
        }
    };
    gather([run(1), run(1000)]).await;
    first.get().unwrap()
}

#[test]
fn on_the_clock_alone_sleeps_end_in_order() {
    let exploration = explore(a_race);
    assert_eq!(exploration.schedules(), 2, "who begins");
    assert_eq!(exploration.outcomes().keys().collect::<Vec<_>>(), [&1]);
}

#[test]
fn with_racing_timers_the_shorter_sleep_may_be_later() {
    let racing = || Explore::new().racing_timers().expect(|first| *first == 1);
    let exploration = racing().run(a_race);
    assert_eq!(exploration.schedules(), 6);
    assert_eq!(exploration.outcomes().iter().collect::<Vec<_>>(), [(&1, &3), (&1000, &3)]);
    let schedule = exploration.schedule().unwrap();
    assert_eq!(schedule, "0.1.1.0");
    assert_eq!(racing().replay(schedule, a_race).unwrap().result.as_ref(), Err(only(&exploration)));
    let said = replay(schedule, a_race).unwrap_err().to_string();
    assert!(said.contains("at its step 3 it has 1, but who may be next there is 0"), "{said}");
    assert!(said.contains("racing_timers()"), "{said}");
}

#[test]
fn a_time_limit_of_the_root_may_end_early() {
    let program = || async {
        let work = spawn(async {
            yield_now().await;
            "done"
        });
        timeout(millis(1000), work).await.map_or("too late", Result::unwrap)
    };
    let exploration = Explore::new().racing_timers().expect(|end| *end == "done").run(program);
    assert_eq!(exploration.outcomes().iter().collect::<Vec<_>>(), [(&"done", &1), (&"too late", &2)]);
    assert_eq!(exploration.schedule(), Some("m"));
    assert_eq!(Explore::new().racing_timers().replay("0.m", program).unwrap().result, Ok("too late"));
    explore(program).check();
}

/// A semaphore that is wrong: a permit is handed over by a note that a dropped task does not pass on.
struct Leaky {
    free: Cell<bool>,
    line: RefCell<Vec<Rc<Event>>>,
}

impl Leaky {
    async fn acquire(&self) {
        if !self.free.replace(false) {
            let turn = Rc::new(Event::new());
            self.line.borrow_mut().push(turn.clone());
            turn.wait().await;
        }
    }

    fn release(&self) {
        let mut line = self.line.borrow_mut();
        if line.is_empty() { self.free.set(true) } else { line.remove(0).set() }
    }
}

async fn with_a_leaky_semaphore() {
    let semaphore = Rc::new(Leaky { free: Cell::new(true), line: RefCell::default() });
    let work = |semaphore: Rc<Leaky>| async move {
        semaphore.acquire().await;
        let semaphore = scopeguard(semaphore);
        yield_now().await;
        drop(semaphore);
    };
    gather_settled([work(semaphore.clone()), work(semaphore.clone())]).await;
    semaphore.acquire().await;
}

fn scopeguard(semaphore: Rc<Leaky>) -> impl Drop {
    support::OnDrop(move || semaphore.release())
}

#[test]
fn a_permit_lost_to_a_cancel_is_found() {
    explore(with_a_leaky_semaphore).check();
    let exploration = Explore::new().cancelling().run(with_a_leaky_semaphore);
    assert!(exploration.is_complete());
    assert!(exploration.failures() > 0);
    for failing in exploration.failing() {
        assert_eq!(failing.failure.kind, FailureKind::Deadlocked);
        let dropped = failing.failure.dropped.as_ref().unwrap();
        // Whoever waits in line is dropped there; the pause inside is guarded.
        assert_eq!(dropped.number, 1);
        assert!(dropped.waits.as_deref().unwrap().starts_with("Event"), "{dropped}");
        let run = replay(&failing.schedule, with_a_leaky_semaphore).unwrap();
        let again = run.result.unwrap_err();
        assert_eq!(without_the_root(&again), without_the_root(&failing.failure));
        assert_eq!(again.dropped, failing.failure.dropped);
    }
    let text = exploration.failing()[0].failure.to_string();
    assert!(text.starts_with("task 2, dropped at its wait number 1, for Event"), "{text}");
}

#[test]
fn ours_are_not_lost() {
    let exploration = Explore::new().cancelling().run(|| async {
        let semaphore = Rc::new(Semaphore::new(1));
        let work = |semaphore: Rc<Semaphore>| async move {
            let _permit = semaphore.acquire().await.unwrap();
            yield_now().await;
        };
        gather_settled([work(semaphore.clone()), work(semaphore.clone()), work(semaphore.clone())]).await;
        drop(semaphore.acquire().await.unwrap());
    });
    exploration.check();
    assert!(exploration.schedules() > 200, "{exploration}");
}

#[test]
fn in_order_a_drop_at_each_await_is_tried() {
    // The task that was dropped, by its number, and at which of its two awaits.
    let program = || async {
        let stages = [(); 2].map(|()| Rc::new(Cell::new(0)));
        let work = |stage: Rc<Cell<u32>>| async move {
            for number in 1..=2 {
                stage.set(number);
                yield_now().await;
            }
        };
        let ends = gather_settled(stages.clone().map(work)).await;
        ends.iter().position(Result::is_err).map(|task| (task, stages[task].get()))
    };
    let exploration = Explore::new().in_order().cancelling().run(program);
    exploration.check();
    let dropped: Vec<_> = exploration.outcomes().keys().copied().collect();
    assert_eq!(dropped, [None, Some((0, 1)), Some((0, 2)), Some((1, 1)), Some((1, 2))]);
    assert_eq!(explore(program).outcomes().len(), 1, "nobody is dropped who was not asked to be");

    let failure = Explore::new().in_order().cancelling().expect(Option::is_none).run(program);
    let said = failure.failing()[0].failure.to_string();
    let turn = "task 2, dropped at its wait number 1, for its next turn, having given one away (yield_now): ";
    assert!(said.starts_with(turn), "{said}");

    // Whoever unwraps what a dropped task gave is no failure.
    let unwrapped = || async { gather([yield_now(), yield_now()]).await.len() };
    let exploration = Explore::new().in_order().cancelling().run(unwrapped);
    exploration.check();
    assert!(
        exploration.to_string().contains("ended because the task that was dropped gave no output"),
        "{exploration}"
    );
}

#[test]
fn a_random_exploration_repeats_itself_and_shortens_what_fails() {
    let program = || async {
        let sum = Rc::new(Cell::new(0));
        let add = |sum: Rc<Cell<u32>>| async move {
            for _ in 0..3 {
                let read = sum.get();
                yield_now().await;
                sum.set(read + 1);
            }
        };
        gather((0..4).map(|_| add(sum.clone()))).await;
        sum.get()
    };
    let explore_by = |seed| Explore::new().random(seed, 200).expect(|sum| *sum > 4).run(program);
    let [one, again, other] = [1, 1, 2].map(explore_by);
    assert_eq!(one.outcomes(), again.outcomes());
    assert_eq!(one.schedule(), again.schedule());
    assert_ne!(one.outcomes(), other.outcomes());
    assert_eq!((one.schedules(), one.bound()), (200, Some(Bound::Random(200))));
    assert!(one.distinct_schedules() > 190 && !one.is_complete());
    // First in, first out, it ends at 3: so the shortest schedule that fails is the empty one.
    assert_eq!(one.schedule(), Some(""));
    assert_eq!(replay("", program).unwrap().result, Ok(3));

    // One order of 90 and more is wrong, and the shortest way to it is found by leaving out what does not matter.
    let only_if_it_starts = || async {
        let first = Rc::new(Cell::new(0));
        let go = |number| {
            let first = first.clone();
            async move {
                yield_now().await;
                first.set(first.get() * 10 + number);
            }
        };
        gather((1..=3).map(go)).await;
        first.get()
    };
    let exploration = Explore::new().random(7, 100).expect(|order| *order != 321).run(only_if_it_starts);
    let schedule = exploration.schedule().unwrap();
    assert!(schedule.split('.').count() <= 3, "the rest follows: {schedule}");
    assert_eq!(replay(schedule, only_if_it_starts).unwrap().result, Ok(321));
    assert_eq!(exploration.failures(), exploration.outcomes()[&321]);
}

#[test]
fn a_gather_of_handles_has_more_schedules_and_no_false_failures() {
    let work = || async { yield_now().await };
    let of_futures = explore(move || async move { gather([work(), work()]).await.len() });
    let of_handles = explore(move || async move { gather([spawn(work()), spawn(work())]).await.len() });
    assert_eq!((of_futures.schedules(), of_handles.schedules()), (6, 440));

    // Were one of these dropped, its work would be done all the same, and its result lost.
    let done = Rc::new(Cell::new(0));
    let program = || {
        done.set(0);
        let done = done.clone();
        async move {
            let handles = [(); 2].map(|()| {
                let done = done.clone();
                spawn(async move {
                    yield_now().await;
                    done.set(done.get() + 1);
                })
            });
            let ends = gather_settled(handles).await;
            let results = ends.iter().filter(|end| matches!(end, Ok(Ok(())))).count();
            assert_eq!(results, done.get(), "what was done is told");
        }
    };
    let exploration = Explore::new().cancelling().run(program);
    exploration.check();
    assert!(exploration.schedules() > of_handles.schedules());

    // Whoever awaits a handle in a task of his own may have something to lose, and is dropped.
    let exploration = Explore::new().in_order().cancelling().run(|| async {
        let inner = spawn(yield_now());
        let outer = spawn(async move { inner.await.is_ok() });
        outer.await.is_err()
    });
    assert!(exploration.outcomes().contains_key(&true), "{exploration}");
}

#[test]
fn a_bound_that_is_reached_is_said() {
    let exploration = Explore::new().max_schedules(4).run(lost_update);
    assert_eq!((exploration.schedules(), exploration.bound()), (4, Some(Bound::Schedules(4))));
    assert!(exploration.to_string().starts_with("4 schedules, and there are more"), "{exploration}");
    assert!(panics_during(|| exploration.check()).0.is_err(), "nobody knows whether the rest is right");
    assert!(Explore::new().max_schedules(6).run(lost_update).is_complete());

    let exploration = Explore::new().max_turns(10).run(lost_update);
    assert!(matches!(exploration.bound(), Some(Bound::Turns(10..))), "{exploration}");
    assert!(exploration.to_string().contains("and there are more: max_turns() is reached, by 1"), "{exploration}");
}

#[test]
fn a_program_that_never_ends_is_cut_off() {
    // Under the schedules that leave the second one out for so long.
    let program = || async {
        let done = Rc::new(Cell::new(false));
        let seen = done.clone();
        gather!(
            async move {
                while !seen.get() {
                    yield_now().await;
                }
            },
            async move { done.set(true) }
        )
        .await;
    };
    let exploration = Explore::new().max_steps(20).run(program);
    assert!(exploration.is_complete());
    assert_eq!(only(&exploration).kind, FailureKind::OutOfTurns);
    assert!(exploration.outcomes()[&()] > 10);
    assert!(only(&exploration).text.contains("not done after 20 turns"));
    // Also one that nobody but itself keeps from its end.
    let exploration = Explore::new().max_steps(20).run(|| async {
        loop {
            yield_now().await;
        }
    });
    assert_eq!(only::<()>(&exploration).kind, FailureKind::OutOfTurns);
}

fn said_by(story: impl FnOnce()) -> (String, Vec<support::Panic>) {
    let (result, panics) = panics_during(story);
    (panic_text(&*result.unwrap_err()), panics)
}

#[test]
fn a_socket_is_refused_at_the_call_and_for_good() {
    if !alone("a_socket_is_refused_at_the_call_and_for_good") {
        return;
    }
    let (said, panics) = said_by(|| {
        // The task's panic is nobody's concern here; the exploration says it all the same.
        explore(|| async { spawn(async { drop(TcpListener::bind("127.0.0.1:0")) }).await.is_err() });
    });
    assert!(said.contains("no sockets and no threads") && said.contains("task 1 (spawned at tests/"), "{said}");
    assert!(said.contains(") opened a socket: "), "{said}");
    let here = panics.last().unwrap();
    assert_eq!((&*here.file, here.line), (file!(), line!() - 5));
}

#[test]
fn a_thread_is_refused_at_the_call() {
    let (said, _) = said_by(|| {
        explore(|| async { to_thread(|| 1).await.is_ok() });
    });
    assert!(said.contains("task 0 handed a closure to a thread (at tests/explore_promises.rs:"), "{said}");
}

#[test]
fn a_wake_from_another_thread_is_refused() {
    let (said, _) = said_by(|| {
        explore(|| async {
            let mut asked = false;
            poll_fn(|cx| {
                if asked {
                    return Poll::Ready(());
                }
                asked = true;
                let waker = cx.waker().clone();
                let (woken, wait) = mpsc::channel();
                thread::spawn(move || {
                    waker.wake();
                    woken.send(()).unwrap();
                });
                wait.recv().unwrap();
                Poll::Pending
            })
            .await;
        });
    });
    assert!(said.contains("task 0 was woken by another thread"), "{said}");
}

#[test]
fn a_program_that_is_not_the_same_in_every_run_is_found_out() {
    let runs = Cell::new(0);
    let (said, _) = said_by(|| {
        explore(|| {
            runs.set(runs.get() + 1);
            let tasks = 2 + runs.get() / 3;
            async move { gather((0..tasks).map(|_| yield_now())).await.len() }
        });
    });
    assert!(said.starts_with("the program that is explored is not the same in every run"), "{said}");

    // Also if only the outcome differs, of the first run or of one that fails.
    let runs = Cell::new(0);
    let (said, _) = said_by(|| {
        explore(|| {
            runs.set(runs.get() + 1);
            let run = runs.get();
            async move { run }
        });
    });
    assert!(said.starts_with("the program that is explored is not the same in every run"), "{said}");
    let runs = Cell::new(0);
    let (said, _) = said_by(|| {
        Explore::new().expect(|run| *run != 3).run(|| {
            runs.set(runs.get() + 1);
            let run = if runs.get() == 3 { 3 } else { 0 };
            async move {
                gather([yield_now(), yield_now()]).await;
                run
            }
        });
    });
    assert!(said.starts_with("the program that is explored is not the same in every run"), "{said}");
}

#[test]
fn panics_of_the_program_are_not_printed_and_others_are() {
    if !alone("panics_of_the_program_are_not_printed_and_others_are") {
        return;
    }
    // With this process's own hook, set before: what it prints here is counted.
    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    panic::set_hook(Box::new(|info| HEARD.lock().unwrap().push(panic_text(info.payload()))));
    let loudly = |text: &'static str| drop(thread::spawn(move || panic!("{text}")).join());
    explore(|| async move { gather([async { panic!("quietly") }]).await.len() });
    loudly("in another thread");
    explore(|| async move {
        thread::spawn(|| panic!("in a thread of the program")).join().unwrap_err();
    });
    drop(panic::catch_unwind(|| panic!("afterwards")));
    let heard = HEARD.lock().unwrap().clone();
    assert_eq!(heard.iter().filter(|text| text.contains("quietly")).count(), 0, "{heard:?}");
    assert!(heard.contains(&"in another thread".to_owned()) && heard.contains(&"afterwards".to_owned()), "{heard:?}");
    assert!(heard.contains(&"in a thread of the program".to_owned()), "{heard:?}");
}

#[test]
fn an_observer_hears_the_replay_and_not_the_exploration() {
    #[derive(Default)]
    struct Turns(RefCell<Vec<u64>>);
    impl Observer for Turns {
        fn event(&self, event: &roundel::Event<'_>) {
            if let roundel::Event::PollStarted { task } = event {
                self.0.borrow_mut().push(task.number());
            }
        }
    }
    let turns = Rc::new(Turns::default());
    let watched = Explore::new().observer(turns.clone());
    watched.run(lost_update).check();
    assert!(turns.0.take().is_empty());
    watched.replay("1.0.0.1", lost_update).unwrap();
    assert_eq!(turns.0.take(), [0, 2, 1, 1, 0, 2, 0]);
}

#[test]
fn the_shortest_schedule_that_fails_has_its_diagram() {
    let exploration = Explore::new().racing_timers().expect(|first| *first == 1).run(a_race);
    let recording = exploration.diagram(a_race).unwrap();
    assert_eq!(recording.title, "schedule 0.1.1.0 (0 is task 1): the outcome is 1000");
    // Who had the turns, in this order; what the root does is not in the schedule.
    let turns = recording.steps.iter().filter_map(|step| match step.what {
        What::PollStarted { task } if task != 0 => Some(task - 1),
        _ => None,
    });
    assert_eq!(turns.collect::<Vec<_>>(), [0, 1, 1, 0]);
    assert!(timeline::svg(&recording).contains("schedule 0.1.1.0"));
    assert!(explore(a_race).diagram(a_race).is_none(), "nothing fails");

    let (said, _) = said_by(|| drop(exploration.diagram(|| async { 2 })));
    assert!(said.starts_with("a diagram needs the program that was explored"), "{said}");
}

#[test]
fn an_exploration_inside_a_loop_is_refused() {
    let (said, _) = said_by(|| support::virtual_loop().block_on(async { drop(explore(lost_update)) }));
    assert!(said.contains("explore() was called inside a running loop"), "{said}");
    let (said, _) = said_by(|| support::virtual_loop().block_on(async { drop(replay("", lost_update)) }));
    assert!(said.contains("replay() was called inside a running loop"), "{said}");
}

#[test]
fn what_waits_when_the_program_is_done_is_no_failure() {
    let exploration = explore(|| async {
        let queue = Rc::new(Queue::<u8>::unbounded());
        let _server = spawn(async move { while queue.get().await.is_ok() {} });
        drop(spawn(pending::<()>()));
        yield_now().await;
    });
    exploration.check();
}

#[test]
fn an_exploration_prints_nothing_of_what_it_reports() {
    const NAME: &str = "an_exploration_prints_nothing_of_what_it_reports";
    if env::var_os("EXPLORES_QUIETLY").is_none() {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", NAME, "--test-threads=1", "--nocapture"]).env("EXPLORES_QUIETLY", "1");
        let output = child.output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        return;
    }
    let exploration = explore(|| async {
        drop(spawn(async { panic!("nobody reads this") }));
        drop(spawn(pending::<()>()));
        yield_now().await;
        gather([async { panic!("and this ends it") }]).await.len()
    });
    assert!(exploration.failures() > 0);
}

#[test]
fn a_program_may_send_itself_messages() {
    let cancelled = explore(|| async {
        let task = spawn(pending::<()>());
        task.cancel_handle().cancel();
        task.await.is_err()
    });
    assert_eq!(cancelled.outcomes().keys().collect::<Vec<_>>(), [&true]);
    let by_a_task = explore(|| async {
        let task = spawn(pending::<()>());
        let remote = task.cancel_handle();
        let canceller = spawn(async move { remote.cancel() });
        [task.await.is_ok(), canceller.await.is_ok()]
    });
    assert_eq!(by_a_task.outcomes().keys().collect::<Vec<_>>(), [&[false, true]]);

    // A task is told to be spawned by the one that sent it.
    #[derive(Default)]
    struct Parents(RefCell<Vec<Actor>>);
    impl Observer for Parents {
        fn event(&self, event: &roundel::Event<'_>) {
            if let roundel::Event::Spawned { by, .. } = event {
                self.0.borrow_mut().push(*by);
            }
        }
    }
    let sends = || async {
        let sender = spawn(async { Handle::current().spawn(async { 5 }).await.unwrap() });
        sender.await.unwrap()
    };
    assert_eq!(explore(sends).outcomes().keys().collect::<Vec<_>>(), [&5]);
    let parents = Rc::new(Parents::default());
    Explore::new().observer(parents.clone()).replay("", sends).unwrap();
    let numbers: Vec<_> = parents.0.take().iter().map(|by| by.task().map(TaskId::number)).collect();
    assert_eq!(numbers, [None, Some(0), Some(1)]);
}

#[test]
fn and_so_is_what_it_sends() {
    let (said, _) = said_by(|| {
        explore(|| async {
            let handle = Handle::current();
            thread::spawn(move || drop(handle.spawn(async {}))).join().unwrap();
            yield_now().await;
        });
    });
    assert!(said.contains(") was spawned by another thread: "), "{said}");
    let (said, _) = said_by(|| {
        explore(|| async {
            let task = spawn(pending::<()>());
            let remote = task.cancel_handle();
            thread::spawn(move || remote.cancel()).join().unwrap();
            yield_now().await;
            drop(task);
        });
    });
    assert!(said.contains(") was cancelled by another thread: "), "{said}");
}

/// Longer than the others take.
async fn pause() {
    for _ in 0..4 {
        yield_now().await;
    }
}

#[test]
fn an_error_behind_one_that_passes_the_drop_on_is_told() {
    let exploration = Explore::new().cancelling().run(|| async {
        let done = Rc::new(Cell::new(false));
        let work = spawn({
            let done = done.clone();
            async move {
                yield_now().await;
                done.set(true);
            }
        });
        drop(spawn(async move { work.await.unwrap() }));
        pause().await;
        drop(spawn(async move { assert!(done.get(), "half done") }));
        pause().await;
    });
    let told = exploration.failing().iter().filter(|failing| failing.failure.text.contains("half done"));
    assert!(told.count() > 0, "{exploration}");
}

#[test]
fn the_root_is_first_after_a_drop_as_well() {
    let program = || async {
        let went = Rc::new(Cell::new(false));
        let waited_for = spawn(pending::<()>());
        let other = went.clone();
        drop(spawn(async move { other.set(true) }));
        yield_now().await;
        let _ = waited_for.await;
        went.get()
    };
    // The root has just had a turn, and the other task is in line.
    assert_eq!(Explore::new().cancelling().replay("0.x0", program).unwrap().result, Ok(false));
    // The same if time has passed: both are due.
    let program = || async {
        let went = Rc::new(Cell::new(false));
        let other = went.clone();
        drop(spawn(async move {
            sleep(millis(5)).await;
            other.set(true);
        }));
        yield_now().await;
        sleep(millis(5)).await;
        went.get()
    };
    assert_eq!(explore(program).outcomes().keys().collect::<Vec<_>>(), [&false]);
}

#[test]
fn of_two_panics_that_end_alike_each_has_its_line() {
    let exploration = explore(|| async {
        drop(spawn(async { panic!("12") }));
        let read = spawn(async { panic!("2") });
        let _: Result<(), _> = read.await;
        yield_now().await;
    });
    let line = line!() - 5;
    assert!(exploration.failures() > 0);
    for failing in exploration.failing() {
        assert!(failing.failure.text.contains(&format!("12 (at {}:{line}:", file!())), "{}", failing.failure);
    }
}

#[test]
fn a_circle_and_an_event_that_nobody_sets_are_two_ways_to_fail() {
    let program = || async {
        let [a, b] = [(); 2].map(|()| Rc::new(Lock::new(())));
        let event = Rc::new(Event::new());
        let came = Rc::new(Cell::new(false));
        let (a2, b2, came2) = (a.clone(), b.clone(), came.clone());
        let one = spawn(async move {
            let _a = a.acquire().await;
            yield_now().await;
            let _b = b.acquire().await;
            came.set(true);
        });
        let other = spawn(async move {
            if came2.get() {
                event.wait().await;
            }
            let _b = b2.acquire().await;
            yield_now().await;
            let _a = a2.acquire().await;
        });
        one.await.unwrap();
        other.await.unwrap();
    };
    let exploration = explore(program);
    let [circle, event] = exploration.failing() else { panic!("{exploration}") };
    let is_a_circle = |failure: &Failure| !failure.deadlock.as_ref().unwrap().cycles.is_empty();
    assert!(is_a_circle(&circle.failure) != is_a_circle(&event.failure), "{exploration}");
    assert_eq!(circle.schedules + event.schedules, exploration.failures());
}

#[test]
fn a_hook_that_was_set_since_makes_no_panic_loud() {
    if !alone("a_hook_that_was_set_since_makes_no_panic_loud") {
        return;
    }
    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let fails = || explore(|| async { gather([async { panic!("quietly") }]).await.len() });
    let before = fails();
    panic::set_hook(Box::new(|info| HEARD.lock().unwrap().push(panic_text(info.payload()))));
    assert_eq!(only(&fails()), only(&before), "with its line");
    assert_eq!(only(&fails()), only(&before));
    drop(panic::catch_unwind(|| panic!("afterwards")));
    let heard = HEARD.lock().unwrap().clone();
    let [probe, afterwards] = &heard[..] else { panic!("{heard:?}") };
    assert!(probe.contains("a panic to see whether the hook"), "{probe}");
    assert_eq!(afterwards, "afterwards");
}

#[test]
fn a_destructor_that_panics_where_nobody_hears_is_a_failure() {
    let exploration = explore(|| async {
        drop(spawn(async { support::OnDrop(|| panic!("of the output")) }));
        yield_now().await;
    });
    let failure = only(&exploration);
    assert_eq!(failure.kind, FailureKind::Panicked);
    assert!(failure.text.contains("nobody hears: of the output (at tests/explore_promises.rs:"), "{failure}");
    assert_eq!(exploration.outcomes()[&()], 1, "it goes on");
}

#[test]
fn a_drop_comes_also_where_only_the_root_or_the_clock_goes_on() {
    // Whether the waiter was dropped before it had the lock that the root holds, and after which sleep of the root.
    let program = || async {
        let lock = Rc::new(Lock::new(()));
        let has_it = Rc::new(Cell::new(false));
        let guard = lock.acquire().await;
        let waiter = spawn({
            let (lock, has_it) = (lock.clone(), has_it.clone());
            async move {
                let _guard = lock.acquire().await;
                has_it.set(true);
            }
        });
        let mut gone = Vec::new();
        for _ in 0..3 {
            sleep(millis(5)).await;
            gone.push(waiter.is_finished());
        }
        drop(guard);
        let _ = waiter.await;
        (has_it.get(), gone)
    };
    let exploration =
        Explore::new().cancelling().expect(|(has_it, gone): &(bool, Vec<bool>)| *has_it || gone[0]).run(program);
    let in_line = |sleeps: usize| (false, (0..3).map(|sleep| sleep >= sleeps).collect::<Vec<_>>());
    for sleeps in 0..3 {
        assert!(exploration.outcomes().contains_key(&in_line(sleeps)), "{exploration}");
    }
    assert!(exploration.is_complete() && exploration.outcomes().contains_key(&(true, vec![false; 3])));
    // The schedule says how much later, and may be run again; without a drop there is nothing to be said.
    let schedule = exploration.schedule().unwrap();
    assert_eq!(schedule, "0.-.-.x0");
    let run = Explore::new().replay(schedule, program).unwrap();
    assert_eq!((&*run.schedule, run.result), (schedule, Ok(in_line(1))));
    assert_eq!(Explore::new().cancelling().replay("", program).unwrap().schedule, "0.0");
    let in_order = Explore::new().in_order().cancelling().run(program);
    assert_eq!(in_order.outcomes(), exploration.outcomes());
}

#[test]
fn one_schedule_is_told_as_one() {
    let said = Explore::new().max_schedules(1).run(lost_update).to_string();
    assert!(said.starts_with("1 schedule, and there are more"), "{said}");
    let said = Explore::new().random(1, 1).run(lost_update).to_string();
    assert!(said.starts_with("1 random schedule\n"), "{said}");
}

#[test]
fn no_run_at_all_proves_nothing() {
    let exploration = Explore::new().random(1, 0).run(|| async { panic!("always") });
    assert_eq!((exploration.schedules(), exploration.failures()), (1, 1));
    assert!(exploration.outcomes().keys().next().is_none_or(|()| false));
}
