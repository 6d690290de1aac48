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
//! Does not know: how a run is steered.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::context;
use crate::observer::Observer;
use crate::order::next_random;
use crate::study::exploration::{Bound, Exploration, Failing, Failure, FailureKind, Run};
use crate::study::schedule::{self, Pick, Rules, ScheduleError};
use crate::study::steered::{self, Choice, Chooser, End, Point, Ran};
#[cfg(feature = "record")]
use crate::study::{Recorder, Recording};

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
/// leave the work to tasks.
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
/// something beside the order: a random number, the machine's clock, an address, what an earlier run left.
///
/// Panics of the program on this thread are not printed; the report has what they say. What another thread sends
/// through a [`Handle`](crate::Handle) cannot be told from what the program sends itself, and nobody waits for it.
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

/// How to explore, for [`explore`] in more words.
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
    rules: Rules,
    max_schedules: usize,
    max_turns: u64,
    random: Option<(u64, usize)>,
    expect: Option<Expectation<T>>,
    observers: Vec<Rc<dyn Observer>>,
}

/// Says of an outcome whether it is right.
type Expectation<T> = Box<dyn Fn(&T) -> bool>;

/// Runs that are made to find a shorter schedule, at most.
const TRIALS: usize = 2_000;

impl<T> Default for Explore<T> {
    fn default() -> Explore<T> {
        Explore::new()
    }
}

impl<T> Explore<T> {
    /// Every order of the ready tasks, depth first; 100,000 schedules at most.
    pub fn new() -> Explore<T> {
        Explore {
            rules: Rules { any_order: true, racing: false, drops: 0, max_steps: 10_000 },
            max_schedules: 100_000,
            max_turns: 20_000_000,
            random: None,
            expect: None,
            observers: Vec::new(),
        }
    }

    /// So many schedules at most; 100,000 if not said. The report says if there are more.
    pub fn max_schedules(mut self, most: usize) -> Explore<T> {
        self.max_schedules = most.max(1);
        self
    }

    /// So many turns in one run at most; 10,000 if not said. A run that is not done by then fails, as one that
    /// never ends.
    ///
    /// A task that yields until another one has done its part never ends under the schedules that leave the other
    /// one out. Let it wait for an event instead; or set this low, and take these failures for what they are.
    pub fn max_steps(mut self, most: usize) -> Explore<T> {
        self.rules.max_steps = most.max(1);
        self
    }

    /// So many turns in all runs together at most; 20,000,000 if not said. The report says if that was too few.
    pub fn max_turns(mut self, most: u64) -> Explore<T> {
        self.max_turns = most;
        self
    }

    /// Instead of all schedules, so many runs with random ones, each choice uniformly among those who may be next.
    /// The same seed gives the same runs.
    ///
    /// The schedules of failures are made shorter: to the fewest turns that lead to the same failure, if what is
    /// not named goes first in, first out.
    pub fn random(mut self, seed: u64, runs: usize) -> Explore<T> {
        self.random = Some((seed, runs));
        self
    }

    /// Only the loop's own order, first in, first out: one schedule. Worth while with
    /// [`cancelling`](Explore::cancelling), for programs that have too many.
    pub fn in_order(mut self) -> Explore<T> {
        self.rules.any_order = false;
        self
    }

    /// A task that sleeps may be next at any time, whatever the others do meanwhile, as on a real machine, where they
    /// may be arbitrarily slow. The clock then moves to the end of its sleep, and what is due before is due.
    ///
    /// Otherwise the clock moves only when nobody is ready. The future given to `block_on` is named `m` where its
    /// sleep, or its time limit, ends early. A sleep that is polled with a waker of its own, as in a
    /// `FuturesUnordered`, ends only when nobody is ready, or with a later one.
    pub fn racing_timers(mut self) -> Explore<T> {
        self.rules.racing = true;
        self
    }

