//! A story of memory: primitives in steady state allocate nothing.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;

use roundel::sync::{Lock, Queue, Semaphore};
use roundel::{EventLoop, spawn, yield_now};

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

const OPERATIONS: u32 = 1_000_000;

#[test]
fn a_million_uncontended_operations_allocate_nothing() {
    EventLoop::new().unwrap().block_on(async {
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
    EventLoop::new().unwrap().block_on(async {
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
            // By then every list has the places it needs.
            if round == 10 {
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
