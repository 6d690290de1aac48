//! The three seams: the observer that is told, the clock that is steered, the order that is chosen.
//!
//! | promise | test |
//! |---|---|
//! | every event, in order | a_small_program_is_told_event_by_event |
//! | the root's end too | a_root_is_over_when_its_future_has_been_dropped |
//! | a turn, in any order | one_turn_gives_each_ready_task_one_poll_in_any_order |
//! | between two turns | between_two_turns_nobody_acts |
//! | an observer that panics | an_observer_that_panics_leaves_no_root_behind_and_ends_no_process |
//! | ends, and who woke | every_end_and_every_waker_has_its_name |
//! | parked, unparked, fired | a_loop_on_the_real_clock_tells_of_its_sleep |
//! | primitives tell too | a_lock_tells_who_waits_takes_and_gives_back |
//! | who had it, whoever drops it | what_a_cancelled_task_held_is_given_back_by_the_one_who_took_it |
//! | a wake is told once | a_wake_of_a_task_that_is_ready_already_is_not_told |
//! | an observer may look at the tasks | an_observer_may_ask_for_the_tasks_at_any_event |
//! | an observer changes nothing | a_program_runs_the_same_whether_watched_or_not |
//! | T25 a jump is exact | virtual_time_jumps_from_deadline_to_deadline |
//! | T25 advance() is exact | time_moved_by_hand_goes_as_far_as_it_was_moved |
//! | T26 virtual time is deterministic | a_program_in_virtual_time_runs_the_same_twice |
//! | T38 the wheel is on the heap | a_loop_fits_on_a_small_stack |
//! | virtual time waits for the world | virtual_time_does_not_jump_past_a_sockets_answer; threads.rs: virtual_time_waits_for_a_thread_before_it_jumps |
//! | the same seed, the same run | a_seed_repeats_its_run_and_another_differs |
//! | a schedule is obeyed | a_schedule_shows_the_lost_update_and_another_avoids_it |
//! | a schedule that cannot be | a_schedule_that_names_a_task_that_is_not_ready_is_refused |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use roundel::net::TcpListener;
use roundel::sync::{Lock, Semaphore};
use roundel::{
    Clock, Event, EventLoop, Instant, Observer, Order, all_tasks, current_task, sleep, sleep_until, spawn, spawn_named,
    timeout, yield_now,
};
use support::{OnDrop, Trace, millis, panic_text, panics_during, virtual_loop};

/// Writes every event down in a few words.
#[derive(Default)]
struct Notes(RefCell<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Spawned { task, name, by, .. } => format!("{task} spawned as {} by {by:?}", name.unwrap_or("-")),
            Event::Woken { task, by } => format!("{task} woken by {by:?}"),
            Event::PollStarted { task } => format!("{task} {{"),
            Event::PollEnded { task, pending } => format!("}} {task} {}", if *pending { "waits" } else { "ready" }),
            Event::Waiting { resource, .. } => format!("waiting for {:?}", resource.kind),
            Event::Acquired { by, resource, .. } => format!("{by:?} has {:?} {}", resource.kind, resource.number),
            Event::Released { by, resource } => format!("{by:?} gives back {:?} {}", resource.kind, resource.number),
            Event::Finished { task, outcome } => format!("{task} {outcome:?}"),
            Event::Parked { .. } => "parked".to_owned(),
            Event::Unparked => "unparked".to_owned(),
            Event::Fired { timers } => format!("fired {timers}"),
            other => format!("{other:?}"),
        };
        self.0.borrow_mut().push(line);
    }
}

impl Notes {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// Those that contain `word`.
    fn about(&self, word: &str) -> Vec<String> {
        self.take().into_iter().filter(|line| line.contains(word)).collect()
    }
}

fn watched(clock: Clock) -> (Rc<Notes>, EventLoop) {
    let notes = Rc::new(Notes::default());
    let event_loop = EventLoop::builder().clock(clock).observer(notes.clone()).build().unwrap();
    (notes, event_loop)
}

