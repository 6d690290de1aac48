//! The scheduler beside a naive executor: tasks in one vector, the ready ones in another, no slots, no marks,
//! no inbox with locks, no wheel.
//!
//! A program is a handful of scripts, which tasks follow step by step, and what the outside does to the loop
//! between its turns. The loop and the model note every poll, drop and result, and the notes must be alike.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use roundel::{CancelHandle, Clock, EventLoop, JoinError, JoinHandle, sleep, spawn, timeout, yield_now};

/// So many tasks and no more, for scripts may spawn themselves.
const MOST_TASKS: usize = 250;
/// More than the queue leaves in its line when they are over.
const MANY: usize = 80;
const SCRIPTS: usize = 6;
const FLAGS: usize = 3;
/// One tick of the wheel, in microseconds.
const TICK: u64 = 1000;
/// The loop looks at its timers every so many polls.
const POLLS_PER_LOOK: usize = 64;

/// Tasks are named by a number, modulo how many there are by then.
type TaskNumber = usize;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Yield,
    /// Uses the waker of a task's last poll.
    Wake(TaskNumber),
    WaitForFlag(usize),
    RaiseFlag(usize),
    Sleep(u64),
    /// Sleeps under a time limit.
    Limited {
        sleep: u64,
        limit: u64,
    },
    /// Has somebody fall asleep for the one time, and then moves the end to the other and waits for it.
    Reset(u64, u64),
    Spawn(usize),
    Cancel(TaskNumber),
    /// This one and those after it.
    CancelMany(TaskNumber),
    CancelByMessage(TaskNumber),
    Join(TaskNumber),
    DropHandle(TaskNumber),
    /// In the destructor of this task's future.
    WakeAtDrop(TaskNumber),
    CancelAtDrop(TaskNumber),
    AdvanceClock(u64),
    Panic,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// The next step of a script.
    Script(usize, Step),
    Spawn(usize),
    SpawnMany(usize),
    Turn,
    /// Runs the loop until its root has given away so many turns.
    BlockOn(usize),
    AdvanceClock(u64),
    Wake(TaskNumber),
    Cancel(TaskNumber),
    CancelByMessage(TaskNumber),
    DropHandle(TaskNumber),
}

impl Op {
    pub(crate) fn decode([kind, a, b, c]: [u8; 4]) -> Op {
        let number = usize::from(b);
        match kind % 16 {
            0..=6 => Op::Script(usize::from(a) % SCRIPTS, Step::decode(b, c)),
            7 | 8 if b < 8 => Op::SpawnMany(usize::from(a) % SCRIPTS),
            7 | 8 => Op::Spawn(usize::from(a) % SCRIPTS),
            9 | 10 => Op::Turn,
            11 => Op::BlockOn(usize::from(a) % 8),
            12 => Op::AdvanceClock(u64::from(a) * 100),
            13 => Op::Wake(number),
            14 if a % 2 == 0 => Op::Cancel(number),
            14 => Op::CancelByMessage(number),
            _ => Op::DropHandle(number),
        }
    }
}

impl Step {
    fn decode(kind: u8, a: u8) -> Step {
        let number = usize::from(a);
        let (some, other) = (u64::from(a % 8) * 300, u64::from(a / 8 % 8) * 300);
        match kind % 22 {
            0..=2 => Step::Yield,
            3 | 4 => Step::Wake(number),
            5 | 6 => Step::WaitForFlag(number % FLAGS),
            7 => Step::RaiseFlag(number % FLAGS),
            8 | 9 => Step::Sleep(u64::from(a % 64) * 100),
            10 | 11 => Step::Spawn(number % SCRIPTS),
            12 if a < 16 => Step::CancelMany(number),
            12 => Step::Cancel(number),
            13 => Step::CancelByMessage(number),
            14 | 15 => Step::Join(number),
            16 => Step::DropHandle(number),
            17 => Step::WakeAtDrop(number),
            18 if a < 128 => Step::CancelAtDrop(number),
            18 => Step::AdvanceClock(u64::from(a) * 100),
            19 => Step::Limited { sleep: 300 + some, limit: 300 + other },
            20 => Step::Reset(300 + some, other),
            _ => Step::Panic,
        }
    }
}

