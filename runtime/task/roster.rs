//! The roster: what is known of the tasks, for whoever asks.
//!
//! Promises: nobody is called while a task is looked at.
//! Does not know: why somebody asks.

use std::panic::Location;
use std::rc::Rc;

use super::{Listener, ROOT_NAME, Stage, Task, Tasks};
use crate::arena::Key;
use crate::arrivals::Arrivals;
use crate::observer::{TaskId, Waits};

/// What [`all_tasks`](crate::all_tasks) and [`current_task`](crate::current_task) know of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it was given one. The future given to `block_on` is called `main`.
    pub name: Option<Box<str>>,
    /// The line that spawned it.
    pub site: &'static Location<'static>,
    /// How many turns it has had.
    pub polls: u32,
    /// What it waits for; `None` while it has its turn.
    pub waits_for: Option<Waits>,
}

/// What became of a task that waits for others, since its last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    No,
    /// It was seen to wait.
    Waiting,
    /// It was asked what for.
    Asked,
}

impl Task {
    fn waits_for_others(&self) -> bool {
        matches!(self.waits, Waits::Lock | Waits::Task) && !self.is_over()
    }
}

impl Tasks {
    /// What is known of every task that is not over, in order of spawning.
    pub(crate) fn all(&self) -> Vec<TaskInfo> {
        let queue = self.queue.borrow();
        let mut all: Vec<TaskInfo> =
            queue.iter().filter_map(|(key, serial, task)| self.info(key, serial, task)).collect();
        all.sort_unstable_by_key(|info| info.id);
        all
    }

    /// What is known of the task whose turn it is.
    pub(crate) fn current(&self) -> Option<TaskInfo> {
        let key = self.current.get();
        let queue = self.queue.borrow();
        self.info(key, queue.serial(key)?, queue.get(key)?)
    }

    /// Shows the name and the spawn site of the task whose turn it is, and makes nothing.
    pub(crate) fn show_current(&self, show: impl FnOnce(Option<&str>, &'static Location<'static>)) {
        let key = self.current.get();
        let (queue, names) = (self.queue.borrow(), self.names.borrow());
        if let (Some(task), Some(serial)) = (queue.get(key), queue.serial(key)) {
            let name = if matches!(task.stage, Stage::Root) {
                Some(ROOT_NAME)
            } else {
                names.get(&serial).map(|name| &**name)
            };
            show(name, task.site);
        }
    }

    fn info(&self, key: Key, serial: u64, task: &Task) -> Option<TaskInfo> {
        let name = match task.stage {
            Stage::Root => Some(ROOT_NAME.into()),
            Stage::Alive(_) => self.names.borrow().get(&serial).cloned(),
            Stage::Finished(_) => return None,
        };
        let waits_for = (self.current.get() != key).then_some(task.waits);
        Some(TaskInfo { id: TaskId::of(serial), name, site: task.site, polls: task.polls, waits_for })
    }

    /// Every task that is not over, with its place, in order of spawning.
    pub(crate) fn roll(&self) -> Vec<(TaskId, Key)> {
        let queue = self.queue.borrow();
        let living = queue.iter().filter(|(.., task)| !task.is_over());
        let mut roll: Vec<_> = living.map(|(key, serial, _)| (TaskId::of(serial), key)).collect();
        roll.sort_unstable_by_key(|&(task, _)| task);
        roll
    }

    /// Whether anybody waits for what no task of this loop can bring about, as far as its last wait says.
    pub(crate) fn waits_for_the_world(&self) -> bool {
        let of_the_world = |task: &Task| matches!(task.waits, Waits::Foreign | Waits::Socket | Waits::Thread);
        self.queue.borrow().iter().any(|(.., task)| of_the_world(task) && !task.is_over())
    }

    /// What is known of the task in this place.
    pub(crate) fn info_at(&self, key: Key) -> Option<TaskInfo> {
        let queue = self.queue.borrow();
        self.info(key, queue.serial(key)?, queue.get(key)?)
    }

    /// Those that have waited for a lock, or for another task, since the last time that this was asked; nobody, if
    /// each of them was asked before. And whether others, who wait for a lock, now begin to be of them.
    pub(crate) fn stalled(&self) -> (Vec<(TaskId, Key, Seen)>, bool) {
        let mut queue = self.queue.borrow_mut();
        let (mut has_news, mut has_suspects) = (false, false);
        for task in queue.tasks_mut().filter(|task| task.waits_for_others()) {
            has_news |= task.seen == Seen::Waiting;
            has_suspects |= task.seen == Seen::No && task.waits == Waits::Lock;
            task.seen = task.seen.max(Seen::Waiting);
        }
        if !has_news {
            return (Vec::new(), has_suspects);
        }
        let stalled = queue.iter().filter(|(.., task)| task.waits_for_others());
        let mut stalled: Vec<_> = stalled.map(|(key, serial, task)| (TaskId::of(serial), key, task.seen)).collect();
        stalled.sort_unstable_by_key(|&(id, ..)| id);
        (stalled, has_suspects)
    }

    /// Remembers that a task was asked, until its next turn.
    pub(crate) fn note_asked(&self, key: Key) {
        if let Some(task) = self.queue.borrow_mut().get_mut(key) {
            task.seen = Seen::Asked;
        }
    }

    /// Tells whoever watches now of all whose end is reported to a party.
    pub(crate) fn tell_members(&self) {
        let queue = self.queue.borrow();
        let party = |task: &Task| match &task.listener {
            Listener::Party(party) => Some(party.0.clone()),
            Listener::Waker(_) => None,
        };
        let members = queue.iter().filter_map(|(_, serial, task)| Some((party(task)?, TaskId::of(serial))));
        let members: Vec<(Rc<Arrivals>, TaskId)> = members.collect();
        drop(queue);
        members.iter().for_each(|(arrivals, task)| arrivals.tell_member(*task));
    }
}
