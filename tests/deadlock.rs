//! When nothing can ever happen any more, the loop says so, and why.
//!
//! | promise | test |
//! |---|---|
//! | two locks in opposite order | two_tasks_that_want_each_others_lock |
//! | the lines are those of the calls | the_lines_are_those_of_the_calls |
//! | a task that waits for itself | a_task_that_takes_its_own_lock_again |
//! | the innocent behind a circle | a_circle_of_three_with_others_behind_it |
//! | a holder that is over | a_lock_whose_holder_is_over |
//! | a holder that is not polled any more | a_lock_held_by_a_future_that_is_no_longer_polled |
//! | tasks that await each other | two_tasks_that_await_each_other |
//! | families | whoever_waits_for_the_stuck_is_told_so |
//! | news that nobody brings | an_event_that_nobody_sets, what_nobody_is_left_to_do |
//! | a semaphore names who took permits last | a_semaphore_names_who_took_its_permits_last |
//! | a moment that never comes | a_moment_that_never_comes |
//! | several waits of one task | a_task_with_two_branches_names_both |
//! | a circle while others run on | a_circle_is_reported_while_others_run_on |
//! | it is found whatever else comes in | a_circle_is_found_though_mail_comes_at_every_look |
//! | in a quiet server, too | a_quiet_server_wakes_to_look_for_circles_if_somebody_waits_for_others |
//! | a crowd is asked once | a_crowd_that_waits_is_asked_once_and_no_more |
//! | a lock that is only held long is no circle | a_lock_held_for_long_is_no_circle |
//! | a wait that may end otherwise is no circle | a_circle_that_a_timeout_may_break_is_not_reported |
//! | an observer is told as well | whoever_watches_is_told_before_the_root_is_dropped |
//! | a picture of it | the_picture_has_every_task_and_an_arrow_for_every_wait |
//! | `block_on` panics with the same text | block_on_panics_with_the_explanation |
//! | the loop lives on | after_a_deadlock_the_loop_goes_on |
//! | to be asked disturbs nobody | who_was_asked_keeps_its_place_in_line |
//! | who moves when asked has moved | a_task_that_moves_when_it_is_asked_has_moved, a_task_that_sets_a_timer_when_it_is_asked_has_moved |
//! | a foreign wait is never guessed | a_foreign_waker_may_wake_from_anywhere, a_waker_cloned_on_another_thread_is_a_foreign_one |
//! | a wait that says nothing is never guessed | a_future_that_says_nothing_may_be_woken_from_anywhere |
//! | who can reach the loop may act | a_live_handle_may_still_do_something, a_cancel_handle_may_still_do_something |
//! | a closure may answer | a_closure_under_way_may_still_answer |
//! | the real clock has patience | the_real_clock_waits_before_it_asks |
//! | nobody asks while sockets are waited for | whoever_waits_for_a_socket_is_not_asked |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use roundel::net::TcpListener;
use roundel::study::{Deadlock, Warning, Warnings, Why};
use roundel::sync::{Barrier, Condition, Event, Lock, OnceCell, Queue, Semaphore, oneshot};
use roundel::{
    Actor, Clock, EventLoop, Observer, TaskGroup, as_completed, gather, sleep, sleep_until, spawn, spawn_named,
    to_thread, yield_now,
};
use support::{panic_text, panics_during, virtual_loop};

/// The explanation of a deadlock, with the place of every call in this file as HERE.
fn plain(deadlock: &Deadlock) -> String {
    let text = deadlock.to_string();
    let mut pieces = text.split("tests/deadlock.rs:");
    let mut plain = pieces.next().unwrap().to_owned();
    for piece in pieces {
        plain.push_str("HERE");
        plain.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
    }
    plain
}

/// Runs `program` to its deadlock in virtual time, and compares the explanation.
#[track_caller]
fn explains(program: impl Future, expected: &str) -> Deadlock {
    let deadlock = match virtual_loop().try_block_on(program) {
        Ok(_) => panic!("it ran to its end"),
        Err(deadlock) => deadlock,
    };
    assert_eq!(plain(&deadlock), expected);
    deadlock
}

fn named(name: &str) -> Rc<Lock<()>> {
    Rc::new(Lock::new(()).named(name))
}

