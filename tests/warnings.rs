//! What a loop warns of: slow polls, polls that hang, tasks that were lost at the end, panics that nobody read.
//!
//! | promise | test |
//! |---|---|
//! | a slow poll is told once, with task, name, line and time | a_slow_poll_names_its_task_its_line_and_how_long_it_took |
//! | what is within the limit is not told | a_poll_within_its_limit_is_not_told |
//! | the root is a task like any other | a_slow_poll_of_the_root_is_told_by_its_name |
//! | a poll that hangs is told while it hangs, once | the_watchdog_speaks_once_while_the_poll_still_hangs |
//! | whoever left by a panic does not hang | a_root_that_panicked_does_not_hang |
//! | the watchdog's thread ends with the loop | the_watchdog_ends_with_its_loop |
//! | tasks that never ran, and that still wait, at the end | the_loops_end_tells_who_never_ran_and_who_still_waited |
//! | many are told in one report | of_many_lost_tasks_the_first_few_are_named |
//! | a program that panics is not nagged | a_loop_that_ends_by_a_panic_tells_of_no_lost_task |
//! | a panic that nobody read | a_panic_that_nobody_read_is_told_once_and_one_that_was_read_is_not |
//! | a teller that panics harms nobody | a_teller_that_panics_harms_nobody |
//! | nothing asked, nothing told | nothing_is_told_where_nothing_was_asked |
//! | the defaults: debug warns on stderr, release does not | by_default_a_debug_build_warns_on_stderr_and_a_release_build_does_not |
//! | a guard is told nothing that it does not need | a_loop_with_warnings_only_gives_its_primitives_no_numbers |
//! | beside an observer both hear | warnings_and_an_observer_both_hear |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::RefCell;
use std::env;
use std::future::pending;
use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use roundel::study::{Warning, Warnings};
use roundel::sync::Lock;
use roundel::{Clock, Event, EventLoop, Observer, block_on, sleep, spawn, spawn_named, yield_now};
use support::{millis, panics_during};

/// What was told, as text, with the name of this file cut down to `here`.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn by(&self, warnings: Warnings) -> Warnings {
        let told = self.clone();
        warnings.to(move |warning| {
            let text = warning.to_string().replace('\\', "/").replace(file!(), "here");
            told.0.lock().unwrap().push(text);
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A loop on a clock that is moved by hand, and what it warned of.
fn warned(warnings: Warnings) -> (Told, Clock, EventLoop) {
    let (told, clock) = (Told::default(), Clock::manual());
    let event_loop = EventLoop::builder().clock(clock.clone()).warnings(told.by(warnings)).build().unwrap();
    (told, clock, event_loop)
}

#[test]
fn a_slow_poll_names_its_task_its_line_and_how_long_it_took() {
    let (told, clock, event_loop) = warned(Warnings::new());
    let line = line!() + 2;
    event_loop.block_on(async {
        let reader = spawn_named("reader", async move {
            yield_now().await;
            clock.advance(millis(250));
            yield_now().await;
        });
        reader.await.unwrap();
    });
    let expected = format!(
        "task 1 \"reader\" (spawned at here:{line}) kept the loop for 250ms in one poll, and nobody else ran \
         meanwhile; 100ms are allowed. Give long work to to_thread(), or let others run by yield_now().await."
    );
    assert_eq!(told.take(), [expected]);
}

#[test]
fn a_poll_within_its_limit_is_not_told() {
    let (told, clock, event_loop) = warned(Warnings::new().slow_poll(millis(10)));
    event_loop.block_on(async {
        // Ten milliseconds a poll, and no single one takes more.
        for _ in 0..5 {
            clock.advance(millis(10));
            yield_now().await;
        }
    });
    assert_eq!(told.take(), [""; 0]);
}

#[test]
fn a_slow_poll_of_the_root_is_told_by_its_name() {
    let (told, clock, event_loop) = warned(Warnings::new().slow_poll(millis(10)));
    event_loop.block_on(async { clock.advance(millis(11)) });
    let told = told.take();
    assert!(told.len() == 1 && told[0].starts_with("task 0 \"main\" (spawned at here:"), "{told:?}");
    assert!(told[0].contains("kept the loop for 11ms in one poll"), "{told:?}");
}

#[test]
fn the_watchdog_speaks_once_while_the_poll_still_hangs() {
    let (says, said) = mpsc::channel();
    let warnings = Warnings::none().watchdog(millis(1)).to(move |warning| {
        let Warning::Hanging { task, name, site, so_far } = warning else { panic!("{warning}") };
        says.send((task.number(), name.clone(), site.line(), *so_far)).unwrap();
        let text = warning.to_string();
        assert!(text.contains("task 1 \"stuck\" (spawned at "), "{text}");
        assert!(text.contains("which goes on, and nobody else runs meanwhile"), "{text}");
    });
    let event_loop = EventLoop::builder().warnings(warnings).build().unwrap();
    let line = line!() + 2;
    let more = event_loop.block_on(async {
        let stuck = spawn_named("stuck", async move {
            // The poll does not go on before it was spoken of.
            let (task, name, line, so_far) = said.recv().unwrap();
            assert!(so_far >= millis(1));
            assert_eq!((task, name.as_deref()), (1, Some("stuck")));
            // The dog has all the time it needs to bark again, and does not.
            let again = said.recv_timeout(millis(20));
            (line, again.is_ok())
        });
        stuck.await.unwrap()
    });
    assert_eq!(more, (line, false));
}

#[test]
fn a_root_that_panicked_does_not_hang() {
    let (says, said) = mpsc::channel();
    let warnings = Warnings::none().watchdog(millis(1)).to(move |warning| says.send(warning.to_string()).unwrap());
    let event_loop = EventLoop::builder().warnings(warnings).build().unwrap();
    let hangs = |text: &str| {
        let text = text.to_owned();
        let said = &said;
        event_loop.block_on(async move { assert!(said.recv().unwrap().contains(&text)) });
    };
    hangs("task 0 \"main\"");
    // Spoken of while it was under way, so what comes after it would be of nobody's poll.
    let panics = async { said.recv().map(|text| panic!("{text}")) };
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| event_loop.block_on(panics)));
    assert!(panicked.is_err());
    // No poll is under way: nobody speaks, however long it takes.
    assert!(said.recv_timeout(millis(20)).is_err());
    hangs("task 0 \"main\"");
}

