//! Stories of the queue: order, bounds, cancelling at every moment, joining and shutting down.
//!
//! | row of the asyncio semantics | test |
//! |---|---|
//! | 0.4 free is taken without yielding | `room_and_items_that_are_there_are_taken_without_giving_the_turn_away` |
//! | 0.5 oldest first, nobody overtakes | `getters_are_served_in_order_and_nobody_overtakes` |
//! | 0.6 a dropped waiter loses nothing | `a_getter_cancelled_after_it_was_woken_leaves_the_first_item_to_the_next`, `a_put_cancelled_after_room_was_made_has_put_nothing` |
//! | 6 repr, str, generic_alias, format | n/a; `debug_shows_how_much_is_in_it` |
//! | 6 empty, full, order, maxsize | `a_bounded_queue_keeps_order_and_its_third_put_waits` |
//! | 6 float_maxsize | n/a: capacities are whole |
//! | 6 blocking_get, blocking_get_wait | `a_getter_waits_until_something_is_put` |
//! | 6 get_with_putters | `a_get_from_a_full_queue_wakes_the_first_putter` |
//! | 6 nonblocking_get (+exception) | `try_get_gives_the_item_or_says_empty` |
//! | 6 get_cancelled_race | `of_two_getters_with_the_first_cancelled_the_second_gets_it` |
//! | 6 get_with_waiting_putters | `two_puts_over_capacity_one_keep_their_order` |
//! | 6 why_are_getters_waiting | `producer_and_consumer_over_capacity_one_never_stall` |
//! | 6 cancelled_getters_not_being_held | `a_getter_that_timed_out_leaves_no_entry` |
//! | 6 blocking_put, blocking_put_wait, nonblocking_put (+exception) | `a_bounded_queue_keeps_order_and_its_third_put_waits`, `try_put_gives_the_item_back_when_full` |
//! | 6 get_cancel_drop_one_pending_reader | `a_getter_cancelled_after_it_was_woken_leaves_the_first_item_to_the_next` |
//! | 6 get_cancel_drop_many_pending_readers | `of_three_getters_with_one_cancelled_the_others_get_both_items` |
//! | 6 put_cancel_drop | `a_put_cancelled_after_room_was_made_has_put_nothing` |
//! | 6 put_cancelled, put_cancelled_race | `a_put_that_needed_no_wait_is_done_whatever_comes_after`, `the_item_of_a_cancelled_putter_never_arrives` |
//! | 6 put_with_waiting_getters | `a_getter_waits_until_something_is_put` |
//! | 6 why_are_putters_waiting | `putters_finish_when_a_getter_empties_the_queue_without_waiting` |
//! | 6 cancelled_puts_not_being_held | `the_item_of_a_cancelled_putter_never_arrives` |
//! | 6 cancelled_put_silence_value_error | `a_put_cancelled_after_room_was_made_has_put_nothing` |
//! | 6 Lifo order, Priority order | `lifo_gives_the_last_first`, `priority_gives_the_smallest_first` |
//! | 6 task_done_underflow | `one_task_done_too_many_panics_with_the_cure_and_changes_nothing` |
//! | 6 task_done, join | `join_waits_until_two_workers_have_done_a_hundred_items` |
//! | 6 join_empty_queue | `join_of_a_fresh_queue_returns_at_once_twice` |
//! | 6 shutdown_empty | `shutdown_of_an_empty_queue_ends_waiting_gets` |
//! | 6 shutdown_nonempty | `after_shutdown_what_is_left_can_still_be_taken` |
//! | 6 shutdown_immediate | `shutdown_now_discards_what_is_left_and_counts_it_as_done` |
//! | 6 shutdown_immediate_with_unfinished | `an_item_taken_before_shutdown_now_still_wants_its_task_done` |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::{Barrier, Queue, Semaphore, Shutdown, TryGetError, TryPutError};
use roundel::{Clock, EventLoop, JoinHandle, Waits, sleep, spawn, timeout, yield_now};

