//! Stories of the primitives away from home: under another executor, and with wakers that call back
//! into the primitive whenever they are cloned, woken or dropped, or that panic.
//!
//! | row | test |
//! |---|---|
//! | design: sync/* runs under a foreign executor | `*_under_another_executor` |
//! | bug catalogue S7 | `*_with_a_waker_that_calls_back` |
//! | bug catalogue S8 | `who_begins_to_wait_while_others_are_woken_waits_for_the_next_time` |
//! | bug catalogue S12, S22 | `a_waiter_is_woken_once_when_it_is_served_and_not_before` |
//! | bug catalogue S18 | `a_maker_may_look_at_the_cell_it_makes_the_value_for` |
//! | bug catalogue S23 | `only_the_last_waker_is_woken`, `waiters_are_woken_in_order_of_arrival` |
//! | bug catalogue S24 | `a_waker_that_panics_when_it_is_cloned_leaves_the_rest_in_order` |
//! | bug catalogue S25 | `a_waker_that_panics_does_not_keep_the_others_asleep` |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use roundel::sync::{Barrier, Condition, Event, Lock, OnceCell, Queue, Semaphore, oneshot};
use roundel::yield_now;
use support::counting_waker;

/// Runs both to their ends on a pool of futures-rs.
fn run(first: impl Future<Output = ()> + 'static, second: impl Future<Output = ()> + 'static) {
    let mut pool = LocalPool::new();
    let done = Rc::new(Cell::new(0));
    for future in [Box::pin(first) as Pin<Box<dyn Future<Output = ()>>>, Box::pin(second)] {
        let done = done.clone();
        let counted = async move {
            future.await;
            done.set(done.get() + 1);
        };
        pool.spawner().spawn_local(counted).unwrap();
    }
    pool.run_until_stalled();
    assert_eq!(done.get(), 2, "both come to their end");
}

#[test]
fn a_lock_under_another_executor() {
    let lock = Rc::new(Lock::new(0));
    let add = |lock: Rc<Lock<u32>>| async move {
        for _ in 0..3 {
            let mut value = lock.acquire().await;
            let seen = *value;
            yield_now().await;
            *value = seen + 1;
            // Nobody here is a task of ours.
            assert_eq!(lock.owner(), None);
        }
    };
    run(add(lock.clone()), add(lock.clone()));
    assert_eq!(*lock.try_acquire().unwrap(), 6);
}

