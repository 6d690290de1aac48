//! Two tasks take the same two locks in opposite order, and the loop says so instead of hanging.
//!
//! Watch:  Thread-1 holds A and waits for B, Thread-2 holds B and waits for A. Nothing else is left that could
//!         happen, so the loop asks every task what it waits for, and explains the circle, line by line.
//! Run:    cargo run --example deadlock
//! Prints: four lines of the two tasks, then the explanation; ends with status 1. With --record FILE it also draws
//!         who waits for whom, to FILE-waits.svg.
//! Unlike Python: there the program hangs, silently. (With threads only in 37 of 300 runs; as a literal
//!         translation to asyncio never, for nothing is awaited between the two locks. Here it is.)

mod support;

use std::process::ExitCode;
use std::rc::Rc;

use crate::support::explore::say;
use crate::support::{Flags, heading, ms, record};
use roundel::study::{Deadlock, Explore};
use roundel::sync::Lock;
use roundel::{sleep, spawn_named};

async fn take_both(name: &'static str, first: Rc<Lock<()>>, second: Rc<Lock<()>>) {
    say!("{name} waits for its first lock");
    let _first = first.acquire().await;
    say!("{name} has its first lock, and waits for the other");
    sleep(ms(100)).await;
    let _second = second.acquire().await;
    say!("{name} has both");
}

/// Runs into it. The error says why nothing goes on.
fn two_locks(flags: &Flags) -> Result<(), Deadlock> {
    flags.event_loop().try_block_on(both())
}

async fn both() {
    let [a, b] = ["A", "B"].map(|name| Rc::new(Lock::new(()).named(name)));
    let one = spawn_named("Thread-1", take_both("Thread-1", a.clone(), b.clone()));
    let other = spawn_named("Thread-2", take_both("Thread-2", b, a));
    drop((one.await, other.await));
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(|study| study.program("two-locks", Explore::new().racing_timers(), both)) {
        return;
    }
    heading("two locks, in opposite order");
    let deadlock = two_locks(flags).expect_err("each has what the other wants");
    println!("{deadlock}");
    record::beside(flags.record, "waits", || deadlock.svg());
    assert_eq!(deadlock.cycles.len(), 1);
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    run(&flags);
    // Explored, it has been looked at, and did not happen.
    if flags.wish.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
