//! The recorder: an [`Observer`] that keeps what it is told.
//!
//! ```text
//!   loop --event--> tape: [ time, event ][ time, event ] ..    no text is made, sites stay pointers
//!                     |     the ring lets the oldest go, and counts it
//!                     `--recording()--> Recording: text, causes, threads merged by the machine's clock
//! ```
//!
//! Promises: an event costs a reading of the clock and a write (of two clocks, where the loop's is not the machine's).
//! Does not know: how the tape is kept; what is made of a recording.

use std::cell::RefCell;
use std::fmt;

use crate::clock::{Clock, Instant};
use crate::context;
use crate::locks::{Arc, Mutex};
use crate::observer::{Event, Observer};
use crate::study::lane::{Lane, Lanes, look};
use crate::study::recording::Recording;
use crate::study::retell::retell;
use crate::study::tape::Tape;

/// Keeps every event of one loop, or the newest of them. Needs the feature `record`.
///
/// ```
/// use std::rc::Rc;
/// use roundel::study::Recorder;
///
/// # fn main() -> std::io::Result<()> {
/// let recorder = Rc::new(Recorder::whole());
/// let event_loop = roundel::EventLoop::builder().observer(recorder.clone()).build()?;
/// event_loop.block_on(async { roundel::yield_now().await });
/// assert_eq!(recorder.recording().tasks.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// It is meant for one loop, by whose clock its times are. To have two loops recorded, use two. (Locks, timers and the
/// like are numbered in order of first use by a thread: in a second run on the same thread the numbers go on.)
pub struct Recorder {
    title: String,
    tape: RefCell<Tape>,
    lanes: Arc<Mutex<Lanes>>,
}

impl Recorder {
    /// One that keeps everything, from the first event to the last.
    pub fn whole() -> Recorder {
        Recorder::keeping(None)
    }

    /// One that keeps the newest `most` events (at least one), and says how many older ones it lost.
    pub fn ring(most: usize) -> Recorder {
        Recorder::keeping(Some(most.max(1)))
    }

    fn keeping(most: Option<usize>) -> Recorder {
        let lanes = Lanes { most, ..Lanes::default() };
        Recorder { title: String::new(), tape: RefCell::new(Tape::keeping(most)), lanes: Arc::new(Mutex::new(lanes)) }
    }

    /// The same, with a line that says what its recordings show.
    #[must_use]
    pub fn titled(self, title: &str) -> Recorder {
        Recorder { title: title.to_owned(), ..self }
    }

    /// A line of its own for a thread that is none of the loop's; it can be sent there.
    ///
    /// Threads of the loop's own pool need none: they are recorded by what they run.
    pub fn lane(&self, name: &str) -> Lane {
        Lane::new(&self.lanes, name)
    }

    /// What was recorded so far. The recorder goes on, and keeps all it has.
    ///
    /// It can be asked for at any time, also while the loop runs and from inside a task.
    pub fn recording(&self) -> Recording {
        retell(&self.tape.borrow(), &look(&self.lanes), &self.title)
    }
}

impl Observer for Recorder {
    fn event(&self, event: &Event<'_>) {
        let mut tape = self.tape.borrow_mut();
        let clock = tape.clock.get_or_insert_with(clock_of_this_loop);
        let at = clock.now();
        let machine = if clock.is_real() { at } else { Instant::of_the_machine() };
        tape.write(at, machine, event);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tape = self.tape.borrow();
        f.debug_struct("Recorder")
            .field("events", &tape.entries.len())
            .field("lost", &tape.lost)
            .finish_non_exhaustive()
    }
}

fn clock_of_this_loop() -> Clock {
    // Events are told inside a loop only.
    context::try_current().map_or_else(Clock::real, |parts| parts.driver.clock().clone())
}
