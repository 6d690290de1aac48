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
//!   fresh     what was set since the wheel was last looked at: a short timeout comes and goes in here
//! ```
//!
//! A timer sits on the level of the highest base-64 digit in which its deadline differs from now,
//! in the slot of that digit. So everything on a lower level is due before everything on a higher
//! one, and timers with the same deadline always share a slot, in the order in which they came.
//! (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987; the digits are tokio's.)
//!
//! A slot is a ring: its head and its timers hold each other's numbers, all in one table of eight bytes
//! each, so that a slot is walked, and a timer is seen to have fired, without fetching what the timers carry.
//!
//! ```text
//!   links   [ heads of the slots, far, fresh, .. | timer | timer | timer | .. ]
//!   timers                                                [ timer | timer | timer | .. ]  deadline, waker
//! ```
//!
//! Promises: nothing fires before its tick; timers fire in order of ticks, and those of one tick in
//! the order in which they were set; to set and to unset take constant time; a removed timer takes no room.
//! Does not know: tasks, sockets, the real clock. A deadline is a number, and `TICK` of them are a tick.

use std::mem;
use std::task::Waker;

use crate::wakers::Wakers;

const LEVELS: usize = 6;
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Bits of a tick that the levels can tell apart.
const SPAN_BITS: u32 = LEVELS as u32 * DIGIT_BITS;

/// The heads that follow those of the slots: of the timers beyond all levels, and of those set of late,
const FAR: u32 = (LEVELS * SLOTS) as u32;
const FRESH: u32 = FAR + 1;
/// and the resting places. Who rests points there, but nobody points back: these rings stay empty.
const UNSET: u32 = FAR + 2;
const ASIDE: u32 = FAR + 3;
const FIRED: u32 = FAR + 4;
const NEVER: u32 = FAR + 5;
const HEADS: u32 = FAR + 6;

/// Timers in order of their deadlines, by wheels within wheels.
#[derive(Debug)]
pub(crate) struct TimerWheel<const TICK: u64> {
    /// The tick up to which everything has fired.
    now: u64,
    /// Bit n of a level is set if its slot n holds timers.
    occupied: [u64; LEVELS],
    /// No timer of a slot is due before this tick. Exact, unless the earliest was unset.
    earliest: Box<[u64]>,
    links: Vec<Link>,
    timers: Vec<Entry>,
    /// The place that was given up last, and from there on by `after`; beyond the table if there is none.
    free: u32,
    /// How many timers there are, set or not.
    count: u32,
}

/// The name of a timer, and its place among the links. Whoever was given it is its only owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer(u32);

/// What a timer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Unset,
    Aside,
    Fired,
    /// It will fire, if nothing else is done to it.
    Set,
    /// Its deadline never comes, unless it is set anew.
    SetInVain,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

#[derive(Debug)]
struct Entry {
    deadline: u64,
    /// Of whoever waits; there is one exactly while the timer is set.
    waker: Option<Waker>,
}

impl<const TICK: u64> TimerWheel<TICK> {
    pub(crate) fn new() -> TimerWheel<TICK> {
        TimerWheel {
            now: 0,
            occupied: [0; LEVELS],
            // Both are made with the first timer, for they are most of what a loop is made of.
            earliest: Box::default(),
            links: Vec::new(),
            timers: Vec::new(),
            free: u32::MAX,
            count: 0,
        }
    }

