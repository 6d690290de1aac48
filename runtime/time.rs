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

use crate::arena::Key;
use crate::clock::Instant;
use crate::context;
use crate::driver::Driver;
use crate::observer::{self, Waits};

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

/// Waits for `duration`. Zero gives every other ready task one turn, as [`yield_now`](crate::yield_now) does.
///
/// Ends at the first millisecond of the loop's clock at or after the deadline, never before it. The
/// deadline counts from this call. Dropping the future cancels the timer.
///
/// # Panics
///
/// Outside a running loop; and when awaited after its loop is gone.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    let driver = context::current("sleep()").driver.clone();
    let deadline = driver.clock().now() + duration;
    Sleep {
        timer: if duration.is_zero() { Timer::Yield } else { Timer::New },
        driver,
        deadline,
        site: Location::caller(),
    }
}

/// Waits until `deadline`; not at all if it has passed.
///
/// # Panics
///
/// Outside a running loop; and when awaited after its loop is gone.
#[track_caller]
#[doc(alias = "call_at")]
pub fn sleep_until(deadline: Instant) -> Sleep {
    let driver = context::current("sleep_until()").driver.clone();
    Sleep { timer: Timer::New, driver, deadline, site: Location::caller() }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Sleep {
    driver: Rc<Driver>,
    deadline: Instant,
    timer: Timer,
    site: &'static Location<'static>,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    New,
    /// To be ready only after one turn of the others.
    Yield,
    /// In the wheel; `None` for a deadline that never comes.
    Set(Option<Key>),
}

impl Sleep {
    /// When it ends.
    #[doc(alias = "when")]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        self.driver.clock().now() >= self.deadline
    }

    /// Moves the deadline, forward or back, also after it has passed. Whoever waits must be polled
    /// again to notice, and is, if it resets the `Sleep` it awaits.
    #[doc(alias = "reschedule")]
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.cancel();
    }

    fn cancel(&mut self) {
        if let Timer::Set(Some(key)) = std::mem::replace(&mut self.timer, Timer::New) {
            self.driver.cancel(key);
        }
    }

    fn arm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.driver.is_closed() {
            panic!("the loop of the sleep made at {} is gone: await it inside the loop that made it", self.site);
        }
        self.timer = Timer::Set(self.driver.insert(self.deadline, cx.waker().clone()));
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.poll_timer(cx);
        if polled.is_pending() {
            observer::waiting_for(Waits::Timer, Some(self.site));
        }
        polled
    }
}

impl Sleep {
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.timer {
            Timer::Yield => {
                self.timer = Timer::New;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            // The deadline was worked out from a fresh reading; the turn's is never later than that.
            Timer::New if self.deadline <= self.driver.turn_began() => Poll::Ready(()),
            Timer::New => self.arm(cx),
            // Polled again within one long turn, only a fresh reading can tell.
            Timer::Set(_) if self.deadline <= self.driver.turn_began() || self.is_elapsed() => {
                self.cancel();
                Poll::Ready(())
            }
            Timer::Set(None) => Poll::Pending,
            Timer::Set(Some(key)) if self.driver.rewake(key, cx.waker()) => Poll::Pending,
            Timer::Set(Some(_)) => self.arm(cx),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
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
/// Outside a running loop.
#[track_caller]
#[doc(alias = "wait_for")]
pub fn timeout<F: Future>(
    limit: impl Into<Option<Duration>>,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let deadline =
        limit.into().map_or(Instant::FAR, |limit| context::current("timeout()").driver.clock().now() + limit);
    within(sleep_until(deadline), future)
}

/// Gives `future` time until `deadline`. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first.
///
/// # Panics
///
/// Outside a running loop.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
    within(sleep_until(deadline), future)
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
    let next = context::current("interval()").driver.clock().now();
    Interval { sleep: sleep_until(next), period, missed_ticks: MissedTicks::Burst }
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
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The next tick, for a future of your own.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        std::task::ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let now = self.sleep.driver.clock().now();
        self.sleep.reset(self.next(due, now));
        Poll::Ready(due)
    }

    /// Counts one period from now to the next tick.
    pub fn reset(&mut self) {
        let now = self.sleep.driver.clock().now();
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
