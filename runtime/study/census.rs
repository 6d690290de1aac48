//! The census: what a series of events comes to. Who is there, who waits for what, who holds what.
//!
//! ```text
//!   Acquired(task 1, Lock "a")  Waiting(task 1, Lock "b")  Acquired(task 2, Lock "b")  ...
//!
//!   task 1   waits for Lock "b"    holds Lock "a"         Lock "a"   held by task 1   in line: task 2
//!   task 2   waits for Lock "a"    holds Lock "b"         Lock "b"   held by task 2   in line: task 1
//! ```
//!
//! Promises: after any event it says what the events so far say, and no more: what happened before it was
//! there it knows only as far as it is told.
//! Does not know: the loop; whether all this will ever end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::rc::Rc;

use crate::clock::Instant;
use crate::observer::{self, Actor, Event, Holder, Observer, Resource, TaskId, Waits};
use crate::study::words::who;

/// Everybody who is there, and everything that is held or waited for.
#[derive(Debug, Default)]
pub(crate) struct Census {
    tasks: BTreeMap<TaskId, Resident>,
    things: BTreeMap<Resource, Thing>,
    /// Tasks that are over, as long as they are named as holders.
    gone: BTreeMap<TaskId, Option<Rc<str>>>,
    /// The place that the next one in any line gets.
    next_place: u64,
}

/// A task that is not over.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(crate) name: Option<Rc<str>>,
    /// The line that spawned it; `None` if that was before the census.
    pub(crate) site: Option<&'static Location<'static>>,
    /// Who spawned it.
    pub(crate) parent: Actor,
    pub(crate) polls: u32,
    pub(crate) stage: Stage,
    /// What it said it waits for in its last poll, in order.
    pub(crate) waits: Vec<Wait>,
    /// Where it stands in lines.
    places: BTreeMap<Resource, u64>,
    /// It was woken during its own poll.
    woken: bool,
    /// What hears of its end.
    families: Vec<Resource>,
    /// How much it holds.
    holds: usize,
}

impl Resident {
    fn unheard_of() -> Resident {
        Resident {
            name: None,
            site: None,
            parent: Actor::Outside,
            polls: 0,
            stage: Stage::Waiting,
            waits: Vec::new(),
            places: BTreeMap::new(),
            woken: false,
            families: Vec::new(),
            holds: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Ready,
    Running,
    Waiting,
}

/// One thing that a task waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) resource: Resource,
    pub(crate) site: Option<&'static Location<'static>>,
    pub(crate) behind: Behind,
}

/// What has to happen first: [`observer::Behind`], to keep.
#[derive(Clone, Debug)]
pub(crate) enum Behind {
    Anyone,
    Deadline(Instant),
    Holders(Vec<Holder>),
    Task(TaskId),
    /// Those of a family that are not over: see [`Census::members`].
    Members,
}

/// A lock, a semaphore, a family: whatever is held, waited for or joined.
#[derive(Debug, Default)]
pub(crate) struct Thing {
    /// Who took it and did not give it back, oldest first.
    pub(crate) holders: Vec<Holder>,
    /// In line for it, in order of coming.
    line: BTreeMap<u64, TaskId>,
    members: BTreeSet<TaskId>,
}

impl Thing {
    /// In line for it, in order of coming.
    pub(crate) fn line(&self) -> impl Iterator<Item = TaskId> {
        self.line.values().copied()
    }
}

impl Census {
    /// A task that was there before anybody took count.
    pub(crate) fn admit(
        &mut self,
        task: TaskId,
        name: Option<Rc<str>>,
        site: &'static Location<'static>,
        polls: u32,
        stage: Stage,
    ) {
        self.tasks.insert(task, Resident { name, site: Some(site), polls, stage, ..Resident::unheard_of() });
    }

