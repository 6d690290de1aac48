//! Generators on stable Rust, and [`RoundRobin`], the scheduler in a few lines that `scheduler.rs` grew from.
//!
//! ```text
//!   caller                                  body: an async block
//!   resume() ---- polls, with a waker that does nothing ---->  ...
//!   Step::Yielded(1)  <---- Pending, and 1 in the slot ------  y.yield_(1).await
//!   send("go") -------- "go" in the slot, and polls -------->  ... = Some("go")
//!   Step::Returned(r) <---- Ready(r) ------------------------  r
//! ```
//!
//! An async block is a state machine that the compiler writes: it stops at each await and goes on from
//! there. A runtime uses the stop to wait for something. A generator uses it to hand a value out, so
//! its body is polled by hand and nobody ever has to be woken.
//!
//! Promises: the body runs inside `resume` and nowhere else, and not before the first; dropping a
//! generator half-way drops its locals where it stands; its locals are gone before its return value
//! is seen; an await of anything but its own yields is found out and refused.
//! Does not know: the event loop. It runs outside any loop, and inside any task.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Makes a generator of an async block that yields by `y.yield_(value).await`.
///
/// Nothing runs before the first `next` or `resume`. The body may borrow, so a method can walk through
/// `self`, and an async function that is given the [`Yielder`] can yield on the body's behalf.
///
/// ```
/// use roundel::{generator, Generator};
///
/// fn countdown(from: u32) -> Generator<'static, u32, &'static str> {
///     generator(move |y| async move {
///         for n in (1..=from).rev() {
///             y.yield_(n).await;
///         }
///         "liftoff"
///     })
/// }
///
/// let mut numbers = countdown(3);
/// assert_eq!(numbers.by_ref().collect::<Vec<_>>(), [3, 2, 1]);
/// assert_eq!(numbers.into_return(), Some("liftoff"));
/// ```
#[track_caller]
pub fn generator<'a, Y, R, F, B>(body: F) -> Generator<'a, Y, R>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future<Output = R> + 'a,
{
    two_way_generator(body)
}

/// As [`generator`], for one that is also told things: `y.yield_(value).await` gives what the caller
/// passed to [`send`](Generator::send), or `None` if it was resumed without a word.
///
/// This is how a generator asks for services, as a task asks its loop. Python's `throw` is a `Result`
/// that is sent.
///
/// ```
/// use roundel::{two_way_generator, Step};
///
/// let mut average = two_way_generator(|y| async move {
///     let (mut sum, mut count) = (0.0, 0.0);
///     let mut mean = 0.0;
///     while let Some(number) = y.yield_(mean).await {
///         sum += number;
///         count += 1.0;
///         mean = sum / count;
///     }
///     mean
/// });
/// assert_eq!(average.resume(), Step::Yielded(0.0));
/// assert_eq!(average.send(10.0), Step::Yielded(10.0));
/// assert_eq!(average.send(20.0), Step::Yielded(15.0));
/// assert_eq!(average.resume(), Step::Returned(15.0));
/// ```
#[track_caller]
pub fn two_way_generator<'a, Y, R, S, F, B>(body: F) -> Generator<'a, Y, R, S>
where
    F: FnOnce(Yielder<Y, S>) -> B,
    B: Future<Output = R> + 'a,
{
    let slot = Rc::new(Slot { yielded: Cell::new(None), sent: Cell::new(None) });
    let body = Box::pin(body(Yielder { slot: slot.clone() }));
    Generator { stage: Stage::Fresh(body), slot, site: Location::caller() }
}

/// A body that runs from one yield to the next whenever it is asked to. Made by [`generator`].
///
/// As an iterator it gives what is yielded, and keeps the return value for [`into_return`]. Closing it
/// half-run is dropping it: what the body holds is dropped, at the yield where it stands. A panic in
/// the body comes out of the call that resumed it, and the generator is over.
///
/// [`into_return`]: Generator::into_return
#[must_use = "a generator does nothing until it is resumed"]
#[doc(alias = "coroutine")]
pub struct Generator<'a, Y, R = (), S = ()> {
    stage: Stage<'a, R>,
    slot: Rc<Slot<Y, S>>,
    site: &'static Location<'static>,
}

type Body<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

