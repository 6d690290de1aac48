//! One task, through every combination of how it ends, what is done with its handle, when that is done,
//! and whether its wakers outlive it: 5 x 6 x 6 x 2 = 360 cells, each run on a loop of its own.
//!
//! | how it ends | |
//! |---|---|
//! | `Value` | the poll after the moment gives an output |
//! | `Panic` | that poll panics |
//! | `Pending` | no poll ever ends it |
//! | `PanicInOutputsDrop` | as `Value`, and the output's destructor panics |
//! | `PanicInFuturesDrop` | as `Value`, and the future's destructor panics |
//!
//! | moment | how it is reached |
//! |---|---|
//! | `BeforeFirstPoll` | just spawned |
//! | `WhileQueued` | polled once, pending, woken: it stands in line |
//! | `WhileWaiting` | polled once, pending; woken after the moment |
//! | `DuringOwnPoll` | inside its second poll, which then ends as above |
//! | `AfterFinishing` | ended in its second poll; with `Pending`, which never ends by itself, ended by a cancel |
//! | `AtLoopsDeath` | waiting, while the loop is dropped: in the destructor of a task that was spawned before it |
//!
//! | handle | what happens at the moment |
//! |---|---|
//! | `Awaited` | a task that stands before it in line awaits it; inside its own poll it awaits itself, which is refused; at the loop's death it is polled then and again when its waker was woken |
//! | `DroppedAtOnce` | dropped |
//! | `DroppedLate` | kept over the next turn, or the loop's death, and dropped then |
//! | `CancelledAtHome` | `cancel()`, and awaited in the end |
//! | `CancelledAbroad` | a `CancelHandle` in another thread, which is over before anything else happens; awaited in the end |
//! | `PolledThenDropped` | polled once and dropped; inside its own poll that is refused, caught, and the task goes on |
//!
//! | wakers | |
//! |---|---|
//! | they outlive it | one clone of each poll is kept, and all are woken when the task is over, here and in another thread, while the loop lives with other tasks in the slots, and when it is dead |
//! | they do not | the last one only is kept, and dropped with the future |
//!
//! A task that is cut off before the poll that would end it, by a cancel or by the loop's death, has no output:
//! there the first four ends come to the same, and are run all the same.
//!
//! Each cell is compared with `expected`: what the handle gives, what `cancel()` says, how often the future is
//! polled, whether an output is made, what an observer hears, and each panic of the thread, in order. And in
//! every cell: future and output are dropped once, on the loop's thread, the future before its result is seen
//! and with its loop around it; errors name the task; nothing is heard of a task after its end; the loop, or at
//! its death another, runs on.
//!
//! Ten cells have no meaning: a task that is cancelled before its first poll has handed out no waker, so
//! there is none to outlive it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use roundel::{Clock, Event, EventLoop, Handle, JoinError, JoinHandle, Observer, Outcome as End, TaskId};
use support::{OnDrop, Wakes, counting_waker, panic_text, panics_during};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Value,
    Panic,
    Pending,
    PanicInOutputsDrop,
    PanicInFuturesDrop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Awaited,
    DroppedAtOnce,
    DroppedLate,
    CancelledAtHome,
    CancelledAbroad,
    PolledThenDropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeFirstPoll,
    WhileQueued,
    WhileWaiting,
    DuringOwnPoll,
    AfterFinishing,
    AtLoopsDeath,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    ends: Ends,
    held: Held,
    moment: Moment,
    wakers_outlive: bool,
}

const ENDS: [Ends; 5] = [Ends::Value, Ends::Panic, Ends::Pending, Ends::PanicInOutputsDrop, Ends::PanicInFuturesDrop];
const HELD: [Held; 6] = [
    Held::Awaited,
    Held::DroppedAtOnce,
    Held::DroppedLate,
    Held::CancelledAtHome,
    Held::CancelledAbroad,
    Held::PolledThenDropped,
];
const MOMENTS: [Moment; 6] = [
    Moment::BeforeFirstPoll,
    Moment::WhileQueued,
    Moment::WhileWaiting,
    Moment::DuringOwnPoll,
    Moment::AfterFinishing,
    Moment::AtLoopsDeath,
];

const IN_POLL: &str = "in its poll";
const IN_FUTURES_DROP: &str = "in the future's drop";
const IN_OUTPUTS_DROP: &str = "in the output's drop";
const REFUSED: &str = "a task awaits its own JoinHandle, which would never end: await it from another task";

