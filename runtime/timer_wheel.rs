//! The timer wheel: deadlines in, due wakers out.
//!
//! ```text
//!   level 0   64 slots of 1 ms        a slot is one deadline: its timers fire together
//!   level 1   64 slots of 64 ms       a slot's timers move down when its time begins
//!   level 2   64 slots of 4.1 s
//!   level 3   64 slots of 4.4 min
//!   level 4   64 slots of 4.7 h
//!   level 5   64 slots of 12.4 days   together 2.2 years
//!   far       one list for the rest, looked at every 2.2 years
//! ```
//!
//! A timer sits on the level of the highest base-64 digit in which its deadline differs from now,
//! in the slot of that digit. So everything on a lower level is due before everything on a higher
//! one, and timers with the same deadline always share a slot, in the order in which they came.
//! (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987; the digits are tokio's.)
//!
//! Promises: nothing fires before its tick; timers fire in order of ticks, and those of one tick in
//! order of insertion; insert and cancel take constant time; a cancelled timer takes no room.
//! Does not know: tasks, sockets, the real clock. A tick is a number.

use std::task::Waker;

use crate::arena::{Arena, Key, Linked, List};
use crate::wakers::Wakers;

const LEVELS: usize = 6;
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Bits of a deadline that the levels can tell apart.
const SPAN_BITS: u32 = LEVELS as u32 * DIGIT_BITS;

/// Timers in order of their deadlines, by wheels within wheels.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    /// The tick up to which everything has fired.
    now: u64,
    timers: Arena<Linked<Timer>>,
    /// Made with the first timer, for 6 KiB are most of what a loop is made of. Boxed, and made in the box:
    /// on the stack they would be much for a small thread.
    levels: Box<[Level]>,
    far: List,
}

#[derive(Debug)]
struct Timer {
    deadline: u64,
    waker: Waker,
}

#[derive(Debug)]
struct Level {
    /// Bit n is set if slot n holds timers.
    occupied: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    timers: List,
    /// No timer in here is due earlier. Exact, unless the earliest was cancelled.
    earliest: u64,
}

/// Where a timer of some deadline sits at present.
enum Place {
    Slot { level: usize, slot: usize },
    Far,
}

impl TimerWheel {
    pub(crate) fn new() -> TimerWheel {
        TimerWheel { now: 0, timers: Arena::new(), levels: Box::default(), far: List::new() }
    }

