//! Sleeping, time limits and intervals, on the clock of the loop.
//!
//! Promises: nothing is early; every `Duration` is legal, and the longest never ends; a dropped timer
//! leaves nothing behind; `timeout` looks at its future before its clock.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Instant;
use crate::context;
use crate::driver::Driver;
use crate::keep::keep;
use crate::observer::{self, Behind, Label, Waits};
use crate::timer_wheel::{Stage, Timer};

impl Instant {
    /// The time on the clock of the loop this thread is inside of; on the real clock outside any loop.
    #[doc(alias = "time")]
    pub fn now() -> Instant {
        context::try_current().map_or_else(Instant::of_the_machine, |parts| parts.driver.clock().now())
    }

    /// The time since this moment.
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }
}

/// Waits for `duration`. Zero gives every other ready task one turn, as [`yield_now`](fn@crate::yield_now) does.
///
/// Ends at the first millisecond of the loop's clock at or after the deadline, never before it. The
/// deadline counts from this call. Dropping the future cancels the timer.
///
/// # Panics
///
/// Outside a running loop; and when it has to wait inside another loop, or after its own is gone.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    let sleep = Sleep::new("sleep()", |now| now + duration);
    if duration.is_zero() {
        sleep.put_aside();
    }
    sleep
}

/// Waits until `deadline`; not at all if it has passed.
///
/// # Panics
///
/// Outside a running loop; and when it has to wait inside another loop, or after its own is gone.
#[track_caller]
#[doc(alias = "call_at")]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new("sleep_until()", |_| deadline)
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Sleep {
    driver: Rc<Driver>,
    /// Set when somebody waits. It knows the deadline, and the waker of who waits.
    timer: Timer,
    label: Label,
    site: &'static Location<'static>,
}

impl Sleep {
    /// For `what`, which is called: until the moment that `deadline` names, when it is told the time.
    #[track_caller]
    #[inline]
    fn new(what: &str, deadline: impl FnOnce(Instant) -> Instant) -> Sleep {
        let driver = context::driver(what);
        // Read in any case: if the deadline has passed, the first poll is to see it.
        let deadline = deadline(driver.read_clock());
        let timer = driver.timer(deadline);
        Sleep { driver, timer, label: Label::new(), site: Location::caller() }
    }

    /// When it ends.
    #[doc(alias = "when")]
    pub fn deadline(&self) -> Instant {
        Instant(self.driver.wheel().deadline(self.timer))
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        has_passed(self.deadline(), self.driver.read_clock())
    }

    /// Moves the deadline, forward or back, also after it has passed; [`Instant::FAR`] takes it away.
    /// Whoever waits goes on waiting for the new one, and is woken at once if that has passed.
    #[doc(alias = "reschedule")]
    pub fn reset(&mut self, deadline: Instant) {
        let waiting = self.driver.unset(self.timer);
        self.driver.wheel().set_deadline(self.timer, deadline.0);
        // Read even if nobody waits: if it has passed, the next poll is to see it.
        let is_elapsed = self.is_elapsed();
        match waiting {
            Some(waker) if is_elapsed => waker.wake(),
            Some(waker) if !self.driver.is_closed() => self.driver.set(self.timer, waker),
            _ => {}
        }
    }

    /// A sleep of no length is ready only after one turn of the others.
    #[cold]
    fn put_aside(&self) {
        self.driver.wheel().put_aside(self.timer);
    }

