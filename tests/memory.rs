//! Stories of memory: what was made and is gone left nothing on the heap, a spawn costs one block and
//! nothing else does, and a task that waits takes so many bytes and no more.
//!
//! | row of the bug catalogue | test |
//! |---|---|
//! | T35 | a_million_timeouts_leave_the_heap_where_it_was |
//! | section 9 task_del_collect | a_million_tasks_leave_the_heap_where_it_was |
//! | G12 | a_million_cancelled_tasks_leave_the_heap_where_it_was |
//! | K26 | ten_thousand_loops_leave_the_heap_where_it_was |
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use roundel::{Clock, EventLoop, JoinHandle, sleep, spawn, timeout, yield_now};

/// The system's allocator, counting what this thread asks of it. (Tests run in threads of their own.)
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "counting allocations takes a global allocator, which is an unsafe trait")]
// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + layout.size() as isize));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() - layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MILLION: u32 = 1_000_000;

/// Does `step` a million times; after the first thousand, which make the room that the rest must do
/// with, not one byte more may be in use.
async fn leaves_the_heap_where_it_was(mut step: impl AsyncFnMut()) {
    for _ in 0..1000 {
        step().await;
    }
    let before = LIVE_BYTES.get();
    for _ in 0..MILLION {
        step().await;
    }
    assert_eq!(LIVE_BYTES.get() - before, 0);
}

/// Polls a future once and drops it.
async fn begin_and_drop(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _ = black_box(future.as_mut().poll(cx).is_ready());
        Poll::Ready(())
    })
    .await;
}

fn event_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

#[test]
fn a_million_timeouts_leave_the_heap_where_it_was() {
    event_loop().block_on(leaves_the_heap_where_it_was(async || {
        begin_and_drop(timeout(Duration::from_secs(3600), pending::<()>())).await;
    }));
}

#[test]
fn a_million_timeouts_alive_at_once_give_their_room_back() {
    event_loop().block_on(async {
        let before = ALLOCATIONS.get();
        let hour = || Box::pin(sleep(Duration::from_secs(3600)));
        let mut sleeps: Vec<_> = (0..MILLION).map(|_| hour()).collect();
        for sleep in &mut sleeps {
            begin_and_drop(sleep.as_mut()).await;
        }
        drop(sleeps);
        let grown = ALLOCATIONS.get() - before;
        // One box each, the vector, and the wheel's table, which doubled some twenty times and stays.
        assert!(grown < u64::from(MILLION) + 50, "{grown} allocations");
        leaves_the_heap_where_it_was(async || begin_and_drop(hour()).await).await;
    });
}

#[test]
fn a_million_tasks_leave_the_heap_where_it_was() {
    event_loop().block_on(leaves_the_heap_where_it_was(async || {
        assert_eq!(spawn(async { black_box(1_u64) }).await.unwrap(), 1);
    }));
}

#[test]
fn a_million_tasks_alive_at_once_leave_the_heap_where_it_was() {
    event_loop().block_on(async {
        let run_all = async || {
            let tasks: Vec<_> = (0..MILLION).map(|_| spawn(yield_now())).collect();
            for task in tasks {
                task.await.unwrap();
            }
        };
        run_all().await;
        let before = LIVE_BYTES.get();
        run_all().await;
        assert_eq!(LIVE_BYTES.get() - before, 0);
    });
}

#[test]
fn a_million_cancelled_tasks_leave_the_heap_where_it_was() {
    // G12: none of them is ever polled, and none is kept by the queue it stood in.
    event_loop().block_on(leaves_the_heap_where_it_was(async || {
        assert!(spawn(pending::<()>()).cancel());
    }));
}

#[test]
fn ten_thousand_loops_leave_the_heap_where_it_was() {
    // K26
    let life = || {
        let event_loop = event_loop();
        drop(event_loop.spawn(async { sleep(Duration::from_secs(3600)).await }));
        assert_eq!(event_loop.block_on(async { spawn(async { black_box(1_u64) }).await.unwrap() }), 1);
    };
    // By then every loop number was used, and the list of the used ones has all the room it will need.
    (0..5000).for_each(|_| life());
    let before = LIVE_BYTES.get();
    (0..10_000).for_each(|_| life());
    assert_eq!(LIVE_BYTES.get() - before, 0);
}

#[test]
fn a_spawn_costs_one_block_and_a_second_one_for_an_output_that_has_a_size() {
    event_loop().block_on(async {
        let blocks = async |spawn_and_join: &dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            spawn_and_join().await;
            let before = ALLOCATIONS.get();
            spawn_and_join().await;
            // Without the box that carries the question itself.
            ALLOCATIONS.get() - before - 1
        };
        assert_eq!(blocks(&|| Box::pin(async { spawn(yield_now()).await.unwrap() })).await, 1);
        let sized = blocks(&|| {
            Box::pin(async {
                let output = spawn(async {
                    yield_now().await;
                    black_box(7_u64)
                });
                assert_eq!(output.await.unwrap(), 7);
            })
        });
        assert_eq!(sized.await, 2);
    });
}