async fn take_both(first: Rc<Lock<()>>, second: Rc<Lock<()>>) {
    let _first = first.acquire().await;
    yield_now().await;
    let _second = second.acquire().await;
}

#[test]
fn two_tasks_that_want_each_others_lock() {
    let deadlock = explains(
        async {
            let [a, b] = ["a", "b"].map(named);
            let one = spawn_named("T1", take_both(a.clone(), b.clone()));
            drop(spawn_named("T2", take_both(b, a)));
            one.await
        },
        r#"deadlock: 2 tasks wait for each other in a circle
  task 1 "T1" (spawned at HERE) holds Lock "a" (taken at HERE)
    and waits for Lock "b" (at HERE), held by task 2 "T2" (taken at HERE)
  task 2 "T2" (spawned at HERE) holds Lock "b" (taken at HERE)
    and waits for Lock "a" (at HERE), held by task 1 "T1" (taken at HERE)
 also waiting:
  task 0 "main" (spawned at HERE)
    waits for task 1 "T1" to end (at HERE)"#,
    );
    let [main, one, two] = &deadlock.tasks[..] else { panic!("{deadlock:?}") };
    assert_eq!(deadlock.cycles, [[one.id, two.id]]);
    assert_eq!((main.name.as_deref(), one.name.as_deref()), (Some("main"), Some("T1")));
    assert_eq!((&*one.holds[0].what, &*one.waits[0].what), ("Lock \"a\"", "Lock \"b\""));
    assert_eq!(one.waits[0].why, Why::HeldBy(vec![(Actor::Task(two.id), two.holds[0].site)]));
    assert_eq!(main.waits[0].why, Why::Unfinished(vec![one.id]));
}

#[test]
fn the_lines_are_those_of_the_calls() {
    let line = Cell::new(0);
    let deadlock = virtual_loop().try_block_on(async {
        let lock = Lock::new(());
        line.set(line!() + 1);
        let _guard = lock.acquire().await;
        drop(lock.acquire().await);
    });
    let stuck = &deadlock.unwrap_err().tasks[0];
    assert_eq!((stuck.holds[0].site.line(), stuck.waits[0].site.unwrap().line()), (line.get(), line.get() + 1));
    assert_eq!(stuck.site.unwrap().line(), line.get() - 3);
}

#[test]
fn a_task_that_takes_its_own_lock_again() {
    explains(
        async {
            let lock = Lock::new(1);
            let _guard = lock.acquire().await;
            drop(lock.acquire().await);
        },
        r#"deadlock: a task waits for itself
  task 0 "main" (spawned at HERE) holds Lock 1 (taken at HERE)
    and waits for Lock 1 (at HERE), held by itself: the guard is still in scope there, in a future that is no longer polled, or was given away"#,
    );
}

