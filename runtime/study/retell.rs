//! The retelling: from a tape of events to a recording in plain values.
//!
//! ```text
//!   tape:   Waiting for Timer 4, Woken by Timer  ---->  woken { task 1, by timer, cause Timer 4 }
//!   tape:   Answered { ran }  ---------------------->  began { thread 2 } .. ended { thread 2 }, where
//!   lanes:  Began, Ended  -------------------------->  began { thread 1 } .. the machine's clock puts them
//! ```
//!
//! Promises: a cause is named only where there is but one that it can have been.
//! Does not know: how a tape is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::rc::Rc;
use std::thread::ThreadId;
use std::time::Duration;

use crate::clock::Instant;
use crate::observer::{self, Event, TaskId, Waits};
use crate::study::lane::{Lanes, Said};
use crate::study::recording::{
    Actor, Behind, ClockKind, Holder, Kind, Outcome, Recording, Resource, Site, Step, Task, Thread, What, Which,
};
use crate::study::tape::Tape;

/// What the tape and the lanes hold, merged.
pub(crate) fn retell(tape: &Tape, lanes: &Lanes, title: &str) -> Recording {
    let real = tape.clock.as_ref().is_none_or(|clock| clock.is_real());
    let mut names = lanes.names.clone();
    let mut threads = closures_of_the_pool(tape, &mut names);
    threads.extend(lanes.said.iter().map(|(at, lane, said)| (*at, what_was_said(*lane, said))));
    // The sort leaves what happened at the same moment as it was written.
    threads.sort_by_key(|(at, _)| *at);

    let (began, machine_began) = tape.began.unwrap_or((Instant::FAR, Instant::FAR));
    let earliest = threads.first().map_or(machine_began, |(at, _)| machine_began.min(*at));
    let origin = if real { earliest } else { began };
    let mut steps = Vec::with_capacity(tape.entries.len() + threads.len());
    let mut threads = threads.into_iter().peekable();
    let mut now = 0;
    let mut causes = Causes::default();
    for entry in &tape.entries {
        while let Some((at, what)) = threads.next_if(|(at, _)| *at < entry.machine) {
            // The loop's clock, if it is not the machine's, says of a thread's doing only what it follows.
            steps.push(Step { at: if real { nanos(at - origin) } else { now }, what });
        }
        now = nanos(entry.at - origin);
        let event = entry.kept.event();
        let cause = causes.hear(&event);
        steps.push(Step { at: now, what: what(&event, cause, origin) });
    }
    steps.extend(threads.map(|(at, what)| Step { at: if real { nanos(at - origin) } else { now }, what }));

    Recording {
        title: title.to_owned(),
        clock: if real { ClockKind::Real } else { ClockKind::Virtual },
        lost: tape.lost + lanes.lost,
        tasks: tasks_of(tape, &steps),
        threads: (1..).zip(names).map(|(id, name)| Thread { id, name }).collect(),
        resources: resources_of(tape),
        steps,
    }
}

