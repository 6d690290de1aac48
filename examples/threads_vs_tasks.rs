//! Waiting 0.1 s in 20, then 2,000, then 20,000 threads or tasks.
//!
//! Watch:  with 20 there is nothing to choose. Then the threads' time and memory grow, and tasks'
//!         hardly do: a waiting task is a few hundred bytes, a waiting thread a stack and an OS entry.
//! Run:    cargo run --release --example threads_vs_tasks
//!         cargo run --example threads_vs_tasks -- --record tasks.svg    (with the 20 only)
//! Prints: both totals for each number, and the memory of one unit while all of them wait (without
//!         what the OS itself keeps for a thread)
//! Unlike Python: no interpreter lock, and it makes no difference, since nobody computes anything.

mod support;

use std::fs;
use std::sync::RwLock;
use std::thread;
use std::time::Duration;

use crate::support::{Flags, heading, heading_of_what_varies, ms, resident};
use roundel::{Instant, gather, sleep, spawn};

const UNITS: [usize; 3] = [20, 2_000, 20_000];
const WAIT: Duration = ms(100);
/// Memory comes in pages, and some of it was there before: growth below this says nothing.
const SEEN: usize = 256 * 1024;

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
    let room = room_for_threads();
    if room < units {
        println!("       the system has no room for {units} threads (vm.max_map_count): {room} is all there will be");
    }
    let units = units.min(room);
    let before = resident();
    let start = std::time::Instant::now();
    // Nobody ends before all have been started and the memory is measured.
    let gate = RwLock::new(());
    let closed = gate.write().expect("nobody panics at the gate");
    let (waiting, memory) = thread::scope(|scope| {
        let mut waiting = 0;
        for _ in 0..units {
            let wait = || {
                thread::sleep(WAIT);
                drop(gate.read());
            };
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, wait) {
                println!("       the system starts no more than {waiting} threads ({error}): going on with those");
                break;
            }
            waiting += 1;
        }
        let memory = growth(before);
        drop(closed);
        (waiting, memory)
    });
    Bill { waiting, elapsed: start.elapsed(), memory }
}

/// On Linux a Rust thread takes four mappings: a stack, another one for signals, and a guard page
/// below each. Where they run out, std does not give an error but ends the process; so we ask before.
fn room_for_threads() -> usize {
    let all = fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse::<usize>().ok());
    let taken = fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    all.map_or(usize::MAX, |all| all.saturating_sub(taken + 1_000) / 4)
}

fn growth(before: Option<usize>) -> Option<usize> {
    Some(resident()?.saturating_sub(before?))
}

fn memory_of_one(bill: &Bill) -> String {
    match bill.memory {
        None => "unknown: this system has no /proc/self/status".into(),
        Some(bytes) if bytes < SEEN => "too little to see".into(),
        Some(bytes) => format!("{} bytes each", bytes / bill.waiting.max(1)),
    }
}

pub(crate) fn run(flags: &Flags) {
    flags.refuse_to_explore("it measures time and memory, which no order of tasks decides");
    heading("tasks");
    // A picture of 2,000 lanes is none.
    let units = &UNITS[..if flags.record.is_some() { 1 } else { UNITS.len() }];
    let bills: Vec<Bill> = units.iter().map(|&units| tasks(flags, units)).collect();
    for (units, bill) in units.iter().zip(&bills) {
        println!("{units:>6} tasks   async elapsed {:.3}", bill.elapsed.as_secs_f64());
        assert!(bill.elapsed >= WAIT && (!flags.virtual_clock || bill.elapsed == WAIT), "took {:?}", bill.elapsed);
    }
    heading_of_what_varies("threads, and the memory of one unit");
    for (units, bill) in units.iter().zip(&bills) {
        println!("{units:>6} tasks   memory {}", memory_of_one(bill));
    }
    for &units in units {
        let bill = threads(units);
        println!("{:>6} threads elapsed {:.3}", bill.waiting, bill.elapsed.as_secs_f64());
        println!("{:>6} threads memory {}", bill.waiting, memory_of_one(&bill));
        assert!(bill.waiting > 0 && bill.elapsed >= WAIT, "sleeping threads ended after {:?}", bill.elapsed);
    }
}

fn main() {
    run(&Flags::parse());
}