/// What the handle gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Seen {
    /// Nobody asked.
    #[default]
    Nothing,
    Value,
    Cancelled,
    Panicked(String),
    /// Asked, and no answer yet when the handle, or the loop, went.
    NoAnswer,
    /// A panic at the poll of the handle.
    Refused,
}

/// What a cell must come to, and what it came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    seen: Seen,
    /// What `cancel()` said, where it was called.
    cancelled: Option<bool>,
    polls: u32,
    outputs: usize,
    /// How it ended, as the observer heard.
    heard: Option<End>,
    /// All panics of the thread, in order.
    panics: Vec<String>,
    /// What was not as it must be in every cell.
    wrong: Vec<String>,
}

/// What task.rs, join_handle.rs and DESIGN.md promise.
fn expected(ends: Ends, held: Held, moment: Moment) -> Outcome {
    let own_poll = moment == Moment::DuringOwnPoll;
    let cancels = matches!(held, Held::CancelledAtHome | Held::CancelledAbroad);
    // "Cancel drops the future where it stands": here, before the poll that would have ended it. The loop's
    // death cancels every task. A message from abroad is read before the next round.
    let unended = match moment {
        Moment::BeforeFirstPoll | Moment::WhileQueued | Moment::WhileWaiting => cancels,
        Moment::AtLoopsDeath => true,
        Moment::DuringOwnPoll | Moment::AfterFinishing => false,
    };
    let polls = match moment {
        Moment::BeforeFirstPoll if unended => 0,
        Moment::BeforeFirstPoll | Moment::AtLoopsDeath => 1,
        _ if unended => 1,
        _ => 2,
    };

    let refused = own_poll && matches!(held, Held::Awaited | Held::PolledThenDropped);
    let ended_by_refusal = own_poll && held == Held::Awaited;
    // "A task that cancels itself is dropped at the end of that poll, unless that poll finishes it."
    let made = !unended
        && !ended_by_refusal
        && matches!(ends, Ends::Value | Ends::PanicInOutputsDrop | Ends::PanicInFuturesDrop);

    // Panics, in order. "A panic in the poll, in the future's destructor or in the output's ends that one
    // task"; each is heard by the hook once.
    let mut panics = Vec::new();
    if refused {
        panics.push(REFUSED);
    }
    if ends == Ends::Panic && !unended && !ended_by_refusal {
        panics.push(IN_POLL);
    }
    // The future is dropped in every cell.
    if ends == Ends::PanicInFuturesDrop {
        panics.push(IN_FUTURES_DROP);
    }
    if ends == Ends::PanicInOutputsDrop && made {
        panics.push(IN_OUTPUTS_DROP);
    }

    // "The first panic is the one to tell", and one of the destructor weighs more than output or cancel.
    let result = match panics.first() {
        Some(&REFUSED) if ended_by_refusal => Seen::Panicked(REFUSED.into()),
        _ if ends == Ends::PanicInFuturesDrop => Seen::Panicked(IN_FUTURES_DROP.into()),
        _ if unended => Seen::Cancelled,
        _ if ends == Ends::Panic => Seen::Panicked(IN_POLL.into()),
        _ if ends == Ends::Pending && (cancels || moment == Moment::AfterFinishing) => Seen::Cancelled,
        _ if ends == Ends::Pending => Seen::NoAnswer,
        _ => Seen::Value,
    };
    // Who never ends by himself is cancelled by the loop's death, whether anybody asks or not.
    let heard = Some(match result {
        Seen::Value => End::Returned,
        Seen::Panicked(_) => End::Panicked,
        _ => End::Cancelled,
    });
    let seen = match held {
        Held::Awaited | Held::CancelledAtHome | Held::CancelledAbroad => result,
        Held::DroppedAtOnce | Held::DroppedLate => Seen::Nothing,
        Held::PolledThenDropped if own_poll => Seen::Refused,
        Held::PolledThenDropped if moment == Moment::AfterFinishing => result,
        Held::PolledThenDropped => Seen::NoAnswer,
    };
    // "Returns false, and changes nothing, if the task is finished already."
    let cancelled = (held == Held::CancelledAtHome).then_some(moment != Moment::AfterFinishing);
    let panics = panics.into_iter().map(String::from).collect();
    Outcome { seen, cancelled, polls, outputs: usize::from(made), heard, panics, wrong: Vec::new() }
}

