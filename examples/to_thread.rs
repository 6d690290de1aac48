//! A long computation, beside the loop and on it, and the pulse of a task that should not notice.
//!
//! Watch:  the longest gap between two heartbeats: a few milliseconds with `to_thread`, the whole
//!         computation without.
//! Run:    cargo run --release --example to_thread
//! Prints: cpu result 21081692.75, and both gaps, by the machine's clock
//! Unlike Python: the thread really runs beside the loop, since no interpreter lock is there to share.
//!         As in Python, whoever stops waiting does not stop the thread: the closure runs to its end.

mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::support::{Flags, heading_of_what_varies, ms};
use roundel::{sleep, spawn, to_thread};

/// Rust needs a fraction of a millisecond for the tutorial's sum, so it is done again and again for
/// as long as this.
const WORK: Duration = ms(200);

fn cpu_blocking(n: u32) -> f64 {
    let mut s = 0.0;
    for i in 0..n {
        s += f64::from(black_box(i)).sqrt();
    }
    s
}

fn long_work() -> f64 {
    let begun = Instant::now();
    loop {
        let result = cpu_blocking(100_000);
        if begun.elapsed() >= WORK {
            return result;
        }
    }
}

/// What a task that wakes up every millisecond saw, by the machine's clock.
struct Pulse {
    beats: Cell<u32>,
    last: Cell<Instant>,
    longest_gap: Cell<Duration>,
}

impl Pulse {
    fn new() -> Rc<Pulse> {
        let longest_gap = Cell::new(Duration::ZERO);
        Rc::new(Pulse { beats: Cell::new(0), last: Cell::new(Instant::now()), longest_gap })
    }

    async fn beat(self: Rc<Pulse>) {
        loop {
            sleep(ms(1)).await;
            let now = Instant::now();
            self.beats.set(self.beats.get() + 1);
            self.longest_gap.set(self.longest_gap.get().max(now - self.last.replace(now)));
        }
    }
}

/// The work's result, the beats while it went on, and the longest gap.
async fn with_pulse(work: impl Future<Output = f64>) -> (f64, u32, Duration) {
    let pulse = Pulse::new();
    let heart = spawn(pulse.clone().beat());
    sleep(ms(5)).await;
    let before = pulse.beats.get();
    pulse.longest_gap.take();
    let result = work.await;
    let beats = pulse.beats.get() - before;
    sleep(ms(5)).await; // the beat that ends the last gap
    heart.cancel();
    (result, beats, pulse.longest_gap.get())
}

pub(crate) fn run(flags: &Flags) {
    flags.refuse_to_explore("it computes in a real thread, which is done when it likes");
    flags.event_loop().block_on(async {
        let (result, beats, gap) = with_pulse(async { to_thread(long_work).await.expect("it does not panic") }).await;
        println!("cpu result {result:.2}");
        let (same, beats_inline, gap_inline) = with_pulse(async { long_work() }).await;

        heading_of_what_varies("the heartbeat meanwhile");
        println!("to_thread: {beats} beats, longest gap {:.1} ms", gap.as_secs_f64() * 1e3);
        println!("inline:    {beats_inline} beats, longest gap {:.1} ms", gap_inline.as_secs_f64() * 1e3);
        assert_eq!((result, (result * 100.0).round()), (same, 2_108_169_275.0));
        assert!(beats >= 3, "the loop stood still while the thread worked: {beats} beats");
        assert!(beats_inline == 0 && gap_inline >= WORK, "the loop cannot have run on while it was computing itself");
    });
}

fn main() {
    run(&Flags::parse());
}
