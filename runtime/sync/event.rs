//! The event: a flag that tasks can wait for.
//!
//! ```text
//!   wait, wait, set: both go on     set, wait: goes on at once     set, clear, wait: waits
//! ```
//!
//! Promises: `set` ends the wait of everyone who waits, even if the flag is cleared before they run.
//! Does not know: tasks, loops; it works under any executor, and may be made outside of one.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observer::{self, Nameable, Waits};
use crate::wait_list::{Wait, WaitList};

/// A flag that tasks can wait for.
///
/// ```
/// # roundel::block_on(async {
/// use std::rc::Rc;
/// use roundel::sync::Event;
///
/// let open = Rc::new(Event::new());
/// let visitor = roundel::spawn({
///     let open = open.clone();
///     async move { open.wait().await }
/// });
/// open.set();
/// visitor.await.expect("nobody cancels it");
/// # });
/// ```
#[doc(alias = "Notify")]
#[derive(Default)]
pub struct Event {
    set: Cell<bool>,
    line: WaitList,
    label: Nameable,
}

impl Event {
    /// An event that is not set.
    pub const fn new() -> Event {
        Event { set: Cell::new(false), line: WaitList::new(0), label: Nameable::new() }
    }

    /// The same event with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> Event {
        self.label.set_name(name);
        self
    }

    /// Waits until the event is set; not at all if it is. Dropping the future half-way loses nothing.
    #[track_caller]
    pub fn wait(&self) -> EventWait<'_> {
        EventWait { event: self, wait: self.line.wait(), site: Location::caller() }
    }

    /// Sets the flag and ends the wait of everyone, in order of arrival.
    #[doc(alias = "notify_waiters")]
    pub fn set(&self) {
        self.set.set(true);
        self.line.notify_all();
    }

    /// Takes the flag back: who comes now waits. Who was woken by `set` goes on all the same.
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// How many wait in line.
    pub fn waiting(&self) -> usize {
        self.line.waiting()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).field("waiting", &self.waiting()).finish()
    }
}

/// The future of [`Event::wait`].
#[must_use = "a future does nothing until it is awaited"]
pub struct EventWait<'a> {
    event: &'a Event,
    wait: Wait<'a>,
    site: &'static Location<'static>,
}

impl Future for EventWait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let event = self.event;
        // The second look: joining the line clones the waker, and a foreign one may set the event then.
        if event.is_set() || Pin::new(&mut self.wait).poll(cx).is_ready() || event.is_set() {
            return Poll::Ready(());
        }
        observer::waiting_for_anyone(Waits::Event, &event.label, Some(self.site));
        Poll::Pending
    }
}

impl fmt::Debug for EventWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWait").field("site", &self.site).finish_non_exhaustive()
    }
}
