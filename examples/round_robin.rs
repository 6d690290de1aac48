//! Two generators take turns: a scheduler with nothing to wait for, and the event loop's ancestor.
//!
//! Watch:  the same seven lines twice, once from state machines written by hand and once from async
//!         blocks, which the compiler turns into the very same state machines.
//! Run:    cargo run --example round_robin
//! Prints: hello~ 2, hi~ 0, hello~ 1, hi~ 1, say hello, hi~ 2, say hi; then who yielded what.
//! Unlike Python: `yield` is `y.yield_(n).await`, since generators are not in stable Rust yet. An await
//!         only stops the state machine; nobody says that a runtime must be behind it.

mod support;

use crate::support::{Flags, heading, record};
use roundel::{Generator, RoundRobin, generator};

/// Python's `sayHello(n)`, which yields n.
fn say_hello(mut n: u32) -> Generator<'static, Option<u32>> {
    generator(async move |y| {
        while n > 0 {
            println!("hello~ {n}");
            y.yield_(Some(n)).await;
            n -= 1;
        }
        println!("say hello");
    })
}

/// Python's `sayHi(n)`, which yields None.
fn say_hi(n: u32) -> Generator<'static, Option<u32>> {
    generator(async move |y| {
        for x in 0..n {
            println!("hi~ {x}");
            y.yield_(None).await;
        }
        println!("say hi");
    })
}

/// `say_hello` by hand: its local, and whether it stands at the start or at its yield.
enum SayHello {
    Start(u32),
    AtYield(u32),
}

impl Iterator for SayHello {
    type Item = Option<u32>;

    fn next(&mut self) -> Option<Option<u32>> {
        let n = match *self {
            SayHello::Start(n) => n,
            SayHello::AtYield(n) => n - 1,
        };
        if n == 0 {
            println!("say hello");
            return None;
        }
        println!("hello~ {n}");
        *self = SayHello::AtYield(n);
        Some(Some(n))
    }
}

/// `say_hi` by hand: it always stands at its yield, and x says which time.
struct SayHi {
    x: u32,
    n: u32,
}

impl Iterator for SayHi {
    type Item = Option<u32>;

    fn next(&mut self) -> Option<Option<u32>> {
        if self.x == self.n {
            println!("say hi");
            return None;
        }
        println!("hi~ {}", self.x);
        self.x += 1;
        Some(None)
    }
}

pub(crate) fn run(flags: &Flags) {
    flags.refuse_to_explore("it has no event loop, and its generators take turns in one order");
    heading("state machines, by hand");
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(SayHello::Start(2));
    scheduler.new_task(SayHi { x: 0, n: 3 });
    scheduler.run();

    heading("async generators");
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(say_hello(2));
    scheduler.new_task(say_hi(3));
    let yielded: Vec<_> = scheduler.collect();

    heading("who yielded what");
    for (task, value) in &yielded {
        println!("task {task} yielded {value:?}");
    }
    assert_eq!(yielded, [(0, Some(2)), (1, None), (0, Some(1)), (1, None), (1, None)]);
}

fn main() {
    let flags = Flags::parse();
    if flags.record.is_some() {
        record::refuse("has nothing to write: generators take turns here without an event loop");
    }
    run(&flags);
}