    #[cold]
    fn give_a_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.unset(self.timer);
        observer::waiting_for_a_turn();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The end of time is never reached, not even by a clock that stands there.
fn has_passed(deadline: Instant, now: Instant) -> bool {
    deadline <= now && deadline != Instant::FAR
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stage = self.driver.wheel().stage(self.timer);
        let is_due = match stage {
            Stage::Fired => return Poll::Ready(()),
            Stage::Aside => return self.give_a_turn(cx),
            // A deadline that lay ahead when it was made is compared with the turn's time, which costs nothing.
            Stage::Unset => has_passed(self.deadline(), self.driver.last_reading()),
            // Polled again within one long turn, only a fresh reading can tell.
            Stage::Set => self.is_elapsed(),
            Stage::SetInVain => false,
        };
        if is_due {
            drop(self.driver.unset(self.timer));
            return Poll::Ready(());
        }
        observer::waiting(Waits::Timer, &self.label, Some(self.site), |tell| tell(Behind::Deadline(self.deadline())));
        if context::is_in_another(&self.driver) && !self.driver.is_closed() {
            // Nobody has read its own loop's clock since it was made.
            if self.is_elapsed() {
                return Poll::Ready(());
            }
            panic!("the sleep made at {} belongs to another loop, which does not run: await it in its own", self.site);
        }
        if stage == Stage::Unset || !self.driver.rewake(self.timer, cx.waker()) {
            if self.driver.is_closed() {
                panic!("the loop of the sleep made at {} is gone: await it inside the loop that made it", self.site);
            }
            self.driver.set(self.timer, keep(cx.waker()));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        drop(self.driver.remove_timer(self.timer));
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}

/// The time limit was reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "TimeoutError")]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit was reached")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}

/// Gives `future` so much time, counted from this call; `None` is for ever.
///
/// The future is polled before the clock is read, so a future that is done at its deadline has its
/// result returned. When the limit is reached the future is dropped, and then `Elapsed` is returned.
/// A future that never has to wait is never interrupted: only between two polls can the limit be seen.
/// A `JoinHandle` given as the future is dropped like any other: its task runs on.
///
/// ```
/// # use std::time::Duration;
/// # roundel::block_on(async {
/// let limit = Duration::from_millis(5);
/// assert!(roundel::timeout(limit, std::future::pending::<()>()).await.is_err());
/// assert_eq!(roundel::timeout(limit, async { 1 }).await, Ok(1));
/// # });
/// ```
///
/// # Errors
///
/// [`Elapsed`] when the limit was reached first.
///
/// # Panics
///
/// Outside a running loop; and when it has to wait inside another loop, or after its own is gone.
#[track_caller]
#[doc(alias = "wait_for")]
pub fn timeout<F: Future>(
    limit: impl Into<Option<Duration>>,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    // No match with `map_or`: a closure would not know the caller's line.
    let sleep = match limit.into() {
        Some(limit) => Sleep::new("timeout()", |now| now + limit),
        None => Sleep::new("timeout()", |_| Instant::FAR),
    };
    within(sleep, future)
}

/// Gives `future` time until `deadline`. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first.
///
/// # Panics
///
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
    within(Sleep::new("timeout_at()", |_| deadline), future)
}

async fn within<F: Future>(mut sleep: Sleep, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => {
            // What the future said it waits for tells more than "a timer".
            let waits = observer::take_waits();
            let elapsed = Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed(())));
            observer::put_waits(waits);
            elapsed
        }
    })
    .await
}

/// What an [`Interval`] does about ticks that came while nobody asked for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "MissedTickBehavior")]
pub enum MissedTicks {
    /// Gives them all at once, until it has caught up: the schedule and the count stay right.
    #[default]
    Burst,
    /// Gives one at once and counts the period anew from then: the spacing stays right.
    Delay,
    /// Gives one at once and leaves the others out: the schedule stays right.
    Skip,
}

/// A tick every `period`, the first one at once.
///
/// # Panics
///
/// Outside a running loop, and for a period of zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "interval() needs a period above zero: use yield_now() to run in every round");
    Interval { sleep: Sleep::new("interval()", |now| now), period, missed_ticks: MissedTicks::Burst }
}

/// Ticks at equal distances. Made by [`interval`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed_ticks: MissedTicks,
}

impl Interval {
    /// Says what to do about ticks that were missed; [`Burst`](MissedTicks::Burst) if never said.
    pub fn set_missed_ticks(&mut self, policy: MissedTicks) {
        self.missed_ticks = policy;
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Waits for the next tick and gives the time it was due. Dropping the future half-way loses no tick.
    ///
    /// # Panics
    ///
    /// When it has to wait inside another loop than its own, or after its own is gone.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The next tick, for a future of your own.
    ///
    /// # Panics
    ///
    /// As [`tick`](Interval::tick).
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        std::task::ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let now = self.sleep.driver.read_clock();
        self.sleep.reset(self.next(due, now));
        Poll::Ready(due)
    }

    /// Counts one period from now to the next tick.
    pub fn reset(&mut self) {
        let now = self.sleep.driver.read_clock();
        self.sleep.reset(now + self.period);
    }

    fn next(&self, due: Instant, now: Instant) -> Instant {
        let on_schedule = due + self.period;
        if on_schedule > now {
            return on_schedule;
        }
        match self.missed_ticks {
            MissedTicks::Burst => on_schedule,
            MissedTicks::Delay => now + self.period,
            MissedTicks::Skip => {
                let late = (now - due).as_nanos() % self.period.as_nanos();
                let left = self.period - Duration::from_nanos(late as u64);
                now + left
            }
        }
    }
}
