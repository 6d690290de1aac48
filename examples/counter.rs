//! A hundred workers add one to a counter, a hundred times over: who loses what, and why.
//!
//! Watch:  `read` and `write` with nothing between them, with an await between them, with a thread's
//!         sleep between them. A task can only be interrupted at an await, a thread anywhere.
//! Run:    cargo run --release --example counter
//!         cargo run --example counter -- --record counter.svg    (plays one round of five, three times)
//! Prints: a line for each way, with the results of all rounds; then the table. When it records: a line for
//!         each of three ways, and which file shows it.
//! Unlike Python: the tutorial says that threads without a lock end at 6 to 99. CPython's lock hides the
//!         loss (100 in every round, measured with 3.11); Rust has no such lock, and shows it if the
//!         window is wide enough. Atomics read and written apart lose updates without being undefined.

mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use crate::support::explore::Study;
use crate::support::record::Saved;
use crate::support::{Flags, heading, heading_of_what_varies, ms};
use roundel::study::{Explore, Lane, note};
use roundel::sync::Lock;
use roundel::{Instant, gather, sleep, yield_now};

const WORKERS: u64 = 100;
const ROUNDS: u32 = 100;

/// Workers of the one round that is played when it is recorded: a picture of 10,000 shows nothing.
const RECORDED: u64 = 5;

#[derive(Default)]
struct Shared {
    counter: Cell<u64>,
    lock: Lock<()>,
    /// Whether each read and write is noted, for a recording.
    noted: bool,
}

impl Shared {
    fn read(&self) -> u64 {
        let value = self.counter.get();
        if self.noted {
            note(&format!("reads {value}"));
        }
        value
    }

    fn write(&self, value: u64) {
        self.counter.set(value);
        if self.noted {
            note(&format!("writes {value}"));
        }
    }
}

/// How often each result came out.
#[derive(Default)]
struct Results(BTreeMap<u64, u32>);

impl Results {
    fn add(&mut self, result: u64) {
        *self.0.entry(result).or_default() += 1;
    }

    fn always(&self, result: u64) -> bool {
        self.0.keys().eq([&result])
    }

    fn range(&self) -> String {
        let rounds: u32 = self.0.values().sum();
        match (self.0.first_key_value(), self.0.last_key_value()) {
            (Some((least, _)), Some((most, _))) if least < most => format!("{least} to {most} in {rounds} rounds"),
            (Some((only, _)), _) => format!("always {only} in {rounds} rounds"),
            _ => "no rounds".into(),
        }
    }

    /// A bar for each result, or for each tenth if there are many.
    fn histogram(&self) {
        let width = if self.0.len() > 12 { 10 } else { 1 };
        let mut bars = BTreeMap::new();
        for (result, rounds) in &self.0 {
            *bars.entry(result / width * width).or_insert(0) += *rounds as usize;
        }
        for (result, rounds) in bars {
            let label = if width == 1 { format!("{result}") } else { format!("{result} to {}", result + width - 1) };
            println!("    {label:>10} | {} {rounds}", "#".repeat(rounds.min(60)));
        }
    }
}

/// Plays all rounds with tasks, each on a counter of its own.
fn tasks<F>(flags: &Flags, increment: fn(Rc<Shared>) -> F) -> Results
where
    F: Future<Output = ()> + 'static,
{
    flags.event_loop().block_on(async {
        let mut results = Results::default();
        for _ in 0..ROUNDS {
            let shared = Rc::new(Shared::default());
            gather((0..WORKERS).map(|_| increment(shared.clone()))).await;
            results.add(shared.read());
        }
        results
    })
}

/// The tutorial's way. Nothing can come between read and write, because no await does.
async fn sleep_then_add(shared: Rc<Shared>) {
    sleep(ms(10)).await;
    shared.write(shared.read() + 1);
}

/// Not needed here, and it costs: see the time below.
async fn sleep_then_add_locked(shared: Rc<Shared>) {
    sleep(ms(10)).await;
    let _guard = shared.lock.acquire().await;
    shared.write(shared.read() + 1);
}

/// Every task reads before any of them writes.
async fn await_inside(shared: Rc<Shared>) {
    let before = shared.read();
    yield_now().await;
    shared.write(before + 1);
}

async fn await_inside_locked(shared: Rc<Shared>) {
    let _guard = shared.lock.acquire().await;
    let before = shared.read();
    yield_now().await;
    shared.write(before + 1);
}

#[derive(Default)]
struct Atomic {
    counter: AtomicU64,
    lock: Mutex<()>,
}

impl Atomic {
    /// Apart from `write`, and so unlike `fetch_add`: what Python's `counter += 1` compiles to.
    fn read(&self) -> u64 {
        self.counter.load(Ordering::Relaxed)
    }

    fn write(&self, value: u64) {
        self.counter.store(value, Ordering::Relaxed);
    }
}

/// Plays the rounds with threads; a tenth of them beside a virtual clock, since threads really sleep.
fn threads(flags: &Flags, increment: fn(&Atomic)) -> Results {
    let mut results = Results::default();
    for _ in 0..if flags.virtual_clock { ROUNDS / 10 } else { ROUNDS } {
        let shared = Atomic::default();
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| increment(&shared));
            }
        });
        results.add(shared.read());
    }
    results
}

fn thread_adjacent(shared: &Atomic) {
    thread::sleep(ms(10));
    shared.write(shared.read() + 1);
}

