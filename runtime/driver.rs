//! The driver: waits for the world (sockets, time, threads) and wakes whoever the world made ready.
//!
//! ```text
//!   park(limit):  reactor.poll(limit)  -> wakers of ready sources
//!                 wheel.advance(now)   -> wakers of due timers
//!                 wake them all
//! ```
//!
//! Promises: no timer fires before its deadline (deadlines round up to a tick, now rounds down); a wait
//! ends at the next deadline, or when something happens, or once where a cancelled timer would have been
//! due; a turn that does not wait makes no system call if no socket is open; nothing is woken while a
//! borrow is held.
//! Does not know: tasks.

use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::mem;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::answer::Told;
use crate::arena::{Arena, Key};
use crate::clock::{Clock, Instant};
use crate::keep::keep;
use crate::observer::{self, Actor, Event};
use crate::pool::Pool;
use crate::quietly::quietly;
use crate::reactor::Reactor;
use crate::timer_wheel::{Timer, TimerWheel};
use crate::wakers::{self, Wakers};

/// One tick of the wheel.
const TICK: u64 = 1_000_000;

/// Everything a loop can wait for, but tasks.
#[derive(Debug)]
pub(crate) struct Driver {
    reactor: Rc<Reactor>,
    wheel: RefCell<TimerWheel<TICK>>,
    clock: Clock,
    /// The time when it was last read: what this turn shares, so that not every poll reads the clock.
    now: Cell<Instant>,
    pool: Pool,
    /// `to_thread` closures whose results somebody waits for.
    jobs: RefCell<Arena<Told>>,
    /// Real time already waited towards the next deadline of a virtual clock.
    waited: Cell<Duration>,
    closed: Cell<bool>,
}

impl Driver {
    /// A driver, and the waker that ends its wait from any thread.
    pub(crate) fn new(clock: Clock, threads: Option<usize>) -> io::Result<(Driver, Waker)> {
        let (reactor, unpark) = Reactor::new()?;
        let driver = Driver {
            reactor: Rc::new(reactor),
            wheel: RefCell::new(TimerWheel::new()),
            now: Cell::new(clock.now()),
            clock,
            pool: Pool::new(threads),
            jobs: RefCell::new(Arena::new()),
            waited: Cell::new(Duration::ZERO),
            closed: Cell::new(false),
        };
        // The wheel starts today, not at the beginning of time.
        driver.wheel.borrow_mut().skip(driver.now.get().0);
        Ok((driver, unpark))
    }

    /// Looks at the world without waiting.
    pub(crate) fn look(&self) {
        if !self.reactor.is_empty() {
            self.poll(Some(Duration::ZERO));
        }
        self.fire();
    }

    /// Whether a virtual clock may jump to the next deadline at once: no socket is open, and no thread
    /// owes an answer. To be asked before the loop's last look at its mail, for an answer that was told
    /// by now has left its wake there.
    pub(crate) fn may_jump(&self) -> bool {
        self.clock.is_virtual() && self.reactor.is_empty() && self.jobs.borrow().iter().all(|(_, _, job)| job.is_told())
    }

    /// Waits until the next deadline, or until something happens before it. Without a deadline it waits for ever, or
    /// as long as `patience` says; true if that was so. In real time it waits no longer than `most`.
    pub(crate) fn park(
        &self,
        may_jump: bool,
        most: Option<Duration>,
        patience: impl FnOnce() -> Option<Duration>,
    ) -> bool {
        let deadline = self.next_deadline();
        let left = deadline.map(|deadline| deadline.duration_since(self.clock.now()));
        // The manual clock stands still: only the world, or another thread, can end this wait.
        let stands_still = !self.clock.is_real() && !self.clock.is_virtual();
        let mut in_vain = false;
        if left.is_none() || stands_still && left != Some(Duration::ZERO) {
            let (patience, most) = (patience(), most.filter(|_| self.clock.is_real()));
            let limit = shorter(patience, most);
            in_vain = patience.is_some() && limit == patience;
            self.poll(limit);
        } else if self.clock.is_virtual() && left != Some(Duration::ZERO) {
            self.park_in_virtual_time(deadline, left, may_jump);
        } else {
            self.poll(shorter(left, most));
        }
        self.fire();
        in_vain
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.wheel.borrow_mut().next_tick().map(|tick| Instant(tick.saturating_mul(TICK)))
    }

