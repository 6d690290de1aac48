//! The study: what an event loop does, watched, explained and repeated.
//!
//! ```text
//!   Observer ----> recorder ---> timeline, trace, page      what happened, to look at
//!             |--> census -----> inspect, deadlock          who waits for whom, now
//!             `--> warnings, watchdog                       what was probably not meant so
//!   Order, Clock <--- explore, replay                       what else could have happened
//! ```
//!
//! Everything here is a client of the three seams: the [`Observer`](crate::Observer), the
//! [`Clock`](crate::Clock) and the [`Order`](crate::Order). The core tells and is steered; it draws no conclusions.

mod ask;
pub(crate) mod census;
mod choosers;
pub(crate) mod deadlock;
#[cfg(unix)]
mod door;
mod dump;
mod exploration;
mod explore;
mod hush;
pub(crate) mod inquest;
mod inspect;
#[cfg(feature = "record")]
mod lane;
#[cfg(feature = "record")]
mod layout;
#[cfg(feature = "record")]
pub mod page;
mod queries;
#[cfg(feature = "record")]
mod recorder;
#[cfg(feature = "record")]
pub mod recording;
#[cfg(feature = "record")]
mod retell;
#[cfg(feature = "record")]
mod save;
mod schedule;
#[cfg(feature = "record")]
mod score;
mod search;
#[cfg(feature = "record")]
mod shapes;
mod steered;
#[cfg(feature = "record")]
mod tape;
#[cfg(feature = "record")]
pub mod timeline;
#[cfg(feature = "record")]
pub mod trace;
#[cfg(unix)]
mod visit;
#[cfg(feature = "record")]
mod wait_graph;
pub(crate) mod warnings;
mod watchdog;
mod words;

pub use deadlock::{Deadlock, Held, Stuck, Waiting, Why};
pub use dump::dump;
pub use exploration::{Bound, Dropped, Exploration, Failing, Failure, FailureKind, Run};
pub use explore::{Explore, explore, replay};
pub use schedule::ScheduleError;
pub use warnings::{Warning, Warnings};
#[cfg(feature = "record")]
pub use {
    lane::{Lane, Span},
    recorder::Recorder,
    recording::Recording,
};

use crate::observer::{self, Event};

/// Says something to whoever watches the loop this thread is inside of: a recorder puts it beside what happens.
///
/// Nothing happens where nobody watches, or outside a loop.
pub fn note(text: &str) {
    observer::tell(|| Event::Noted { by: observer::actor(), text });
}
