//! The oneshot channel: one value, once, from a sender to a receiver.
//!
//! ```text
//!   sender -- send(value) --> [ value ] --> receiver.await     Ok(value)
//!   sender dropped                      --> receiver.await     Err(Dropped)
//!   sender.closed().await   <--             receiver dropped   send gives the value back
//! ```
//!
//! Each end has one waiter at most, so a cell with a waker is all the line there is, and the channel is
//! one allocation.
//!
//! Promises: the value reaches the receiver or is dropped once, in whatever order the ends go; each end
//! learns of the other's going; no waker is kept when the end it belongs to has gone.
//! Does not know: tasks, loops; it works under any executor of the same thread.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::keep::keep;
use crate::observer::{self, Label, Waits};

/// Makes the two ends of a channel for one value.
///
/// ```
/// # roundel::block_on(async {
/// use roundel::sync::oneshot;
///
/// let (sender, receiver) = oneshot::channel();
/// let giver = roundel::spawn(async move { sender.send(42) });
/// assert_eq!(receiver.await, Ok(42));
/// assert_eq!(giver.await.expect("nobody cancels it"), Ok(()));
/// # });
/// ```
#[doc(alias = "Future")]
#[doc(alias = "create_future")]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: Cell::new(None),
        sender_lives: Cell::new(true),
        receiver_listens: Cell::new(true),
        receiver: Waiter::new(),
        sender: Waiter::new(),
        label: Label::new(),
    });
    (Sender(shared.clone()), Receiver(shared))
}

struct Shared<T> {
    value: Cell<Option<T>>,
    sender_lives: Cell<bool>,
    receiver_listens: Cell<bool>,
    receiver: Waiter,
    sender: Waiter,
    label: Label,
}

/// The end that gives the value. Dropping it unused tells the receiver so.
#[must_use = "dropping the sender ends the receiver's wait with an error"]
pub struct Sender<T>(Rc<Shared<T>>);

impl<T> Sender<T> {
    /// Gives the value to the receiver, without waiting.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver was dropped or closed. (An `Ok` does not say that the value
    /// will be looked at: the receiver may be dropped with the value in it.)
    #[doc(alias = "set_result")]
    pub fn send(self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        self.0.value.set(Some(value));
        // Being dropped now, the sender wakes the receiver.
        Ok(())
    }

    /// Waits until the receiver is dropped or closed. Dropping the future half-way loses nothing.
    pub async fn closed(&mut self) {
        poll_fn(|cx| {
            self.0.sender.stay(cx.waker());
            // Looked at last: keeping a foreign waker runs foreign code.
            if self.is_closed() {
                return Poll::Ready(());
            }
            observer::waiting_for_anyone(Waits::Oneshot, &self.0.label, None);
            Poll::Pending
        })
        .await;
    }

    /// Whether the receiver was dropped or closed.
    pub fn is_closed(&self) -> bool {
        !self.0.receiver_listens.get()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.sender_lives.set(false);
        self.0.sender.leave();
        self.0.receiver.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

/// The end that gets the value: a future of it.
///
/// It may be awaited by `&mut`, and given up in between, without losing anything. Once it has given its
/// value it answers [`Dropped`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Receiver<T>(Rc<Shared<T>>);

impl<T> Receiver<T> {
    /// The value if it is there.
    ///
    /// # Errors
    ///
    /// `Empty` while a value may still come; `Dropped` if the sender went without sending, the value was
    /// taken already, or this end was closed before anything was sent.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let open = self.0.sender_lives.get() && self.0.receiver_listens.get();
        self.0.value.take().ok_or(if open { TryRecvError::Empty } else { TryRecvError::Dropped })
    }

    /// Tells the sender that nothing is wanted any more. What was sent before can still be taken.
    pub fn close(&mut self) {
        self.0.receiver_listens.set(false);
        self.0.sender.wake();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Dropped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Dropped>> {
        let first_look = self.try_recv();
        if matches!(first_look, Err(TryRecvError::Empty)) {
            self.0.receiver.stay(cx.waker());
        }
        // The second look: keeping a foreign waker runs foreign code, which may have sent the value.
        match first_look.or_else(|_| self.try_recv()) {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(TryRecvError::Dropped) => Poll::Ready(Err(Dropped(()))),
            Err(TryRecvError::Empty) => {
                observer::waiting_for_anyone(Waits::Oneshot, &self.0.label, None);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        self.0.receiver.leave();
        // Now, not with the sender: the value may hold things that somebody waits to see go.
        drop(self.0.value.take());
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("sender_lives", &self.0.sender_lives.get()).finish_non_exhaustive()
    }
}

/// A place for one waker. Being a `Cell` it is never borrowed while foreign code runs.
struct Waiter(Cell<Option<Waker>>);

impl Waiter {
    const fn new() -> Waiter {
        Waiter(Cell::new(None))
    }

    fn stay(&self, waker: &Waker) {
        let kept = self.0.take().filter(|kept| kept.will_wake(waker));
        self.0.set(Some(kept.unwrap_or_else(|| keep(waker))));
    }

    fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    fn leave(&self) {
        drop(self.0.take());
    }
}

/// No value will come: the sender was dropped without sending one, or the value was taken already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "RecvError")]
#[doc(alias = "Canceled")]
pub struct Dropped(());

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without sending a value")
    }
}

impl std::error::Error for Dropped {}

/// Why [`Receiver::try_recv`] has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "InvalidStateError")]
pub enum TryRecvError {
    /// Not yet.
    Empty,
    /// Never: nothing was sent, or it was taken already.
    Dropped,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "no value was sent yet",
            TryRecvError::Dropped => "the sender was dropped without sending a value",
        })
    }
}

impl std::error::Error for TryRecvError {}