    /// Makes a timer, not set yet.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64) -> Timer {
        if self.is_empty() {
            self.begin_anew();
        }
        self.count += 1;
        let timer = Timer(self.free);
        let Some(link) = self.links.get_mut(self.free as usize) else { return self.grow(deadline) };
        self.free = link.after;
        *link = Link::to(UNSET);
        // Its waker was taken out when the place was given up.
        self.entry(timer).deadline = deadline;
        timer
    }

    #[cold]
    fn grow(&mut self, deadline: u64) -> Timer {
        let timer = Timer(self.links.len() as u32);
        assert!(timer.0 < u32::MAX, "a wheel holds some four billion timers at most");
        self.timers.push(Entry { deadline, waker: None });
        // The two tables keep step, lest one of them takes double the room for the other's heads.
        self.links.reserve_exact(self.timers.capacity() + HEADS as usize - self.links.len());
        self.links.push(Link::to(UNSET));
        timer
    }

    /// Gives the timer's place up; gives back the waker if it was set.
    #[inline]
    pub(crate) fn remove(&mut self, timer: Timer) -> Option<Waker> {
        let waker = self.leave(timer, Link { before: UNSET, after: self.free });
        self.free = timer.0;
        self.count -= 1;
        waker
    }

    /// From the front again, when nobody is there: timers that are made one after the other are neighbours then,
    /// in whatever order those before them went.
    #[cold]
    fn begin_anew(&mut self) {
        if self.links.is_empty() {
            self.earliest = vec![u64::MAX; LEVELS * SLOTS].into();
            self.links.extend((0..HEADS).map(Link::to));
        }
        self.links.truncate(HEADS as usize);
        self.timers.clear();
        self.free = u32::MAX;
    }

    #[inline]
    pub(crate) fn deadline(&self, timer: Timer) -> u64 {
        self.timers[(timer.0 - HEADS) as usize].deadline
    }

    /// Another deadline for a timer that is not set.
    pub(crate) fn set_deadline(&mut self, timer: Timer, deadline: u64) {
        self.entry(timer).deadline = deadline;
    }

    /// Has a timer that is not set wake `waker` at its deadline. One that has passed counts as the next tick; one in
    /// the last, broken tick of all time never comes.
    #[inline(always)]
    pub(crate) fn set(&mut self, timer: Timer, waker: Waker) {
        self.entry(timer).waker = Some(waker);
        self.push(FRESH, timer.0);
    }

    /// Stops a timer; gives its waker back, or `None` if it has fired or was never set.
    #[inline]
    pub(crate) fn unset(&mut self, timer: Timer) -> Option<Waker> {
        self.leave(timer, Link::to(UNSET))
    }

    /// Puts a timer that is not set aside, which means what its owner wants it to mean, until it is set or unset.
    pub(crate) fn put_aside(&mut self, timer: Timer) {
        self.links[timer.0 as usize] = Link::to(ASIDE);
    }

    #[inline]
    pub(crate) fn stage(&self, timer: Timer) -> Stage {
        match self.links[timer.0 as usize].after {
            UNSET => Stage::Unset,
            ASIDE => Stage::Aside,
            FIRED => Stage::Fired,
            NEVER => Stage::SetInVain,
            _ => Stage::Set,
        }
    }

    /// The waker of a timer that is set, for its owner to exchange.
    #[inline]
    pub(crate) fn waker_mut(&mut self, timer: Timer) -> Option<&mut Waker> {
        self.entry(timer).waker.as_mut()
    }

    /// The tick at which the wheel must be advanced next; nothing is due before it.
    pub(crate) fn next_tick(&mut self) -> Option<u64> {
        self.take_in();
        match self.next_head()? {
            (FAR, begins) => Some(begins),
            (slot, _) => Some(self.earliest[slot as usize]),
        }
    }

    /// Moves the wheel to the tick that has begun at `now` and puts the wakers that came due into `due`, in
    /// order. A `now` before the last one is taken for the last one.
    pub(crate) fn advance(&mut self, now: u64, due: &mut Wakers) {
        self.take_in();
        while let Some((head, begins)) = self.next_head() {
            if begins > now / TICK {
                break;
            }
            self.now = begins;
            let mut next = self.links[head as usize].after;
            self.clear(head);
            while next != head {
                let index = next;
                next = self.links[index as usize].after;
                let entry = self.entry(Timer(index));
                let tick = tick_after::<TICK>(entry.deadline);
                if tick > begins {
                    self.place(index, tick);
                } else if let Some(waker) = entry.waker.take() {
                    self.links[index as usize] = Link::to(FIRED);
                    due.push(waker);
                }
            }
        }
        self.skip(now);
    }

    /// Whether there is no timer at all, set or not.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Moves a wheel on in which nothing is due by then.
    #[inline]
    pub(crate) fn skip(&mut self, now: u64) {
        self.now = self.now.max(now / TICK);
    }

    /// Shows the waker of every timer that will fire if nothing else is done to it, in no order.
    pub(crate) fn look_at_wakers(&mut self, mut look: impl FnMut(&Waker)) {
        self.take_in();
        let places = HEADS..self.links.len() as u32;
        let set = places.map(Timer).filter(|timer| self.stage(*timer) == Stage::Set);
        set.filter_map(|timer| self.timers[(timer.0 - HEADS) as usize].waker.as_ref()).for_each(&mut look);
    }

    /// Takes the waker out of every timer that would still fire, in no order: the end of the wheel's life.
    pub(crate) fn drain(&mut self) -> Vec<Waker> {
        self.take_in();
        let places = HEADS..self.links.len() as u32;
        let is_set = |timer: &Timer| self.waker_mut(*timer).is_some() && self.stage(*timer) == Stage::Set;
        let set: Vec<Timer> = places.map(Timer).filter(is_set).collect();
        set.into_iter().filter_map(|timer| self.unset(timer)).collect()
    }

    /// Puts what was set of late where it belongs.
    #[inline]
    fn take_in(&mut self) {
        if self.is_empty() {
            return;
        }
        let mut next = self.links[FRESH as usize].after;
        self.links[FRESH as usize] = Link::to(FRESH);
        while next != FRESH {
            let index = next;
            next = self.links[index as usize].after;
            let deadline = self.entry(Timer(index)).deadline;
            if deadline > u64::MAX / TICK * TICK {
                self.links[index as usize] = Link::to(NEVER);
            } else {
                self.place(index, tick_after::<TICK>(deadline).max(self.now + 1));
            }
        }
    }

    #[inline]
    fn entry(&mut self, timer: Timer) -> &mut Entry {
        &mut self.timers[(timer.0 - HEADS) as usize]
    }

    #[inline]
    fn place(&mut self, index: u32, tick: u64) {
        let head = match self.find(tick) {
            None => FAR,
            Some((level, slot)) => {
                self.occupied[level] |= 1 << slot;
                let head = level * SLOTS + slot;
                self.earliest[head] = self.earliest[head].min(tick);
                head as u32
            }
        };
        self.push(head, index);
    }

    /// Last into the ring of `head`.
    #[inline]
    fn push(&mut self, head: u32, index: u32) {
        let last = mem::replace(&mut self.links[head as usize].before, index);
        self.links[last as usize].after = index;
        self.links[index as usize] = Link { before: last, after: head };
    }

    /// Takes a timer from where it is to another place; gives its waker back if it was set.
    #[inline(always)]
    fn leave(&mut self, timer: Timer, to: Link) -> Option<Waker> {
        let Link { before, after } = mem::replace(&mut self.links[timer.0 as usize], to);
        if matches!(after, UNSET | ASIDE | FIRED) {
            return None;
        }
        self.links[before as usize].after = after;
        self.links[after as usize].before = before;
        if before == after && before < FAR {
            self.clear(before);
        }
        self.entry(timer).waker.take()
    }

    /// Makes a slot, or the far list, an empty one.
    #[inline]
    fn clear(&mut self, head: u32) {
        self.links[head as usize] = Link::to(head);
        if let Some(earliest) = self.earliest.get_mut(head as usize) {
            *earliest = u64::MAX;
            self.occupied[head as usize / SLOTS] &= !(1 << (head as usize % SLOTS));
        }
    }

    /// The level of the highest digit in which `tick` differs from now, and that digit; `None` beyond all levels.
    #[inline]
    fn find(&self, tick: u64) -> Option<(usize, usize)> {
        let differs = tick ^ self.now;
        if differs >> SPAN_BITS != 0 {
            return None;
        }
        let highest_bit = 63 - (differs | 1).leading_zeros();
        let level = highest_bit / DIGIT_BITS;
        Some((level as usize, (tick >> (DIGIT_BITS * level)) as usize % SLOTS))
    }

    /// The first head that has timers, and the tick at which its time begins.
    fn next_head(&self) -> Option<(u32, u64)> {
        if self.is_empty() {
            return None;
        }
        for (level, &occupied) in self.occupied.iter().enumerate() {
            if occupied == 0 {
                continue;
            }
            // Every occupied slot lies ahead of now's own digit, so the lowest is the next.
            let slot = occupied.trailing_zeros() as usize;
            let above = u64::MAX << (DIGIT_BITS * (level as u32 + 1));
            let begins = (self.now & above) | (slot as u64) << (DIGIT_BITS * level as u32);
            return Some(((level * SLOTS + slot) as u32, begins));
        }
        if self.links[FAR as usize].after == FAR {
            return None;
        }
        let next_span = ((self.now >> SPAN_BITS) + 1) << SPAN_BITS;
        Some((FAR, next_span))
    }
}

