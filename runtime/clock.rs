//! The second seam: a [`Clock`] that is real, virtual, or moved by hand; and [`Instant`], its reading.
//!
//! ```text
//!   real      now = the machine's steady clock
//!   virtual   now stands still while anything can run, then jumps to the next deadline
//!   manual    now moves when you call advance(), and never else
//! ```
//!
//! Promises: `now` never goes backwards; no arithmetic on instants panics or wraps.
//! Does not know: timers, the loop.

use std::cell::Cell;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

/// A moment on a loop's clock, in nanoseconds; the far end of the scale means "never".
///
/// Unlike [`std::time::Instant`] it follows the virtual clock of the loop it is read in. Moments of
/// different clocks compare without sense. Sums past the end of time stay at the end of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub(crate) u64);

impl Instant {
    /// The end of time: a deadline here never comes.
    pub const FAR: Instant = Instant(u64::MAX);

    /// The time since `earlier`; zero if `earlier` is later.
    #[doc(alias = "saturating_duration_since")]
    pub fn duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment plus `duration`, or `None` past the end of time.
    #[inline]
    pub fn checked_add(self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(nanos(duration)?).filter(|&sum| sum != u64::MAX).map(Instant)
    }

    /// The machine's steady clock, in nanoseconds since this process first asked.
    #[inline]
    pub(crate) fn of_the_machine() -> Instant {
        static START: OnceLock<std::time::Instant> = OnceLock::new();
        let elapsed = START.get_or_init(std::time::Instant::now).elapsed();
        // One day in hand, so that a moment before the first question can be named as well.
        const DAY: u64 = 86_400_000_000_000;
        // A process does not run for the 584 years after which this would not fit.
        Instant(DAY + elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos()))
    }
}

/// A duration in nanoseconds, if they fit: some 584 years do. (`as_nanos` reckons with 128 bits, for longer
/// ones.)
#[inline]
fn nanos(duration: Duration) -> Option<u64> {
    duration.as_secs().checked_mul(1_000_000_000)?.checked_add(u64::from(duration.subsec_nanos()))
}

impl Add<Duration> for Instant {
    type Output = Instant;
    #[inline]
    fn add(self, duration: Duration) -> Instant {
        self.checked_add(duration).unwrap_or(Instant::FAR)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(duration).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Instant::FAR => f.write_str("Instant(never)"),
            Instant(nanos) => write!(f, "Instant({:?})", Duration::from_nanos(nanos)),
        }
    }
}

/// Where a loop reads the time. Clones read, and move, the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Real,
    Virtual(Rc<Cell<Instant>>),
    Manual(Rc<Cell<Instant>>),
}

impl Clock {
    /// The machine's steady clock.
    pub fn real() -> Clock {
        Clock(Kind::Real)
    }

    /// A clock that starts at zero and, whenever nothing is ready, jumps to the next deadline.
    ///
    /// Programs that only sleep run at once and give the same times in every run. While a `to_thread`
    /// closure whose handle lives owes its answer, or a socket is open, the world may answer: the loop then
    /// waits for it, in real time, as long as the next deadline is away, and jumps only afterwards.
    /// The clock stands still meanwhile, and a timer that is set then and is the earliest has the full
    /// wait before it.
    /// The idea is trio's `MockClock` with its autojump.
    #[doc(alias = "autojump")]
    #[doc(alias = "pause")]
    pub fn virtual_time() -> Clock {
        Clock(Kind::Virtual(Rc::new(Cell::new(Instant(0)))))
    }

    /// A clock that starts at zero and only moves by [`advance`](Clock::advance).
    pub fn manual() -> Clock {
        Clock(Kind::Manual(Rc::new(Cell::new(Instant(0)))))
    }

    /// The time on this clock.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Kind::Real => Instant::of_the_machine(),
            Kind::Virtual(now) | Kind::Manual(now) => now.get(),
        }
    }

    /// Moves a virtual or manual clock forward by `duration`. Timers that are due then fire, in
    /// order of their deadlines, when the loop next looks.
    ///
    /// # Panics
    ///
    /// On the real clock, which nobody moves.
    #[track_caller]
    pub fn advance(&self, duration: Duration) {
        match &self.0 {
            Kind::Real => panic!("the real clock cannot be advanced: build the loop with Clock::manual()"),
            Kind::Virtual(now) | Kind::Manual(now) => now.set(now.get() + duration),
        }
    }

    /// The jump of a virtual clock: forward to `then`. Returns whether this clock jumps at all.
    pub(crate) fn jump(&self, then: Instant) -> bool {
        let Kind::Virtual(now) = &self.0 else { return false };
        now.set(now.get().max(then));
        true
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.0, Kind::Virtual(_))
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self.0, Kind::Real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_stop_at_the_end_of_time() {
        let now = Instant::of_the_machine();
        assert_eq!(now + Duration::MAX, Instant::FAR);
        assert_eq!(Instant::FAR + Duration::from_secs(1), Instant::FAR);
        assert_eq!(now.checked_add(Duration::MAX), None);
        assert_eq!(Instant(5) - Duration::MAX, Instant(0));
        assert_eq!(Instant(5) - Instant(9), Duration::ZERO);
    }
}