#[test]
fn a_semaphore_under_another_executor() {
    let semaphore = Rc::new(Semaphore::new(1));
    let work = |semaphore: Rc<Semaphore>| async move {
        for _ in 0..3 {
            let _permit = semaphore.acquire().await.unwrap();
            yield_now().await;
        }
    };
    run(work(semaphore.clone()), work(semaphore.clone()));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn an_event_under_another_executor() {
    let event = Rc::new(Event::new());
    let waiting = event.clone();
    run(async move { waiting.wait().await }, async move {
        yield_now().await;
        event.set();
    });
}

#[test]
fn a_condition_under_another_executor() {
    let shared = Rc::new((Lock::new(0), Condition::new()));
    let waiting = shared.clone();
    run(
        async move {
            let guard = waiting.0.acquire().await;
            assert_eq!(*waiting.1.wait_for(guard, |value| *value == 2).await, 2);
        },
        async move {
            for _ in 0..2 {
                *shared.0.acquire().await += 1;
                shared.1.notify(1);
                yield_now().await;
            }
        },
    );
}

#[test]
fn a_barrier_under_another_executor() {
    let barrier = Rc::new(Barrier::new(2));
    let meet = |barrier: Rc<Barrier>| async move {
        for _ in 0..3 {
            barrier.wait().await;
        }
    };
    run(meet(barrier.clone()), meet(barrier));
}

#[test]
fn a_queue_under_another_executor() {
    let queue = Rc::new(Queue::bounded(1));
    let consumer = queue.clone();
    run(
        async move {
            for item in 0..5 {
                queue.put(item).await.unwrap();
            }
            queue.join().await;
            queue.shutdown();
        },
        async move {
            let mut sum = 0;
            while let Ok(item) = consumer.get().await {
                sum += item;
                consumer.task_done();
            }
            assert_eq!(sum, 10);
        },
    );
}

#[test]
fn a_oneshot_channel_under_another_executor() {
    let (sender, receiver) = oneshot::channel();
    run(async move { assert_eq!(receiver.await, Ok(1)) }, async move {
        yield_now().await;
        sender.send(1).unwrap();
    });
}

#[test]
fn a_once_cell_under_another_executor() {
    let cell = Rc::new(OnceCell::new());
    let get = |cell: Rc<OnceCell<u32>>, number| async move {
        let make = async || {
            yield_now().await;
            number
        };
        assert_eq!(cell.get_or_init(make).await, &1);
    };
    run(get(cell.clone(), 1), get(cell, 2));
}

/// A waker that runs this thread's callback whenever it is cloned, woken or dropped.
mod nosy {
    use super::*;

    thread_local! {
        static CALLBACK: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
        static CALLS: Cell<[u32; 3]> = const { Cell::new([0; 3]) };
    }

    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            call(0);
            RawWaker::new(data, &TABLE)
        },
        |_| {
            call(1);
            call(2);
        },
        |_| call(1),
        |_| call(2),
    );

    fn call(which: usize) {
        let mut calls = CALLS.get();
        calls[which] += 1;
        CALLS.set(calls);
        let callback = CALLBACK.with_borrow(Clone::clone);
        if let Some(callback) = callback {
            callback();
        }
    }

    /// Two of them with different numbers are different wakers.
    #[expect(unsafe_code, reason = "no safe waker tells of its own cloning; this one's data is a number")]
    pub(super) fn waker(number: usize) -> Waker {
        // Safe: the table never looks at the data.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(number), &TABLE)) }
    }

    /// How often they were cloned since the story began.
    pub(super) fn clones() -> u32 {
        CALLS.get()[0]
    }

    /// Runs `story` with `callback` in place; it must have been called by clone, wake and drop.
    pub(super) fn with(callback: impl Fn() + 'static, story: impl FnOnce()) {
        CALLS.set([0; 3]);
        CALLBACK.set(Some(Rc::new(callback)));
        story();
        CALLBACK.set(None);
        let calls = CALLS.get();
        assert!(calls.iter().all(|&calls| calls > 0), "clone, wake, drop: {calls:?}");
    }
}

/// Polls a future once with one nosy waker, once with another, so that the first is replaced.
fn poll_twice<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    for number in 1..=2 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&nosy::waker(number))) {
            return Poll::Ready(output);
        }
    }
    Poll::Pending
}

#[test]
fn a_lock_with_a_waker_that_calls_back() {
    let lock = Rc::new(Lock::new(1));
    let inside = lock.clone();
    let look = move || {
        drop(inside.try_acquire());
        let _ = (inside.waiting(), inside.is_locked(), format!("{inside:?}"));
    };
    nosy::with(look, || {
        let holder = lock.try_acquire().unwrap();
        let mut first = pin!(lock.acquire());
        assert!(poll_twice(first.as_mut()).is_pending());
        {
            // A waiter that gives up: its waker is dropped.
            let mut second = pin!(lock.acquire());
            assert!(poll_twice(second.as_mut()).is_pending());
        }
        drop(holder);
        assert!(poll_twice(first.as_mut()).is_ready());
    });
    assert!(lock.try_acquire().is_some());
}

