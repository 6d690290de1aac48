//! What the benches share: the contenders behind a few traits, and how a figure is taken.
//!
//! ```text
//!   workload<P: Peer>  --compiled for-->  roundel      EventLoop
//!                                         tokio_local  LocalRuntime: its current-thread scheduler
//!                                         tokio_set    LocalSet on the same scheduler
//!                                         tokio_main   LocalRuntime, as #[tokio::main] uses it
//!                                         smol         LocalExecutor, with async-io and its relatives
//!                                         local_pool   LocalPool of futures: no timers, no sockets
//!   and by hand, in floor.rs:             floor        the least code that does the job
//! ```
//!
//! A workload is written once, in `rows/`, and compiled for each, so that all do the same; what a contender
//! has no means for, it has no trait for, and the row goes without it. Each stands at its best: the workload
//! in a spawned task, since tokio wakes its root future by a slower way, and no more drivers than the row needs,
//! while roundel always has its timers and its sockets. Where smol or `LocalPool` are quicker with the workload
//! as their root future, that stands in the row as well (`smol_root`, `local_pool_root`). `tokio_main` is what a
//! program gets that asks for nothing: `#[tokio::main(flavor = "current_thread")]`, all drivers, the workload in
//! the root future, and tokio's own `yield_now`, which gives way to its drivers too; the others yield by that of
//! futures-lite, which only wakes the task again and is quicker everywhere.
//!
//! `tokio::spawn`, which asks for `Send`, is not there. It leads to the scheduler of `LocalRuntime`; to spawn and
//! join one task took 230 to 275 ns by it, 282 to 288 by `LocalRuntime`'s `spawn_local` and 205 to 225 by
//! `LocalSet` (medians of 25 parts in turn, three runs, November 2026). So the quickest is there without it.
//!
//! The benches of criterion run one contender after the other, so pin them to one core of a machine that does
//! nothing else, `taskset -c 1 cargo bench --bench scheduler`. `table` pins itself and takes turns.

// Each bench is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports, missing_docs, missing_debug_implementations, unreachable_pub)]

use std::convert::Infallible;
use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use criterion::Criterion;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

pub mod floor;
mod local_pool;
mod roundel;
mod smol;
mod tokio;

pub use self::roundel::Roundel;
pub use self::tokio::{Local, Main, Set, Setting, Tokio};

pub type TokioLocal = Tokio<Local>;
pub type TokioSet = Tokio<Set>;
pub type TokioMain = Tokio<Main>;
pub type Smol = smol::Smol<false>;
pub type SmolRoot = smol::Smol<true>;
pub type LocalPool = local_pool::LocalPool<false>;
pub type LocalPoolRoot = local_pool::LocalPool<true>;

/// Thirty samples in two seconds tell a tenth from noise.
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

    // The rest, here and in the traits below, is called in a workload.
    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Self::Handle<F::Output>;
    fn yield_now() -> impl Future<Output = ()>;
}

/// What tokio is built with.
#[derive(Clone, Copy)]
pub enum Drivers {
    None,
    Time,
    Sockets,
    TimeAndSockets,
}

pub trait Timers: Peer {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;
}

/// A lock, and a queue with an end for the producer and one for the consumer.
pub trait LockAndQueue: Peer {
    type Lock: 'static;
    type Sender: 'static;
    type Receiver: 'static;

    fn lock() -> Self::Lock;
    /// Adds one to what the lock guards, after `meanwhile` with the lock held.
    fn add(lock: &Self::Lock, meanwhile: impl AsyncFn()) -> impl Future<Output = ()>;
    fn total(lock: Self::Lock) -> u64;

    fn queue(room: usize) -> (Self::Sender, Self::Receiver);
    /// Puts so many numbers into the queue, and ends it.
    fn produce(sender: Self::Sender, items: u64) -> impl Future<Output = ()> + 'static;
    /// Adds up what comes out, until the end.
    fn consume(receiver: Self::Receiver) -> impl Future<Output = u64> + 'static;
}

pub trait Semaphores: Peer {
    type Semaphore: 'static;

    fn semaphore(permits: usize) -> Self::Semaphore;
    fn with_permit(semaphore: &Self::Semaphore, meanwhile: impl AsyncFn()) -> impl Future<Output = ()>;
}

pub trait Sockets: Peer {
    type Stream: 'static;

    fn adopt(stream: TcpStream) -> io::Result<Self::Stream>;
    /// Sends so many bytes back as they come, and gives the stream back.
    fn echo(stream: Self::Stream, bytes: usize) -> impl Future<Output = io::Result<Self::Stream>> + 'static;
}

/// Larger than a message of the echo rows, so that all can tell that a read has taken all there was.
pub const BUFFER: usize = 1024;

pub trait Threads: Peer {
    fn to_thread(closure: impl FnOnce() -> u64 + Send + 'static) -> impl Future<Output = u64>;
}

/// A handle that tells of no failure, for a panic goes through it to whoever awaits.
pub struct Infallibly<H>(pub H);

impl<H: Future + Unpin> Future for Infallibly<H> {
    type Output = Result<H::Output, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Ok)
    }
}

