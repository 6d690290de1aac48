//! What the benches share: the runtimes behind one trait, and how a figure is taken.
//!
//! ```text
//!   workload<P: Peer>  --compiled for-->  roundel:     EventLoop
//!                                         tokio:       LocalRuntime, its current-thread scheduler
//!                                         tokio_main:  the same, as #[tokio::main] uses it
//! ```
//!
//! A workload is written once and compiled for each runtime, so that both do the same. It runs in a
//! spawned task, which suits both best: tokio wakes its root future by a slower way than its tasks.
//! For tokio, `LocalRuntime` with `spawn_local` stands here because these futures are not `Send`; it
//! is as quick as `spawn` on a current-thread `Runtime`. It is built with no more drivers than the
//! bench needs, which makes it quicker still; roundel always has its timers and its sockets.
//!
//! Beside that stands tokio as `#[tokio::main(flavor = "current_thread")]` sets it up: all drivers, and
//! the workload in the root future. It is what a program gets that does not ask for more.
//!
//! Each bench ends with a table of the quickest samples and roundel's share of tokio's time. Run it
//! pinned to one core, `taskset -c 1 cargo bench --bench scheduler`, or the ratios wander.

// Each bench is a crate of its own and uses a part of this.
#![allow(dead_code, missing_docs, missing_debug_implementations, unreachable_pub)]

use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use criterion::Criterion;
use rustix::time::{ClockId, clock_gettime};

/// Thirty samples in two seconds tell a tenth from noise, and all benches run in a few minutes.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASUREMENT: Duration = Duration::from_secs(2);
const SAMPLES: usize = 30;

/// One of the runtimes that are compared.
pub trait Peer: Sized + 'static {
    const NAME: &'static str;
    type Error: Debug;
    type Handle<T: 'static>: Future<Output = Result<T, Self::Error>> + 'static;

    fn new(drivers: Drivers) -> Self;
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Runs a workload, in a task or as the root future.
    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output;

    // The rest is called inside `block_on`.
    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Self::Handle<F::Output>;
    fn yield_now() -> impl Future<Output = ()>;
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;
}

/// What tokio is built with.
#[derive(Clone, Copy)]
pub enum Drivers {
    None,
    Time,
    TimeAndSockets,
}

pub struct Roundel(roundel::EventLoop);

impl Peer for Roundel {
    const NAME: &'static str = "roundel";
    type Error = roundel::JoinError;
    type Handle<T: 'static> = roundel::JoinHandle<T>;

    fn new(_: Drivers) -> Roundel {
        Roundel(roundel::EventLoop::new().expect("the system has descriptors left"))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(async { Self::spawn(workload).await.expect("no workload panics") })
    }

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> roundel::JoinHandle<F::Output> {
        roundel::spawn(future)
    }

    fn yield_now() -> impl Future<Output = ()> {
        roundel::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        roundel::sleep(duration)
    }
}

/// tokio at its best.
pub type Tokio = TokioIn<false>;
/// tokio as most programs have it.
pub type TokioMain = TokioIn<true>;

/// tokio's current-thread scheduler, with the workload in a task or in `main`.
pub struct TokioIn<const MAIN: bool>(tokio::runtime::LocalRuntime);

impl<const MAIN: bool> Peer for TokioIn<MAIN> {
    const NAME: &'static str = if MAIN { "tokio_main" } else { "tokio" };
    type Error = tokio::task::JoinError;
    type Handle<T: 'static> = tokio::task::JoinHandle<T>;

    fn new(drivers: Drivers) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let builder = match drivers {
            _ if MAIN => builder.enable_all(),
            Drivers::None => &mut builder,
            Drivers::Time => builder.enable_time(),
            Drivers::TimeAndSockets => builder.enable_all(),
        };
        let options = tokio::runtime::LocalOptions::default();
        TokioIn(builder.build_local(options).expect("the system has descriptors left"))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        match MAIN {
            true => self.block_on(workload),
            false => self.block_on(async { Self::spawn(workload).await.expect("no workload panics") }),
        }
    }

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> tokio::task::JoinHandle<F::Output> {
        tokio::task::spawn_local(future)
    }

    fn yield_now() -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }
}