#[test]
fn a_small_program_is_told_event_by_event() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    event_loop.block_on(async {
        let child = spawn_named("child", async {
            yield_now().await;
            sleep(Duration::from_secs(1)).await;
        });
        child.await.unwrap();
    });
    assert_eq!(
        notes.take(),
        [
            "task 0 spawned as main by Outside",
            "task 0 woken by Outside",
            "task 0 {",
            "task 1 spawned as child by Task(task 0)",
            "task 1 woken by Task(task 0)",
            "waiting for Task",
            "} task 0 waits",
            "task 1 {",
            "waiting for Turn",
            "task 1 woken by Task(task 1)",
            "} task 1 waits",
            "task 1 {",
            "waiting for Timer",
            "} task 1 waits",
            "fired 1",
            "task 1 woken by Timer",
            "task 1 {",
            "} task 1 ready",
            "task 1 Returned",
            "task 0 woken by Task(task 1)",
            "task 0 {",
            "} task 0 ready",
            "task 0 Returned",
        ]
    );
}

#[test]
fn a_root_is_over_when_its_future_has_been_dropped() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    let ending = || {
        let notes = notes.clone();
        OnDrop(move || {
            notes.0.borrow_mut().push("dropped".to_owned());
            panic!("in a destructor");
        })
    };
    let at_drop = ending();
    let (result, _) = panics_during(|| event_loop.block_on(async move { drop(at_drop) }));
    assert!(result.is_err());
    assert_eq!(notes.take()[3..], ["dropped", "task 0 Panicked"]);

    // Also when it is the destructor of the future that panics, after its last poll.
    let at_drop = ending();
    let (result, _) = panics_during(|| {
        event_loop.block_on(poll_fn(move |_| {
            let _ = &at_drop;
            Poll::Ready(())
        }))
    });
    assert!(result.is_err());
    assert_eq!(notes.take()[3..], ["} task 0 ready", "dropped", "task 0 Panicked"]);
}

