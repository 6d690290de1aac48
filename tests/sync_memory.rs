//! A story of memory: primitives in steady state allocate nothing.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use futures::poll;
use roundel::sync::{Barrier, Condition, Event, Lock, Queue, Semaphore, oneshot};
use roundel::{Clock, EventLoop, spawn, yield_now};

/// The system's allocator, counting what this thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "counting allocations takes a global allocator, which is an unsafe trait")]
// Safe: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// In virtual time nothing takes long: a debug build has no slow poll to warn of, in words that take room.
fn event_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

const OPERATIONS: u32 = 1_000_000;

#[test]
fn a_million_uncontended_operations_allocate_nothing() {
    event_loop().block_on(async {
        let (lock, semaphore) = (Lock::new(0), Semaphore::new(2));
        let queues = [Queue::bounded(2), Queue::unbounded(), Queue::lifo(2), Queue::priority(None)];
        for queue in &queues {
            // A shelf gets its first boards with the first item.
            queue.try_put(0).unwrap();
            queue.try_get().unwrap();
        }
        let before = ALLOCATIONS.get();
        for item in 0..OPERATIONS {
            *lock.acquire().await += 1;
            drop(semaphore.acquire().await.unwrap());
            for queue in &queues {
                queue.put(item).await.unwrap();
                assert_eq!(queue.get().await, Ok(item));
            }
        }
        assert_eq!(ALLOCATIONS.get() - before, 0);
        assert_eq!(lock.into_inner(), OPERATIONS);
    });
}

#[test]
fn hand_overs_between_two_tasks_allocate_nothing() {
    event_loop().block_on(async {
        let (lock, queue) = (Rc::new(Lock::new(0)), Rc::new(Queue::bounded(1)));
        let other = spawn({
            let (lock, queue) = (lock.clone(), queue.clone());
            async move {
                while let Ok(item) = queue.get().await {
                    let mut sum = lock.acquire().await;
                    yield_now().await;
                    *sum += u64::from(item == 1);
                }
            }
        });
        let mut before = 0;
        for round in 0..10_000 {
            // By then every list has the places it needs, and the loop has looked for circles: in virtual time it
            // never does so again.
            if round == 100 {
                before = ALLOCATIONS.get();
            }
            queue.put(1).await.unwrap();
            drop(lock.acquire().await);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0);
        queue.shutdown();
        other.await.unwrap();
        assert_eq!(*lock.acquire().await, 10_000);
    });
}

const TASKS: usize = 100;
const ROUNDS: usize = 1_000;
/// By then every list has the places it needs.
const WARM: usize = 10;

/// A hundred tasks do `round` again and again, each at a place of its own in the line of the others. Once
/// all is warm, they may ask for no block.
fn a_hundred_allocate_nothing<P: 'static>(what: &str, primitive: P, round: impl AsyncFn(&P) + Copy + 'static) {
    event_loop().block_on(async {
        let (primitive, done) = (Rc::new(primitive), Rc::new(Cell::new(0)));
        let tasks = [(); TASKS].map(|()| {
            let (primitive, done) = (primitive.clone(), done.clone());
            spawn(async move {
                for _ in 0..ROUNDS {
                    round(&primitive).await;
                    done.set(done.get() + 1);
                }
            })
        });
        while done.get() < TASKS * WARM {
            yield_now().await;
        }
        let before = ALLOCATIONS.get();
        // The tasks' ends are not looked at: outputs without size, they need no block either.
        while done.get() < TASKS * ROUNDS {
            yield_now().await;
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{what}");
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn whoever_stands_in_line_allocates_nothing() {
    a_hundred_allocate_nothing("a lock", Lock::new(0), async |lock| {
        let mut count = lock.acquire().await;
        yield_now().await;
        *count += 1;
    });
    a_hundred_allocate_nothing("a semaphore", Semaphore::new(10), async |semaphore| {
        let permit = semaphore.acquire().await.unwrap();
        yield_now().await;
        drop(permit);
    });
    a_hundred_allocate_nothing("permits by the handful", Semaphore::new(10), async |semaphore| {
        let permits = semaphore.acquire_many(3).await.unwrap();
        yield_now().await;
        drop(permits);
    });
    // What is put is what is got, so there is always somebody to wait for, and to wait.
    a_hundred_allocate_nothing("a queue", Queue::bounded(2), async |queue| {
        queue.put(1).await.unwrap();
        yield_now().await;
        assert_eq!(queue.get().await, Ok(1));
    });
    a_hundred_allocate_nothing("a queue by rank", Queue::priority(2), async |queue| {
        queue.put(1).await.unwrap();
        yield_now().await;
        assert_eq!(queue.get().await, Ok(1));
    });
    a_hundred_allocate_nothing("an event", Event::new(), async |event| {
        yield_now().await;
        event.set();
        event.clear();
        let mut wait = pin!(event.wait());
        let _waits = poll!(wait.as_mut());
        event.set();
        wait.await;
    });
}

#[test]
fn a_crowd_that_one_call_wakes_allocates_nothing() {
    a_hundred_allocate_nothing("a barrier", Barrier::new(TASKS), async |barrier| {
        barrier.wait().await;
    });
    // The last to come wakes those who came before.
    let is_last = |arrived: &Cell<usize>| {
        arrived.set(arrived.get() + 1);
        arrived.get().is_multiple_of(TASKS)
    };
    a_hundred_allocate_nothing("an event", (Event::new(), Cell::new(0)), async move |(event, arrived)| {
        if is_last(arrived) {
            event.set();
            return event.clear();
        }
        event.wait().await;
    });
    let condition = (Lock::new(()), Condition::new(), Cell::new(0));
    a_hundred_allocate_nothing("a condition", condition, async move |(lock, condition, arrived)| {
        let guard = lock.acquire().await;
        if is_last(arrived) {
            return condition.notify_all();
        }
        drop(condition.wait(guard).await);
    });
    let semaphore = (Semaphore::new(0), Cell::new(0));
    a_hundred_allocate_nothing("permits for all", semaphore, async move |(semaphore, arrived)| {
        if is_last(arrived) {
            return semaphore.add_permits(TASKS - 1);
        }
        semaphore.acquire().await.unwrap().forget();
    });
}

#[test]
fn a_channel_for_one_value_is_one_block() {
    event_loop().block_on(async {
        let before = ALLOCATIONS.get();
        for _ in 0..ROUNDS {
            let (sender, receiver) = oneshot::channel();
            // It is waited for before it is sent.
            let mut receiver = pin!(receiver);
            assert!(poll!(receiver.as_mut()).is_pending());
            sender.send(1).unwrap();
            assert_eq!(receiver.await, Ok(1));
        }
        assert_eq!(ALLOCATIONS.get() - before, ROUNDS as u64);
    });
}
