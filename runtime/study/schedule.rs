//! The schedule: who had a turn, one after another, as a text that a person can type.
//!
//! ```text
//!   0.1.0.1     the first task, the second, the first, the second; counted from 0 in order of spawning
//!   0.x1.0      the second task is dropped where it stands
//!   0.-.x1      the same, but one step of the root or of the clock later
//!   0.m.0       the future given to `block_on`, whose sleep ended early
//! ```
//!
//! Promises: what is written is read as the same schedule, and what cannot be read says where it went wrong.
//! Does not know: whether it fits any program.

use std::fmt;

use crate::observer::TaskId;

/// Which alternatives there are, and how long a run may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Any ready task may be next; otherwise only the one that is first in line.
    pub(crate) any_order: bool,
    /// A task that sleeps may be next as well.
    pub(crate) racing: bool,
    /// How many tasks may be dropped.
    pub(crate) drops: usize,
    /// Turns and drops of one run.
    pub(crate) max_steps: usize,
}

/// One step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pick {
    /// A turn of this task.
    Turn(TaskId),
    /// This task is dropped.
    Drop(TaskId),
    /// Nobody is dropped, where only the future given to `block_on` is ready, or the clock must move. It is written
    /// where a drop follows, to say how much later.
    Nobody,
}

impl Pick {
    /// The order in which alternatives are tried: turns before drops, the root behind the other tasks.
    pub(crate) fn rank(self) -> (bool, u64) {
        let (drops, TaskId(number)) = match self {
            Pick::Turn(task) => (false, task),
            Pick::Drop(task) => (true, task),
            Pick::Nobody => return (false, 0),
        };
        (drops, number.wrapping_sub(1))
    }

    fn read(word: &str) -> Option<Pick> {
        // As `parse` reads it, but without a sign, and without zeros in front.
        let number = |digits: &str| {
            let is_plain =
                digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            digits.parse::<u64>().ok().filter(|_| is_plain)?.checked_add(1).map(TaskId)
        };
        match (word, word.strip_prefix('x')) {
            ("m", _) => Some(Pick::Turn(TaskId(0))),
            ("-", _) => Some(Pick::Nobody),
            (_, Some(digits)) => number(digits).map(Pick::Drop),
            (digits, None) => number(digits).map(Pick::Turn),
        }
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Pick::Turn(TaskId(0)) => f.write_str("m"),
            Pick::Turn(task) => write!(f, "{}", task.0 - 1),
            Pick::Drop(task) => write!(f, "x{}", task.0.wrapping_sub(1)),
            Pick::Nobody => f.write_str("-"),
        }
    }
}

/// The schedule as a text.
pub(crate) fn write(picks: &[Pick]) -> String {
    picks.iter().map(Pick::to_string).collect::<Vec<_>>().join(".")
}

/// The schedule that a text means. The empty text is the empty schedule.
pub(crate) fn read(text: &str) -> Result<Vec<Pick>, ScheduleError> {
    let words = text.split('.').enumerate().filter(|_| !text.is_empty());
    let picks = words.map(|(at, word)| {
        Pick::read(word).ok_or_else(|| {
            ScheduleError(format!(
                "{text:?} is no schedule: its step {}, {word:?}, is no task; tasks are numbers with dots between \
                 them, counted from 0 in order of spawning, as in \"0.1.0.1\"",
                at + 1
            ))
        })
    });
    picks.collect()
}

/// Why a schedule could not be run again: it is none, or the program cannot go that way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError(pub(crate) String);

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        for text in ["", "0", "0.1.0.1", "12.x3.m.0", "0.-.x1"] {
            assert_eq!(write(&read(text).expect("it is one")), text);
        }
    }

    #[test]
    fn what_is_no_schedule_says_where() {
        for (text, word) in [("0.x", "\"x\""), ("0..1", "\"\""), ("+1", "\"+1\""), ("0.1.", "\"\""), ("0 1", "\"0 1\"")]
        {
            let error = read(text).expect_err("it is none").to_string();
            assert!(error.contains(&format!("{word}, is no task")), "{error}");
        }
        assert!(read("18446744073709551615").is_err(), "there is no such task");
        assert!(read("007").is_err());
    }
}