type Shared = Rc<Queue<u32>>;
type Got = JoinHandle<Result<u32, Shutdown>>;
type Done = JoinHandle<Result<(), Shutdown<u32>>>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

fn getter(queue: &Shared) -> Got {
    let queue = queue.clone();
    spawn(async move { queue.get().await })
}

fn putter(queue: &Shared, item: u32) -> Done {
    let queue = queue.clone();
    spawn(async move { queue.put(item).await })
}

fn drain(queue: &Shared) -> Vec<u32> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

/// The text of the panic.
fn panic_of(act: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(act)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

#[test]
fn room_and_items_that_are_there_are_taken_without_giving_the_turn_away() {
    virtual_loop().block_on(async {
        let (queue, ran) = (Queue::bounded(1), Rc::new(Cell::new(false)));
        let other = spawn({
            let ran = ran.clone();
            async move { ran.set(true) }
        });
        queue.put(1).await.unwrap();
        assert_eq!(queue.get().await, Ok(1));
        assert!(!ran.get());
        other.await.unwrap();
    });
}

#[test]
fn a_bounded_queue_keeps_order_and_its_third_put_waits() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(2));
        assert!(queue.is_empty() && !queue.is_full());
        queue.put(1).await.unwrap();
        assert!(!queue.is_empty() && !queue.is_full());
        queue.put(2).await.unwrap();
        assert!(queue.is_full());
        assert_eq!((queue.len(), queue.capacity()), (2, Some(2)));
        let third = putter(&queue, 3);
        yield_now().await;
        assert!(!third.is_finished());
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Queue));
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(third.await.unwrap(), Ok(()));
        assert_eq!(drain(&queue), [2, 3]);

        let endless = Rc::new(Queue::unbounded());
        for item in 0..1000 {
            endless.put(item).await.unwrap();
        }
        assert!(!endless.is_full());
        assert_eq!((endless.len(), endless.capacity()), (1000, None));
        assert!(drain(&endless).into_iter().eq(0..1000));
    });
}

#[test]
fn a_capacity_of_zero_is_refused_with_the_cure() {
    let text = panic_of(|| drop(Queue::<u32>::bounded(0)));
    assert!(text.contains("Queue::unbounded()"), "{text}");
    panic_of(|| drop(Queue::<u32>::lifo(0)));
    panic_of(|| drop(Queue::<u32>::priority(0)));
}

#[test]
fn a_getter_waits_until_something_is_put() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let _timer = spawn({
            let queue = queue.clone();
            async move {
                sleep(Duration::from_millis(10)).await;
                queue.try_put(1).unwrap();
            }
        });
        assert_eq!(queue.get().await, Ok(1));

        let waiting = getter(&queue);
        yield_now().await;
        queue.put(2).await.unwrap();
        // Promised to the one who waits: nobody else can take it, and it no longer counts.
        assert_eq!(queue.try_get(), Err(TryGetError::Empty));
        assert!(queue.is_empty());
        assert_eq!(waiting.await.unwrap(), Ok(2));
    });
}

#[test]
fn a_get_from_a_full_queue_wakes_the_first_putter() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        queue.try_put(1).unwrap();
        let (first, second) = (putter(&queue, 2), putter(&queue, 3));
        yield_now().await;
        assert_eq!(queue.get().await, Ok(1));
        // The room is promised: full for everyone else.
        assert!(queue.is_full());
        assert_eq!(queue.try_put(9), Err(TryPutError::Full(9)));
        first.await.unwrap().unwrap();
        assert!(!second.is_finished());
        assert_eq!(queue.get().await, Ok(2));
        second.await.unwrap().unwrap();
        assert_eq!(drain(&queue), [3]);
    });
}

#[test]
fn try_get_gives_the_item_or_says_empty() {
    let queue = Queue::unbounded();
    assert_eq!(queue.try_get(), Err(TryGetError::Empty));
    queue.try_put(1).unwrap();
    assert_eq!(queue.try_get(), Ok(1));
}