const ROUNDS: usize = 10_000;
/// By then every list has the places it needs.
const WARM: usize = 100;

/// Does `round` again and again; once all is warm, it may ask for no block.
async fn allocates_nothing(what: &str, mut round: impl AsyncFnMut()) {
    for _ in 0..WARM {
        round().await;
    }
    let before = ALLOCATIONS.get();
    for _ in 0..ROUNDS {
        round().await;
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "{what}: {ROUNDS} rounds");
}

#[test]
fn a_turn_given_away_allocates_nothing() {
    event_loop().block_on(async {
        allocates_nothing("alone", yield_now).await;
        let others = [(); 100].map(|()| {
            spawn(async {
                while black_box(true) {
                    yield_now().await
                }
            })
        });
        allocates_nothing("among a hundred", yield_now).await;
        assert!(others.iter().all(JoinHandle::cancel));
    });
}

#[test]
fn a_wake_allocates_nothing() {
    event_loop().block_on(async {
        let wakers: Rc<[Cell<Option<Waker>>; 100]> = Rc::new([const { Cell::new(None) }; 100]);
        let polls = Rc::new(Cell::new(0));
        let waiters: Vec<_> = (0..wakers.len())
            .map(|own| {
                let (wakers, polls) = (wakers.clone(), polls.clone());
                spawn(poll_fn(move |cx| {
                    polls.set(polls.get() + 1);
                    wakers[own].set(Some(cx.waker().clone()));
                    Poll::<()>::Pending
                }))
            })
            .collect();
        yield_now().await;
        allocates_nothing("a hundred wakes", async || {
            for waker in wakers.iter() {
                // The second finds it queued already.
                let waker = waker.take().expect("it waits");
                waker.wake_by_ref();
                waker.wake();
            }
            yield_now().await;
        })
        .await;
        assert_eq!(polls.get(), wakers.len() * (1 + WARM + ROUNDS));
        drop(waiters);
    });
}

#[test]
fn a_sleep_allocates_nothing() {
    event_loop().block_on(async {
        let others = [(); 100].map(|()| {
            spawn(async {
                while black_box(true) {
                    sleep(Duration::from_millis(7)).await
                }
            })
        });
        allocates_nothing("a sleep that ends", async || sleep(Duration::from_millis(3)).await).await;
        let hour = Duration::from_secs(3600);
        allocates_nothing("a sleep that is dropped", async || begin_and_drop(sleep(hour)).await).await;
        allocates_nothing("a timeout that is not reached", async || timeout(hour, yield_now()).await.unwrap()).await;
        assert!(others.iter().all(JoinHandle::cancel));
    });
}

/// With the root it makes 2^17 tasks: the tables, which double when they are full, have just the room for
/// them. Right after they have doubled, a task takes up to twice as much of what the tables take of it.
const MANY: usize = (1 << 17) - 1;

/// The bytes that a task takes which waits for what `waiting` gives, with its handle, when all have had
/// their first turn.
fn bytes_a_task<F: Future<Output = ()> + 'static>(waiting: impl Fn() -> F) -> f64 {
    event_loop().block_on(async {
        // What a loop has once, it has by now.
        begin_and_drop(sleep(Duration::from_secs(3600))).await;
        spawn(yield_now()).await.unwrap();
        let before = LIVE_BYTES.get();
        let mut handles = Vec::with_capacity(MANY);
        handles.extend((0..MANY).map(|_| spawn(waiting())));
        yield_now().await;
        let bytes = LIVE_BYTES.get() - before;
        assert!(handles.iter().all(|task| !task.is_finished()));
        bytes as f64 / MANY as f64
    })
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_task_that_waits_takes_no_more_than_its_room() {
    let idle = bytes_a_task(|| async { pending().await });
    println!("idle: {idle:.2} bytes");
    assert!(idle <= IDLE, "an idle task takes {idle:.2} bytes");
    let asleep = bytes_a_task(|| async { sleep(Duration::from_secs(3600)).await });
    println!("asleep: {asleep:.2} bytes");
    assert!(asleep <= ASLEEP, "a sleeping task takes {asleep:.2} bytes");
}

/// Of a task with an empty future: its future (1 byte), its slot in the queue (72), its handle (24).
const IDLE: f64 = 97.5;
/// The same with a timer of the wheel (its links 8, its deadline and its waker 24), and the future that holds it
/// (32 instead of 1).
const ASLEEP: f64 = 160.5;
