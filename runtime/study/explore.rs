//! Exploration: the same program, under every order in which its tasks can take their turns.
//!
//! ```text
//!   0.0.1.1   0.1.0.1   0.1.1.0   1.0.0.1   1.0.1.0   1.1.0.0      two tasks of two turns: six schedules
//!
//!                  run 1 takes the first way everywhere:   0 . 0 . 1 . 1
//!                  the last point with another way:        0 .(1)             run 2 goes there again, and on
//!                                                          0 . 1 .(1)         run 3, and so on
//! ```
//!
//! Tasks on one thread change turns only at an await. So what a program can do depends on one thing: who of
//! those that are ready is next. An ordinary run shows one of the answers, and a test that passes may have been
//! lucky. Here a program is run again and again, each time with a fresh loop on the virtual clock; at each point
//! where several may be next it goes one way, and a later run goes back to the last point with a way not taken.
//! Nothing of a run is kept but the list of those points: *stateless* search, depth first. It is Godefroid's idea
//! (VeriSoft, 1997); CHESS (Musuvathi and Qadeer, 2007) and loom do it for threads.
//!
//! Nothing is left out, either. Two turns that have nothing to do with each other are run in both orders, where
//! a search with partial-order reduction would run one. So the number of schedules is one that can be worked out
//! by hand, and it grows fast: n tasks of k turns have (nk)!/(k!)^n. Explore small programs: two or three tasks,
//! with a few awaits each; a bug that needs a hundred tasks is rare.
//!
//! Promises: every schedule once; the same program, the same report; what is not explored is said; a schedule
//! that fails can be run again, and fails in the same way.
//! Does not know: how a run is steered, or the next one found.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use crate::context;
use crate::observer::Observer;
use crate::study::exploration::{Exploration, Run};
use crate::study::schedule::{Rules, ScheduleError};
use crate::study::search::Search;

/// Runs a program under every order of its ready tasks, and tells how it ended under each.
///
/// `program` makes the future that is run like one given to [`block_on`](fn@crate::block_on), once for each
/// schedule. Its output is the outcome, which the report counts. A run fails that panics, in a task whose error
/// nobody reads too, that is deadlocked, or that does not end; what else is wrong the program says by an
/// assertion, or [`Explore::expect`] does.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use roundel::study::{explore, replay};
///
/// async fn count_to_two() -> u32 {
///     let counter = Rc::new(Cell::new(0));
///     let add_one = |counter: Rc<Cell<u32>>| async move {
///         let read = counter.get();
///         roundel::yield_now().await;
///         counter.set(read + 1);
///     };
///     roundel::gather([add_one(counter.clone()), add_one(counter.clone())]).await;
///     counter.get()
/// }
///
/// let exploration = explore(count_to_two);
/// assert_eq!(exploration.schedules(), 6);
/// assert_eq!(exploration.outcomes()[&2], 2);
/// assert_eq!(exploration.outcomes()[&1], 4, "an update is lost");
/// assert_eq!(replay("0.1.0.1", count_to_two).unwrap().result, Ok(1));
/// ```
///
/// A schedule names the task of each turn, counted from 0 in order of spawning, as
/// [`Order::schedule`](crate::Order::schedule) does. The future given to `block_on` is not counted: when it is ready
/// it goes first. What it does while others run is not put in another order, so let it spawn and collect, and
/// leave the work to tasks. (So 0 is what reports and recordings call task 1: there the root is counted, as task 0.)
///
/// Give [`gather`](fn@crate::gather) the futures, and not handles of tasks: it makes a task of each, and so one more
/// of each handle, whose turns are put in every order as well. Two tasks of two turns have 6 schedules; gathered by their
/// handles, 440.
///
/// Which mode for what? This one proves something, of small programs. [`Explore::racing_timers`] is for a program in
/// which a `sleep` stands for "some time": on the virtual clock alone, one second always ends before two.
/// [`Explore::cancelling`] asks what is lost when a task is dropped half-way. [`Explore::random`] is for what is too
/// large: it proves nothing, but finds most mistakes soon.
///
/// # Panics
///
/// Inside a running loop. If the program opens a socket, hands a closure to a thread or is woken by another thread:
/// the call panics as well, and says so. And if it is not the same program in every run, because it depends on
/// something beside the order: a random number, the machine's clock, an address, what an earlier run left. (That is
/// found out where the loop sees it, and in the first run and the failures, which are made twice.)
///
/// Panics of the program on this thread are not printed; the report has what they say. What the
/// program sends itself through a [`Handle`](crate::Handle) is its own; what another thread sends is refused when it
/// comes, but nobody waits for it.
#[track_caller]
pub fn explore<T, F>(program: impl FnMut() -> F) -> Exploration<T>
where
    T: Ord + fmt::Debug,
    F: Future<Output = T>,
{
    Explore::new().run(program)
}