#[test]
fn one_task_through_every_combination_of_end_handle_moment_and_wakers() {
    // K6: a future that is dropped finds its loop. K8: an output's destructor panics at the drop of its handle. K9, K10: a cancel from another thread, at any
    // moment, and the drop at home. K13, K47, K48: wakers of a task, or of a loop, that is over. K37: a panic
    // stays with its task. K57: a cancel in the turn that ends the task.
    let (mut ran, mut meaningless) = (0, 0);
    let mut failures = Vec::new();
    for ends in ENDS {
        for held in HELD {
            for moment in MOMENTS {
                for wakers_outlive in [false, true] {
                    let case = Case { ends, held, moment, wakers_outlive };
                    if case.has_no_meaning() {
                        println!("no meaning, for a task that was never polled has no waker: {case:?}");
                        meaningless += 1;
                        continue;
                    }
                    ran += 1;
                    let (outcome, expected) = (play(case), expected(ends, held, moment));
                    if outcome != expected {
                        failures.push(format!("{case:?}\n  expected {expected:?}\n  came to  {outcome:?}"));
                    }
                }
            }
        }
    }
    println!("360 cells: {ran} ran, {meaningless} have no meaning");
    assert!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(ran + meaningless, 5 * 6 * 6 * 2);
    assert_eq!(meaningless, 10);
}

impl Case {
    fn has_no_meaning(self) -> bool {
        let cancels = matches!(self.held, Held::CancelledAtHome | Held::CancelledAbroad);
        self.wakers_outlive && self.moment == Moment::BeforeFirstPoll && cancels
    }
}

/// Runs one cell, with its panics caught and noted.
fn play(case: Case) -> Outcome {
    let stage = Rc::new(Stage::new(case));
    let (end, panics) = panics_during(|| stage.play());
    let mut wrong = stage.wrong.take();
    wrong.extend(end.err().map(|payload| format!("a panic came out: {}", panic_text(&*payload))));
    Outcome {
        seen: stage.seen.take(),
        cancelled: stage.cancelled.get(),
        polls: stage.polls.get(),
        outputs: stage.outputs_made.get(),
        heard: stage.heard.get(),
        panics: panics.into_iter().map(|panic| panic.text).collect(),
        wrong,
    }
}

/// Where one cell is played, and the notes taken of it.
struct Stage {
    case: Case,
    home: ThreadId,
    handle: RefCell<Option<JoinHandle<Output>>>,
    event_loop: RefCell<Option<Handle>>,
    id: Cell<Option<TaskId>>,
    heard: Cell<Option<End>>,
    /// What the task does inside its next poll.
    in_poll: Cell<bool>,
    /// Its next poll ends it.
    may_end: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
    polls: Cell<u32>,
    outputs_made: Cell<usize>,
    outputs_dropped: Cell<usize>,
    futures_dropped: Cell<usize>,
    /// The task that awaits the handle may begin; its waker until then.
    awaits: Cell<bool>,
    awaiter: RefCell<Option<Waker>>,
    listener: Arc<Wakes>,
    listening: Waker,
    seen: RefCell<Seen>,
    cancelled: Cell<Option<bool>>,
    wrong: RefCell<Vec<String>>,
}

impl Stage {
    fn new(case: Case) -> Stage {
        let (listener, listening) = counting_waker();
        Stage {
            case,
            home: thread::current().id(),
            handle: RefCell::default(),
            event_loop: RefCell::default(),
            id: Cell::default(),
            heard: Cell::default(),
            in_poll: Cell::default(),
            may_end: Cell::default(),
            wakers: RefCell::default(),
            polls: Cell::default(),
            outputs_made: Cell::default(),
            outputs_dropped: Cell::default(),
            futures_dropped: Cell::default(),
            awaits: Cell::default(),
            awaiter: RefCell::default(),
            listener,
            listening,
            seen: RefCell::default(),
            cancelled: Cell::default(),
            wrong: RefCell::default(),
        }
    }

    fn check(&self, is_so: bool, what: &str) {
        if !is_so {
            self.wrong.borrow_mut().push(what.to_owned());
        }
    }

