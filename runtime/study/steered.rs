//! One run of a program, with somebody else to say at every point who is next.
//!
//! ```text
//!   collect mail -> the root is ready? it goes first
//!                -> candidates: the ready tasks, those asleep if timers race, those to be dropped
//!                                 |
//!                   chooser says which  -> (move the clock until it is awake) -> one turn
//!                -> nobody? the root goes again, or somebody is dropped, or the clock jumps to the next deadline;
//!                   there is none? a deadlock
//! ```
//!
//! Promises: each run has a fresh loop, a clock at zero and primitives numbered from 1; a program that is the
//! same then comes to the same points; sockets and threads are refused at the call that asks for them.
//! Does not know: why somebody was chosen, or which runs were made before.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::iter;
use std::mem::{self, discriminant};
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;
use std::thread;

use crate::clock::Clock;
use crate::context::Parts;
use crate::event_loop::{EventLoop, Steer};
use crate::join_error::panic_text;
use crate::observer::{self, Actor, Behind, Event, FreshLabels, Observer, Resource, TaskId, Waits};
use crate::quietly::quietly;
use crate::scheduler::PollRoot;
use crate::study::exploration::{Dropped, Failure, FailureKind};
use crate::study::hush::{Hush, Panic};
use crate::study::inquest::{self, Finding};
use crate::study::schedule::{Pick, Rules};
use crate::study::warnings::Warnings;
use crate::waker::woken_by;

/// A point at which somebody has to be chosen.
pub(crate) struct Point<'a> {
    /// Never empty.
    pub(crate) candidates: &'a [Pick],
    /// What the program has told since the run began, in short.
    pub(crate) print: u64,
}

pub(crate) enum Choice {
    /// The candidate at this position.
    This(usize),
    /// Whoever the loop itself would take.
    FirstInLine,
    /// The run is of no use: the chooser knows why.
    Stop,
}

pub(crate) trait Chooser {
    fn choose(&mut self, point: &Point<'_>) -> Choice;
}

/// What one run came to.
pub(crate) struct Ran<T> {
    pub(crate) picks: Vec<Pick>,
    pub(crate) steps: usize,
    pub(crate) print: u64,
    pub(crate) end: End<T>,
    /// The task that the chooser had dropped, the last if there were several.
    pub(crate) dropped: Option<Dropped>,
}

pub(crate) enum End<T> {
    /// With the future's output, and with the panic of a task that nobody heard of if there was one.
    Returned(T, Option<Failure>),
    Failed(Failure),
    /// By a panic that says no more than that a task was dropped, which the explorer did.
    PassedOn,
    /// The program asked for what there is not.
    Refused(String),
    /// By the chooser.
    Stopped,
}

/// Runs the program once.
#[track_caller]
pub(crate) fn run<T, F: Future<Output = T>>(
    rules: Rules,
    observers: &[Rc<dyn Observer>],
    program: &mut dyn FnMut() -> F,
    chooser: &mut dyn Chooser,
) -> Ran<T> {
    let hush = Hush::new();
    let labels = FreshLabels::new();
    let watch = Rc::new(Watch::default());
    // What is to be warned of is in the report, once.
    let builder = EventLoop::builder().clock(Clock::virtual_time()).warnings(Warnings::none()).observer(watch.clone());
    let builder = observers.iter().cloned().fold(builder, |builder, observer| builder.observer(observer));
    let event_loop = match builder.build() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("explore() cannot make an event loop: {error}"),
    };
    let mut steering = Steering::new(rules, &watch, chooser);
    let site = Location::caller();
    let output = panic::catch_unwind(AssertUnwindSafe(|| {
        event_loop.steer(program(), site, &mut |parts, poll_root| steering.next(parts, poll_root))
    }));
    let Steering { picks, steps, end, dropped, .. } = steering;
    drop(event_loop);
    drop(labels);
    let (panics, unheard) = (hush.take(), hush.unheard());
    // Whoever unwraps the result of a task that the explorer dropped has done nothing wrong.
    let passed_on =
        |text: &str| dropped.as_ref().is_some_and(|dropped| text.contains(&format!("{} was cancelled", dropped.task)));
    let unread = watch.unread.take().into_iter().find(|text| !passed_on(text)).map(|text| panicked(&text, &panics));
    // Nor may a panic be lost that nobody could hear of.
    let unread = unread.or_else(|| {
        let mut failure = panicked(unheard.iter().find(|text| !passed_on(text))?, &panics);
        failure.text.insert_str(0, "in a destructor, or a waker, whose panic nobody hears: ");
        Some(failure)
    });
    let end = match (watch.refused.take(), end, output) {
        (Some(refused), ..) => End::Refused(refused),
        (None, Some(Given::Stopped), _) => End::Stopped,
        (None, Some(Given::Failed(failure)), _) => End::Failed(unread.unwrap_or(failure)),
        (None, None, Ok(Some(output))) => End::Returned(output, unread),
        // Nobody gives up without a reason.
        (None, None, Ok(None)) => End::Stopped,
        (None, None, Err(payload)) => {
            let text = panic_text(&*payload).into_owned();
            quietly(|| drop(payload));
            match unread {
                None if passed_on(&text) => End::PassedOn,
                unread => End::Failed(unread.unwrap_or_else(|| panicked(&text, &panics))),
            }
        }
    };
    Ran { picks, steps, print: watch.print.get(), end, dropped }
}

