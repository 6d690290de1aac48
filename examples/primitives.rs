//! Each of asyncio's primitives in one small program, twice: with threads and with tasks.
//!
//! Watch:  the two columns are equal. What differs is what waits: a thread, held by the OS, or a task,
//!         which is a few hundred bytes in a line. A task's lock may be held over an await; a thread's
//!         must not be, for it would stop the whole loop.
//! Run:    cargo run --example primitives
//! Prints: one line for each primitive, with the same outcome on both sides
//! Unlike Python: std has neither RLock, Semaphore nor Event, so those are made here of a Mutex and a
//!         Condvar. asyncio has no RLock, nor have we: a task that holds the lock passes the guard on.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self as threads, Condvar, Mutex, mpsc};
use std::thread::{self, ThreadId};

use crate::support::explore::Study;
use crate::support::{Flags, ms};
use roundel::study::Explore;
use roundel::sync::{Barrier, Condition, Event, Lock, LockGuard, Queue, Semaphore};
use roundel::{gather, sleep, yield_now};

const HELD: &str = "nobody panics with the lock";

/// Runs `work` in `n` threads at once and waits for them.
fn in_threads<T: Send>(n: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = (0..n).map(|i| scope.spawn(move || work(i))).collect();
        started.into_iter().map(|thread| thread.join().expect("the work does not panic")).collect()
    })
}

// Lock: four add one 25 times, and give their turn away between read and write.

fn lock_threads() -> usize {
    let counter = Mutex::new(0);
    in_threads(4, |_| {
        for _ in 0..25 {
            let mut counter = counter.lock().expect(HELD);
            let read = *counter;
            thread::yield_now();
            *counter = read + 1;
        }
    });
    counter.into_inner().expect(HELD)
}

async fn lock_tasks() -> usize {
    let counter = Rc::new(Lock::new(0));
    gather((0..4).map(|_| {
        let counter = counter.clone();
        async move {
            for _ in 0..25 {
                let mut counter = counter.acquire().await;
                let read = *counter;
                yield_now().await;
                *counter = read + 1;
            }
        }
    }))
    .await;
    *counter.acquire().await
}

// RLock: a function that locks calls another that locks.

/// A lock that its owner may take again.
#[derive(Default)]
struct RLock {
    owner: Mutex<(Option<ThreadId>, usize)>,
    freed: Condvar,
}

impl RLock {
    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let me = Some(thread::current().id());
        let owner = self.owner.lock().expect(HELD);
        let mut owner = self.freed.wait_while(owner, |(owner, _)| owner.is_some() && *owner != me).expect(HELD);
        *owner = (me, owner.1 + 1);
        drop(owner);
        let result = work();
        let mut owner = self.owner.lock().expect(HELD);
        owner.1 -= 1;
        if owner.1 == 0 {
            owner.0 = None;
            self.freed.notify_one();
        }
        result
    }
}