    /// Whether something will happen by itself, sooner or later: a timer is set and time passes, a closure runs, or
    /// somebody waits for a socket.
    pub(crate) fn expects_something(&self) -> bool {
        let time_passes = self.clock.is_real() || self.clock.is_virtual();
        let is_coming = |deadline| time_passes || deadline <= self.clock.now();
        self.next_deadline().is_some_and(is_coming) || self.has_closures() || self.reactor.has_waiters()
    }

    /// Whether a closure runs beside the loop, or will.
    pub(crate) fn has_closures(&self) -> bool {
        self.pool.is_busy()
    }

    fn park_in_virtual_time(&self, deadline: Option<Instant>, left: Option<Duration>, may_jump: bool) {
        let (Some(deadline), Some(left)) = (deadline, left) else { return self.poll(None) };
        let left = left.saturating_sub(self.waited.get());
        if !may_jump && !left.is_zero() {
            let begun = Instant::of_the_machine();
            self.poll(Some(left));
            let waited = Instant::of_the_machine() - begun;
            if waited < left {
                self.waited.set(self.waited.get() + waited);
                return;
            }
        }
        self.waited.set(Duration::ZERO);
        self.clock.jump(deadline);
    }

    fn poll(&self, limit: Option<Duration>) {
        let waits = limit != Some(Duration::ZERO);
        if waits {
            observer::tell(|| Event::Parked { limit });
        }
        let mut due = Wakers::new();
        let polled = self.reactor.poll(limit, &mut due);
        if waits {
            observer::tell(|| Event::Unparked);
        }
        wake(due, Actor::Socket);
        if let Err(error) = polled {
            panic!("the event loop can no longer wait for the system: {error}; was one of its descriptors closed?");
        }
    }

    /// Wakes those whose time has come.
    fn fire(&self) {
        let now = self.read_clock();
        let mut wheel = self.wheel.borrow_mut();
        if wheel.is_empty() {
            return wheel.skip(now.0);
        }
        let mut due = Wakers::new();
        wheel.advance(now.0, &mut due);
        drop(wheel);
        let timers = due.len();
        if timers > 0 {
            observer::tell(|| Event::Fired { timers });
        }
        wake(due, Actor::Timer);
    }

    /// A timer, not set yet; whoever has it gives it back by [`remove_timer`](Driver::remove_timer).
    #[inline]
    pub(crate) fn timer(&self, deadline: Instant) -> Timer {
        self.wheel.borrow_mut().insert(deadline.0)
    }

    /// Has a timer that is not set keep `waker`, and wake it at its deadline if that ever comes.
    #[inline(always)]
    pub(crate) fn set(&self, timer: Timer, waker: Waker) {
        let mut wheel = self.wheel.borrow_mut();
        if self.clock.is_virtual() {
            self.begin_wait_anew(&mut wheel, timer);
        }
        wheel.set(timer, waker);
    }

    /// If this timer is to be the first, the world is given the whole of the new wait: what it took before is
    /// not counted against it.
    #[cold]
    fn begin_wait_anew(&self, wheel: &mut TimerWheel<TICK>, timer: Timer) {
        if wheel.next_tick().is_none_or(|next| wheel.deadline(timer) <= (next - 1) * TICK) {
            self.waited.set(Duration::ZERO);
        }
    }

    /// Stops a timer; gives its waker back, or `None` if it has fired or was never set.
    pub(crate) fn unset(&self, timer: Timer) -> Option<Waker> {
        self.wheel.borrow_mut().unset(timer)
    }

    /// Gives a timer back; gives its waker back if it was set.
    #[inline(always)]
    pub(crate) fn remove_timer(&self, timer: Timer) -> Option<Waker> {
        self.wheel.borrow_mut().remove(timer)
    }

    /// Has a timer that is set wake `waker` instead. False if it is not set.
    pub(crate) fn rewake(&self, timer: Timer, waker: &Waker) -> bool {
        match self.wheel.borrow_mut().waker_mut(timer) {
            None => return false,
            Some(current) if current.will_wake(waker) => return true,
            Some(_) => {}
        }
        // The one not needed is dropped last, with the wheel let go.
        let mut waker = keep(waker);
        let mut wheel = self.wheel.borrow_mut();
        wheel.waker_mut(timer).map(|current| mem::swap(current, &mut waker)).is_some()
    }

