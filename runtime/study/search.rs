//! The search: one run after another, until all ways were taken, or a bound is reached.
//!
//! ```text
//!   run -> judge it -> count it -> go back to a way not taken -> run
//!                          |
//!                       failures: shortest first; found at random, they are made shorter
//! ```
//!
//! Promises: what fails was seen to fail twice; a program that is not the same then is not reported on.
//! Does not know: what a run is made of.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::observer::{Observer, TaskId};
use crate::study::choosers::{Dice, NOT_THE_SAME, Script, Ways};
use crate::study::exploration::{Bound, Exploration, Failing, Failure, FailureKind, Run};
use crate::study::hush;
use crate::study::schedule::{self, Pick, Rules, ScheduleError};
use crate::study::steered::{self, End, Ran};
#[cfg(feature = "record")]
use crate::study::{Recorder, Recording, exploration::Titled};

/// Runs that are made to find a shorter schedule, at most.
const TRIALS: usize = 2_000;

/// What to think of a run: neither of both if it gave up what it had to give because a task was dropped.
struct Verdict<T> {
    outcome: Option<T>,
    failure: Option<Failure>,
}

/// What the first run came to, to be compared when it is made again.
#[derive(PartialEq)]
struct FirstRun {
    picks: Vec<Pick>,
    print: u64,
    outcome: Option<String>,
}

impl FirstRun {
    fn of<T: fmt::Debug>(ran: &Ran<T>) -> FirstRun {
        let outcome = if let End::Returned(outcome, _) = &ran.end { Some(format!("{outcome:?}")) } else { None };
        FirstRun { picks: ran.picks.clone(), print: ran.print, outcome }
    }
}

/// What to search, and how far.
pub(crate) struct Search<T> {
    pub(crate) rules: Rules,
    pub(crate) max_schedules: usize,
    pub(crate) max_turns: u64,
    pub(crate) expect: Option<Expectation<T>>,
}

/// Says of an outcome whether it is right.
pub(crate) type Expectation<T> = Box<dyn Fn(&T) -> bool>;

impl<T> Search<T> {
    /// Runs one schedule.
    #[track_caller]
    pub(crate) fn replay<F>(
        &self,
        schedule: &str,
        observers: &[Rc<dyn Observer>],
        program: &mut dyn FnMut() -> F,
    ) -> Result<Run<T>, ScheduleError>
    where
        T: fmt::Debug,
        F: Future<Output = T>,
    {
        let picks = schedule::read(schedule)?;
        hush::install();
        let (ran, misfit) = self.run_script(&picks, observers, program);
        if let Some(misfit) = misfit {
            return Err(ScheduleError(format!("the schedule {schedule} does not fit this program: {misfit}")));
        }
        let schedule = schedule::write(&ran.picks);
        let result = match self.judge(ran) {
            Verdict { failure: Some(failure), .. } => Err(failure),
            Verdict { outcome: Some(outcome), .. } => Ok(outcome),
            Verdict { .. } => {
                Err(Failure::new(FailureKind::Panicked, "the task that was dropped gave no output".into()))
            }
        };
        Ok(Run { schedule, result })
    }

    /// Takes one way after the other.
    #[track_caller]
    pub(crate) fn depth_first<F>(&self, program: &mut dyn FnMut() -> F) -> Exploration<T>
    where
        T: Ord + fmt::Debug,
        F: Future<Output = T>,
    {
        hush::install();
        let mut found = Exploration::new(self.rules);
        let mut ways = Ways::default();
        let mut first = None;
        loop {
            let ran = steered::run(self.rules, &[], program, &mut ways);
            if let Some(strayed) = ways.strayed(&ran.picks) {
                panic!("{strayed}");
            }
            first.get_or_insert_with(|| FirstRun::of(&ran));
            self.count(&mut found, ran);
            found.distinct += 1;
            if !ways.go_back() {
                break;
            }
            if found.schedules >= self.max_schedules {
                found.bound = Some(Bound::Schedules(found.schedules));
                break;
            }
            if found.turns >= self.max_turns {
                found.bound = Some(Bound::Turns(found.turns));
                break;
            }
        }
        self.run_again(&found, first, program);
        found.shortest_first();
        found
    }

    #[track_caller]
    pub(crate) fn at_random<F>(&self, seed: u64, runs: usize, program: &mut dyn FnMut() -> F) -> Exploration<T>
    where
        T: Ord + fmt::Debug,
        F: Future<Output = T>,
    {
        hush::install();
        let mut found = Exploration::new(self.rules);
        let mut seen = HashSet::new();
        let mut first = None;
        let mut dice = Dice(seed);
        found.bound = Some(Bound::Random(runs));
        while found.schedules < runs {
            if found.turns >= self.max_turns {
                found.bound = Some(Bound::Turns(found.turns));
                break;
            }
            let ran = steered::run(self.rules, &[], program, &mut dice);
            first.get_or_insert_with(|| FirstRun::of(&ran));
            let mut hasher = DefaultHasher::new();
            ran.picks.hash(&mut hasher);
            seen.insert(hasher.finish());
            self.count(&mut found, ran);
        }
        found.distinct = seen.len();
        self.run_again(&found, first, program);
        let mut trials = TRIALS;
        for failing in &mut found.failing {
            self.shorten(failing, &mut trials, program);
        }
        found.shortest_first();
        found
    }

    /// Takes one run into the account.
    #[track_caller]
    fn count(&self, found: &mut Exploration<T>, ran: Ran<T>)
    where
        T: Ord + fmt::Debug,
    {
        found.schedules += 1;
        found.turns += ran.steps as u64;
        let picks = ran.picks.clone();
        let verdict = self.judge(ran);
        if verdict.outcome.is_none() && verdict.failure.is_none() {
            found.passed_on += 1;
        }
        if let Some(failure) = verdict.failure {
            found.add_failure(failure, || schedule::write(&picks), picks.len());
        }
        if let Some(outcome) = verdict.outcome {
            *found.outcomes.entry(outcome).or_default() += 1;
        }
    }