#[test]
fn a_semaphore_with_a_waker_that_calls_back() {
    let semaphore = Rc::new(Semaphore::new(1));
    let inside = semaphore.clone();
    let look = move || {
        drop(inside.try_acquire());
        inside.add_permits(1);
        inside.forget(1);
    };
    nosy::with(look, || {
        let mut many = pin!(semaphore.acquire_many(3));
        assert!(poll_twice(many.as_mut()).is_pending());
        {
            let mut gives_up = pin!(semaphore.acquire());
            let _ = poll_twice(gives_up.as_mut());
        }
        semaphore.add_permits(3);
        assert!(poll_twice(many.as_mut()).is_ready());
        let mut closed_out = pin!(semaphore.acquire_many(9));
        assert!(poll_twice(closed_out.as_mut()).is_pending());
        semaphore.close();
        assert!(matches!(poll_twice(closed_out.as_mut()), Poll::Ready(Err(_))));
    });
}

#[test]
fn an_event_with_a_waker_that_calls_back() {
    let event = Rc::new(Event::new());
    let inside = event.clone();
    let look = move || {
        let mut wait = pin!(inside.wait());
        let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let _ = inside.waiting();
    };
    nosy::with(look, || {
        let mut wait = pin!(event.wait());
        assert!(poll_twice(wait.as_mut()).is_pending());
        event.set();
        event.clear();
        assert!(poll_twice(wait.as_mut()).is_ready());
    });
    assert_eq!(event.waiting(), 0);
}

#[test]
fn an_event_that_is_set_by_the_very_waker_that_is_about_to_wait_for_it() {
    let event = Rc::new(Event::new());
    let inside = event.clone();
    nosy::with(
        move || inside.set(),
        || {
            assert!(pin!(event.wait()).poll(&mut Context::from_waker(&nosy::waker(1))).is_ready());
            nosy::waker(1).wake();
        },
    );
    assert_eq!(event.waiting(), 0);
}

#[test]
fn a_condition_with_a_waker_that_calls_back() {
    let shared = Rc::new((Lock::new(0), Condition::new()));
    let inside = shared.clone();
    let look = move || {
        drop(inside.0.try_acquire());
        let _ = inside.1.waiting();
    };
    nosy::with(look, || {
        let mut wait = pin!(shared.1.wait(shared.0.try_acquire().unwrap()));
        assert!(poll_twice(wait.as_mut()).is_pending());
        let holder = shared.0.try_acquire().unwrap();
        shared.1.notify(1);
        assert!(poll_twice(wait.as_mut()).is_pending());
        drop(holder);
        assert!(poll_twice(wait.as_mut()).is_ready());
    });
    assert_eq!(shared.1.waiting(), 0);
}

