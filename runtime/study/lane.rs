//! A lane: the line in a recording of a thread that is none of the loop's.
//!
//! ```text
//!   loop's thread:  recorder.lane("thread 1") ---> Lane, to be sent over
//!   thread 1:       lane.note("reads 0");  let span = lane.span("sleeps"); ..; drop(span)
//! ```
//!
//! Promises: a lane waits for nobody but another lane that is writing; what it says stands in the recording where the
//! machine's clock puts it.
//! Does not know: the loop.

use std::collections::VecDeque;
use std::fmt;

use crate::clock::Instant;
use crate::locks::{Arc, Mutex, MutexGuard, PoisonError};

/// What all lanes of a recorder have said.
#[derive(Default)]
pub(crate) struct Lanes {
    pub(crate) names: Vec<String>,
    /// When, which lane, what.
    pub(crate) said: VecDeque<(Instant, u32, Said)>,
    /// The oldest go when there are more.
    pub(crate) most: Option<usize>,
    /// How many went.
    pub(crate) lost: u64,
}

#[derive(Clone)]
pub(crate) enum Said {
    Began(Box<str>),
    Ended,
    Noted(Box<str>),
}

/// The line of a thread in a recording. Made by [`Recorder::lane`](crate::study::Recorder::lane), and sent to the
/// thread.
#[derive(Clone)]
pub struct Lane {
    lanes: Arc<Mutex<Lanes>>,
    number: u32,
}

impl Lane {
    pub(crate) fn new(lanes: &Arc<Mutex<Lanes>>, name: &str) -> Lane {
        let mut all = look(lanes);
        all.names.push(name.to_owned());
        let number = u32::try_from(all.names.len()).unwrap_or(u32::MAX);
        drop(all);
        Lane { lanes: lanes.clone(), number }
    }

    /// Says that the thread does this from now on, until what is returned is dropped.
    pub fn span(&self, text: &str) -> Span<'_> {
        self.say(Said::Began(text.into()));
        Span { lane: self }
    }

    /// Says something about this moment.
    pub fn note(&self, text: &str) {
        self.say(Said::Noted(text.into()));
    }

    fn say(&self, what: Said) {
        let mut all = look(&self.lanes);
        // Read inside, so that what is written is in order.
        all.said.push_back((Instant::of_the_machine(), self.number, what));
        if all.most.is_some_and(|most| all.said.len() > most) {
            all.said.pop_front();
            all.lost += 1;
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("number", &self.number).finish_non_exhaustive()
    }
}

/// While it lives, its thread does what was said. Made by [`Lane::span`].
#[must_use = "the span ends when this is dropped: keep it as long as the work takes"]
#[derive(Debug)]
pub struct Span<'a> {
    lane: &'a Lane,
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        self.lane.say(Said::Ended);
    }
}

/// No user code runs under this lock, so it is never left half done.
pub(crate) fn look(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}