enum Stage<'a, R> {
    /// Not begun.
    Fresh(Body<'a, R>),
    /// At a yield.
    Suspended(Body<'a, R>),
    /// At its end, as an iterator that could not say so.
    Returned(R),
    /// Its return value is given, or it panicked.
    Over,
}

/// Where the values lie between the two sides: at most one each way.
struct Slot<Y, S> {
    yielded: Cell<Option<Y>>,
    sent: Cell<Option<S>>,
}

/// What a generator came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "CoroutineState")]
#[doc(alias = "StopIteration")]
pub enum Step<Y, R> {
    /// It yielded this, and can be resumed.
    Yielded(Y),
    /// It is at its end.
    Returned(R),
}

impl<Y, R, S> Generator<'_, Y, R, S> {
    /// Runs the body to its next yield, or to its end.
    ///
    /// # Panics
    ///
    /// If the return value has been given already, or if the body awaits anything but its own yields.
    #[track_caller]
    pub fn resume(&mut self) -> Step<Y, R> {
        self.step(None)
    }

    /// Runs on as [`resume`](Generator::resume) does, with `value` as the outcome of the yield at which
    /// the body stands. A body that ends without looking drops it.
    ///
    /// # Panics
    ///
    /// As `resume` does, and if the body stands at no yield yet: resume it to its first one.
    #[track_caller]
    pub fn send(&mut self, value: S) -> Step<Y, R> {
        if matches!(self.stage, Stage::Fresh(_)) {
            panic!("send() to a generator that has not begun, where no yield waits for the value: call resume() first");
        }
        self.step(Some(value))
    }

    /// Whether the body is at its end.
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Returned(_) | Stage::Over)
    }

    /// The return value, of a generator that was run to its end as an iterator; `None` from any other.
    ///
    /// A half-run one is closed.
    pub fn into_return(self) -> Option<R> {
        match self.stage {
            Stage::Returned(value) => Some(value),
            Stage::Fresh(_) | Stage::Suspended(_) | Stage::Over => None,
        }
    }

    #[track_caller]
    fn step(&mut self, sent: Option<S>) -> Step<Y, R> {
        // Taken out for the time of the poll: a body that panics is not there to be resumed again.
        let mut body = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Fresh(body) | Stage::Suspended(body) => body,
            Stage::Returned(value) => return Step::Returned(value),
            Stage::Over => panic!(
                "the generator made at {} is over and has given its return value: ask is_finished() first",
                self.site
            ),
        };
        self.slot.sent.set(sent);
        if let Poll::Ready(value) = body.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Step::Returned(value);
        }
        let Some(value) = self.slot.yielded.take() else {
            // Its destructors run before the panic: one that panics during a panic would abort.
            drop(body);
            panic!(
                "the generator made at {} awaits something else than its own yield_(), and nobody would ever wake it: \
                 do the waiting in a task, under block_on(), and leave the yielding to the generator",
                self.site
            )
        };
        self.stage = Stage::Suspended(body);
        Step::Yielded(value)
    }
}

impl<Y, R, S> Iterator for Generator<'_, Y, R, S> {
    type Item = Y;

    #[track_caller]
    fn next(&mut self) -> Option<Y> {
        if self.is_finished() {
            return None;
        }
        match self.step(None) {
            Step::Yielded(value) => Some(value),
            Step::Returned(value) => {
                self.stage = Stage::Returned(value);
                None
            }
        }
    }
}

impl<Y, R, S> FusedIterator for Generator<'_, Y, R, S> {}

impl<Y, R, S> fmt::Debug for Generator<'_, Y, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Fresh(_) => "Fresh",
            Stage::Suspended(_) => "Suspended",
            Stage::Returned(_) => "Returned",
            Stage::Over => "Over",
        };
        f.debug_struct("Generator")
            .field("stage", &format_args!("{stage}"))
            .field("site", &format_args!("{}", self.site))
            .finish()
    }
}

/// The generator's own end of the line: what its body yields through.
pub struct Yielder<Y, S = ()> {
    slot: Rc<Slot<Y, S>>,
}

