//! The inquest: nothing happens any more, and the loop asks each of its tasks why.
//!
//! ```text
//!   poll every task once, with a waker like no other     -> each says what it waits for, and keeps the waker anew
//!   a task moved, or woke another?                          something moves: go on
//!   somebody else kept the waker, or it says nothing?       unknown: it may be woken from anywhere
//!   otherwise                                               a deadlock, and the census knows whose
//! ```
//!
//! While others run on, some tasks may wait for each other in a circle all the same. So every few seconds a
//! [`Lookout`] looks for tasks that have waited for a lock, or for another task, all the time since the last look, and
//! asks those.
//!
//! Nobody has to keep account of waits while all is well: a future must allow a poll at any time, so the
//! question can be asked when it comes up. It costs a healthy program nothing.
//!
//! Promises: what was not said is not guessed; a task that moves when asked has moved for good.
//! Does not know: sockets, timers, threads: whoever holds an inquest has looked at them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::arena::Key;
use crate::clock::Instant;
use crate::context::Parts;
use crate::observer::{self, TaskId, Waits, Watch};
use crate::scheduler::{Asked, PollRoot};
use crate::study::census::{Resident, Stage, Taker, Wait};
use crate::study::deadlock::{Deadlock, TellCircle};
use crate::wakers;

/// What came out.
pub(crate) enum Finding {
    /// A task was not stuck after all.
    SomethingMoves,
    /// A task waits for something that this runtime does not know.
    Unknown,
    /// The future given to `block_on` is done.
    RootFinished,
    Deadlock(Box<Deadlock>),
}

/// Asks every task of the loop, which this thread is inside of.
pub(crate) fn hold(parts: &Parts, poll_root: PollRoot<'_>) -> Finding {
    let inquest = Inquest::begin(parts);
    let tasks = parts.scheduler.tasks();
    for (_, key) in tasks.roll() {
        match inquest.ask(key, poll_root) {
            Answer::RootFinished => return Finding::RootFinished,
            Answer::Moves => return Finding::SomethingMoves,
            Answer::Unknown => return Finding::Unknown,
            Answer::Waits => {}
        }
    }
    Finding::Deadlock(Box::new(Deadlock::of(&inquest.taker.0.borrow())))
}

/// Who asks, and writes down what is said.
struct Inquest<'a> {
    parts: &'a Parts,
    taker: Rc<Taker>,
}

enum Answer {
    Waits,
    Moves,
    Unknown,
    RootFinished,
}

impl Inquest<'_> {
    fn begin(parts: &Parts) -> Inquest<'_> {
        let taker = Rc::new(Taker::default());
        // While it lasts, the taker hears what the loop's own observer hears.
        let all = parts.watch.iter().cloned().chain([Watch::of_everything(taker.clone())]);
        observer::watch(observer::all_of(all.collect()));
        let tasks = parts.scheduler.tasks();
        for info in tasks.all() {
            taker.0.borrow_mut().admit(info.id, info.name.map(Into::into), info.site, info.polls, Stage::Waiting);
        }
        tasks.tell_members();
        Inquest { parts, taker }
    }

    fn ask(&self, key: Key, poll_root: PollRoot<'_>) -> Answer {
        let tasks = self.parts.scheduler.tasks();
        let (id, stray, ready) = (tasks.id(key), wakers::stray(), tasks.ready().len());
        match self.parts.scheduler.ask(key, poll_root) {
            Asked::RootFinished => return Answer::RootFinished,
            Asked::Finished | Asked::Nobody => return Answer::Moves,
            Asked::Waits => {}
        }
        if tasks.ready().len() > ready || tasks.address().has_mail() {
            return Answer::Moves;
        }
        let for_us_only = self.taker.0.borrow().task(id).is_some_and(waits_for_us_only);
        if wakers::stray() == stray && for_us_only { Answer::Waits } else { Answer::Unknown }
    }
}

impl Drop for Inquest<'_> {
    fn drop(&mut self) {
        observer::watch(self.parts.watch.clone());
    }
}

/// Whether a task says what it waits for, and that is in the hands of the other tasks.
fn waits_for_us_only(task: &Resident) -> bool {
    let of_the_world = |wait: &Wait| matches!(wait.resource.kind, Waits::Socket | Waits::Thread);
    !task.waits.is_empty() && !task.waits.iter().any(of_the_world)
}

/// Between two looks for circles: long enough that a lock held for so long is worth a question.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// Looks for tasks that wait for each other in a circle while the loop runs on.
pub(crate) struct Lookout {
    /// On the loop's clock; the first look is at once, and finds nobody who has waited.
    next: Cell<Instant>,
    /// Who waited at the last look, with the turns it had had then, and whether it was asked since.
    waited: RefCell<BTreeMap<TaskId, (u32, bool)>>,
    reported: RefCell<Vec<Vec<TaskId>>>,
    tell: TellCircle,
}

impl Lookout {
    /// It never looks if there is nobody to tell.
    pub(crate) fn new(tell: Option<TellCircle>) -> Lookout {
        let next = Cell::new(if tell.is_some() { Instant(0) } else { Instant::FAR });
        let tell = tell.unwrap_or_else(|| Box::new(drop));
        Lookout { next, waited: RefCell::default(), reported: RefCell::default(), tell }
    }

    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.get() <= now
    }

    /// Asks those who have waited since the last look, and tells of a circle, once. True if the future given to
    /// `block_on` is done, being asked.
    #[cold]
    pub(crate) fn look(&self, now: Instant, parts: &Parts, poll_root: PollRoot<'_>) -> bool {
        self.next.set(now + BETWEEN_LOOKS);
        let waiting = parts.scheduler.tasks().waiting_for_others();
        let before = self.waited.take();
        let stalled = |&(_, id, polls): &(Key, TaskId, u32)| before.get(&id).is_some_and(|&(had, _)| had == polls);
        let news =
            waiting.iter().any(|waiter| stalled(waiter) && before.get(&waiter.1).is_some_and(|&(_, asked)| !asked));
        let mut waited = BTreeMap::new();
        let mut unknown = Vec::new();
        let inquest = news.then(|| Inquest::begin(parts));
        for &(key, id, polls) in &waiting {
            let (true, Some(inquest)) = (stalled(&(key, id, polls)), &inquest) else {
                let asked = before.get(&id).is_some_and(|&(had, asked)| had == polls && asked);
                waited.insert(id, (polls, asked));
                continue;
            };
            match inquest.ask(key, poll_root) {
                Answer::RootFinished => return true,
                Answer::Moves | Answer::Unknown => unknown.push(id),
                Answer::Waits => {}
            }
            waited.insert(id, (polls.wrapping_add(1), true));
        }
        self.waited.replace(waited);
        let Some(inquest) = inquest else { return false };
        let mut deadlock = Deadlock::of(&inquest.taker.0.borrow());
        drop(inquest);
        let is_news = |cycle: &Vec<TaskId>| !self.reported.borrow().contains(cycle);
        deadlock.keep_certain(|cycle| !cycle.iter().any(|id| unknown.contains(id)) && is_news(cycle));
        self.reported.borrow_mut().extend(deadlock.cycles.iter().cloned());
        if !deadlock.cycles.is_empty() {
            (self.tell)(deadlock);
        }
        false
    }
}