#[test]
fn a_barrier_with_a_waker_that_calls_back() {
    let barrier = Rc::new(Barrier::new(3));
    let inside = barrier.clone();
    let arrive_and_leave = move || {
        let _ = pin!(inside.wait()).poll(&mut Context::from_waker(Waker::noop()));
        let _ = inside.waiting();
    };
    nosy::with(arrive_and_leave, || {
        let mut first = pin!(barrier.wait());
        assert!(poll_twice(first.as_mut()).is_pending());
        let mut second = pin!(barrier.wait());
        // While this one's waker is cloned somebody arrives: the three have met.
        assert!(poll_twice(second.as_mut()).is_ready());
        assert!(poll_twice(first.as_mut()).is_ready());
    });
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn a_queue_with_a_waker_that_calls_back() {
    let queue = Rc::new(Queue::bounded(1));
    let inside = queue.clone();
    let look = move || {
        let _ = (inside.len(), inside.is_full(), inside.is_shut_down(), format!("{inside:?}"));
        assert!(!inside.is_full() || inside.try_put(0).is_err());
        assert!(!inside.is_empty() || inside.try_get().is_err());
    };
    nosy::with(look, || {
        let mut get = pin!(queue.get());
        assert!(poll_twice(get.as_mut()).is_pending());
        queue.try_put(1).unwrap();
        assert_eq!(poll_twice(get.as_mut()), Poll::Ready(Ok(1)));

        queue.try_put(2).unwrap();
        {
            let mut gives_up = pin!(queue.put(9));
            assert!(poll_twice(gives_up.as_mut()).is_pending());
        }
        let mut put = pin!(queue.put(3));
        assert!(poll_twice(put.as_mut()).is_pending());
        assert_eq!(queue.try_get(), Ok(2));
        assert_eq!(poll_twice(put.as_mut()), Poll::Ready(Ok(())));

        let mut join = pin!(queue.join());
        assert!(poll_twice(join.as_mut()).is_pending());
        let mut put = pin!(queue.put(4));
        assert!(poll_twice(put.as_mut()).is_pending());
        queue.shutdown_now();
        assert!(matches!(poll_twice(put.as_mut()), Poll::Ready(Err(_))));
    });
}

#[test]
fn a_oneshot_channel_with_a_waker_that_calls_back() {
    // The receiver's waker sends the value while it is being cloned.
    let (sender, mut receiver) = oneshot::channel();
    let sender = Rc::new(RefCell::new(Some(sender)));
    let inside = sender.clone();
    let send = move || {
        let sender = inside.borrow_mut().take();
        if let Some(sender) = sender {
            sender.send(1).unwrap();
        }
    };
    nosy::with(send, || {
        assert_eq!(poll_twice(pin!(&mut receiver)), Poll::Ready(Ok(1)));
        nosy::waker(1).wake();
    });

    // The sender's waker looks, wakes and goes.
    let (mut sender, receiver) = oneshot::channel::<u8>();
    nosy::with(
        || {},
        || {
            {
                let mut closed = pin!(sender.closed());
                assert!(poll_twice(closed.as_mut()).is_pending());
                drop(receiver);
                assert!(poll_twice(closed.as_mut()).is_ready());
            }
            drop(sender);
        },
    );
}

#[test]
fn a_once_cell_with_a_waker_that_calls_back() {
    let cell = Rc::new(OnceCell::new());
    let inside = cell.clone();
    nosy::with(
        move || assert!(inside.get().is_none_or(|value| *value == 2)),
        || {
            let mut maker = Box::pin(cell.get_or_init(async || {
                yield_now().await;
                1
            }));
            assert!(maker.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let mut waiter = pin!(cell.get_or_init(async || 2));
            assert!(poll_twice(waiter.as_mut()).is_pending());
            drop(maker);
            assert_eq!(poll_twice(waiter.as_mut()), Poll::Ready(&2));
        },
    );
    assert_eq!(cell.get(), Some(&2));
}

// The wait ends while its new waker is being cloned: the clone is of no use, and dropped with nothing borrowed.
#[test]
fn a_wait_that_ends_while_its_waker_is_replaced_is_ready_at_once() {
    let semaphore = Rc::new(Semaphore::new(0));
    let inside = semaphore.clone();
    let calls = Cell::new(0);
    let grant_at_the_second_clone = move || {
        calls.set(calls.get() + 1);
        if calls.get() == 3 {
            inside.add_permits(1);
        }
        let _ = inside.available_permits();
    };
    let mut wait = Box::pin(semaphore.acquire());
    nosy::with(grant_at_the_second_clone, || {
        // Clone and drop of the first, then the clone of the second.
        assert!(poll_twice(wait.as_mut()).is_ready());
    });
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn a_wait_that_is_polled_again_by_the_same_waker_clones_nothing() {
    let semaphore = Semaphore::new(0);
    let mut wait = Box::pin(semaphore.acquire());
    nosy::with(
        || {},
        || {
            let waker = nosy::waker(1);
            let mut cx = Context::from_waker(&waker);
            assert!(wait.as_mut().poll(&mut cx).is_pending());
            for _ in 0..3 {
                assert!(wait.as_mut().poll(&mut cx).is_pending());
                assert_eq!(nosy::clones(), 1);
            }
            semaphore.add_permits(1);
            assert!(wait.as_mut().poll(&mut cx).is_ready());
        },
    );
}

/// Counts its wakes, or panics.
struct Alarm(AtomicUsize, bool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!self.1, "this waker fails");
    }
}

// S25
#[test]
fn a_waker_that_panics_does_not_keep_the_others_asleep() {
    for failing in 0..3 {
        let event = Event::new();
        let alarms = [0, 1, 2].map(|number| Arc::new(Alarm(AtomicUsize::new(0), number == failing)));
        let mut waits = [(); 3].map(|()| Box::pin(event.wait()));
        for (wait, alarm) in waits.iter_mut().zip(&alarms) {
            assert!(wait.as_mut().poll(&mut Context::from_waker(&alarm.clone().into())).is_pending());
        }
        let _ = catch_unwind(AssertUnwindSafe(|| event.set()));
        for alarm in &alarms {
            assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
        }
        for mut wait in waits {
            assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    }
}

// S24: a panic while a waker is being kept locks nobody out.
#[test]
fn a_waker_that_panics_when_it_is_cloned_leaves_the_rest_in_order() {
    thread_local! { static FAILS: Cell<bool> = const { Cell::new(false) }; }
    fn fails_once<F: Future>(wait: F, serve: impl FnOnce()) {
        let mut wait = pin!(wait);
        FAILS.set(true);
        let failing = nosy::waker(1);
        let failed = catch_unwind(AssertUnwindSafe(|| wait.as_mut().poll(&mut Context::from_waker(&failing))));
        assert!(failed.is_err() && !FAILS.get());
        // The same wait goes on, with a waker that is in order.
        let (wakes, waker) = counting_waker();
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        serve();
        assert_eq!(wakes.count(), 1);
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
    nosy::with(
        || assert!(!FAILS.replace(false), "this waker fails"),
        || {
            let lock = Lock::new(1);
            let guard = lock.try_acquire();
            fails_once(lock.acquire(), || drop(guard));
            let semaphore = Semaphore::new(0);
            fails_once(semaphore.acquire(), || semaphore.add_permits(1));
            let event = Event::new();
            fails_once(event.wait(), || event.set());
            let queue = Queue::bounded(1);
            fails_once(queue.get(), || queue.try_put(1).unwrap());
            queue.try_put(2).unwrap();
            fails_once(queue.put(3), || assert_eq!(queue.try_get(), Ok(2)));
            fails_once(queue.join(), || (0..3).for_each(|_| queue.task_done()));
            let (sender, receiver) = oneshot::channel();
            fails_once(receiver, || sender.send(1).unwrap());
            nosy::waker(1).wake();
        },
    );
}

// S12, S22: whoever waits sleeps, and does not ask again and again.
#[test]
fn a_waiter_is_woken_once_when_it_is_served_and_not_before() {
    fn sleeps<F: Future>(wait: F, serve: impl FnOnce()) {
        let (wakes, waker) = counting_waker();
        let mut wait = pin!(wait);
        for _ in 0..3 {
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(wakes.count(), 0);
        serve();
        assert_eq!(wakes.count(), 1);
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(wakes.count(), 1);
    }
    let lock = Lock::new(1);
    let guard = lock.try_acquire();
    sleeps(lock.acquire(), || drop(guard));
    let semaphore = Semaphore::new(0);
    sleeps(semaphore.acquire_many(2), || semaphore.add_permits(2));
    sleeps(semaphore.acquire_many(3), || semaphore.close());
    let event = Event::new();
    sleeps(event.wait(), || event.set());
    let condition = Condition::new();
    sleeps(condition.wait(lock.try_acquire().unwrap()), || condition.notify(1));
    let barrier = Barrier::new(2);
    sleeps(barrier.wait(), || {
        assert!(pin!(barrier.wait()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
    let queue = Queue::bounded(1);
    sleeps(queue.get(), || queue.try_put(1).unwrap());
    queue.try_put(2).unwrap();
    sleeps(queue.put(3), || assert_eq!(queue.try_get(), Ok(2)));
    sleeps(queue.join(), || (0..3).for_each(|_| queue.task_done()));
    let (mut sender, receiver) = oneshot::channel::<u8>();
    sleeps(sender.closed(), || drop(receiver));
    let (sender, receiver) = oneshot::channel();
    sleeps(receiver, || sender.send(1).unwrap());
    let cell = OnceCell::new();
    let mut maker = pin!(cell.get_or_init(async || std::future::pending().await));
    assert!(maker.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    sleeps(cell.get_or_init(async || 2), || cell.set(1).unwrap());
}

// S8
#[test]
fn who_begins_to_wait_while_others_are_woken_waits_for_the_next_time() {
    thread_local! {
        static EVENT: Rc<Event> = Rc::default();
        static LATE: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>> = const { RefCell::new(Vec::new()) };
    }
    fn poll(wait: &mut Pin<Box<dyn Future<Output = ()>>>, waker: &Waker) -> bool {
        wait.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
    }
    fn begin(waker: &Waker) -> Pin<Box<dyn Future<Output = ()>>> {
        let event = EVENT.with(Rc::clone);
        let mut wait: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move { event.wait().await });
        assert!(!poll(&mut wait, waker));
        wait
    }
    struct BringsAnother;
    impl Wake for BringsAnother {
        fn wake(self: Arc<Self>) {
            EVENT.with(|event| event.clear());
            let late = begin(Waker::noop());
            LATE.with_borrow_mut(|waits| waits.push(late));
        }
    }
    let waker = Waker::from(Arc::new(BringsAnother));
    let mut early = [begin(&waker), begin(&waker)];
    EVENT.with(|event| event.set());
    assert!(early.iter_mut().all(|wait| poll(wait, Waker::noop())), "all who waited go on");
    let mut late = LATE.take();
    assert_eq!(late.len(), 2);
    assert!(!late.iter_mut().any(|wait| poll(wait, Waker::noop())), "and nobody else");
    EVENT.with(|event| event.set());
    assert!(late.iter_mut().all(|wait| poll(wait, Waker::noop())));
}

// S18: a closure of the user's runs with nothing borrowed.
#[test]
fn a_maker_may_look_at_the_cell_it_makes_the_value_for() {
    let cell = OnceCell::new();
    let make = async || {
        assert_eq!((cell.get(), format!("{cell:?}").as_str()), (None, "OnceCell(<empty>)"));
        cell.set(1).unwrap();
        2
    };
    assert_eq!(pin!(cell.get_or_init(make)).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(&1));
}

// S23
#[test]
fn waiters_are_woken_in_order_of_arrival() {
    struct Number(usize, Arc<std::sync::Mutex<Vec<usize>>>);
    impl Wake for Number {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let woken = Arc::<std::sync::Mutex<Vec<usize>>>::default();
    let (event, semaphore) = (Event::new(), Semaphore::new(0));
    let waker = |number| Waker::from(Arc::new(Number(number, woken.clone())));
    let mut waits = [(); 5].map(|()| Box::pin(event.wait()));
    let mut takes = [(); 5].map(|()| Box::pin(semaphore.acquire()));
    for (number, (wait, take)) in waits.iter_mut().zip(&mut takes).enumerate() {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker(number))).is_pending());
        assert!(take.as_mut().poll(&mut Context::from_waker(&waker(10 + number))).is_pending());
    }
    event.set();
    semaphore.add_permits(2);
    semaphore.add_permits(3);
    assert_eq!(*woken.lock().unwrap(), [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
}

// T31, and S23: not the first waker is kept.
#[test]
fn only_the_last_waker_is_woken() {
    let event = Event::new();
    let (first, last) = (Arc::new(Alarm(AtomicUsize::new(0), false)), Arc::new(Alarm(AtomicUsize::new(0), false)));
    let mut wait = Box::pin(event.wait());
    for alarm in [&first, &last] {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&alarm.clone().into())).is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 1);
    event.set();
    assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
}