    /// Takes an event into account.
    pub(crate) fn apply(&mut self, event: &Event<'_>) {
        match *event {
            Event::Spawned { task, name, site, by } => {
                self.admit(task, name.map(Into::into), site, 0, Stage::Waiting);
                self.resident(task).parent = by;
            }
            Event::Woken { task, .. } => {
                let resident = self.resident(task);
                match resident.stage {
                    Stage::Waiting => resident.stage = Stage::Ready,
                    Stage::Running => resident.woken = true,
                    Stage::Ready => {}
                }
            }
            Event::PollStarted { task } => self.begin_poll(task),
            Event::PollEnded { task, pending } => self.end_poll(task, pending),
            Event::Waiting { by: Actor::Task(task), resource, site, behind } => self.wait(task, resource, site, behind),
            Event::Acquired { by, resource, site } => {
                self.thing(resource).holders.push(Holder { who: by, site });
                if let Actor::Task(task) = by {
                    self.resident(task).holds += 1;
                }
            }
            Event::Released { by, resource } => self.release(by, resource),
            Event::Finished { task, .. } => self.finish(task),
            Event::Member { family, task } => self.join(family, task),
            _ => {}
        }
    }

    fn resident(&mut self, task: TaskId) -> &mut Resident {
        self.tasks.entry(task).or_insert_with(Resident::unheard_of)
    }

    fn thing(&mut self, resource: Resource) -> &mut Thing {
        self.things.entry(resource).or_default()
    }

    /// Told once or often, a member is one once.
    fn join(&mut self, family: Resource, task: TaskId) {
        if self.thing(family).members.insert(task) {
            self.resident(task).families.push(family);
        }
    }

    fn begin_poll(&mut self, task: TaskId) {
        let resident = self.resident(task);
        resident.polls = resident.polls.wrapping_add(1);
        resident.stage = Stage::Running;
        resident.woken = false;
        resident.waits.clear();
    }

    fn end_poll(&mut self, task: TaskId, pending: bool) {
        let Resident { stage, waits, places, woken, .. } = self.resident(task);
        *stage = if *woken && pending { Stage::Ready } else { Stage::Waiting };
        // Who no longer says that it waits has left the line.
        let mut left = Vec::new();
        places.retain(|resource, place| {
            let stays = waits.iter().any(|wait| wait.resource == *resource);
            if !stays {
                left.push((*resource, *place));
            }
            stays
        });
        for (resource, place) in left {
            self.leave(resource, place);
        }
    }

    fn wait(
        &mut self,
        task: TaskId,
        resource: Resource,
        site: Option<&'static Location<'static>>,
        behind: observer::Behind<'_>,
    ) {
        let behind = match behind {
            observer::Behind::Anyone => Behind::Anyone,
            observer::Behind::Deadline(deadline) => Behind::Deadline(deadline),
            observer::Behind::Holders(holders) => Behind::Holders(holders.to_vec()),
            observer::Behind::Task(task) => Behind::Task(task),
            observer::Behind::Members => Behind::Members,
        };
        // A timer, a socket, a closure has one who waits for it, and no line.
        let shared = !matches!(resource.kind, Waits::Timer | Waits::Socket | Waits::Thread) && resource.number != 0;
        if shared && !self.resident(task).places.contains_key(&resource) {
            let place = self.next_place;
            self.next_place += 1;
            self.thing(resource).line.insert(place, task);
            self.resident(task).places.insert(resource, place);
        }
        self.resident(task).waits.push(Wait { resource, site, behind });
    }

    fn release(&mut self, by: Actor, resource: Resource) {
        let holders = &mut self.thing(resource).holders;
        // A permit may be dropped by another one than who took it: then the oldest is as good as any.
        let whose = holders.iter().position(|holder| holder.who == by).unwrap_or(0);
        let holder = (whose < holders.len()).then(|| holders.remove(whose));
        if let Some(Actor::Task(task)) = holder.map(|holder| holder.who) {
            if let Some(resident) = self.tasks.get_mut(&task) {
                resident.holds = resident.holds.saturating_sub(1);
            } else if self.held_by(task).next().is_none() {
                self.gone.remove(&task);
            }
        }
        self.forget_if_idle(resource);
    }

