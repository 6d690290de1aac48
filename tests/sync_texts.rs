//! What the primitives, their futures and their errors say of themselves: the state that a log wants to
//! see, in words that stay.
#![allow(clippy::unwrap_used, missing_docs)]

use futures::FutureExt;
use roundel::sync::{Barrier, Condition, Event, Lock, OnceCell, Queue, Semaphore, TryGetError, TryPutError, oneshot};

/// What stands in front of the first mark that is no letter, and that something stands behind it.
fn name_of(shown: &impl std::fmt::Debug) -> String {
    let text = format!("{shown:?}");
    let (name, state) = text.split_once([' ', '(']).unwrap();
    assert!(!state.is_empty(), "{text}");
    name.to_owned()
}

#[test]
fn primitives_show_their_state() {
    let lock = Lock::new(7);
    assert_eq!(format!("{lock:?}"), "Lock { value: 7 }");
    let guard = lock.try_acquire().unwrap();
    assert_eq!(format!("{lock:?}"), "Lock { value: <locked>, waiting: 0 }");
    assert_eq!((format!("{guard:?}"), format!("{guard}")), ("LockGuard(7)".into(), "7".into()));
    let semaphore = Semaphore::new(3);
    let permit = semaphore.try_acquire_many(2).unwrap();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { available_permits: 1, waiting: 0, closed: false }");
    assert_eq!(format!("{permit:?}"), "Permit { permits: 2, .. }");
    assert_eq!(format!("{:?}", Event::new()), "Event { set: false, waiting: 0 }");
    assert_eq!(format!("{:?}", Condition::new()), "Condition { waiting: 0 }");
    let barrier = Barrier::new(3);
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 3, waiting: 0 }");
    assert_eq!(barrier.parties(), 3);
    let queue = Queue::bounded(2);
    queue.try_put('a').unwrap();
    assert_eq!(format!("{queue:?}"), "Queue { len: 1, capacity: Some(2), unfinished: 1, shut_down: false, .. }");
    let cell = OnceCell::new();
    assert_eq!(format!("{cell:?}"), "OnceCell(<empty>)");
    cell.set(1).unwrap();
    assert_eq!(format!("{cell:?}"), "OnceCell(1)");
}

#[test]
fn futures_and_ends_show_what_they_are() {
    let (lock, semaphore, event, barrier) = (Lock::new(()), Semaphore::new(1), Event::new(), Barrier::new(2));
    let queue = Queue::bounded(1);
    assert_eq!(name_of(&lock.acquire()), "AcquireLock");
    assert_eq!(name_of(&semaphore.acquire()), "Acquire");
    assert_eq!(name_of(&event.wait()), "EventWait");
    assert_eq!(name_of(&barrier.wait()), "BarrierWait");
    assert_eq!(name_of(&queue.put(1)), "Put");
    assert_eq!(name_of(&queue.get()), "Get");
    assert_eq!(name_of(&queue.join()), "Join");
    let (sender, receiver) = oneshot::channel::<u8>();
    assert_eq!(format!("{sender:?}"), "Sender { closed: false }");
    assert_eq!(format!("{receiver:?}"), "Receiver { sender_lives: true, .. }");
}

#[test]
fn errors_say_what_happened() {
    let semaphore = Semaphore::new(0);
    semaphore.close();
    let closed = semaphore.acquire().now_or_never().unwrap().unwrap_err();
    assert_eq!(closed.to_string(), "the semaphore is closed");

    let queue = Queue::bounded(1);
    assert_eq!(queue.try_get().unwrap_err(), TryGetError::Empty);
    assert_eq!(TryGetError::Empty.to_string(), "the queue is empty");
    queue.try_put(1).unwrap();
    let full = queue.try_put(2).unwrap_err();
    assert_eq!((format!("{full:?}"), full.to_string()), ("Full".into(), "the queue is full".into()));
    queue.shutdown_now();
    let refused = queue.try_put(2).unwrap_err();
    assert_eq!((format!("{refused:?}"), refused.to_string()), ("Shutdown".into(), "the queue is shut down".into()));
    assert_eq!(TryPutError::into_item(refused), 2);
    assert_eq!(TryGetError::Shutdown.to_string(), "the queue is shut down and empty");
    let shut = queue.get().now_or_never().unwrap().unwrap_err();
    assert_eq!((format!("{shut:?}"), shut.to_string()), ("Shutdown".into(), "the queue is shut down".into()));

    let (sender, mut receiver) = oneshot::channel::<u8>();
    assert_eq!(receiver.try_recv().unwrap_err().to_string(), "no value was sent yet");
    drop(sender);
    assert_eq!(receiver.try_recv().unwrap_err().to_string(), "the sender was dropped without sending a value");
    let dropped = receiver.now_or_never().unwrap().unwrap_err();
    assert_eq!(dropped.to_string(), "the sender was dropped without sending a value");
}

#[test]
fn a_semaphore_holds_an_eighth_of_all_numbers() {
    // S10: so that the sum of two can be looked at before it is too late.
    assert_eq!(Semaphore::MAX_PERMITS, usize::MAX / 8);
}
