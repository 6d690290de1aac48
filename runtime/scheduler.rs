//! The scheduler: gives each ready task its turn, in rounds.
//!
//! ```text
//!   ready: a b c      round of 3: poll a, poll b, poll c       ready: b d
//!                     (a finishes; b wakes itself; c spawns d)  both wait for the next round
//! ```
//!
//! Promises: a round polls each task that was ready when it began once, in the order of the [`Order`];
//! a panic ends the task it happens in and nothing else.
//! Does not know: sockets, timers, when the loop sleeps.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::arena::Key;
use crate::inbox::Errand;
use crate::join_error::JoinError;
use crate::observer::{self, Actor, Event, TaskId};
use crate::order::Order;
use crate::task::{Body, Tasks, Turn, waker_of};

/// Polls the tasks of one loop.
#[derive(Debug)]
pub(crate) struct Scheduler {
    tasks: Rc<Tasks>,
    order: Option<RefCell<Order>>,
}

/// The poll of the future that `block_on` holds: true when it is done.
pub(crate) type PollRoot<'a> = &'a mut dyn FnMut(&mut Context<'_>) -> bool;

/// How a round ended.
pub(crate) enum Round {
    Polled(usize),
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

    /// Polls the tasks that are ready now, `most` at most, once each.
    pub(crate) fn round(&self, most: usize, poll_root: PollRoot<'_>) -> Round {
        let ready = self.tasks.queue().begin_round().min(most);
        let on_stage = OnStage(&self.tasks);
        let mut polled = 0;
        while polled < ready {
            let Some(key) = self.next() else { break };
            polled += 1;
            if self.poll(key, &on_stage, poll_root) {
                return Round::RootFinished;
            }
        }
        Round::Polled(polled)
    }

    /// Takes in what other threads left since the last round.
    #[inline]
    pub(crate) fn collect_mail(&self) {
        if self.tasks.queue().has_mail() {
            self.read_mail();
        }
    }

    #[cold]
    fn read_mail(&self) {
        for errand in self.tasks.queue().collect() {
            let actor = observer::set_actor(Actor::Thread);
            match errand {
                Errand::Cancel(key, serial) => self.tasks.cancel_exactly(key, serial),
                Errand::Run(job) => job(),
            }
            observer::set_actor(actor);
        }
    }

    #[inline]
    fn next(&self) -> Option<Key> {
        let Some(order) = &self.order else { return self.tasks.queue().pop() };
        let ready = self.tasks.queue().ready();
        if ready.is_empty() {
            return None;
        }
        self.tasks.queue().pop_at(order.borrow_mut().pick(&ready))
    }

    /// Gives one task its turn. True if that was the root's last.
    #[inline]
    fn poll(&self, key: Key, on_stage: &OnStage<'_>, poll_root: PollRoot<'_>) -> bool {
        let Some((turn, task)) = self.tasks.begin_turn(key) else { return false };
        on_stage.is_now(key, task);
        match turn {
            Turn::Root => self.poll_root(key, poll_root),
            Turn::Task(body) => {
                self.poll_task(key, task, body);
                false
            }
        }
    }

    #[inline]
    fn poll_task(&self, key: Key, task: TaskId, mut body: Body) {
        let waker = waker_of(&self.tasks, key);
        let mut cx = Context::from_waker(&waker);
        let mut result = None;
        let panic = panic::catch_unwind(AssertUnwindSafe(|| {
            if let Poll::Ready(output) = body.as_mut().poll_any(&mut cx) {
                result = Some(Ok(output));
            }
        }));
        if let Err(payload) = panic {
            result = Some(Err(JoinError::panicked(Some(task), payload)));
        }
        let waits = observer::take_waits();
        observer::tell(|| Event::PollEnded { task, pending: result.is_none() });
        match result {
            None => self.tasks.end_turn(key, body, waits),
            Some(result) => self.tasks.finish(key, body, result),
        }
    }

    fn poll_root(&self, key: Key, poll_root: PollRoot<'_>) -> bool {
        let waker = waker_of(&self.tasks, key);
        // A panic here is the caller's own: it leaves through block_on.
        let done = poll_root(&mut Context::from_waker(&waker));
        let waits = observer::take_waits();
        observer::tell(|| Event::PollEnded { task: TaskId(0), pending: !done });
        self.tasks.end_root_turn(key, waits);
        done
    }
}

/// While it lives, the task whose turn it is acts. Left clear also when a panic leaves through it.
struct OnStage<'a>(&'a Tasks);

impl OnStage<'_> {
    #[inline]
    fn is_now(&self, key: Key, task: TaskId) {
        self.0.set_current(Some(key));
        observer::set_actor(Actor::Task(task));
        observer::tell(|| Event::PollStarted { task });
    }
}

impl Drop for OnStage<'_> {
    fn drop(&mut self) {
        observer::set_actor(Actor::Outside);
        self.0.set_current(None);
    }
}