/// A row of the table: what one operation costs, for everyone who can do it.
pub struct Row {
    /// The bench it belongs to, and its name there.
    pub group: &'static str,
    pub id: &'static str,
    pub title: &'static str,
    /// So many in a batch.
    pub operations: u64,
    pub contenders: Vec<Contender>,
}

impl Row {
    pub fn names_contain(&self, word: &str) -> bool {
        self.title.contains(word) || format!("{}/{}", self.group, self.id).contains(word)
    }
}

pub struct Contender {
    pub name: &'static str,
    pub make: fn() -> Sampler,
}

/// Does a number of batches and says what they took: nanoseconds, or bytes.
pub type Sampler = Box<dyn FnMut(u64) -> f64>;

/// The contenders that have the means, and the floor: `contenders!(everyone, workload(argument), floor)`.
#[macro_export]
macro_rules! contenders {
    (everyone, $($rest:tt)*) => {
        $crate::contenders!([Roundel, TokioLocal, TokioSet, TokioMain, Smol, LocalPool] $($rest)*)
    };
    (everyone_in_every_way, $($rest:tt)*) => {
        $crate::contenders!(
            [Roundel, TokioLocal, TokioSet, TokioMain, Smol, SmolRoot, LocalPool, LocalPoolRoot] $($rest)*
        )
    };
    (all_but_local_pool, $($rest:tt)*) => {
        $crate::contenders!([Roundel, TokioLocal, TokioSet, TokioMain, Smol] $($rest)*)
    };
    (roundel_and_tokio, $($rest:tt)*) => {
        $crate::contenders!([Roundel, TokioLocal, TokioSet, TokioMain] $($rest)*)
    };
    ([$($peer:ident),*] $workload:ident $arguments:tt, $floor:expr) => {
        vec![
            $($crate::support::Contender {
                name: <$crate::support::$peer as $crate::support::Peer>::NAME,
                make: || $workload::<$crate::support::$peer> $arguments,
            },)*
            $crate::support::Contender { name: $crate::support::floor::NAME, make: || $floor },
        ]
    };
}

/// Samples of what happens inside a loop that is made once and stays warm.
pub fn inside<P: Peer>(drivers: Drivers, workload: impl AsyncFn(u64) -> f64 + Clone + 'static) -> Sampler {
    let peer = P::new(drivers);
    Box::new(move |batches| {
        let workload = workload.clone();
        peer.run(async move { workload(batches).await })
    })
}

/// How many nanoseconds so many batches took on the wall's clock.
pub async fn wall_time(batches: u64, batch: impl AsyncFn()) -> f64 {
    let begun = Instant::now();
    for _ in 0..batches {
        batch().await;
    }
    nanos(begun.elapsed())
}

/// How many nanoseconds this thread computed for them, in the program and in the system.
pub async fn cpu_time(batches: u64, batch: impl AsyncFn()) -> f64 {
    let begun = thread_cpu_time();
    for _ in 0..batches {
        batch().await;
    }
    nanos(thread_cpu_time() - begun)
}

pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

pub fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Takes the figures of one bench with criterion.
pub fn measure(rows: Vec<Row>) {
    let criterion = Criterion::default().warm_up_time(WARM_UP).measurement_time(MEASUREMENT).sample_size(SAMPLES);
    let mut criterion = criterion.configure_from_args();
    for row in rows {
        let mut group = criterion.benchmark_group(format!("{}/{}", row.group, row.id));
        for contender in &row.contenders {
            // Made when it is asked, for a filter may have left it out.
            let mut sampler = None;
            group.bench_function(contender.name, |bencher| {
                bencher.iter_custom(|iterations| {
                    // criterion counts single operations, and a batch cannot be divided.
                    let batches = iterations.div_ceil(row.operations);
                    let sampler = sampler.get_or_insert_with(contender.make);
                    let each = sampler(batches) / (batches * row.operations) as f64;
                    Duration::from_secs_f64(each * iterations as f64 / 1e9)
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Whether this is only a test that the bench runs: `cargo bench -- --test`, or `cargo test --benches`.
pub fn only_a_test() -> bool {
    !env::args().any(|arg| arg == "--bench") || env::args().any(|arg| arg == "--test")
}

/// Keeps this thread, and those it will start, on the last core that it may use; says which.
pub fn pin_to_one_core() -> usize {
    let allowed = sched_getaffinity(None).expect("a thread may ask where it runs");
    let core = (0..CpuSet::MAX_CPU).rfind(|&core| allowed.is_set(core)).expect("it runs somewhere");
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).expect("a thread may run in fewer places than it did");
    core
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One digit behind the point where it matters, and commas between thousands.
pub fn with_digits(figure: f64) -> String {
    if figure < 10.0 && figure.fract() != 0.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A flag that nobody here knows may be one of criterion's, for `cargo bench -- --flag` gives it to all benches.
pub fn say_if_unknown(flag: &str, known: &str) {
    if !["--bench", "--test"].contains(&flag) {
        eprintln!("{flag} says nothing to this bench, which knows: {known}");
    }
}

/// No row was chosen. That is no failure: `cargo bench -- word` asks all benches for the word.
pub fn say_what_there_is<'a>(words: &[String], names: impl Iterator<Item = &'a str>) {
    eprintln!("no row here has {} in its name. There are:", words.join(" or "));
    names.for_each(|name| eprintln!("  {name}"));
}