#[test]
fn one_turn_gives_each_ready_task_one_poll_in_any_order() {
    // One who is over but not yet out of the line counts for nobody.
    for order in [Order::fifo(), Order::shuffled(1), Order::schedule([])] {
        let event_loop = EventLoop::builder().clock(Clock::manual()).order(order).build().unwrap();
        let polls = Rc::new(Cell::new(0));
        let counter = polls.clone();
        let _busy = event_loop.spawn(poll_fn(move |cx| {
            counter.set(counter.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        event_loop.spawn(pending::<()>()).cancel();
        event_loop.turn();
        assert_eq!(polls.get(), 1);
    }
}

#[test]
fn between_two_turns_nobody_acts() {
    let (notes, event_loop) = watched(Clock::manual());
    let task = event_loop.spawn(pending::<()>());
    event_loop.turn();
    // A task that were still on stage would be running, and the one who spawns.
    assert!(event_loop.all_tasks()[0].waits_for.is_some());
    drop(event_loop.spawn(async {}));
    assert!(notes.take().contains(&"task 2 spawned as - by Outside".to_owned()));
    drop(task);
}

#[test]
fn an_observer_that_panics_leaves_no_root_behind_and_ends_no_process() {
    struct Panics(Cell<bool>);
    impl Observer for Panics {
        fn event(&self, event: &Event<'_>) {
            let at_last = matches!(event, Event::PollStarted { .. } | Event::Finished { .. });
            if at_last || matches!(event, Event::Spawned { .. }) && self.0.take() {
                panic!("an observer's own");
            }
        }
    }
    let event_loop = EventLoop::builder().observer(Rc::new(Panics(Cell::new(true)))).build().unwrap();
    for _ in ["at the root's making", "at its first turn"] {
        let (result, _) = panics_during(|| event_loop.block_on(async {}));
        assert!(result.is_err());
        assert_eq!(event_loop.all_tasks().len(), 0);
    }
}

#[test]
fn every_end_and_every_waker_has_its_name() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    let early = event_loop.spawn(pending::<()>());
    assert_eq!(notes.take(), ["task 1 spawned as - by Outside", "task 1 woken by Outside"]);
    let (result, _) = panics_during(|| {
        event_loop.block_on(async {
            let panics = spawn(async { panic!("on purpose") });
            let cancelled_from_afar = spawn(pending::<()>());
            let cancel = cancelled_from_afar.cancel_handle();
            yield_now().await;
            thread::spawn(move || cancel.cancel()).join().unwrap();
            early.cancel();
            let _ = panics.await;
            let _ = cancelled_from_afar.await;
        })
    });
    result.unwrap();
    let lines = notes.take();
    let ends: Vec<_> = lines.iter().filter(|line| line.contains("Panicked") || line.contains("Cancelled")).collect();
    assert_eq!(ends, ["task 2 Panicked", "task 1 Cancelled", "task 3 Cancelled"]);
    assert!(lines.contains(&"task 0 woken by Thread".to_owned()), "{lines:?}");
}

#[test]
fn a_loop_on_the_real_clock_tells_of_its_sleep() {
    let (notes, event_loop) = watched(Clock::real());
    event_loop.block_on(async { sleep(millis(20)).await });
    let lines = notes.take();
    let around = lines.iter().position(|line| line == "parked").unwrap();
    assert_eq!(
        lines[around - 1..around + 4],
        ["} task 0 waits", "parked", "unparked", "fired 1", "task 0 woken by Timer"]
    );
    assert_eq!(lines.iter().filter(|line| *line == "parked").count(), 1);
}

#[test]
fn what_a_cancelled_task_held_is_given_back_by_the_one_who_took_it() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    event_loop.block_on(async {
        let (seats, lock) = (Rc::new(Semaphore::new(2)), Rc::new(Lock::new(())));
        let hold = || {
            let (seats, lock) = (seats.clone(), lock.clone());
            async move {
                let _seat = seats.acquire().await;
                let _guard = lock.try_acquire();
                pending::<()>().await;
            }
        };
        let [_first, second] = [spawn(hold()), spawn(hold())];
        yield_now().await;
        notes.take();
        second.cancel();
    });
    assert_eq!(notes.about("gives back")[0], "Task(task 2) gives back Semaphore 1");
}

#[test]
fn a_lock_tells_who_waits_takes_and_gives_back() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    event_loop.block_on(async {
        let lock = Rc::new(Lock::new(()));
        let guard = lock.acquire().await;
        let other = {
            let lock = lock.clone();
            spawn(async move { drop(lock.acquire().await) })
        };
        yield_now().await;
        drop(guard);
        other.await.unwrap();
    });
    assert_eq!(
        notes.about("Lock"),
        [
            "Task(task 0) has Lock 1",
            "waiting for Lock",
            "Task(task 0) gives back Lock 1",
            "Task(task 1) has Lock 1",
            "Task(task 1) gives back Lock 1",
        ]
    );
}

#[test]
fn a_wake_of_a_task_that_is_ready_already_is_not_told() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    let mut polls = 0;
    event_loop.block_on(poll_fn(|cx| {
        polls += 1;
        for _ in 0..3 {
            cx.waker().wake_by_ref();
        }
        if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert_eq!(notes.about("woken by Task").len(), 2, "one a turn");
}

#[test]
fn an_observer_may_ask_for_the_tasks_at_any_event() {
    // No borrow is held while it is told: not of the tasks, not of the queue, not of this thread's home.
    struct Curious(Cell<usize>, RefCell<Option<Waker>>);
    impl Observer for Curious {
        fn event(&self, _: &Event<'_>) {
            self.0.set(self.0.get() + 1);
            let _ = (all_tasks(), current_task().map(|task| task.name));
            // It should not, but even this does no harm: a loop that comes and goes, and a late wake.
            drop(EventLoop::new());
            if let Some(waker) = self.1.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }
    let curious = Rc::new(Curious(Cell::new(0), RefCell::new(None)));
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).observer(curious.clone()).build().unwrap();
    event_loop.block_on(async {
        let over = poll_fn(|cx| Poll::Ready(cx.waker().clone()));
        *curious.1.borrow_mut() = Some(spawn(over).await.unwrap());
        let child = spawn(async { sleep(millis(1)).await });
        child.await.unwrap();
        let lock = Lock::new(());
        drop(lock.acquire().await);
        spawn(pending::<()>()).cancel();
    });
    drop(event_loop);
    assert!(curious.0.get() > 20);
}

/// A program with something of everything that time and turns decide; what it did, and when.
fn program(event_loop: &EventLoop) -> Vec<String> {
    let trace = Trace::new();
    event_loop.block_on(async {
        let start = Instant::now();
        let mut random = fastrand::Rng::with_seed(26);
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (trace, naps) = (trace.clone(), [random.u64(0..50), random.u64(0..50), random.u64(0..50)]);
                spawn(async move {
                    for nap in naps {
                        let late = timeout(millis(30), sleep(millis(nap))).await.is_err();
                        yield_now().await;
                        trace.note(format_args!("{number} at {:?}, late: {late}", start.elapsed()));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    trace.take()
}

#[test]
fn a_program_runs_the_same_whether_watched_or_not() {
    let (notes, event_loop) = watched(Clock::virtual_time());
    assert_eq!(program(&event_loop), program(&virtual_loop()));
    assert!(notes.take().len() > 200);
}

#[test]
fn a_program_in_virtual_time_runs_the_same_twice() {
    // T26
    let (first_notes, first) = watched(Clock::virtual_time());
    let (second_notes, second) = watched(Clock::virtual_time());
    assert_eq!(program(&first), program(&second));
    assert_eq!(first_notes.take(), second_notes.take());
}

#[test]
fn virtual_time_jumps_from_deadline_to_deadline() {
    // T25: no jump overshoots, whatever levels of the wheel lie between two deadlines.
    virtual_loop().block_on(async {
        let start = Instant::now();
        let deadlines = [1, 2, 63, 64, 65, 4095, 4096, 100_000, 20_000_000, 70_000_000_000];
        for after in deadlines.map(millis) {
            let noted = spawn(async move {
                sleep_until(start + after).await;
                Instant::now()
            });
            assert_eq!(noted.await.unwrap(), start + after);
        }
        // All at once, and in any order of creation.
        let start = Instant::now();
        let sleepers: Vec<_> =
            deadlines.into_iter().rev().map(|after| spawn(sleep_until(start + millis(after)))).collect();
        for after in deadlines {
            sleep_until(start + millis(after)).await;
            assert_eq!(start.elapsed(), millis(after));
        }
        assert!(sleepers.iter().all(|sleeper| sleeper.is_finished()));
    });
}

#[test]
fn time_moved_by_hand_goes_as_far_as_it_was_moved() {
    // T25
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let trace = Trace::new();
    for after in [12, 7, 3] {
        let trace = trace.clone();
        let start = clock.now();
        let _sleeper = event_loop.spawn(async move {
            sleep(millis(after)).await;
            trace.note(format_args!("{after} at {:?}", start.elapsed()));
        });
    }
    for _ in 0..3 {
        assert!(!event_loop.turn(), "the clock stands still");
    }
    clock.advance(millis(10));
    event_loop.turn();
    assert_eq!(trace.take(), ["3 at 10ms", "7 at 10ms"], "in order of their deadlines, and not the third");
    clock.advance(millis(1));
    event_loop.turn();
    assert_eq!(trace.take(), [""; 0]);
    clock.advance(Duration::MAX);
    event_loop.turn();
    assert_eq!(trace.take().len(), 1, "the end of time comes after every timer but those that never come");
}

#[test]
fn virtual_time_does_not_jump_past_a_sockets_answer() {
    virtual_loop().block_on(async {
        let start = Instant::now();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
        let accepted = timeout(Duration::from_secs(3600), listener.accept()).await;
        accepted.expect("the hour was not jumped over").unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(client.join().unwrap());
        drop(listener);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3600), "with no socket open it is");
    });
}

#[test]
fn a_loop_fits_on_a_small_stack() {
    // T38
    let small = thread::Builder::new().stack_size(64 * 1024);
    let thread = small.spawn(|| virtual_loop().block_on(async { spawn(sleep(millis(1))).await.unwrap() }));
    thread.unwrap().join().unwrap();
}

/// Two tasks read, give their turn away, and write; what the sum came to, and the order of the steps.
fn lost_update(order: Order) -> (u32, Vec<String>) {
    let trace = Trace::new();
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).order(order).build().unwrap();
    let sum = event_loop.block_on(async {
        let sum = Rc::new(Cell::new(0));
        let tasks = ["a", "b"].map(|name| {
            let (sum, trace) = (sum.clone(), trace.clone());
            spawn(async move {
                let read = sum.get();
                trace.note(format_args!("{name} reads {read}"));
                yield_now().await;
                sum.set(read + 1);
                trace.note(format_args!("{name} writes {}", read + 1));
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        sum.get()
    });
    (sum, trace.take())
}

#[test]
fn a_schedule_shows_the_lost_update_and_another_avoids_it() {
    let (sum, steps) = lost_update(Order::schedule([0, 1, 0, 1]));
    assert_eq!((sum, steps), (1, ["a reads 0", "b reads 0", "a writes 1", "b writes 1"].map(String::from).into()));
    let (sum, steps) = lost_update(Order::schedule([0, 0, 1, 1]));
    assert_eq!((sum, steps), (2, ["a reads 0", "a writes 1", "b reads 1", "b writes 2"].map(String::from).into()));
    // Used up, it goes on first in, first out.
    assert_eq!(lost_update(Order::schedule([1])).1, ["b reads 0", "a reads 0", "b writes 1", "a writes 1"]);
    assert_eq!(lost_update(Order::fifo()), lost_update(Order::schedule([])));
}

#[test]
fn a_seed_repeats_its_run_and_another_differs() {
    let runs: Vec<_> = (0..50).map(|seed| lost_update(Order::shuffled(seed))).collect();
    for (seed, run) in (0..50).zip(&runs) {
        assert_eq!(&lost_update(Order::shuffled(seed)), run);
    }
    let orders: BTreeSet<_> = runs.iter().map(|(_, steps)| steps).collect();
    let sums: BTreeSet<_> = runs.iter().map(|(sum, _)| *sum).collect();
    assert_eq!(orders.len(), 6, "every order that there is");
    assert_eq!(sums, [1, 2].into());
}

#[test]
fn a_schedule_that_names_a_task_that_is_not_ready_is_refused() {
    let (result, _) = panics_during(|| lost_update(Order::schedule([0, 5])));
    let made_at = format!("{}:{}", file!(), line!() - 1);
    let said = panic_text(&*result.unwrap_err());
    assert!(said.starts_with(&format!("the schedule made at {made_at}:")), "the line is the user's: {said}");
    assert!(said.contains("names task 5, which is not ready; ready are [1, 0], counted from 0"), "{said}");
}

#[test]
fn a_root_that_only_yields_keeps_no_scheduled_task_waiting() {
    for schedule in [vec![], vec![0, 0, 0]] {
        let event_loop = EventLoop::builder().order(Order::schedule(schedule)).build().unwrap();
        let turns = event_loop.block_on(async {
            let child = roundel::spawn(async {
                for _ in 0..3 {
                    yield_now().await;
                }
            });
            let mut turns = 0;
            while !child.is_finished() {
                yield_now().await;
                turns += 1;
            }
            turns
        });
        assert!(turns <= 5, "{turns}");
    }
}
