//! The primitives of `sync` against models: random operations, in any order, with futures polled and dropped
//! by hand at any moment. No loop is needed, so every order of events can be had.
//!
//! | primitive | model |
//! |---|---|
//! | `Semaphore` | a_semaphore_is_a_stock_and_a_line |
//! | `Lock` | a_lock_is_a_semaphore_of_one |
//! | `Event` | an_event_is_a_flag_and_a_line |
//! | `Condition` | a_condition_is_a_line_beside_that_of_its_lock |
//! | `Barrier` | a_barrier_is_a_room_that_empties_when_it_is_full |
//! | `Queue` | a_queue_is_a_shelf_between_two_lines |
//! | `oneshot` | a_oneshot_is_one_cell_and_two_ends |
//! | `OnceCell` | a_once_cell_is_filled_by_one_at_a_time |
//!
//! After each operation: what is in stock, in hands and on its way makes up the whole; the order of arrival is
//! kept; whoever can go on has been woken since his last poll, once, and nobody else has.
#![allow(clippy::unwrap_used, missing_docs)]

mod models;
mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;

use models::cases;
use roundel::sync::{
    Barrier, BarrierTurn, Condition, Event, Lock, LockGuard, OnceCell, Permit, Queue, Semaphore, Shutdown, TryGetError,
    TryPutError, oneshot,
};
use support::{Wakes, counting_waker};

/// Which of those that are there, by a number of any size.
type Which = u8;

/// What can be done to a future from outside, whatever it is a future of.
#[derive(Clone, Copy, Debug)]
enum Hand {
    Poll(Which),
    /// With another waker than before.
    PollAnew(Which),
    Drop(Which),
}

fn hand() -> impl Strategy<Value = Hand> {
    (0..7, any::<Which>()).prop_map(|(kind, which)| match kind {
        0..=3 => Hand::Poll(which),
        4 => Hand::PollAnew(which),
        _ => Hand::Drop(which),
    })
}

/// Futures by number, in order of their making, that are driven by hand.
struct Hands<'a, T> {
    futures: BTreeMap<usize, Driven<'a, T>>,
    made: usize,
}

struct Driven<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
    waker: Waker,
    /// How many wakes there had been at the last pending poll.
    seen: usize,
}

impl<'a, T> Hands<'a, T> {
    fn new() -> Hands<'a, T> {
        Hands { futures: BTreeMap::new(), made: 0 }
    }

    fn start(&mut self, future: impl Future<Output = T> + 'a) -> usize {
        let (wakes, waker) = counting_waker();
        self.made += 1;
        self.futures.insert(self.made, Driven { future: Box::pin(future), wakes, waker, seen: 0 });
        self.made
    }

    fn which(&self, which: Which) -> Option<usize> {
        let place = usize::from(which).checked_rem(self.futures.len())?;
        self.futures.keys().nth(place).copied()
    }

    /// Does it, and says to which future; with what the poll gave, if it was one.
    fn apply(&mut self, hand: Hand) -> Option<(usize, Option<Poll<T>>)> {
        let (Hand::Poll(which) | Hand::PollAnew(which) | Hand::Drop(which)) = hand;
        let number = self.which(which)?;
        let driven = self.futures.get_mut(&number)?;
        if let Hand::Drop(_) = hand {
            self.futures.remove(&number);
            return Some((number, None));
        }
        let (kept, old) = (driven.wakes.clone(), driven.waker.clone());
        if let Hand::PollAnew(_) = hand {
            (driven.wakes, driven.waker) = counting_waker();
        }
        let polled = driven.future.as_mut().poll(&mut Context::from_waker(&driven.waker));
        drop(old);
        if let Hand::PollAnew(_) = hand {
            assert_eq!(Arc::strong_count(&kept), 1, "the waker of before is kept by nobody");
        }
        driven.seen = driven.wakes.count();
        if polled.is_ready() {
            self.futures.remove(&number);
        }
        Some((number, Some(polled)))
    }

    /// Who was woken since the last pending poll.
    fn woken(&self) -> Vec<usize> {
        let since = |driven: &Driven<'_, T>| driven.wakes.count() - driven.seen;
        assert!(self.futures.values().all(|driven| since(driven) <= 1), "one wake is enough");
        self.futures.iter().filter(|(_, driven)| since(driven) == 1).map(|(&number, _)| number).collect()
    }
}

/// A line of waiters at a stock of units, as plain as can be.
#[derive(Default)]
struct Line {
    stock: usize,
    closed: bool,
    waiting: Vec<(usize, usize)>,
    /// Whose wait is over, and how, until he is polled or goes away.
    ended: BTreeMap<usize, End>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Granted(usize),
    Notified { pass_on: bool },
    Closed,
}

impl Line {
    fn of(stock: usize) -> Line {
        Line { stock, ..Line::default() }
    }

    fn try_take(&mut self, wants: usize) -> bool {
        let free = !self.closed && self.waiting.is_empty() && wants <= self.stock;
        self.stock -= if free { wants } else { 0 };
        free
    }

