//! The deadlock, explained: who waits for whom, and why that never ends.
//!
//! ```text
//!   task 1 --waits for--> Lock "b" --held by--> task 2        a cycle: nobody in it goes first
//!     ^                                            |
//!     `------held by------ Lock "a" <--waits for---'  <-- task 3, and whoever else stands behind it
//! ```
//!
//! Holt's resource graph (*Some Deadlock Properties of Computer Systems*, 1972) with the locks and tasks of one
//! loop: a cycle in it is a deadlock if each of its tasks waits for one thing only.
//!
//! Promises: what it says is what the tasks themselves said when they were asked; it guesses nothing.
//! Does not know: the loop, nor whether this is really the end; whoever asks for an explanation knows that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::Location;

use crate::observer::{Actor, Resource, TaskId, Waits};
use crate::study::census::{Behind, Census, Wait};
use crate::study::words::who;

/// Why nothing will ever happen on a loop again: the error of
/// [`EventLoop::try_block_on`](crate::EventLoop::try_block_on), and what `block_on` panics with.
///
/// Its text names every task that waits, what for, and who has it, with the lines of the calls. (`Debug` gives the
/// same as `Display`: a `main` that returns it prints it, and ends with status 1.)
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// Every task that is stuck, in order of spawning.
    pub tasks: Vec<Stuck>,
    /// Each cycle of tasks that wait for each other, beginning with its oldest: the next one in it has what the
    /// one before waits for. A task that waits for itself is a cycle of one.
    pub cycles: Vec<Vec<TaskId>>,
}

/// Whom to tell of a circle while others run on.
pub(crate) type TellCircle = Box<dyn Fn(Deadlock)>;

/// A task that waits for what will never be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it has one; `main` is the future given to `block_on`.
    pub name: Option<Box<str>>,
    /// The line that spawned it.
    pub site: Option<&'static Location<'static>>,
    /// The locks it holds that others, or it itself, wait for.
    pub holds: Vec<Held>,
    /// What it waits for: one thing, or several branches of a future.
    pub waits: Vec<Waiting>,
}

/// Something that a stuck task holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// What it is.
    pub resource: Resource,
    /// Its name, or its kind and number.
    pub what: Box<str>,
    /// The line that took it.
    pub site: &'static Location<'static>,
}

/// Something that a stuck task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// What it is.
    pub resource: Resource,
    /// Its name, or its kind and number.
    pub what: Box<str>,
    /// The line of the call, where that is known.
    pub site: Option<&'static Location<'static>>,
    /// Why the wait does not end.
    pub why: Why,
}

/// Why a wait does not end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// These have it, or took it last, and do not give it back.
    HeldBy(Vec<(Actor, &'static Location<'static>)>),
    /// These tasks, of which none will end, have to end first.
    Unfinished(Vec<TaskId>),
    /// Nobody who is left does what it takes.
    Nobody,
    /// The moment will not come: it lies at the end of time, or the clock stands still.
    Never,
}

impl Deadlock {
    /// Explains why none of these tasks goes on.
    pub(crate) fn of(census: &Census) -> Deadlock {
        let mut holds = locks_in_hands(census);
        let tasks = census.tasks().map(|(id, resident)| Stuck {
            id,
            name: resident.name.as_deref().map(Box::from),
            site: resident.site,
            holds: holds.remove(&id).unwrap_or_default(),
            waits: resident.waits.iter().map(|wait| waiting(census, wait)).collect(),
        });
        let tasks: Vec<Stuck> = tasks.collect();
        let cycles = cycles_in(&tasks);
        Deadlock { tasks, cycles }
    }

    /// Keeps one circle, and the tasks that are in it.
    pub(crate) fn keep_only(&mut self, circle: &[TaskId]) {
        self.cycles.retain(|cycle| cycle.iter().all(|id| circle.contains(id)));
        self.tasks.retain(|task| circle.contains(&task.id));
    }

    fn task(&self, id: TaskId) -> Option<&Stuck> {
        self.tasks.binary_search_by_key(&id, |task| task.id).ok().map(|at| &self.tasks[at])
    }

    fn name_of(&self, id: TaskId) -> String {
        who(id, self.task(id).and_then(|task| task.name.as_deref()))
    }
}

