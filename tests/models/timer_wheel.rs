//! The timer wheel beside a sorted map, which is the same thing without the wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use crate::timer_wheel::{Stage, Timer, TimerWheel};
use crate::wakers::Wakers;

/// What the wheel can tell apart: 2^36 ticks.
const SPAN: u64 = 1 << 36;
/// The clock that drives the wheel counts 2^64 ns, which is 269 spans of milliseconds: a wheel with timers in it
/// is never taken further than that, for it looks at its far timers once a span.
const SPANS: u64 = 269;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Insert(When),
    /// The number is that of a timer, which may have fired long ago.
    Cancel(usize),
    Reset(usize, When),
    ExchangeWaker(usize),
    Advance(When),
    AdvanceToNext,
    GoBack(u64),
}

/// A tick, told from the wheel's present one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    In(u64),
    /// Just before, at or just after the next multiple of a power of 64, or one of those that follow.
    Edge {
        power: u32,
        steps: u64,
        off: i64,
    },
    BeforeTheEnd(u64),
}

impl Op {
    pub(crate) fn decode([kind, timer, a, b]: [u8; 4]) -> Op {
        let (timer, when) = (usize::from(timer), When::decode(a, b));
        match kind % 16 {
            0..=5 => Op::Insert(when),
            6 | 7 => Op::Cancel(timer),
            8 | 9 => Op::Reset(timer, when),
            10 => Op::ExchangeWaker(timer),
            11 | 12 => Op::Advance(when),
            13 | 14 => Op::AdvanceToNext,
            _ => Op::GoBack(u64::from(a) << (b % 40)),
        }
    }
}

impl When {
    fn decode(a: u8, b: u8) -> When {
        let (power, number) = (u32::from(a >> 2) % 11, u64::from(b));
        match a % 4 {
            0 => When::In(number),
            // Near misses of a whole turn: 64^n - 1, 64^n, 64^n + 1.
            1 => When::In(64_u64.pow(power) - 1 + number % 3),
            2 => When::Edge { power, steps: number / 4 % 64, off: i64::from(b % 4) - 1 },
            _ if power < 9 => When::Edge { power: power.min(7), steps: 1 + number / 4 % 2, off: -1 },
            _ => When::BeforeTheEnd(number),
        }
    }

    fn tick(self, now: u64) -> u64 {
        match self {
            When::In(ticks) => now.saturating_add(ticks),
            When::Edge { power, steps, off } => {
                let turn = 64_u64.pow(power);
                (now / turn).saturating_add(1 + steps).saturating_mul(turn).saturating_add_signed(off)
            }
            When::BeforeTheEnd(ticks) => u64::MAX - ticks,
        }
    }
}

/// Who was woken, in order.
type Trace = Arc<Mutex<Vec<usize>>>;

struct Note(usize, Trace);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("no panic in here").push(self.0);
    }
}

/// The wheel and its model, kept in step.
struct Pair {
    /// Its deadlines are its ticks.
    wheel: TimerWheel<1>,
    now: u64,
    /// Deadline and age of each timer that has not fired, and the name its waker notes. It is as old as the
    /// first waker since it was set last.
    timers: BTreeMap<(u64, usize), usize>,
    /// Every timer there ever was: its name in the wheel, and its place in the model. Nothing, if it was removed.
    made: Vec<Option<(Timer, (u64, usize))>>,
    /// Deadlines of cancelled timers, at which the wheel may come to look in vain.
    cancelled: BTreeSet<u64>,
    names: usize,
    trace: Trace,
}

/// Does all of it to the wheel and to the model, and compares them after each step.
pub(crate) fn run(ops: &[Op]) {
    let mut pair = Pair {
        wheel: TimerWheel::new(),
        now: 0,
        timers: BTreeMap::new(),
        made: Vec::new(),
        cancelled: BTreeSet::new(),
        names: 0,
        trace: Trace::default(),
    };
    for &op in ops {
        pair.apply(op);
        pair.compare();
    }
    pair.end();
}

