//! The once-cell: a value that is made on first use, by one task, while the others wait for it.
//!
//! ```text
//!   a: get_or_init ---- makes it ----> filled      b, c: wait, then see a's value
//!   a is dropped, fails or panics:                 b makes it, c waits on
//! ```
//!
//! Promises: at most one future makes the value at a time; whoever gives up leaves the turn to the next
//! in line; a value once there stays, and everyone sees the same.
//! Does not know: tasks, loops; it works under any executor, and may be made outside of one.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;

use crate::observer::{self, Nameable, Waits};
use crate::wait_list::WaitList;

/// A value that is made on first use.
///
/// ```
/// # roundel::block_on(async {
/// use roundel::sync::OnceCell;
///
/// let greeting = OnceCell::new();
/// assert_eq!(greeting.get_or_init(async || "hello").await, &"hello");
/// assert_eq!(greeting.get_or_init(async || "never made").await, &"hello");
/// # });
/// ```
pub struct OnceCell<T> {
    value: std::cell::OnceCell<T>,
    /// One unit: the right to make the value. Closed once it is there.
    turn: WaitList,
    label: Nameable,
}

impl<T> OnceCell<T> {
    /// An empty cell.
    pub const fn new() -> OnceCell<T> {
        OnceCell { value: std::cell::OnceCell::new(), turn: WaitList::new(1), label: Nameable::new() }
    }

    /// The same cell with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> OnceCell<T> {
        self.label.set_name(name);
        self
    }

    /// A cell that is full already.
    pub fn with_value(value: T) -> OnceCell<T> {
        OnceCell { value: std::cell::OnceCell::from(value), ..OnceCell::new() }
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if it is there, to be changed: whoever can borrow the cell mutably has it alone.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// The value, out of its cell.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Fills the cell, and wakes whoever waits for it. A future that is making the value at this time
    /// comes too late: what it makes is dropped, and this value seen instead.
    ///
    /// # Errors
    ///
    /// Gives the value back if the cell is full.
    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.turn.close();
        Ok(())
    }

    /// The value; if there is none, the one that `init` makes.
    ///
    /// If another task is making one, this waits for it. Dropping the future half-way, or a panic in
    /// `init`, leaves the cell empty, and the next in line makes the value. An `init` that itself asks
    /// the same cell waits for ever.
    #[track_caller]
    pub fn get_or_init<I>(&self, init: I) -> impl Future<Output = &T>
    where
        I: AsyncFnOnce() -> T,
    {
        let made = self.fill(async || Ok::<T, Infallible>(init().await), Location::caller());
        async {
            match made.await {
                Ok(value) => value,
                Err(never) => match never {},
            }
        }
    }

    /// The value; if there is none, the one that `init` makes. If it fails, the next in line tries.
    ///
    /// Dropping the future half-way is as safe as with [`get_or_init`](OnceCell::get_or_init).
    ///
    /// # Errors
    ///
    /// The error of this caller's own `init`. The cell is then as empty as before.
    #[track_caller]
    pub fn get_or_try_init<I, E>(&self, init: I) -> impl Future<Output = Result<&T, E>>
    where
        I: AsyncFnOnce() -> Result<T, E>,
    {
        self.fill(init, Location::caller())
    }

    async fn fill<I, E>(&self, init: I, site: &'static Location<'static>) -> Result<&T, E>
    where
        I: AsyncFnOnce() -> Result<T, E>,
    {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        // The turn is closed when the value is there; a turn that was granted may also come just after.
        let _turn = self.take_turn(site).await.then(|| self.turn.hold(1));
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let made = init().await?;
        // If somebody used `set` meanwhile, theirs stays.
        drop(self.set(made));
        Ok(self.get().expect("it was just filled"))
    }

    /// Waits for the right to make the value. False if it needs no making any more.
    async fn take_turn(&self, site: &'static Location<'static>) -> bool {
        let mut wait = self.turn.take(1);
        poll_fn(|cx| {
            let Poll::Ready(answer) = Pin::new(&mut wait).poll(cx) else {
                observer::waiting_for_anyone(Waits::OnceCell, &self.label, Some(site));
                return Poll::Pending;
            };
            Poll::Ready(answer.is_ok())
        })
        .await
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> OnceCell<T> {
        OnceCell::with_value(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceCell").field(value).finish(),
            None => f.write_str("OnceCell(<empty>)"),
        }
    }
}