/// What is seen of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    RootPolled,
    Polled(TaskNumber),
    Stepped(TaskNumber, usize),
    Joined(TaskNumber, End),
    /// Whether the limit was reached.
    Limited(TaskNumber, bool),
    FutureDropped(TaskNumber),
    OutputDropped(TaskNumber),
    /// Whether it was there to be cancelled.
    Cancelled(TaskNumber, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Returned,
    Cancelled,
    Panicked,
}

/// Does all of it to a loop and to the model, and compares them after each operation.
pub(crate) fn run(ops: &[Op]) {
    let mut scripts: [Vec<Step>; SCRIPTS] = Default::default();
    for op in ops {
        if let Op::Script(script, step) = *op {
            scripts[script].push(step);
        }
    }
    let scripts = Rc::new(scripts);
    let mut model = Model::new(scripts.clone());
    let real = Real::new(scripts);
    for &op in ops {
        let busy = model.apply(op);
        assert_eq!(real.apply(op), busy, "whether anything is ready after {op:?}");
        real.compare(&mut model);
    }
    real.end(&mut model);
}

/// The loop, as the outside has it.
struct Real {
    event_loop: EventLoop,
    world: Rc<World>,
}

/// What the tasks share.
struct World {
    scripts: Rc<[Vec<Step>; SCRIPTS]>,
    clock: Clock,
    notes: RefCell<Vec<Note>>,
    tasks: RefCell<Vec<Seen>>,
    flags: [Flag; FLAGS],
}

/// What is known of a task: the handle until it is dropped or awaited, and the waker since the first poll.
struct Seen {
    handle: Option<JoinHandle<Output>>,
    canceller: CancelHandle,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Flag {
    raised: Cell<usize>,
    waiters: RefCell<Vec<Waker>>,
}

impl Real {
    fn new(scripts: Rc<[Vec<Step>; SCRIPTS]>) -> Real {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().expect("the system has descriptors");
        let (notes, tasks, flags) = Default::default();
        Real { event_loop, world: Rc::new(World { scripts, clock, notes, tasks, flags }) }
    }

    /// Whether anything is ready, if the operation says so.
    fn apply(&self, op: Op) -> Option<bool> {
        let world = &self.world;
        match op {
            Op::Script(..) => {}
            Op::Spawn(script) => world.spawn(script, |story| self.event_loop.spawn(story)),
            Op::SpawnMany(script) => {
                (0..MANY).for_each(|_| world.spawn(script, |story| self.event_loop.spawn(story)));
            }
            Op::Turn => return Some(self.event_loop.turn()),
            Op::BlockOn(turns) => {
                let mut root = std::pin::pin!(async {
                    for _ in 0..turns {
                        yield_now().await;
                    }
                });
                self.event_loop.block_on(poll_fn(|cx| {
                    world.note(Note::RootPolled);
                    root.as_mut().poll(cx)
                }));
            }
            Op::AdvanceClock(micros) => world.clock.advance(Duration::from_micros(micros)),
            Op::Wake(task) => world.wake(task),
            Op::Cancel(task) => world.cancel(task),
            Op::CancelByMessage(task) => world.cancel_by_message(task),
            Op::DropHandle(task) => world.drop_handle(task),
        }
        None
    }

    fn compare(&self, model: &mut Model) {
        assert_eq!(self.world.notes.take(), mem::take(&mut model.notes));
        let polls: Vec<u32> = self.event_loop.all_tasks().iter().map(|task| task.polls).collect();
        assert_eq!(polls, model.polls_of_the_living());
        for (seen, task) in self.world.tasks.borrow().iter().zip(&model.tasks) {
            let over = seen.handle.as_ref().map(JoinHandle::is_finished);
            assert_eq!(over, task.handle.then_some(task.stage.is_over()));
        }
    }

