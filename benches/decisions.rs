//! What does each decision of DESIGN.md buy? Every group sets our way beside the other one.
//!
//! | group | the question |
//! |---|---|
//! | `waker` | a waker is cloned, woken and dropped: a number, or a counted reference to a queue |
//! | `look` | a task yields with no socket open, or with one: what a look at the OS every 64 polls costs |
//! | `output` | a task is spawned and joined: output `()`, or one that has to be boxed |
//! | `timer` | one timer comes and goes among 10,000: the wheel by way of `sleep`, or a bare ordered map |
//!
//! What they leave out: the other way is the least code that does the job, with no task around it, so
//! it stands here at its best. The wheel's row carries a whole `Sleep` and two readings of a clock.
#![allow(missing_docs)]
#![allow(clippy::waker_clone_wake, reason = "the clone is the question")]

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use roundel::net::TcpListener;
use roundel::{EventLoop, sleep, spawn, yield_now};

/// Timers that stand around while one comes and goes.
const OUTSTANDING: u64 = 10_000;
const HOUR: Duration = Duration::from_secs(3600);

fn event_loop() -> EventLoop {
    EventLoop::new().expect("the system has descriptors left")
}

/// The time of `count` runs of an async step, in a task of a loop that is warm.
fn timed(event_loop: &EventLoop, count: u64, step: impl AsyncFn() + 'static) -> Duration {
    event_loop.block_on(async move {
        let task = spawn(async move {
            let began = Instant::now();
            for _ in 0..count {
                step().await;
            }
            began.elapsed()
        });
        task.await.expect("nobody cancels it")
    })
}

fn waker(c: &mut Criterion) {
    struct Task {
        queued: AtomicBool,
        queue: Arc<Mutex<VecDeque<usize>>>,
    }
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            if !self.queued.swap(true, Ordering::AcqRel) {
                self.queue.lock().expect("nobody panics").push_back(1);
            }
        }
    }
    let queue = Arc::default();
    let counted = Waker::from(Arc::new(Task { queued: AtomicBool::new(false), queue }));
    let mut group = c.benchmark_group("waker");
    group.bench_function("number", |b| {
        event_loop().block_on(poll_fn(|cx| {
            b.iter(|| black_box(cx.waker()).clone().wake());
            Poll::Ready(())
        }));
    });
    group.bench_function("counted", |b| b.iter(|| black_box(&counted).clone().wake()));
    group.finish();
}

fn look(c: &mut Criterion) {
    let mut group = c.benchmark_group("look");
    let event_loop = event_loop();
    group.bench_function("no_socket", |b| b.iter_custom(|count| timed(&event_loop, count, yield_now)));
    let listener = event_loop.block_on(async { TcpListener::bind("127.0.0.1:0") });
    group.bench_function("a_socket", |b| b.iter_custom(|count| timed(&event_loop, count, yield_now)));
    drop(listener);
    group.finish();
}

fn output(c: &mut Criterion) {
    let mut group = c.benchmark_group("output");
    let event_loop = event_loop();
    let unit = async || spawn(async { black_box(()) }).await.expect("nobody cancels it");
    let boxed = async || {
        black_box(spawn(async { black_box(7_u64) }).await.expect("nobody cancels it"));
    };
    group.bench_function("unit", |b| b.iter_custom(|count| timed(&event_loop, count, unit)));
    group.bench_function("boxed", |b| b.iter_custom(|count| timed(&event_loop, count, boxed)));
    group.finish();
}

fn timer(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer");
    group.bench_function("wheel", |b| {
        event_loop().block_on(poll_fn(|cx| {
            let mut standing: Vec<_> = (0..OUTSTANDING).map(|n| sleep(HOUR + Duration::from_millis(n))).collect();
            for sleep in &mut standing {
                assert!(Pin::new(sleep).as_mut().poll(cx).is_pending());
            }
            b.iter(|| assert!(pin!(sleep(black_box(HOUR))).poll(cx).is_pending()));
            Poll::Ready(())
        }));
    });
    group.bench_function("ordered_map", |b| {
        let began = Instant::now();
        let mut map: BTreeMap<(Instant, u64), Waker> =
            (0..OUTSTANDING).map(|n| ((began + HOUR + Duration::from_millis(n), n), Waker::noop().clone())).collect();
        let mut serial = OUTSTANDING;
        b.iter(|| {
            serial += 1;
            let key = (Instant::now() + black_box(HOUR), serial);
            map.insert(key, Waker::noop().clone());
            map.remove(&key)
        });
    });
    group.finish();
}

criterion_group! {
    name = decisions;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = waker, look, output, timer
}
criterion_main!(decisions);
