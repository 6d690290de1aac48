//! How another thread asks a loop something, though the loop may hang.
//!
//! ```text
//!   a thread of the study                              the loop's thread
//!   question --- an errand, by the inbox ------------> run between two turns
//!   answer  <------------------------------------------ text
//!   no answer for a moment?  the pulse knows whose poll it hangs in
//! ```
//!
//! It goes by the loop's address, not by a `Handle`: while a handle lives, nobody is ever declared dead.
//!
//! Promises: whoever asks hears something within the time that he gave, whatever the loop does; a question whose
//! asker has gone is not answered.
//! Does not know: what is asked.

use std::fmt;
use std::task::Poll;
use std::time::Duration;

use crate::answer::answer;
use crate::inbox::{Address, Errand};
use crate::quietly::quietly;
use crate::study::watchdog::{Busy, Pulse};
use crate::study::words::{place, roughly, who};

/// How long a loop may take to answer. Its mail is read after every turn, so this is what a turn may take before it
/// counts as a hang; a human who has asked still waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A loop, for whoever wants to ask it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) address: Address,
    pub(crate) pulse: Pulse,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Silence {
    /// It is in the midst of a poll.
    Busy(Busy),
    /// It is in no poll, and reads no mail.
    Absent,
    /// It has ended.
    Over,
}

impl Line {
    /// Has the question answered inside the loop, on its thread.
    ///
    /// # Errors
    ///
    /// If the loop has ended, or gives no answer in time.
    pub(crate) fn ask(
        &self,
        question: impl FnOnce() -> String + Send + 'static,
        patience: Duration,
    ) -> Result<String, Silence> {
        let (answer, asker) = answer();
        let errand = move || {
            if answer.begin() {
                // What an errand panics with would leave by the loop's own door.
                quietly(|| answer.give(Ok(question())));
            }
        };
        // A refused errand is dropped here, and its answer with it.
        let _ = self.address.send(Errand::Run(Box::new(errand)));
        match asker.wait(Some(patience)) {
            Poll::Ready(Some(Ok(text))) => Ok(text),
            Poll::Ready(_) => Err(Silence::Over),
            Poll::Pending => Err(self.pulse.busy().map_or(Silence::Absent, Silence::Busy)),
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Busy(Busy { task, name, site, so_far }) => {
                let who = who(*task, name.as_deref());
                write!(f, "the loop hangs: {who} (spawned at {}) has been in one poll for ", place(site))?;
                write!(f, "{}, and nobody else runs meanwhile", roughly(*so_far))
            }
            Silence::Absent => f.write_str(
                "the loop does not answer: its thread is outside of block_on() just now, or in a destructor",
            ),
            Silence::Over => f.write_str("the loop has ended"),
        }
    }
}