#[test]
fn try_put_gives_the_item_back_when_full() {
    let queue = Queue::bounded(1);
    queue.try_put("a").unwrap();
    let error = queue.try_put("b").unwrap_err();
    assert_eq!(error.to_string(), "the queue is full");
    assert_eq!(error.into_item(), "b");
    assert_eq!(queue.try_get(), Ok("a"));
    queue.try_put("b").unwrap();
}

// S5
#[test]
fn getters_are_served_in_order_and_nobody_overtakes() {
    virtual_loop().block_on(async {
        let (queue, trace) = (Rc::new(Queue::unbounded()), Rc::new(RefCell::new(Vec::new())));
        let tasks = ["a", "b", "c"].map(|name| {
            let (queue, trace) = (queue.clone(), trace.clone());
            spawn(async move {
                for _ in 0..2 {
                    let item: u32 = queue.get().await.unwrap();
                    trace.borrow_mut().push(format!("{name}{item}"));
                }
            })
        });
        yield_now().await;
        for item in 1..=6 {
            queue.try_put(item).unwrap();
        }
        for task in tasks {
            task.await.unwrap();
        }
        // Each takes the shelf's next item when its turn comes, and again while more lie free.
        assert_eq!(trace.take(), ["a1", "a2", "b3", "b4", "c5", "c6"]);
    });
}

// S1
#[test]
fn of_two_getters_with_the_first_cancelled_the_second_gets_it() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let (first, second) = (getter(&queue), getter(&queue));
        yield_now().await;
        first.cancel();
        queue.try_put(1).unwrap();
        assert_eq!(second.await.unwrap(), Ok(1));
    });
}

#[test]
fn two_puts_over_capacity_one_keep_their_order() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        let (first, second) = (putter(&queue, 1), putter(&queue, 2));
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.get().await, Ok(2));
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
    });
}

#[test]
fn producer_and_consumer_over_capacity_one_never_stall() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        let producer = spawn({
            let queue = queue.clone();
            async move {
                for item in 0..5 {
                    queue.put(item).await.unwrap();
                }
            }
        });
        let mut got = Vec::new();
        for _ in 0..5 {
            got.push(timeout(Duration::from_secs(1), queue.get()).await.unwrap().unwrap());
        }
        producer.await.unwrap();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_getter_that_timed_out_leaves_no_entry() {
    virtual_loop().block_on(async {
        let queue = Queue::unbounded();
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(1), queue.get()).await.is_err());
        }
        queue.try_put(1).unwrap();
        // An entry left behind would have been promised the item.
        assert_eq!(queue.try_get(), Ok(1));
    });
}

// S1, S19
#[test]
fn a_getter_cancelled_after_it_was_woken_leaves_the_first_item_to_the_next() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let gone = getter(&queue);
        yield_now().await;
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        gone.cancel();
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.get().await, Ok(2));
    });
}

// S1, S6, S19
#[test]
fn of_three_getters_with_one_cancelled_the_others_get_both_items() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let [first, second, third] = [(); 3].map(|()| getter(&queue));
        yield_now().await;
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        first.cancel();
        assert_eq!(second.await.unwrap(), Ok(1));
        assert_eq!(third.await.unwrap(), Ok(2));
        assert!(first.await.unwrap_err().is_cancelled());
    });
}

// S1, S19
#[test]
fn a_put_cancelled_after_room_was_made_has_put_nothing() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        queue.try_put(1).unwrap();
        let gone = putter(&queue, 2);
        yield_now().await;
        assert_eq!(queue.get().await, Ok(1));
        gone.cancel();
        // The room that was made for it is there again.
        queue.try_put(3).unwrap();
        assert_eq!(drain(&queue), [3]);

        // With another putter behind, the room is passed on.
        queue.try_put(4).unwrap();
        let (gone, next) = (putter(&queue, 5), putter(&queue, 6));
        yield_now().await;
        assert_eq!(queue.get().await, Ok(4));
        gone.cancel();
        next.await.unwrap().unwrap();
        assert_eq!(drain(&queue), [6]);
    });
}