/// A panic with the line it happened at, which the hook knows.
fn panicked(text: &str, panics: &[Panic]) -> Failure {
    // A task's error has its own words before those of the panic.
    const BEFORE: &str = "panicked: ";
    let says =
        |panic: &str| text == panic || text.match_indices(BEFORE).any(|(at, _)| text[at + BEFORE.len()..] == *panic);
    let at = panics.iter().rev().find(|panic| says(&panic.text)).map(|panic| format!(" (at {})", panic.site));
    Failure::new(FailureKind::Panicked, format!("{text}{}", at.unwrap_or_default()))
}

/// Why steering gave up.
enum Given {
    Failed(Failure),
    Stopped,
}

struct Steering<'a> {
    rules: Rules,
    watch: &'a Watch,
    chooser: &'a mut dyn Chooser,
    picks: Vec<Pick>,
    steps: usize,
    /// Whether the root had a turn since the last one of a task.
    root_went: bool,
    end: Option<Given>,
    dropped: Option<Dropped>,
    drops_left: usize,
    /// Since the last step that is written: how often nobody was dropped, though somebody could have been.
    passed: usize,
}

impl<'a> Steering<'a> {
    fn new(rules: Rules, watch: &'a Watch, chooser: &'a mut dyn Chooser) -> Steering<'a> {
        Steering {
            rules,
            watch,
            chooser,
            picks: Vec::new(),
            steps: 0,
            root_went: false,
            end: None,
            dropped: None,
            drops_left: rules.drops,
            passed: 0,
        }
    }

    /// Puts first in line whoever has the next turn.
    fn next(&mut self, parts: &Parts, poll_root: PollRoot<'_>) -> Steer {
        let tasks = parts.scheduler.tasks();
        loop {
            if self.watch.refused.borrow().is_some() {
                return Steer::GiveUp;
            }
            if self.steps == self.rules.max_steps {
                let text = format!("the program was not done after {} turns", self.steps);
                return self.give_up(Given::Failed(Failure::new(FailureKind::OutOfTurns, text)));
            }
            let ready = tasks.ready();
            let mut candidates = self.turns(parts, &ready);
            let root = ready.iter().position(|task| task.0 == 0);
            // Once between two turns of tasks: a root that only yields must not keep them waiting.
            let is_idle = candidates.is_empty();
            if let Some(root) = root.filter(|_| !self.root_went && !is_idle) {
                return self.root_goes(parts, root);
            }
            if is_idle && root.is_none() && parts.driver.wheel().next_tick().is_none() {
                if let Some(end) = self.let_time_pass(parts, poll_root) {
                    return end;
                }
                continue;
            }
            if self.drops_left > 0 {
                let may_be_dropped = |(task, _): &(TaskId, _)| task.0 != 0 && self.watch.awaits_something(*task);
                candidates
                    .extend(tasks.roll().iter().filter(|task| may_be_dropped(task)).map(|task| Pick::Drop(task.0)));
            }
            if is_idle {
                candidates.push(Pick::Nobody);
            }
            candidates.sort_unstable_by_key(|pick| pick.rank());
            let print = self.watch.print.get();
            let choice = match candidates[..] {
                // Nothing else is left.
                [Pick::Nobody] => Choice::FirstInLine,
                _ => self.chooser.choose(&Point { candidates: &candidates, print }),
            };
            let pick = match choice {
                Choice::This(position) => candidates[position],
                Choice::Stop => return self.give_up(Given::Stopped),
                Choice::FirstInLine => {
                    ready.iter().find(|task| task.0 != 0).map_or(Pick::Nobody, |&first| Pick::Turn(first))
                }
            };
            if pick == Pick::Nobody {
                self.passed += usize::from(candidates.len() > 1);
                if let Some(root) = root {
                    return self.root_goes(parts, root);
                }
                if let Some(end) = self.let_time_pass(parts, poll_root) {
                    return end;
                }
                continue;
            }
            // Where nobody was dropped matters only to the drop that comes next.
            let passed = mem::take(&mut self.passed);
            if let Pick::Drop(_) = pick {
                self.picks.extend(iter::repeat_n(Pick::Nobody, passed));
            }
            self.picks.push(pick);
            self.steps += 1;
            match pick {
                Pick::Turn(task) => {
                    self.wake_up(parts, task);
                    self.root_went = task.0 == 0;
                    return Steer::TakeTurn;
                }
                Pick::Drop(task) => {
                    self.root_went = false;
                    self.drop_task(parts, task);
                }
                Pick::Nobody => {}
            }
        }
    }

    /// The root, at this position of the line, has a turn.
    fn root_goes(&mut self, parts: &Parts, position: usize) -> Steer {
        parts.scheduler.tasks().bring_forward(position);
        self.steps += 1;
        self.root_went = true;
        Steer::TakeTurn
    }

    /// The turns that may be next: of the ready tasks but the root, and of whoever sleeps.
    fn turns(&self, parts: &Parts, ready: &[TaskId]) -> Vec<Pick> {
        let tasks = ready.iter().filter(|task| task.0 != 0).map(|&task| Pick::Turn(task));
        if !self.rules.any_order {
            return tasks.take(1).collect();
        }
        let mut turns: Vec<Pick> = tasks.collect();
        if self.rules.racing {
            let mut asleep = Vec::new();
            parts.driver.wheel().look_at_wakers(|waker| asleep.extend(woken_by(waker)));
            let roll = parts.scheduler.tasks().roll();
            let sleepers = roll.iter().filter(|(task, key)| asleep.contains(key) && !ready.contains(task));
            turns.extend(sleepers.map(|&(task, _)| Pick::Turn(task)));
        }
        turns
    }

    /// Moves the clock from deadline to deadline until the task is awake, and puts it first in line.
    fn wake_up(&self, parts: &Parts, task: TaskId) {
        let tasks = parts.scheduler.tasks();
        loop {
            if let Some(position) = tasks.ready().iter().position(|&ready| ready == task) {
                return tasks.bring_forward(position);
            }
            if parts.driver.wheel().next_tick().is_none() {
                return;
            }
            pass_time(parts);
        }
    }

    /// Nobody is ready: time passes to the next deadline. The run is over if there is none, and the tasks say why.
    fn let_time_pass(&mut self, parts: &Parts, poll_root: PollRoot<'_>) -> Option<Steer> {
        if parts.driver.wheel().next_tick().is_some() {
            pass_time(parts);
            self.root_went = false;
            return None;
        }
        let failure = match inquest::hold(parts, poll_root) {
            Finding::RootFinished => return Some(Steer::RootFinished),
            Finding::SomethingMoves => {
                self.steps += 1;
                return None;
            }
            Finding::Deadlock(deadlock) => {
                inquest::tell(&deadlock);
                Failure::deadlocked(deadlock)
            }
            Finding::Unknown => {
                let tasks = parts.scheduler.tasks().all();
                let foreign = tasks.iter().filter(|task| task.waits_for == Some(Waits::Foreign));
                let tasks: String = foreign.map(|task| format!("\n  {} (spawned at {})", task.id, task.site)).collect();
                let text = format!("nothing is left to happen, but for what this runtime does not know of:{tasks}");
                Failure::new(FailureKind::Foreign, text)
            }
        };
        Some(self.give_up(Given::Failed(failure)))
    }

    fn drop_task(&mut self, parts: &Parts, task: TaskId) {
        self.drops_left -= 1;
        let tasks = parts.scheduler.tasks();
        let roll = tasks.roll();
        let Some(&(_, key)) = roll.iter().find(|(other, _)| *other == task) else { return };
        let name = tasks.name(key);
        let (number, waits, site) =
            self.watch.awaits.borrow().get(&task).map_or((0, None, None), |a| (a.count, a.waits, a.site));
        let waits = waits.map(|resource| match resource.kind {
            Waits::Turn => "its next turn, having given one away (yield_now)".to_owned(),
            _ => resource.to_string(),
        });
        self.dropped = Some(Dropped { task, name: name.map(Into::into), number, waits, site });
        tasks.cancel(key);
    }

    fn give_up(&mut self, why: Given) -> Steer {
        self.end = Some(why);
        Steer::GiveUp
    }
}

