//! The scheduler: gives ready tasks their turns, first in line first.
//!
//! ```text
//!   line: a b c      poll a (it finishes), poll b (it wakes itself), poll c (it spawns d)      line: b d
//!                    `---------------- what `turn()` calls a round ---------------'
//! ```
//!
//! Promises: who was ready first has the first turn, unless the [`Order`] says otherwise; what another thread
//! left is looked for after every turn; a round polls each task that was ready when it began once; a panic
//! ends the task it happens in and nothing else.
//! Does not know: sockets, timers, when the loop sleeps.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::arena::Key;
use crate::inbox::Errand;
use crate::join_error::JoinError;
use crate::observer::{self, Actor, Event, TaskId};
use crate::order::Order;
use crate::task::{Body, Tasks, Turn, TurnOf};
use crate::waker::{asking_waker, waker};

/// Polls the tasks of one loop.
#[derive(Debug)]
pub(crate) struct Scheduler {
    tasks: Rc<Tasks>,
    order: Option<RefCell<Order>>,
}

/// The poll of the future that `block_on` holds: true when it is done.
pub(crate) type PollRoot<'a> = &'a mut dyn FnMut(&mut Context<'_>) -> bool;

/// What became of a task that was asked.
pub(crate) enum Asked {
    /// It is ready by itself, or gone.
    Nobody,
    Waits,
    Finished,
    RootFinished,
}

/// How many turns were taken, or that the last was the root's last.
pub(crate) enum Turns {
    Taken(usize),
    RootFinished,
}

impl Scheduler {
    pub(crate) fn new(tasks: Rc<Tasks>, order: Order) -> Scheduler {
        let order = (!order.is_fifo()).then(|| RefCell::new(order));
        Scheduler { tasks, order }
    }

    pub(crate) fn tasks(&self) -> &Rc<Tasks> {
        &self.tasks
    }

    /// Gives turns in order until nobody is ready, `most` were given, or another thread has left mail.
    #[inline]
    pub(crate) fn take_turns(&self, most: usize, poll_root: PollRoot<'_>) -> Turns {
        self.take_turns_of(most, false, poll_root)
    }

    /// Gives one turn to each task that is ready now.
    pub(crate) fn round(&self, poll_root: PollRoot<'_>) {
        // In another order any ready task may be next, of whichever round: so the turns are counted.
        let mut left = self.tasks.begin_round();
        while let Turns::Taken(taken @ 1..) = self.take_turns_of(left, true, poll_root) {
            left -= taken;
            self.collect_mail();
        }
    }

    fn take_turns_of(&self, most: usize, one_round: bool, poll_root: PollRoot<'_>) -> Turns {
        let plain = !one_round && self.order.is_none();
        let has_mail = self.tasks.address().watch_for_mail();
        let on_stage = OnStage(&self.tasks);
        let mut taken = 0;
        while taken < most {
            if !plain && !self.choose_next() {
                break;
            }
            let Some(Turn { key, serial, of }) = self.tasks.next_turn() else { break };
            taken += 1;
            match of {
                TurnOf::Task(body) => {
                    on_stage.is_now(key, serial);
                    self.poll_task(key, serial, body, waker(self.tasks.address().number(), key));
                }
                TurnOf::Root => {
                    on_stage.is_now(key, serial);
                    if self.poll_root(key, poll_root, waker(self.tasks.address().number(), key)) {
                        return Turns::RootFinished;
                    }
                }
                TurnOf::Nobody => {}
            }
            if has_mail() {
                break;
            }
        }
        Turns::Taken(taken)
    }

    /// Puts who is next first in line; false if there is nobody, or nobody of this round.
    // Out of line: rounds and other orders are for tests and for stepping, and the plain path should stay short.
    #[cold]
    fn choose_next(&self) -> bool {
        let Some(order) = &self.order else { return self.tasks.next_is_of_round() };
        let ready = self.tasks.ready();
        if !ready.is_empty() {
            self.tasks.bring_forward(order.borrow_mut().pick(&ready));
        }
        !ready.is_empty()
    }

    /// Takes in what other threads left since the last look.
    #[inline]
    pub(crate) fn collect_mail(&self) {
        if self.tasks.address().has_mail() {
            self.read_mail();
        }
    }

    #[cold]
    fn read_mail(&self) {
        for (by, errand) in self.tasks.collect() {
            let actor = observer::set_actor(by);
            match errand {
                Errand::Cancel(key, serial) => self.tasks.cancel_exactly(key, serial),
                Errand::Run(job) => job(),
            }
            observer::set_actor(actor);
        }
    }

    /// Asks a task that waits what it waits for: a turn out of line, with a waker that counts who else keeps it.
    #[cold]
    pub(crate) fn ask(&self, key: Key, poll_root: PollRoot<'_>) -> Asked {
        if !self.tasks.enqueue(key) {
            return Asked::Nobody;
        }
        let actor = observer::set_actor(Actor::Loop);
        self.tasks.tell_woken(key);
        observer::set_actor(actor);
        self.tasks.bring_forward(self.tasks.ready().len() - 1);
        let Some(Turn { key, serial, of }) = self.tasks.next_turn() else { return Asked::Nobody };
        let on_stage = OnStage(&self.tasks);
        on_stage.is_now(key, serial);
        let waker = asking_waker(self.tasks.address().number(), key);
        match of {
            TurnOf::Task(body) => self.poll_task(key, serial, body, waker),
            TurnOf::Root if self.poll_root(key, poll_root, waker) => return Asked::RootFinished,
            TurnOf::Root | TurnOf::Nobody => {}
        }
        if self.tasks.is_finished(key) { Asked::Finished } else { Asked::Waits }
    }

    // Always, for there are two who call it, and the one who asks seldom does.
    #[inline(always)]
    fn poll_task(&self, key: Key, serial: u64, mut body: Body, waker: Waker) {
        let mut cx = Context::from_waker(&waker);
        let polled = panic::catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_any(&mut cx)));
        let waits = observer::take_waits();
        let tell_ended =
            move |pending| observer::tell_guards(move || Event::PollEnded { task: TaskId::of(serial), pending });
        match polled {
            Ok(Poll::Pending) => {
                tell_ended(true);
                self.tasks.end_turn(key, body, waits);
            }
            Ok(Poll::Ready(output)) => {
                tell_ended(false);
                self.tasks.finish(key, body, output);
            }
            Err(payload) => {
                tell_ended(false);
                self.tasks.fail(key, body, JoinError::panicked(Some(TaskId::of(serial)), payload));
            }
        }
    }

    #[inline(never)]
    fn poll_root(&self, key: Key, poll_root: PollRoot<'_>, waker: Waker) -> bool {
        // A panic here is the caller's own: it leaves through block_on.
        let done = poll_root(&mut Context::from_waker(&waker));
        let waits = observer::take_waits();
        observer::tell_guards(move || Event::PollEnded { task: TaskId(0), pending: !done });
        if !done {
            self.tasks.end_root_turn(key, waits);
        }
        done
    }
}

/// While it lives, the task whose turn it is acts. Left clear also when a panic leaves through it.
struct OnStage<'a>(&'a Tasks);

impl OnStage<'_> {
    #[inline]
    fn is_now(&self, key: Key, serial: u64) {
        self.0.set_current(key);
        observer::set_acting_task(serial);
        observer::tell_guards(move || Event::PollStarted { task: TaskId::of(serial) });
    }
}

impl Drop for OnStage<'_> {
    fn drop(&mut self) {
        observer::set_actor(Actor::Outside);
        self.0.set_current(Key::NOWHERE);
    }
}
