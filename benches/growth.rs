//! Does an operation cost the same however many tasks there are?
//!
//! ```sh
//! cargo bench --bench growth                       # all, in about a minute
//! cargo bench --bench growth -- yield wake         # those with one of the words in their names
//! ```
//!
//! The workloads are those of `rows/`, with 10, 1,000, 100,000 and 1,000,000 tasks or timers, on roundel and on
//! tokio's `LocalRuntime`, which take turns on one core. A figure is nanoseconds an operation, the median of its
//! rounds; the last column says how many times as much an operation costs
//! among the most tasks as among the fewest.
//!
//! What it leaves out: that nothing stays quite flat on a machine with caches. Ten tasks live in the nearest of
//! them, a million in none; where a cost grows from 1,000 to 1,000,000, see whether tokio's does. The row of
//! sleeps leaves the system's wait out, so all are due when the loop looks; but ten of them must pay for some turns
//! of the loop on a core that did nothing for them for 8 ms, so read that row from 1,000 on.

#[allow(dead_code, reason = "a few of the workloads are asked here")]
mod rows;
mod support;

use std::env;
use std::time::{Duration, Instant};

use rows::scheduler::{spawn_all, wake_all, yield_among};
use rows::timers::far_sleep_dropped;
use support::{
    Drivers, Peer, Roundel, Sampler, Timers, TokioLocal, inside, median, nanos, only_a_test, pin_to_one_core,
    say_if_unknown, say_what_there_is, thread_cpu_time, with_digits,
};

const SIZES: [u64; 4] = [10, 1_000, 100_000, 1_000_000];
/// For a test, in which nothing is measured.
const SMALL_SIZES: [u64; 4] = [1, 2, 10, 100];
const ROUNDS: usize = 7;
/// So many operations are in a sample at least, and so many where each batch lets the clock go on.
const OPERATIONS: u64 = 100_000;
const SLEEPS: u64 = 500;
const LONGEST_MS: u64 = 5;
/// Of each task, so that spawning it weighs little.
const YIELDS: u64 = 20;

/// Makes samplers for a number of tasks.
type Make = fn(u64) -> Sampler;

struct Question {
    title: &'static str,
    /// In a batch of so many tasks.
    operations: fn(u64) -> u64,
    /// In a sample at least.
    enough: u64,
    contenders: [Make; 2],
}

const QUESTIONS: [Question; 5] = [
    Question {
        title: "spawn, then join all",
        operations: |tasks| tasks,
        enough: OPERATIONS,
        contenders: [spawn_all::<Roundel>, spawn_all::<TokioLocal>],
    },
    Question {
        title: "yield",
        operations: |tasks| tasks * YIELDS,
        enough: OPERATIONS,
        contenders: [|tasks| yield_among::<Roundel>(tasks, YIELDS), |tasks| yield_among::<TokioLocal>(tasks, YIELDS)],
    },
    Question {
        title: "wake all",
        operations: |tasks| tasks,
        enough: OPERATIONS,
        contenders: [wake_all::<Roundel>, wake_all::<TokioLocal>],
    },
    Question {
        title: "sleep of 1 to 5 ms",
        operations: |tasks| tasks,
        enough: SLEEPS,
        contenders: [sleep_all::<Roundel>, sleep_all::<TokioLocal>],
    },
    Question {
        title: "far sleep made, polled, dropped",
        operations: |_| 1,
        enough: OPERATIONS,
        contenders: [far_sleep_dropped::<Roundel>, far_sleep_dropped::<TokioLocal>],
    },
];

fn main() {
    pin_to_one_core();
    let test = only_a_test();
    let (flags, words): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument.starts_with("--"));
    flags.iter().for_each(|flag| say_if_unknown(flag, "words of rows"));
    if !words.is_empty() && !QUESTIONS.iter().any(|question| words.iter().any(|word| question.title.contains(word))) {
        return say_what_there_is(&words, QUESTIONS.iter().map(|question| question.title));
    }
    let sizes = if test { SMALL_SIZES } else { SIZES };
    println!("| ns per operation | | {} | last to first |", sizes.map(|size| with_digits(size as f64)).join(" | "));
    println!("|---|---|---:|---:|---:|---:|---:|");
    for question in QUESTIONS {
        if words.is_empty() || words.iter().any(|word| question.title.contains(word)) {
            let figures = question.ask(sizes, test);
            for (name, line) in [Roundel::NAME, TokioLocal::NAME].into_iter().zip(figures) {
                let growth = line[line.len() - 1] / line[0];
                println!("| {} | {name} | {} | {growth:.2} |", question.title, line.map(with_digits).join(" | "));
            }
        }
    }
}

impl Question {
    /// What an operation costs each contender among so many tasks. All sizes have a part in every round, so that
    /// what the machine does meanwhile is not taken for growth.
    fn ask(&self, sizes: [u64; 4], test: bool) -> [[f64; 4]; 2] {
        let mut parts = self.contenders.map(|make| sizes.map(|tasks| Part::prepare(self, make, tasks, test)));
        for round in 0..if test { 1 } else { ROUNDS } {
            for size in 0..sizes.len() {
                for n in 0..parts.len() {
                    let turn = (round + n) % parts.len();
                    parts[turn][size].sample();
                }
            }
        }
        parts.map(|parts| parts.map(|part| median(part.figures)))
    }
}

/// One contender's samples among so many tasks.
struct Part {
    sampler: Sampler,
    batches: u64,
    operations: u64,
    figures: Vec<f64>,
}

impl Part {
    fn prepare(question: &Question, make: Make, tasks: u64, test: bool) -> Part {
        let operations = (question.operations)(tasks);
        let batches = if test { 1 } else { question.enough.div_ceil(operations) };
        let mut part = Part { sampler: make(tasks), batches, operations: batches * operations, figures: Vec::new() };
        if !test {
            // Makes room, and warms up.
            (part.sampler)(batches);
        }
        part
    }

    fn sample(&mut self) {
        self.figures.push((self.sampler)(self.batches) / self.operations as f64);
    }
}

/// Tasks are spawned, sleep and are joined; the time between, until the last deadline is past, is not counted.
fn sleep_all<P: Timers>(tasks: u64) -> Sampler {
    inside::<P>(Drivers::Time, async move |batches| {
        let mut took = Duration::ZERO;
        for _ in 0..batches {
            let begun = thread_cpu_time();
            let sleeper = |millis| async move { P::sleep(Duration::from_millis(millis)).await };
            let tasks: Vec<_> = (0..tasks).map(|n| P::spawn(sleeper(1 + n % LONGEST_MS))).collect();
            P::yield_now().await;
            took += thread_cpu_time() - begun;

            let all_due = Instant::now() + Duration::from_millis(LONGEST_MS + 3);
            while Instant::now() < all_due {}

            let begun = thread_cpu_time();
            for task in tasks {
                assert!(task.await.is_ok());
            }
            took += thread_cpu_time() - begun;
        }
        nanos(took)
    })
}