/// Runs one schedule again, such as one that [`explore`] found to fail. What it does not name goes first in, first
/// out.
///
/// One that was found under [`Explore::racing_timers`] is run again by [`Explore::replay`] under the same.
///
/// # Errors
///
/// If the text is no schedule, or names a task at a point where that cannot be next, or more turns than there are.
///
/// # Panics
///
/// As [`explore`]. A panic of the program is a value here: [`Run::result`].
#[track_caller]
pub fn replay<T, F>(schedule: &str, program: impl FnMut() -> F) -> Result<Run<T>, ScheduleError>
where
    T: fmt::Debug,
    F: Future<Output = T>,
{
    Explore::new().replay(schedule, program)
}

/// How to explore, for [`explore`] in more words. (As there: give `gather` the futures, and not handles.)
///
/// ```
/// use std::time::Duration;
/// use roundel::study::Explore;
///
/// // Who sleeps shorter may still be later: on a busy machine, anybody may.
/// let exploration = Explore::new().racing_timers().run(|| async {
///     let sleepy = |millis| roundel::spawn(async move {
///         roundel::sleep(Duration::from_millis(millis)).await;
///         millis
///     });
///     let mut done = roundel::as_completed([sleepy(1), sleepy(2)]);
///     done.next().await.unwrap().unwrap()
/// });
/// assert_eq!(exploration.outcomes().len(), 2);
/// ```
#[must_use = "it explores nothing until run() is called"]
pub struct Explore<T> {
    search: Search<T>,
    random: Option<(u64, usize)>,
    observers: Vec<Rc<dyn Observer>>,
}

impl<T> Default for Explore<T> {
    fn default() -> Explore<T> {
        Explore::new()
    }
}

impl<T> Explore<T> {
    /// Every order of the ready tasks, depth first; 100,000 schedules at most.
    pub fn new() -> Explore<T> {
        let rules = Rules { any_order: true, racing: false, drops: 0, max_steps: 10_000 };
        let search = Search { rules, max_schedules: 100_000, max_turns: 2_000_000, expect: None };
        Explore { search, random: None, observers: Vec::new() }
    }

    /// So many schedules at most; 100,000 if not said. The report says if there are more.
    pub fn max_schedules(mut self, most: usize) -> Explore<T> {
        self.search.max_schedules = most.max(1);
        self
    }

    /// So many turns in one run at most; 10,000 if not said. A run that is not done by then fails, as one that
    /// never ends.
    ///
    /// A task that yields until another one has done its part never ends under the schedules that leave the other
    /// one out. Let it wait for an event instead; or set this low, and take these failures for what they are.
    pub fn max_steps(mut self, most: usize) -> Explore<T> {
        self.search.rules.max_steps = most.max(1);
        self
    }

    /// So many turns in all runs together at most; 2,000,000 if not said. The report says if that was too few.
    pub fn max_turns(mut self, most: u64) -> Explore<T> {
        self.search.max_turns = most;
        self
    }

    /// Instead of all schedules, so many runs with random ones, one at least; each choice is uniform among those who
    /// may be next. The same seed gives the same runs.
    ///
    /// The schedules of failures are made shorter: to the fewest turns that lead to the same failure, if what is
    /// not named goes first in, first out.
    pub fn random(mut self, seed: u64, runs: usize) -> Explore<T> {
        self.random = Some((seed, runs.max(1)));
        self
    }