#[test]
fn a_circle_of_three_with_others_behind_it() {
    let deadlock = explains(
        async {
            let locks = ["a", "b", "c"].map(named);
            for (task, first, second) in [("A", 0, 1), ("B", 1, 2), ("C", 2, 0)] {
                drop(spawn_named(task, take_both(locks[first].clone(), locks[second].clone())));
            }
            yield_now().await;
            let c = locks[2].clone();
            let innocent = spawn_named("innocent", async move { drop(c.acquire().await) });
            innocent.await
        },
        r#"deadlock: 3 tasks wait for each other in a circle
  task 1 "A" (spawned at HERE) holds Lock "a" (taken at HERE)
    and waits for Lock "b" (at HERE), held by task 2 "B" (taken at HERE)
  task 2 "B" (spawned at HERE) holds Lock "b" (taken at HERE)
    and waits for Lock "c" (at HERE), held by task 3 "C" (taken at HERE)
  task 3 "C" (spawned at HERE) holds Lock "c" (taken at HERE)
    and waits for Lock "a" (at HERE), held by task 1 "A" (taken at HERE)
 also waiting:
  task 0 "main" (spawned at HERE)
    waits for task 4 "innocent" to end (at HERE)
  task 4 "innocent" (spawned at HERE)
    waits for Lock "c" (at HERE), held by task 3 "C" (taken at HERE)"#,
    );
    assert_eq!(deadlock.cycles[0].iter().map(|task| task.number()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_lock_whose_holder_is_over() {
    explains(
        async {
            let lock = named("a");
            let theirs = lock.clone();
            let holder = spawn_named("holder", async move { std::mem::forget(theirs.acquire().await) });
            holder.await.unwrap();
            drop(lock.acquire().await);
        },
        r#"deadlock: nobody is left who could wake anybody
  task 0 "main" (spawned at HERE)
    waits for Lock "a" (at HERE), held by task 1, which is over: its guard was given away, or forgotten (taken at HERE)"#,
    );
}

#[test]
fn a_lock_held_by_a_future_that_is_no_longer_polled() {
    // "Futurelock": the branch that has the lock is kept, and another one is awaited.
    explains(
        async {
            let lock = named("a");
            let mut kept = pin!(async {
                let _guard = lock.acquire().await;
                pending::<()>().await;
            });
            assert!(futures::poll!(kept.as_mut()).is_pending());
            drop(lock.acquire().await);
        },
        r#"deadlock: a task waits for itself
  task 0 "main" (spawned at HERE) holds Lock "a" (taken at HERE)
    and waits for Lock "a" (at HERE), held by itself: the guard is still in scope there, in a future that is no longer polled, or was given away"#,
    );
}

#[test]
fn two_tasks_that_await_each_other() {
    explains(
        async {
            let first = Rc::new(RefCell::new(None));
            let other = first.clone();
            let second = spawn_named("second", async move {
                let first: roundel::JoinHandle<()> = other.take().unwrap();
                first.await.unwrap();
            });
            let handle = spawn_named("first", async move { second.await.unwrap() });
            first.replace(Some(handle));
            pending_on(&Event::new().named("never")).await
        },
        r#"deadlock: 2 tasks wait for each other in a circle
  task 1 "second" (spawned at HERE)
    waits for task 2 "first" to end (at HERE)
  task 2 "first" (spawned at HERE)
    waits for task 1 "second" to end (at HERE)
 also waiting:
  task 0 "main" (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set"#,
    );
}

async fn pending_on(event: &Event) {
    event.wait().await;
}

#[test]
fn whoever_waits_for_the_stuck_is_told_so() {
    explains(
        async {
            let never = Rc::new(Event::new().named("never"));
            let wait = |_| {
                let never = never.clone();
                async move { never.wait().await }
            };
            drop(spawn_named("gathers", gather([1, 2].map(wait))));
            let handles = [spawn(wait(3))];
            drop(spawn_named("takes as they come", async move { as_completed(handles).next().await.map(drop) }));
            let group = TaskGroup::<(), ()>::new();
            let member = wait(4);
            drop(group.spawn(async move {
                member.await;
                Ok(())
            }));
            group.join().await
        },
        r#"deadlock: nobody is left who could wake anybody
  task 0 "main" (spawned at HERE)
    waits for task 6 to end
  task 1 (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set
  task 2 (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set
  task 3 "gathers" (spawned at HERE)
    waits for task 1, task 2 to end
  task 4 (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set
  task 5 "takes as they come" (spawned at HERE)
    waits for task 4 to end
  task 6 (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set"#,
    );
}

#[test]
fn an_event_that_nobody_sets() {
    explains(
        async { Event::new().named("go").wait().await },
        r#"deadlock: nobody is left who could wake anybody
  task 0 "main" (spawned at HERE)
    waits for Event "go" (at HERE), which nobody is left to set"#,
    );
}

#[test]
fn what_nobody_is_left_to_do() {
    explains(
        async {
            let lock = Rc::new(Lock::new(()).named("of the condition"));
            drop(spawn(async move { drop(Condition::new().named("news").wait(lock.acquire().await).await) }));
            drop(spawn(async { Barrier::new(2).named("start").wait().await }));
            drop(spawn(async { Queue::<u8>::unbounded().named("jobs").get().await }));
            let (kept, receiver) = oneshot::channel::<u8>();
            drop(spawn(receiver));
            let cell = Rc::new(OnceCell::<u8>::new().named("config"));
            let filled = cell.clone();
            drop(spawn(async move {
                *filled
                    .get_or_init(async || {
                        pending_on(&Event::new().named("load")).await;
                        1
                    })
                    .await
            }));
            let read = cell.clone();
            drop(spawn(async move { *read.get_or_init(async || 1).await }));
            let permits = Semaphore::new(0).named("seats");
            drop(permits.acquire().await);
            drop(kept);
        },
        r#"deadlock: nobody is left who could wake anybody
  task 0 "main" (spawned at HERE)
    waits for Semaphore "seats" (at HERE), of which there are too few permits, and nobody is left who gives any
  task 1 (spawned at HERE)
    waits for Condition "news" (at HERE), which nobody is left to notify
  task 2 (spawned at HERE)
    waits for Barrier "start" (at HERE), whose other parties do not come
  task 3 (spawned at HERE)
    waits for Queue "jobs" (at HERE), and nobody is left who puts, takes or is done with an item
  task 4 (spawned at HERE)
    waits for Oneshot 8, whose other end does nothing any more
  task 5 (spawned at HERE)
    waits for Event "load" (at HERE), which nobody is left to set
  task 6 (spawned at HERE)
    waits for OnceCell "config" (at HERE), which whoever fills it does not fill"#,
    );
}

#[test]
fn a_semaphore_names_who_took_its_permits_last() {
    explains(
        async {
            let seats = Rc::new(Semaphore::new(2).named("seats"));
            for name in ["early", "later", "last"] {
                let seats = seats.clone();
                drop(spawn_named(name, async move {
                    let _permit = seats.acquire().await.unwrap();
                    if name != "early" {
                        pending_on(&Event::new().named("never")).await
                    }
                }));
            }
            yield_now().await;
            drop(seats.acquire().await);
        },
        r#"deadlock: nobody is left who could wake anybody
  task 0 "main" (spawned at HERE)
    waits for Semaphore "seats" (at HERE), whose permits were taken last by task 3 "last" (taken at HERE), task 2 "later" (taken at HERE)
  task 2 "later" (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set
  task 3 "last" (spawned at HERE)
    waits for Event "never" (at HERE), which nobody is left to set"#,
    );
}

#[test]
fn a_moment_that_never_comes() {
    explains(
        async { sleep(Duration::MAX).await },
        r#"deadlock: nobody is left who could wake anybody
  task 0 "main" (spawned at HERE)
    waits for a moment that never comes (at HERE)"#,
    );
    // A clock that only tasks could move, and none is ready.
    let by_hand = EventLoop::builder().clock(Clock::manual()).build().unwrap();
    let deadlock = by_hand.try_block_on(async { sleep(Duration::from_secs(1)).await });
    assert_eq!(deadlock.unwrap_err().tasks[0].waits[0].why, Why::Never);
}

#[test]
fn a_task_with_two_branches_names_both() {
    let deadlock = explains(
        async {
            let lock = Lock::new(()).named("a");
            let _guard = lock.acquire().await;
            let never = Event::new().named("never");
            futures::join!(async { drop(lock.acquire().await) }, never.wait());
        },
        r#"deadlock: a task waits for itself
  task 0 "main" (spawned at HERE) holds Lock "a" (taken at HERE)
    and waits for Lock "a" (at HERE), held by itself: the guard is still in scope there, in a future that is no longer polled, or was given away
    and waits for Event "never" (at HERE), which nobody is left to set"#,
    );
    assert_eq!(deadlock.tasks[0].waits.len(), 2);
}

#[test]
fn block_on_panics_with_the_explanation() {
    let event_loop = virtual_loop();
    let (result, _) = panics_during(|| event_loop.block_on(async { Event::new().named("go").wait().await }));
    let text = panic_text(&*result.unwrap_err());
    assert!(text.starts_with("deadlock: ") && text.contains("Event \"go\""), "{text}");
}

#[test]
fn after_a_deadlock_the_loop_goes_on() {
    let event_loop = virtual_loop();
    let [a, b] = ["a", "b"].map(named);
    let one = event_loop.spawn(take_both(a.clone(), b.clone()));
    let two = event_loop.spawn(take_both(b, a));
    let mut two = Some(two);
    let deadlock = event_loop.try_block_on(async { two.as_mut().unwrap().await }).unwrap_err();
    assert_eq!(deadlock.cycles, [[one.id(), two.as_ref().unwrap().id()]]);
    one.cancel();
    event_loop.block_on(two.take().unwrap()).unwrap();
    assert_eq!(event_loop.all_tasks().len(), 0);
}

#[test]
fn who_was_asked_keeps_its_place_in_line() {
    let event_loop = virtual_loop();
    let (lock, order) = (named("a"), Rc::new(RefCell::new(Vec::new())));
    let guard = event_loop.block_on(async {
        for number in 1..=3 {
            let (lock, order) = (lock.clone(), order.clone());
            drop(spawn(async move {
                let _guard = lock.acquire().await;
                order.borrow_mut().push(number);
            }));
        }
        lock.acquire().await
    });
    for _ in 0..3 {
        event_loop.try_block_on(async { Event::new().wait().await }).unwrap_err();
    }
    drop(guard);
    event_loop.block_on(async { drop(lock.acquire().await) });
    assert_eq!(*order.borrow(), [1, 2, 3]);
}

#[test]
fn a_task_that_moves_when_it_is_asked_has_moved() {
    // A future that broke its promise: what it waits for has happened, and it woke nobody.
    let event_loop = virtual_loop();
    let polls = Cell::new(0);
    let (event, forgetful) = (
        Event::new(),
        poll_fn(|_| {
            polls.set(polls.get() + 1);
            if polls.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
        }),
    );
    event_loop.block_on(futures::future::select(Box::pin(forgetful), Box::pin(event.wait())));
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_task_that_sets_a_timer_when_it_is_asked_has_moved() {
    let event_loop = virtual_loop();
    let polls = Rc::new(Cell::new(0));
    let answer = event_loop.block_on(async {
        let first = poll_fn(|_| {
            polls.set(polls.get() + 1);
            if polls.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
        });
        futures::future::select(Box::pin(first), Box::pin(Event::new().wait())).await;
        sleep(Duration::from_millis(200)).await;
        7
    });
    assert_eq!(answer, 7);
}

/// Calls back at the first thing that happens after the loop has asked: who hears that knows it found nothing.
struct AfterTheQuestion(Cell<bool>, RefCell<Option<Box<dyn FnOnce()>>>);

impl AfterTheQuestion {
    fn watching(then: impl FnOnce() + 'static) -> EventLoop {
        let observer = Rc::new(AfterTheQuestion(Cell::new(false), RefCell::new(Some(Box::new(then)))));
        EventLoop::builder().clock(Clock::virtual_time()).observer(observer).build().unwrap()
    }
}

impl Observer for AfterTheQuestion {
    fn event(&self, event: &roundel::Event<'_>) {
        match event {
            roundel::Event::Woken { by: Actor::Loop, .. } => self.0.set(true),
            roundel::Event::Parked { .. } if self.0.get() => {
                if let Some(then) = self.1.take() {
                    then();
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_foreign_waker_may_wake_from_anywhere() {
    let (send, receive) = mpsc::channel::<Waker>();
    let event_loop = AfterTheQuestion::watching(move || {
        // The last one is the one that counts: it was kept when the loop asked.
        let waker = receive.try_iter().last().unwrap();
        thread::spawn(move || waker.wake());
    });
    let (event, polls) = (Event::new(), Cell::new(0));
    let elsewhere = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        if polls.get() == 3 {
            return Poll::Ready(());
        }
        send.send(cx.waker().clone()).unwrap();
        Poll::Pending
    });
    event_loop.block_on(futures::future::select(Box::pin(elsewhere), Box::pin(event.wait())));
    assert_eq!(polls.get(), 3, "begun, asked, woken");
}

#[test]
fn a_waker_cloned_on_another_thread_is_a_foreign_one() {
    let (send, receive) = mpsc::channel::<Waker>();
    let event_loop = AfterTheQuestion::watching(move || receive.try_iter().last().unwrap().wake());
    let event = Event::new();
    let polls = Cell::new(0);
    let elsewhere = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        if polls.get() == 3 {
            return Poll::Ready(());
        }
        let (waker, send) = (cx.waker(), send.clone());
        thread::scope(|scope| scope.spawn(move || send.send(waker.clone()).unwrap()).join().unwrap());
        Poll::Pending
    });
    event_loop.block_on(futures::future::select(Box::pin(elsewhere), Box::pin(event.wait())));
    assert_eq!(polls.get(), 3);
}

/// Lets somebody act as soon as the loop sleeps.
struct WhenItSleeps(RefCell<Option<Box<dyn FnOnce()>>>);

impl Observer for WhenItSleeps {
    fn event(&self, event: &roundel::Event<'_>) {
        if let roundel::Event::Parked { limit } = event {
            assert_eq!(*limit, None, "there is nothing to be asked");
            if let Some(then) = self.0.take() {
                then();
            }
        }
    }
}

#[test]
fn a_future_that_says_nothing_may_be_woken_from_anywhere() {
    // It keeps its first waker only, which it should not; but a program that works is not to be ended for it.
    let (send, receive) = mpsc::channel::<Waker>();
    let wakes = WhenItSleeps(RefCell::new(Some(Box::new(move || {
        let waker = receive.recv().unwrap();
        thread::spawn(move || waker.wake());
    }))));
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).observer(Rc::new(wakes)).build().unwrap();
    let polls = Cell::new(0);
    event_loop.block_on(poll_fn(|cx| {
        polls.set(polls.get() + 1);
        if polls.get() == 2 {
            return Poll::Ready(());
        }
        send.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }));
    assert_eq!(polls.get(), 2, "nobody asked it");
}

#[test]
fn a_live_handle_may_still_do_something() {
    let event_loop = virtual_loop();
    let (handle, event) = (event_loop.handle(), Rc::new(Event::new()));
    let (told, tells) = mpsc::channel();
    let thread = thread::spawn(move || {
        tells.recv().unwrap();
        handle.spawn_with(|| async { EVENT.with(|event| event.borrow().as_ref().unwrap().set()) }).wait()
    });
    thread_local!(static EVENT: RefCell<Option<Rc<Event>>> = const { RefCell::new(None) });
    EVENT.set(Some(event.clone()));
    event_loop.block_on(async {
        told.send(()).unwrap();
        event.wait().await;
    });
    thread.join().unwrap().unwrap();
    // It has gone with its thread: now nobody is left.
    let handle = event_loop.handle();
    drop((handle.clone(), handle));
    event.clear();
    event_loop.try_block_on(event.wait()).unwrap_err();
}

#[test]
fn a_cancel_handle_may_still_do_something() {
    let event_loop = virtual_loop();
    let stuck = event_loop.spawn(async { Event::new().wait().await });
    let cancel = stuck.cancel_handle();
    let (told, tells) = mpsc::channel();
    let thread = thread::spawn(move || {
        tells.recv().unwrap();
        cancel.cancel();
    });
    let ended = event_loop.block_on(async {
        told.send(()).unwrap();
        stuck.await
    });
    assert!(ended.unwrap_err().is_cancelled());
    thread.join().unwrap();
}

#[test]
fn a_closure_under_way_may_still_answer() {
    let event_loop = virtual_loop();
    let (release, released) = mpsc::channel::<()>();
    let release = RefCell::new(Some(release));
    let event = Event::new();
    let answer = event_loop.block_on(async {
        let answer = to_thread(move || released.recv().is_err());
        let nobody_waits_for_it = async {
            yield_now().await;
            drop(release.take());
            event.set();
        };
        futures::join!(answer, event.wait(), nobody_waits_for_it).0
    });
    assert!(answer.unwrap());
    event.clear();
    event_loop.try_block_on(event.wait()).unwrap_err();
}

#[test]
fn the_real_clock_waits_before_it_asks() {
    // How long is not measured here, but that it parked with a limit, once, before it asked.
    #[derive(Default)]
    struct Parks(RefCell<Vec<Option<Duration>>>);
    impl Observer for Parks {
        fn event(&self, event: &roundel::Event<'_>) {
            if let roundel::Event::Parked { limit } = event {
                self.0.borrow_mut().push(*limit);
            }
        }
    }
    let parks = Rc::new(Parks::default());
    let event_loop = EventLoop::builder().observer(parks.clone()).build().unwrap();
    event_loop.try_block_on(async { Event::new().wait().await }).unwrap_err();
    assert_eq!(*parks.0.borrow(), [Some(Duration::from_millis(100))]);
}

#[test]
fn whoever_waits_for_a_socket_is_not_asked() {
    let asked = Rc::new(Cell::new(0));
    struct Asked(Rc<Cell<u32>>);
    impl Observer for Asked {
        fn event(&self, event: &roundel::Event<'_>) {
            if let roundel::Event::Woken { by: Actor::Loop, .. } = event {
                self.0.set(self.0.get() + 1);
            }
        }
    }
    let event_loop = EventLoop::builder().observer(Rc::new(Asked(asked.clone()))).build().unwrap();
    event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let never = spawn(async { Event::new().wait().await });
        let knock = thread::spawn(move || {
            thread::sleep(Duration::from_millis(150));
            std::net::TcpStream::connect(address).unwrap()
        });
        listener.accept().await.unwrap();
        knock.join().unwrap();
        never.cancel();
        sleep_until(roundel::Instant::now()).await;
    });
    assert_eq!(asked.get(), 0);
}

#[test]
fn whoever_watches_is_told_before_the_root_is_dropped() {
    #[derive(Default)]
    struct Told(RefCell<Vec<String>>);
    impl Observer for Told {
        fn event(&self, event: &roundel::Event<'_>) {
            match event {
                roundel::Event::Noted { by: Actor::Loop, text } => self.0.borrow_mut().push((*text).to_owned()),
                roundel::Event::Finished { task, outcome } => self.0.borrow_mut().push(format!("{task} {outcome:?}")),
                _ => {}
            }
        }
    }
    let told = Rc::new(Told::default());
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).observer(told.clone()).build().unwrap();
    let deadlock = event_loop.try_block_on(async { Event::new().wait().await }).unwrap_err();
    assert_eq!(*told.0.borrow(), [deadlock.to_string(), "task 0 Cancelled".to_owned()]);
}

#[test]
fn the_picture_has_every_task_and_an_arrow_for_every_wait() {
    let deadlock = virtual_loop()
        .try_block_on(async {
            let locks = ["a", "b", "c <&> 锁"].map(named);
            for (task, first, second) in [("A", 0, 1), ("B", 1, 2), ("C", 2, 0)] {
                drop(spawn_named(task, take_both(locks[first].clone(), locks[second].clone())));
            }
            yield_now().await;
            let c = locks[2].clone();
            let innocent = spawn_named("innocent", async move { drop(c.acquire().await) });
            drop(spawn_named("waits", async { Event::new().named("go").wait().await }));
            innocent.await
        })
        .unwrap_err();
    let svg = deadlock.svg();
    if let Some(path) = std::env::var_os("PICTURE") {
        std::fs::write(path, &svg).unwrap();
    }
    let lines = svg.replace(">\n", ">").replace("\n<", "<");
    for piece in [">A<", ">B<", ">C<", ">innocent<", "Lock \"a\"", "c &lt;&amp;&gt; 锁", "waits for Event \"go\""] {
        assert!(lines.contains(piece), "{piece} is not in:\n{svg}");
    }
    // Three in the circle, two beside it, and no arrow to nobody.
    assert_eq!((svg.matches("class=\"wait red\"").count(), svg.matches("class=\"wait\"").count()), (3, 2));
    assert_eq!(svg, deadlock.clone().svg(), "the same deadlock, the same picture");
}

/// A loop in virtual time, and what it warned of.
fn warned_loop() -> (EventLoop, Arc<Mutex<Vec<String>>>) {
    let warned = Arc::new(Mutex::new(Vec::new()));
    let hears = warned.clone();
    let tell = move |warning: &Warning| {
        if let Warning::Circle(circle) = warning {
            hears.lock().unwrap().push(plain(circle));
        }
    };
    let warnings = Warnings::new().to(tell);
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).warnings(warnings).build().unwrap();
    (event_loop, warned)
}

#[test]
fn a_circle_is_reported_while_others_run_on() {
    let (event_loop, warned) = warned_loop();
    event_loop.block_on(async {
        let [a, b] = ["a", "b"].map(named);
        drop(spawn_named("T1", take_both(a.clone(), b.clone())));
        drop(spawn_named("T2", take_both(b, a.clone())));
        drop(spawn_named("innocent", async move { drop(a.acquire().await) }));
        for _ in 0..60 {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let expected = r#"deadlock: 2 tasks wait for each other in a circle
  task 1 "T1" (spawned at HERE) holds Lock "a" (taken at HERE)
    and waits for Lock "b" (at HERE), held by task 2 "T2" (taken at HERE)
  task 2 "T2" (spawned at HERE) holds Lock "b" (taken at HERE)
    and waits for Lock "a" (at HERE), held by task 1 "T1" (taken at HERE)"#;
    assert_eq!(*warned.lock().unwrap(), [expected], "once, without those behind it");
}

#[test]
fn a_circle_is_found_though_mail_comes_at_every_look() {
    let (event_loop, warned) = warned_loop();
    event_loop.block_on(async {
        let [a, b] = ["a", "b"].map(named);
        drop(spawn(take_both(a.clone(), b.clone())));
        drop(spawn(take_both(b, a)));
        let over = spawn(async {}).cancel_handle();
        for _ in 0..60 {
            over.cancel();
            sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(warned.lock().unwrap().len(), 1);
}

#[test]
fn a_crowd_that_waits_is_asked_once_and_no_more() {
    let (event_loop, warned) = warned_loop();
    event_loop.block_on(async {
        let lock = named("a");
        let _guard = lock.acquire().await;
        let waits = |_| {
            let lock = lock.clone();
            spawn(async move { drop(lock.acquire().await) })
        };
        let crowd: Vec<_> = (0..1000).map(waits).collect();
        // One more comes every seven seconds, and makes nobody ask the others again.
        for _ in 0..20 {
            sleep(Duration::from_secs(7)).await;
            drop(waits(0));
        }
        let polls = |handle: &roundel::JoinHandle<()>| {
            roundel::all_tasks().into_iter().find(|task| task.id == handle.id()).unwrap().polls
        };
        assert!(crowd.iter().take(10).all(|handle| polls(handle) == 2));
    });
    assert!(warned.lock().unwrap().is_empty());
}

#[test]
fn a_lock_held_for_long_is_no_circle() {
    let (event_loop, warned) = warned_loop();
    let polls = event_loop.block_on(async {
        let lock = named("a");
        let guard = lock.acquire().await;
        let theirs = lock.clone();
        let waits = spawn(async move { drop(theirs.acquire().await) });
        for _ in 0..60 {
            sleep(Duration::from_secs(1)).await;
        }
        let polls = roundel::all_tasks().into_iter().find(|task| task.id == waits.id()).unwrap().polls;
        drop(guard);
        waits.await.unwrap();
        polls
    });
    assert_eq!(polls, 2, "it began to wait, and was asked once");
    assert!(warned.lock().unwrap().is_empty());
}

#[test]
fn a_circle_that_a_timeout_may_break_is_not_reported() {
    let (event_loop, warned) = warned_loop();
    event_loop.block_on(async {
        let patient = async |first: Rc<Lock<()>>, second: Rc<Lock<()>>| {
            let _first = first.acquire().await;
            yield_now().await;
            let gave_up = roundel::timeout(Duration::from_secs(30), async { drop(second.acquire().await) }).await;
            gave_up.is_err()
        };
        let [a, b] = ["a", "b"].map(named);
        let (one, other) = roundel::gather!(patient(a.clone(), b.clone()), patient(b, a)).await;
        assert!(one || other);
    });
    assert!(warned.lock().unwrap().is_empty());
}

#[test]
fn a_quiet_server_wakes_to_look_for_circles_if_somebody_waits_for_others() {
    /// Lets the visitor in when the server sleeps, and notes how long that would have slept.
    struct Doorman(RefCell<Vec<Option<Duration>>>, mpsc::Sender<()>);
    impl Observer for Doorman {
        fn event(&self, event: &roundel::Event<'_>) {
            if let roundel::Event::Parked { limit } = event {
                self.0.borrow_mut().push(*limit);
                let _ = self.1.send(());
            }
        }
    }
    let sleeps = |waits_for_others: bool| {
        let (sleeping, is_sleeping) = mpsc::channel();
        let doorman = Rc::new(Doorman(RefCell::default(), sleeping));
        let event_loop = EventLoop::builder().observer(doorman.clone()).build().unwrap();
        event_loop.block_on(async {
            let lock = named("a");
            let _guard = lock.acquire().await;
            if waits_for_others {
                let lock = lock.clone();
                drop(spawn(async move { drop(lock.acquire().await) }));
            }
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let visitor = thread::spawn(move || {
                is_sleeping.recv().unwrap();
                std::net::TcpStream::connect(address).unwrap()
            });
            listener.accept().await.unwrap();
            visitor.join().unwrap();
        });
        doorman.0.borrow()[0]
    };
    assert_eq!(sleeps(false), None, "it sleeps until somebody comes");
    assert!(sleeps(true).unwrap() <= Duration::from_secs(5));
}