impl Link {
    #[inline]
    fn to(head: u32) -> Link {
        Link { before: head, after: head }
    }
}

/// The first tick at or after a deadline.
#[inline]
fn tick_after<const TICK: u64>(deadline: u64) -> u64 {
    deadline.div_ceil(TICK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    /// Its deadlines are its ticks.
    type Wheel = TimerWheel<1>;

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

        /// Makes a timer and sets it.
        fn set(&self, wheel: &mut Wheel, deadline: u64, name: u64) -> Timer {
            let timer = wheel.insert(deadline);
            wheel.set(timer, self.waker(name));
            timer
        }

        fn advance(&self, wheel: &mut Wheel, now: u64) -> Vec<u64> {
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
            let (trace, mut wheel) = (Trace::new(), Wheel::new());
            trace.set(&mut wheel, tick, tick);
            while let Some(next) = wheel.next_tick() {
                if next < tick {
                    assert_eq!(trace.advance(&mut wheel, next), [0_u64; 0], "{tick} must not fire at {next}");
                    continue;
                }
                assert_eq!(next, tick);
                assert_eq!(trace.advance(&mut wheel, tick - 1), [0_u64; 0]);
                assert_eq!(trace.advance(&mut wheel, tick), [tick]);
            }
            assert_eq!(wheel.next_tick(), None);
        }
    }

    #[test]
    fn equal_deadlines_fire_in_order_of_insertion_though_the_wheel_turned_in_between() {
        let (trace, mut wheel) = (Trace::new(), Wheel::new());
        trace.set(&mut wheel, 5000, 1);
        for (now, name) in [(70, 2), (4100, 3), (4990, 4)] {
            trace.advance(&mut wheel, now);
            trace.set(&mut wheel, 5000, name);
        }
        assert_eq!(trace.advance(&mut wheel, 9000), [1, 2, 3, 4]);
    }

    #[test]
    fn one_long_step_fires_everything_in_order_of_deadlines() {
        let (trace, mut wheel) = (Trace::new(), Wheel::new());
        for name in [9, 70, 3, 4096, 65, 64, 300_000] {
            trace.set(&mut wheel, name, name);
        }
        assert_eq!(trace.advance(&mut wheel, u64::MAX - 1), [3, 9, 64, 65, 70, 4096, 300_000]);
    }

    #[test]
    fn a_cancelled_timer_takes_no_room_and_does_not_fire() {
        let (trace, mut wheel) = (Trace::new(), Wheel::new());
        let kept = trace.set(&mut wheel, 100, 1);
        for tick in [10, 100, 1_000_000, u64::MAX] {
            let timer = trace.set(&mut wheel, tick, 2);
            assert!(wheel.unset(timer).is_some());
            assert!(wheel.remove(timer).is_none());
        }
        assert_eq!(wheel.next_tick(), Some(100));
        assert_eq!(trace.advance(&mut wheel, 200), [1]);
        assert!(wheel.remove(kept).is_none(), "it has fired");
        assert_eq!(wheel.timers.len(), 2, "the four had one place, one after the other");
    }

    #[test]
    fn when_no_timer_is_left_the_places_are_given_out_from_the_front_again() {
        let (trace, mut wheel) = (Trace::new(), Wheel::new());
        let set_three = |wheel: &mut Wheel| [10, 20, 5000].map(|tick| trace.set(wheel, tick, tick));
        let first = set_three(&mut wheel);
        assert_eq!(trace.advance(&mut wheel, 15), [10]);
        for gone in [1, 0, 2] {
            wheel.remove(first[gone]);
        }
        assert_eq!(set_three(&mut wheel), first);
        assert_eq!(trace.advance(&mut wheel, 9000), [10, 20, 5000]);
    }

    #[test]
    fn one_far_timer_is_slept_through_in_one_go() {
        let mut wheel = Wheel::new();
        Trace::new().set(&mut wheel, 3_600_123, 1);
        assert_eq!(wheel.next_tick(), Some(3_600_123));
    }

    // T9, T13, T37, T40: in one slot and its neighbours, at the edge of every level, at the end of time.
    #[test]
    fn whatever_is_set_and_cancelled_every_timer_fires_at_its_tick_and_none_is_slept_through() {
        // The last tick that 64 bits of nanoseconds can name.
        const END: u64 = u64::MAX / 1_000_000;
        let mut random = fastrand::Rng::with_seed(37);
        for _ in 0..100 {
            let (trace, mut wheel, mut now) = (Trace::new(), Wheel::new(), 0_u64);
            let mut pending: Vec<(u64, u64, Timer)> = Vec::new();
            for name in 0..300 {
                let unit = 64_u64.pow(random.u32(0..7)) * random.u64(1..4);
                let deadline = match random.u8(0..8) {
                    0..4 => now + random.u64(1..4),
                    4..7 => (now / unit + 1) * unit + random.u64(0..3) - 1,
                    _ => END - random.u64(0..3),
                };
                let deadline = deadline.max(now + 1);
                pending.push((deadline, name, trace.set(&mut wheel, deadline, name)));
                if random.u8(0..3) == 0 {
                    let (_, _, timer) = pending.swap_remove(random.usize(0..pending.len()));
                    assert!(wheel.remove(timer).is_some());
                }
                let earliest = pending.iter().map(|&(deadline, ..)| deadline).min();
                let next = wheel.next_tick();
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
            assert_eq!(wheel.next_tick(), None);
        }
    }

    #[test]
    fn the_clock_may_stand_still_or_run_backwards() {
        // T21, and T16: what is set for a tick that has gone by is due at the next.
        let (trace, mut wheel) = (Trace::new(), Wheel::new());
        trace.advance(&mut wheel, 1000);
        trace.advance(&mut wheel, 10);
        trace.set(&mut wheel, 5, 1);
        assert_eq!(trace.advance(&mut wheel, 1000), [0_u64; 0]);
        assert_eq!(trace.advance(&mut wheel, 1001), [1]);
    }
}