    /// In each run one task may be dropped, at any point between two turns, at whichever await it stands: each task
    /// that has waited at least once, but for the future given to `block_on`. The rest runs on to its end.
    ///
    /// So every await of every task is tried, and every moment of the wait: while the task is in line, and when it
    /// has been served and does not know yet. What breaks is a failure that names the task and the await, as
    /// [`Failure::dropped`]. In a schedule, `x1` drops task 1.
    ///
    /// A run that ends by a panic which says only that the task was cancelled, because somebody unwraps
    /// its result, is no failure; the report counts it apart. Take the results by
    /// [`gather_settled`](fn@crate::gather_settled) to see further.
    pub fn cancelling(mut self) -> Explore<T> {
        self.rules.drops = 1;
        self
    }

    /// An outcome of which `expectation` is false is a failure.
    pub fn expect(mut self, expectation: impl Fn(&T) -> bool + 'static) -> Explore<T> {
        self.expect = Some(Box::new(expectation));
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
        let mut found = match self.random {
            None => self.depth_first(&mut program),
            Some((seed, runs)) => self.at_random(seed, runs, &mut program),
        };
        found.failing.sort_by_key(|failing| failing.length);
        found
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
        let picks = schedule::read(schedule)?;
        let (ran, misfit) = self.run_script(&picks, &self.observers, &mut program);
        if let Some(misfit) = misfit {
            return Err(ScheduleError(format!("the schedule {schedule} does not fit this program: {misfit}")));
        }
        let schedule = schedule::write(&ran.picks);
        let result = match self.judge(ran) {
            Verdict { failure: Some(failure), .. } => Err(failure),
            Verdict { outcome: Some(outcome), .. } => Ok(outcome),
            Verdict { .. } => {
                Err(Failure::new(FailureKind::Panicked, "the task that was dropped gave no output".into()))
            }
        };
        Ok(Run { schedule, result })
    }

    #[track_caller]
    fn depth_first<F>(&self, program: &mut dyn FnMut() -> F) -> Exploration<T>
    where
        T: Ord + fmt::Debug,
        F: Future<Output = T>,
    {
        let mut found = Exploration::new(self.rules);
        let mut ways = Ways::default();
        let mut first = None;
        loop {
            let ran = steered::run(self.rules, &[], program, &mut ways);
            if let Some(strayed) = ways.strayed(&ran.picks) {
                panic!("{strayed}");
            }
            first.get_or_insert_with(|| (ran.picks.clone(), ran.print));
            self.count(&mut found, ran);
            found.distinct += 1;
            if !ways.go_back() {
                break;
            }
            if found.schedules >= self.max_schedules {
                found.bound = Some(Bound::Schedules(found.schedules));
                break;
            }
            if found.turns >= self.max_turns {
                found.bound = Some(Bound::Turns(found.turns));
                break;
            }
        }
        self.run_again(&found, first, program);
        found
    }

    #[track_caller]
    fn at_random<F>(&self, seed: u64, runs: usize, program: &mut dyn FnMut() -> F) -> Exploration<T>
    where
        T: Ord + fmt::Debug,
        F: Future<Output = T>,
    {
        let mut found = Exploration::new(self.rules);
        let mut seen = HashSet::new();
        let mut first = None;
        let mut dice = Dice(seed);
        found.bound = Some(Bound::Random(runs));
        while found.schedules < runs {
            if found.turns >= self.max_turns {
                found.bound = Some(Bound::Turns(found.turns));
                break;
            }
            let ran = steered::run(self.rules, &[], program, &mut dice);
            first.get_or_insert_with(|| (ran.picks.clone(), ran.print));
            let mut hasher = DefaultHasher::new();
            ran.picks.hash(&mut hasher);
            seen.insert(hasher.finish());
            self.count(&mut found, ran);
        }
        found.distinct = seen.len();
        self.run_again(&found, first, program);
        let mut trials = TRIALS;
        for failing in &mut found.failing {
            self.shorten(failing, &mut trials, program);
        }
        found
    }

    /// Takes one run into the account.
    #[track_caller]
    fn count(&self, found: &mut Exploration<T>, ran: Ran<T>)
    where
        T: Ord + fmt::Debug,
    {
        found.schedules += 1;
        found.turns += ran.steps as u64;
        let picks = ran.picks.clone();
        let verdict = self.judge(ran);
        if verdict.outcome.is_none() && verdict.failure.is_none() {
            found.passed_on += 1;
        }
        if let Some(failure) = verdict.failure {
            found.add_failure(failure, || schedule::write(&picks), picks.len());
        }
        if let Some(outcome) = verdict.outcome {
            *found.outcomes.entry(outcome).or_default() += 1;
        }
    }