    /// The end of the wait, which may be one that has not begun.
    fn poll(&mut self, number: usize, wants: usize) -> Option<End> {
        if let Some(end) = self.ended.remove(&number) {
            return Some(end);
        }
        if self.waiting.iter().any(|&(other, _)| other == number) {
            return None;
        }
        if self.closed {
            return Some(End::Closed);
        }
        if self.try_take(wants) {
            return Some(End::Granted(wants));
        }
        self.waiting.push((number, wants));
        None
    }

    fn poll_for_news(&mut self, number: usize) -> bool {
        self.poll(number, usize::MAX).is_some()
    }

    fn grant(&mut self, units: usize) {
        self.stock += units;
        while let Some(&(number, wants)) = self.waiting.first().filter(|&&(_, wants)| wants <= self.stock) {
            self.waiting.remove(0);
            self.stock -= wants;
            self.ended.insert(number, End::Granted(wants));
        }
    }

    fn end_all(&mut self, most: usize, end: End) {
        let most = most.min(self.waiting.len());
        self.ended.extend(self.waiting.drain(..most).map(|(number, _)| (number, end)));
    }

    fn close(&mut self) {
        self.closed = true;
        self.end_all(usize::MAX, End::Closed);
    }

    fn withdraw(&mut self, most: usize) -> usize {
        let taken = most.min(self.stock);
        self.stock -= taken;
        taken
    }

    fn leave(&mut self, number: usize) {
        self.waiting.retain(|&(other, _)| other != number);
        match self.ended.remove(&number) {
            Some(End::Granted(units)) => self.grant(units),
            Some(End::Notified { pass_on: true }) => self.end_all(1, End::Notified { pass_on: true }),
            // The one who went may have been all that the smaller wishes behind waited for.
            _ => self.grant(0),
        }
    }

    fn woken(&self) -> Vec<usize> {
        self.ended.keys().copied().collect()
    }

    /// Units on their way to somebody.
    fn promised(&self) -> usize {
        self.ended.values().map(|end| if let End::Granted(units) = end { *units } else { 0 }).sum()
    }
}

/// Takes one of those that are there.
fn take<T>(things: &mut Vec<T>, which: Which) -> Option<T> {
    let place = usize::from(which).checked_rem(things.len())?;
    Some(things.remove(place))
}

#[derive(Clone, Debug)]
enum SemaphoreOp {
    Acquire(usize),
    TryAcquire(usize),
    Hand(Hand),
    Release(Which),
    ForgetPermit(Which),
    AddPermits(usize),
    Forget(usize),
    Close,
}

fn semaphore_op() -> impl Strategy<Value = SemaphoreOp> {
    prop_oneof![
        6 => (0..4_usize).prop_map(SemaphoreOp::Acquire),
        2 => (0..4_usize).prop_map(SemaphoreOp::TryAcquire),
        16 => hand().prop_map(SemaphoreOp::Hand),
        5 => any::<Which>().prop_map(SemaphoreOp::Release),
        1 => any::<Which>().prop_map(SemaphoreOp::ForgetPermit),
        2 => (0..4_usize).prop_map(SemaphoreOp::AddPermits),
        1 => (0..4_usize).prop_map(SemaphoreOp::Forget),
        1 => (0..4).prop_map(|often| if often == 0 { SemaphoreOp::Close } else { SemaphoreOp::AddPermits(1) }),
    ]
}