    fn leave(&mut self, resource: Resource, place: u64) {
        if let Some(thing) = self.things.get_mut(&resource) {
            thing.line.remove(&place);
            self.forget_if_idle(resource);
        }
    }

    /// What nobody holds, waits for or has joined is as if it had never been there.
    fn forget_if_idle(&mut self, resource: Resource) {
        let idle = |thing: &Thing| thing.holders.is_empty() && thing.line.is_empty() && thing.members.is_empty();
        if self.things.get(&resource).is_some_and(idle) {
            self.things.remove(&resource);
        }
    }

    fn finish(&mut self, task: TaskId) {
        let Some(resident) = self.tasks.remove(&task) else { return };
        for (resource, place) in resident.places {
            self.leave(resource, place);
        }
        for family in resident.families {
            self.thing(family).members.remove(&task);
            self.forget_if_idle(family);
        }
        if resident.holds > 0 {
            self.gone.insert(task, resident.name);
        }
    }

    /// Every task that is not over, in order of spawning.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (TaskId, &Resident)> {
        self.tasks.iter().map(|(task, resident)| (*task, resident))
    }

    /// A task, if it is not over.
    pub(crate) fn task(&self, task: TaskId) -> Option<&Resident> {
        self.tasks.get(&task)
    }

    /// Everything that is held or waited for.
    pub(crate) fn things(&self) -> impl Iterator<Item = (Resource, &Thing)> {
        self.things.iter().map(|(resource, thing)| (*resource, thing))
    }

    /// The members of a family that are not over.
    pub(crate) fn members(&self, family: Resource) -> impl Iterator<Item = TaskId> {
        self.things.get(&family).into_iter().flat_map(|thing| thing.members.iter().copied())
    }

    /// What a task holds, with the line where it took it.
    pub(crate) fn held_by(&self, task: TaskId) -> impl Iterator<Item = (Resource, &'static Location<'static>)> {
        let of_one = move |(resource, thing): (&Resource, &Thing)| {
            let held = thing.holders.iter().filter(move |holder| holder.who == Actor::Task(task));
            let resource = *resource;
            held.map(move |holder| (resource, holder.site)).collect::<Vec<_>>()
        };
        self.things.iter().flat_map(of_one)
    }

    /// Who has what this wait is for: who holds it now, as far as that was seen, or else as the waiter was told.
    pub(crate) fn holders_of(&self, wait: &Wait) -> Vec<Holder> {
        match (&wait.behind, self.things.get(&wait.resource)) {
            (_, Some(thing)) if !thing.holders.is_empty() => thing.holders.clone(),
            (Behind::Holders(told), _) => told.clone(),
            _ => Vec::new(),
        }
    }

    /// `task 3`, with its name if it has one, as far as known.
    pub(crate) fn name_of(&self, task: TaskId) -> String {
        let name = match self.tasks.get(&task) {
            Some(resident) => resident.name.as_deref(),
            None => self.gone.get(&task).and_then(Option::as_deref),
        };
        who(task, name)
    }
}

/// A census that takes count by itself.
#[derive(Debug, Default)]
pub(crate) struct Taker(pub(crate) RefCell<Census>);