    /// Keeps `waker` until the tick `deadline`; a deadline that has passed counts as the next tick.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, waker: Waker) -> Key {
        if self.levels.is_empty() {
            self.levels = levels();
        }
        let deadline = deadline.max(self.now + 1);
        let key = self.timers.insert(Linked::new(Timer { deadline, waker }));
        self.place(key, deadline);
        key
    }

    /// The waker of a timer that has not fired, for its owner to exchange.
    pub(crate) fn waker_mut(&mut self, key: Key) -> Option<&mut Waker> {
        Some(&mut self.timers.get_mut(key)?.value.waker)
    }

    /// The tick up to which everything has fired.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Forgets a timer; gives its waker back, or `None` if it has fired.
    #[inline]
    pub(crate) fn cancel(&mut self, key: Key) -> Option<Waker> {
        let deadline = self.timers.get(key)?.value.deadline;
        match self.find(deadline) {
            Place::Far => {
                self.far.unlink(&mut self.timers, key);
            }
            Place::Slot { level, slot } => {
                let level = &mut self.levels[level];
                level.slots[slot].timers.unlink(&mut self.timers, key);
                if level.slots[slot].timers.is_empty() {
                    level.clear(slot);
                }
            }
        }
        self.timers.remove(key).map(|timer| timer.value.waker)
    }

    /// Moves the wheel to the tick `now` and puts the wakers that came due into `due`, in order.
    /// A `now` before the last one is taken for the last one.
    pub(crate) fn advance(&mut self, now: u64, due: &mut Wakers) {
        while let Some((place, begins)) = self.next_place() {
            if begins > now {
                break;
            }
            self.now = begins;
            let mut timers = self.empty(place);
            while let Some((key, _, timer)) = timers.pop_front(&mut self.timers) {
                let deadline = timer.deadline;
                if deadline > begins {
                    self.place(key, deadline);
                } else if let Some(timer) = self.timers.remove(key) {
                    due.push(timer.value.waker);
                }
            }
        }
        self.now = self.now.max(now);
    }

    /// The tick at which the wheel must be advanced next; nothing is due before it.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        match self.next_place()? {
            (Place::Slot { level, slot }, _) => Some(self.levels[level].slots[slot].earliest),
            (Place::Far, begins) => Some(begins),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Takes every waker out, in no order: the end of the wheel's life.
    pub(crate) fn drain(&mut self) -> Vec<Waker> {
        let keys: Vec<Key> = self.timers.iter().map(|(key, _, _)| key).collect();
        keys.into_iter().filter_map(|key| self.cancel(key)).collect()
    }

    #[inline]
    fn place(&mut self, key: Key, deadline: u64) {
        match self.find(deadline) {
            Place::Far => self.far.push_back(&mut self.timers, key),
            Place::Slot { level, slot } => {
                let level = &mut self.levels[level];
                level.occupied |= 1 << slot;
                let slot = &mut level.slots[slot];
                slot.earliest = slot.earliest.min(deadline);
                slot.timers.push_back(&mut self.timers, key);
            }
        }
    }

    /// The level of the highest digit in which `deadline` differs from now, and that digit.
    #[inline]
    fn find(&self, deadline: u64) -> Place {
        let differs = deadline ^ self.now;
        if differs >> SPAN_BITS != 0 {
            return Place::Far;
        }
        let highest_bit = 63 - (differs | 1).leading_zeros();
        let level = (highest_bit / DIGIT_BITS) as usize;
        Place::Slot { level, slot: digit(deadline, level) }
    }

    /// The first place that holds timers, and the tick at which its time begins.
    fn next_place(&self) -> Option<(Place, u64)> {
        for (number, level) in self.levels.iter().enumerate() {
            if level.occupied == 0 {
                continue;
            }
            // Every occupied slot lies ahead of now's own digit, so the lowest is the next.
            let slot = level.occupied.trailing_zeros() as usize;
            let above = u64::MAX << (DIGIT_BITS * (number as u32 + 1));
            let begins = (self.now & above) | (slot as u64) << (DIGIT_BITS * number as u32);
            return Some((Place::Slot { level: number, slot }, begins));
        }
        if self.far.is_empty() {
            return None;
        }
        let next_span = ((self.now >> SPAN_BITS) + 1) << SPAN_BITS;
        Some((Place::Far, next_span))
    }

    fn empty(&mut self, place: Place) -> List {
        match place {
            Place::Far => std::mem::replace(&mut self.far, List::new()),
            Place::Slot { level, slot } => self.levels[level].clear(slot),
        }
    }
}

#[cold]
fn levels() -> Box<[Level]> {
    let slot = Slot { timers: List::new(), earliest: u64::MAX };
    (0..LEVELS).map(|_| Level { occupied: 0, slots: [slot; SLOTS] }).collect()
}

impl Level {
    fn clear(&mut self, slot: usize) -> List {
        self.occupied &= !(1 << slot);
        self.slots[slot].earliest = u64::MAX;
        std::mem::replace(&mut self.slots[slot].timers, List::new())
    }
}