#[test]
fn a_put_that_needed_no_wait_is_done_whatever_comes_after() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let task = spawn({
            let queue = queue.clone();
            async move {
                queue.put(1).await.unwrap();
                std::future::pending::<()>().await;
            }
        });
        yield_now().await;
        task.cancel();
        assert_eq!(queue.get().await, Ok(1));
    });
}

// S6, S19
#[test]
fn the_item_of_a_cancelled_putter_never_arrives() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        let (first, second, never) = (putter(&queue, 1), putter(&queue, 2), putter(&queue, 3));
        yield_now().await;
        never.cancel();
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.get().await, Ok(2));
        assert!(timeout(Duration::from_millis(1), queue.get()).await.is_err());
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        queue.try_put(4).unwrap();
    });
}

#[test]
fn putters_finish_when_a_getter_empties_the_queue_without_waiting() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(2));
        let putters = [0, 1, 2, 3].map(|item| putter(&queue, item));
        yield_now().await;
        while !queue.is_empty() {
            queue.try_get().unwrap();
        }
        for task in putters {
            task.await.unwrap().unwrap();
        }
        assert_eq!(drain(&queue), [2, 3]);
    });
}

#[test]
fn lifo_gives_the_last_first() {
    let queue = Rc::new(Queue::lifo(None));
    for item in [1, 3, 2] {
        queue.try_put(item).unwrap();
    }
    assert_eq!(drain(&queue), [2, 3, 1]);
    let bounded = Queue::lifo(1);
    bounded.try_put(1).unwrap();
    assert_eq!(bounded.try_put(2), Err(TryPutError::Full(2)));
}

#[test]
fn priority_gives_the_smallest_first() {
    let queue = Rc::new(Queue::priority(Some(3)));
    for item in [1, 3, 2] {
        queue.try_put(item).unwrap();
    }
    assert_eq!(queue.try_put(0), Err(TryPutError::Full(0)));
    assert_eq!(drain(&queue), [1, 2, 3]);

    let greatest_first = Queue::priority(None);
    for item in [1, 3, 2] {
        greatest_first.try_put(std::cmp::Reverse(item)).unwrap();
    }
    assert_eq!(greatest_first.try_get().unwrap().0, 3);
}

#[test]
fn one_task_done_too_many_panics_with_the_cure_and_changes_nothing() {
    for queue in [Queue::unbounded(), Queue::lifo(None), Queue::priority(None)] {
        let text = panic_of(|| queue.task_done());
        assert!(text.contains("once for each item"), "{text}");
        queue.try_put(1).unwrap();
        queue.task_done();
        panic_of(|| queue.task_done());
        assert_eq!(queue.try_get(), Ok(1));
    }
}

#[test]
fn misuse_is_reported_at_the_users_own_line() {
    thread_local! { static FILES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) }; }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Other threads of this test run only find their own list.
        FILES.with_borrow_mut(|files| files.extend(info.location().map(|site| site.file().to_string())));
        usual(info);
    }));
    panic_of(|| Queue::<u32>::unbounded().task_done());
    panic_of(|| drop(Queue::<u32>::bounded(0)));
    panic_of(|| drop(Semaphore::new(usize::MAX)));
    panic_of(|| Semaphore::new(1).add_permits(usize::MAX));
    panic_of(|| drop(Semaphore::new(1).acquire_many(usize::MAX)));
    panic_of(|| drop(Barrier::new(0)));
    assert_eq!(FILES.take(), [file!(); 6]);
}

