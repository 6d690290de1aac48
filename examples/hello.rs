//! The smallest program that waits: two lines, and a second between them.
//!
//! Watch:  the second. On the real clock you wait for it; on the virtual clock the loop has nothing
//!         else to do, so it jumps.
//! Run:    cargo run --example hello
//! Prints: Hello....
//!         world...
//! Unlike Python: calling `do_work()` runs nothing, as there; but nobody warns if it is never awaited
//!         or spawned, except the compiler. A loop is made by `EventLoop::new()`, never found lying about.

mod support;

use std::time::Duration;

use crate::support::Flags;
use crate::support::explore::say;
use roundel::study::Explore;
use roundel::{Instant, sleep};

async fn do_work() {
    say!("Hello....");
    sleep(Duration::from_secs(1)).await;
    say!("world...");
}

pub(crate) fn run(flags: &Flags) {
    // One task has one order.
    if flags.study(|study| study.program("hello", Explore::new(), do_work)) {
        return;
    }
    let coroutine = do_work();
    let event_loop = flags.event_loop();
    let elapsed = event_loop.block_on(async {
        let began = Instant::now();
        coroutine.await;
        began.elapsed()
    });
    assert!(elapsed >= Duration::from_secs(1), "a sleep of 1 s ended after {elapsed:?}");
}

fn main() {
    run(&Flags::parse());
}
