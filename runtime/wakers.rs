//! Wakers taken out of some structure, to be woken once its borrow is let go.
//!
//! Promises: the wakers are woken in the order in which they were pushed; one that panics does not
//! keep the others asleep; a single one needs no allocation.
//! Does not know: whose they are.

use std::task::Waker;

/// A handful of wakers. Dropping it wakes whoever is left.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    // The first one apart: one release mostly wakes one waiter, and that should not allocate.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    pub(crate) const fn new() -> Wakers {
        Wakers { first: None, rest: Vec::new() }
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push(waker),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Wakes them all and keeps the room. Call it with no borrow held: a foreign waker runs foreign code.
    #[inline]
    pub(crate) fn wake_all(&mut self) {
        let Some(first) = self.first.take() else { return };
        if self.rest.is_empty() {
            return first.wake();
        }
        let mut others = Others(&mut self.rest);
        first.wake();
        others.wake();
    }
}

impl Drop for Wakers {
    #[inline]
    fn drop(&mut self) {
        self.wake_all();
    }
}

/// If the waker before them panics, these are still woken, on the way out.
struct Others<'a>(&'a mut Vec<Waker>);

impl Others<'_> {
    fn wake(&mut self) {
        for waker in self.0.drain(..) {
            // Dropping the drain would drop the rest unwoken, so each wake is guarded by itself.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl Drop for Others<'_> {
    fn drop(&mut self) {
        self.wake();
    }
}
