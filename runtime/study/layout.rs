//! The layout: works out the score of a recording, step by step from left to right.
//!
//! ```text
//!   step: poll_started { task 2 }      lane 2 was Ready since x = 40: a bar from there to here; now it is in its Turn
//!   step: woken { task 1, by task 2 }  an arrow from lane 2 to lane 1; lane 1 goes over from Wait to Ready
//!   step: .. 10 ms later ..            a gap
//! ```
//!
//! It is tried with much room, and with less if that comes out too large.
//!
//! Promises: what happened later stands further to the right.
//! Does not know: colours, shapes.

use std::collections::BTreeMap;

use crate::study::recording::{Actor, Behind, ClockKind, Kind, Outcome, Recording, Step, What, Which};
use crate::study::score::{Arrow, Bar, Gap, Lane, Mark, Score, Shape, Sort, Who, duration, first_line, width_of};

/// More lanes than these no one reads: further tasks are left out, and counted.
const MOST_LANES: usize = 60;
/// More turns than these make a picture of several metres: it ends there, and says what is left.
const MOST_TURNS: usize = 400;
/// Notes of one turn beyond these are a novel; a dot stands for them.
const MOST_NOTES: usize = 60;
/// The width of a strip, in pixels: what a page shows without making it much smaller. A longer picture goes on below.
const STRIP: f64 = 860.0;
/// The same, of a picture with so many lanes that it is large anyway.
const WIDE_STRIP: f64 = 1240.0;
/// Lanes, counted in each strip anew, beyond which things are given less room.
const ROOMY: f64 = 40.0;

/// Rows for what one task holds at one time. Of whoever holds more, as all permits of a semaphore, the rest is counted.
const MOST_ROWS: usize = 8;

/// How much room things are given.
#[derive(Clone, Copy)]
struct Room {
    /// Pixels for the least step.
    step: f64,
    /// Whether notes are written into the bars, which makes these as long as the text.
    notes: bool,
}

/// The layout with the most room that is not too large.
pub(crate) fn score(recording: &Recording) -> Score {
    let lay_out = |step, notes| Layout::new(recording, Room { step, notes }).run();
    let fits = |score: &Score| score.strips.len() == 1;
    let is_roomy = |score: &Score| (score.strips.len() * score.lanes.len()) as f64 <= ROOMY;
    let with_notes = [8.0, 5.5, 4.0].map(|step| lay_out(step, true));
    let best =
        with_notes.iter().position(fits).or_else(|| with_notes.iter().position(is_roomy).map(|best| best.max(1)));
    if let Some(best) = best {
        return with_notes.into_iter().nth(best).unwrap_or_default();
    }
    let without = lay_out(3.0, false);
    if fits(&without) { without } else { lay_out(2.0, false) }
}

/// The same with two digits that count: more, of a real clock, are chance.
fn about(nanos: u64) -> String {
    let mut unit = 1;
    while nanos / unit >= 100 {
        unit *= 10;
    }
    duration(nanos.saturating_add(unit / 2) / unit * unit)
}

/// Which lane has how far come.
struct Layout<'a> {
    recording: &'a Recording,
    room: Room,
    /// Time steps shorter than this make no gap.
    least_gap: u64,
    lane_of: BTreeMap<Who, usize>,
    /// Which thread runs which closure.
    runs: BTreeMap<Which, u32>,
    x: f64,
    now: u64,
    turns: usize,
    /// Where a strip may end.
    breaks: Vec<f64>,
    /// Whether it was said that the loop asks its tasks, which it does when it looks for a deadlock.
    asks: bool,
    doing: Vec<Doing>,
    holds: Vec<Hold>,
    score: Score,
}

/// What a lane is at.
#[derive(Clone, Debug, Default)]
struct Doing {
    state: State,
    since: f64,
    since_time: u64,
    /// Why it waits, as it said in its last turn.
    reasons: Vec<String>,
    /// What it, a thread, does; innermost last.
    works: Vec<(f64, u64, String)>,
    turns: usize,
    notes: Vec<String>,
    /// What it, a task, panicked with, and nobody heard.
    fault: String,
}

/// A lock or a permit in somebody's hands.
struct Hold {
    lane: usize,
    resource: Which,
    /// None that is taken later stands in this row as long as it lasts.
    row: usize,
    from: f64,
    title: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not there yet, or no more.
    #[default]
    Away,
    Ready,
    Turn {
        /// It was woken meanwhile.
        woken: bool,
        /// It is over but for the telling.
        done: bool,
    },
    Wait,
}