    /// The loop ends first, and then whoever still holds something of it lets go.
    fn end(self, model: &mut Model) {
        let Real { event_loop, world } = self;
        drop(event_loop);
        model.end();
        for task in 0..model.tasks.len() {
            world.wake(task);
            world.cancel_by_message(task);
            world.drop_handle(task);
            model.drop_handle(task);
        }
        assert_eq!(world.notes.take(), model.notes);
        assert_eq!(Rc::strong_count(&world), 1, "no future and no output is left");
    }
}

impl World {
    fn note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
    }

    /// A number of any size as that of a task that exists.
    fn number(&self, task: TaskNumber) -> Option<TaskNumber> {
        task.checked_rem(self.tasks.borrow().len())
    }

    fn spawn(self: &Rc<World>, script: usize, spawn: impl FnOnce(Story) -> JoinHandle<Output>) {
        let task = self.tasks.borrow().len();
        if task == MOST_TASKS {
            return;
        }
        let at_drop = Rc::default();
        let steps = Box::pin(follow(self.clone(), task, script, Rc::clone(&at_drop)));
        let handle = spawn(Story { world: self.clone(), task, steps, at_drop });
        let canceller = handle.cancel_handle();
        self.tasks.borrow_mut().push(Seen { handle: Some(handle), canceller, waker: None });
    }

    fn wake(&self, task: TaskNumber) {
        let Some(task) = self.number(task) else { return };
        let waker = self.tasks.borrow()[task].waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn cancel(&self, task: TaskNumber) {
        let Some(task) = self.number(task) else { return };
        // Taken out meanwhile, for the destructor may look for it; put back if that has not dropped it.
        let Some(handle) = self.tasks.borrow_mut()[task].handle.take() else { return };
        let there = handle.cancel();
        self.note(Note::Cancelled(task, there));
        self.tasks.borrow_mut()[task].handle = Some(handle);
    }

    fn cancel_by_message(&self, task: TaskNumber) {
        let Some(task) = self.number(task) else { return };
        self.tasks.borrow()[task].canceller.cancel();
    }

    fn take_handle(&self, task: TaskNumber) -> Option<JoinHandle<Output>> {
        let task = self.number(task)?;
        self.tasks.borrow_mut()[task].handle.take()
    }

    fn drop_handle(&self, task: TaskNumber) {
        drop(self.take_handle(task));
    }
}

/// The steps of a script, one after the other.
async fn follow(world: Rc<World>, task: TaskNumber, script: usize, at_drop: Rc<RefCell<Vec<Step>>>) -> Output {
    for (number, &step) in world.scripts[script].iter().enumerate() {
        world.note(Note::Stepped(task, number));
        match step {
            Step::Yield => yield_now().await,
            Step::Wake(other) => world.wake(other),
            Step::WaitForFlag(flag) => {
                let flag = &world.flags[flag];
                poll_fn(|cx| match flag.raised.get() {
                    0 => {
                        flag.waiters.borrow_mut().push(cx.waker().clone());
                        Poll::Pending
                    }
                    raised => {
                        flag.raised.set(raised - 1);
                        Poll::Ready(())
                    }
                })
                .await;
            }
            Step::RaiseFlag(flag) => {
                let flag = &world.flags[flag];
                flag.raised.set(flag.raised.get() + 1);
                flag.waiters.take().into_iter().for_each(Waker::wake);
            }
            Step::Sleep(micros) => sleep(Duration::from_micros(micros)).await,
            Step::Limited { sleep: micros, limit } => {
                let sleep = sleep(Duration::from_micros(micros));
                let reached = timeout(Duration::from_micros(limit), sleep).await.is_err();
                world.note(Note::Limited(task, reached));
            }
            Step::Reset(micros, other) => {
                let mut sleep = sleep(Duration::from_micros(micros));
                let first = poll_fn(|cx| {
                    // With time left, somebody else looks first, from whom this task takes the timer over.
                    let waker = if other == 0 { cx.waker() } else { Waker::noop() };
                    Poll::Ready(Pin::new(&mut sleep).poll(&mut Context::from_waker(waker)))
                });
                assert!(first.await.is_pending());
                sleep.reset(world.clock.now() + Duration::from_micros(other));
                sleep.await;
            }
            Step::Spawn(script) => world.spawn(script, spawn),
            Step::Cancel(other) => world.cancel(other),
            Step::CancelMany(first) => (first..first + MANY).for_each(|other| world.cancel(other)),
            Step::CancelByMessage(other) => world.cancel_by_message(other),
            Step::Join(other) => {
                // Its own handle, a task must not await.
                let other = world.number(other).filter(|&other| other != task);
                if let Some(handle) = other.and_then(|other| world.take_handle(other)) {
                    let end = End::of(&handle.await);
                    world.note(Note::Joined(task, end));
                }
            }
            Step::DropHandle(other) => world.drop_handle(other),
            Step::WakeAtDrop(_) | Step::CancelAtDrop(_) => at_drop.borrow_mut().push(step),
            Step::AdvanceClock(micros) => world.clock.advance(Duration::from_micros(micros)),
            // Past the panic hook, which has nothing to tell anybody here.
            Step::Panic => resume_unwind(Box::new("as the script says")),
        }
    }
    Output(world.clone(), task)
}

/// The future of a task: notes its polls and its end.
struct Story {
    world: Rc<World>,
    task: TaskNumber,
    steps: Pin<Box<dyn Future<Output = Output>>>,
    at_drop: Rc<RefCell<Vec<Step>>>,
}

impl Future for Story {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.world.note(Note::Polled(self.task));
        self.world.tasks.borrow_mut()[self.task].waker = Some(cx.waker().clone());
        self.steps.as_mut().poll(cx)
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.world.note(Note::FutureDropped(self.task));
        for step in self.at_drop.take() {
            match step {
                Step::WakeAtDrop(other) => self.world.wake(other),
                Step::CancelAtDrop(other) => self.world.cancel(other),
                _ => unreachable!("only these two are done at the drop"),
            }
        }
    }
}