#[test]
fn join_waits_until_two_workers_have_done_a_hundred_items() {
    for queue in [Queue::unbounded(), Queue::lifo(None), Queue::priority(None)] {
        virtual_loop().block_on(async {
            let (queue, sum) = (Rc::new(queue), Rc::new(Cell::new(0)));
            for item in 0..100 {
                queue.try_put(item).unwrap();
            }
            let workers = [(); 2].map(|()| {
                let (queue, sum) = (queue.clone(), sum.clone());
                spawn(async move {
                    while let Ok(item) = queue.get().await {
                        sleep(Duration::from_millis(1)).await;
                        sum.set(sum.get() + item);
                        queue.task_done();
                    }
                })
            });
            queue.join().await;
            assert_eq!(sum.get(), 4950);
            queue.shutdown();
            for worker in workers {
                worker.await.unwrap();
            }
        });
    }
}

#[test]
fn join_of_a_fresh_queue_returns_at_once_twice() {
    use futures::future::FutureExt;
    let queue = Queue::<u32>::unbounded();
    assert_eq!(queue.join().now_or_never(), Some(()));
    assert_eq!(queue.join().now_or_never(), Some(()));
}

#[test]
fn a_join_returns_though_more_was_put_before_it_had_its_turn() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        queue.try_put(1).unwrap();
        let joined = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        yield_now().await;
        assert_eq!(roundel::all_tasks()[1].waits_for, Some(Waits::Queue));
        queue.task_done();
        queue.try_put(2).unwrap();
        joined.await.unwrap();
    });
}

#[test]
fn shutdown_of_an_empty_queue_ends_waiting_gets() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let waiting = getter(&queue);
        yield_now().await;
        queue.shutdown();
        queue.shutdown();
        assert_eq!(waiting.await.unwrap(), Err(Shutdown(())));
        queue.join().await;
        assert_eq!(queue.put(1).await, Err(Shutdown(1)));
        assert_eq!(queue.get().await, Err(Shutdown(())));
        assert_eq!(queue.try_put(2), Err(TryPutError::Shutdown(2)));
        assert_eq!(queue.try_get(), Err(TryGetError::Shutdown));
        assert!(queue.is_shut_down());
    });
}

#[test]
fn after_shutdown_what_is_left_can_still_be_taken() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(2));
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        let waiting = putter(&queue, 3);
        let joining = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        yield_now().await;
        queue.shutdown();
        assert_eq!(waiting.await.unwrap(), Err(Shutdown(3)));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.try_get(), Ok(2));
        assert_eq!(queue.get().await, Err(Shutdown(())));
        queue.task_done();
        yield_now().await;
        assert!(!joining.is_finished());
        queue.task_done();
        joining.await.unwrap();
    });
}

#[test]
fn a_putter_that_was_promised_room_before_the_shutdown_gets_its_item_back() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        queue.try_put(1).unwrap();
        let waiting = putter(&queue, 2);
        yield_now().await;
        assert_eq!(queue.try_get(), Ok(1));
        queue.shutdown();
        assert_eq!(waiting.await.unwrap(), Err(Shutdown(2)));
        assert_eq!(queue.get().await, Err(Shutdown(())));
    });
}

// S14
#[test]
fn a_getter_is_told_of_the_shutdown_though_a_putter_had_been_promised_room() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(1));
        queue.try_put(1).unwrap();
        let mut promised = Box::pin(queue.put(2));
        assert!(futures::poll!(&mut promised).is_pending());
        assert_eq!(queue.try_get(), Ok(1));
        let waiting = getter(&queue);
        yield_now().await;
        queue.shutdown();
        // Told now, not when the putter gives up what it was promised.
        let told = timeout(Duration::from_secs(1), waiting).await.unwrap();
        assert_eq!(told.unwrap(), Err(Shutdown(())));
        drop(promised);
        assert_eq!(queue.get().await, Err(Shutdown(())));
    });
}

#[test]
fn a_getter_that_was_promised_an_item_before_the_shutdown_gets_it() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let [first, second, third] = [(); 3].map(|()| getter(&queue));
        yield_now().await;
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        queue.shutdown();
        // The first gives up its item, which is not lost though nobody stands in line any more.
        first.cancel();
        assert_eq!(second.await.unwrap(), Ok(1));
        assert_eq!(third.await.unwrap(), Ok(2));
        assert_eq!(queue.get().await, Err(Shutdown(())));
    });
}