    /// What to think of a run.
    #[track_caller]
    fn judge(&self, ran: Ran<T>) -> Verdict<T>
    where
        T: fmt::Debug,
    {
        let (outcome, failure) = match ran.end {
            End::Returned(outcome, unread) => {
                let is_right = self.expect.as_ref().is_none_or(|expect| expect(&outcome));
                let unexpected =
                    (!is_right).then(|| Failure::new(FailureKind::Unexpected, format!("the outcome is {outcome:?}")));
                (Some(outcome), unread.or(unexpected))
            }
            End::Failed(failure) => (None, Some(failure)),
            End::PassedOn => (None, None),
            End::Refused(text) => panic!("{text}"),
            End::Stopped => panic!("{NOT_THE_SAME}"),
        };
        Verdict { outcome, failure: failure.map(|failure| Failure { dropped: ran.dropped, ..failure }) }
    }

    #[track_caller]
    fn run_script<F>(
        &self,
        picks: &[Pick],
        observers: &[Rc<dyn Observer>],
        program: &mut dyn FnMut() -> F,
    ) -> (Ran<T>, Option<String>)
    where
        F: Future<Output = T>,
    {
        let drops = picks.iter().filter(|pick| matches!(pick, Pick::Drop(_))).count();
        let racing = self.rules.racing && self.rules.any_order;
        let rules = Rules { any_order: true, racing, drops, ..self.rules };
        let mut script = Script { picks, at: 0, misfit: None };
        let ran = steered::run(rules, observers, program, &mut script);
        let left = picks.len() - script.at;
        let misfit = script.misfit.or_else(|| {
            let ended = || format!("the program ended after {} of its {} steps", script.at, picks.len());
            (left > 0).then(ended)
        });
        (ran, misfit)
    }

    /// The first schedule and those that fail are run again: a program that then does something else is not the same
    /// in every run, and no number of this exploration means anything.
    #[track_caller]
    fn run_again<F>(&self, found: &Exploration<T>, first: Option<(Vec<Pick>, u64)>, program: &mut dyn FnMut() -> F)
    where
        T: fmt::Debug,
        F: Future<Output = T>,
    {
        if let Some((picks, print)) = first {
            let (ran, misfit) = self.run_script(&picks, &[], program);
            assert!(misfit.is_none() && ran.print == print, "{NOT_THE_SAME}");
        }
        for failing in found.failing.iter().take(TRIALS) {
            let picks = schedule::read(&failing.schedule).expect("it was written by this exploration");
            let (ran, misfit) = self.run_script(&picks, &[], program);
            let again = self.judge(ran).failure;
            assert!(misfit.is_none() && again.as_ref() == Some(&failing.failure), "{NOT_THE_SAME}");
        }
    }

    /// Leaves out of a schedule what does not matter: first its end, and then one step after the other.
    #[track_caller]
    fn shorten<F>(&self, failing: &mut Failing, trials: &mut usize, program: &mut dyn FnMut() -> F)
    where
        T: fmt::Debug,
        F: Future<Output = T>,
    {
        let whole = schedule::read(&failing.schedule).expect("it was written by this exploration");
        let mut fails = |picks: &[Pick]| {
            if *trials == 0 {
                return false;
            }
            *trials -= 1;
            let (ran, misfit) = self.run_script(picks, &[], program);
            misfit.is_none() && self.judge(ran).failure.is_some_and(|failure| failure.is_like(&failing.failure))
        };
        let end = (0..whole.len()).find(|&end| fails(&whole[..end])).unwrap_or(whole.len());
        let mut picks = whole[..end].to_vec();
        let mut at = 0;
        while at < picks.len() {
            let mut without = picks.clone();
            without.remove(at);
            if fails(&without) {
                picks = without;
            } else {
                at += 1;
            }
        }
        failing.length = picks.len();
        failing.schedule = schedule::write(&picks);
    }
}

impl<T> fmt::Debug for Explore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explore")
            .field("rules", &self.rules)
            .field("max_schedules", &self.max_schedules)
            .field("max_turns", &self.max_turns)
            .field("random", &self.random)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "record")]
