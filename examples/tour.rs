//! Every example, one after another, on the virtual clock, with a line to say what it shows.
//!
//! Watch:  programs that would wait for half a minute end at once; only threads take real time.
//! Run:    cargo run --release --example tour
//! Prints: what the examples print. A wrong result ends it at once, with a message and a status not 0.

// Each example brings its flags along; in here they all use the tour's.
#![allow(clippy::duplicate_mod)]

macro_rules! programs {
    ($($name:ident, $file:literal: $shows:literal;)*) => {
        $(
            // Its own `main` is not called.
            #[allow(dead_code)]
            #[path = $file]
            mod $name;
        )*

        /// Name, what it shows, and how to run it.
        const PROGRAMS: &[(&str, &str, fn(&Flags))] = &[$((stringify!($name), $shows, $name::run)),*];
    };
}

programs! {
    hello, "hello.rs": "A loop runs a coroutine, which waits a second for nothing.";
    round_robin, "round_robin.rs": "Before there were loops: generators that take turns.";
    gather, "gather.rs": "Ten waits at once take as long as one.";
    semaphore, "semaphore.rs": "Ten jobs, and never more than three at once.";
    producer_consumer, "producer_consumer.rs": "A queue hands work over, and holds the producer back.";
    counter, "counter.rs": "Who loses increments, and why: tasks change turns only at an await.";
    bank, "bank.rs": "Check, wait, act: the account ends at -120, with threads or with tasks.";
    deadlock, "deadlock.rs": "Two locks in opposite order: the loop says who waits for whom.";
    user_input, "user_input.rs": "Not waiting is five times faster, and gives another answer.";
    primitives, "primitives.rs": "Lock to Barrier, each with threads and with tasks.";
    to_thread, "to_thread.rs": "Computing beside the loop, and on it: who notices.";
    threads_vs_tasks, "threads_vs_tasks.rs": "20, 2,000, 20,000 waits: what a thread costs, and a task.";
    echo, "echo.rs": "Real sockets: a thousand connections in one thread.";
}

mod support;

use crate::support::{Flags, command, record};

fn main() {
    let matches = command().mut_arg("clock", |clock| clock.default_value("virtual")).get_matches();
    let flags = Flags::from_matches(&matches);
    flags.refuse_to_explore("explore one of its programs, such as bank");
    if flags.record.is_some() {
        record::refuse("records one program at a time: give it to that");
    }
    println!("The programs of five Python tutorials on concurrency, one after another, on this runtime.");
    println!("The tasks sleep in virtual time, so nobody waits (--clock real: everybody does); threads cannot,");
    println!("and are timed by the machine's clock. What may differ from run to run stands under ~~~.");
    for (name, shows, run) in PROGRAMS {
        println!("\n=== {name}: {shows} ===");
        run(&flags);
    }
    println!("\n=== all {} programs gave the results they should ===", PROGRAMS.len());
}