    fn play(self: &Rc<Stage>) {
        let watch = Rc::new(Watch { stage: self.clone(), over: RefCell::default() });
        let event_loop = EventLoop::builder().clock(Clock::manual()).observer(watch).build().unwrap();
        match (self.case.held, self.case.moment) {
            (_, Moment::AtLoopsDeath) => {
                let stage = self.clone();
                let action = OnDrop(move || stage.act());
                drop(event_loop.spawn(async move {
                    let _action = action;
                    pending::<()>().await;
                }));
            }
            (Held::Awaited, moment) if moment != Moment::DuringOwnPoll => {
                drop(event_loop.spawn(self.clone().wait_for_it()));
            }
            _ => {}
        }
        self.event_loop.replace(Some(event_loop.handle()));
        let handle = event_loop.spawn(Task(self.clone()));
        self.id.set(Some(handle.id()));
        self.handle.replace(Some(handle));

        self.reach_the_moment(&event_loop);
        if self.case.moment == Moment::AtLoopsDeath {
            drop(event_loop);
            self.end();
        } else {
            self.live_on(&event_loop);
            if self.futures_dropped.get() == 1 {
                // Its result may still be there, and its slot with it.
                self.wake_the_dead(&event_loop);
            }
            self.end();
            self.see_that_the_loop_is_well(&event_loop);
            drop(event_loop);
        }

        // Whatever the cell was: the task is over now, and all of it is gone, once.
        self.check(self.futures_dropped.get() == 1, "the future must be dropped once");
        self.check(self.outputs_dropped.get() == self.outputs_made.get(), "the output must be dropped once");
        self.check(self.case.wakers_outlive || self.wakers.borrow().is_empty(), "the wakers must go with the future");
        let another = EventLoop::new().unwrap();
        self.wake_the_dead(&another);
        self.see_that_it_runs(&another);
        // One for the count and one for the waker: whatever the task kept of it is gone.
        self.check(Arc::strong_count(&self.listener) == 2, "the listener's waker must be dropped");
    }

    fn reach_the_moment(&self, event_loop: &EventLoop) {
        match self.case.moment {
            Moment::BeforeFirstPoll => {
                self.may_end.set(true);
                self.act();
            }
            Moment::WhileQueued => {
                event_loop.turn();
                self.may_end.set(true);
                // The one who awaits has its turn before the task has.
                self.let_await();
                self.wake();
                self.act();
            }
            Moment::WhileWaiting => {
                event_loop.turn();
                self.act();
                if self.case.held == Held::Awaited {
                    event_loop.turn();
                }
                self.may_end.set(true);
                self.wake();
            }
            Moment::DuringOwnPoll => {
                event_loop.turn();
                self.may_end.set(true);
                self.in_poll.set(true);
                self.wake();
            }
            Moment::AfterFinishing => {
                event_loop.turn();
                self.may_end.set(true);
                self.wake();
                event_loop.turn();
                let handle = self.handle.take().unwrap();
                if self.case.ends == Ends::Pending {
                    self.check(!handle.is_finished(), "it must not be over by itself");
                    handle.cancel_handle().cancel();
                    event_loop.turn();
                }
                self.check(handle.is_finished(), "it must be over");
                self.handle.replace(Some(handle));
                self.act();
            }
            // The destructor of the task before it acts.
            Moment::AtLoopsDeath => {
                event_loop.turn();
            }
        }
    }

    /// Does with the handle what the cell says. Called at the moment, inside the loop or outside.
    fn act(&self) {
        let inside = matches!(self.case.moment, Moment::DuringOwnPoll | Moment::AtLoopsDeath);
        match self.case.held {
            Held::Awaited if inside => self.ask(),
            Held::Awaited => self.let_await(),
            Held::DroppedAtOnce => drop(self.handle.take()),
            Held::DroppedLate => {}
            Held::CancelledAtHome => {
                let handle = self.handle.take().unwrap();
                self.cancelled.set(Some(handle.cancel()));
                let at_once = self.case.moment != Moment::DuringOwnPoll;
                self.check(handle.is_finished() == at_once, "a cancelled task is over, but not inside its own poll");
                self.check(self.futures_dropped.get() == usize::from(at_once), "cancel() must drop before it returns");
                self.handle.replace(Some(handle));
            }
            Held::CancelledAbroad => {
                let handle = self.handle.take().unwrap();
                let (before, cancel) = (self.futures_dropped.get(), handle.cancel_handle());
                thread::spawn(move || cancel.cancel()).join().unwrap();
                self.check(self.futures_dropped.get() == before, "nothing is dropped before the loop took the message");
                self.handle.replace(Some(handle));
            }
            Held::PolledThenDropped => {
                if catch_unwind(AssertUnwindSafe(|| self.ask())).is_err() {
                    self.seen.replace(Seen::Refused);
                }
                drop(self.handle.take());
            }
        }
    }

