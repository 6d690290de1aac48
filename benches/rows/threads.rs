//! What does it cost to leave the thread?
//!
//! | row | the question |
//! |---|---|
//! | `to_thread` | a closure goes to a thread that waits for work, and its answer comes back |
//! | `wake_from_thread` | a task wakes a thread and waits, and the thread wakes the task |
//!
//! Every figure is the time of one round trip, on the wall's clock. On one core the thread runs only when the loop
//! has gone to sleep, so each trip is two sleeps and two wakes of the system, and little of it is the runtime's.
//!
//! What they leave out: a second core, where the system's wakes take longer and vary more; starting the
//! thread, which is done before the measuring begins; and what many wakes at once cost.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use crate::contenders;
use crate::support::{Drivers, Peer, Row, Sampler, Threads, floor, inside, wall_time};

pub(crate) fn rows() -> Vec<Row> {
    let row = |id, title, contenders| Row { group: "threads", id, title, operations: 1, contenders };
    vec![
        row(
            "to_thread",
            "`to_thread` round trip, one core",
            contenders!(all_but_local_pool, to_thread(), floor::to_thread()),
        ),
        row(
            "wake_from_thread",
            "a wake from another thread, round trip, one core",
            contenders!(everyone, wake_from_thread(), floor::wake_from_thread()),
        ),
    ]
}

fn to_thread<P: Threads>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
        wall_time(batches, async || {
            black_box(P::to_thread(|| black_box(1)).await);
        })
        .await
    })
}

fn wake_from_thread<P: Peer>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
        let (asks, asked) = mpsc::channel::<Waker>();
        let is_woken = Arc::new(AtomicBool::new(false));
        let woken = is_woken.clone();
        let thread = thread::spawn(move || {
            for waker in asked {
                woken.store(true, Ordering::Release);
                waker.wake();
            }
        });
        let elapsed = wall_time(batches, async || {
            let mut has_asked = false;
            poll_fn(|cx| {
                if !has_asked {
                    asks.send(cx.waker().clone()).expect("the thread listens");
                    has_asked = true;
                    return Poll::Pending;
                }
                if is_woken.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        })
        .await;
        drop(asks);
        thread.join().expect("it only wakes");
        elapsed
    })
}