fn rlock_threads() -> usize {
    let (lock, total) = (RLock::default(), AtomicUsize::new(0));
    let add_one = || lock.with(|| total.store(total.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
    in_threads(4, |_| {
        lock.with(|| {
            add_one();
            add_one();
        });
    });
    total.into_inner()
}

async fn rlock_tasks() -> usize {
    fn add_one(total: &mut LockGuard<'_, usize>) {
        **total += 1;
    }
    let total = Rc::new(Lock::new(0));
    gather((0..4).map(|_| {
        let total = total.clone();
        async move {
            let mut held = total.acquire().await;
            add_one(&mut held);
            add_one(&mut held);
        }
    }))
    .await;
    *total.acquire().await
}

// Semaphore: six want in, two may; the most that were inside.

fn semaphore_threads() -> usize {
    let (permits, freed) = (Mutex::new(2), Condvar::new());
    let (inside, both_are_in) = (AtomicUsize::new(0), threads::Barrier::new(2));
    let seen = in_threads(6, |_| {
        *freed.wait_while(permits.lock().expect(HELD), |permits| *permits == 0).expect(HELD) -= 1;
        inside.fetch_add(1, Ordering::SeqCst);
        both_are_in.wait();
        let seen = inside.load(Ordering::SeqCst);
        both_are_in.wait();
        inside.fetch_sub(1, Ordering::SeqCst);
        *permits.lock().expect(HELD) += 1;
        freed.notify_one();
        seen
    });
    seen.into_iter().max().unwrap_or(0)
}

async fn semaphore_tasks() -> usize {
    let (permits, inside) = (Rc::new(Semaphore::new(2)), Rc::new(Cell::new(0)));
    let seen = gather((0..6).map(|_| {
        let (permits, inside) = (permits.clone(), inside.clone());
        async move {
            let _permit = permits.acquire().await.expect("nobody closes it");
            inside.set(inside.get() + 1);
            yield_now().await;
            let seen = inside.get();
            yield_now().await;
            inside.set(inside.get() - 1);
            seen
        }
    }))
    .await;
    seen.into_iter().max().unwrap_or(0)
}

// Event: three wait, one sets; how many went on.

fn event_threads() -> usize {
    let (set, changed) = (Mutex::new(false), Condvar::new());
    let gone_on = in_threads(4, |i| {
        if i < 3 {
            return usize::from(*changed.wait_while(set.lock().expect(HELD), |set| !*set).expect(HELD));
        }
        *set.lock().expect(HELD) = true;
        changed.notify_all();
        0
    });
    gone_on.into_iter().sum()
}

async fn event_tasks() -> usize {
    let event = Rc::new(Event::new());
    let gone_on = gather((0..4).map(|i| {
        let event = event.clone();
        async move {
            if i < 3 {
                event.wait().await;
                return usize::from(event.is_set());
            }
            event.set();
            0
        }
    }))
    .await;
    gone_on.into_iter().sum()
}

// Condition: one waits until the others have brought three things.

fn condition_threads() -> usize {
    let (things, brought) = (Mutex::new(0), Condvar::new());
    let seen = in_threads(4, |i| {
        if i == 0 {
            return *brought.wait_while(things.lock().expect(HELD), |things| *things < 3).expect(HELD);
        }
        *things.lock().expect(HELD) += 1;
        brought.notify_one();
        0
    });
    seen[0]
}

async fn condition_tasks() -> usize {
    let shared = Rc::new((Lock::new(0), Condition::new()));
    let seen = gather((0..4).map(|i| {
        let shared = shared.clone();
        async move {
            let (things, brought) = &*shared;
            let mut things = things.acquire().await;
            if i == 0 {
                while *things < 3 {
                    things = brought.wait(things).await;
                }
                return *things;
            }
            *things += 1;
            brought.notify(1);
            0
        }
    }))
    .await;
    seen[0]
}

// Queue: room for two, five items through it; their sum.

fn queue_threads() -> usize {
    let (sender, receiver) = mpsc::sync_channel(2);
    thread::scope(|scope| {
        scope.spawn(move || (1..=5).try_for_each(|i| sender.send(i)).expect("the receiver is there"));
        receiver.iter().sum()
    })
}

async fn queue_tasks() -> usize {
    let queue = Rc::new(Queue::bounded(2));
    let (items, results) = (queue.clone(), queue);
    let producer = async move {
        for i in 1..=5 {
            items.put(i).await.expect("it is not shut down yet");
        }
        items.shutdown();
    };
    let consumer = async move {
        let mut sum = 0;
        while let Ok(i) = results.get().await {
            sum += i;
        }
        sum
    };
    gather!(producer, consumer).await.1
}

// Barrier: three arrive one after another; how many had arrived when the first went on.

fn barrier_threads() -> usize {
    let (arrived, barrier) = (AtomicUsize::new(0), threads::Barrier::new(3));
    let seen = in_threads(3, |i| {
        thread::sleep(ms(i as u64));
        arrived.fetch_add(1, Ordering::SeqCst);
        barrier.wait();
        arrived.load(Ordering::SeqCst)
    });
    seen.into_iter().min().unwrap_or(0)
}

async fn barrier_tasks() -> usize {
    let shared = Rc::new((Cell::new(0), Barrier::new(3)));
    let seen = gather((0..3).map(|i| {
        let shared = shared.clone();
        async move {
            let (arrived, barrier) = &*shared;
            sleep(ms(i)).await;
            arrived.set(arrived.get() + 1);
            barrier.wait().await;
            arrived.get()
        }
    }))
    .await;
    seen.into_iter().min().unwrap_or(0)
}

/// Those with few tasks under every order, the others under a thousand, by the seed.
fn programs(study: &mut Study) {
    let (seed, all) = (study.seed, Explore::new);
    let many = || Explore::new().random(seed, 1_000);
    study.program("lock", Explore::new().random(seed, 100).expect(|counter| *counter == 100), lock_tasks);
    study.program("rlock", all().expect(|total| *total == 8), rlock_tasks);
    study.program("semaphore", many().expect(|most| *most <= 2), semaphore_tasks);
    study.program("event", all().expect(|gone_on| *gone_on == 3), event_tasks);
    study.program("condition", all().expect(|things| *things == 3), condition_tasks);
    study.program("queue", all().expect(|sum| *sum == 15), queue_tasks);
    study.program("barrier", all().racing_timers().expect(|come| *come == 3), barrier_tasks);
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(programs) {
        return;
    }
    let event_loop = flags.event_loop();
    let row = |name, what, threads: usize, tasks: usize, expected: usize| {
        println!("{name:<10} {what:<48} threads {threads:>3}   tasks {tasks:>3}");
        assert_eq!((threads, tasks), (expected, expected), "{name}");
    };
    row("Lock", "100 increments, none lost", lock_threads(), event_loop.block_on(lock_tasks()), 100);
    row(
        "RLock",
        "4 add 2, locking twice (a task: passes a guard)",
        rlock_threads(),
        event_loop.block_on(rlock_tasks()),
        8,
    );
    row("Semaphore", "six want in, the most inside", semaphore_threads(), event_loop.block_on(semaphore_tasks()), 2);
    row("Event", "three wait, one sets, so many go on", event_threads(), event_loop.block_on(event_tasks()), 3);
    row("Condition", "wait until so many are there", condition_threads(), event_loop.block_on(condition_tasks()), 3);
    row("Queue", "1 to 5 through room for two, their sum", queue_threads(), event_loop.block_on(queue_tasks()), 15);
    row(
        "Barrier",
        "so many had come when the first went on",
        barrier_threads(),
        event_loop.block_on(barrier_tasks()),
        3,
    );
}

fn main() {
    run(&Flags::parse());
}