/// The locks that somebody waits for, by who has them.
fn locks_in_hands(census: &Census) -> BTreeMap<TaskId, Vec<Held>> {
    let mut seen = BTreeSet::new();
    let mut hands: BTreeMap<TaskId, Vec<Held>> = BTreeMap::new();
    let waits = census.tasks().flat_map(|(_, resident)| &resident.waits);
    for wait in waits.filter(|wait| wait.resource.kind == Waits::Lock && seen.insert(wait.resource)) {
        for holder in census.holders_of(wait) {
            if let Actor::Task(id) = holder.who {
                let what = wait.resource.to_string().into();
                hands.entry(id).or_default().push(Held { resource: wait.resource, what, site: holder.site });
            }
        }
    }
    hands.values_mut().for_each(|held| held.sort_by_key(|held| held.resource));
    hands
}

fn waiting(census: &Census, wait: &Wait) -> Waiting {
    let why = match &wait.behind {
        Behind::Deadline(_) => Why::Never,
        Behind::Task(task) => Why::Unfinished(vec![*task]),
        Behind::Members => Why::Unfinished(census.members(wait.resource).collect()),
        Behind::Anyone | Behind::Holders(_) => {
            let holders = census.holders_of(wait);
            if holders.is_empty() {
                Why::Nobody
            } else {
                Why::HeldBy(holders.into_iter().map(|holder| (holder.who, holder.site)).collect())
            }
        }
    };
    Waiting { resource: wait.resource, what: wait.resource.to_string().into(), site: wait.site, why }
}

impl Waiting {
    /// The tasks that have to move first.
    fn blockers(&self) -> Vec<TaskId> {
        match &self.why {
            // Who took permits of a semaphore may long have given them back.
            Why::HeldBy(holders) if self.resource.kind == Waits::Lock => {
                holders.iter().filter_map(|(who, _)| who.task()).collect()
            }
            Why::Unfinished(tasks) => tasks.clone(),
            _ => Vec::new(),
        }
    }
}

/// The cycles among the tasks, each once: from every task that may be in one, the shortest way back to it.
fn cycles_in(tasks: &[Stuck]) -> Vec<Vec<TaskId>> {
    let blockers = |task: &Stuck| task.waits.iter().flat_map(Waiting::blockers).collect();
    let ways: BTreeMap<TaskId, Vec<TaskId>> = tasks.iter().map(|task| (task.id, blockers(task))).collect();
    let ways = without_ends(ways);
    let mut in_one: BTreeSet<TaskId> = BTreeSet::new();
    let mut cycles: Vec<Vec<TaskId>> = Vec::new();
    for &start in ways.keys() {
        if in_one.contains(&start) {
            continue;
        }
        // Breadth first, so that the cycle found is a shortest one. With whom each was reached.
        let mut reached: BTreeMap<TaskId, TaskId> = BTreeMap::new();
        let mut line = vec![start];
        let mut at = 0;
        while at < line.len() && !reached.contains_key(&start) {
            let from = line[at];
            for &to in ways.get(&from).into_iter().flatten() {
                reached.entry(to).or_insert_with(|| {
                    line.push(to);
                    from
                });
            }
            at += 1;
        }
        if reached.contains_key(&start) {
            let mut cycle = vec![start];
            let mut back = reached[&start];
            while back != start {
                cycle.push(back);
                back = reached[&back];
            }
            cycle[1..].reverse();
            in_one.extend(&cycle);
            cycles.push(cycle);
        }
    }
    cycles
}

