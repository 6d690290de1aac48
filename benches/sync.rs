//! What do the primitives cost?
//!
//! | row | the question |
//! |---|---|
//! | `lock_uncontended` | one task takes a lock that is free, and gives it back |
//! | `lock_contended` | one of 100 tasks takes a lock for which the others stand in line, gives its turn away while it holds it, and hands it on |
//! | `semaphore` | the same with 10 permits |
//! | `queue` | one item goes through a queue of 64, from one task to another |
//!
//! Every figure is the time of one operation. In the contended rows a turn given away belongs to it.
//!
//! What they leave out: threads. tokio's primitives may be shared between them, and pay for it with
//! atomics that nothing here needs.

mod support;

use std::future::Future;
use std::rc::Rc;

use support::{Bench, Drivers, Peer, Roundel, Setting, Tokio, wall_time};

const TASKS: u64 = 100;
/// What each of them takes in a batch, so that spawning them weighs little.
const TURNS: u64 = 100;
const PERMITS: usize = 10;
const ITEMS: u64 = 10_000;
const ROOM: usize = 64;

ask_all!(lock_uncontended, lock_contended, semaphore, queue);

fn lock_uncontended<P: Primitives>(bench: &mut Bench) {
    bench.ask::<P>("lock_uncontended", 1, Drivers::None, async |batches| {
        let lock = P::lock();
        let elapsed = wall_time(batches, async || P::add(&lock, async || ()).await).await;
        assert_eq!(P::total(lock), batches);
        elapsed
    });
}

fn lock_contended<P: Primitives>(bench: &mut Bench) {
    bench.ask::<P>("lock_contended", TASKS * TURNS, Drivers::None, async |batches| {
        let lock = Rc::new(P::lock());
        let elapsed = wall_time(batches, async || {
            join_all::<P, _>(|| {
                let lock = lock.clone();
                async move {
                    for _ in 0..TURNS {
                        P::add(&lock, P::yield_now).await;
                    }
                }
            })
            .await;
        })
        .await;
        let lock = Rc::into_inner(lock).expect("the tasks are over");
        assert_eq!(P::total(lock), batches * TASKS * TURNS);
        elapsed
    });
}

fn semaphore<P: Primitives>(bench: &mut Bench) {
    bench.ask::<P>("semaphore", TASKS * TURNS, Drivers::None, async |batches| {
        let semaphore = Rc::new(P::semaphore());
        wall_time(batches, async || {
            join_all::<P, _>(|| {
                let semaphore = semaphore.clone();
                async move {
                    for _ in 0..TURNS {
                        P::with_permit(&semaphore, P::yield_now).await;
                    }
                }
            })
            .await;
        })
        .await
    });
}

async fn join_all<P: Peer, F: Future<Output = ()> + 'static>(make: impl Fn() -> F) {
    let tasks: Vec<_> = (0..TASKS).map(|_| P::spawn(make())).collect();
    for task in tasks {
        assert!(task.await.is_ok());
    }
}

fn queue<P: Primitives>(bench: &mut Bench) {
    bench.ask::<P>("queue", ITEMS, Drivers::None, async |batches| {
        wall_time(batches, async || {
            let (producer, consumer) = P::queue_ends();
            let producer = P::spawn(producer);
            let consumer = P::spawn(consumer);
            assert!(producer.await.is_ok());
            assert_eq!(consumer.await.expect("it does not panic"), ITEMS * (ITEMS - 1) / 2);
        })
        .await
    });
}

/// The primitives of a runtime.
trait Primitives: Peer {
    type Lock: 'static;
    type Semaphore: 'static;

    fn lock() -> Self::Lock;
    /// Adds one to what the lock guards, after `meanwhile` with the lock held.
    fn add(lock: &Self::Lock, meanwhile: impl AsyncFn()) -> impl Future<Output = ()>;
    fn total(lock: Self::Lock) -> u64;

    fn semaphore() -> Self::Semaphore;
    fn with_permit(semaphore: &Self::Semaphore, meanwhile: impl AsyncFn()) -> impl Future<Output = ()>;

    /// A task that puts `ITEMS` numbers into a queue, and one that adds up what comes out.
    fn queue_ends() -> (impl Future<Output = ()> + 'static, impl Future<Output = u64> + 'static);
}

impl Primitives for Roundel {
    type Lock = roundel::sync::Lock<u64>;
    type Semaphore = roundel::sync::Semaphore;

    fn lock() -> Self::Lock {
        roundel::sync::Lock::new(0)
    }

    async fn add(lock: &Self::Lock, meanwhile: impl AsyncFn()) {
        let mut count = lock.acquire().await;
        meanwhile().await;
        *count += 1;
    }

    fn total(lock: Self::Lock) -> u64 {
        lock.into_inner()
    }

    fn semaphore() -> Self::Semaphore {
        roundel::sync::Semaphore::new(PERMITS)
    }

    async fn with_permit(semaphore: &Self::Semaphore, meanwhile: impl AsyncFn()) {
        let permit = semaphore.acquire().await;
        assert!(permit.is_ok());
        meanwhile().await;
    }

    fn queue_ends() -> (impl Future<Output = ()> + 'static, impl Future<Output = u64> + 'static) {
        let queue = Rc::new(roundel::sync::Queue::bounded(ROOM));
        let producer = {
            let queue = queue.clone();
            async move {
                for item in 0..ITEMS {
                    assert!(queue.put(item).await.is_ok());
                }
                queue.shutdown();
            }
        };
        let consumer = async move {
            let mut sum = 0;
            while let Ok(item) = queue.get().await {
                sum += item;
            }
            sum
        };
        (producer, consumer)
    }
}

impl<S: Setting> Primitives for Tokio<S> {
    type Lock = tokio::sync::Mutex<u64>;
    type Semaphore = tokio::sync::Semaphore;

    fn lock() -> Self::Lock {
        tokio::sync::Mutex::new(0)
    }

    async fn add(lock: &Self::Lock, meanwhile: impl AsyncFn()) {
        let mut count = lock.lock().await;
        meanwhile().await;
        *count += 1;
    }

    fn total(lock: Self::Lock) -> u64 {
        lock.into_inner()
    }

    fn semaphore() -> Self::Semaphore {
        tokio::sync::Semaphore::new(PERMITS)
    }

    async fn with_permit(semaphore: &Self::Semaphore, meanwhile: impl AsyncFn()) {
        let permit = semaphore.acquire().await;
        assert!(permit.is_ok());
        meanwhile().await;
    }

    fn queue_ends() -> (impl Future<Output = ()> + 'static, impl Future<Output = u64> + 'static) {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(ROOM);
        let producer = async move {
            for item in 0..ITEMS {
                assert!(sender.send(item).await.is_ok());
            }
        };
        let consumer = async move {
            let mut sum = 0;
            while let Some(item) = receiver.recv().await {
                sum += item;
            }
            sum
        };
        (producer, consumer)
    }
}
