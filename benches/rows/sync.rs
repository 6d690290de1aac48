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
//! What they leave out: threads. The primitives of all but roundel may be shared between them, and pay for it
//! with atomics that nothing here needs. futures has no semaphore. Its lock does not hand over: it wakes the
//! next in line and lies there for anyone until that one comes.

use std::future::Future;
use std::rc::Rc;

use crate::contenders;
use crate::support::{Drivers, LockAndQueue, Peer, Row, Sampler, Semaphores, floor, inside, wall_time};

const TASKS: u64 = 100;
/// What each of them takes in a batch, so that spawning them weighs little.
const TURNS: u64 = 100;
const PERMITS: usize = 10;
const ITEMS: u64 = 10_000;
const ROOM: usize = 64;

pub(crate) fn rows() -> Vec<Row> {
    let row = |id, title, operations, contenders| Row { group: "sync", id, title, operations, contenders };
    vec![
        row(
            "lock_uncontended",
            "lock, nobody waiting",
            1,
            contenders!(everyone, lock_uncontended(), floor::lock_uncontended()),
        ),
        row(
            "lock_contended",
            "lock, 100 tasks contending with a yield inside",
            TASKS * TURNS,
            contenders!(everyone, lock_contended(), floor::contended(1, TASKS, TURNS)),
        ),
        row(
            "semaphore",
            "semaphore, 100 tasks over 10 permits",
            TASKS * TURNS,
            contenders!(all_but_local_pool, semaphore(), floor::contended(PERMITS, TASKS, TURNS)),
        ),
        row(
            "queue",
            "queue of 64, one producer, one consumer",
            ITEMS,
            contenders!(everyone, queue(), floor::queue(ROOM, ITEMS)),
        ),
    ]
}

fn lock_uncontended<P: LockAndQueue>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
        let lock = P::lock();
        let elapsed = wall_time(batches, async || P::add(&lock, async || ()).await).await;
        assert_eq!(P::total(lock), batches);
        elapsed
    })
}

fn lock_contended<P: LockAndQueue>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
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
    })
}

fn semaphore<P: Semaphores>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
        let semaphore = Rc::new(P::semaphore(PERMITS));
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
    })
}

async fn join_all<P: Peer, F: Future<Output = ()> + 'static>(make: impl Fn() -> F) {
    let tasks: Vec<_> = (0..TASKS).map(|_| P::spawn(make())).collect();
    for task in tasks {
        assert!(task.await.is_ok());
    }
}

fn queue<P: LockAndQueue>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
        wall_time(batches, async || {
            let (sender, receiver) = P::queue(ROOM);
            let producer = P::spawn(P::produce(sender, ITEMS));
            let consumer = P::spawn(P::consume(receiver));
            assert!(producer.await.is_ok());
            assert_eq!(consumer.await.expect("it does not panic"), ITEMS * (ITEMS - 1) / 2);
        })
        .await
    })
}
