//! What an exploration found: how many schedules, how they ended, and which one fails first.
//!
//! Promises: what stopped an exploration is said; of the schedules that fail in one way, the one that is kept is the
//! first among the shortest.
//! Does not know: how schedules are found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::Location;

use crate::observer::{TaskId, Waits};
use crate::study::deadlock::Deadlock;
use crate::study::schedule::Rules;

/// What [`explore`](fn@crate::study::explore) found.
///
/// It prints itself as a report. A test asks [`check`](Exploration::check).
#[derive(Clone, Debug)]
pub struct Exploration<T> {
    #[cfg_attr(not(feature = "record"), allow(dead_code, reason = "a diagram is made under the same rules"))]
    pub(crate) rules: Rules,
    pub(crate) schedules: usize,
    pub(crate) distinct: usize,
    pub(crate) passed_on: usize,
    pub(crate) turns: u64,
    pub(crate) bound: Option<Bound>,
    pub(crate) outcomes: BTreeMap<T, usize>,
    pub(crate) failing: Vec<Failing>,
}

/// What ended an exploration before every schedule had been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// So many schedules were run: [`max_schedules`](crate::study::Explore::max_schedules).
    Schedules(usize),
    /// So many turns were taken in all runs together: [`max_turns`](crate::study::Explore::max_turns).
    Turns(u64),
    /// It was a [`random`](crate::study::Explore::random) one, of so many runs.
    Random(usize),
}

/// The schedules that fail in one way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failing {
    /// How they fail, as the one that is kept did.
    pub failure: Failure,
    /// How many of them there are.
    pub schedules: usize,
    /// The shortest of them, and the first of those that are as short.
    pub schedule: String,
    /// Its number of turns.
    pub(crate) length: usize,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// In which way.
    pub kind: FailureKind,
    /// What there is to say about it: what the panic said and where, who waits for what, which outcome it was.
    pub text: String,
    /// The task that was dropped in this run, under [`cancelling`](crate::study::Explore::cancelling).
    pub dropped: Option<Dropped>,
    /// Who waits for what, if it is a deadlock.
    pub deadlock: Option<Box<Deadlock>>,
}

/// In which way a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The program panicked, or a task did and nobody read its error.
    Panicked,
    /// Tasks wait, and nobody is left who could wake them.
    Deadlocked,
    /// A task waits for something that this runtime did not make, and nothing else is left to happen.
    Foreign,
    /// The program was not done after [`max_steps`](crate::study::Explore::max_steps) turns: a livelock, or the
    /// bound is too low.
    OutOfTurns,
    /// The outcome is not one that was [expected](crate::study::Explore::expect).
    Unexpected,
}

/// A task that was dropped at one of its awaits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Which task. (In a schedule it has the number below: those count from 0.)
    pub task: TaskId,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// At which of its waits, from 1.
    pub number: u32,
    /// What it waited for there, as far as it said.
    pub waits: Option<String>,
    /// The line of the wait, where it is known.
    pub site: Option<&'static Location<'static>>,
}

/// One run of a schedule, by [`replay`](crate::study::replay).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run<T> {
    /// All that was run: the schedule that was asked for, and what followed it.
    pub schedule: String,
    /// The outcome, or how it failed.
    pub result: Result<T, Failure>,
}

impl<T> Exploration<T> {
    pub(crate) fn new(rules: Rules) -> Exploration<T> {
        Exploration {
            rules,
            schedules: 0,
            distinct: 0,
            passed_on: 0,
            turns: 0,
            bound: None,
            outcomes: BTreeMap::new(),
            failing: Vec::new(),
        }
    }

    /// How many schedules were run. They all differ, but under [`random`](crate::study::Explore::random).
    pub fn schedules(&self) -> usize {
        self.schedules
    }

    /// How many of them differ.
    pub fn distinct_schedules(&self) -> usize {
        self.distinct
    }

    /// Whether these are all the schedules there are.
    pub fn is_complete(&self) -> bool {
        self.bound.is_none()
    }

    /// What ended the exploration before it was complete.
    pub fn bound(&self) -> Option<Bound> {
        self.bound
    }

    /// How often each outcome came out. A run that returned is counted here also if it failed otherwise.
    pub fn outcomes(&self) -> &BTreeMap<T, usize> {
        &self.outcomes
    }