fn run_semaphore(permits: usize, ops: Vec<SemaphoreOp>) {
    let semaphore = Semaphore::new(permits);
    let mut hands = Hands::new();
    let mut held: Vec<(Permit<'_>, usize)> = Vec::new();
    let (mut line, mut wishes, mut total) = (Line::of(permits), BTreeMap::new(), permits);
    for op in ops {
        match op {
            SemaphoreOp::Acquire(wants) => {
                wishes.insert(hands.start(semaphore.acquire_many(wants)), wants);
            }
            SemaphoreOp::TryAcquire(wants) => {
                let permit = semaphore.try_acquire_many(wants);
                assert_eq!(permit.is_some(), line.try_take(wants));
                held.extend(permit.map(|permit| (permit, wants)));
            }
            SemaphoreOp::Hand(hand) => match hands.apply(hand) {
                None => {}
                Some((number, None)) => line.leave(number),
                Some((number, Some(polled))) => match (polled, line.poll(number, wishes[&number])) {
                    (Poll::Pending, None) | (Poll::Ready(Err(_)), Some(End::Closed)) => {}
                    (Poll::Ready(Ok(permit)), Some(End::Granted(units))) => held.push((permit, units)),
                    (polled, end) => panic!("{polled:?}, but {end:?}"),
                },
            },
            SemaphoreOp::Release(which) => {
                if let Some((permit, units)) = take(&mut held, which) {
                    drop(permit);
                    line.grant(units);
                }
            }
            SemaphoreOp::ForgetPermit(which) => {
                if let Some((permit, units)) = take(&mut held, which) {
                    permit.forget();
                    total -= units;
                }
            }
            SemaphoreOp::AddPermits(units) => {
                semaphore.add_permits(units);
                line.grant(units);
                total += units;
            }
            SemaphoreOp::Forget(most) => {
                let forgotten = semaphore.forget(most);
                assert_eq!(forgotten, line.withdraw(most));
                total -= forgotten;
            }
            SemaphoreOp::Close => {
                semaphore.close();
                line.close();
            }
        }
        assert_eq!(hands.woken(), line.woken());
        assert_eq!(semaphore.available_permits(), line.stock);
        assert_eq!(semaphore.waiting(), line.waiting.len());
        assert_eq!(semaphore.is_closed(), line.closed);
        let in_hands: usize = held.iter().map(|&(_, units)| units).sum();
        assert_eq!(line.stock + line.promised() + in_hands, total, "no permit is lost or made");
    }
    drop((hands, held));
    assert_eq!(semaphore.available_permits(), total);
}

#[derive(Clone, Debug)]
enum LockOp {
    Acquire,
    TryAcquire,
    Release,
    Hand(Hand),
}

fn lock_op() -> impl Strategy<Value = LockOp> {
    prop_oneof![
        3 => Just(LockOp::Acquire),
        1 => Just(LockOp::TryAcquire),
        4 => Just(LockOp::Release),
        8 => hand().prop_map(LockOp::Hand),
    ]
}

fn run_lock(ops: Vec<LockOp>) {
    let lock = Lock::new(0);
    let mut hands = Hands::new();
    let mut held: Option<LockGuard<'_, i32>> = None;
    let (mut turn, mut taken) = (Line::of(1), 0);
    for op in ops {
        let mut got = None;
        match op {
            LockOp::Acquire => drop(hands.start(lock.acquire())),
            LockOp::TryAcquire => {
                got = lock.try_acquire();
                assert_eq!(got.is_some(), turn.try_take(1));
            }
            LockOp::Release => {
                if held.take().is_some() {
                    turn.grant(1);
                }
            }
            LockOp::Hand(hand) => match hands.apply(hand) {
                None => {}
                Some((number, None)) => turn.leave(number),
                Some((number, Some(polled))) => {
                    assert_eq!(polled.is_ready(), turn.poll(number, 1).is_some());
                    if let Poll::Ready(guard) = polled {
                        got = Some(guard);
                    }
                }
            },
        }
        if let Some(mut guard) = got {
            *guard += 1;
            taken += 1;
            assert_eq!(*guard, taken, "each sees what the one before him left");
            assert!(held.replace(guard).is_none(), "one at a time");
        }
        assert_eq!(hands.woken(), turn.woken());
        assert_eq!(lock.is_locked(), turn.stock == 0);
        assert_eq!(lock.waiting(), turn.waiting.len());
        assert_eq!(turn.stock + turn.promised() + usize::from(held.is_some()), 1);
    }
    drop((hands, held));
    assert!(!lock.is_locked());
}

#[derive(Clone, Debug)]
enum EventOp {
    Wait,
    Set,
    Clear,
    Hand(Hand),
}

fn event_op() -> impl Strategy<Value = EventOp> {
    prop_oneof![
        3 => Just(EventOp::Wait),
        1 => Just(EventOp::Set),
        1 => Just(EventOp::Clear),
        8 => hand().prop_map(EventOp::Hand),
    ]
}

fn run_event(ops: Vec<EventOp>) {
    let event = Event::new();
    let mut hands = Hands::new();
    let (mut set, mut line) = (false, Line::default());
    for op in ops {
        match op {
            EventOp::Wait => drop(hands.start(event.wait())),
            EventOp::Set => {
                event.set();
                set = true;
                line.end_all(usize::MAX, End::Notified { pass_on: false });
            }
            EventOp::Clear => {
                event.clear();
                set = false;
            }
            EventOp::Hand(hand) => match hands.apply(hand) {
                None => {}
                Some((number, None)) => line.leave(number),
                Some((number, Some(polled))) => {
                    assert_eq!(polled.is_ready(), set || line.poll_for_news(number));
                    if polled.is_ready() {
                        line.leave(number);
                    }
                }
            },
        }
        assert_eq!(hands.woken(), line.woken());
        assert_eq!((event.is_set(), event.waiting()), (set, line.waiting.len()));
    }
}

#[derive(Clone, Debug)]
enum ConditionOp {
    Acquire,
    /// Whoever holds the lock waits for news, or until the value has grown by so much.
    Wait(Option<i32>),
    Change,
    Release,
    Notify(usize),
    NotifyAll,
    Hand(Hand),
}

fn condition_op() -> impl Strategy<Value = ConditionOp> {
    prop_oneof![
        4 => Just(ConditionOp::Acquire),
        6 => proptest::option::of(0..3).prop_map(ConditionOp::Wait),
        1 => Just(ConditionOp::Change),
        2 => Just(ConditionOp::Release),
        2 => (0..3_usize).prop_map(ConditionOp::Notify),
        1 => Just(ConditionOp::NotifyAll),
        16 => hand().prop_map(ConditionOp::Hand),
    ]
}

/// Where a task is that uses a lock and a condition.
#[derive(Clone, Copy, Debug)]
enum Stand {
    InLineForLock,
    /// Not polled yet, with the guard.
    WithGuard,
    InLineForNews,
    /// The news is heard, but not accepted: it is passed on if he goes away now.
    BackInLineForLock,
}

struct ConditionModel {
    lock: Line,
    news: Line,
    /// Where each one stands, and the value that he waits for, if it is not for any news.
    stands: BTreeMap<usize, (Stand, Option<i32>)>,
    value: i32,
}

impl ConditionModel {
    /// Whether he has the lock now.
    fn poll(&mut self, number: usize) -> bool {
        let (stand, goal) = self.stands[&number];
        let next = match stand {
            Stand::InLineForLock | Stand::BackInLineForLock if self.lock.poll(number, 1).is_none() => stand,
            Stand::InLineForLock => return true,
            Stand::BackInLineForLock => {
                self.news.ended.remove(&number);
                if goal.is_none() {
                    return true;
                }
                self.stands.insert(number, (Stand::WithGuard, goal));
                return self.poll(number);
            }
            Stand::WithGuard if goal.is_some_and(|goal| self.value >= goal) => return true,
            Stand::WithGuard => {
                self.news.waiting.push((number, usize::MAX));
                self.lock.grant(1);
                Stand::InLineForNews
            }
            Stand::InLineForNews if self.news.ended.contains_key(&number) => {
                self.stands.insert(number, (Stand::BackInLineForLock, goal));
                return self.poll(number);
            }
            Stand::InLineForNews => stand,
        };
        self.stands.insert(number, (next, goal));
        false
    }

    fn leave(&mut self, number: usize) {
        match self.stands[&number].0 {
            Stand::WithGuard => self.lock.grant(1),
            _ => {
                self.lock.leave(number);
                self.news.leave(number);
            }
        }
    }

    fn woken(&self) -> Vec<usize> {
        let mut woken = self.lock.woken();
        let heard = |number: &usize| matches!(self.stands[number].0, Stand::InLineForNews);
        woken.extend(self.news.ended.keys().filter(|number| heard(number)));
        woken.sort_unstable();
        woken
    }
}

fn run_condition(ops: Vec<ConditionOp>) {
    let (lock, condition) = (Lock::new(0), Condition::new());
    let mut hands = Hands::new();
    let mut held: Option<LockGuard<'_, i32>> = None;
    let mut model = ConditionModel { lock: Line::of(1), news: Line::default(), stands: BTreeMap::new(), value: 0 };
    for op in ops {
        match op {
            ConditionOp::Acquire => {
                model.stands.insert(hands.start(lock.acquire()), (Stand::InLineForLock, None));
            }
            ConditionOp::Wait(more) => {
                if let Some(guard) = held.take() {
                    let goal = more.map(|more| *guard + more);
                    let number = match goal {
                        Some(goal) => hands.start(condition.wait_for(guard, move |value| *value >= goal)),
                        None => hands.start(condition.wait(guard)),
                    };
                    model.stands.insert(number, (Stand::WithGuard, goal));
                }
            }
            ConditionOp::Change => {
                if let Some(guard) = &mut held {
                    **guard += 1;
                    model.value += 1;
                }
            }
            ConditionOp::Release => {
                if held.take().is_some() {
                    model.lock.grant(1);
                }
            }
            ConditionOp::Notify(most) => {
                condition.notify(most);
                model.news.end_all(most, End::Notified { pass_on: true });
            }
            ConditionOp::NotifyAll => {
                condition.notify_all();
                model.news.end_all(usize::MAX, End::Notified { pass_on: false });
            }
            ConditionOp::Hand(hand) => match hands.apply(hand) {
                None => {}
                Some((number, None)) => model.leave(number),
                Some((number, Some(polled))) => {
                    assert_eq!(polled.is_ready(), model.poll(number));
                    if let Poll::Ready(guard) = polled {
                        assert!(held.replace(guard).is_none(), "one at a time");
                    }
                }
            },
        }
        assert_eq!(hands.woken(), model.woken());
        assert_eq!(condition.waiting(), model.news.waiting.len());
        assert_eq!(lock.waiting(), model.lock.waiting.len());
        assert_eq!(lock.is_locked(), model.lock.stock == 0);
    }
    drop((hands, held));
    assert!(!lock.is_locked());
    assert_eq!(condition.waiting(), 0);
}

#[derive(Clone, Debug)]
enum BarrierOp {
    Wait,
    Hand(Hand),
}

fn barrier_op() -> impl Strategy<Value = BarrierOp> {
    prop_oneof![1 => Just(BarrierOp::Wait), 3 => hand().prop_map(BarrierOp::Hand)]
}

fn run_barrier(parties: usize, ops: Vec<BarrierOp>) {
    let barrier = Barrier::new(parties);
    let mut hands = Hands::<BarrierTurn>::new();
    // Who is in the room, and who has left it with which meeting and need only hear of it.
    let (mut room, mut met) = (Vec::new(), BTreeMap::new());
    let mut indexes: Vec<Vec<usize>> = vec![Vec::new()];
    for op in ops {
        match op {
            BarrierOp::Wait => drop(hands.start(barrier.wait())),
            BarrierOp::Hand(hand) => match hands.apply(hand) {
                None => {}
                Some((number, None)) => {
                    room.retain(|&other| other != number);
                    met.remove(&number);
                }
                Some((number, Some(polled))) => {
                    let mut went = met.remove(&number).map(|meeting| (meeting, false));
                    if went.is_none() && !room.contains(&number) {
                        room.push(number);
                        if room.len() == parties {
                            room.pop();
                            let meeting = indexes.len() - 1;
                            met.extend(room.drain(..).map(|other| (other, meeting)));
                            indexes.push(Vec::new());
                            went = Some((meeting, true));
                        }
                    }
                    match (polled, went) {
                        (Poll::Pending, None) => {}
                        (Poll::Ready(turn), Some((meeting, leader))) => {
                            assert_eq!(turn.is_leader(), leader);
                            assert!(turn.index() < parties);
                            assert!(!indexes[meeting].contains(&turn.index()), "each has another index");
                            indexes[meeting].push(turn.index());
                        }
                        (polled, went) => panic!("{polled:?}, but {went:?}"),
                    }
                }
            },
        }
        assert_eq!(hands.woken(), Vec::from_iter(met.keys().copied()));
        assert_eq!(barrier.waiting(), room.len());
    }
    drop(hands);
    assert_eq!(barrier.waiting(), 0);
}

/// An item with its rank and its number, and a thread that is cut when it is dropped.
#[derive(Clone, Debug)]
struct Item(u8, usize, #[allow(dead_code, reason = "counted from outside")] Rc<()>);

impl Item {
    fn name(&self) -> (u8, usize) {
        (self.0, self.1)
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> std::cmp::Ordering {
        self.name().cmp(&other.name())
    }
}

#[derive(Clone, Copy, Debug)]
enum Shelf {
    Fifo,
    Lifo,
    Priority,
}

#[derive(Clone, Debug)]
enum QueueOp {
    Put(u8),
    Get,
    Join,
    TryPut(u8),
    TryGet,
    TaskDone,
    Shutdown,
    ShutdownNow,
    Hand(Hand),
}

fn queue_op() -> impl Strategy<Value = QueueOp> {
    prop_oneof![
        10 => any::<u8>().prop_map(QueueOp::Put),
        10 => Just(QueueOp::Get),
        2 => Just(QueueOp::Join),
        4 => any::<u8>().prop_map(QueueOp::TryPut),
        4 => Just(QueueOp::TryGet),
        8 => Just(QueueOp::TaskDone),
        40 => hand().prop_map(QueueOp::Hand),
        1 => prop_oneof![Just(QueueOp::Shutdown), Just(QueueOp::ShutdownNow), Just(QueueOp::Get), Just(QueueOp::Get)],
    ]
}

/// What came of a put, a get or a join.
#[derive(Debug, PartialEq)]
enum Done {
    Put,
    PutBack((u8, usize)),
    Got((u8, usize)),
    GotNothing,
    Joined,
}

#[derive(Clone, Copy)]
enum Errand {
    Put((u8, usize)),
    Get,
    Join,
}

struct QueueModel {
    shelf: Vec<(u8, usize)>,
    order: Shelf,
    items: Line,
    room: Option<Line>,
    idle: Line,
    unfinished: usize,
    errands: BTreeMap<usize, Errand>,
}

impl QueueModel {
    fn poll(&mut self, number: usize) -> Option<Done> {
        match self.errands[&number] {
            Errand::Put(item) => {
                if let Some(room) = &mut self.room {
                    room.poll(number, 1)?;
                }
                if self.items.closed {
                    return Some(Done::PutBack(item));
                }
                self.store(item);
                Some(Done::Put)
            }
            Errand::Get => {
                let end = self.items.poll(number, 1)?;
                let may = end != End::Closed || self.items.withdraw(1) == 1;
                let item = if may { self.fetch() } else { None };
                Some(item.map_or(Done::GotNothing, Done::Got))
            }
            Errand::Join => {
                let over = self.unfinished == 0 || self.idle.poll_for_news(number);
                if over {
                    self.idle.leave(number);
                }
                over.then_some(Done::Joined)
            }
        }
    }

    fn store(&mut self, item: (u8, usize)) {
        self.unfinished += 1;
        self.shelf.push(item);
        self.items.grant(1);
    }

    fn fetch(&mut self) -> Option<(u8, usize)> {
        let place = match self.order {
            Shelf::Fifo => 0,
            Shelf::Lifo => self.shelf.len().checked_sub(1)?,
            Shelf::Priority => self.shelf.iter().enumerate().min_by_key(|&(_, item)| item)?.0,
        };
        let item = (place < self.shelf.len()).then(|| self.shelf.remove(place))?;
        if let Some(room) = &mut self.room {
            room.grant(1);
        }
        Some(item)
    }

    fn try_put(&mut self, item: (u8, usize)) -> bool {
        let free = !self.items.closed && self.room.as_mut().is_none_or(|room| room.try_take(1));
        if free {
            self.store(item);
        }
        free
    }

    fn try_get(&mut self) -> Option<(u8, usize)> {
        let may = if self.items.closed { self.items.withdraw(1) == 1 } else { self.items.try_take(1) };
        if may { self.fetch() } else { None }
    }

    fn finish(&mut self, items: usize) {
        self.unfinished = self.unfinished.saturating_sub(items);
        if self.unfinished == 0 {
            self.idle.end_all(usize::MAX, End::Notified { pass_on: false });
        }
    }

    fn shutdown(&mut self) {
        self.items.close();
        if let Some(room) = &mut self.room {
            room.close();
        }
    }

    fn leave(&mut self, number: usize) {
        match (self.errands[&number], &mut self.room) {
            (Errand::Put(_), Some(room)) => room.leave(number),
            (Errand::Put(_), None) => {}
            (Errand::Get, _) => self.items.leave(number),
            (Errand::Join, _) => self.idle.leave(number),
        }
    }

    fn woken(&self) -> Vec<usize> {
        let mut woken = [self.items.woken(), self.idle.woken()].concat();
        woken.extend(self.room.iter().flat_map(Line::woken));
        woken.sort_unstable();
        woken
    }
}

fn run_queue(shelf: Shelf, capacity: Option<usize>, ops: Vec<QueueOp>) {
    let queue = match (shelf, capacity) {
        (Shelf::Fifo, Some(capacity)) => Queue::bounded(capacity),
        (Shelf::Fifo, None) => Queue::unbounded(),
        (Shelf::Lifo, capacity) => Queue::lifo(capacity),
        (Shelf::Priority, capacity) => Queue::priority(capacity),
    };
    let mut hands = Hands::new();
    let mut model = QueueModel {
        shelf: Vec::new(),
        order: shelf,
        items: Line::default(),
        room: capacity.map(Line::of),
        idle: Line::default(),
        unfinished: 0,
        errands: BTreeMap::new(),
    };
    let alive = Rc::new(());
    let mut made = 0;
    let mut item = |rank: u8| {
        made += 1;
        Item(rank % 4, made, alive.clone())
    };
    for op in ops {
        match op {
            QueueOp::Put(rank) => {
                let item = item(rank);
                let (name, put) = (item.name(), queue.put(item));
                let number = hands.start(async {
                    match put.await {
                        Ok(()) => Done::Put,
                        Err(Shutdown(item)) => Done::PutBack(item.name()),
                    }
                });
                model.errands.insert(number, Errand::Put(name));
            }
            QueueOp::Get => {
                let number =
                    hands.start(async { queue.get().await.map_or(Done::GotNothing, |item| Done::Got(item.name())) });
                model.errands.insert(number, Errand::Get);
            }
            QueueOp::Join => {
                let number = hands.start(async {
                    queue.join().await;
                    Done::Joined
                });
                model.errands.insert(number, Errand::Join);
            }
            QueueOp::TryPut(rank) => {
                let item = item(rank);
                let (name, closed) = (item.name(), model.items.closed);
                match (queue.try_put(item), model.try_put(name)) {
                    (Ok(()), true) => {}
                    (Err(TryPutError::Full(item)), false) => assert_eq!((item.name(), closed), (name, false)),
                    (Err(TryPutError::Shutdown(item)), false) => assert_eq!((item.name(), closed), (name, true)),
                    (put, free) => panic!("{put:?}, but {free}"),
                }
            }
            QueueOp::TryGet => match (queue.try_get(), model.try_get()) {
                (Ok(item), Some(name)) => assert_eq!(item.name(), name),
                (Err(error), None) => assert_eq!(error == TryGetError::Shutdown, model.items.closed),
                (got, expected) => panic!("{got:?}, but {expected:?}"),
            },
            QueueOp::TaskDone => {
                if model.unfinished > 0 {
                    queue.task_done();
                    model.finish(1);
                }
            }
            QueueOp::Shutdown => {
                queue.shutdown();
                model.shutdown();
            }
            QueueOp::ShutdownNow => {
                queue.shutdown_now();
                model.items.withdraw(usize::MAX);
                model.shutdown();
                match mem::take(&mut model.shelf).len() {
                    0 => {}
                    discarded => model.finish(discarded),
                }
            }
            QueueOp::Hand(hand) => match hands.apply(hand) {
                None => {}
                Some((number, None)) => model.leave(number),
                Some((number, Some(Poll::Pending))) => assert_eq!(model.poll(number), None),
                Some((number, Some(Poll::Ready(done)))) => assert_eq!(model.poll(number), Some(done)),
            },
        }
        assert_eq!(hands.woken(), model.woken());
        assert_eq!(queue.len(), model.items.stock.min(model.shelf.len()));
        assert_eq!(queue.is_shut_down(), model.items.closed);
        if let Some(room) = model.room.as_ref().filter(|room| !room.closed) {
            let (capacity, taken) = (capacity.unwrap(), model.shelf.len());
            assert_eq!(queue.is_full(), room.stock == 0);
            assert_eq!(room.stock + room.promised() + taken, capacity, "no room is lost or made");
        }
        if !model.items.closed {
            assert_eq!(model.items.stock + model.items.promised(), model.shelf.len(), "no item is lost or made");
        }
        let carried = hands.futures.keys().filter(|number| matches!(model.errands[number], Errand::Put(_))).count();
        assert_eq!(
            Rc::strong_count(&alive) - 1,
            carried + model.shelf.len(),
            "what is neither there nor on its way is dropped"
        );
    }
    drop(hands);
    drop((queue, item));
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[derive(Clone, Copy, Debug)]
enum OneshotOp {
    Send,
    DropSender,
    /// Waits for the receiver's going, with the first or the second of two wakers.
    PollClosed(bool),
    Poll(bool),
    TryRecv,
    Close,
    DropReceiver,
}

fn oneshot_op() -> impl Strategy<Value = OneshotOp> {
    prop_oneof![
        1 => Just(OneshotOp::Send),
        1 => Just(OneshotOp::DropSender),
        3 => any::<bool>().prop_map(OneshotOp::PollClosed),
        5 => any::<bool>().prop_map(OneshotOp::Poll),
        1 => Just(OneshotOp::TryRecv),
        1 => Just(OneshotOp::Close),
        1 => Just(OneshotOp::DropReceiver),
    ]
}

fn run_oneshot(ops: Vec<OneshotOp>) {
    let (sender, receiver) = oneshot::channel();
    let (mut sender, mut receiver) = (Some(sender), Some(receiver));
    let alive = Rc::new(());
    let wakers = [counting_waker(), counting_waker(), counting_waker(), counting_waker()];
    let mut woken = [0; 4];
    // The model: what lies in the cell, whether the receiver listens, and which waker either end has left.
    let (mut full, mut listens) = (false, true);
    let (mut sender_waits, mut receiver_waits) = (None::<usize>, None::<usize>);
    for op in ops {
        match op {
            OneshotOp::Send => {
                if let Some(sender) = sender.take() {
                    assert_eq!(sender.send(alive.clone()).is_ok(), listens);
                    full = listens;
                    sender_waits = None;
                    receiver_waits.take().into_iter().for_each(|waker| woken[waker] += 1);
                }
            }
            OneshotOp::DropSender => {
                if sender.take().is_some() {
                    sender_waits = None;
                    receiver_waits.take().into_iter().for_each(|waker| woken[waker] += 1);
                }
            }
            OneshotOp::PollClosed(which) => {
                if let Some(sender) = &mut sender {
                    let waker = usize::from(which);
                    let polled = pin!(sender.closed()).poll(&mut Context::from_waker(&wakers[waker].1));
                    assert_eq!(polled.is_ready(), !listens);
                    sender_waits = Some(waker);
                }
            }
            OneshotOp::Poll(which) => {
                if let Some(receiver) = &mut receiver {
                    let waker = 2 + usize::from(which);
                    match Pin::new(receiver).poll(&mut Context::from_waker(&wakers[waker].1)) {
                        Poll::Ready(Ok(_)) => assert!(mem::take(&mut full)),
                        Poll::Ready(Err(_)) => assert!(!full && (sender.is_none() || !listens)),
                        Poll::Pending => {
                            assert!(!full && sender.is_some() && listens);
                            receiver_waits = Some(waker);
                        }
                    }
                }
            }
            OneshotOp::TryRecv => {
                if let Some(receiver) = &mut receiver {
                    match receiver.try_recv() {
                        Ok(_) => assert!(mem::take(&mut full)),
                        Err(oneshot::TryRecvError::Empty) => assert!(!full && sender.is_some() && listens),
                        Err(oneshot::TryRecvError::Dropped) => assert!(!full && (sender.is_none() || !listens)),
                    }
                }
            }
            OneshotOp::Close | OneshotOp::DropReceiver => {
                if let Some(receiver) = &mut receiver {
                    receiver.close();
                    listens = false;
                    sender_waits.take().into_iter().for_each(|waker| woken[waker] += 1);
                }
                if let OneshotOp::DropReceiver = op
                    && receiver.take().is_some()
                {
                    full = false;
                    receiver_waits = None;
                }
            }
        }
        assert_eq!(wakers.each_ref().map(|(wakes, _)| wakes.count()), woken);
        assert_eq!(Rc::strong_count(&alive) - 1, usize::from(full), "the value is in the cell, or gone");
        for (number, (wakes, _)) in wakers.iter().enumerate() {
            let waits = [sender_waits, receiver_waits].contains(&Some(number));
            assert!(Arc::strong_count(wakes) == 2 + usize::from(waits), "a waker is kept for as long as it is needed");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Making {
    StillAtIt,
    Works,
    Fails,
    Panics,
}

#[derive(Clone, Copy, Debug)]
enum OnceCellOp {
    GetOrInit,
    /// What happens if this runs the maker.
    Hand(Hand, Making),
    Set,
}

fn once_cell_op() -> impl Strategy<Value = OnceCellOp> {
    let making = prop_oneof![
        5 => Just(Making::StillAtIt),
        1 => Just(Making::Works),
        2 => Just(Making::Fails),
        1 => Just(Making::Panics)
    ];
    prop_oneof![
        10 => Just(OnceCellOp::GetOrInit),
        30 => (hand(), making).prop_map(|(hand, making)| OnceCellOp::Hand(hand, making)),
        1 => Just(OnceCellOp::Set),
    ]
}

fn run_once_cell(ops: Vec<OnceCellOp>) {
    let cell = OnceCell::new();
    let now = Cell::new(Making::StillAtIt);
    let made = Cell::new(0);
    let next = || {
        made.set(made.get() + 1);
        made.get()
    };
    let mut hands = Hands::new();
    let (mut turn, mut value, mut maker) = (Line::of(1), None::<i32>, None::<usize>);
    for op in ops {
        match op {
            OnceCellOp::GetOrInit => {
                let init = async || {
                    poll_fn(|_| match now.get() {
                        Making::StillAtIt => Poll::Pending,
                        Making::Works => Poll::Ready(Ok(next())),
                        Making::Fails => Poll::Ready(Err("as the plan says")),
                        Making::Panics => resume_unwind(Box::new("as the plan says")),
                    })
                    .await
                };
                hands.start(cell.get_or_try_init(init));
            }
            OnceCellOp::Set => {
                let new = next();
                assert_eq!(cell.set(new).is_ok(), value.is_none());
                if value.is_none() {
                    value = Some(new);
                    turn.close();
                }
            }
            OnceCellOp::Hand(hand, making) => {
                now.set(making);
                let (Hand::Poll(which) | Hand::PollAnew(which) | Hand::Drop(which)) = hand;
                let Some(number) = hands.which(which) else { continue };
                let applied = catch_unwind(AssertUnwindSafe(|| hands.apply(hand)));
                let polled = match applied {
                    Ok(applied) => applied.unwrap().1,
                    Err(_) => {
                        hands.futures.remove(&number);
                        assert!(matches!(making, Making::Panics));
                        None
                    }
                };
                if let Hand::Drop(_) = hand {
                    turn.leave(number);
                    if maker.take_if(|maker| *maker == number).is_some() {
                        turn.grant(1);
                    }
                    continue;
                }
                if maker != Some(number) && value.is_none() && turn.poll(number, 1).is_some() {
                    assert!(maker.replace(number).is_none(), "one at a time");
                }
                let is_maker = maker == Some(number);
                let expected = match (is_maker, value, making) {
                    (false, None, _) | (true, _, Making::StillAtIt) => Some(Poll::Pending),
                    (false, Some(value), _) => Some(Poll::Ready(Ok(value))),
                    (true, there, Making::Works) => {
                        value = there.or(Some(made.get()));
                        turn.close();
                        Some(Poll::Ready(Ok(value.unwrap())))
                    }
                    (true, _, Making::Fails) => Some(Poll::Ready(Err("as the plan says"))),
                    (true, _, Making::Panics) => None,
                };
                let polled = polled.map(|polled| polled.map(|result| result.copied()));
                assert_eq!(polled, expected);
                if expected != Some(Poll::Pending) {
                    turn.leave(number);
                    if maker.take_if(|maker| *maker == number).is_some() {
                        turn.grant(1);
                    }
                }
            }
        }
        assert_eq!(hands.woken(), turn.woken());
        assert_eq!(cell.get().copied(), value);
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_semaphore_is_a_stock_and_a_line(permits in 0..5_usize, ops in vec(semaphore_op(), 0..80)) {
        run_semaphore(permits, ops);
    }

    #[test]
    fn a_lock_is_a_semaphore_of_one(ops in vec(lock_op(), 0..80)) {
        run_lock(ops);
    }

    #[test]
    fn an_event_is_a_flag_and_a_line(ops in vec(event_op(), 0..80)) {
        run_event(ops);
    }

    #[test]
    fn a_condition_is_a_line_beside_that_of_its_lock(ops in vec(condition_op(), 0..100)) {
        run_condition(ops);
    }

    #[test]
    fn a_barrier_is_a_room_that_empties_when_it_is_full(parties in 1..5_usize, ops in vec(barrier_op(), 0..80)) {
        run_barrier(parties, ops);
    }

    #[test]
    fn a_queue_is_a_shelf_between_two_lines(
        shelf in prop_oneof![Just(Shelf::Fifo), Just(Shelf::Lifo), Just(Shelf::Priority)],
        capacity in proptest::option::weighted(0.75, 1..4_usize),
        ops in vec(queue_op(), 0..120),
    ) {
        run_queue(shelf, capacity, ops);
    }

    #[test]
    fn a_oneshot_is_one_cell_and_two_ends(ops in vec(oneshot_op(), 0..12)) {
        run_oneshot(ops);
    }

    #[test]
    fn a_once_cell_is_filled_by_one_at_a_time(ops in vec(once_cell_op(), 0..80)) {
        run_once_cell(ops);
    }
}