/// The clock moves to the next deadline.
fn pass_time(parts: &Parts) {
    // With a deadline set, virtual time is never out of patience.
    parts.driver.park(true, None, || None);
}

/// Hears what the run tells: enough to know it again, and what it must not do.
#[derive(Default)]
struct Watch {
    print: Cell<u64>,
    refused: RefCell<Option<String>>,
    /// The panics of tasks that nobody heard of.
    unread: RefCell<Vec<String>>,
    awaits: RefCell<HashMap<TaskId, Await>>,
    /// The lines that spawned the tasks.
    sites: RefCell<HashMap<TaskId, &'static Location<'static>>>,
    /// What the task that has its turn said last that it waits for.
    says: Cell<(Option<Resource>, Option<&'static Location<'static>>)>,
}

/// The await at which a task stands.
#[derive(Default)]
struct Await {
    /// Which one of the task, from 1.
    count: u32,
    waits: Option<Resource>,
    site: Option<&'static Location<'static>>,
}

impl Watch {
    /// Whether this task has begun to wait for something, and is not just a `JoinHandle` that was made a task. That one
    /// waits for its task at a line of ours; whoever awaits a handle, at his own.
    fn awaits_something(&self, task: TaskId) -> bool {
        let is_handle = |at: &Await| at.waits.is_some_and(|what| what.kind == Waits::Task) && at.site.is_none();
        self.awaits.borrow().get(&task).is_some_and(|at| !is_handle(at))
    }

