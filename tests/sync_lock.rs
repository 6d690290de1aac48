//! Stories of the lock: order, hand-over, cancelling at every moment, and what it tells of itself.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 free is taken without yielding | `a_free_lock_is_taken_without_giving_the_turn_away` |
//! | 0.5 hand-over to the oldest, nobody overtakes | `a_late_comer_does_not_overtake_the_one_who_was_handed_the_lock` |
//! | 0.6 a dropped waiter loses nothing | `a_cancelled_waiter_leaves_no_entry`, `a_waiter_cancelled_after_the_hand_over_passes_it_on` |
//! | 1 repr | `debug_shows_the_value_or_that_it_is_locked` |
//! | 1 lock, lock_doesnt_accept_loop_parameter, lock_by_with_statement | n/a: Python only |
//! | 1 acquire | `one_hand_over_a_release_in_order_of_arrival` |
//! | 1 acquire_cancel | `a_cancelled_waiter_leaves_no_entry` |
//! | 1 cancel_race | `a_release_in_the_turn_of_a_cancel_goes_to_the_next` |
//! | 1 cancel_release_race | `first_cancelled_and_lock_released_at_once_serves_one_of_the_others` |
//! | 1 finished_waiter_cancelled | `a_waiter_cancelled_after_the_hand_over_passes_it_on` |
//! | 1 release_not_acquired | n/a: only a guard releases, and it does so once |
//! | 1 release_no_waiters | `a_release_with_nobody_in_line_frees_the_lock` |
//! | 1 context_manager | `a_scope_unlocks_at_its_end_also_by_a_panic` |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::{Acquire, AcquireLock, Event as Flag, Lock, LockGuard, Permit};
use roundel::{Clock, Event, EventLoop, Observer, Waits, current_task, spawn, timeout, yield_now};

type Trace = Rc<RefCell<Vec<String>>>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn note(trace: &Trace, what: impl Into<String>) {
    trace.borrow_mut().push(what.into());
}

fn taken(trace: &Trace) -> Vec<String> {
    trace.take()
}

/// A task that takes the lock, notes its name, and gives the lock back when told.
fn contender(lock: &Rc<Lock<u32>>, trace: &Trace, name: &'static str, go: &Rc<Flag>) -> roundel::JoinHandle<()> {
    let (lock, trace, go) = (lock.clone(), trace.clone(), go.clone());
    spawn(async move {
        let mut value = lock.acquire().await;
        *value += 1;
        note(&trace, name);
        go.wait().await;
    })
}

async fn turns(many: usize) {
    for _ in 0..many {
        yield_now().await;
    }
}

#[test]
fn a_free_lock_is_taken_without_giving_the_turn_away() {
    virtual_loop().block_on(async {
        let trace = Trace::default();
        let other = spawn({
            let trace = trace.clone();
            async move { note(&trace, "other") }
        });
        let lock = Lock::new(());
        drop(lock.acquire().await);
        note(&trace, "locked and unlocked");
        other.await.unwrap();
        assert_eq!(taken(&trace), ["locked and unlocked", "other"]);
    });
}

#[test]
fn one_hand_over_a_release_in_order_of_arrival() {
    virtual_loop().block_on(async {
        let (lock, trace) = (Rc::new(Lock::new(0)), Trace::default());
        let (one, two, three) = (Rc::new(Flag::new()), Rc::new(Flag::new()), Rc::new(Flag::new()));
        let holder = lock.acquire().await;
        let first = contender(&lock, &trace, "1", &one);
        let second = contender(&lock, &trace, "2", &two);
        turns(2).await;
        assert!(taken(&trace).is_empty());
        assert_eq!(lock.waiting(), 2);

        drop(holder);
        turns(3).await;
        assert_eq!(taken(&trace), ["1"]);

        let third = contender(&lock, &trace, "3", &three);
        one.set();
        turns(4).await;
        assert_eq!(taken(&trace), ["2"]);
        two.set();
        turns(4).await;
        assert_eq!(taken(&trace), ["3"]);
        three.set();
        for task in [first, second, third] {
            task.await.unwrap();
        }
        assert_eq!(*lock.acquire().await, 3);
    });
}

