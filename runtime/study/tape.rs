//! The tape: events as they were told, in little room.
//!
//! ```text
//!   most: 3      [ time, spawned ][ time, woken ][ time, poll started ]     <-- the next event
//!                   `--> lost: 1, and the task's name kept among the elders until its end is lost as well
//! ```
//!
//! Promises: no text is made, sites stay pointers, and there is a block of memory only for a text that was told, or for
//! the holders of a lock; a tape with a limit takes no more than its events, a line for each task that lives, and
//! names of things, at most twice as many as events.
//! Does not know: clocks, threads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::Location;
use std::rc::Rc;

use crate::clock::{Clock, Instant};
use crate::observer::{Actor, Behind, Event, Holder, Resource, TaskId};

/// What was heard, oldest first.
#[derive(Default)]
pub(crate) struct Tape {
    most: Option<usize>,
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) lost: u64,
    /// Of the loop that was heard first.
    pub(crate) clock: Option<Clock>,
    /// The first event's time, by the loop's clock and by the machine's.
    pub(crate) began: Option<(Instant, Instant)>,
    /// Tasks whose spawning fell out of the ring, and whose end did not.
    pub(crate) elders: BTreeMap<TaskId, Elder>,
    /// Names of resources that were heard of, by number. They are asked for at once: a name goes with its owner.
    pub(crate) names: BTreeMap<u32, Rc<str>>,
}

pub(crate) struct Elder {
    pub(crate) name: Option<Box<str>>,
    pub(crate) site: &'static Location<'static>,
}

pub(crate) struct Entry {
    pub(crate) at: Instant,
    /// The machine's clock at that moment, by which threads are merged in.
    pub(crate) machine: Instant,
    pub(crate) kept: Kept,
}

/// An event that borrows nothing.
pub(crate) enum Kept {
    /// One that had borrowed nothing.
    Plain(Event<'static>),
    Spawned {
        task: TaskId,
        name: Box<str>,
        site: &'static Location<'static>,
        by: Actor,
    },
    Behind {
        by: Actor,
        resource: Resource,
        site: Option<&'static Location<'static>>,
        holders: Box<[Holder]>,
    },
    Unread {
        task: TaskId,
        site: &'static Location<'static>,
        text: Box<str>,
    },
    Noted {
        by: Actor,
        text: Box<str>,
    },
}

impl Tape {
    pub(crate) fn keeping(most: Option<usize>) -> Tape {
        Tape { most, ..Tape::default() }
    }

    pub(crate) fn write(&mut self, at: Instant, machine: Instant, event: &Event<'_>) {
        self.began.get_or_insert((at, machine));
        if let Some(name) = resource_of(event).and_then(|resource| Some((resource.number, resource.name()?))) {
            self.remember_name(name);
        }
        if self.most == Some(self.entries.len()) {
            self.let_the_oldest_go();
        }
        self.entries.push_back(Entry { at, machine, kept: keep(event) });
    }

    fn let_the_oldest_go(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        self.lost += 1;
        match oldest.kept {
            Kept::Plain(Event::Spawned { task, site, .. }) => {
                self.elders.insert(task, Elder { name: None, site });
            }
            Kept::Spawned { task, name, site, .. } => {
                self.elders.insert(task, Elder { name: Some(name), site });
            }
            Kept::Plain(Event::Finished { task, .. }) => {
                self.elders.remove(&task);
            }
            _ => {}
        }
    }

    fn remember_name(&mut self, (number, name): (u32, Rc<str>)) {
        self.names.insert(number, name);
        // Looked through when it has doubled, so that it costs nothing to speak of.
        if self.most.is_some_and(|most| self.names.len() > 2 * most) {
            let heard: BTreeSet<u32> =
                self.entries.iter().filter_map(|entry| Some(entry.kept.resource()?.number)).collect();
            self.names.retain(|known, _| *known == number || heard.contains(known));
        }
    }
}

impl Kept {
    /// The event as it was told.
    pub(crate) fn event(&self) -> Event<'_> {
        match self {
            Kept::Plain(event) => *event,
            Kept::Spawned { task, name, site, by } => Event::Spawned { task: *task, name: Some(name), site, by: *by },
            Kept::Behind { by, resource, site, holders } => {
                Event::Waiting { by: *by, resource: *resource, site: *site, behind: Behind::Holders(holders) }
            }
            Kept::Unread { task, site, text } => Event::Unread { task: *task, site, text },
            Kept::Noted { by, text } => Event::Noted { by: *by, text },
        }
    }

    pub(crate) fn resource(&self) -> Option<Resource> {
        resource_of(&self.event())
    }
}

/// Copies what the event borrows.
fn keep(event: &Event<'_>) -> Kept {
    Kept::Plain(match *event {
        Event::Spawned { task, name: Some(name), site, by } => {
            return Kept::Spawned { task, name: name.into(), site, by };
        }
        Event::Waiting { by, resource, site, behind: Behind::Holders(holders) } => {
            return Kept::Behind { by, resource, site, holders: holders.into() };
        }
        Event::Unread { task, site, text } => return Kept::Unread { task, site, text: text.into() },
        Event::Noted { by, text } => return Kept::Noted { by, text: text.into() },
        Event::Waiting { by, resource, site, behind } => {
            let behind = match behind {
                Behind::Deadline(deadline) => Behind::Deadline(deadline),
                Behind::Task(task) => Behind::Task(task),
                Behind::Members => Behind::Members,
                Behind::Anyone | Behind::Holders(_) => Behind::Anyone,
            };
            Event::Waiting { by, resource, site, behind }
        }
        Event::Spawned { task, name: None, site, by } => Event::Spawned { task, name: None, site, by },
        Event::Woken { task, by } => Event::Woken { task, by },
        Event::PollStarted { task } => Event::PollStarted { task },
        Event::PollEnded { task, pending } => Event::PollEnded { task, pending },
        Event::Acquired { by, resource, site } => Event::Acquired { by, resource, site },
        Event::Released { by, resource } => Event::Released { by, resource },
        Event::Finished { task, outcome } => Event::Finished { task, outcome },
        Event::Member { family, task } => Event::Member { family, task },
        Event::Opened { socket, by } => Event::Opened { socket, by },
        Event::Closed { socket } => Event::Closed { socket },
        Event::Submitted { job, by, site } => Event::Submitted { job, by, site },
        Event::Answered { job, ran } => Event::Answered { job, ran },
        Event::Closing => Event::Closing,
        Event::Parked { limit } => Event::Parked { limit },
        Event::Unparked => Event::Unparked,
        Event::Fired { timers } => Event::Fired { timers },
    })
}

/// What the event is about, besides tasks.
fn resource_of(event: &Event<'_>) -> Option<Resource> {
    match *event {
        Event::Waiting { resource, .. } | Event::Acquired { resource, .. } | Event::Released { resource, .. } => {
            Some(resource)
        }
        Event::Member { family, .. } => Some(family),
        Event::Opened { socket, .. } | Event::Closed { socket } => Some(socket),
        Event::Submitted { job, .. } | Event::Answered { job, .. } => Some(job),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_takes_ten_words() {
        // What a recording takes in memory is this, event by event.
        assert!(size_of::<Entry>() <= 10 * size_of::<u64>());
    }
}