impl<Y, S> Yielder<Y, S> {
    /// Hands `value` to whoever resumed the generator, and stops until it is resumed again.
    ///
    /// Gives what was [sent](Generator::send), if anything was. Dropping the future unpolled drops the
    /// value; once polled, the value is out.
    ///
    /// # Panics
    ///
    /// When awaited outside the body of its generator, and when a second value is yielded before the
    /// first was taken, as by a `join` of two yields.
    pub fn yield_(&self, value: Y) -> Yield<'_, Y, S> {
        Yield { slot: &self.slot, value: Some(value) }
    }

    /// Yields every item, one by one. Python's `yield from`.
    ///
    /// Of a generator given as `&mut child`, the return value can be asked for afterwards.
    pub async fn yield_from(&self, items: impl IntoIterator<Item = Y>) {
        for item in items {
            self.yield_(item).await;
        }
    }
}

impl<Y, S> fmt::Debug for Yielder<Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// The future of [`Yielder::yield_`].
#[must_use = "nothing is yielded until the future is awaited"]
pub struct Yield<'y, Y, S = ()> {
    slot: &'y Slot<Y, S>,
    value: Option<Y>,
}

// The value is moved out and never pinned.
impl<Y, S> Unpin for Yield<'_, Y, S> {}

impl<Y, S> Future for Yield<'_, Y, S> {
    type Output = Option<S>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S>> {
        if !cx.waker().will_wake(Waker::noop()) {
            panic!("yield_() was awaited outside its generator's body: only resume() can take what is yielded");
        }
        let waiting = self.slot.yielded.take();
        match self.value.take() {
            // The second poll, in a later resume.
            None if waiting.is_none() => return Poll::Ready(self.slot.sent.take()),
            // The second poll, in the same resume, by something that polls its futures for nothing.
            None => self.slot.yielded.set(waiting),
            Some(value) if waiting.is_none() => self.slot.yielded.set(Some(value)),
            Some(_) => panic!("a generator yielded twice in one step: await one yield_() before the next"),
        }
        Poll::Pending
    }
}

impl<Y, S> fmt::Debug for Yield<'_, Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yield").field("yielded", &self.value.is_none()).finish()
    }
}

/// Runs generators in turns, each to its next yield: a scheduler with nothing to wait for.
///
/// It is an iterator over what they yield, with the number of the one that did (0 is the first task
/// given), and thus may itself be a task of another. It takes anything that is an iterator; of a
/// generator given as `&mut task`, the return value can be asked for afterwards.
///
/// A panic in a task comes out of the call that ran it, as an exception does in Python; that task is
/// gone, and the next call goes on with the others.
///
/// ```
/// use roundel::{generator, RoundRobin};
///
/// let mut scheduler = RoundRobin::new();
/// scheduler.new_task(["a", "b", "c"].into_iter());
/// scheduler.new_task(generator(|y| async move {
///     y.yield_("x").await;
///     y.yield_("y").await;
/// }));
/// let turns: Vec<_> = scheduler.collect();
/// assert_eq!(turns, [(0, "a"), (1, "x"), (0, "b"), (1, "y"), (0, "c")]);
/// ```
#[doc(alias = "TaskScheduler")]
pub struct RoundRobin<'a, Y> {
    tasks: VecDeque<(usize, Box<dyn Iterator<Item = Y> + 'a>)>,
    given: usize,
}

impl<'a, Y> RoundRobin<'a, Y> {
    /// A scheduler without tasks.
    pub fn new() -> RoundRobin<'a, Y> {
        RoundRobin { tasks: VecDeque::new(), given: 0 }
    }

    /// Puts a task at the end of the line, and gives it its number.
    pub fn new_task(&mut self, task: impl Iterator<Item = Y> + 'a) -> usize {
        let number = self.given;
        self.given += 1;
        self.tasks.push_back((number, Box::new(task)));
        number
    }

    /// Runs until no task is left, and throws away what they yield.
    pub fn run(&mut self) {
        self.for_each(drop);
    }
}

impl<Y> Iterator for RoundRobin<'_, Y> {
    type Item = (usize, Y);

    fn next(&mut self) -> Option<(usize, Y)> {
        loop {
            let (number, mut task) = self.tasks.pop_front()?;
            if let Some(value) = task.next() {
                self.tasks.push_back((number, task));
                return Some((number, value));
            }
        }
    }
}

impl<Y> FusedIterator for RoundRobin<'_, Y> {}

impl<Y> Default for RoundRobin<'_, Y> {
    fn default() -> Self {
        RoundRobin::new()
    }
}

impl<Y> fmt::Debug for RoundRobin<'_, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<usize> = self.tasks.iter().map(|&(number, _)| number).collect();
        f.debug_struct("RoundRobin").field("tasks", &tasks).finish()
    }
}
