//! Four people withdraw 80, 70, 50 and 20 from an account that holds 100: check, wait a second, act.
//!
//! Watch:  without a lock all four pass the check before anyone acts, and the account ends at -120:
//!         with threads, and just so with tasks on one thread, because there is an await in between.
//! Run:    cargo run --example bank
//!         cargo run --example bank -- --explore     (every order: 1,554 without a lock, 336 with it)
//! Prints: the tutorial's texts; the account ends at 0, at -120, and with a lock at 0 again.
//! Unlike Python: `Lock` and `Mutex` hold the balance itself, so that nobody gets at it without them.
//!         The end with a lock is 0 because the line is first come, first served: another order of
//!         coming ends at 10 or 30, and is as right.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::explore::{Study, say};
use crate::support::{Flags, heading, heading_of_what_varies};
use roundel::study::Explore;
use roundel::sync::Lock;
use roundel::{Instant, gather, sleep};

const AMOUNTS: [i64; 4] = [80, 70, 50, 20];
const SECOND: Duration = Duration::from_secs(1);

async fn withdraw(balance: Rc<Cell<i64>>, amount: i64) {
    if balance.get() >= amount {
        sleep(SECOND).await;
        say!("Getting money..., the amount is {amount}");
        balance.set(balance.get() - amount);
        say!("Get {amount}, {} remaining...", balance.get());
    } else {
        say!("Error! You don't have enough money!");
    }
}

async fn withdraw_with_locked(balance: Rc<Lock<i64>>, amount: i64) {
    let mut balance = balance.acquire().await;
    if *balance >= amount {
        sleep(SECOND).await;
        say!("Getting money..., the amount is {amount}");
        *balance -= amount;
        say!("Get {amount}, {} remaining...", *balance);
    } else {
        say!("Error! You don't have enough money!");
    }
}

fn tasks(flags: &Flags) {
    flags.event_loop().block_on(async {
        heading("tasks");
        println!("If they take turns to withdraw money at the counter in order.");
        let balance = Rc::new(Cell::new(100));
        let began = Instant::now();
        for amount in AMOUNTS {
            withdraw(balance.clone(), amount).await;
        }
        end(balance.get(), 0, began, 2);

        println!("If the four of them withdraw money at the counter simultaneously...");
        let balance = Rc::new(Cell::new(100));
        let began = Instant::now();
        gather(AMOUNTS.map(|amount| withdraw(balance.clone(), amount))).await;
        end(balance.get(), -120, began, 1);

        println!("If the four of them withdraw money at the counter simultaneously..., but with lock😋!");
        let balance = Rc::new(Lock::new(100).named("account"));
        let began = Instant::now();
        gather(AMOUNTS.map(|amount| withdraw_with_locked(balance.clone(), amount))).await;
        end(*balance.acquire().await, 0, began, 2);
    });
}

/// Checks what a run came to.
fn end(balance: i64, expected: i64, began: Instant, seconds: u32) {
    let elapsed = began.elapsed();
    println!("[the account ends at {balance}, after {:.1} s]", elapsed.as_secs_f64());
    assert_eq!(balance, expected, "what the account ends at");
    assert!(elapsed >= seconds * SECOND, "it took {elapsed:?}, less than its sleeps");
}

fn threads(flags: &Flags) {
    let second = flags.for_threads(SECOND);
    heading_of_what_varies("threads");
    println!("If the four of them withdraw money at the counter simultaneously...");
    let (balance, all_have_checked) = (AtomicI64::new(100), Barrier::new(AMOUNTS.len()));
    thread::scope(|scope| {
        for amount in AMOUNTS {
            let (balance, all_have_checked) = (&balance, &all_have_checked);
            scope.spawn(move || {
                if balance.load(Ordering::Relaxed) < amount {
                    return println!("Error! You don't have enough money!");
                }
                // The tutorial trusts to luck that all check before the first acts; the barrier does not.
                all_have_checked.wait();
                thread::sleep(second);
                println!("Getting money..., the amount is {amount}");
                // One step, as it happens to be in CPython: what goes wrong is the gap after the check.
                let before = balance.fetch_sub(amount, Ordering::Relaxed);
                println!("Get {amount}, {} remaining...", before - amount);
            });
        }
    });
    assert_eq!(balance.into_inner(), -120, "what the account ends at");

    println!("If the four of them withdraw money at the counter simultaneously..., but with lock😋!");
    let balance = Mutex::new(100);
    thread::scope(|scope| {
        for amount in AMOUNTS {
            let balance = &balance;
            scope.spawn(move || {
                let mut balance = balance.lock().expect("nobody panics with the lock");
                if *balance < amount {
                    return println!("Error! You don't have enough money!");
                }
                thread::sleep(second);
                println!("Getting money..., the amount is {amount}");
                *balance -= amount;
                println!("Get {amount}, {} remaining...", *balance);
            });
        }
    });
    let end = balance.into_inner().expect("nobody panics with the lock");
    assert!([0, 10, 30].contains(&end), "with a lock the account ended at {end}");
}

/// What the account ends at, whoever is slow in that second.
fn programs(study: &mut Study) {
    let explore = || Explore::new().racing_timers().expect(|balance| *balance >= 0);
    study.program("unlocked", explore(), || async {
        let balance = Rc::new(Cell::new(100));
        gather(AMOUNTS.map(|amount| withdraw(balance.clone(), amount))).await;
        balance.get()
    });
    study.program("locked", explore(), || async {
        let balance = Rc::new(Lock::new(100).named("account"));
        gather(AMOUNTS.map(|amount| withdraw_with_locked(balance.clone(), amount))).await;
        *balance.acquire().await
    });
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(programs) {
        return;
    }
    tasks(flags);
    threads(flags);
}

fn main() {
    run(&Flags::parse());
}
