//! The study: what an event loop does, watched, explained and repeated.
//!
//! Everything here is a client of the three seams: the [`Observer`](crate::Observer), the
//! [`Clock`](crate::Clock) and the [`Order`](crate::Order). The core does not know it.

mod ask;
pub(crate) mod census;
pub(crate) mod deadlock;
mod dump;
pub(crate) mod inquest;
mod inspect;
#[cfg(feature = "record")]
mod lane;
mod queries;
#[cfg(feature = "record")]
mod recorder;
#[cfg(feature = "record")]
pub mod recording;
#[cfg(feature = "record")]
mod retell;
#[cfg(feature = "record")]
mod save;
#[cfg(feature = "record")]
mod score;
#[cfg(feature = "record")]
mod tape;
#[cfg(feature = "record")]
pub mod timeline;
#[cfg(feature = "record")]
pub mod trace;
#[cfg(feature = "record")]
mod wait_graph;
pub(crate) mod warnings;
mod watchdog;
mod words;

pub use deadlock::{Deadlock, Held, Stuck, Waiting, Why};
pub use dump::dump;
pub use warnings::{Warning, Warnings};

use crate::observer::{self, Event};

mod choosers;
mod exploration;
mod explore;
mod hush;
mod schedule;
mod search;
mod steered;

pub use exploration::{Bound, Dropped, Exploration, Failing, Failure, FailureKind, Run};
pub use explore::{Explore, explore, replay};
pub use schedule::ScheduleError;
#[cfg(feature = "record")]
pub use {
    lane::{Lane, Span},
    recorder::Recorder,
    recording::Recording,
};

/// Says something to whoever watches the loop this thread is inside of: a recorder puts it beside what happens.
///
/// Nothing happens where nobody watches, or outside a loop.
pub fn note(text: &str) {
    observer::tell(|| Event::Noted { by: observer::actor(), text });
}
