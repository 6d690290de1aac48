//! The queue: items go in at one end, wait on a shelf, and come out in the shelf's order.
//!
//! ```text
//!   put --> [ room: 1 ] --> shelf: a b c --> [ items: 3 ] --> get
//!           putters wait                     getters wait
//! ```
//!
//! Two wait lists do the work. The stock of `items` is what lies on the shelf and is promised to
//! nobody; the stock of `room` is how much more may be put there. `get` takes an item and grants room,
//! `put` takes room and grants an item.
//!
//! Promises: getters and putters are served in order of arrival, and nobody overtakes; a `get` that is
//! dropped takes nothing with it, and the next one gets the item, in order; a `put` that is dropped has
//! put nothing; in steady state nothing is allocated.
//! Does not know: tasks, loops; it works under any executor, and may be made outside of one.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observer::{self, Nameable, Waits};
use crate::sync::shelf::Shelf;
use crate::wait_list::{Closed, Wait, WaitList};

/// A queue between tasks, with or without a bound.
///
/// ```
/// # roundel::block_on(async {
/// use std::rc::Rc;
/// use roundel::sync::Queue;
///
/// let queue = Rc::new(Queue::bounded(2));
/// let consumer = roundel::spawn({
///     let queue = queue.clone();
///     async move {
///         let mut sum = 0;
///         while let Ok(item) = queue.get().await {
///             sum += item;
///         }
///         sum
///     }
/// });
/// for item in 1..=4 {
///     queue.put(item).await.expect("not shut down yet");
/// }
/// queue.shutdown();
/// assert_eq!(consumer.await.expect("nobody cancels it"), 10);
/// # });
/// ```
#[doc(alias = "mpsc")]
#[doc(alias = "LifoQueue")]
#[doc(alias = "PriorityQueue")]
pub struct Queue<T> {
    shelf: RefCell<Shelf<T>>,
    items: WaitList,
    room: Option<Room>,
    /// Put and not yet marked as done; and those who wait for this to be zero.
    unfinished: Cell<usize>,
    idle: WaitList,
    label: Nameable,
}

struct Room {
    capacity: usize,
    free: WaitList,
}

impl<T> Queue<T> {
    /// A first-in-first-out queue that holds up to `capacity` items.
    ///
    /// # Panics
    ///
    /// For a capacity of zero, which would hold nothing. (asyncio means "without bound" by it.)
    #[track_caller]
    pub fn bounded(capacity: usize) -> Queue<T> {
        Queue::with_shelf(Shelf::fifo(), Some(capacity))
    }

    /// A first-in-first-out queue without bound: `put` never waits.
    pub fn unbounded() -> Queue<T> {
        Queue::with_shelf(Shelf::fifo(), None)
    }

    /// A last-in-first-out queue: `Queue::lifo(4)` holds up to four items, `Queue::lifo(None)` any number.
    ///
    /// # Panics
    ///
    /// For a capacity of zero.
    #[track_caller]
    pub fn lifo(capacity: impl Into<Option<usize>>) -> Queue<T> {
        Queue::with_shelf(Shelf::lifo(), capacity.into())
    }

    /// A queue that gives the smallest item first, and equal ones in no particular order:
    /// `Queue::priority(4)` holds up to four items, `Queue::priority(None)` any number.
    ///
    /// Wrap items in [`std::cmp::Reverse`] to have the greatest first. The comparison should neither
    /// panic nor use the queue.
    ///
    /// # Panics
    ///
    /// For a capacity of zero.
    #[track_caller]
    pub fn priority(capacity: impl Into<Option<usize>>) -> Queue<T>
    where
        T: Ord,
    {
        Queue::with_shelf(Shelf::priority(), capacity.into())
    }

    #[track_caller]
    fn with_shelf(shelf: Shelf<T>, capacity: Option<usize>) -> Queue<T> {
        assert!(
            capacity != Some(0),
            "a queue of capacity 0 holds nothing: use Queue::unbounded() for one without bound"
        );
        Queue {
            shelf: RefCell::new(shelf),
            items: WaitList::new(0),
            room: capacity.map(|capacity| Room { capacity, free: WaitList::new(capacity) }),
            unfinished: Cell::new(0),
            idle: WaitList::new(0),
            label: Nameable::new(),
        }
    }