    fn remember(&self, what: impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.print.get(), what).hash(&mut hasher);
        self.print.set(hasher.finish());
    }

    /// Refuses something for good.
    fn refuse(&self, by: Actor, what: &str) -> String {
        let by = by.task().map_or("the program".to_owned(), |task| match self.sites.borrow().get(&task) {
            Some(site) => format!("{task} (spawned at {site})"),
            None => task.to_string(),
        });
        let text = format!(
            "explore() runs a program on the virtual clock with no sockets and no threads, for what they do is not the \
             same in every run; but {by} {what}: give the program something that stands in for it, such as a queue"
        );
        self.refused.borrow_mut().get_or_insert(text).clone()
    }

    /// Refuses it by a panic at the call as well.
    fn refuse_at_once(&self, by: Actor, what: &str) {
        let text = self.refuse(by, what);
        // Of two panics at once the process would die.
        if !thread::panicking() {
            panic!("{text}");
        }
    }
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        let by = |actor: Actor| (discriminant(&actor), actor.task());
        match *event {
            Event::Spawned { task, by: actor, site, .. } => {
                self.remember((1, task, by(actor)));
                if task.0 != 0 {
                    self.sites.borrow_mut().insert(task, site);
                }
                if actor == Actor::Thread {
                    self.refuse(Actor::Task(task), "was spawned by another thread");
                }
            }
            Event::Woken { task, by: actor } => {
                self.remember((2, task, by(actor)));
                if actor == Actor::Thread {
                    self.refuse(Actor::Task(task), "was woken by another thread");
                }
            }
            Event::PollStarted { .. } => self.says.set((None, None)),
            Event::PollEnded { task, pending } => {
                self.remember((3, task, pending));
                if pending {
                    let (waits, site) = self.says.take();
                    let mut awaits = self.awaits.borrow_mut();
                    let at = awaits.entry(task).or_default();
                    *at = Await { count: at.count + 1, waits, site };
                }
            }
            Event::Waiting { by: actor, resource, site, behind } => {
                let deadline = if let Behind::Deadline(deadline) = behind { Some(deadline) } else { None };
                self.remember((4, by(actor), resource.kind, deadline));
                self.says.set((Some(resource), site));
            }
            Event::Acquired { by: actor, resource, .. } => self.remember((5, by(actor), resource.kind)),
            Event::Released { by: actor, resource } => self.remember((6, by(actor), resource.kind)),
            Event::Finished { task, outcome } => {
                self.remember((7, task, discriminant(&outcome)));
                if observer::actor() == Actor::Thread {
                    self.refuse(Actor::Task(task), "was cancelled by another thread");
                }
            }
            Event::Unread { text, .. } => self.unread.borrow_mut().push(text.to_owned()),
            Event::Opened { by: actor, .. } => self.refuse_at_once(actor, "opened a socket"),
            Event::Submitted { by: actor, site, .. } => {
                self.refuse_at_once(actor, &format!("handed a closure to a thread (at {site})"));
            }
            _ => {}
        }
    }
}