fn thread_window(shared: &Atomic) {
    thread::sleep(ms(10));
    let before = shared.read();
    thread::sleep(ms(1));
    shared.write(before + 1);
}

fn thread_locked(shared: &Atomic) {
    // The lock is not held over the sleep, or the round would take a second.
    thread::sleep(ms(10));
    let _guard = shared.lock.lock().expect("nobody panics with the lock");
    shared.write(shared.read() + 1);
}

/// Three workers instead of a hundred.
fn programs(study: &mut Study) {
    const FEW: u64 = 3;
    fn add<F>(study: &mut Study, name: &'static str, increment: fn(Rc<Shared>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let explore = Explore::new().racing_timers().expect(|counter| *counter == FEW);
        study.program(name, explore, move || async move {
            let shared = Rc::new(Shared { noted: true, ..Shared::default() });
            gather((0..FEW).map(|_| increment(shared.clone()))).await;
            shared.read()
        });
    }
    add(study, "sleep", sleep_then_add);
    add(study, "sleep-locked", sleep_then_add_locked);
    add(study, "await-inside", await_inside);
    add(study, "await-inside-locked", await_inside_locked);
}

/// Plays one round of five, so that a picture of it can be read.
fn record_tasks<F>(flags: &Flags, title: &str, increment: fn(Rc<Shared>) -> F) -> u64
where
    F: Future<Output = ()> + 'static,
{
    flags.event_loop_titled(title).block_on(async {
        let shared = Rc::new(Shared { noted: true, ..Shared::default() });
        gather((0..RECORDED).map(|_| increment(shared.clone()))).await;
        shared.read()
    })
}

/// The same with threads, each with a lane of its own; there is no loop.
fn record_threads(saved: &Saved) -> u64 {
    let shared = Atomic::default();
    let at_once = Barrier::new(RECORDED as usize);
    let lanes: Vec<Lane> = (1..=RECORDED).map(|nr| saved.recorder.lane(&format!("thread {nr}"))).collect();
    thread::scope(|scope| {
        for lane in &lanes {
            let (shared, at_once) = (&shared, &at_once);
            scope.spawn(move || {
                at_once.wait();
                let sleeps = |millis| {
                    let _span = lane.span(&format!("sleeps {millis} ms"));
                    thread::sleep(ms(millis));
                };
                sleeps(10);
                let before = shared.read();
                lane.note(&format!("reads {before}"));
                sleeps(1);
                shared.write(before + 1);
                lane.note(&format!("writes {}", before + 1));
            });
        }
    });
    shared.read()
}

fn record(flags: &Flags, file: &Path) {
    heading("recorded: one round of five, three times");
    let plain = record_tasks(flags, "Five tasks count: nothing comes between read and write", sleep_then_add);
    println!("tasks: sleep, then add             {plain}");
    let gap =
        record_tasks(flags, "Five tasks count, with an await between read and write: four are lost", await_inside);
    println!("tasks: an await between            {gap}");
    let threads = record_threads(&Saved::new(file, "Five threads count, with a sleep between read and write"));
    println!("threads: a sleep between           {threads}");
    assert_eq!((plain, gap), (RECORDED, 1));
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(programs) {
        return;
    }
    if let Some(file) = flags.record {
        return record(flags, file);
    }
    heading("tasks");
    let plain = tasks(flags, sleep_then_add);
    println!("sleep, then add                      {}", plain.range());
    let locked = tasks(flags, sleep_then_add_locked);
    println!("sleep, then add, with a Lock         {}", locked.range());
    let gap = tasks(flags, await_inside);
    println!("an await between read and write      {}", gap.range());
    let locked_gap = tasks(flags, await_inside_locked);
    println!("the same, with a Lock over the await {}", locked_gap.range());

    heading_of_what_varies("threads");
    let adjacent = threads(flags, thread_adjacent);
    println!("sleep, then add, no lock             {}", adjacent.range());
    let window = threads(flags, thread_window);
    println!("a sleep between read and write       {}", window.range());
    window.histogram();
    let mutex = threads(flags, thread_locked);
    println!("sleep, then add, with a Mutex        {}", mutex.range());

    heading_of_what_varies("a Lock where none is needed, by the machine's clock");
    println!("without {:.2} us a task", cost(sleep_then_add));
    println!("with    {:.2} us a task", cost(sleep_then_add_locked));

    heading_of_what_varies("the tutorial's table");
    println!("                     the tutorial   here");
    println!("tasks                always 100     {}", plain.range());
    println!("threads, no lock     6 to 99        {}; {} with the window wide", adjacent.range(), window.range());
    println!("threads, with lock   always 100     {}", mutex.range());

    assert!(plain.always(WORKERS) && locked.always(WORKERS), "a task was interrupted where it does not await");
    assert!(gap.always(1), "every task reads 0 before the first writes");
    assert!(locked_gap.always(WORKERS) && mutex.always(WORKERS), "the lock let two in");
    assert!(!window.always(WORKERS), "threads that sleep between read and write lost nothing in any round");
}

/// The time of one task of `increment`, with no time spent waiting.
fn cost<F: Future<Output = ()> + 'static>(increment: fn(Rc<Shared>) -> F) -> f64 {
    let began = Instant::now();
    tasks(&Flags { virtual_clock: true, ..Flags::default() }, increment);
    began.elapsed().as_secs_f64() * 1e6 / (f64::from(ROUNDS) * WORKERS as f64)
}

fn main() {
    run(&Flags::parse());
}