/// The `main` of a bench: asks each question of every runtime in turn.
#[macro_export]
macro_rules! ask_all {
    ($($question:ident),* $(,)?) => {
        fn main() {
            let mut bench = $crate::support::Bench::new();
            $(
                $question::<$crate::support::Roundel>(&mut bench);
                $question::<$crate::support::Tokio>(&mut bench);
                $question::<$crate::support::TokioMain>(&mut bench);
            )*
            bench.finish();
        }
    };
}

/// Takes the figures of one bench.
pub struct Bench {
    criterion: Criterion,
    best: Vec<Best>,
}

/// The quickest sample of one runtime at one question, in nanoseconds an operation.
struct Best {
    question: &'static str,
    nanos: f64,
}

impl Bench {
    pub fn new() -> Bench {
        let criterion = Criterion::default().warm_up_time(WARM_UP).measurement_time(MEASUREMENT).sample_size(SAMPLES);
        Bench { criterion: criterion.configure_from_args(), best: Vec::new() }
    }

    /// A question about what happens inside the loop. `workload` runs as a task: it is given a number
    /// of batches to do, each of `operations` of what is asked about, and says how long they took.
    pub fn ask<P: Peer>(
        &mut self,
        question: &'static str,
        operations: u64,
        drivers: Drivers,
        workload: impl AsyncFn(u64) -> Duration + Copy + 'static,
    ) {
        let peer = P::new(drivers);
        self.ask_outside::<P>(question, operations, |batches| peer.run(async move { workload(batches).await }));
    }

    /// A question about what happens outside of the loop.
    pub fn ask_outside<P: Peer>(
        &mut self,
        question: &'static str,
        operations: u64,
        mut workload: impl FnMut(u64) -> Duration,
    ) {
        let mut best = Best { question, nanos: f64::INFINITY };
        let mut group = self.criterion.benchmark_group(question);
        group.bench_function(P::NAME, |bencher| {
            bencher.iter_custom(|iterations| {
                // criterion counts single operations, and a batch cannot be divided.
                let batches = iterations.div_ceil(operations);
                let seconds = workload(batches).as_secs_f64() / (batches * operations) as f64;
                best.nanos = best.nanos.min(seconds * 1e9);
                Duration::from_secs_f64(seconds * iterations as f64)
            });
        });
        group.finish();
        self.best.push(best);
    }

    /// Prints the table, unless this was only a test that the bench runs.
    pub fn finish(self) {
        if !env::args().any(|arg| arg == "--bench") || env::args().any(|arg| arg == "--test") {
            return;
        }
        println!(
            "{:24} {:>10} {:>10} {:>10}   share of tokio",
            "ns, quickest sample", "roundel", "tokio", "tokio_main"
        );
        for row in self.best.chunks_exact(3) {
            let [roundel, tokio, tokio_main] = [0, 1, 2].map(|peer| row[peer].nanos);
            if roundel.is_finite() {
                let (best, main) = (roundel / tokio, roundel / tokio_main);
                println!("{:24} {roundel:10.1} {tokio:10.1} {tokio_main:10.1}   {best:.2}, {main:.2}", row[0].question);
            }
        }
    }
}

/// How long so many batches took on the wall's clock.
pub async fn wall_time(batches: u64, batch: impl AsyncFn()) -> Duration {
    let begun = Instant::now();
    for _ in 0..batches {
        batch().await;
    }
    begun.elapsed()
}

/// How long this thread computed for them, in the program and in the system.
pub async fn cpu_time(batches: u64, batch: impl AsyncFn()) -> Duration {
    let begun = thread_cpu_time();
    for _ in 0..batches {
        batch().await;
    }
    thread_cpu_time() - begun
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
