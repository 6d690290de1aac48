//! The questions that an inspector answers: `ps`, `tree`, `locks`, `why TASK`, each from a census.
//!
//! ```text
//!   ps     a line a task            tree   who spawned whom, and what each waits for
//!   locks  who has what, and who    why    from a task along its waits to where they end,
//!          stands in line for it           or round a circle
//! ```
//!
//! Promises: an answer is what the census says; what nobody told is called unknown; a circle is called one that lasts
//! only if each of its tasks waits for a lock or a task, and for nothing else.
//! Does not know: sockets, threads, the loop; whose guard it is by now that somebody took.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::clock::Instant;
use crate::observer::{Actor, Holder, TaskId, Waits};
use crate::study::census::{Behind, Census, Resident, Stage, Wait};
use crate::study::dump::HEAD;
use crate::study::words::{name_or_dash, place, roughly, table};

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Ps,
    Tree,
    Locks,
    /// Of the task with this number or name.
    Why(String),
}

/// What can be asked, for whoever asked something else.
const KNOWN: &str = "ask ps, tree, locks or why TASK (a number or a name)";

/// A sentence names so many holders: `locks` lists them all.
const FEW: usize = 4;

/// `why` follows so many tasks: who waits for more reads no more.
const MOST: usize = 32;

impl Request {
    /// The request that a line makes.
    ///
    /// # Errors
    ///
    /// In words, if it makes none.
    pub(crate) fn parse(line: &str) -> Result<Request, String> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("ps", "") => Ok(Request::Ps),
            ("tree", "") => Ok(Request::Tree),
            ("locks", "") => Ok(Request::Locks),
            ("why", "") => Err("why needs a task: its number or its name".to_owned()),
            ("why", task) => Ok(Request::Why(task.to_owned())),
            ("ps" | "tree" | "locks", _) => Err(format!("{word} stands alone: {KNOWN}")),
            ("", _) => Err(format!("an empty request: {KNOWN}")),
            _ => Err(format!("unknown request {word:?}: {KNOWN}")),
        }
    }

    /// The answer. It ends with a line's end.
    ///
    /// # Errors
    ///
    /// In words, if there is no such task.
    pub(crate) fn answer(&self, census: &Census, now: Instant) -> Result<String, String> {
        let view = View { census, now };
        match self {
            Request::Ps => Ok(view.ps()),
            Request::Tree => Ok(view.tree()),
            Request::Locks => Ok(view.locks()),
            Request::Why(task) => view.find(task).map(|task| view.why(task)),
        }
    }
}

/// A census, looked at at a moment.
struct View<'a> {
    census: &'a Census,
    now: Instant,
}