    /// In which ways schedules fail, the way with the shortest of them first.
    pub fn failing(&self) -> &[Failing] {
        &self.failing
    }

    /// How many schedules fail.
    pub fn failures(&self) -> usize {
        self.failing.iter().map(|failing| failing.schedules).sum()
    }

    /// How many schedules fail in this way.
    pub fn failures_of(&self, kind: FailureKind) -> usize {
        let of_kind = self.failing.iter().filter(|failing| failing.failure.kind == kind);
        of_kind.map(|failing| failing.schedules).sum()
    }

    /// The shortest schedule that fails, for [`replay`](crate::study::replay); of those as short, the one
    /// that was run first.
    pub fn schedule(&self) -> Option<&str> {
        self.failing.first().map(|failing| &*failing.schedule)
    }

    pub(crate) fn shortest_first(&mut self) {
        self.failing.sort_by_key(|failing| failing.length);
    }

    pub(crate) fn add_failure(&mut self, failure: Failure, schedule: impl FnOnce() -> String, length: usize) {
        let known = self.failing.iter_mut().find(|known| known.failure.is_like(&failure));
        match known {
            None => self.failing.push(Failing { failure, schedules: 1, schedule: schedule(), length }),
            Some(known) => {
                known.schedules += 1;
                if length < known.length {
                    *known = Failing { failure, schedules: known.schedules, schedule: schedule(), length };
                }
            }
        }
    }
}

impl<T: fmt::Debug> Exploration<T> {
    /// Nothing happens if every schedule was run, or as many as were asked for, and none fails.
    ///
    /// # Panics
    ///
    /// If one fails, with the report and the line that runs the shortest of them again; and if the exploration was ended
    /// by a bound, for then nobody knows.
    /// (The runs of a [`random`](crate::study::Explore::random) one are as many as were asked for.)
    #[track_caller]
    pub fn check(&self) {
        let cut_off = matches!(self.bound, Some(Bound::Schedules(_) | Bound::Turns(_)));
        let again = self.failing.first().and_then(|failing| self.to_run_again(failing)).unwrap_or_default();
        assert!(self.failing.is_empty() && !cut_off, "{self}{again}");
    }

    /// The line of a program that runs it again, if it is of a length for that.
    fn to_run_again(&self, failing: &Failing) -> Option<String> {
        let racing = if self.rules.racing && self.rules.any_order { ".racing_timers()" } else { "" };
        let call = |name: &str, with: &str| format!(".{name}({with})");
        let kind = match failing.failure.kind {
            FailureKind::Unexpected => call("expect", ".."),
            FailureKind::OutOfTurns => call("max_steps", &self.rules.max_steps.to_string()),
            _ => String::new(),
        };
        let explore = if racing.is_empty() && kind.is_empty() { "" } else { "Explore::new()" };
        let replay = if explore.is_empty() { "replay" } else { ".replay" };
        let Failing { schedule, .. } = failing;
        let line = || format!("\nto run it again: {explore}{racing}{kind}{replay}({schedule:?}, program)");
        (schedule.len() < 200).then(line)
    }
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: String) -> Failure {
        Failure { kind, text, dropped: None, deadlock: None }
    }

    pub(crate) fn deadlocked(deadlock: Box<Deadlock>) -> Failure {
        let text = deadlock.to_string();
        Failure { kind: FailureKind::Deadlocked, text, dropped: None, deadlock: Some(deadlock) }
    }

    /// Whether two runs failed in one way. (Two deadlocks of the same tasks may be told in other words.)
    pub(crate) fn is_like(&self, other: &Failure) -> bool {
        let says_it = matches!(self.kind, FailureKind::Panicked | FailureKind::Unexpected);
        let place = |failure: &Failure| failure.dropped.as_ref().map(|dropped| (dropped.task, dropped.number));
        self.kind == other.kind
            && place(self) == place(other)
            && self.stuck() == other.stuck()
            && (!says_it || self.text == other.text)
    }

    /// Which tasks are stuck, in order of spawning, and what sort of thing each waits for.
    fn stuck(&self) -> Vec<(TaskId, BTreeSet<Waits>)> {
        let tasks = self.deadlock.iter().flat_map(|deadlock| &deadlock.tasks);
        tasks.map(|task| (task.id, task.waits.iter().map(|waits| waits.resource.kind).collect())).collect()
    }
}