/// What a task returns.
struct Output(Rc<World>, TaskNumber);

impl Drop for Output {
    fn drop(&mut self) {
        self.0.note(Note::OutputDropped(self.1));
    }
}

impl End {
    fn of(result: &Result<Output, JoinError>) -> End {
        match result {
            Ok(_) => End::Returned,
            Err(error) if error.is_panic() => End::Panicked,
            Err(_) => End::Cancelled,
        }
    }
}

/// The naive executor.
struct Model {
    scripts: Rc<[Vec<Step>; SCRIPTS]>,
    tasks: Vec<Task>,
    /// Who is ready, oldest first; `None` is the root. Nobody is in here twice.
    ready: VecDeque<Option<TaskNumber>>,
    /// What was left for the loop from outside: wakes, and tasks to cancel.
    wakes: Vec<TaskNumber>,
    cancels: Vec<TaskNumber>,
    inside: bool,
    /// In microseconds.
    now: u64,
    /// Whose sleep ends at which tick, in order of falling asleep.
    sleepers: Vec<(u64, TaskNumber)>,
    flags: [(usize, Vec<TaskNumber>); FLAGS],
    notes: Vec<Note>,
}

struct Task {
    script: usize,
    step: usize,
    stage: Stage,
    /// The outside, or a task that awaits it, has the handle; `handle` is only for the former.
    handle: bool,
    detached: bool,
    joiner: Option<TaskNumber>,
    polls: u32,
    at_drop: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// At the beginning of its step.
    Fresh,
    /// In the middle of it.
    Waiting(For),
    /// Being polled or dropped.
    Away { cancelled: bool },
    /// `None` once the result is taken.
    Over(Option<End>),
}

#[derive(Clone, Copy, PartialEq)]
enum For {
    ItsTurn,
    Flag,
    /// Until this time, or until the second if there is one.
    Time(u64, Option<u64>),
    Task(TaskNumber),
}

