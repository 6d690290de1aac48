//! What does a task weigh?
//!
//! | row | the question |
//! |---|---|
//! | `idle_task` | heap of a task with an empty future that waits, its handle kept |
//! | `sleeping_task` | the same of a task that sleeps for an hour |
//!
//! Every figure is the bytes that are in use for one of 100,000 tasks, as they were asked of the allocator, room
//! that a table has made in advance among them. All are spawned before the first has its turn.
//!
//! What they leave out: the place where the handle is kept; what the allocator itself adds, and what comes and goes again. The first task of a
//! loop costs more, for tables start with room for many.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::contenders;
use crate::support::{Drivers, Peer, Row, Sampler, Timers, floor};

const TASKS: u64 = 100_000;
const FAR: Duration = Duration::from_secs(3600);

/// The system's allocator, counting what this thread asks of it while somebody wants to know. (The other rows
/// of the table are to run on what everybody has; a look at a flag is all that they pay.)
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    /// How many tasks had their first turn.
    static BEGUN: Cell<u64> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + bytes));
    }
}

#[expect(unsafe_code, reason = "counting allocations takes a global allocator, which is an unsafe trait")]
// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

pub(crate) fn rows() -> Vec<Row> {
    let row = |id, title, contenders| Row { group: "memory", id, title, operations: TASKS, contenders };
    vec![
        row(
            "idle_task",
            "heap per idle task, its handle kept, bytes",
            contenders!(everyone, idle_tasks(), heap_of(|| floor::idle_tasks(TASKS))),
        ),
        row(
            "sleeping_task",
            "heap per sleeping task, its handle kept, bytes",
            contenders!(all_but_local_pool, sleeping_tasks(), heap_of(|| floor::sleeping_tasks(TASKS))),
        ),
    ]
}

fn idle_tasks<P: Peer>() -> Sampler {
    heap_of_tasks::<P, _>(Drivers::None, || async {
        BEGUN.set(BEGUN.get() + 1);
        pending::<()>().await;
    })
}

fn sleeping_tasks<P: Timers>() -> Sampler {
    heap_of_tasks::<P, _>(Drivers::Time, || async {
        BEGUN.set(BEGUN.get() + 1);
        P::sleep(FAR).await;
    })
}

fn heap_of_tasks<P: Peer, F: Future<Output = ()> + 'static>(drivers: Drivers, make: fn() -> F) -> Sampler {
    Box::new(move |batches| {
        let mut bytes = 0;
        for _ in 0..batches {
            let peer = P::new(drivers);
            bytes += peer.run(async move {
                let mut tasks = Vec::with_capacity(TASKS as usize);
                COUNTS.store(true, Ordering::Relaxed);
                let (before, begun) = (LIVE_BYTES.get(), BEGUN.get());
                tasks.extend((0..TASKS).map(|_| P::spawn(make())));
                while BEGUN.get() < begun + TASKS {
                    P::yield_now().await;
                }
                let bytes = LIVE_BYTES.get() - before;
                COUNTS.store(false, Ordering::Relaxed);
                bytes
            });
        }
        bytes as f64
    })
}

/// Of what the floor has made.
fn heap_of<T>(make: impl Fn() -> T + 'static) -> Sampler {
    Box::new(move |batches| {
        let mut bytes = 0;
        for _ in 0..batches {
            COUNTS.store(true, Ordering::Relaxed);
            let before = LIVE_BYTES.get();
            let made = make();
            bytes += LIVE_BYTES.get() - before;
            COUNTS.store(false, Ordering::Relaxed);
            drop(made);
        }
        bytes as f64
    })
}