    /// What comes after the moment, until nothing is ready.
    fn live_on(&self, event_loop: &EventLoop) {
        event_loop.turn();
        if self.case.held == Held::DroppedLate {
            drop(self.handle.take());
        }
        let mut turns = 0;
        while event_loop.turn() {
            turns += 1;
            assert!(turns < 10, "the loop must come to rest");
        }
    }

    /// Takes the result out of a handle that is still there.
    fn end(&self) {
        if let Some(handle) = &*self.handle.borrow() {
            let over = self.futures_dropped.get() == 1;
            self.check(handle.is_finished() == over, "finished is who is over, with the future dropped");
        }
        match self.case.held {
            // It listened since the moment, and may look again only if it was woken.
            Held::Awaited if self.case.moment == Moment::AtLoopsDeath => {
                self.check(self.listener.count() == 1, "who awaits must be woken once");
                self.ask();
            }
            Held::PolledThenDropped => self.check(self.listener.count() == 0, "a dropped handle wakes nobody"),
            _ if self.handle.borrow().is_some() => match self.case.held {
                Held::DroppedLate => drop(self.handle.take()),
                _ => self.ask(),
            },
            _ => {}
        }
    }

    fn see_that_the_loop_is_well(&self, event_loop: &EventLoop) {
        let over = self.futures_dropped.get() == 1;
        // Strangers in all slots that were used so far: a stale waker must wake none of them.
        let polled = Rc::new(Cell::new(0));
        let strangers = [(); 4].map(|()| {
            let polled = polled.clone();
            event_loop.spawn(poll_fn(move |_| {
                polled.set(polled.get() + 1);
                Poll::<()>::Pending
            }))
        });
        event_loop.turn();
        if over {
            self.wake_the_dead(event_loop);
        }
        self.check(polled.get() == 4, "a stale waker must wake nobody");
        self.check(strangers.iter().all(JoinHandle::cancel), "the strangers must be alive");
        self.see_that_it_runs(event_loop);
        let still_there = event_loop.all_tasks().len();
        self.check(over == (still_there == 0), "a task is known until it is over, and not after");
    }

    /// Spawns a task that spawns another and joins it; in turns, so that a wake that is lost hangs nobody.
    fn see_that_it_runs(&self, event_loop: &EventLoop) {
        let answer = event_loop.spawn(async { roundel::spawn(async { 42 }).await.ok() });
        for _ in 0..3 {
            event_loop.turn();
        }
        self.check(answer.is_finished(), "the loop must go on");
        if answer.is_finished() {
            self.check(matches!(event_loop.block_on(answer), Ok(Some(42))), "the loop must join a task");
        }
    }

    /// Wakes every waker that outlived the task, from here and from another thread: nothing happens.
    fn wake_the_dead(&self, event_loop: &EventLoop) {
        let polls = self.polls.get();
        let wakers = self.wakers.borrow().clone();
        self.check(!self.case.wakers_outlive || !wakers.is_empty(), "there must be a waker that outlived the task");
        wakers.iter().for_each(Waker::wake_by_ref);
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
        event_loop.turn();
        self.check(!event_loop.turn(), "nothing may be ready");
        self.check(self.polls.get() == polls, "a task that is over must not be polled");
    }

    /// Wakes the task by the waker of its last poll, if that is still there.
    fn wake(&self) {
        let last = self.wakers.borrow().last().cloned();
        if let Some(last) = last {
            last.wake();
        }
    }

    fn let_await(&self) {
        self.awaits.set(true);
        if let Some(awaiter) = self.awaiter.take() {
            awaiter.wake();
        }
    }

