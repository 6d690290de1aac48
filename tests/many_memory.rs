//! A story of memory: a million children of a group, cancelled children, gathers, timeouts and resets
//! leave it where it was.
//!
//! It is one test in a file of its own, because it looks at the memory of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures::poll;
use roundel::{CancelHandle, Clock, EventLoop, Instant, TaskGroup, all_tasks, gather, sleep, timeout, yield_now};

const HOUR: Duration = Duration::from_secs(3600);

/// Each step is done ten thousand times, for a hundred things: the first hundred times make the room
/// that the rest must do with. Eight bytes for each of a million things would be 8 MiB.
async fn stays_flat(story: &str, mut step: impl AsyncFnMut()) {
    let mut before = 0;
    for time in 0..10_000 {
        step().await;
        if time == 100 {
            before = resident_kib();
        }
    }
    let after = resident_kib();
    assert!(after < before + 2 * 1024, "{story}: {before} KiB became {after} KiB");
    assert_eq!(all_tasks().len(), 1, "{story}: no task is left");
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_million_of_each_leave_the_memory_where_it_was() {
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).build().unwrap();
    event_loop.block_on(async {
        // Row 23 of section 7: one group, whose owner only now and then looks at it.
        let finishing = TaskGroup::<(), ()>::new();
        stays_flat("children that finish", async || {
            for _ in 0..100 {
                finishing.spawn(async { Ok(()) }).unwrap();
            }
            yield_now().await;
        })
        .await;
        assert_eq!(finishing.join().await.unwrap().len(), 1_000_000);

        // G12
        let cancelled = TaskGroup::<(), ()>::new();
        stays_flat("children that are cancelled", async || {
            let cancels: Vec<_> = (0..100).map(|_| cancelled.spawn(pending()).unwrap()).collect();
            cancels.iter().for_each(CancelHandle::cancel);
            yield_now().await;
            yield_now().await;
        })
        .await;
        assert_eq!(cancelled.len(), 0);

        stays_flat("gathers that are dropped", async || drop(gather((0..100).map(|_| pending::<()>())))).await;
        stays_flat("gathers", async || drop(gather((0..100).map(|n| async move { n })).await)).await;

        // T35
        stays_flat("timeouts that are not reached", async || {
            for _ in 0..100 {
                assert!(poll!(pin!(timeout(HOUR, pending::<()>()))).is_pending());
            }
        })
        .await;

        // T34
        let mut moved = pin!(sleep(HOUR));
        assert!(poll!(moved.as_mut()).is_pending());
        stays_flat("a sleep that is reset", async || {
            for n in 0..100 {
                moved.as_mut().reset(Instant::now() + HOUR * n + Duration::from_secs(1));
            }
        })
        .await;
    });
}