impl Stage {
    fn is_over(self) -> bool {
        matches!(self, Stage::Over(_))
    }
}

impl Model {
    fn new(scripts: Rc<[Vec<Step>; SCRIPTS]>) -> Model {
        let (tasks, ready, wakes, cancels, sleepers, flags, notes) = Default::default();
        Model { scripts, tasks, ready, wakes, cancels, inside: false, now: 0, sleepers, flags, notes }
    }

    fn apply(&mut self, op: Op) -> Option<bool> {
        match op {
            Op::Script(..) => {}
            Op::Spawn(script) => self.spawn(script),
            Op::SpawnMany(script) => (0..MANY).for_each(|_| self.spawn(script)),
            Op::Turn => {
                self.inside = true;
                self.fire();
                self.read_mail();
                self.round(usize::MAX, false, &mut 0);
                self.fire();
                self.inside = false;
                return Some(!self.ready.is_empty() || !self.wakes.is_empty() || !self.cancels.is_empty());
            }
            Op::BlockOn(turns) => self.block_on(turns),
            Op::AdvanceClock(micros) => self.now += micros,
            Op::Wake(task) => self.wake_by_number(task),
            Op::Cancel(task) => self.cancel_by_handle(task),
            Op::CancelByMessage(task) => self.cancel_by_message(task),
            Op::DropHandle(task) => self.drop_handle(task),
        }
        None
    }

    fn polls_of_the_living(&self) -> Vec<u32> {
        self.tasks.iter().filter(|task| !task.stage.is_over()).map(|task| task.polls).collect()
    }

    fn block_on(&mut self, mut turns: usize) {
        self.inside = true;
        self.ready.push_back(None);
        let mut polls = 0;
        loop {
            self.read_mail();
            let (polled, root_finished) = self.round(POLLS_PER_LOOK - polls, true, &mut turns);
            if root_finished {
                break;
            }
            polls += polled.max(1);
            if polls >= POLLS_PER_LOOK {
                self.fire();
                polls = 0;
            }
        }
        self.inside = false;
    }

    /// Polls everyone who is ready now, once, and at most so many, or until there is mail if that is for the
    /// caller to read; and whether the root has ended.
    fn round(&mut self, most: usize, looks_for_mail: bool, root_turns: &mut usize) -> (usize, bool) {
        let mut polled = 0;
        for next in Vec::from(self.ready.clone()) {
            // It may have been cancelled meanwhile, and is in no line any more.
            let Some(place) = self.ready.iter().position(|&ready| ready == next) else { continue };
            if polled == most {
                break;
            }
            self.ready.remove(place);
            polled += 1;
            match next {
                Some(task) => self.poll(task),
                None => {
                    self.notes.push(Note::RootPolled);
                    if *root_turns == 0 {
                        return (polled, true);
                    }
                    *root_turns -= 1;
                    self.ready.push_back(None);
                }
            }
            if looks_for_mail && !(self.wakes.is_empty() && self.cancels.is_empty()) {
                break;
            }
            self.read_mail();
        }
        (polled, false)
    }

    fn poll(&mut self, task: TaskNumber) {
        self.notes.push(Note::Polled(task));
        self.tasks[task].polls += 1;
        let mut stage = mem::replace(&mut self.tasks[task].stage, Stage::Away { cancelled: false });
        loop {
            match self.step(task, stage) {
                Ok(None) => stage = Stage::Fresh,
                Ok(Some(waits_for)) if self.tasks[task].stage == (Stage::Away { cancelled: false }) => {
                    self.tasks[task].stage = Stage::Waiting(waits_for);
                    return;
                }
                Ok(Some(waits_for)) => return self.finish(task, End::Cancelled, Some(waits_for)),
                Err(end) => return self.finish(task, end, None),
            }
        }
    }