    /// The same queue with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> Queue<T> {
        self.label.set_name(name);
        self
    }

    /// Puts an item, waiting in line for room if there is none.
    ///
    /// With room the item is put at the first poll, without giving the turn away. Dropping the future
    /// half-way drops the item with it: nothing was put, and room on its way goes to the next. Where
    /// the item must survive that, use [`try_put`](Queue::try_put), which gives it back.
    ///
    /// # Errors
    ///
    /// The future gives the item back in [`Shutdown`] if the queue is shut down, before or meanwhile.
    #[track_caller]
    #[inline]
    #[doc(alias = "send")]
    pub fn put(&self, item: T) -> Put<'_, T> {
        let wait = self.room.as_ref().map(|room| room.free.take(1));
        Put { queue: self, wait, item: Some(item), site: Location::caller() }
    }

    /// Puts an item if there is room and nobody stands in line for it.
    ///
    /// # Errors
    ///
    /// Gives the item back: in `Full`, or in `Shutdown`.
    #[inline]
    #[doc(alias = "put_nowait")]
    #[doc(alias = "try_send")]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        if self.is_shut_down() {
            return Err(TryPutError::Shutdown(item));
        }
        match &self.room {
            Some(room) if room.free.try_take(1) != Ok(true) => return Err(TryPutError::Full(item)),
            _ => {}
        }
        self.store(item);
        Ok(())
    }

    #[inline]
    fn store(&self, item: T) {
        self.unfinished.set(self.unfinished.get() + 1);
        self.shelf.borrow_mut().store(item);
        self.items.grant(1);
    }

    /// Takes the next item, waiting in line if there is none.
    ///
    /// If one is there it is taken at the first poll, without giving the turn away. Dropping the future
    /// half-way loses no item: one that was on its way goes to the next in line.
    ///
    /// # Errors
    ///
    /// The future gives [`Shutdown`] once the queue is shut down and nothing is left.
    #[track_caller]
    #[inline]
    #[doc(alias = "recv")]
    pub fn get(&self) -> Get<'_, T> {
        Get { queue: self, wait: self.items.take(1), site: Location::caller() }
    }

    /// Takes the next item if one is there and promised to nobody.
    ///
    /// # Errors
    ///
    /// `Empty`, or `Shutdown` once the queue is shut down and nothing is left.
    #[inline]
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        match self.items.try_take(1) {
            Ok(true) => self.fetch().map_err(|Shutdown(())| TryGetError::Shutdown),
            Ok(false) => Err(TryGetError::Empty),
            Err(Closed) => self.fetch_rest().map_err(|Shutdown(())| TryGetError::Shutdown),
        }
    }

    /// Takes an item from the shelf that was granted to the caller.
    #[inline]
    fn fetch(&self) -> Result<T, Shutdown> {
        // What was granted may have been discarded since, by `shutdown_now`.
        let item = self.shelf.borrow_mut().fetch().ok_or(Shutdown(()))?;
        if let Some(room) = &self.room {
            room.free.grant(1);
        }
        Ok(item)
    }

    /// After the shutdown there is no line, but there may be items.
    fn fetch_rest(&self) -> Result<T, Shutdown> {
        match self.items.withdraw(1) {
            0 => Err(Shutdown(())),
            _ => self.fetch(),
        }
    }

    /// How many items can be taken. Those on their way to a waiting `get` no longer count.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        // The shelf is asked too: an item discarded on its way to a `get` may be in stock, but is no more.
        self.items.stock().min(self.shelf.borrow().len())
    }

    /// Whether there is nothing to take.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a `put` would have to wait. Room on its way to a waiting `put` is no room.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.free.stock() == 0)
    }

    /// How many items it holds at most; `None` for any number.
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        self.room.as_ref().map(|room| room.capacity)
    }

    /// Marks one item that was taken as done, for [`join`](Queue::join).
    ///
    /// # Panics
    ///
    /// If more were marked than put; then the queue stays as it was.
    #[track_caller]
    pub fn task_done(&self) {
        assert!(
            self.unfinished.get() > 0,
            "task_done() was called more often than items were put: call it once for each item that get() gave"
        );
        self.finish(1);
    }

    fn finish(&self, items: usize) {
        // Items may have been marked as done while they still lay there, and then be discarded.
        let left = self.unfinished.get().saturating_sub(items);
        self.unfinished.set(left);
        if left == 0 {
            self.idle.notify_all();
        }
    }

    /// Waits until every item that was put is marked as done. Dropping the future half-way loses nothing.
    #[track_caller]
    pub fn join(&self) -> Join<'_, T> {
        Join { queue: self, wait: self.idle.wait(), site: Location::caller() }
    }

    /// Ends the work: whoever puts gets his item back, now and later; what is left can still be taken,
    /// and then whoever gets is told [`Shutdown`].
    pub fn shutdown(&self) {
        self.items.close();
        if let Some(room) = &self.room {
            room.free.close();
        }
    }

    /// Ends the work at once: as [`shutdown`](Queue::shutdown), but the items left are dropped and
    /// counted as done. Items that were taken still want their `task_done`.
    #[doc(alias = "immediate")]
    pub fn shutdown_now(&self) {
        let discarded = self.shelf.borrow_mut().clear();
        self.items.withdraw(usize::MAX);
        self.shutdown();
        if let Some(room) = &self.room {
            room.free.grant(discarded.len());
        }
        self.finish(discarded.len());
        // Last of all, for the items' destructors may look at the queue.
        drop(discarded);
    }

    /// Whether it was shut down.
    #[doc(alias = "is_closed")]
    pub fn is_shut_down(&self) -> bool {
        self.items.is_closed()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("unfinished", &self.unfinished.get())
            .field("shut_down", &self.is_shut_down())
            .finish_non_exhaustive()
    }
}

