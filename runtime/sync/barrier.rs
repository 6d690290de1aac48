//! The barrier: a meeting point for a fixed number of tasks, again and again.
//!
//! ```text
//!   parties: 3     a arrives (0), b arrives (1), c arrives (2): all three go on
//!   a comes back:  first of the next meeting, even if b has not run since
//! ```
//!
//! Promises: as many go on as there are parties, each with another index; a waiter that is dropped
//! counts no longer, and its index is given to the next to come; nobody slips into a past meeting.
//! Does not know: tasks, loops; it works under any executor, and may be made outside of one.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observer::{self, Nameable, Waits};
use crate::wait_list::{Wait, WaitList};

/// A meeting point for a fixed number of tasks: each waits until all are there.
///
/// ```
/// # roundel::block_on(async {
/// use roundel::sync::Barrier;
///
/// let barrier = Barrier::new(2);
/// let (a, b) = futures::join!(barrier.wait(), barrier.wait());
/// assert_eq!((a.index(), b.index()), (0, 1));
/// assert!(b.is_leader());
/// # });
/// ```
pub struct Barrier {
    parties: usize,
    /// The number of the meeting that people arrive for.
    meeting: Cell<u64>,
    /// Indexes given out for it, of which some may have come back.
    arrived: Cell<usize>,
    returned: RefCell<Vec<usize>>,
    line: WaitList,
    label: Nameable,
}

impl Barrier {
    /// A barrier for so many. With one, nobody ever waits.
    ///
    /// # Panics
    ///
    /// For zero, which nobody could ever be the last of.
    #[track_caller]
    pub const fn new(parties: usize) -> Barrier {
        assert!(parties > 0, "Barrier::new() needs at least one party");
        Barrier {
            parties,
            meeting: Cell::new(0),
            arrived: Cell::new(0),
            returned: RefCell::new(Vec::new()),
            line: WaitList::new(0),
            label: Nameable::new(),
        }
    }

    /// The same barrier with a name, for whoever watches and for the explanation of a deadlock.
    pub fn named(self, name: &str) -> Barrier {
        self.label.set_name(name);
        self
    }

    /// Waits until all parties are there. The last one goes on at once; it is the leader.
    ///
    /// One arrives at the first poll. Dropping the future before all are there undoes the arrival;
    /// dropping it afterwards changes nothing for the others.
    #[track_caller]
    pub fn wait(&self) -> BarrierWait<'_> {
        BarrierWait { barrier: self, wait: self.line.wait(), arrival: None, site: Location::caller() }
    }

    /// How many it takes.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many are there and wait for the others.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.arrived.get() - self.returned.borrow().len()
    }

    fn arrive(&self) -> Arrival {
        let index = self.returned.borrow_mut().pop().unwrap_or_else(|| self.arrived.replace(self.arrived.get() + 1));
        Arrival { meeting: self.meeting.get(), index }
    }

    /// Ends this meeting and opens the next, before anyone is woken and may come to it.
    fn release(&self) {
        self.meeting.set(self.meeting.get() + 1);
        self.arrived.set(0);
        self.line.notify_all();
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("parties", &self.parties).field("waiting", &self.waiting()).finish()
    }
}

/// The future of [`Barrier::wait`].
#[must_use = "a future does nothing until it is awaited"]
pub struct BarrierWait<'a> {
    barrier: &'a Barrier,
    wait: Wait<'a>,
    arrival: Option<Arrival>,
    site: &'static Location<'static>,
}

#[derive(Clone, Copy)]
struct Arrival {
    meeting: u64,
    index: usize,
}

impl Future for BarrierWait<'_> {
    type Output = BarrierTurn;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierTurn> {
        let barrier = self.barrier;
        let arrival = match self.arrival {
            Some(arrival) => arrival,
            None => {
                let arrival = barrier.arrive();
                if barrier.waiting() == barrier.parties {
                    barrier.release();
                    return Poll::Ready(BarrierTurn { index: arrival.index, leader: true });
                }
                *self.arrival.insert(arrival)
            }
        };
        let over = Pin::new(&mut self.wait).poll(cx).is_ready();
        // The meeting may also have ended while the wait cloned a foreign waker, to join the line.
        if over || barrier.meeting.get() != arrival.meeting {
            return Poll::Ready(BarrierTurn { index: arrival.index, leader: false });
        }
        observer::waiting_for_anyone(Waits::Barrier, &barrier.label, Some(self.site));
        Poll::Pending
    }
}

impl Drop for BarrierWait<'_> {
    fn drop(&mut self) {
        let Some(arrival) = self.arrival else { return };
        if arrival.meeting == self.barrier.meeting.get() {
            self.barrier.returned.borrow_mut().push(arrival.index);
        }
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").field("site", &self.site).finish_non_exhaustive()
    }
}

/// One party's way through a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "BarrierWaitResult")]
pub struct BarrierTurn {
    index: usize,
    leader: bool,
}

impl BarrierTurn {
    /// A number from 0 to one below the parties, another for each of those who met.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether this was the one that all the others waited for, the last to arrive.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}