impl Observer for Taker {
    fn event(&self, event: &Event<'_>) {
        self.0.borrow_mut().apply(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Outcome;

    const LOCK: Resource = Resource { kind: Waits::Lock, number: 1 };
    const FAMILY: Resource = Resource { kind: Waits::Children, number: 2 };

    fn task(number: u64) -> Actor {
        Actor::Task(TaskId(number))
    }

    /// A census of three tasks, numbered from 1.
    fn of_three() -> Census {
        let mut census = Census::default();
        for number in 1..=3 {
            let site = Location::caller();
            census.apply(&Event::Spawned { task: TaskId(number), name: None, site, by: Actor::Outside });
        }
        census
    }

    fn take(census: &mut Census, number: u64) {
        census.apply(&Event::Acquired { by: task(number), resource: LOCK, site: Location::caller() });
    }

    /// A poll in which the task says that it waits for these.
    fn poll(census: &mut Census, number: u64, waits: &[(Resource, observer::Behind<'_>)]) {
        let id = TaskId(number);
        census.apply(&Event::PollStarted { task: id });
        for &(resource, behind) in waits {
            census.apply(&Event::Waiting { by: task(number), resource, site: None, behind });
        }
        census.apply(&Event::PollEnded { task: id, pending: true });
    }

    fn line(census: &Census) -> Vec<u64> {
        census.things.get(&LOCK).map_or(Vec::new(), |lock| lock.line().map(|id| id.0).collect())
    }

    #[test]
    fn a_line_is_in_order_of_coming_and_who_says_nothing_more_has_left_it() {
        let mut census = of_three();
        take(&mut census, 1);
        for number in [2, 3, 2] {
            poll(&mut census, number, &[(LOCK, observer::Behind::Anyone)]);
        }
        assert_eq!(line(&census), [2, 3]);
        poll(&mut census, 2, &[]);
        assert_eq!(line(&census), [3]);
        census.apply(&Event::Finished { task: TaskId(3), outcome: Outcome::Cancelled });
        assert_eq!(line(&census), [0_u64; 0]);
    }

    #[test]
    fn who_has_it_is_whoever_took_it_last_and_did_not_give_it_back() {
        let mut census = of_three();
        take(&mut census, 1);
        census.apply(&Event::Released { by: task(1), resource: LOCK });
        take(&mut census, 2);
        assert_eq!(census.held_by(TaskId(1)).count(), 0);
        assert_eq!(census.held_by(TaskId(2)).map(|(resource, _)| resource).collect::<Vec<_>>(), [LOCK]);
        // A guard that was handed to another task is dropped there.
        census.apply(&Event::Released { by: task(3), resource: LOCK });
        assert_eq!(census.held_by(TaskId(2)).count(), 0);
    }

    #[test]
    fn a_holder_that_is_over_is_named_as_long_as_it_holds() {
        let mut census = of_three();
        let site = Location::caller();
        census.apply(&Event::Spawned { task: TaskId(4), name: Some("gone"), site, by: Actor::Outside });
        take(&mut census, 4);
        census.apply(&Event::Finished { task: TaskId(4), outcome: Outcome::Returned });
        assert_eq!(census.name_of(TaskId(4)), "task 4 \"gone\"");
        census.apply(&Event::Released { by: Actor::Outside, resource: LOCK });
        assert_eq!(census.name_of(TaskId(4)), "task 4");
    }

    #[test]
    fn a_family_is_those_of_it_who_are_not_over() {
        let mut census = of_three();
        for number in [2, 3] {
            census.apply(&Event::Member { family: FAMILY, task: TaskId(number) });
        }
        census.apply(&Event::Finished { task: TaskId(2), outcome: Outcome::Returned });
        poll(&mut census, 1, &[(FAMILY, observer::Behind::Members)]);
        assert_eq!(census.members(FAMILY).map(|id| id.0).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let mut census = of_three();
        take(&mut census, 1);
        census.apply(&Event::Member { family: FAMILY, task: TaskId(2) });
        poll(&mut census, 2, &[(LOCK, observer::Behind::Anyone), (FAMILY, observer::Behind::Members)]);
        census.apply(&Event::Released { by: task(1), resource: LOCK });
        for number in 1..=3 {
            census.apply(&Event::Finished { task: TaskId(number), outcome: Outcome::Returned });
        }
        assert!(census.tasks.is_empty() && census.things.is_empty() && census.gone.is_empty(), "{census:?}");
    }
}