impl View<'_> {
    fn ps(&self) -> String {
        let row = |(id, task): (TaskId, &Resident)| {
            let name = name_or_dash(task.name.as_deref());
            let site = task.site.map_or_else(|| "-".to_owned(), place);
            let (state, waits) = self.state(task);
            [id.number().to_string(), name, state.to_owned(), waits, task.polls.to_string(), site]
        };
        table(HEAD, &self.census.tasks().map(row).collect::<Vec<_>>())
    }

    /// In which state a task is, and what it waits for.
    fn state(&self, task: &Resident) -> (&'static str, String) {
        match task.stage {
            Stage::Running => ("running", "-".to_owned()),
            Stage::Ready => ("ready", "its turn".to_owned()),
            Stage::Waiting if task.waits.is_empty() => ("waiting", UNKNOWN.to_owned()),
            Stage::Waiting => {
                let all: Vec<String> = task.waits.iter().map(|wait| self.what(wait)).collect();
                ("waiting", all.join(" or "))
            }
        }
    }

    /// What is waited for, in a few words.
    fn what(&self, wait: &Wait) -> String {
        match &wait.behind {
            Behind::Deadline(Instant::FAR) => "a timer that never fires".to_owned(),
            Behind::Deadline(deadline) => format!("Timer, in {}", roughly(deadline.duration_since(self.now))),
            Behind::Task(task) => self.census.name_of(*task),
            Behind::Members => match *self.alive(wait) {
                [] => "tasks that are over".to_owned(),
                [one] => self.census.name_of(one),
                [first, .., last] => format!("{} tasks, {first} to {last}", self.alive(wait).len()),
            },
            Behind::Anyone | Behind::Holders(_) => match wait.resource.kind {
                Waits::Thread => "a closure on a thread".to_owned(),
                Waits::Turn => "its turn".to_owned(),
                _ => wait.resource.to_string(),
            },
        }
    }

    /// Who is left of those who were told as members.
    fn alive(&self, family: &Wait) -> Vec<TaskId> {
        self.census.members(family.resource).collect()
    }

    fn tree(&self) -> String {
        let mut children: BTreeMap<Option<TaskId>, Vec<TaskId>> = BTreeMap::new();
        for (id, task) in self.census.tasks() {
            let parent = task.parent.task().filter(|&parent| self.census.task(parent).is_some());
            children.entry(parent).or_default().push(id);
        }
        let mut text = String::new();
        // A task with what stands before its own line, and before those of its children.
        let begin = |ids: Option<&Vec<TaskId>>| -> Vec<(TaskId, String, String)> {
            ids.into_iter().flatten().rev().map(|&id| (id, String::new(), String::new())).collect()
        };
        let mut line = begin(children.get(&None));
        while let Some((id, before, below)) = line.pop() {
            let Some(task) = self.census.task(id) else { continue };
            let (state, waits) = self.state(task);
            text += &format!("{before}{}: {state}", self.census.name_of(id));
            if task.stage == Stage::Waiting {
                text += &format!(" for {waits}");
            }
            match task.parent {
                Actor::Task(parent) if self.census.task(parent).is_none() => {
                    text += &format!(" (spawned by {parent}, which is over)");
                }
                _ => {}
            }
            text.push('\n');
            let own = children.get(&Some(id)).map_or(&[][..], Vec::as_slice);
            for (number, &child) in own.iter().enumerate().rev() {
                let (branch, trunk) =
                    if number + 1 == own.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
                line.push((child, format!("{below}{branch}"), format!("{below}{trunk}")));
            }
        }
        text
    }

    fn locks(&self) -> String {
        let mut text = String::new();
        for (resource, thing) in self.census.things() {
            if !matches!(resource.kind, Waits::Lock | Waits::Semaphore) {
                continue;
            }
            text += &format!("{resource}\n");
            for holder in &thing.holders {
                text += &format!("  held by {}\n", self.holder(holder));
            }
            if thing.holders.is_empty() {
                text += "  held by nobody\n";
            }
            for (place_in_line, waiter) in thing.line().enumerate() {
                text += &format!("  {} in line: {}", place_in_line + 1, self.census.name_of(waiter));
                let wait = self.census.task(waiter).and_then(|task| task.waits.iter().find(|w| w.resource == resource));
                if let Some(site) = wait.and_then(|wait| wait.site) {
                    text += &format!(" (at {})", place(site));
                }
                text.push('\n');
            }
        }
        if text.is_empty() { "no lock and no semaphore is held or waited for\n".to_owned() } else { text }
    }

    fn holder(&self, holder: &Holder) -> String {
        let who = match holder.who {
            Actor::Task(task) if self.census.task(task).is_none() => {
                format!("{}, which is over,", self.census.name_of(task))
            }
            Actor::Task(task) => self.census.name_of(task),
            _ => "code outside any task".to_owned(),
        };
        format!("{who} (taken at {})", place(holder.site))
    }

    /// The task with this number or this name; of several with one name the oldest.
    fn find(&self, asked: &str) -> Result<TaskId, String> {
        let bare = asked.strip_prefix("task ").unwrap_or(asked).trim_matches('"');
        let by_number = bare.parse().map(TaskId).ok().filter(|&id| self.census.task(id).is_some());
        let by_name = || self.census.tasks().find(|(_, task)| task.name.as_deref() == Some(bare)).map(|(id, _)| id);
        by_number.or_else(by_name).ok_or_else(|| {
            format!("there is no task {asked:?}: it is over, or never was; ps lists those that are there")
        })
    }

    /// Every task on the way from this one to where the waits end, nearest first.
    fn why(&self, start: TaskId) -> String {
        let mut text = String::new();
        let mut seen = BTreeSet::from([start]);
        let mut line = VecDeque::from([start]);
        let mut told = 0;
        while let Some(id) = line.pop_front() {
            let Some(task) = self.census.task(id) else { continue };
            if told == MOST {
                text += &format!("and {} more, and whoever they wait for\n", line.len() + 1);
                break;
            }
            told += 1;
            text += &self.census.name_of(id);
            if let Some(site) = task.site {
                text += &format!(" (spawned at {})", place(site));
            }
            text.push('\n');
            for reason in self.reasons(task) {
                text += &format!("  {reason}\n");
            }
            line.extend(self.ways(task).into_iter().filter(|&next| seen.insert(next)));
        }
        text + &self.circle_from(start)
    }

    /// Why a task does not run, a sentence for each thing it waits for.
    fn reasons(&self, task: &Resident) -> Vec<String> {
        match task.stage {
            Stage::Running => vec!["has its turn".to_owned()],
            Stage::Ready => vec!["is ready, and waits for its turn only".to_owned()],
            Stage::Waiting if task.waits.is_empty() => vec![format!("waits for {UNKNOWN}")],
            Stage::Waiting => task.waits.iter().map(|wait| self.reason(wait)).collect(),
        }
    }

    fn reason(&self, wait: &Wait) -> String {
        let at = wait.site.map(|site| format!(" (at {})", place(site))).unwrap_or_default();
        let what = self.what(wait);
        let holders = self.census.holders_of(wait);
        let ends = match (&wait.behind, wait.resource.kind) {
            (Behind::Deadline(_), _) => String::new(),
            (Behind::Task(_) | Behind::Members, _) => " to end".to_owned(),
            (_, Waits::Socket) => ", on which the other side has to act".to_owned(),
            (_, Waits::Thread) => " to end".to_owned(),
            _ if holders.is_empty() => ", and it is not known who will end that".to_owned(),
            _ => {
                let names: Vec<String> = holders.iter().take(FEW).map(|holder| self.holder(holder)).collect();
                let more = if holders.len() > FEW { " and others" } else { "" };
                format!(", held by {}{more}", names.join(", "))
            }
        };
        format!("waits for {what}{at}{ends}")
    }

    /// The tasks that have to act before this one goes on.
    fn ways(&self, task: &Resident) -> Vec<TaskId> {
        if task.stage != Stage::Waiting {
            return Vec::new();
        }
        let of_one = |wait: &Wait| match &wait.behind {
            Behind::Task(task) => vec![*task],
            Behind::Members => self.alive(wait),
            _ => self.census.holders_of(wait).iter().filter_map(|holder| holder.who.task()).collect(),
        };
        task.waits.iter().flat_map(of_one).collect()
    }

    /// The task without which this one does not go on, as far as that is certain: a lock has one holder, and a task
    /// one end. A semaphore may have a permit from another than the next, and of a family one member may be enough.
    fn only_way(&self, task: &Resident) -> Vec<TaskId> {
        match (task.stage, &*task.waits) {
            (Stage::Waiting, [wait]) if wait.resource.kind == Waits::Lock || matches!(wait.behind, Behind::Task(_)) => {
                self.ways(task)
            }
            _ => Vec::new(),
        }
    }

    /// A sentence that names a circle that the waits of this task lead to, if they do.
    fn circle_from(&self, start: TaskId) -> String {
        let ways = |id| self.census.task(id).map_or_else(Vec::new, |task| self.ways(task));
        let only_way = |id| self.census.task(id).map_or_else(Vec::new, |task| self.only_way(task));
        // One that is certain says more, wherever it is.
        let certain = circle_in(&self.all_behind(start), only_way);
        if !certain.is_empty() {
            let unless = "unless a guard was given to another task, or one of them is cancelled";
            return format!("a circle: {}; none of them goes on, {unless}\n", self.around(&certain));
        }
        let uncertain = circle_in(&[start], ways);
        if uncertain.is_empty() {
            return String::new();
        }
        let names = self.around(&uncertain);
        format!("a circle with ways out: {names}; not each of them is known to need the next\n")
    }

    /// This task and everybody whom its waits lead to.
    fn all_behind(&self, start: TaskId) -> Vec<TaskId> {
        let mut seen = BTreeSet::from([start]);
        let mut line = vec![start];
        let mut at = 0;
        while let Some(task) = line.get(at).map(|&id| self.census.task(id)) {
            let ways = task.map_or_else(Vec::new, |task| self.ways(task));
            line.extend(ways.into_iter().filter(|&next| seen.insert(next)));
            at += 1;
        }
        line
    }

    /// The names, from the oldest round to it.
    fn around(&self, circle: &[TaskId]) -> String {
        let oldest = circle.iter().enumerate().min_by_key(|(_, id)| **id).map_or(0, |(at, _)| at);
        let mut names: Vec<String> =
            circle[oldest..].iter().chain(&circle[..oldest]).map(|&id| self.census.name_of(id)).collect();
        names.extend(names.first().cloned());
        names.join(" -> ")
    }
}

/// A circle that these lead to; empty if they lead to none.
fn circle_in(starts: &[TaskId], ways_of: impl Fn(TaskId) -> Vec<TaskId>) -> Vec<TaskId> {
    // Depth first, with the path that led here; a task that is left was on no circle.
    let mut seen = BTreeSet::new();
    for &start in starts {
        if !seen.insert(start) {
            continue;
        }
        let mut path = vec![(start, ways_of(start))];
        while let Some((_, ways)) = path.last_mut() {
            let Some(next) = ways.pop() else {
                path.pop();
                continue;
            };
            if seen.insert(next) {
                path.push((next, ways_of(next)));
            } else if let Some(at) = path.iter().position(|(id, _)| *id == next) {
                return path[at..].iter().map(|(id, _)| *id).collect();
            }
        }
    }
    Vec::new()
}

const UNKNOWN: &str = "something unknown to the runtime";
