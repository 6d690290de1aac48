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
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::arena::Key;
use crate::clock::Instant;
use crate::context::Parts;
use crate::keep;
use crate::observer::{self, Actor, Event, TaskId, Waits, Watch};
use crate::scheduler::{Asked, PollRoot};
use crate::study::census::{Behind, Resident, Stage, Taker, Wait};
use crate::study::deadlock::{Deadlock, TellCircle};
use crate::task::Seen;

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
    inquest.count_families();
    for (id, key) in tasks.roll() {
        match inquest.ask(id, key, poll_root) {
            Answer::RootFinished => return Finding::RootFinished,
            Answer::Moves => return Finding::SomethingMoves,
            Answer::Unknown => return Finding::Unknown,
            Answer::Waits => {}
        }
    }
    Finding::Deadlock(Box::new(Deadlock::of(&inquest.taker.0.borrow())))
}

/// Tells whoever watches, in the loop's name.
#[cold]
pub(crate) fn tell(deadlock: &Deadlock) {
    if observer::is_watched() {
        let text = deadlock.to_string();
        observer::tell(|| Event::Noted { by: Actor::Loop, text: &text });
    }
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
        let inquest = Inquest { parts, taker: Rc::default() };
        observer::watch(inquest.everybody());
        inquest
    }

    /// The loop's own observers, and the taker.
    fn everybody(&self) -> Option<Watch> {
        let taker = Watch::of_everything(self.taker.clone());
        observer::all_of(self.parts.watch.iter().cloned().chain([taker]).collect())
    }

    /// Has the taker, and nobody else, hear again whose end is reported to whom.
    fn count_families(&self) {
        observer::watch(Some(Watch::of_everything(self.taker.clone())));
        self.parts.scheduler.tasks().tell_members();
        observer::watch(self.everybody());
    }

    fn ask(&self, id: TaskId, key: Key, poll_root: PollRoot<'_>) -> Answer {
        let tasks = self.parts.scheduler.tasks();
        let Some(info) = tasks.info_at(key) else { return Answer::Moves };
        self.taker.0.borrow_mut().admit(id, info.name.map(Into::into), info.site, info.polls, Stage::Waiting);
        let ready = tasks.ready().len();
        let (asked, strays) = keep::strays_during(|| self.parts.scheduler.ask(key, poll_root));
        match asked {
            Asked::RootFinished => return Answer::RootFinished,
            Asked::Finished | Asked::Nobody => return Answer::Moves,
            Asked::Waits => {}
        }
        if tasks.ready().len() > ready || tasks.address().has_mail() {
            return Answer::Moves;
        }
        let for_us_only = self.taker.0.borrow().task(id).is_some_and(waits_for_us_only);
        if strays == 0 && for_us_only { Answer::Waits } else { Answer::Unknown }
    }

    /// The task that has to go on before this one can, if it has said that it waits for one only.
    fn blocker_of(&self, id: TaskId) -> Option<TaskId> {
        let census = self.taker.0.borrow();
        let [wait] = &census.task(id)?.waits[..] else { return None };
        match wait.behind {
            Behind::Task(task) => Some(task),
            _ if wait.resource.kind == Waits::Lock => census.holders_of(wait).first()?.who.task(),
            _ => None,
        }
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

/// So many are asked in one look, which then takes a millisecond or two; a greater crowd takes several.
const MOST_IN_A_LOOK: usize = 1000;

/// Looks for tasks that wait for each other in a circle while the loop runs on.
///
/// A look follows each task that has stalled since the look before to whom it waits for, and on, as long as they
/// have stalled, too: a task is asked once in all, and again only where such a way leads through it.
pub(crate) struct Lookout {
    /// On the loop's clock.
    next: Cell<Instant>,
    /// Somebody was seen to wait, and is to be asked at the next look.
    has_suspects: Cell<bool>,
    reported: RefCell<Vec<Vec<TaskId>>>,
    tell: TellCircle,
}

impl Lookout {
    /// It never looks if there is nobody to tell.
    pub(crate) fn new(tell: Option<TellCircle>) -> Lookout {
        let next = Cell::new(if tell.is_some() { Instant(0) } else { Instant::FAR });
        let tell = tell.unwrap_or_else(|| Box::new(drop));
        Lookout { next, has_suspects: Cell::new(false), reported: RefCell::default(), tell }
    }

    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.get() <= now
    }

    /// How long the loop may sleep before it looks; nothing if there is nobody to look for.
    pub(crate) fn most(&self, now: Instant) -> Option<Duration> {
        let wants = self.next.get() != Instant::FAR && (self.has_suspects.get() || observer::has_stalls());
        wants.then(|| self.next.get() - now)
    }

    /// Asks those who have stalled since the last look, and tells of a circle, once. True if the future given to
    /// `block_on` is done, being asked.
    #[cold]
    pub(crate) fn look(&self, now: Instant, parts: &Parts, poll_root: PollRoot<'_>) -> bool {
        self.next.set(now + BETWEEN_LOOKS);
        let tasks = parts.scheduler.tasks();
        observer::forget_stalls();
        let (stalled, has_suspects) = tasks.stalled();
        self.has_suspects.set(has_suspects);
        if stalled.is_empty() {
            return false;
        }
        let place = |id: TaskId| stalled.binary_search_by_key(&id, |&(id, ..)| id).ok().map(|at| stalled[at].1);
        let inquest = Inquest::begin(parts);
        // Who was asked in this look, or found not to be stalled.
        let mut visited = BTreeSet::new();
        let mut circles = Vec::new();
        for &(newcomer, ..) in stalled.iter().filter(|(.., seen)| *seen != Seen::Asked) {
            if visited.len() >= MOST_IN_A_LOOK {
                self.has_suspects.set(true);
                break;
            }
            let mut way = Vec::new();
            let mut next = Some(newcomer);
            while let Some((id, key)) = next.and_then(|id| Some((id, place(id)?))) {
                if !visited.insert(id) {
                    circles.extend(way.iter().position(|&before| before == id).map(|at| way.split_off(at)));
                    break;
                }
                match inquest.ask(id, key, poll_root) {
                    Answer::RootFinished => return true,
                    Answer::Moves => break,
                    Answer::Unknown => {
                        tasks.note_asked(key);
                        break;
                    }
                    Answer::Waits => tasks.note_asked(key),
                }
                way.push(id);
                next = inquest.blocker_of(id);
            }
        }
        let deadlock = (!circles.is_empty()).then(|| Deadlock::of(&inquest.taker.0.borrow()));
        drop(inquest);
        for mut circle in circles {
            circle.sort_unstable();
            if let Some(deadlock) = deadlock.as_ref().filter(|_| !self.reported.borrow().contains(&circle)) {
                let mut deadlock = deadlock.clone();
                deadlock.keep_only(&circle);
                self.reported.borrow_mut().push(circle);
                (self.tell)(deadlock);
            }
        }
        // Those of whom somebody is over, or was woken, may be forgotten.
        self.reported.borrow_mut().retain(|circle| circle.iter().all(|&id| place(id).is_some()));
        false
    }
}