impl Pair {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Insert(when) => self.insert(when),
            Op::Cancel(timer) => self.cancel(timer),
            Op::Reset(timer, when) => self.reset(timer, when),
            Op::ExchangeWaker(timer) => self.exchange_waker(timer),
            Op::Advance(when) => self.advance(when.tick(self.now)),
            Op::AdvanceToNext => {
                let next = self.wheel.next_tick();
                self.advance(next.unwrap_or(self.now));
            }
            Op::GoBack(ticks) => self.advance(self.now.saturating_sub(ticks)),
        }
    }

    fn insert(&mut self, when: When) {
        let timer = self.wheel.insert(when.tick(self.now));
        let place = self.set(timer, when);
        self.made.push(Some((timer, place)));
    }

    fn set(&mut self, timer: Timer, when: When) -> (u64, usize) {
        let waker = self.new_waker();
        self.wheel.set(timer, waker);
        let place = (when.tick(self.now).max(self.now + 1), self.names);
        self.timers.insert(place, self.names);
        place
    }

    fn new_waker(&mut self) -> Waker {
        self.names += 1;
        Waker::from(Arc::new(Note(self.names, self.trace.clone())))
    }

    /// The number of a timer that was made, and what is known of it unless it was removed.
    fn timer(&self, number: usize) -> Option<(usize, Timer, (u64, usize))> {
        let number = number.checked_rem(self.made.len())?;
        let (timer, place) = self.made[number]?;
        Some((number, timer, place))
    }

    fn cancel(&mut self, number: usize) {
        let Some((number, timer, place)) = self.timer(number) else { return };
        let waker = self.wheel.remove(timer);
        self.made[number] = None;
        self.gave_back(place, waker);
    }

    fn reset(&mut self, number: usize, when: When) {
        let Some((number, timer, place)) = self.timer(number) else { return };
        let waker = self.wheel.unset(timer);
        self.gave_back(place, waker);
        assert!(self.wheel.unset(timer).is_none());
        self.wheel.set_deadline(timer, when.tick(self.now));
        self.made[number] = Some((timer, self.set(timer, when)));
    }

    fn gave_back(&mut self, place: (u64, usize), waker: Option<Waker>) {
        if self.timers.contains_key(&place) {
            self.cancelled.insert(place.0);
        }
        let name = self.timers.remove(&place);
        assert_eq!(name.is_some(), waker.is_some(), "a timer can be stopped exactly until it fires");
        waker.into_iter().for_each(Waker::wake);
        assert_eq!(self.take_trace(), Vec::from_iter(name), "the waker that comes back is its own");
    }

    fn exchange_waker(&mut self, number: usize) {
        let Some((_, timer, place)) = self.timer(number) else { return };
        let waker = self.new_waker();
        let kept = self.wheel.waker_mut(timer).map(|current| mem::replace(current, waker));
        let name = self.timers.get_mut(&place).map(|name| mem::replace(name, self.names));
        assert_eq!(kept.is_some(), name.is_some());
    }

    fn advance(&mut self, to: u64) {
        // One tick must be left for timers that come too late.
        let mut to = to.min(u64::MAX - 1);
        if !self.timers.is_empty() {
            to = to.min(self.now.saturating_add(SPANS * SPAN));
        }
        let mut due = Wakers::new();
        self.wheel.advance(to, &mut due);
        due.wake_all();
        self.now = self.now.max(to);
        let later = self.timers.split_off(&(self.now + 1, 0));
        let fired = mem::replace(&mut self.timers, later);
        assert_eq!(self.take_trace(), Vec::from_iter(fired.into_values()), "fired, by deadline and then by age");
        self.cancelled = self.cancelled.split_off(&(self.now + 1));
    }

    fn take_trace(&self) -> Vec<usize> {
        mem::take(&mut *self.trace.lock().expect("no panic in here"))
    }

    fn compare(&mut self) {
        assert_eq!(self.wheel.is_empty(), self.made.iter().flatten().next().is_none());
        for &(timer, place) in self.made.iter().flatten() {
            let stage = if self.timers.contains_key(&place) { Stage::Set } else { Stage::Fired };
            assert_eq!(self.wheel.stage(timer), stage);
        }
        let earliest = self.timers.keys().next().map(|&(deadline, _)| deadline);
        let next = self.wheel.next_tick();
        let (Some(earliest), Some(next)) = (earliest, next) else {
            return assert_eq!(next, earliest);
        };
        assert!(next > self.now, "the wheel must not be asked to stand still");
        let next_span = self.now / SPAN + 1;
        let far = earliest / SPAN >= next_span && next == next_span * SPAN;
        let vain = next < earliest && self.cancelled.contains(&next);
        assert!(next == earliest || far || vain, "next is {next}, but the earliest is due at {earliest}");
    }

    /// Goes from deadline to deadline until nothing is left that can be reached, and takes the rest out.
    fn end(&mut self) {
        let limit = self.now.saturating_add(SPANS * SPAN);
        let mut looks = 0;
        while let Some(next) = self.wheel.next_tick().filter(|&next| next <= limit && next < u64::MAX) {
            self.advance(next);
            self.compare();
            looks += 1;
        }
        assert!(looks <= 8 * self.made.len() as u64 + SPANS, "{looks} looks for {} timers", self.made.len());
        let mut rest: Vec<usize> = mem::take(&mut self.timers).into_values().collect();
        self.wheel.drain().into_iter().for_each(Waker::wake);
        let mut drained = self.take_trace();
        drained.sort_unstable();
        rest.sort_unstable();
        assert_eq!(drained, rest);
        assert!(self.wheel.next_tick().is_none());
    }
}