#[test]
fn shutdown_now_discards_what_is_left_and_counts_it_as_done() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::bounded(2));
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        let waiting = putter(&queue, 3);
        let joining = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        yield_now().await;
        queue.shutdown_now();
        joining.await.unwrap();
        assert_eq!(waiting.await.unwrap(), Err(Shutdown(3)));
        assert_eq!(queue.get().await, Err(Shutdown(())));
        assert_eq!(queue.try_put(4), Err(TryPutError::Shutdown(4)));
        assert_eq!(queue.len(), 0);
        panic_of(|| queue.task_done());
    });
}

#[test]
fn shutdown_now_takes_back_what_was_promised_to_a_getter() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        let [first, second] = [(); 2].map(|()| getter(&queue));
        yield_now().await;
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        queue.shutdown_now();
        first.cancel();
        assert_eq!(second.await.unwrap(), Err(Shutdown(())));
        assert!(queue.is_empty());
        assert_eq!(queue.try_get(), Err(TryGetError::Shutdown));
        queue.join().await;
    });
}

#[test]
fn an_item_taken_before_shutdown_now_still_wants_its_task_done() {
    virtual_loop().block_on(async {
        let queue = Rc::new(Queue::unbounded());
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        assert_eq!(queue.get().await, Ok(1));
        let joining = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        yield_now().await;
        queue.shutdown_now();
        yield_now().await;
        assert!(!joining.is_finished());
        queue.task_done();
        joining.await.unwrap();
        panic_of(|| queue.task_done());

        // Marked as done while they still lay there, and then discarded: not counted twice.
        let queue = Queue::unbounded();
        queue.try_put(1).unwrap();
        queue.task_done();
        queue.shutdown_now();
        queue.join().await;
    });
}

// S7
#[test]
fn items_whose_destructors_use_the_queue_find_it_usable() {
    struct Noisy(Rc<Queue<Option<Noisy>>>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            assert!(self.0.try_put(None).is_err());
            assert!(self.0.try_get().is_err());
        }
    }
    let queue = Rc::new(Queue::bounded(2));
    for _ in 0..2 {
        queue.try_put(Some(Noisy(queue.clone()))).unwrap();
    }
    queue.shutdown_now();
    assert_eq!(Rc::strong_count(&queue), 1);
}

// S26
#[test]
fn items_left_behind_go_with_the_queue_each_once() {
    struct Counted(Rc<Cell<u32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    for queue in [Queue::bounded(3), Queue::unbounded(), Queue::lifo(3)] {
        let drops = Rc::new(Cell::new(0));
        for _ in 0..3 {
            assert!(queue.try_put(Counted(drops.clone())).is_ok());
        }
        drop(queue.try_get());
        assert_eq!(drops.get(), 1);
        drop(queue);
        assert_eq!(drops.get(), 3);
    }
}

// S15
#[test]
fn len_and_is_empty_are_right_at_every_size() {
    for queue in [Queue::bounded(70), Queue::unbounded(), Queue::lifo(None), Queue::priority(None)] {
        // Up and down again, each time a step higher.
        for height in 0..=70 {
            for len in 0..height {
                assert_eq!((queue.len(), queue.is_empty()), (len, len == 0));
                queue.try_put(len).unwrap();
            }
            for len in (1..=height).rev() {
                assert_eq!((queue.len(), queue.is_empty()), (len, false));
                queue.try_get().unwrap();
            }
            assert_eq!((queue.len(), queue.is_empty()), (0, true));
            assert_eq!(queue.try_get(), Err(TryGetError::Empty));
        }
    }
}

#[test]
fn debug_shows_how_much_is_in_it() {
    let queue = Queue::bounded(2);
    queue.try_put(1).unwrap();
    let expected = "Queue { len: 1, capacity: Some(2), unfinished: 1, shut_down: false, .. }";
    assert_eq!(format!("{queue:?}"), expected);
}