    /// What to think of a run.
    #[track_caller]
    fn judge(&self, ran: Ran<T>) -> Verdict<T>
    where
        T: fmt::Debug,
    {
        let (outcome, failure) = match ran.end {
            End::Returned(outcome, unread) => {
                let is_right = self.expect.as_ref().is_none_or(|expect| expect(&outcome));
                let unexpected =
                    (!is_right).then(|| Failure::new(FailureKind::Unexpected, format!("the outcome is {outcome:?}")));
                (Some(outcome), unread.or(unexpected))
            }
            End::Failed(failure) => (None, Some(failure)),
            End::PassedOn => (None, None),
            End::Refused(text) => panic!("{text}"),
            End::Stopped => panic!("{NOT_THE_SAME}"),
        };
        Verdict { outcome, failure: failure.map(|failure| Failure { dropped: ran.dropped, ..failure }) }
    }

    #[track_caller]
    fn run_script<F>(
        &self,
        picks: &[Pick],
        observers: &[Rc<dyn Observer>],
        program: &mut dyn FnMut() -> F,
    ) -> (Ran<T>, Option<String>)
    where
        F: Future<Output = T>,
    {
        let drops = picks.iter().filter(|pick| matches!(pick, Pick::Drop(_))).count();
        let racing = self.rules.racing && self.rules.any_order;
        let rules = Rules { any_order: true, racing, drops, ..self.rules };
        let mut script = Script { picks, at: 0, misfit: None };
        let ran = steered::run(rules, observers, program, &mut script);
        let left = picks.len() - script.at;
        let misfit = script.misfit.or_else(|| {
            let is_at_root = picks.get(script.at) == Some(&Pick::Turn(TaskId(0))) && !racing;
            let hint = if is_at_root { "; was it found under racing_timers()?" } else { "" };
            let ended = || format!("the program ended after {} of its {} steps{hint}", script.at, picks.len());
            (left > 0).then(ended)
        });
        (ran, misfit)
    }

    /// The first schedule and those that fail are run again: a program that then does something else is not the same
    /// in every run, and no number of this exploration means anything.
    #[track_caller]
    fn run_again<F>(&self, found: &Exploration<T>, first: Option<FirstRun>, program: &mut dyn FnMut() -> F)
    where
        T: fmt::Debug,
        F: Future<Output = T>,
    {
        if let Some(first) = first {
            let (ran, misfit) = self.run_script(&first.picks, &[], program);
            assert!(misfit.is_none() && FirstRun::of(&ran) == first, "{NOT_THE_SAME}");
        }
        for failing in found.failing.iter().take(TRIALS) {
            let picks = schedule::read(&failing.schedule).expect("it was written by this exploration");
            let (ran, misfit) = self.run_script(&picks, &[], program);
            let again = self.judge(ran).failure;
            assert!(misfit.is_none() && again.as_ref() == Some(&failing.failure), "{NOT_THE_SAME}");
        }
    }

    /// Leaves out of a schedule what does not matter: first its end, and then one step after the other.
    #[track_caller]
    fn shorten<F>(&self, failing: &mut Failing, trials: &mut usize, program: &mut dyn FnMut() -> F)
    where
        T: fmt::Debug,
        F: Future<Output = T>,
    {
        let whole = schedule::read(&failing.schedule).expect("it was written by this exploration");
        let mut fails = |picks: &[Pick]| {
            if *trials == 0 {
                return false;
            }
            *trials -= 1;
            let (ran, misfit) = self.run_script(picks, &[], program);
            misfit.is_none() && self.judge(ran).failure.is_some_and(|failure| failure.is_like(&failing.failure))
        };
        let end = (0..whole.len()).find(|&end| fails(&whole[..end])).unwrap_or(whole.len());
        let mut picks = whole[..end].to_vec();
        let mut at = 0;
        while at < picks.len() {
            let mut without = picks.clone();
            without.remove(at);
            if fails(&without) {
                picks = without;
            } else {
                at += 1;
            }
        }
        failing.length = picks.len();
        failing.schedule = schedule::write(&picks);
    }
}

impl<T> fmt::Debug for Search<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Search { rules, max_schedules, max_turns, .. } = self;
        write!(f, "{rules:?}, {max_schedules} schedules and {max_turns} turns at most")
    }
}

#[cfg(feature = "record")]
impl<T: fmt::Debug> Exploration<T> {
    /// The run of the shortest schedule that fails, made once more and recorded; nothing if none fails. `program` is
    /// the one that was explored. [`timeline`](crate::study::timeline) draws it.
    ///
    /// # Panics
    ///
    /// As [`explore`](fn@crate::study::explore); and if the schedule does not fit, because it is another program.
    #[track_caller]
    pub fn diagram<F>(&self, mut program: impl FnMut() -> F) -> Option<Recording>
    where
        F: Future<Output = T>,
    {
        let failing = self.failing.first()?;
        let failure = failing.failure.to_string();
        let title = format!("{}: {}", Titled(&failing.schedule), failure.lines().next().unwrap_or_default());
        let recorder = Rc::new(Recorder::whole().titled(&title));
        let search = Search { rules: self.rules, max_schedules: 1, max_turns: 0, expect: None };
        let watch: [Rc<dyn Observer>; 1] = [recorder.clone()];
        match search.replay(&failing.schedule, &watch, &mut program) {
            Ok(_) => Some(recorder.recording()),
            Err(misfit) => panic!("a diagram needs the program that was explored: {misfit}"),
        }
    }
}