    /// The wheel, for a look at a timer, or a step that calls nobody.
    #[inline]
    pub(crate) fn wheel(&self) -> RefMut<'_, TimerWheel<TICK>> {
        self.wheel.borrow_mut()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The time now, which the turn shares from then on.
    #[inline]
    pub(crate) fn read_clock(&self) -> Instant {
        let now = self.clock.now();
        self.now.set(now);
        now
    }

    /// The time when the clock was last read: never later than the clock.
    #[inline]
    pub(crate) fn last_reading(&self) -> Instant {
        self.now.get()
    }

    pub(crate) fn reactor(&self) -> &Rc<Reactor> {
        &self.reactor
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Someone waits for a thread's result: a virtual clock takes that into account until it was told.
    pub(crate) fn look_out_for(&self, job: Told) -> Key {
        self.jobs.borrow_mut().insert(job)
    }

    pub(crate) fn look_out_no_more(&self, job: Key) {
        self.jobs.borrow_mut().remove(job);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The loop's end: timers never fire, sockets fail, jobs not begun are dropped. Whoever still waits,
    /// under another executor, is woken to see it.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let timers = self.wheel.borrow_mut().drain();
        // Whoever waits under another executor learns that it waits in vain. Foreign wakers and closures
        // may panic: one must not keep the rest from closing.
        quietly(|| {
            let mut waiting = Wakers::new();
            timers.into_iter().for_each(|waker| waiting.push(waker));
            waiting.wake_all();
        });
        quietly(|| self.reactor.close());
        for unrun in self.pool.close() {
            quietly(|| drop(unrun));
        }
        wakers::give_room_back();
    }
}

/// The shorter of two limits; none is for ever.
fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

fn wake(mut due: Wakers, by: Actor) {
    let actor = observer::set_actor(by);
    due.wake_all();
    observer::set_actor(actor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::answer_watched_by;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A driver in virtual time, and the unpark by which a thread's answer comes.
    fn in_virtual_time() -> (Driver, Waker) {
        Driver::new(Clock::virtual_time(), Some(1)).expect("the system has descriptors")
    }

    fn set_in_an_hour(driver: &Driver) -> Timer {
        let timer = driver.timer(driver.clock().now() + HOUR);
        driver.set(timer, Waker::noop().clone());
        timer
    }

    #[test]
    fn in_virtual_time_a_new_timer_gives_the_world_its_full_wait() {
        let (driver, unpark) = in_virtual_time();
        let first = set_in_an_hour(&driver);
        // Many answers later, all of them quick, more than an hour was waited in sum.
        driver.waited.set(2 * HOUR);
        drop(driver.remove_timer(first));
        set_in_an_hour(&driver);
        // Not `wake()`: the waker is what keeps its descriptor open.
        unpark.wake_by_ref();
        driver.park(false, None, || None);
        assert_eq!(driver.clock().now(), Clock::virtual_time().now(), "the answer came at once: no jump");
    }

    #[test]
    fn a_thread_that_has_told_its_answer_does_not_keep_virtual_time_from_jumping() {
        let (driver, _unpark) = in_virtual_time();
        assert!(driver.may_jump());
        let [one, other] = [(); 2].map(|()| (Waker::noop().clone(), Told::not_yet()));
        driver.look_out_for(one.1.clone());
        let forgotten = driver.look_out_for(other.1.clone());
        let (given, _given_asker) = answer_watched_by(Some(one));
        let (dropped, _dropped_asker) = answer_watched_by::<()>(Some(other));
        assert!(!driver.may_jump());
        given.give(Ok(()));
        assert!(!driver.may_jump(), "the other one still owes its answer");
        drop(dropped);
        assert!(driver.may_jump(), "though nobody has looked at either answer");
        driver.look_out_no_more(forgotten);
    }

    #[test]
    fn in_virtual_time_a_talkative_world_does_not_keep_a_timer_from_firing() {
        let (driver, unpark) = in_virtual_time();
        let start = driver.clock().now();
        set_in_an_hour(&driver);
        unpark.wake_by_ref();
        driver.park(false, None, || None);
        assert_eq!(driver.clock().now(), start);
        driver.waited.set(HOUR);
        driver.park(false, None, || None);
        assert_eq!(driver.clock().now(), start + HOUR);
        assert_eq!(driver.wheel.borrow_mut().next_tick(), None);
    }
}