    /// Only the loop's own order, first in, first out: one schedule. Worth while with
    /// [`cancelling`](Explore::cancelling), for programs that have too many.
    pub fn in_order(mut self) -> Explore<T> {
        self.search.rules.any_order = false;
        self
    }

    /// A task that sleeps may be next at any time, whatever the others do meanwhile, as on a real machine, where they
    /// may be arbitrarily slow. The clock then moves to the end of its sleep, and what is due before is due.
    ///
    /// Otherwise the clock moves only when nobody is ready. The future given to `block_on` is named `m` where its
    /// sleep, or its time limit, ends early. A sleep that is polled with a waker of its own, as in a
    /// `FuturesUnordered`, ends only when nobody is ready, or with a later one. [`in_order`](Explore::in_order), timers
    /// do not race.
    pub fn racing_timers(mut self) -> Explore<T> {
        self.search.rules.racing = true;
        self
    }

    /// In each run one task may be dropped, before any turn and before the clock moves, at whichever await it stands:
    /// each task that has waited at least once, but for the future given to `block_on`. The rest runs on to its end.
    /// (Where only the future given to `block_on` is ready, or the clock must move, a `-` in the schedule says that
    /// this happens first.)
    ///
    /// So every await of every task is tried, and every moment of the wait: while the task is in line, and when it
    /// has been served and does not know yet. What breaks is a failure that names the task and the await, as
    /// [`Failure::dropped`](crate::study::Failure::dropped). A schedule counts tasks from 0, as ever: its `x1` drops what
    /// reports call task 2.
    ///
    /// One kind of task is not dropped: a [`JoinHandle`](crate::JoinHandle) that was made a task, as
    /// [`gather`](fn@crate::gather) makes one of each handle that it is given. It has nothing to lose, and the task behind
    /// it, which has, is dropped by itself.
    ///
    /// A run that ends by a panic which says only that the task was cancelled, because somebody unwraps
    /// its result, is no failure; the report counts it apart. Take the results by
    /// [`gather_settled`](fn@crate::gather_settled) to see further.
    pub fn cancelling(mut self) -> Explore<T> {
        self.search.rules.drops = 1;
        self
    }

    /// An outcome of which `expectation` is false is a failure.
    pub fn expect(mut self, expectation: impl Fn(&T) -> bool + 'static) -> Explore<T> {
        self.search.expect = Some(Box::new(expectation));
        self
    }

    /// Who is told of every event of a [`replay`](Explore::replay), as by
    /// [`Builder::observer`](crate::Builder::observer). [`run`](Explore::run) tells nobody.
    pub fn observer(mut self, observer: Rc<dyn Observer>) -> Explore<T> {
        self.observers.push(observer);
        self
    }

    /// Runs the program under one schedule after the other. See [`explore`].
    ///
    /// # Panics
    ///
    /// As [`explore`].
    #[track_caller]
    pub fn run<F>(&self, mut program: impl FnMut() -> F) -> Exploration<T>
    where
        T: Ord + fmt::Debug,
        F: Future<Output = T>,
    {
        refuse_inside_a_loop("explore()");
        match self.random {
            None => self.search.depth_first(&mut program),
            Some((seed, runs)) => self.search.at_random(seed, runs, &mut program),
        }
    }

    /// Runs one schedule. See [`replay`](fn@replay).
    ///
    /// # Errors
    ///
    /// As [`replay`](fn@replay).
    ///
    /// # Panics
    ///
    /// As [`explore`].
    #[track_caller]
    pub fn replay<F>(&self, schedule: &str, mut program: impl FnMut() -> F) -> Result<Run<T>, ScheduleError>
    where
        T: fmt::Debug,
        F: Future<Output = T>,
    {
        refuse_inside_a_loop("replay()");
        self.search.replay(schedule, &self.observers, &mut program)
    }
}

impl<T> fmt::Debug for Explore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explore").field("search", &self.search).field("random", &self.random).finish_non_exhaustive()
    }
}

#[track_caller]
fn refuse_inside_a_loop(what: &str) {
    if context::try_current().is_some() {
        panic!("{what} was called inside a running loop, which would stop that loop: call it outside block_on()");
    }
}
