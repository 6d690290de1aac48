//! The builder: puts a loop together, from whatever is not as usual.
//!
//! Promises: whatever the system refuses is an error, and leaves nothing behind.
//! Does not know: how the loop runs.

use std::fmt;
use std::io;
use std::rc::Rc;

use crate::clock::Clock;
use crate::context::Parts;
use crate::driver::Driver;
use crate::event_loop::EventLoop;
use crate::inbox::Address;
use crate::observer::{self, Observer, Watch};
use crate::order::Order;
use crate::scheduler::Scheduler;
use crate::study::inquest::Lookout;
use crate::study::warnings::Warnings;
use crate::task::Tasks;

impl EventLoop {
    /// A loop on the real clock, first in first out, with nobody watching.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left, or 4,096 loops are alive in this process.
    #[doc(alias = "new_event_loop")]
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::builder().build()
    }

    /// A loop with another clock, another order or an observer.
    pub fn builder() -> Builder {
        Builder {
            clock: None,
            order: Order::fifo(),
            observers: Vec::new(),
            warnings: Warnings::default(),
            threads: None,
        }
    }
}

/// What an [`EventLoop`] is to be like.
#[must_use = "a builder makes nothing until build() is called"]
pub struct Builder {
    clock: Option<Clock>,
    order: Order,
    observers: Vec<MakeWatch>,
    warnings: Warnings,
    threads: Option<usize>,
}

/// Makes somebody who is told of events, when the loop that he is to watch is there.
type MakeWatch = Box<dyn FnOnce(&Premises) -> io::Result<Watch>>;

/// What is there of a loop before anybody watches it.
pub(crate) struct Premises {
    pub(crate) clock: Clock,
    pub(crate) address: Address,
}

impl Builder {
    /// The clock that timers go by; the real one if not given.
    #[doc(alias = "start_paused")]
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = Some(clock);
        self
    }

    /// The order in which ready tasks take their turns; first in first out if not given.
    pub fn order(mut self, order: Order) -> Builder {
        self.order = order;
        self
    }

    /// Who is told of every event; nobody if not given. Given several times, each is told, in this order.
    pub fn observer(mut self, observer: Rc<dyn Observer>) -> Builder {
        self.observers.push(Box::new(|_| Ok(Watch::of_everything(observer))));
        self
    }

    /// What the loop warns of, and how; if not given, what [`Warnings::default`] says, which in a release build is
    /// tasks that wait for each other in a circle.
    #[doc(alias = "set_debug")]
    #[doc(alias = "slow_callback_duration")]
    pub fn warnings(mut self, warnings: Warnings) -> Builder {
        self.warnings = warnings;
        self
    }

    /// Somebody who is told of events, and who needs the loop's address, or something of the system that it may
    /// refuse.
    pub(crate) fn attach(mut self, make: impl FnOnce(&Premises) -> io::Result<Watch> + 'static) -> Builder {
        self.observers.push(Box::new(make));
        self
    }

    /// How many threads `to_thread` may use, at least one; if not given, four more than there are
    /// processors and 32 at most, as in asyncio.
    #[doc(alias = "max_blocking_threads")]
    #[doc(alias = "max_workers")]
    pub fn threads(mut self, limit: usize) -> Builder {
        self.threads = Some(limit);
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left, or 4,096 loops are alive in this process; or if what is to watch the
    /// loop does not get the thread or the socket that it needs.
    pub fn build(self) -> io::Result<EventLoop> {
        let clock = self.clock.unwrap_or_else(Clock::real);
        let (driver, unpark) = Driver::new(clock.clone(), self.threads)?;
        let premises = Premises { clock, address: Address::open(unpark)? };
        let lookout = Lookout::new(self.warnings.about_circles());
        let watch = make_watches(self.observers, self.warnings, &premises).inspect_err(|_| {
            premises.address.close();
        })?;
        let scheduler = Scheduler::new(Rc::new(Tasks::new(premises.address)), self.order);
        let parts = Rc::new(Parts { scheduler, driver: Rc::new(driver), watch });
        let doorway = Rc::downgrade(&parts);
        parts.scheduler.tasks().set_doorway(doorway);
        Ok(EventLoop::of(parts, lookout))
    }
}

fn make_watches(all: Vec<MakeWatch>, warnings: Warnings, premises: &Premises) -> io::Result<Option<Watch>> {
    let mut watches = all.into_iter().map(|make| make(premises)).collect::<io::Result<Vec<Watch>>>()?;
    watches.extend(warnings.watch(&premises.clock)?);
    Ok(observer::all_of(watches))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("clock", &self.clock)
            .field("order", &self.order)
            .field("warnings", &self.warnings)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