fn nanos(duration: Duration) -> u64 {
    // Differences of instants, which are 64 bits of nanoseconds.
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// When each closure began and ended. Its thread's name is added to `names`.
fn closures_of_the_pool(tape: &Tape, names: &mut Vec<String>) -> Vec<(Instant, What)> {
    let mut known: Vec<(ThreadId, u32)> = Vec::new();
    let mut submitted = BTreeMap::new();
    let mut steps = Vec::new();
    for entry in &tape.entries {
        let (job, ran) = match entry.kept.event() {
            Event::Submitted { job, .. } => {
                submitted.insert(job, entry.machine);
                continue;
            }
            Event::Answered { job, ran: Some(ran) } => (job, ran),
            _ => continue,
        };
        // A quick thread begins before the loop has told of it.
        let began = submitted.remove(&job).map_or(ran.began, |submitted| submitted.max(ran.began));
        let thread = match known.iter().find(|(id, _)| *id == ran.thread) {
            Some((_, number)) => *number,
            None => {
                names.push(format!("pool thread {}", known.len() + 1));
                let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
                known.push((ran.thread, number));
                number
            }
        };
        let job = Some(Which::from(job));
        steps.push((began, What::Began { thread, job, text: String::new() }));
        steps.push((ran.ended.max(began), What::Ended { thread, job }));
    }
    steps
}

fn what_was_said(lane: u32, said: &Said) -> What {
    match said {
        Said::Began(text) => What::Began { thread: lane, job: None, text: text.to_string() },
        Said::Ended => What::Ended { thread: lane, job: None },
        Said::Noted(text) => What::Noted { by: Actor::Lane(lane), text: text.to_string() },
    }
}

/// What every task said in its last turn that it waits for.
#[derive(Default)]
struct Causes(BTreeMap<TaskId, Vec<(observer::Resource, Option<Instant>)>>);

impl Causes {
    /// Takes note of the event; if it is a wake, gives what was waited for and has come.
    fn hear(&mut self, event: &Event<'_>) -> Option<Which> {
        match *event {
            Event::PollStarted { task } => {
                self.0.remove(&task);
            }
            Event::Waiting { by: observer::Actor::Task(task), resource, behind, .. } => {
                let deadline = match behind {
                    observer::Behind::Deadline(deadline) => Some(deadline),
                    _ => None,
                };
                self.0.entry(task).or_default().push((resource, deadline));
            }
            Event::Woken { task, by } => return self.of(task, by).map(Which::from),
            _ => {}
        }
        None
    }

    fn of(&self, task: TaskId, by: observer::Actor) -> Option<observer::Resource> {
        let waits = self.0.get(&task)?;
        let of_kind = |kind| waits.iter().filter(move |(resource, _)| resource.kind == kind);
        match by {
            // Of several timers the earliest.
            observer::Actor::Timer => {
                of_kind(Waits::Timer).min_by_key(|(_, deadline)| *deadline).map(|(resource, _)| *resource)
            }
            observer::Actor::Socket => only(of_kind(Waits::Socket).map(|(resource, _)| *resource)),
            observer::Actor::Thread => only(of_kind(Waits::Thread).map(|(resource, _)| *resource)),
            observer::Actor::Task(_) => {
                let given_by_tasks = |kind| !matches!(kind, Waits::Timer | Waits::Socket | Waits::Thread);
                only(waits.iter().map(|(resource, _)| *resource).filter(|resource| given_by_tasks(resource.kind)))
            }
            observer::Actor::Outside | observer::Actor::Loop => None,
        }
    }
}

/// The one that all are.
fn only(mut all: impl Iterator<Item = observer::Resource>) -> Option<observer::Resource> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// The event in plain values; moments become nanoseconds since `origin`.
fn what(event: &Event<'_>, cause: Option<Which>, origin: Instant) -> What {
    match *event {
        Event::Spawned { task, name, site, by } => {
            What::Spawned { task: task.number(), name: name.map(str::to_owned), site: Site::from(site), by: by.into() }
        }
        Event::Woken { task, by } => What::Woken { task: task.number(), by: by.into(), cause },
        Event::PollStarted { task } => What::PollStarted { task: task.number() },
        Event::PollEnded { task, pending } => What::PollEnded { task: task.number(), pending },
        Event::Waiting { by, resource, site, behind } => What::Waiting {
            by: by.into(),
            resource: resource.into(),
            site: site.map(Site::from),
            behind: behind_of(behind, origin),
        },
        Event::Acquired { by, resource, site } => {
            What::Acquired { by: by.into(), resource: resource.into(), site: Site::from(site) }
        }
        Event::Released { by, resource } => What::Released { by: by.into(), resource: resource.into() },
        Event::Finished { task, outcome } => What::Finished { task: task.number(), outcome: outcome.into() },
        Event::Unread { task, site, text } => {
            What::Unread { task: task.number(), site: Site::from(site), text: text.to_owned() }
        }
        Event::Member { family, task } => What::Member { family: family.into(), task: task.number() },
        Event::Opened { socket, by } => What::Opened { socket: socket.into(), by: by.into() },
        Event::Closed { socket } => What::Closed { socket: socket.into() },
        Event::Submitted { job, by, site } => {
            What::Submitted { job: job.into(), by: by.into(), site: Site::from(site) }
        }
        Event::Answered { job, .. } => What::Answered { job: job.into() },
        Event::Noted { by, text } => What::Noted { by: by.into(), text: text.to_owned() },
        Event::Closing => What::Closing,
        Event::Parked { limit } => What::Parked { limit: limit.map(nanos) },
        Event::Unparked => What::Unparked,
        Event::Fired { timers } => What::Fired { timers: timers.try_into().unwrap_or(u64::MAX) },
    }
}

fn behind_of(behind: observer::Behind<'_>, origin: Instant) -> Behind {
    match behind {
        observer::Behind::Anyone => Behind::Anyone,
        observer::Behind::Deadline(Instant::FAR) => Behind::Deadline(None),
        observer::Behind::Deadline(deadline) => Behind::Deadline(Some(nanos(deadline - origin))),
        observer::Behind::Holders(holders) => {
            let holder = |holder: &observer::Holder| Holder { who: holder.who.into(), site: Site::from(holder.site) };
            Behind::Holders(holders.iter().map(holder).collect())
        }
        observer::Behind::Task(task) => Behind::Task(task.number()),
        observer::Behind::Members => Behind::Members,
    }
}

/// Every task that a step names, with what is known of it from its spawning.
fn tasks_of(tape: &Tape, steps: &[Step]) -> Vec<Task> {
    let named: BTreeSet<u64> = steps.iter().flat_map(|step| tasks_in(&step.what)).collect();
    let mut known: BTreeMap<u64, (Option<&str>, &Location<'_>)> = BTreeMap::new();
    known.extend(tape.elders.iter().map(|(task, elder)| (task.number(), (elder.name.as_deref(), elder.site))));
    for entry in &tape.entries {
        if let Event::Spawned { task, name, site, .. } = entry.kept.event() {
            // Of the futures given to `block_on` one after another, the first.
            known.entry(task.number()).or_insert((name, site));
        }
    }
    let task = |id| match known.get(&id) {
        Some((name, site)) => Task { id, name: name.map(str::to_owned), site: Some(Site::from(*site)) },
        None => Task { id, name: None, site: None },
    };
    named.into_iter().map(task).collect()
}

fn tasks_in(what: &What) -> Vec<u64> {
    let with = |task: u64, by: &Actor| [Some(task), by.task()].into_iter().flatten().collect();
    match what {
        What::Spawned { task, by, .. } | What::Woken { task, by, .. } => with(*task, by),
        What::Waiting { by, behind: Behind::Task(task), .. } => with(*task, by),
        What::Waiting { by, behind: Behind::Holders(holders), .. } => {
            holders.iter().map(|holder| &holder.who).chain([by]).filter_map(|actor| actor.task()).collect()
        }
        What::PollStarted { task }
        | What::PollEnded { task, .. }
        | What::Finished { task, .. }
        | What::Unread { task, .. }
        | What::Member { task, .. } => vec![*task],
        What::Waiting { by, .. }
        | What::Acquired { by, .. }
        | What::Released { by, .. }
        | What::Opened { by, .. }
        | What::Submitted { by, .. }
        | What::Noted { by, .. } => by.task().into_iter().collect(),
        _ => Vec::new(),
    }
}

fn resources_of(tape: &Tape) -> Vec<Resource> {
    let resources = tape.entries.iter().filter_map(|entry| entry.kept.resource());
    let sorted: BTreeSet<Which> = resources.map(Which::from).collect();
    let name = |number| tape.names.get(&number).map(|name: &Rc<str>| name.to_string());
    sorted
        .into_iter()
        .map(|which| Resource { kind: which.kind, number: which.number, name: name(which.number) })
        .collect()
}

impl From<&Location<'_>> for Site {
    fn from(site: &Location<'_>) -> Site {
        Site { file: site.file().to_owned(), line: site.line(), column: site.column() }
    }
}

impl From<observer::Actor> for Actor {
    fn from(actor: observer::Actor) -> Actor {
        match actor {
            observer::Actor::Outside => Actor::Outside,
            observer::Actor::Task(task) => Actor::Task(task.number()),
            observer::Actor::Timer => Actor::Timer,
            observer::Actor::Socket => Actor::Socket,
            observer::Actor::Thread => Actor::Thread,
            observer::Actor::Loop => Actor::Loop,
        }
    }
}

impl From<observer::Outcome> for Outcome {
    fn from(outcome: observer::Outcome) -> Outcome {
        match outcome {
            observer::Outcome::Returned => Outcome::Returned,
            observer::Outcome::Panicked => Outcome::Panicked,
            observer::Outcome::Cancelled => Outcome::Cancelled,
        }
    }
}

impl From<observer::Resource> for Which {
    fn from(resource: observer::Resource) -> Which {
        Which { kind: resource.kind.into(), number: resource.number }
    }
}

impl From<Waits> for Kind {
    fn from(waits: Waits) -> Kind {
        match waits {
            Waits::Foreign => Kind::Foreign,
            Waits::Turn => Kind::Turn,
            Waits::Timer => Kind::Timer,
            Waits::Socket => Kind::Socket,
            Waits::Thread => Kind::Thread,
            Waits::Task => Kind::Task,
            Waits::Children => Kind::Children,
            Waits::Lock => Kind::Lock,
            Waits::Semaphore => Kind::Semaphore,
            Waits::Event => Kind::Event,
            Waits::Condition => Kind::Condition,
            Waits::Barrier => Kind::Barrier,
            Waits::Queue => Kind::Queue,
            Waits::Oneshot => Kind::Oneshot,
            Waits::OnceCell => Kind::OnceCell,
        }
    }
}
