//! What does a timer cost?
//!
//! | row | the question |
//! |---|---|
//! | `sleep_100000` | a task is spawned, sleeps for 1 to 50 ms among 100,000 that do, and is joined |
//! | `far_sleep_dropped` | a sleep of an hour is made, polled once and dropped, with 10,000 others waiting: a timeout that was not needed |
//!
//! A figure of the sleeps is the processor time of one on the loop's thread, of the program and the system together:
//! time spent waiting costs nothing and is not counted, and what smol's timers do in a thread of their own neither.
//! A far sleep's figure is its time on the wall's clock, for nothing waits in it.
//!
//! What they leave out: how punctual the sleeps are (roundel and tokio round up to their next millisecond,
//! smol does not), and what fewer timers cost, whose deadlines come apart: then each has a wait of the
//! system to itself; and what a far sleep costs that is not dropped in the turn in which it was made, for roundel puts
//! a timer on its level only when the wheel is next looked at. The floor reads no clock for a timer, as no runtime could do.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crate::contenders;
use crate::support::{Drivers, Row, Sampler, Timers, cpu_time, floor, inside, wall_time};

const SLEEPERS: u64 = 100_000;
const SHORTEST_MS: u64 = 1;
const LONGEST_MS: u64 = 50;
/// The same durations for all runtimes, and in every run.
const SEED: u64 = 1987;

const OUTSTANDING: u64 = 10_000;
const FAR: Duration = Duration::from_secs(3600);

pub(crate) fn rows() -> Vec<Row> {
    let row = |id, title, operations, contenders| Row { group: "timers", id, title, operations, contenders };
    vec![
        row(
            "sleep_100000",
            "100,000 sleeps of 1 to 50 ms, CPU per timer",
            SLEEPERS,
            contenders!(all_but_local_pool, sleep_all(SLEEPERS), floor::sleep_all(durations(SLEEPERS))),
        ),
        row(
            "far_sleep_dropped",
            "create, poll, drop a far sleep, 10,000 outstanding",
            1,
            contenders!(all_but_local_pool, far_sleep_dropped(OUTSTANDING), floor::far_sleep_dropped(OUTSTANDING)),
        ),
    ]
}

/// In milliseconds.
fn durations(sleepers: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(SEED);
    (0..sleepers).map(|_| random.u64(SHORTEST_MS..=LONGEST_MS)).collect()
}

pub(crate) fn sleep_all<P: Timers>(sleepers: u64) -> Sampler {
    let durations = durations(sleepers);
    inside::<P>(Drivers::Time, async move |batches| {
        cpu_time(batches, async || {
            let sleeper = |millis| async move { P::sleep(Duration::from_millis(millis)).await };
            let tasks: Vec<_> = durations.iter().map(|&millis| P::spawn(sleeper(millis))).collect();
            for task in tasks {
                assert!(task.await.is_ok());
            }
        })
        .await
    })
}

pub(crate) fn far_sleep_dropped<P: Timers>(outstanding: u64) -> Sampler {
    inside::<P>(Drivers::Time, async move |batches| {
        let mut outstanding: Vec<_> =
            (0..outstanding).map(|n| Box::pin(P::sleep(FAR + Duration::from_millis(n)))).collect();
        for sleep in &mut outstanding {
            poll_once(sleep.as_mut()).await;
        }
        // Until the timers have been looked at, so that those that stand around stand where they belong.
        P::sleep(Duration::from_millis(2)).await;
        wall_time(batches, async || {
            let sleep = pin!(P::sleep(FAR));
            poll_once(sleep).await;
        })
        .await
    })
}

async fn poll_once(mut sleep: Pin<&mut impl Future<Output = ()>>) {
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending(), "an hour is not over yet");
        Poll::Ready(())
    })
    .await;
}