/// The future of [`Queue::put`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Put<'a, T> {
    queue: &'a Queue<T>,
    wait: Option<Wait<'a>>,
    item: Option<T>,
    site: &'static Location<'static>,
}

// The item is only carried, never pinned.
impl<T> Unpin for Put<'_, T> {}

impl<T> Future for Put<'_, T> {
    type Output = Result<(), Shutdown<T>>;

    #[track_caller]
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Shutdown<T>>> {
        if let Some(wait) = &mut self.wait
            && Pin::new(wait).poll(cx).is_pending()
        {
            observer::waiting_for_anyone(Waits::Queue, &self.queue.label, Some(self.site));
            return Poll::Pending;
        }
        let item = self.item.take().expect("a put() takes its item along when it is done: await it only once");
        // Asked of the queue, not of the wait: room that was granted before the shutdown is of no use after it.
        if self.queue.is_shut_down() {
            return Poll::Ready(Err(Shutdown(item)));
        }
        self.queue.store(item);
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("site", &self.site).finish_non_exhaustive()
    }
}

/// The future of [`Queue::get`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Get<'a, T> {
    queue: &'a Queue<T>,
    wait: Wait<'a>,
    site: &'static Location<'static>,
}

impl<T> Future for Get<'_, T> {
    type Output = Result<T, Shutdown>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Shutdown>> {
        match Pin::new(&mut self.wait).poll(cx) {
            Poll::Pending => {
                observer::waiting_for_anyone(Waits::Queue, &self.queue.label, Some(self.site));
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(self.queue.fetch()),
            Poll::Ready(Err(Closed)) => Poll::Ready(self.queue.fetch_rest()),
        }
    }
}

impl<T> fmt::Debug for Get<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("site", &self.site).finish_non_exhaustive()
    }
}

/// The future of [`Queue::join`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Join<'a, T> {
    queue: &'a Queue<T>,
    wait: Wait<'a>,
    site: &'static Location<'static>,
}

impl<T> Future for Join<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let queue = self.queue;
        let idle = || queue.unfinished.get() == 0;
        // The second look: joining the line clones the waker, and a foreign one may finish the work then.
        if idle() || Pin::new(&mut self.wait).poll(cx).is_ready() || idle() {
            return Poll::Ready(());
        }
        observer::waiting_for_anyone(Waits::Queue, &queue.label, Some(self.site));
        Poll::Pending
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("site", &self.site).finish_non_exhaustive()
    }
}

/// The queue was shut down. From a `put`, with the item that was not put.
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(alias = "QueueShutDown")]
pub struct Shutdown<T = ()>(pub T);

impl<T> fmt::Debug for Shutdown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shutdown")
    }
}

impl<T> fmt::Display for Shutdown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

impl<T> std::error::Error for Shutdown<T> {}

/// Why [`Queue::try_put`] did not put the item, which is given back here.
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(alias = "QueueFull")]
#[doc(alias = "TrySendError")]
pub enum TryPutError<T> {
    /// There is no room, or others stand in line for it.
    Full(T),
    /// The queue is shut down.
    Shutdown(T),
}

impl<T> TryPutError<T> {
    /// The item that was not put.
    pub fn into_item(self) -> T {
        match self {
            TryPutError::Full(item) | TryPutError::Shutdown(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPutError::Full(_) => "Full",
            TryPutError::Shutdown(_) => "Shutdown",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPutError::Full(_) => "the queue is full",
            TryPutError::Shutdown(_) => "the queue is shut down",
        })
    }
}

impl<T> std::error::Error for TryPutError<T> {}

/// Why [`Queue::try_get`] has no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "QueueEmpty")]
pub enum TryGetError {
    /// There is no item that is not promised to somebody in line.
    Empty,
    /// The queue is shut down and nothing is left.
    Shutdown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryGetError::Empty => "the queue is empty",
            TryGetError::Shutdown => "the queue is shut down and empty",
        })
    }
}

impl std::error::Error for TryGetError {}