impl<T: fmt::Debug> Exploration<T> {
    /// The run of the shortest schedule that fails, made once more and recorded; nothing if none fails. `program` is
    /// the one that was explored. [`timeline`](crate::study::timeline) draws it.
    ///
    /// # Panics
    ///
    /// As [`explore`]; and if the schedule does not fit, because it is another program.
    #[track_caller]
    pub fn diagram<F>(&self, program: impl FnMut() -> F) -> Option<Recording>
    where
        F: Future<Output = T>,
    {
        let failing = self.failing.first()?;
        let failure = failing.failure.to_string();
        let title = format!("schedule {}: {}", failing.schedule, failure.lines().next().unwrap_or_default());
        let recorder = Rc::new(Recorder::whole().titled(&title));
        let explore = Explore { rules: self.rules, ..Explore::new() }.observer(recorder.clone());
        match explore.replay(&failing.schedule, program) {
            Ok(_) => Some(recorder.recording()),
            Err(misfit) => panic!("a diagram needs the program that was explored: {misfit}"),
        }
    }
}

struct Verdict<T> {
    outcome: Option<T>,
    failure: Option<Failure>,
}

#[track_caller]
fn refuse_inside_a_loop(what: &str) {
    if context::try_current().is_some() {
        panic!("{what} was called inside a running loop, which would stop that loop: call it outside block_on()");
    }
}

const NOT_THE_SAME: &str = "the program that is explored is not the same in every run: it did something else under the \
                            same schedule, so it depends on something beside the order of its tasks, such as a random \
                            number, the machine's clock, an address, or what an earlier run left";

/// The points of the last run, and at each the way that was taken: the next run takes the same ones, up to the last
/// point that has a way not taken.
#[derive(Default)]
struct Ways {
    points: Vec<Fork>,
    at: usize,
    strayed: bool,
}

struct Fork {
    candidates: Vec<Pick>,
    taken: usize,
    print: u64,
}

impl Ways {
    /// Takes the next way at the last point that has one. False if there is none.
    fn go_back(&mut self) -> bool {
        self.at = 0;
        while let Some(last) = self.points.last_mut() {
            if last.taken + 1 < last.candidates.len() {
                last.taken += 1;
                return true;
            }
            self.points.pop();
        }
        false
    }

    /// What to say if the last run did not come by the points it had to come by.
    fn strayed(&self, picks: &[Pick]) -> Option<String> {
        let is_on_its_way = !self.strayed && self.at == self.points.len();
        (!is_on_its_way).then(|| format!("{NOT_THE_SAME}; seen after the schedule {:?}", schedule::write(picks)))
    }
}

impl Chooser for Ways {
    fn choose(&mut self, point: &Point<'_>) -> Choice {
        if self.at == self.points.len() {
            self.points.push(Fork { candidates: point.candidates.to_vec(), taken: 0, print: point.print });
        }
        let fork = &self.points[self.at];
        if fork.candidates != point.candidates || fork.print != point.print {
            self.strayed = true;
            return Choice::Stop;
        }
        self.at += 1;
        Choice::This(fork.taken)
    }
}

/// Chooses at random.
struct Dice(u64);

impl Chooser for Dice {
    fn choose(&mut self, point: &Point<'_>) -> Choice {
        Choice::This((next_random(&mut self.0) % point.candidates.len() as u64) as usize)
    }
}

/// Chooses as it is written, and then as the loop would.
struct Script<'a> {
    picks: &'a [Pick],
    at: usize,
    misfit: Option<String>,
}

impl Chooser for Script<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Choice {
        let Some(pick) = self.picks.get(self.at) else { return Choice::FirstInLine };
        if let Some(position) = point.candidates.iter().position(|candidate| candidate == pick) {
            self.at += 1;
            return Choice::This(position);
        }
        let turns: Vec<Pick> = point.candidates.iter().copied().filter(|pick| matches!(pick, Pick::Turn(_))).collect();
        let may = turns.iter().map(Pick::to_string).collect::<Vec<_>>().join(", ");
        self.misfit = Some(format!(
            "at its step {} it has {pick}, but who may be next there is {may}; was it found with another program, or \
             under racing_timers()?",
            self.at + 1
        ));
        Choice::Stop
    }
}