fn digit(tick: u64, level: usize) -> usize {
    (tick >> (DIGIT_BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    struct Note(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap_or_else(|e| e.into_inner()).push(self.0);
        }
    }

    struct Trace(Arc<Mutex<Vec<u64>>>);

    impl Trace {
        fn new() -> Trace {
            Trace(Arc::default())
        }

        fn waker(&self, name: u64) -> Waker {
            Waker::from(Arc::new(Note(name, self.0.clone())))
        }

        fn advance(&self, wheel: &mut TimerWheel, now: u64) -> Vec<u64> {
            let mut due = Wakers::new();
            wheel.advance(now, &mut due);
            due.wake_all();
            std::mem::take(&mut *self.0.lock().unwrap_or_else(|e| e.into_inner()))
        }
    }

    #[test]
    fn timers_fire_at_their_tick_on_every_level_and_its_edges() {
        // T13
        let ticks: Vec<u64> =
            (0..7).map(|level| 64_u64.pow(level)).flat_map(|t| [t.max(2) - 1, t, t + 1, 2 * t]).collect();
        for &tick in &ticks {
            let (trace, mut wheel) = (Trace::new(), TimerWheel::new());
            wheel.insert(tick, trace.waker(tick));
            while let Some(next) = wheel.next_deadline() {
                if next < tick {
                    assert_eq!(trace.advance(&mut wheel, next), [], "{tick} must not fire at {next}");
                    continue;
                }
                assert_eq!(next, tick);
                assert_eq!(trace.advance(&mut wheel, tick - 1), []);
                assert_eq!(trace.advance(&mut wheel, tick), [tick]);
            }
            assert!(wheel.is_empty());
        }
    }

    #[test]
    fn equal_deadlines_fire_in_order_of_insertion_though_the_wheel_turned_in_between() {
        let (trace, mut wheel) = (Trace::new(), TimerWheel::new());
        wheel.insert(5000, trace.waker(1));
        for (now, name) in [(70, 2), (4100, 3), (4990, 4)] {
            trace.advance(&mut wheel, now);
            wheel.insert(5000, trace.waker(name));
        }
        assert_eq!(trace.advance(&mut wheel, 9000), [1, 2, 3, 4]);
    }

    #[test]
    fn one_long_step_fires_everything_in_order_of_deadlines() {
        let (trace, mut wheel) = (Trace::new(), TimerWheel::new());
        for name in [9, 70, 3, 4096, 65, 64, 300_000] {
            wheel.insert(name, trace.waker(name));
        }
        assert_eq!(trace.advance(&mut wheel, u64::MAX - 1), [3, 9, 64, 65, 70, 4096, 300_000]);
    }

    #[test]
    fn a_cancelled_timer_takes_no_room_and_does_not_fire() {
        let (trace, mut wheel) = (Trace::new(), TimerWheel::new());
        let kept = wheel.insert(100, trace.waker(1));
        for tick in [10, 100, 1_000_000, u64::MAX] {
            let key = wheel.insert(tick, trace.waker(2));
            assert!(wheel.cancel(key).is_some());
            assert!(wheel.cancel(key).is_none());
        }
        assert_eq!(wheel.next_deadline(), Some(100));
        assert_eq!(trace.advance(&mut wheel, 200), [1]);
        assert!(wheel.cancel(kept).is_none(), "it has fired");
    }

    #[test]
    fn one_far_timer_is_slept_through_in_one_go() {
        let mut wheel = TimerWheel::new();
        wheel.insert(3_600_123, Waker::noop().clone());
        assert_eq!(wheel.next_deadline(), Some(3_600_123));
    }

    // T9, T13, T37, T40: in one slot and its neighbours, at the edge of every level, at the end of time.
    #[test]
    fn whatever_is_set_and_cancelled_every_timer_fires_at_its_tick_and_none_is_slept_through() {
        // The last tick that 64 bits of nanoseconds can name.
        const END: u64 = u64::MAX / 1_000_000;
        let mut random = fastrand::Rng::with_seed(37);
        for _ in 0..100 {
            let (trace, mut wheel, mut now) = (Trace::new(), TimerWheel::new(), 0_u64);
            let mut pending: Vec<(u64, u64, Key)> = Vec::new();
            for name in 0..300 {
                let unit = 64_u64.pow(random.u32(0..7)) * random.u64(1..4);
                let deadline = match random.u8(0..8) {
                    0..4 => now + random.u64(1..4),
                    4..7 => (now / unit + 1) * unit + random.u64(0..3) - 1,
                    _ => END - random.u64(0..3),
                };
                let deadline = deadline.max(now + 1);
                pending.push((deadline, name, wheel.insert(deadline, trace.waker(name))));
                if random.u8(0..3) == 0 {
                    let (_, _, key) = pending.swap_remove(random.usize(0..pending.len()));
                    assert!(wheel.cancel(key).is_some());
                }
                let earliest = pending.iter().map(|&(deadline, ..)| deadline).min();
                let next = wheel.next_deadline();
                assert_eq!(next.is_some(), earliest.is_some());
                assert!(next <= earliest && next.is_none_or(|next| next > now), "{next:?} at {now} for {earliest:?}");
                // To the next deadline, or somewhere beyond it, but not yet to the end of time.
                let Some(next) = next.filter(|&next| next < END - 100 && random.bool()) else { continue };
                now = next + random.u64(0..2) * random.u64(0..100);
                let mut due: Vec<_> = pending.extract_if(.., |&mut (deadline, ..)| deadline <= now).collect();
                due.sort_by_key(|&(deadline, name, _)| (deadline, name));
                let names: Vec<u64> = due.into_iter().map(|(_, name, _)| name).collect();
                assert_eq!(trace.advance(&mut wheel, now), names);
            }
            assert_eq!(trace.advance(&mut wheel, END).len(), pending.len());
            assert!(wheel.is_empty());
        }
    }

    #[test]
    fn the_clock_may_stand_still_or_run_backwards() {
        // T21, and T16: what is set for a tick that has gone by is due at the next.
        let (trace, mut wheel) = (Trace::new(), TimerWheel::new());
        trace.advance(&mut wheel, 1000);
        trace.advance(&mut wheel, 10);
        wheel.insert(5, trace.waker(1));
        assert_eq!(trace.advance(&mut wheel, 1000), []);
        assert_eq!(trace.advance(&mut wheel, 1001), [1]);
    }
}
