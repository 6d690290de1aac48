//! The condition: waits, without holding a lock, for news about what the lock guards.
//!
//! ```text
//!   wait(guard):  join the condition's line, drop the guard
//!                 notified?  stand in the lock's line
//!                 the lock?  the notification is used up; return the guard
//! ```
//!
//! Promises: nothing that is notified after `wait` has let the lock go is missed; a notification whose
//! receiver is dropped goes to the next, up to the moment when the receiver has the lock again.
//! Does not know: what is waited for; tasks, loops: it works under any executor.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::task::Poll;

use crate::observer::{self, Nameable, Waits};
use crate::sync::lock::LockGuard;
use crate::wait_list::WaitList;

/// A line of tasks that wait for a change of what a lock guards.
///
/// It belongs to no lock: whatever guard is given to `wait` is let go and taken again, and several
/// conditions may be used with one lock.
///
/// `notify` needs no guard. On one thread nobody can run between a change and the notification of it
/// but at an await, so it is enough to notify after the change.
///
/// ```
/// # roundel::block_on(async {
/// use std::rc::Rc;
/// use roundel::sync::{Condition, Lock};
///
/// let stock = Rc::new((Lock::new(0), Condition::new()));
/// let buyer = roundel::spawn({
///     let stock = stock.clone();
///     async move {
///         let (lock, grown) = &*stock;
///         let mut amount = grown.wait_for(lock.acquire().await, |amount| *amount >= 3).await;
///         *amount -= 3;
///     }
/// });
/// for _ in 0..3 {
///     *stock.0.acquire().await += 1;
///     stock.1.notify(1);
///     roundel::yield_now().await;
/// }
/// buyer.await.expect("nobody cancels it");
/// # });
/// ```
#[doc(alias = "Condvar")]
#[derive(Default)]
pub struct Condition {
    line: WaitList,
    label: Nameable,
}

impl Condition {
    /// A condition that nobody waits for.
    pub const fn new() -> Condition {
        Condition { line: WaitList::new(0), label: Nameable::new() }
    }

    /// The same condition with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> Condition {
        self.label.set_name(name);
        self
    }

    /// Lets the lock go, waits to be notified, takes the lock again in its line, and returns the guard.
    ///
    /// The place in the condition's line is taken at the first poll, before the lock is let go. There
    /// are no spurious wake-ups, but by the time the lock is had others may have changed the value: see
    /// [`wait_for`](Condition::wait_for).
    ///
    /// Dropping the future half-way leaves the lock to the others: unlike in asyncio there is no guard
    /// afterwards, for it was moved in here. A notification that it had received goes to the next.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: LockGuard<'a, T>) -> impl Future<Output = LockGuard<'a, T>> {
        self.wait_at(guard, Location::caller())
    }

    async fn wait_at<'a, T>(&self, guard: LockGuard<'a, T>, site: &'static Location<'static>) -> LockGuard<'a, T> {
        let lock = guard.lock();
        let mut guard = Some(guard);
        let mut notification = self.line.wait();
        poll_fn(|cx| {
            let notified = notification.poll_over(cx.waker()).is_ready();
            // In line now, so whoever takes the lock next cannot notify too early.
            guard = None;
            if notified {
                return Poll::Ready(());
            }
            observer::waiting_for_anyone(Waits::Condition, &self.label, Some(site));
            Poll::Pending
        })
        .await;
        let guard = lock.acquire_at(site).await;
        // Not before: dropped in the line of the lock, this wait passes the notification on.
        notification.accept();
        guard
    }

    /// Waits until `predicate` says true of the value; not at all if it does so already. It is asked
    /// with the lock held, first at once and then after every notification.
    ///
    /// Dropping the future half-way is as safe as with [`wait`](Condition::wait). A notification after
    /// which the predicate says false is used up.
    #[track_caller]
    #[doc(alias = "wait_while")]
    pub fn wait_for<'a, T, P>(&self, guard: LockGuard<'a, T>, predicate: P) -> impl Future<Output = LockGuard<'a, T>>
    where
        P: FnMut(&mut T) -> bool,
    {
        self.wait_for_at(guard, predicate, Location::caller())
    }

    async fn wait_for_at<'a, T>(
        &self,
        mut guard: LockGuard<'a, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
        site: &'static Location<'static>,
    ) -> LockGuard<'a, T> {
        while !predicate(&mut guard) {
            guard = self.wait_at(guard, site).await;
        }
        guard
    }

    /// Wakes up to `most` of those who wait, the oldest first. If nobody waits it is forgotten.
    ///
    /// They go on one after another, as each gets the lock.
    #[doc(alias = "notify_one")]
    pub fn notify(&self, most: usize) {
        self.line.notify(most);
    }

    /// Wakes all who wait now, and nobody who comes later.
    pub fn notify_all(&self) {
        self.line.notify_all();
    }

    /// How many wait to be notified.
    pub fn waiting(&self) -> usize {
        self.line.waiting()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("waiting", &self.waiting()).finish()
    }
}