    /// Begins the step of a task, or goes on with it: what it waits for, nothing if the step is done, or its end.
    fn step(&mut self, task: TaskNumber, stage: Stage) -> Result<Option<For>, End> {
        let Task { script, step: number, .. } = self.tasks[task];
        let Some(&step) = self.scripts[script].get(number) else { return Err(End::Returned) };
        let begins = stage == Stage::Fresh;
        if begins {
            self.notes.push(Note::Stepped(task, number));
        }
        match step {
            Step::Yield | Step::Sleep(0) if begins => {
                self.wake(task);
                return Ok(Some(For::ItsTurn));
            }
            Step::Yield | Step::Sleep(0) => {}
            Step::Reset(_, 0) => self.wake(task),
            Step::Sleep(micros) | Step::Reset(_, micros) | Step::Limited { sleep: micros, .. } => {
                let limit = if let Step::Limited { limit, .. } = step { Some(self.now + limit) } else { None };
                let (until, limit) = match stage {
                    Stage::Waiting(For::Time(until, limit)) => (until, limit),
                    _ => (self.now + micros, limit),
                };
                if begins {
                    self.sleepers
                        .extend([Some(until), limit].into_iter().flatten().map(|at| (at.div_ceil(TICK), task)));
                }
                if self.now < until && limit.is_none_or(|limit| self.now < limit) {
                    return Ok(Some(For::Time(until, limit)));
                }
                self.sleepers.retain(|&(_, sleeper)| sleeper != task);
                if limit.is_some() {
                    self.notes.push(Note::Limited(task, self.now < until));
                }
            }
            Step::WaitForFlag(flag) => {
                let (raised, waiters) = &mut self.flags[flag];
                if *raised == 0 {
                    waiters.push(task);
                    return Ok(Some(For::Flag));
                }
                *raised -= 1;
            }
            Step::Join(other) => {
                let other = match stage {
                    Stage::Waiting(For::Task(other)) => Some(other),
                    _ => self.number(other).filter(|&other| other != task && mem::take(&mut self.tasks[other].handle)),
                };
                if let Some(other) = other {
                    let Stage::Over(end) = &mut self.tasks[other].stage else {
                        self.tasks[other].joiner = Some(task);
                        return Ok(Some(For::Task(other)));
                    };
                    let end = end.take().expect("whoever has the handle takes the result");
                    self.drop_output(other, end);
                    self.notes.push(Note::Joined(task, end));
                }
            }
            Step::Wake(other) => self.wake_by_number(other),
            Step::RaiseFlag(flag) => {
                let (raised, waiters) = &mut self.flags[flag];
                *raised += 1;
                for waiter in mem::take(waiters) {
                    self.wake(waiter);
                }
            }
            Step::Spawn(script) => self.spawn(script),
            Step::Cancel(other) => self.cancel_by_handle(other),
            Step::CancelMany(first) => (first..first + MANY).for_each(|other| self.cancel_by_handle(other)),
            Step::CancelByMessage(other) => self.cancel_by_message(other),
            Step::DropHandle(other) => self.drop_handle(other),
            Step::WakeAtDrop(_) | Step::CancelAtDrop(_) => self.tasks[task].at_drop.push(step),
            Step::AdvanceClock(micros) => self.now += micros,
            Step::Panic => return Err(End::Panicked),
        }
        self.tasks[task].step += 1;
        Ok(None)
    }

    fn number(&self, task: TaskNumber) -> Option<TaskNumber> {
        task.checked_rem(self.tasks.len())
    }

    fn spawn(&mut self, script: usize) {
        let task = self.tasks.len();
        if task == MOST_TASKS {
            return;
        }
        let (step, stage, detached, joiner, polls, at_drop) = (0, Stage::Fresh, false, None, 0, Vec::new());
        self.tasks.push(Task { script, step, stage, handle: true, detached, joiner, polls, at_drop });
        self.ready.push_back(Some(task));
    }

    fn wake_by_number(&mut self, task: TaskNumber) {
        if let Some(task) = self.number(task).filter(|&task| self.tasks[task].polls > 0) {
            self.wake(task);
        }
    }

