//! How another thread asks a loop something, though the loop may hang.
//!
//! ```text
//!   a thread of the study                              the loop's thread
//!   question ---> questions --- an errand -----------> run between two turns: answers all of them
//!   question --'                (one at a time)
//!   answers <------------------------------------------ texts
//!   no answer for a moment?  the pulse knows whose poll it hangs in
//! ```
//!
//! It goes by the loop's address, not by a `Handle`: while a handle lives, nobody is ever declared dead.
//!
//! Promises: whoever asks hears something within the time that he gave, whatever the loop does; a question whose
//! asker has gone is not answered; however many ask a loop that reads no mail, one errand lies in its inbox.
//! Does not know: what is asked.

use std::fmt;
use std::mem;
use std::task::Poll;
use std::time::Duration;

use crate::answer::{Answer, answer};
use crate::inbox::{Address, Errand};
use crate::locks::{Arc, Mutex, MutexGuard, PoisonError};
use crate::quietly::quietly;
use crate::study::watchdog::{Busy, Pulse};
use crate::study::words::{place, roughly, who};

/// How long a loop may take to answer. Its mail is read after every turn, so this is what a turn may take before it
/// counts as a hang; a human who has asked still waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A loop, for whoever wants to ask it. Clones are of one line: they share the errand.
#[derive(Clone)]
pub(crate) struct Line {
    address: Address,
    pub(crate) pulse: Pulse,
    questions: Arc<Mutex<Questions>>,
}

type Question = Box<dyn FnOnce() -> String + Send>;

/// What was asked and is not answered yet.
#[derive(Default)]
struct Questions {
    open: Vec<(Question, Answer<String>)>,
    /// An errand is on its way, which will answer them all.
    sent: bool,
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
    pub(crate) fn to(address: Address) -> Line {
        Line { address, pulse: Pulse::new(), questions: Arc::default() }
    }

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
        let mut questions = lock(&self.questions);
        let unasked: Vec<_> = questions.open.extract_if(.., |(_, answer)| answer.is_unasked()).collect();
        questions.open.push((Box::new(question), answer));
        let sent = mem::replace(&mut questions.sent, true);
        drop(questions);
        drop(unasked);
        if !sent {
            let round = Round(Some(self.questions.clone()));
            // A refused errand is dropped here, and all questions with it.
            let _ = self.address.send(Errand::Run(Box::new(move || round.answer())));
        }
        match asker.wait(Some(patience)) {
            Poll::Ready(Some(Ok(text))) => Ok(text),
            Poll::Ready(_) => Err(Silence::Over),
            Poll::Pending => Err(self.pulse.busy().map_or(Silence::Absent, Silence::Busy)),
        }
    }
}

fn lock(questions: &Mutex<Questions>) -> MutexGuard<'_, Questions> {
    // Nothing that runs under this lock can leave it half done.
    questions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The errand. Whether it is run or dropped, nobody waits for it any more.
struct Round(Option<Arc<Mutex<Questions>>>);

impl Round {
    fn answer(mut self) {
        for (question, answer) in self.take() {
            if answer.begin() {
                // What an errand panics with would leave by the loop's own door.
                quietly(|| answer.give(Ok(question())));
            }
        }
    }

    fn take(&mut self) -> Vec<(Question, Answer<String>)> {
        let Some(questions) = self.0.take() else { return Vec::new() };
        let mut questions = lock(&questions);
        questions.sent = false;
        mem::take(&mut questions.open)
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        drop(self.take());
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::inbox::Mail;

    fn a_line() -> Line {
        Line::to(Address::open(Waker::noop().clone()).expect("few loops are alive"))
    }

    /// A question that nobody waits for long, of a loop that reads no mail.
    fn ask_in_vain(line: &Line) {
        let silence = line.ask(|| "too late".to_owned(), Duration::ZERO).expect_err("nobody reads the mail");
        assert!(matches!(silence, Silence::Absent), "{silence}");
    }

    #[test]
    fn a_loop_that_reads_no_mail_gets_one_errand_however_often_it_is_asked() {
        let line = a_line();
        let mut mail = Mail::default();
        for _ in 0..2 {
            (0..100).for_each(|_| ask_in_vain(&line.clone()));
            assert_eq!(lock(&line.questions).open.len(), 1, "whose asker has gone goes with the next");
            line.address.collect(&mut mail);
            assert_eq!(mail.errands.len(), 1);
            // When it is run, the way is free for the next.
            mail.errands.drain(..).for_each(|(_, errand)| match errand {
                Errand::Run(run) => run(),
                Errand::Cancel(..) => unreachable!("nobody cancels"),
            });
        }
        line.address.close();
    }

    #[test]
    fn who_asks_at_the_end_hears_of_it() {
        let line = a_line();
        ask_in_vain(&line);
        let other = line.clone();
        let asks = std::thread::spawn(move || other.ask(|| "late".to_owned(), Duration::from_secs(60)));
        while lock(&line.questions).open.iter().all(|(_, answer)| answer.is_unasked()) {
            std::thread::yield_now();
        }
        drop(line.address.close());
        let silence = asks.join().expect("it does not panic").expect_err("the loop is gone");
        assert!(matches!(silence, Silence::Over), "{silence}");
        let after = line.ask(|| "never".to_owned(), Duration::from_secs(60));
        assert!(matches!(after, Err(Silence::Over)));
    }
}
