//! The lock: a value that one task at a time may use, across its awaits.
//!
//! ```text
//!   a holds the guard      line: [ b ] [ c ]
//!   the guard is dropped:  the value is let go, then the turn goes to b; d, who comes now, stands behind c
//! ```
//!
//! Promises: the turn goes from hand to hand in order of arrival, and nobody overtakes; dropping a
//! waiter or a guard at any moment loses no turn; the value is let go before the turn is passed on.
//! Does not know: loops; it works under any executor, and may be made outside of one.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observer::{self, Behind, Mark, Nameable, TaskId, Waits};
use crate::wait_list::{Held, Wait, WaitList};

/// A value that is used by one task at a time.
///
/// On one thread a lock is only needed where the use of the value spans an await; for anything shorter
/// a `Cell` or a `RefCell` does. A panic of the holder leaves the value as it is: there is no poison.
///
/// The same task may not take the lock twice: it would wait for itself, for ever. `try_acquire` and
/// [`owner`](Lock::owner) tell beforehand.
///
/// ```
/// # roundel::block_on(async {
/// use roundel::sync::Lock;
///
/// let balance = Lock::new(100);
/// {
///     let mut balance = balance.acquire().await;
///     let seen = *balance;
///     roundel::yield_now().await;
///     *balance = seen - 10;
/// }
/// assert_eq!(*balance.acquire().await, 90);
/// # });
/// ```
#[doc(alias = "Mutex")]
#[doc(alias = "RLock")]
pub struct Lock<T> {
    /// One unit: the right to the value.
    turn: WaitList,
    /// Who took it, and where.
    holder: Cell<Option<Mark>>,
    label: Nameable,
    value: RefCell<T>,
}

impl<T> Lock<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Lock<T> {
        Lock { turn: WaitList::new(1), holder: Cell::new(None), label: Nameable::new(), value: RefCell::new(value) }
    }

    /// The same lock with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> Lock<T> {
        self.label.set_name(name);
        self
    }

    /// Waits for the value.
    ///
    /// If the lock is free it is taken at the first poll, without giving the turn away. Otherwise that
    /// poll takes a place at the end of the line. Dropping the future gives up the place, and if the
    /// lock had just been handed to it, the next in line gets it.
    #[track_caller]
    #[inline]
    #[doc(alias = "lock")]
    pub fn acquire(&self) -> AcquireLock<'_, T> {
        self.acquire_at(Location::caller())
    }

    #[inline]
    pub(super) fn acquire_at(&self, site: &'static Location<'static>) -> AcquireLock<'_, T> {
        AcquireLock { lock: self, wait: self.turn.take(1), site }
    }

    /// Takes the lock if it is free and nobody stands in line for it.
    #[track_caller]
    #[inline]
    #[must_use = "a guard that is dropped at once guards nothing"]
    #[doc(alias = "try_lock")]
    pub fn try_acquire(&self) -> Option<LockGuard<'_, T>> {
        let site = Location::caller();
        (self.turn.try_take(1) == Ok(true)).then(|| self.guard(site))
    }

    #[inline]
    fn guard(&self, site: &'static Location<'static>) -> LockGuard<'_, T> {
        let turn = self.turn.hold(1);
        self.holder.set(Some(Mark::of(site)));
        self.label.acquired(Waits::Lock, site);
        LockGuard { value: self.value.borrow_mut(), lock: self, _turn: turn }
    }

    #[cold]
    fn tell_released(&self) {
        if let Some(mark) = self.holder.get() {
            self.label.released(Waits::Lock, mark);
        }
    }

    /// Whether somebody has it, or is just being handed it.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.turn.stock() == 0
    }

    /// The task that took the lock and still has it. `None` if it is free, on its way to the next in
    /// line, or was taken outside any task of a roundel loop.
    pub fn owner(&self) -> Option<TaskId> {
        self.holder.get()?.holder().who.task()
    }

    /// How many wait in line.
    pub fn waiting(&self) -> usize {
        self.turn.waiting()
    }

    /// The value, without waiting: whoever can borrow the lock mutably has it alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value, out of its lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Lock<T> {
        Lock::new(value)
    }
}

/// Shows the value, or that it is locked. It never waits.
impl<T: fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Lock");
        if self.turn.try_take(1) == Ok(true) {
            // The turn is held while the value prints itself, in case it looks at its own lock; no
            // event is told of it, for it may be an observer who prints.
            let _turn = self.turn.hold(1);
            shown.field("value", &*self.value.borrow()).finish()
        } else {
            let waiting = self.waiting();
            shown.field("value", &format_args!("<locked>")).field("waiting", &waiting).finish()
        }
    }
}

/// The future of [`Lock::acquire`].
#[must_use = "a future does nothing until it is awaited"]
pub struct AcquireLock<'a, T> {
    lock: &'a Lock<T>,
    wait: Wait<'a>,
    site: &'static Location<'static>,
}

impl<'a, T> Future for AcquireLock<'a, T> {
    type Output = LockGuard<'a, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LockGuard<'a, T>> {
        let Poll::Ready(answer) = Pin::new(&mut self.wait).poll(cx) else {
            observer::waiting(Waits::Lock, &self.lock.label, Some(self.site), |tell| match self.lock.holder.get() {
                Some(mark) => tell(Behind::Holders(&[mark.holder()])),
                // On its way to one who waits.
                None => tell(Behind::Anyone),
            });
            return Poll::Pending;
        };
        answer.expect("nobody closes the line of a lock");
        Poll::Ready(self.lock.guard(self.site))
    }
}

impl<T> fmt::Debug for AcquireLock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireLock").field("site", &self.site).finish_non_exhaustive()
    }
}

/// The value of a [`Lock`], in one task's hands. Dropping it hands the lock to the next in line.
#[must_use = "a guard that is dropped at once guards nothing"]
#[doc(alias = "MutexGuard")]
pub struct LockGuard<'a, T> {
    // The order of these two is a promise: the value is let go before the turn is passed on.
    value: RefMut<'a, T>,
    _turn: Held<'a>,
    lock: &'a Lock<T>,
}

impl<'a, T> LockGuard<'a, T> {
    /// The lock that it came from.
    pub(super) fn lock(&self) -> &'a Lock<T> {
        self.lock
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Told first, for by the hand-over the next one may be running already under a foreign waker.
        if observer::is_watched() {
            self.lock.tell_released();
        }
        self.lock.holder.set(None);
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&*self.value).finish()
    }
}

impl<T: fmt::Display> fmt::Display for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