    fn wake(&mut self, task: TaskNumber) {
        if !self.inside {
            self.wakes.push(task);
        } else if !self.tasks[task].stage.is_over() && !self.ready.contains(&Some(task)) {
            self.ready.push_back(Some(task));
        }
    }

    fn cancel_by_handle(&mut self, task: TaskNumber) {
        // Whose handle is being used for just that cannot be found a second time.
        let Some(task) = self.number(task).filter(|&task| mem::take(&mut self.tasks[task].handle)) else { return };
        let there = self.cancel(task);
        self.notes.push(Note::Cancelled(task, there));
        self.tasks[task].handle = true;
    }

    fn cancel_by_message(&mut self, task: TaskNumber) {
        self.cancels.extend(self.number(task));
    }

    fn cancel(&mut self, task: TaskNumber) -> bool {
        let waits_for = match mem::replace(&mut self.tasks[task].stage, Stage::Away { cancelled: true }) {
            Stage::Fresh => None,
            Stage::Waiting(waits_for) => Some(waits_for),
            Stage::Away { .. } => return true,
            over @ Stage::Over(_) => {
                self.tasks[task].stage = over;
                return false;
            }
        };
        // Who cancels from outside enters the loop for it: what is woken by the drop stands in line at once.
        let inside = mem::replace(&mut self.inside, true);
        self.finish(task, End::Cancelled, waits_for);
        self.inside = inside;
        true
    }

    /// Drops the future, and what it held in the middle of its step; then the result is there.
    fn finish(&mut self, task: TaskNumber, end: End, waits_for: Option<For>) {
        self.notes.push(Note::FutureDropped(task));
        for step in mem::take(&mut self.tasks[task].at_drop) {
            match step {
                Step::WakeAtDrop(other) => self.wake_by_number(other),
                Step::CancelAtDrop(other) => self.cancel_by_handle(other),
                _ => unreachable!("only these two are done at the drop"),
            }
        }
        self.sleepers.retain(|&(_, sleeper)| sleeper != task);
        if let Some(For::Task(other)) = waits_for {
            self.detach(other);
        }
        self.ready.retain(|&ready| ready != Some(task));
        let Task { stage, joiner, detached, .. } = &mut self.tasks[task];
        *stage = Stage::Over(Some(end));
        let (joiner, detached) = (joiner.take(), *detached);
        if detached {
            self.detach(task);
        }
        if let Some(joiner) = joiner {
            self.wake(joiner);
        }
    }

    fn drop_handle(&mut self, task: TaskNumber) {
        if let Some(task) = self.number(task).filter(|&task| mem::take(&mut self.tasks[task].handle)) {
            self.detach(task);
        }
    }

    fn detach(&mut self, task: TaskNumber) {
        let Task { stage, joiner, detached, .. } = &mut self.tasks[task];
        (*detached, *joiner) = (true, None);
        if let Stage::Over(end) = stage
            && let Some(end) = end.take()
        {
            self.drop_output(task, end);
        }
    }

    fn drop_output(&mut self, task: TaskNumber, end: End) {
        if end == End::Returned {
            self.notes.push(Note::OutputDropped(task));
        }
    }

    fn read_mail(&mut self) {
        let (wakes, cancels) = (mem::take(&mut self.wakes), mem::take(&mut self.cancels));
        for task in wakes {
            self.wake(task);
        }
        for task in cancels {
            self.cancel(task);
        }
    }

    /// Wakes those whose tick has begun, by ticks and then by age.
    fn fire(&mut self) {
        let now = self.now / TICK;
        let mut due: Vec<_> = self.sleepers.extract_if(.., |&mut (tick, _)| tick <= now).collect();
        due.sort_by_key(|&(tick, _)| tick);
        for (_, task) in due {
            self.wake(task);
        }
    }

    /// The loop's end.
    fn end(&mut self) {
        self.inside = true;
        for task in 0..self.tasks.len() {
            self.cancel(task);
        }
    }
}