/// Takes away whoever waits for nobody, or is waited for by nobody, until none is left: what remains is circles, and
/// what lies between two of them.
fn without_ends(mut ways: BTreeMap<TaskId, Vec<TaskId>>) -> BTreeMap<TaskId, Vec<TaskId>> {
    for _ in 0..2 {
        let mut back: BTreeMap<TaskId, Vec<TaskId>> = ways.keys().map(|&id| (id, Vec::new())).collect();
        for (&from, to) in &mut ways {
            to.retain(|to| {
                back.get_mut(to).is_some_and(|froms| {
                    froms.push(from);
                    true
                })
            });
        }
        let mut left: BTreeMap<TaskId, usize> = ways.iter().map(|(&id, to)| (id, to.len())).collect();
        let mut ends: Vec<TaskId> = left.iter().filter(|(_, left)| **left == 0).map(|(&id, _)| id).collect();
        while let Some(end) = ends.pop() {
            left.remove(&end);
            for &from in &back[&end] {
                if let Some(ways_left) = left.get_mut(&from) {
                    *ways_left -= 1;
                    if *ways_left == 0 {
                        ends.push(from);
                    }
                }
            }
        }
        // Once along the ways, and once against them.
        back.retain(|id, _| left.contains_key(id));
        ways = back;
    }
    let staying: BTreeSet<TaskId> = ways.keys().copied().collect();
    ways.values_mut().for_each(|to| to.retain(|to| staying.contains(to)));
    ways
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadlock: ")?;
        match &*self.cycles {
            [] => write!(f, "nobody is left who could wake anybody")?,
            [cycle] if cycle.len() == 1 => write!(f, "a task waits for itself")?,
            [cycle] => write!(f, "{} tasks wait for each other in a circle", cycle.len())?,
            cycles => write!(f, "there are {} circles of tasks that wait for each other", cycles.len())?,
        }
        for (number, cycle) in self.cycles.iter().enumerate() {
            if self.cycles.len() > 1 {
                write!(f, "\n circle {}:", number + 1)?;
            }
            for task in cycle.iter().filter_map(|&id| self.task(id)) {
                self.explain(f, task)?;
            }
        }
        let in_one = |task: &&Stuck| !self.cycles.iter().any(|cycle| cycle.contains(&task.id));
        let rest: Vec<&Stuck> = self.tasks.iter().filter(in_one).collect();
        if !rest.is_empty() && !self.cycles.is_empty() {
            write!(f, "\n also waiting:")?;
        }
        rest.into_iter().try_for_each(|task| self.explain(f, task))
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Deadlock {}

impl Deadlock {
    fn explain(&self, f: &mut fmt::Formatter<'_>, task: &Stuck) -> fmt::Result {
        write!(f, "\n  {}", self.name_of(task.id))?;
        if let Some(site) = task.site {
            write!(f, " (spawned at {site})")?;
        }
        for (number, held) in task.holds.iter().enumerate() {
            write!(f, "{} {} (taken at {})", if number == 0 { " holds" } else { "," }, held.what, held.site)?;
        }
        for (number, wait) in task.waits.iter().enumerate() {
            let and = if number == 0 && task.holds.is_empty() { "" } else { "and " };
            write!(f, "\n    {and}waits for ")?;
            self.explain_wait(f, task, wait)?;
        }
        Ok(())
    }

    fn explain_wait(&self, f: &mut fmt::Formatter<'_>, task: &Stuck, wait: &Waiting) -> fmt::Result {
        let at = wait.site.map(|site| format!(" (at {site})")).unwrap_or_default();
        match &wait.why {
            Why::HeldBy(holders) if wait.resource.kind == Waits::Semaphore => {
                write!(f, "{}{at}, whose permits were taken last by ", wait.what)?;
                self.name_all(f, holders)
            }
            Why::HeldBy(holders) => {
                write!(f, "{}{at}, held by ", wait.what)?;
                if holders.iter().all(|(who, _)| *who == Actor::Task(task.id)) {
                    return write!(
                        f,
                        "itself: the guard is still in scope there, in a future that is no longer polled, or was given away"
                    );
                }
                self.name_all(f, holders)
            }
            Why::Unfinished(tasks) if tasks.is_empty() => write!(f, "tasks{at} of which none is left"),
            Why::Unfinished(tasks) => {
                for (number, &id) in tasks.iter().enumerate() {
                    write!(f, "{}{}", if number == 0 { "" } else { ", " }, self.name_of(id))?;
                }
                write!(f, " to end{at}")
            }
            Why::Never => write!(f, "a moment that never comes{at}"),
            Why::Nobody => write!(f, "{}{at}, {}", wait.what, missing(wait.resource.kind)),
        }
    }

    fn name_all(&self, f: &mut fmt::Formatter<'_>, holders: &[(Actor, &'static Location<'static>)]) -> fmt::Result {
        for (number, (who, site)) in holders.iter().enumerate() {
            write!(f, "{}", if number == 0 { "" } else { ", " })?;
            match who {
                Actor::Task(id) => {
                    write!(f, "{}", self.name_of(*id))?;
                    if self.task(*id).is_none() {
                        write!(f, ", which is over: its guard was given away, or forgotten")?;
                    }
                }
                _ => write!(f, "code outside any task")?,
            }
            write!(f, " (taken at {site})")?;
        }
        Ok(())
    }
}

/// What nobody does who is left.
fn missing(kind: Waits) -> &'static str {
    match kind {
        Waits::Event => "which nobody is left to set",
        Waits::Condition => "which nobody is left to notify",
        Waits::Barrier => "whose other parties do not come",
        Waits::Queue => "and nobody is left who puts, takes or is done with an item",
        Waits::Oneshot => "whose other end does nothing any more",
        Waits::OnceCell => "which whoever fills it does not fill",
        Waits::Semaphore => "of which there are too few permits, and nobody is left who gives any",
        _ => "and nobody is left who ends that wait",
    }
}
