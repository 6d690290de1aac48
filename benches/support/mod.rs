//! What the benches share: the runtimes behind one trait, and how a figure is taken.
//!
//! ```text
//!   workload<P: Peer>  --compiled for-->  roundel      EventLoop
//!                                         tokio_local  LocalRuntime: its current-thread scheduler
//!                                         tokio_set    LocalSet on the same scheduler
//!                                         tokio_main   LocalRuntime, as #[tokio::main] uses it
//! ```
//!
//! A workload is written once and compiled for each, so that all do the same. tokio has its best shot
//! in the first two: `spawn_local` either way, for these futures are not `Send` (with `spawn`, which
//! asks for `Send`, the scheduler is that of `LocalRuntime`); the workload in a spawned task, for tokio
//! wakes its root future by a slower way; and no more drivers than the bench needs, while roundel
//! always has its timers and its sockets. `tokio_main` is what a program gets that asks for nothing:
//! `#[tokio::main(flavor = "current_thread")]`, all drivers, the workload in the root future.
//!
//! Each bench ends with a table of the quickest samples, and roundel's share of the time of the
//! quickest tokio and of `tokio_main`. Run it pinned to one core of a machine that does nothing else,
//! `taskset -c 1 cargo bench --bench scheduler`, or the shares wander.

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

/// tokio, set up in one of the ways there are.
pub struct Tokio<S: Setting>(S);

pub trait Setting: Sized + 'static {
    const NAME: &'static str;
    fn build(drivers: Drivers) -> Self;
    fn block_on<F: Future>(&self, future: F) -> F::Output;
    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output;
}

impl<S: Setting> Peer for Tokio<S> {
    const NAME: &'static str = S::NAME;
    type Error = tokio::task::JoinError;
    type Handle<T: 'static> = tokio::task::JoinHandle<T>;

    fn new(drivers: Drivers) -> Self {
        Tokio(S::build(drivers))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.0.run(workload)
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

pub struct Local(tokio::runtime::LocalRuntime);

impl Setting for Local {
    const NAME: &'static str = "tokio_local";

    fn build(drivers: Drivers) -> Local {
        let runtime = builder(drivers).build_local(tokio::runtime::LocalOptions::default());
        Local(runtime.expect("the system has descriptors left"))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(async { tokio::task::spawn_local(workload).await.expect("no workload panics") })
    }
}

pub struct Set(tokio::runtime::Runtime, tokio::task::LocalSet);

impl Setting for Set {
    const NAME: &'static str = "tokio_set";

    fn build(drivers: Drivers) -> Set {
        let runtime = builder(drivers).build().expect("the system has descriptors left");
        Set(runtime, tokio::task::LocalSet::new())
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.1.block_on(&self.0, future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(async { tokio::task::spawn_local(workload).await.expect("no workload panics") })
    }
}

pub struct Main(Local);

impl Setting for Main {
    const NAME: &'static str = "tokio_main";

    fn build(_: Drivers) -> Main {
        Main(Local::build(Drivers::TimeAndSockets))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(workload)
    }
}

fn builder(drivers: Drivers) -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    match drivers {
        Drivers::None => {}
        Drivers::Time => {
            builder.enable_time();
        }
        Drivers::TimeAndSockets => {
            builder.enable_all();
        }
    }
    builder
}

/// The `main` of a bench: asks each question of every runtime in turn.
#[macro_export]
macro_rules! ask_all {
    ($($question:ident),* $(,)?) => {
        fn main() {
            let mut bench = $crate::support::Bench::new();
            $(
                $question::<$crate::support::Roundel>(&mut bench);
                $question::<$crate::support::Tokio<$crate::support::Local>>(&mut bench);
                $question::<$crate::support::Tokio<$crate::support::Set>>(&mut bench);
                $question::<$crate::support::Tokio<$crate::support::Main>>(&mut bench);
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
            "ns, quickest sample      roundel tokio_local   tokio_set  tokio_main   share of tokio, of tokio_main"
        );
        for row in self.best.chunks_exact(4) {
            let [roundel, local, set, main] = [0, 1, 2, 3].map(|peer| row[peer].nanos);
            if roundel.is_finite() {
                let (of_best, of_main) = (roundel / local.min(set), roundel / main);
                let question = row[0].question;
                println!(
                    "{question:20} {roundel:11.1} {local:11.1} {set:11.1} {main:11.1}   {of_best:.2}, {of_main:.2}"
                );
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