impl FailureKind {
    /// The kind in words.
    fn in_words(self) -> &'static str {
        match self {
            FailureKind::Panicked => "panicked",
            FailureKind::Deadlocked => "deadlocked",
            FailureKind::Foreign => "wait for what the runtime does not know",
            FailureKind::OutOfTurns => "do not end",
            FailureKind::Unexpected => "give what was not expected",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dropped) = &self.dropped {
            write!(f, "{dropped}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, ", dropped at its wait number {}", self.number)?;
        if let Some(waits) = &self.waits {
            write!(f, ", for {waits}")?;
        }
        self.site.map_or(Ok(()), |site| write!(f, " (at {site})"))
    }
}

impl<T: fmt::Debug> fmt::Display for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(outcome) => write!(f, "{}\noutcome {outcome:?}", Titled(&self.schedule)),
            Err(failure) => write!(f, "{}\nfailed: {failure}", Titled(&self.schedule)),
        }
    }
}

/// More ways to fail than this are only counted in the report.
const MOST_WAYS: usize = 8;

/// The report, on several lines, without a line's end after the last.
impl<T: fmt::Debug> fmt::Display for Exploration<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schedules = Grouped(self.schedules);
        match self.bound {
            None if self.schedules == 1 => write!(f, "1 schedule, the only one there is")?,
            Some(Bound::Schedules(_)) if self.schedules == 1 => {
                write!(f, "1 schedule, and there are more: max_schedules() is reached")?
            }
            Some(Bound::Turns(turns)) if self.schedules == 1 => write!(
                f,
                "1 schedule, and there are more: max_turns() is reached, by {} turns",
                Grouped(turns as usize)
            )?,
            Some(Bound::Random(_)) if self.schedules == 1 => write!(f, "1 random schedule")?,
            None => write!(f, "{schedules} schedules, which are all there are")?,
            Some(Bound::Schedules(_)) => {
                write!(f, "{schedules} schedules, and there are more: max_schedules() is reached")?
            }
            Some(Bound::Turns(turns)) => {
                let turns = Grouped(turns as usize);
                write!(f, "{schedules} schedules, and there are more: max_turns() is reached, by {turns} turns")?;
            }
            Some(Bound::Random(_)) => {
                write!(f, "{schedules} random schedules, {} different ones", Grouped(self.distinct))?
            }
        }
        if self.passed_on > 0 {
            write!(f, "\n{:>8}  ended because the task that was dropped gave no output", Grouped(self.passed_on))?;
        }
        for (outcome, times) in &self.outcomes {
            write!(f, "\n{:>8}  {outcome:?}", Grouped(*times))?;
        }
        if self.failing.is_empty() {
            return write!(f, "\nnone of them fails");
        }
        write!(f, "\n{} fail (a schedule counts tasks from 0: 0 is task 1):", Grouped(self.failures()))?;
        for failing in self.failing.iter().take(MOST_WAYS) {
            let (kind, failure) =
                (failing.failure.kind.in_words(), failing.failure.to_string().replace('\n', "\n          "));
            write!(f, "\n{:>8}  {kind}, the shortest by {}", Grouped(failing.schedules), Shortened(&failing.schedule))?;
            write!(f, "\n          {failure}")?;
        }
        if self.failing.len() > MOST_WAYS {
            write!(f, "\n          and {} other ways to fail", self.failing.len() - MOST_WAYS)?;
        }
        Ok(())
    }
}

/// A number with commas, as a report shows it.
struct Grouped(usize);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        f.pad(&grouped)
    }
}

/// A schedule by itself, with the word for it.
pub(crate) struct Titled<'a>(pub(crate) &'a str);

impl fmt::Display for Titled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schedule = Shortened(self.0);
        if self.0.is_empty() { schedule.fmt(f) } else { write!(f, "schedule {schedule} (0 is task 1)") }
    }
}

/// A schedule that nobody will read to its end is shown by its beginning.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 60;
        if self.0.is_empty() {
            return f.write_str("the empty schedule (first in, first out)");
        }
        let steps = self.0.split('.').count();
        if steps <= 2 * MOST {
            return f.write_str(self.0);
        }
        let begin: Vec<&str> = self.0.split('.').take(MOST).collect();
        write!(f, "{}... ({} steps)", begin.join("."), Grouped(steps))
    }
}
