//! Wakers taken out of some structure, to be woken once its borrow is let go.
//!
//! Promises: the wakers are woken in the order in which they were pushed; one that panics does not
//! keep the others asleep; a single one needs no allocation, and a crowd of up to 65,536 none but the first
//! of its size on a thread.
//! Does not know: whose they are.

use std::cell::Cell;
use std::mem;
use std::task::Waker;

thread_local! {
    /// The room of the last crowd, for the next one.
    static ROOM: Cell<Vec<Waker>> = const { Cell::new(Vec::new()) };
}

/// A larger crowd leaves its room to the system: so a thread keeps a megabyte at most.
const LARGEST_ROOM: usize = (1 << 20) / size_of::<Waker>();

/// A handful of wakers. Dropping it wakes whoever is left.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    // The first one apart: one release mostly wakes one waiter, and that should not even look for room.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    pub(crate) const fn new() -> Wakers {
        Wakers { first: None, rest: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.push_behind(waker),
        }
    }

    // Apart from `push`, so that the first one stays a comparison.
    #[inline(never)]
    fn push_behind(&mut self, waker: Waker) {
        if self.rest.capacity() == 0 {
            self.rest = find_room();
        }
        self.rest.push(waker);
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Wakes them all. Call it with no borrow held: a foreign waker runs foreign code.
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
        if self.rest.capacity() > 0 {
            leave_room(mem::take(&mut self.rest));
        }
    }
}

fn find_room() -> Vec<Waker> {
    // A thread that is about to end keeps none.
    ROOM.try_with(Cell::take).unwrap_or_default()
}

/// The thread's last crowd is over: a loop has ended here.
pub(crate) fn give_room_back() {
    drop(find_room());
}

#[inline(never)]
fn leave_room(room: Vec<Waker>) {
    if room.capacity() <= LARGEST_ROOM {
        // The larger of two, where one crowd was woken within another.
        let _ = ROOM.try_with(|last| {
            let other = last.take();
            last.set(if other.capacity() > room.capacity() { other } else { room });
        });
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
