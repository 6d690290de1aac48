//! What a recording says about one moment, by looking through its steps afresh: the other way round than the page,
//! which keeps a state and changes it.
//!
//! ```text
//!   ready    := whose last word among woken, poll_started, finished is woken        in order of that word
//!   timer    := a deadline said since the last turn began, not reached by any `fired` since
//!   in line  := who asked for it, and asked in every turn since, and did not get it   in order of the first asking
//! ```
//!
//! Does not know: the page.

use std::collections::{BTreeMap, BTreeSet};

use roundel::study::Recording;
use roundel::study::recording::{Actor, Behind, Kind, Step, What, Which};

const TICK: u64 = 1_000_000;

/// The first so many steps of a recording.
pub(crate) struct Moment<'a> {
    steps: &'a [Step],
}

impl<'a> Moment<'a> {
    pub(crate) fn after(recording: &'a Recording, position: usize) -> Moment<'a> {
        Moment { steps: &recording.steps[..position] }
    }

    /// The last step for which `find` has something to say, and its place.
    fn last<T>(&self, find: impl Fn(&What) -> Option<T>) -> Option<(usize, T)> {
        self.steps.iter().enumerate().rev().find_map(|(place, step)| Some((place, find(&step.what)?)))
    }

    fn tasks(&self) -> BTreeSet<u64> {
        let made = |step: &Step| if let What::Spawned { task, .. } = step.what { Some(task) } else { None };
        self.steps.iter().filter_map(made).collect()
    }

    /// Whose turn it is.
    pub(crate) fn running(&self) -> Option<u64> {
        let turn = |what: &What| match *what {
            What::PollStarted { task } => Some(Some(task)),
            What::PollEnded { .. } => Some(None),
            _ => None,
        };
        self.last(turn)?.1
    }

    /// Where a task was put into the queue, if it is still there.
    fn queued_at(&self, id: u64) -> Option<usize> {
        let word = |what: &What| match *what {
            What::Woken { task, .. } if task == id => Some(true),
            What::PollStarted { task } | What::Finished { task, .. } if task == id => Some(false),
            _ => None,
        };
        self.last(word).and_then(|(place, is_queued)| is_queued.then_some(place))
    }

    /// The ready tasks, next first.
    pub(crate) fn queue(&self) -> Vec<u64> {
        let mut ready: Vec<(usize, u64)> =
            self.tasks().into_iter().filter_map(|task| Some((self.queued_at(task)?, task))).collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, task)| task).collect()
    }

    /// Every task and its state.
    pub(crate) fn stages(&self) -> Vec<(u64, &'static str)> {
        self.tasks().into_iter().map(|task| (task, self.stage(task))).collect()
    }

    fn stage(&self, id: u64) -> &'static str {
        let end = |what: &What| match *what {
            What::Finished { task, .. } if task == id => Some("finished"),
            What::PollEnded { task, pending: false } if task == id => Some("done"),
            What::Spawned { task, .. } if task == id => Some(""),
            _ => None,
        };
        match self.last(end) {
            Some((_, end)) if !end.is_empty() => end,
            _ if self.running() == Some(id) => "running",
            _ if self.queued_at(id).is_some() => "ready",
            _ => "waiting",
        }
    }

    /// The step with which the last turn of a task began; nothing of an earlier turn counts.
    fn turn_of(&self, id: u64) -> usize {
        let begun = |what: &What| matches!(*what, What::PollStarted { task } if task == id).then_some(());
        self.last(begun).map_or(0, |(place, ())| place)
    }

    /// What a task said in its last turn.
    fn waits(&self, id: u64) -> impl Iterator<Item = (usize, Which, &Behind)> {
        let from = if matches!(self.stage(id), "done" | "finished") { self.steps.len() } else { self.turn_of(id) };
        self.steps[from..].iter().enumerate().filter_map(move |(place, step)| match &step.what {
            What::Waiting { by: Actor::Task(task), resource, behind, .. } if *task == id => {
                Some((from + place, *resource, behind))
            }
            _ => None,
        })
    }

    /// The tick of every timer that is set, and whose it is; earliest first.
    pub(crate) fn timers(&self) -> Vec<(u64, u64)> {
        let fired_up_to = |place: usize| {
            let fired = self.steps[place..].iter().rev().find(|step| matches!(step.what, What::Fired { .. }));
            fired.map_or(0, |step| step.at / TICK + 1)
        };
        let mut timers = Vec::new();
        for task in self.tasks() {
            for (place, _, behind) in self.waits(task) {
                if let Behind::Deadline(Some(deadline)) = behind {
                    timers.push((deadline.div_ceil(TICK), task, fired_up_to(place)));
                }
            }
        }
        timers.retain(|&(tick, _, fired)| tick >= fired);
        timers.sort_by_key(|&(tick, ..)| tick);
        timers.into_iter().map(|(tick, task, _)| (tick, task)).collect()
    }

    /// Level and slot of every slot of the wheel in which there are timers, and how many.
    pub(crate) fn wheel(&self) -> Vec<(u64, u64, u64)> {
        let now = self.steps.last().map_or(0, |step| step.at / TICK);
        let mut slots: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (tick, _) in self.timers() {
            let tick = tick.max(now);
            let highest_bit = u64::from((tick ^ now | 1).ilog2());
            let level = highest_bit / 6;
            *slots.entry((level, tick >> (6 * level) & 63)).or_default() += 1;
        }
        slots.into_iter().map(|((level, slot), timers)| (level, slot, timers)).collect()
    }

    /// Every lock and semaphore that was seen: who has it, and who is in line.
    pub(crate) fn locks(&self) -> BTreeMap<String, (Vec<u64>, Vec<u64>)> {
        let seen = self.steps.iter().filter_map(|step| match step.what {
            What::Acquired { resource, .. } | What::Waiting { resource, .. } => Some(resource),
            _ => None,
        });
        let locks: BTreeSet<Which> = seen.filter(|which| matches!(which.kind, Kind::Lock | Kind::Semaphore)).collect();
        let kind = |which: Which| which.kind.to_string().to_lowercase();
        let row = |which| (format!("{} {}", kind(which), which.number), (self.holders(which), self.line(which)));
        locks.into_iter().map(row).collect()
    }

    fn holders(&self, which: Which) -> Vec<u64> {
        let mut holders = Vec::new();
        for step in self.steps {
            match step.what {
                What::Acquired { by: Actor::Task(task), resource, .. } if resource == which => holders.push(task),
                What::Released { by: Actor::Task(task), resource } if resource == which => {
                    let newest = holders.iter().rposition(|holder| *holder == task).unwrap();
                    holders.remove(newest);
                }
                _ => {}
            }
        }
        holders
    }

    fn line(&self, which: Which) -> Vec<u64> {
        let mut line: Vec<(usize, u64)> =
            self.tasks().into_iter().filter_map(|task| Some((self.asked_at(task, which)?, task))).collect();
        line.sort_unstable();
        line.into_iter().map(|(_, task)| task).collect()
    }

    /// Where a task asked for it first, if it has asked in every turn since and did not get it.
    fn asked_at(&self, id: u64, which: Which) -> Option<usize> {
        let mut asked = None;
        let mut asked_in_turn = false;
        for (place, step) in self.steps.iter().enumerate() {
            match &step.what {
                What::PollStarted { task } if *task == id => asked_in_turn = false,
                What::Waiting { by: Actor::Task(task), resource, .. } if *task == id && *resource == which => {
                    asked_in_turn = true;
                    asked = asked.or(Some(place));
                }
                What::PollEnded { task, pending } if *task == id && !(asked_in_turn && *pending) => asked = None,
                What::Acquired { by: Actor::Task(task), resource, .. } if *task == id && *resource == which => {
                    (asked, asked_in_turn) = (None, false);
                }
                What::Finished { task, .. } if *task == id => asked = None,
                _ => {}
            }
        }
        asked
    }

    /// What was said so far.
    pub(crate) fn output(&self) -> Vec<&'a str> {
        let said = |step: &'a Step| if let What::Noted { text, .. } = &step.what { Some(text.as_str()) } else { None };
        self.steps.iter().filter_map(said).collect()
    }
}