#[test]
fn the_watchdog_ends_with_its_loop() {
    let (says, said) = mpsc::channel::<()>();
    let warnings = Warnings::none().watchdog(Duration::from_secs(3600)).to(move |_| says.send(()).unwrap());
    let event_loop = EventLoop::builder().warnings(warnings).build().unwrap();
    event_loop.block_on(yield_now());
    drop(event_loop);
    // The thread has the teller, which has the sender: it says so by letting it go.
    assert_eq!(said.recv(), Err(mpsc::RecvError));
}

#[test]
fn the_loops_end_tells_who_never_ran_and_who_still_waited() {
    let (told, _, event_loop) = warned(Warnings::new());
    let line = line!() + 2;
    event_loop.block_on(async {
        drop(spawn_named("asleep", sleep(Duration::from_secs(1))));
        drop(spawn(pending::<()>()));
        spawn(async {}).await.unwrap();
        drop(spawn_named("too late", async {}));
        assert!(spawn(async {}).cancel(), "who was cancelled was not lost");
    });
    drop(event_loop);
    let never_ran = format!(
        "the loop ended, and dropped a task that never ran:\n  task 4 \"too late\" (spawned at here:{})\n  \
         Await the handle of a task before the end, if it is to do its work.",
        line + 3
    );
    let still_waiting = format!(
        "the loop ended, and dropped 2 tasks that had not finished:\n  \
         task 1 \"asleep\" (spawned at here:{line}) waits for Timer\n  \
         task 2 (spawned at here:{}) waits for something foreign\n  \
         Await the handle of a task before the end, or cancel it if it is to stop there.",
        line + 1
    );
    assert_eq!(told.take(), [never_ran, still_waiting]);
}

#[test]
fn of_many_lost_tasks_the_first_few_are_named() {
    let (told, _, event_loop) = warned(Warnings::new());
    (0..100).for_each(|_| drop(event_loop.spawn(async {})));
    drop(event_loop);
    let told = told.take();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("the loop ended, and dropped 100 tasks that never ran:\n  task 1 (spawned at here:"));
    assert_eq!(told[0].lines().filter(|line| line.starts_with("  task ")).count(), 5, "{}", told[0]);
    assert!(told[0].contains("\n  and 95 more\n"), "{}", told[0]);
}

#[test]
fn a_loop_that_ends_by_a_panic_tells_of_no_lost_task() {
    let told = Told::default();
    let by = told.clone();
    let panicked = panic::catch_unwind(move || {
        let event_loop = EventLoop::builder().clock(Clock::manual()).warnings(by.by(Warnings::new())).build().unwrap();
        drop(event_loop.spawn(async {}));
        event_loop.block_on(async { panic!("gone") })
    });
    assert!(panicked.is_err());
    assert_eq!(told.take(), [""; 0]);
}