// S5
#[test]
fn a_late_comer_does_not_overtake_the_one_who_was_handed_the_lock() {
    virtual_loop().block_on(async {
        let (lock, trace) = (Rc::new(Lock::new(())), Trace::default());
        let tasks = ["a", "b", "c"].map(|name| {
            let (lock, trace) = (lock.clone(), trace.clone());
            spawn(async move {
                for round in 1..=2 {
                    let guard = lock.acquire().await;
                    note(&trace, format!("{name}:{round}"));
                    yield_now().await;
                    // Given back and asked for again in one go: to the end of the line with it.
                    drop(guard);
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(taken(&trace), ["a:1", "b:1", "c:1", "a:2", "b:2", "c:2"]);

        let holder = lock.acquire().await;
        let waiter = spawn({
            let lock = lock.clone();
            async move { drop(lock.acquire().await) }
        });
        yield_now().await;
        drop(holder);
        assert!(lock.try_acquire().is_none());
        assert!(lock.is_locked());
        waiter.await.unwrap();
        assert!(!lock.is_locked());
    });
}

#[test]
fn a_cancelled_waiter_leaves_no_entry() {
    virtual_loop().block_on(async {
        let lock = Rc::new(Lock::new(()));
        let holder = lock.acquire().await;
        let waiter = spawn({
            let lock = lock.clone();
            async move { drop(lock.acquire().await) }
        });
        yield_now().await;
        assert_eq!(lock.waiting(), 1);
        waiter.cancel();
        assert_eq!(lock.waiting(), 0);
        assert!(waiter.await.unwrap_err().is_cancelled());
        drop(holder);
        assert!(lock.try_acquire().is_some());
    });
}

// S1, S2
#[test]
fn a_release_in_the_turn_of_a_cancel_goes_to_the_next() {
    virtual_loop().block_on(async {
        let (lock, trace, go) = (Rc::new(Lock::new(0)), Trace::default(), Rc::new(Flag::new()));
        go.set();
        let holder = lock.acquire().await;
        let b = contender(&lock, &trace, "b", &go);
        let c = contender(&lock, &trace, "c", &go);
        yield_now().await;
        drop(holder);
        b.cancel();
        c.await.unwrap();
        assert_eq!(taken(&trace), ["c"]);
        assert!(b.await.unwrap_err().is_cancelled());
        assert!(!lock.is_locked());
    });
}

#[test]
fn first_cancelled_and_lock_released_at_once_serves_one_of_the_others() {
    virtual_loop().block_on(async {
        let (lock, trace) = (Rc::new(Lock::new(0)), Trace::default());
        let go = Rc::new(Flag::new());
        let holder = lock.acquire().await;
        let waiters = ["a", "b", "c"].map(|name| contender(&lock, &trace, name, &go));
        yield_now().await;
        waiters[0].cancel();
        drop(holder);
        turns(3).await;
        assert_eq!(taken(&trace), ["b"]);
        go.set();
        for (waiter, cancelled) in waiters.into_iter().zip([true, false, false]) {
            assert_eq!(waiter.await.is_err(), cancelled);
        }
        assert_eq!(taken(&trace), ["c"]);
    });
}

// S1, S2, S6
#[test]
fn a_waiter_cancelled_after_the_hand_over_passes_it_on() {
    virtual_loop().block_on(async {
        let (lock, trace, go) = (Rc::new(Lock::new(0)), Trace::default(), Rc::new(Flag::new()));
        go.set();
        let holder = lock.acquire().await;
        let b = contender(&lock, &trace, "b", &go);
        let gone = contender(&lock, &trace, "gone", &go);
        let c = contender(&lock, &trace, "c", &go);
        yield_now().await;
        gone.cancel();
        drop(holder);
        // b has the lock in all but name: it is woken and has not run.
        assert!(lock.is_locked() && lock.owner().is_none());
        b.cancel();
        assert!(lock.is_locked());
        c.await.unwrap();
        assert_eq!(taken(&trace), ["c"]);

        // With nobody behind, the lock is free again.
        let holder = lock.acquire().await;
        let last = contender(&lock, &trace, "last", &go);
        yield_now().await;
        drop(holder);
        last.cancel();
        assert!(lock.try_acquire().is_some());
    });
}

#[test]
fn a_release_with_nobody_in_line_frees_the_lock() {
    let lock = Lock::new(1);
    let guard = lock.try_acquire().unwrap();
    assert!(lock.is_locked());
    assert!(lock.try_acquire().is_none());
    drop(guard);
    assert!(!lock.is_locked());
    assert_eq!(lock.try_acquire().as_deref(), Some(&1));
}

#[test]
fn a_scope_unlocks_at_its_end_also_by_a_panic() {
    virtual_loop().block_on(async {
        let lock = Rc::new(Lock::new(1));
        {
            let mut value = lock.acquire().await;
            *value = 2;
        }
        assert!(!lock.is_locked());
        let failing = spawn({
            let lock = lock.clone();
            async move {
                let mut value = lock.acquire().await;
                *value = 3;
                panic!("the holder fails");
            }
        });
        assert!(failing.await.unwrap_err().is_panic());
        assert_eq!(*lock.acquire().await, 3);
    });
}

#[test]
fn debug_shows_the_value_or_that_it_is_locked() {
    let lock = Lock::new(7);
    assert_eq!(format!("{lock:?}"), "Lock { value: 7 }");
    let guard = lock.try_acquire().unwrap();
    assert_eq!(format!("{lock:?}"), "Lock { value: <locked>, waiting: 0 }");
    assert_eq!(format!("{guard:?} {guard}"), "LockGuard(7) 7");
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn debug_of_a_value_that_looks_at_its_own_lock_finds_it_locked() {
    thread_local! { static LOCK: Rc<Lock<Curious>> = Rc::new(Lock::new(Curious)); }
    struct Curious;
    impl fmt::Debug for Curious {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let lock = LOCK.with(Rc::clone);
            write!(f, "{} {lock:?}", lock.try_acquire().is_none())
        }
    }
    let lock = LOCK.with(Rc::clone);
    assert_eq!(format!("{lock:?}"), "Lock { value: true Lock { value: <locked>, waiting: 0 } }");
    assert!(lock.try_acquire().is_some());
}

// S29
#[test]
fn a_task_that_takes_the_lock_twice_waits_for_itself_and_can_see_so() {
    virtual_loop().block_on(async {
        let lock = Rc::new(Lock::new(()));
        let task = spawn({
            let lock = lock.clone();
            async move {
                let _guard = lock.acquire().await;
                assert_eq!(lock.owner(), current_task().map(|task| task.id));
                assert!(lock.try_acquire().is_none());
                assert!(timeout(Duration::from_secs(1), lock.acquire()).await.is_err());
            }
        });
        let id = task.id();
        yield_now().await;
        assert_eq!(lock.owner(), Some(id));
        task.await.unwrap();
        assert_eq!(lock.owner(), None);
        assert!(lock.try_acquire().is_some(), "the given-up wait left nothing behind");
    });
}

#[test]
fn the_value_is_reached_without_waiting_by_whoever_owns_the_lock() {
    let mut lock = Lock::from(String::from("a"));
    lock.get_mut().push('b');
    assert_eq!(lock.into_inner(), "ab");
    assert_eq!(Lock::<u8>::default().into_inner(), 0);
}

#[test]
fn a_forgotten_guard_keeps_the_lock_but_not_its_value_from_the_owner() {
    let mut lock = Lock::new(1);
    std::mem::forget(lock.try_acquire());
    assert!(lock.try_acquire().is_none());
    assert_eq!(format!("{lock:?}"), "Lock { value: <locked>, waiting: 0 }");
    assert_eq!(*lock.get_mut(), 1);
    assert_eq!(lock.into_inner(), 1);
}

// S30
#[test]
fn a_guard_held_across_the_end_of_the_loop_is_dropped_with_its_task() {
    struct LooksAtTheLock(Rc<Lock<u32>>, Trace);
    impl Drop for LooksAtTheLock {
        fn drop(&mut self) {
            note(&self.1, format!("free: {}", self.0.try_acquire().is_some()));
        }
    }
    let (lock, trace) = (Rc::new(Lock::new(0)), Trace::default());
    let event_loop = virtual_loop();
    event_loop.block_on(async {
        let _holder = spawn({
            let (lock, looks) = (lock.clone(), LooksAtTheLock(lock.clone(), trace.clone()));
            async move {
                let _looks_second = looks;
                let _guard = lock.acquire().await;
                std::future::pending::<()>().await;
            }
        });
        let _waiter = spawn({
            let (lock, looks) = (lock.clone(), LooksAtTheLock(lock.clone(), trace.clone()));
            async move {
                let _looks_second = looks;
                drop(lock.acquire().await);
            }
        });
        yield_now().await;
    });
    drop(event_loop);
    // When the first goes, the lock is on its way to the second.
    assert_eq!(taken(&trace), ["free: false", "free: true"]);
    assert!(lock.try_acquire().is_some());
}

#[test]
fn a_waiter_polled_under_another_waker_is_woken_through_the_last_one() {
    use futures::future::FutureExt;
    virtual_loop().block_on(async {
        let lock = Rc::new(Lock::new(5));
        let holder = lock.acquire().await;
        let waiter = {
            let lock = lock.clone();
            async move { *lock.acquire().await }.boxed_local()
        };
        // First polled here, then moved into a task of its own.
        let mut waiter = waiter;
        assert!((&mut waiter).now_or_never().is_none());
        let task = spawn(waiter);
        yield_now().await;
        drop(holder);
        assert_eq!(task.await.unwrap(), 5);
    });
}

#[test]
fn an_observer_hears_of_waiting_taking_and_giving_back_with_the_callers_line() {
    struct Listener(Trace);
    impl Observer for Listener {
        fn event(&self, event: &Event<'_>) {
            let text = match event {
                Event::Waiting { resource, site: Some(site), .. } if resource.kind == Waits::Lock => {
                    format!("waiting for {} in {}", resource.number, site.file())
                }
                Event::Acquired { resource, site, .. } if resource.kind == Waits::Lock => {
                    format!("acquired {} in {}", resource.number, site.file())
                }
                Event::Released { resource, .. } => format!("released {}", resource.number),
                _ => return,
            };
            note(&self.0, text);
        }
    }
    let trace = Trace::default();
    let event_loop = EventLoop::builder().observer(Rc::new(Listener(trace.clone()))).build().unwrap();
    event_loop.block_on(async {
        let lock = Rc::new(Lock::new(()));
        let guard = lock.acquire().await;
        let other = spawn({
            let lock = lock.clone();
            async move { drop(lock.acquire().await) }
        });
        yield_now().await;
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Lock));
        drop(guard);
        other.await.unwrap();
        drop(lock.try_acquire());
        assert!(format!("{lock:?}").contains("()"));
    });
    let here = file!();
    let expected = [
        format!("acquired 1 in {here}"),
        format!("waiting for 1 in {here}"),
        "released 1".into(),
        format!("acquired 1 in {here}"),
        "released 1".into(),
        format!("acquired 1 in {here}"),
        "released 1".into(),
    ];
    assert_eq!(taken(&trace), expected);
}

// S27
#[test]
fn guards_and_waits_stay_on_their_thread() {
    trait Stays<Reason> {
        fn holds() {}
    }
    struct ItIsSend;
    struct ItIsSync;
    impl<T: ?Sized> Stays<()> for T {}
    impl<T: ?Sized + Send> Stays<ItIsSend> for T {}
    impl<T: ?Sized + Sync> Stays<ItIsSync> for T {}
    // Each of these lines is ambiguous, and does not compile, if the type is Send or Sync.
    <LockGuard<'_, u8> as Stays<_>>::holds();
    <AcquireLock<'_, u8> as Stays<_>>::holds();
    <Acquire<'_> as Stays<_>>::holds();
    <Permit<'_> as Stays<_>>::holds();
    <roundel::sync::oneshot::Sender<u8> as Stays<_>>::holds();
    <roundel::sync::oneshot::Receiver<u8> as Stays<_>>::holds();
}

#[test]
fn a_panicking_destructor_of_the_old_value_still_hands_the_lock_over() {
    struct Fuse(bool);
    impl Drop for Fuse {
        fn drop(&mut self) {
            assert!(!self.0, "the fuse blows");
        }
    }
    let lock = Lock::new(Fuse(true));
    let blown = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = lock.try_acquire().unwrap();
        *guard = Fuse(false);
    }));
    assert!(blown.is_err());
    assert!(lock.try_acquire().is_some());
}