impl<'a> Layout<'a> {
    fn new(recording: &'a Recording, room: Room) -> Layout<'a> {
        let mut lanes = Vec::new();
        if recording.steps.iter().any(|step| comes_from_the_world(&step.what)) {
            lanes.push(Lane { who: Who::World, label: "the world".into(), below: "clock, sockets, others".into() });
        }
        lanes.extend(recording.tasks.iter().take(MOST_LANES).map(|task| {
            let below = task.site.as_ref().map_or(String::new(), |site| {
                format!("{}:{}", site.file.rsplit(['/', '\\']).next().unwrap_or_default(), site.line)
            });
            Lane { who: Who::Task(task.id), label: recording.task_label(task.id), below }
        }));
        lanes.extend(recording.threads.iter().take(MOST_LANES).map(|thread| Lane {
            who: Who::Thread(thread.id),
            label: thread.name.clone(),
            below: "thread".into(),
        }));
        let runs = recording.steps.iter().filter_map(|step| match step.what {
            What::Began { thread, job: Some(job), .. } => Some((job, thread)),
            _ => None,
        });
        let lasts = recording.steps.last().map_or(0, |last| last.at);
        Layout {
            recording,
            room,
            // On a real clock everything takes some time; what is short beside the whole is not worth a gap.
            least_gap: least_gap(recording, lasts),
            lane_of: lanes.iter().enumerate().map(|(nr, lane)| (lane.who, nr)).collect(),
            runs: runs.collect(),
            x: room.step,
            now: 0,
            turns: 0,
            breaks: Vec::new(),
            asks: false,
            doing: vec![Doing::default(); lanes.len()],
            holds: Vec::new(),
            score: Score { tasks_left: recording.tasks.len().saturating_sub(MOST_LANES), lanes, ..Score::default() },
        }
    }

    fn run(mut self) -> Score {
        let recording = self.recording;
        let mut newborn = None;
        for (number, step) in recording.steps.iter().enumerate() {
            if self.turns > MOST_TURNS {
                self.score.steps_left = recording.steps.len() - number;
                break;
            }
            self.pass_time(step.at);
            // The first wake of a task says no more than its spawning did.
            let first_wake = matches!(step.what, What::Woken { task, .. } if newborn == Some(task));
            newborn = match step.what {
                What::Spawned { task, .. } => Some(task),
                _ => None,
            };
            if !first_wake {
                self.take(step);
            }
        }
        self.close();
        self.score
    }

    /// A strip may end here, after what has happened so far.
    fn may_break(&mut self) {
        self.breaks.push(self.x + self.room.step / 4.0);
    }

    fn forward(&mut self, steps: f64) {
        self.x += steps * self.room.step;
    }

    fn duration(&self, nanos: u64) -> String {
        if self.recording.clock == ClockKind::Real { about(nanos) } else { duration(nanos) }
    }

    fn pass_time(&mut self, at: u64) {
        let lasts = at.saturating_sub(self.now);
        if lasts < self.least_gap {
            return;
        }
        self.may_break();
        let mut from = self.x + self.room.step;
        let mut long = 4.0 * self.room.step;
        // With room for what is written above it, and above the end of the one before.
        if self.room.notes {
            if let Some(before) = self.score.gaps.last() {
                from = from.max(before.to + width_of(&before.until, 11.0) + 8.0);
            }
            let whole = self.recording.steps.last().map_or(1, |last| last.at.max(1));
            long = width_of(&format!("+{}", self.duration(lasts)), 11.0)
                + 10.0
                + 50.0 * (lasts as f64 / whole as f64).sqrt();
        }
        let to = from + long;
        self.score.gaps.push(Gap { from, to, lasts: self.duration(lasts), until: duration(at) });
        self.x = to;
        self.now = at;
    }

    fn take(&mut self, step: &Step) {
        match &step.what {
            What::Spawned { task, site, by, .. } => {
                let title = format!("{} spawns {} ({site})", self.name(*by), self.recording.task_label(*task));
                self.point(*by, Who::Task(*task), true, title);
                self.enter(Who::Task(*task), State::Ready, step.at);
            }
            What::Woken { task, by, cause } => self.wake(*task, *by, *cause, step.at),
            What::PollStarted { task } => {
                self.turns += usize::from(self.lane_of.contains_key(&Who::Task(*task)));
                self.may_break();
                self.forward(1.0);
                self.enter(Who::Task(*task), State::Turn { woken: false, done: false }, step.at);
                if let Some(doing) = self.doing(Who::Task(*task)) {
                    doing.turns += 1;
                }
            }
            What::PollEnded { task, pending } => self.end_turn(*task, *pending, step.at),
            What::Waiting { by: Actor::Task(task), resource, behind, .. } => {
                let reason = self.reason(*resource, behind, step.at);
                if let Some(doing) = self.doing(Who::Task(*task)) {
                    doing.reasons.push(reason);
                }
            }
            What::Acquired { by, resource, site } => {
                self.forward(0.5);
                if let Some(lane) = self.lane(*by) {
                    let title = format!("has {} (taken at {site})", self.recording.resource_label(*resource));
                    let taken = |row: &usize| self.holds.iter().any(|hold| hold.lane == lane && hold.row == *row);
                    let row = (0..).find(|row| !taken(row)).unwrap_or_default();
                    self.holds.push(Hold { lane, resource: *resource, row, from: self.x, title });
                }
            }
            What::Released { by, resource } => self.release(*by, *resource),
            What::Finished { task, outcome } => self.finish(*task, *outcome, step.at),
            What::Unread { task, text, .. } => self.unread(*task, text),
            What::Noted { by, text } => self.note(*by, text),
            What::Submitted { job, by, site } => {
                if let Some(thread) = self.runs.get(job).copied() {
                    let title = format!("{} hands a closure to a thread ({site})", self.name(*by));
                    self.point(*by, Who::Thread(thread), true, title);
                }
            }
            What::Began { thread, job, text } => {
                self.may_break();
                self.forward(1.0);
                let text = job.map_or_else(|| text.clone(), |job| self.recording.resource_label(job));
                let (x, at) = (self.x, step.at);
                if let Some(doing) = self.doing(Who::Thread(*thread)) {
                    doing.works.push((x, at, text));
                }
            }
            What::Ended { thread, .. } => {
                self.forward(1.0);
                self.end_work(Who::Thread(*thread), step.at);
            }
            _ => {}
        }
    }

    fn wake(&mut self, task: u64, by: Actor, cause: Option<Which>, at: u64) {
        let who = Who::Task(task);
        let Some(doing) = self.doing(who) else { return };
        if let State::Turn { woken, .. } = &mut doing.state {
            *woken = true;
            return;
        }
        if by == Actor::Loop && !self.asks {
            self.asks = true;
            self.note(Actor::Outside, "the loop asks those who wait for what");
        }
        // Not upon the end of its own bar.
        let since = self.doing(who).map_or(0.0, |doing| doing.since);
        if self.x - since < self.room.step {
            self.forward(0.5);
        }
        let why =
            cause.map_or(String::new(), |cause| format!(", which waited for {}", self.recording.resource_label(cause)));
        let by_closure = cause.filter(|_| by == Actor::Thread).and_then(|job| self.runs.get(&job)).copied();
        let waker = by_closure.map_or_else(|| self.name(by), |_| "the end of the closure".to_owned());
        let title = format!("{waker} wakes {}{why}, at {}", self.recording.task_label(task), duration(at));
        match by_closure.and_then(|thread| self.lane_of.get(&Who::Thread(thread)).copied()) {
            Some(lane) => self.point_from(Some(lane), who, false, title),
            None => self.point(by, who, false, title),
        }
        self.enter(who, State::Ready, at);
    }

    fn end_turn(&mut self, task: u64, pending: bool, at: u64) {
        let who = Who::Task(task);
        let least = 3.0 * self.room.step;
        let x = self.x;
        let Some(doing) = self.doing(who) else { return };
        let State::Turn { woken, .. } = doing.state else { return };
        let end = (x + 1.0).max(doing.since + least);
        if !pending {
            doing.state = State::Turn { woken, done: true };
        }
        self.x = end;
        if pending {
            self.enter(who, if woken { State::Ready } else { State::Wait }, at);
        }
    }

    fn finish(&mut self, task: u64, outcome: Outcome, at: u64) {
        let who = Who::Task(task);
        let Some(lane) = self.lane_of.get(&who).copied() else { return };
        self.forward(0.5);
        self.enter(who, State::Away, at);
        let doing = &mut self.doing[lane];
        let text = std::mem::take(&mut doing.fault);
        // There is room for them now, which there was not in the bar.
        let notes = if self.room.notes { String::new() } else { doing.notes.join(", ") };
        self.score.marks.push(Mark { lane, at: self.x, sort: Sort::Ended(outcome), text, notes });
    }

    fn unread(&mut self, task: u64, text: &str) {
        let Some(lane) = self.lane_of.get(&Who::Task(task)).copied() else { return };
        match self.score.marks.iter_mut().rfind(|mark| mark.lane == lane && matches!(mark.sort, Sort::Ended(_))) {
            Some(end) => end.text = text.to_owned(),
            None => self.doing[lane].fault = text.to_owned(),
        }
    }

    /// The lane goes over to this state, and what it did so far becomes a bar.
    fn enter(&mut self, who: Who, state: State, at: u64) {
        let x = self.x;
        let Some(lane) = self.lane_of.get(&who).copied() else { return };
        let doing = &mut self.doing[lane];
        let shape = match doing.state {
            State::Away => None,
            State::Ready => Some(Shape::Ready),
            State::Turn { .. } => Some(Shape::Turn),
            State::Wait => Some(Shape::Wait),
        };
        if let Some(shape) = shape {
            let (text, said) = match shape {
                Shape::Wait => (reasons_in_a_line(&doing.reasons), "waits for"),
                Shape::Turn => (doing.notes.join(", "), "runs"),
                _ => (String::new(), "stands in line for its turn"),
            };
            let nr = doing.turns;
            let said = match shape {
                Shape::Turn => format!("turn {nr} of this task{}{text}", if text.is_empty() { "" } else { ": " }),
                Shape::Wait => format!("{said} {text}"),
                _ => said.to_owned(),
            };
            let lasts = at.saturating_sub(doing.since_time);
            let title = format!(
                "{}: {said}, from {} for {}",
                self.score.lanes[lane].label,
                duration(doing.since_time),
                duration(lasts)
            );
            self.score.bars.push(Bar { lane, shape, row: 0, from: doing.since, to: x, text, title });
        }
        if matches!(state, State::Turn { .. }) {
            doing.reasons.clear();
            doing.notes.clear();
        }
        (doing.state, doing.since, doing.since_time) = (state, x, at);
    }

    fn end_work(&mut self, who: Who, at: u64) {
        let to = self.x;
        let Some(lane) = self.lane_of.get(&who).copied() else { return };
        let Some((from, since, text)) = self.doing[lane].works.pop() else { return };
        let lasts = duration(at.saturating_sub(since));
        let title = format!("{}: {text}, from {} for {lasts}", self.score.lanes[lane].label, duration(since));
        self.score.bars.push(Bar { lane, shape: Shape::Work, row: 0, from, to, text, title });
    }

    fn release(&mut self, by: Actor, resource: Which) {
        self.forward(0.5);
        let lane = self.lane(by);
        // Whoever gives it back: permits may be another's.
        let ours = |hold: &Hold| hold.resource == resource && Some(hold.lane) == lane;
        let found = self.holds.iter().position(ours);
        let found = found.or_else(|| self.holds.iter().position(|hold| hold.resource == resource));
        if let Some(found) = found {
            let hold = self.holds.remove(found);
            self.end_hold(hold);
        }
    }

    fn end_hold(&mut self, Hold { lane, resource, row, from, title }: Hold) {
        if row >= MOST_ROWS {
            self.score.holds_left += 1;
            return;
        }
        let text = self.recording.resource_label(resource);
        self.score.bars.push(Bar { lane, shape: Shape::Hold, row, from, to: self.x.max(from + 2.0), text, title });
    }

    fn note(&mut self, by: Actor, text: &str) {
        let Some(lane) = self.lane(by) else { return };
        let doing = &mut self.doing[lane];
        if !matches!(doing.state, State::Turn { .. }) {
            self.may_break();
            self.forward(1.0);
            let sort = if by == Actor::Loop { Sort::Verdict } else { Sort::Note };
            self.score.marks.push(Mark { lane, at: self.x, sort, text: text.to_owned(), notes: String::new() });
            let long = width_of(&first_line(text), if sort == Sort::Verdict { 12.0 } else { 11.0 });
            self.x += long + 10.0;
            return;
        }
        if doing.notes.len() > MOST_NOTES {
            return;
        }
        let is_last = doing.notes.len() == MOST_NOTES;
        doing.notes.push(if is_last { "…".to_owned() } else { first_line(text) });
        if self.room.notes {
            self.x = self.x.max(doing.since + width_of(&doing.notes.join(", "), 11.0) + 8.0);
        }
    }

    fn point(&mut self, by: Actor, to: Who, spawns: bool, title: String) {
        let from = self.lane(by);
        self.point_from(from, to, spawns, title);
    }

    fn point_from(&mut self, from: Option<usize>, to: Who, spawns: bool, title: String) {
        let Some(to) = self.lane_of.get(&to).copied() else { return };
        self.forward(1.0);
        let Some(from) = from else { return };
        if from != to {
            self.score.arrows.push(Arrow { from, to, at: self.x, spawns, title });
        }
    }

    /// Everything that goes on at the end of the picture ends there.
    fn close(&mut self) {
        self.forward(2.0);
        let now = self.recording.steps.last().map_or(0, |last| last.at);
        for who in self.lane_of.keys().copied().collect::<Vec<_>>() {
            self.enter(who, State::Away, now);
            while self.doing(who).is_some_and(|doing| !doing.works.is_empty()) {
                self.end_work(who, now);
            }
        }
        for hold in std::mem::take(&mut self.holds) {
            self.end_hold(hold);
        }
        let long = if self.score.lanes.len() > 26 { WIDE_STRIP } else { STRIP };
        self.score.strips = strips(self.x + self.room.step, long, &self.breaks);
    }

    fn doing(&mut self, who: Who) -> Option<&mut Doing> {
        self.lane_of.get(&who).map(|lane| &mut self.doing[*lane])
    }

    fn lane(&self, actor: Actor) -> Option<usize> {
        let who = match actor {
            Actor::Task(task) => Who::Task(task),
            Actor::Lane(thread) => Who::Thread(thread),
            _ => Who::World,
        };
        self.lane_of.get(&who).copied()
    }

    fn name(&self, actor: Actor) -> String {
        match actor {
            Actor::Task(task) => self.recording.task_label(task),
            Actor::Lane(thread) => self.recording.thread(thread).map_or(String::new(), |thread| thread.name.clone()),
            Actor::Timer => "a timer".into(),
            Actor::Socket => "a socket".into(),
            Actor::Thread => "another thread".into(),
            Actor::Loop => "the loop".into(),
            Actor::Outside => "the program".into(),
        }
    }

    fn reason(&self, resource: Which, behind: &Behind, now: u64) -> String {
        match (resource.kind, behind) {
            (_, Behind::Deadline(Some(deadline))) => format!("Timer {}", self.duration(deadline.saturating_sub(now))),
            (_, Behind::Deadline(None)) => "for ever".into(),
            (_, Behind::Task(task)) => format!("the end of {}", self.recording.task_label(*task)),
            (Kind::Children, _) => "its tasks".into(),
            (Kind::Turn, _) => "its next turn".into(),
            (Kind::Foreign, _) => "something foreign".into(),
            _ => self.recording.resource_label(resource),
        }
    }
}

/// Cuts the way to the right where that harms nothing.
fn strips(whole: f64, long: f64, breaks: &[f64]) -> Vec<(f64, f64)> {
    let mut strips = Vec::new();
    let mut from = 0.0;
    // A little more is better than a strip of next to nothing.
    while whole - from > long * 1.1 {
        let last = breaks.iter().copied().rfind(|at| (from + long * 0.5..=from + long).contains(at));
        let to = last.unwrap_or(from + long);
        strips.push((from, to));
        from = to;
    }
    strips.push((from, whole));
    strips
}

/// `Lock "a", or Timer 2 s`; each once.
fn reasons_in_a_line(reasons: &[String]) -> String {
    let mut once = Vec::new();
    for reason in reasons {
        if !once.contains(&reason.as_str()) {
            once.push(reason.as_str());
        }
    }
    if once.is_empty() { "something foreign".into() } else { once.join(", or ") }
}

fn least_gap(recording: &Recording, lasts: u64) -> u64 {
    match recording.clock {
        ClockKind::Virtual => 1,
        ClockKind::Real => (lasts / 50).max(1_000),
    }
}

/// Whether the step needs a lane for what is no task and no thread that is drawn.
fn comes_from_the_world(what: &What) -> bool {
    match what {
        What::Woken { task, by, cause } => match by {
            Actor::Task(_) | Actor::Lane(_) => false,
            // The program itself begins every run.
            Actor::Outside => *task != 0,
            Actor::Thread => cause.is_none(),
            _ => true,
        },
        What::Noted { by, .. } => by.task().is_none() && !matches!(by, Actor::Lane(_)),
        _ => false,
    }
}