#[test]
fn a_panic_that_nobody_read_is_told_once_and_one_that_was_read_is_not() {
    let (told, _, event_loop) = warned(Warnings::new());
    let line = line!() + 2;
    event_loop.block_on(async {
        drop(spawn(async { panic!("unheard") }));
        assert!(spawn(async { panic!("read") }).await.is_err());
    });
    drop(event_loop);
    let expected = format!(
        "task 1 panicked: unheard; nobody will read it, for the handle was dropped (spawned at here:{line}). \
         Await the handle, which gives the panic as an error."
    );
    assert_eq!(told.take(), [expected]);
}

#[test]
fn a_teller_that_panics_harms_nobody() {
    let clock = Clock::manual();
    let warnings = Warnings::new().to(|warning| panic!("no: {warning}"));
    let event_loop = EventLoop::builder().clock(clock.clone()).warnings(warnings).build().unwrap();
    let (done, panics) = panics_during(|| {
        event_loop.block_on(async move { clock.advance(Duration::from_secs(1)) });
        drop(event_loop.spawn(async {}));
        drop(event_loop);
    });
    assert!(done.is_ok());
    assert_eq!(panics.len(), 2, "the hook heard of both: {panics:?}");
}

#[test]
fn nothing_is_told_where_nothing_was_asked() {
    let (told, clock, event_loop) = warned(Warnings::none());
    event_loop.block_on(async {
        drop(spawn(async { panic!("unheard") }));
        yield_now().await;
        clock.advance(Duration::from_secs(1));
        drop(spawn(async {}));
    });
    drop(event_loop);
    assert_eq!(told.take(), [""; 0]);
}

/// Not a test of its own: what the next one runs, and whose stderr it reads.
#[test]
fn the_forgetful_child() {
    if env::var_os("ROUNDEL_FORGETFUL_CHILD").is_none() {
        return;
    }
    block_on(async {
        drop(spawn(pending::<()>()));
        yield_now().await;
        drop(spawn(async {}));
        std::thread::sleep(millis(101));
    });
    // On a clock moved by hand nobody is to be surprised that it moves.
    let clock = Clock::manual();
    let by_hand = EventLoop::builder().clock(clock.clone()).build().unwrap();
    by_hand.block_on(async { clock.advance(Duration::from_secs(1)) });
}

#[test]
fn by_default_a_debug_build_warns_on_stderr_and_a_release_build_does_not() {
    let child = Command::new(env::current_exe().unwrap())
        .args(["the_forgetful_child", "--exact", "--test-threads", "1", "--nocapture"])
        .env("ROUNDEL_FORGETFUL_CHILD", "1")
        .output()
        .unwrap();
    let said = String::from_utf8(child.stderr).unwrap();
    let told = cfg!(debug_assertions);
    let never_ran = "roundel: the loop ended, and dropped a task that never ran:\n  task 2 (spawned at ";
    assert_eq!(said.contains(never_ran), told, "{said}");
    assert_eq!(said.contains("roundel: task 0 \"main\" (spawned at "), told, "{said}");
    assert!(!said.contains("had not finished"), "a task in the background is no fault: {said}");
    assert!(!said.contains("for 1s in one poll"), "{said}");
}

#[test]
fn a_loop_with_warnings_only_gives_its_primitives_no_numbers() {
    /// Writes down which locks were taken.
    #[derive(Default)]
    struct Locks(RefCell<Vec<String>>);
    impl Observer for Locks {
        fn event(&self, event: &Event<'_>) {
            if let Event::Acquired { resource, .. } = event {
                self.0.borrow_mut().push(resource.to_string());
            }
        }
    }
    let (_, _, event_loop) = warned(Warnings::new());
    event_loop.block_on(async { drop(Lock::new(0).acquire().await) });
    let locks = Rc::new(Locks::default());
    let watched = EventLoop::builder().observer(locks.clone()).build().unwrap();
    watched.block_on(async { drop(Lock::new(0).acquire().await) });
    assert_eq!(locks.0.take(), ["Lock 1"], "the lock of before was not counted");
}

#[test]
fn warnings_and_an_observer_both_hear() {
    /// Counts events.
    #[derive(Default)]
    struct Polls(RefCell<usize>);
    impl Observer for Polls {
        fn event(&self, event: &Event<'_>) {
            *self.0.borrow_mut() += usize::from(matches!(event, Event::PollStarted { .. }));
        }
    }
    let (told, clock, polls) = (Told::default(), Clock::manual(), Rc::new(Polls::default()));
    let builder = EventLoop::builder().clock(clock.clone()).observer(polls.clone());
    let event_loop = builder.warnings(told.by(Warnings::new())).build().unwrap();
    event_loop.block_on(async move {
        yield_now().await;
        clock.advance(Duration::from_secs(1));
    });
    assert_eq!((*polls.0.borrow(), told.take().len()), (2, 1));
}
