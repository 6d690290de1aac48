//! The semaphore: so many permits, and a line of those who wait for some.
//!
//! ```text
//!   permits: 3     a holds 1, b holds 2     available: 0     line: [ c wants 2 ] [ d wants 1 ]
//!   b's permit is dropped: c gets both;  a's is dropped: d gets it
//! ```
//!
//! Promises: first come, first served, so that a wish for many is not starved by wishes for few; a
//! permit is given back by being dropped, and so exactly once; dropping a waiter loses no permit;
//! after `close` nobody is granted any, for good (who was granted some before still gets them).
//! Does not know: tasks, loops; it works under any executor, and may be made outside of one.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observer::{self, Behind, Holder, Mark, Nameable, Waits};
use crate::wait_list::{Wait, WaitList};

/// A number of permits, to bound how many do something at once.
///
/// ```
/// # roundel::block_on(async {
/// use roundel::sync::Semaphore;
///
/// let tables = Semaphore::new(1);
/// let permit = tables.acquire().await.expect("nobody closes it");
/// assert!(tables.try_acquire().is_none());
/// drop(permit);
/// assert_eq!(tables.available_permits(), 1);
/// # });
/// ```
#[doc(alias = "BoundedSemaphore")]
pub struct Semaphore {
    permits: WaitList,
    /// In stock or in somebody's hands: kept below the limit, so that a drop never overflows.
    total: Cell<usize>,
    /// Who took permits last, newest first: not all of them may have theirs still.
    recent: Cell<[Option<Mark>; RECENT]>,
    label: Nameable,
}

/// As many as help to find who keeps his permits; a few words for each semaphore.
const RECENT: usize = 2;

impl Semaphore {
    /// The most permits a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    /// A semaphore with so many permits; zero is allowed, and makes everyone wait for `add_permits`.
    ///
    /// # Panics
    ///
    /// Above [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[track_caller]
    pub const fn new(permits: usize) -> Semaphore {
        assert!(permits <= Semaphore::MAX_PERMITS, "Semaphore::new() takes at most Semaphore::MAX_PERMITS permits");
        Semaphore {
            permits: WaitList::new(permits),
            total: Cell::new(permits),
            recent: Cell::new([None; RECENT]),
            label: Nameable::new(),
        }
    }

    /// The same semaphore with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> Semaphore {
        self.label.set_name(name);
        self
    }

    /// Waits for one permit.
    ///
    /// If one is free and nobody stands in line, it is taken at the first poll, without giving the turn
    /// away. Otherwise that poll takes a place at the end of the line. Dropping the future gives up
    /// the place, and a permit that was on its way goes to the next.
    ///
    /// # Errors
    ///
    /// The future gives [`Closed`] if the semaphore is closed, before or meanwhile.
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_at(1, Location::caller())
    }

    /// Waits for `permits` permits at once. Wishes behind it wait until it has got them, so it is never
    /// starved. Dropping the future half-way is as safe as with [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    ///
    /// The future gives [`Closed`] if the semaphore is closed, before or meanwhile.
    ///
    /// # Panics
    ///
    /// Above [`MAX_PERMITS`](Semaphore::MAX_PERMITS), which could never be had.
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> Acquire<'_> {
        assert!(permits <= Semaphore::MAX_PERMITS, "acquire_many() for more than Semaphore::MAX_PERMITS never ends");
        self.acquire_at(permits, Location::caller())
    }

    #[inline]
    fn acquire_at(&self, permits: usize, site: &'static Location<'static>) -> Acquire<'_> {
        Acquire { semaphore: self, wait: self.permits.take(permits), permits, site }
    }

    /// Takes a permit if one is free and nobody stands in line for it. `None` as well once closed.
    #[track_caller]
    #[inline]
    #[must_use = "a permit that is dropped at once guards nothing"]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` permits if they are free and nobody stands in line. `None` as well once closed.
    #[track_caller]
    #[inline]
    #[must_use = "a permit that is dropped at once guards nothing"]
    pub fn try_acquire_many(&self, permits: usize) -> Option<Permit<'_>> {
        let site = Location::caller();
        (self.permits.try_take(permits) == Ok(true)).then(|| self.permit(permits, site))
    }

    #[inline]
    fn permit(&self, permits: usize, site: &'static Location<'static>) -> Permit<'_> {
        let taken = Mark::of(site);
        let permit = Permit { semaphore: self, permits, taken };
        let [newest, _] = self.recent.get();
        self.recent.set([Some(taken), newest]);
        self.label.acquired(Waits::Semaphore, site);
        permit
    }

    /// Makes `permits` new permits and hands them to the line.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS), counting those in use; then
    /// the semaphore stays as it was.
    #[track_caller]
    #[doc(alias = "release")]
    pub fn add_permits(&self, permits: usize) {
        // Both are at most MAX_PERMITS or caught here: no sum of the two wraps unseen.
        let total = self.total.get().checked_add(permits).filter(|&total| total <= Semaphore::MAX_PERMITS);
        let Some(total) = total else {
            panic!(
                "add_permits({permits}) would make more than Semaphore::MAX_PERMITS: \
                 a permit comes back by being dropped, and needs no add_permits()"
            );
        };
        self.total.set(total);
        self.permits.grant(permits);
    }

    /// Takes up to `permits` free permits away for good, past any line; returns how many that were.
    #[doc(alias = "forget_permits")]
    pub fn forget(&self, permits: usize) -> usize {
        let forgotten = self.permits.withdraw(permits);
        self.total.set(self.total.get() - forgotten);
        forgotten
    }

    /// How many permits are free. Those on their way to a waiter are not.
    #[doc(alias = "locked")]
    pub fn available_permits(&self) -> usize {
        self.permits.stock()
    }

    /// How many wait in line.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Ends every wait, now and later, with [`Closed`]. Permits in use stay good.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    wait: Wait<'a>,
    permits: usize,
    site: &'static Location<'static>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<Permit<'a>, Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(answer) = Pin::new(&mut self.wait).poll(cx) else {
            observer::waiting(Waits::Semaphore, &self.semaphore.label, Some(self.site), |tell| {
                let recent: Vec<Holder> = self.semaphore.recent.get().into_iter().flatten().map(Mark::holder).collect();
                tell(Behind::Holders(&recent));
            });
            return Poll::Pending;
        };
        let answer = answer.map_err(|_| Closed(()));
        Poll::Ready(answer.map(|()| self.semaphore.permit(self.permits, self.site)))
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("permits", &self.permits).field("site", &self.site).finish_non_exhaustive()
    }
}

/// One or more permits of a [`Semaphore`]. Dropping it gives them to the next in line, or back.
#[must_use = "a permit that is dropped at once guards nothing"]
#[doc(alias = "SemaphorePermit")]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
    taken: Mark,
}

impl Permit<'_> {
    /// Takes the permits out of the world: they are not given back.
    pub fn forget(mut self) {
        let permits = std::mem::take(&mut self.permits);
        self.semaphore.total.set(self.semaphore.total.get() - permits);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.label.released(Waits::Semaphore, self.taken);
        self.semaphore.permits.grant(self.permits);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("permits", &self.permits).finish_non_exhaustive()
    }
}

/// The semaphore was closed: there will be no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "AcquireError")]
pub struct Closed(());

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl std::error::Error for Closed {}
