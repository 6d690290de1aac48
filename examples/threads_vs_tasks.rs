//! Waiting 0.1 s in 20, then 2,000, then 20,000 threads or tasks.
//!
//! Watch:  with 20 there is nothing to choose. Then the threads' time and memory grow, and tasks'
//!         hardly do: a waiting task is a few hundred bytes, a waiting thread a stack and an OS entry.
//! Run:    cargo run --release --example threads_vs_tasks
//! Prints: both totals for each number, and the memory of one unit while all of them wait
//! Unlike Python: no interpreter lock, and it makes no difference, since nobody computes anything.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Flags, heading, heading_of_what_varies, ms, resident};
use roundel::{Instant, gather, sleep, spawn};

const UNITS: [usize; 3] = [20, 2_000, 20_000];
const WAIT: Duration = ms(100);

/// What some number of units came to.
struct Bill {
    waiting: usize,
    elapsed: Duration,
    memory: Option<usize>,
}

async fn aio(n: usize) -> usize {
    sleep(WAIT).await;
    n
}

fn tasks(flags: &Flags, units: usize) -> Bill {
    flags.event_loop().block_on(async {
        let before = resident();
        // Half-way, all of them are waiting.
        let half_way = spawn(async move {
            sleep(WAIT / 2).await;
            growth(before)
        });
        let start = Instant::now();
        let results = gather((0..units).map(aio)).await;
        let elapsed = start.elapsed();
        assert!(results.into_iter().eq(0..units), "the results come in the order of the arguments");
        Bill { waiting: units, elapsed, memory: half_way.await.expect("nobody cancels it") }
    })
}

fn threads(units: usize) -> Bill {
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    let before = resident();
    let start = std::time::Instant::now();
    let mut started = Vec::with_capacity(units);
    let mut refusal = None;
    for n in 0..units {
        let thread = thread::Builder::new().spawn(move || {
            WAITING.fetch_add(1, Ordering::Relaxed);
            thread::sleep(WAIT);
            WAITING.fetch_sub(1, Ordering::Relaxed);
            n
        });
        match thread {
            Ok(thread) => started.push(thread),
            Err(error) => refusal = refusal.or(Some(error)),
        }
        if refusal.is_some() {
            break;
        }
    }
    let (waiting, memory) = (WAITING.load(Ordering::Relaxed), growth(before));
    if let Some(error) = refusal {
        println!("the system starts no more than {} threads here: {error}; going on with those", started.len());
    }
    for (n, thread) in started.into_iter().enumerate() {
        assert_eq!(thread.join().expect("a thread that only sleeps does not panic"), n);
    }
    Bill { waiting, elapsed: start.elapsed(), memory }
}

fn growth(before: Option<usize>) -> Option<usize> {
    Some(resident()?.saturating_sub(before?))
}

fn memory_of_one(bill: &Bill) -> String {
    match bill.memory {
        None => "unknown: this system has no /proc/self/status".into(),
        Some(bytes) => format!("{} bytes each, of {} waiting", bytes / bill.waiting.max(1), bill.waiting),
    }
}

pub(crate) fn run(flags: &Flags) {
    heading("tasks");
    let bills = UNITS.map(|units| tasks(flags, units));
    for (units, bill) in UNITS.iter().zip(&bills) {
        println!("{units:>6} tasks   async elapsed {:.3}", bill.elapsed.as_secs_f64());
        assert!(bill.elapsed >= WAIT && (!flags.virtual_clock || bill.elapsed == WAIT), "took {:?}", bill.elapsed);
    }
    heading_of_what_varies("threads, and the memory of one unit");
    for (units, bill) in UNITS.iter().zip(&bills) {
        println!("{units:>6} tasks   memory {}", memory_of_one(bill));
    }
    for units in UNITS {
        let bill = threads(units);
        println!("{units:>6} threads elapsed {:.3}", bill.elapsed.as_secs_f64());
        println!("{units:>6} threads memory {}", memory_of_one(&bill));
        assert!(bill.elapsed >= WAIT, "sleeping threads ended after {:?}", bill.elapsed);
    }
}

fn main() {
    run(&Flags::parse());
}