    /// The task that awaits the handle from the moment on.
    async fn wait_for_it(self: Rc<Stage>) {
        poll_fn(|cx| {
            self.awaiter.replace(Some(cx.waker().clone()));
            if self.awaits.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let handle = self.handle.take().unwrap();
        self.seen.replace(Seen::NoAnswer);
        let result = handle.await;
        self.note(result);
    }

    /// Polls the handle once. It stays, unless it gave its result.
    fn ask(&self) {
        let mut handle = self.handle.take().unwrap();
        let answer =
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut handle).poll(&mut Context::from_waker(&self.listening))));
        match answer {
            Ok(Poll::Ready(result)) => self.note(result),
            Ok(Poll::Pending) => {
                self.seen.replace(Seen::NoAnswer);
                self.handle.replace(Some(handle));
            }
            // The task that asked for itself ends by this panic; its handle is asked again from outside.
            Err(refusal) => {
                self.handle.replace(Some(handle));
                std::panic::resume_unwind(refusal);
            }
        }
    }

    fn note(&self, result: Result<Output, JoinError>) {
        self.check(self.futures_dropped.get() == 1, "a future must be dropped before its result is seen");
        let told = result.as_ref().err().map(JoinError::id);
        self.check(told.is_none_or(|id| id == self.id.get()), "the error must name the task");
        let seen = match result {
            Ok(output) => {
                // A value that came out is the taker's own, and so is its destructor's panic.
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(output)));
                self.check(
                    dropped.is_err() == (self.case.ends == Ends::PanicInOutputsDrop),
                    "the output must come as it was made",
                );
                Seen::Value
            }
            Err(error) if error.is_cancelled() => Seen::Cancelled,
            Err(error) => match error.into_panic() {
                Ok(payload) => Seen::Panicked(panic_text(&*payload)),
                Err(error) => Seen::Panicked(format!("but it is {error}")),
            },
        };
        self.seen.replace(seen);
    }
}

/// Sees to it that nothing is heard of a task after its end.
struct Watch {
    stage: Rc<Stage>,
    over: RefCell<Vec<TaskId>>,
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::Woken { task, .. } | Event::PollStarted { task } | Event::Finished { task, .. } => {
                let silent = task.number() == 0 || !self.over.borrow().contains(&task);
                self.stage.check(silent, "nothing may be heard of a task that is over");
            }
            _ => {}
        }
        if let Event::Finished { task, outcome } = *event {
            self.over.borrow_mut().push(task);
            if Some(task) == self.stage.id.get() {
                self.stage.heard.set(Some(outcome));
                self.stage.check(self.stage.futures_dropped.get() == 1, "it is over when its future is dropped");
            }
        }
    }
}

/// The task's future.
struct Task(Rc<Stage>);

impl Future for Task {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let stage = &self.0;
        stage.polls.set(stage.polls.get() + 1);
        stage.check(stage.futures_dropped.get() == 0, "a dropped future must not be polled");
        if !stage.case.wakers_outlive {
            stage.wakers.take();
        }
        stage.wakers.borrow_mut().push(cx.waker().clone());
        if stage.in_poll.take() {
            stage.act();
        }
        if !stage.may_end.get() {
            return Poll::Pending;
        }
        match stage.case.ends {
            Ends::Pending => Poll::Pending,
            Ends::Panic => panic!("{IN_POLL}"),
            Ends::Value | Ends::PanicInOutputsDrop | Ends::PanicInFuturesDrop => {
                stage.outputs_made.set(stage.outputs_made.get() + 1);
                Poll::Ready(Output(stage.clone()))
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let stage = &self.0;
        stage.futures_dropped.set(stage.futures_dropped.get() + 1);
        stage.check(thread::current().id() == stage.home, "a future must be dropped on its loop's thread");
        // From wherever it was cancelled, and at the loop's death.
        let around = catch_unwind(Handle::current).ok();
        stage.check(
            around.is_some() && around == *stage.event_loop.borrow(),
            "a future finds its loop when it is dropped",
        );
        if let Some(handle) = &*stage.handle.borrow() {
            stage.check(!handle.is_finished(), "a task is not over before its future is dropped");
        }
        if !stage.case.wakers_outlive {
            stage.wakers.take();
        }
        if stage.case.ends == Ends::PanicInFuturesDrop {
            panic!("{IN_FUTURES_DROP}");
        }
    }
}

/// What the task gives.
struct Output(Rc<Stage>);

impl Drop for Output {
    fn drop(&mut self) {
        let stage = &self.0;
        stage.outputs_dropped.set(stage.outputs_dropped.get() + 1);
        stage.check(thread::current().id() == stage.home, "an output must be dropped on its loop's thread");
        if stage.case.ends == Ends::PanicInOutputsDrop {
            panic!("{IN_OUTPUTS_DROP}");
        }
    }
}
