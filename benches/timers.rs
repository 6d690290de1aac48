//! What does a timer cost?
//!
//! | row | the question |
//! |---|---|
//! | `sleep_100000` | a task is spawned, sleeps for 1 to 50 ms among 100,000 that do, and is joined |
//! | `far_sleep_dropped` | a sleep of an hour is made, polled once and dropped, with 10,000 others waiting: a timeout that was not needed |
//!
//! Every figure is the processor time of one timer, of the program and the system together: time spent
//! waiting costs nothing and is not counted.
//!
//! What they leave out: how punctual the sleeps are (all runtimes round up to their next millisecond),
//! and what fewer timers cost, whose deadlines come apart: then each has a wait of the system to itself.

mod support;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use support::{Bench, Drivers, Peer, cpu_time};

const SLEEPERS: u64 = 100_000;
const SHORTEST_MS: u64 = 1;
const LONGEST_MS: u64 = 50;
/// The same durations for all runtimes, and in every run.
const SEED: u64 = 1987;

const OUTSTANDING: u64 = 10_000;
const FAR: Duration = Duration::from_secs(3600);

ask_all!(sleep_100000, far_sleep_dropped);

fn sleep_100000<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("sleep_100000", SLEEPERS, Drivers::Time, async |batches| {
        cpu_time(batches, async || {
            let mut random = fastrand::Rng::with_seed(SEED);
            let sleeper = |millis| async move { P::sleep(Duration::from_millis(millis)).await };
            let tasks: Vec<_> =
                (0..SLEEPERS).map(|_| P::spawn(sleeper(random.u64(SHORTEST_MS..=LONGEST_MS)))).collect();
            for task in tasks {
                assert!(task.await.is_ok());
            }
        })
        .await
    });
}

fn far_sleep_dropped<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("far_sleep_dropped", 1, Drivers::Time, async |batches| {
        let mut outstanding: Vec<_> =
            (0..OUTSTANDING).map(|n| Box::pin(P::sleep(FAR + Duration::from_millis(n)))).collect();
        for sleep in &mut outstanding {
            poll_once(sleep.as_mut()).await;
        }
        cpu_time(batches, async || {
            let sleep = pin!(P::sleep(FAR));
            poll_once(sleep).await;
        })
        .await
    });
}

async fn poll_once(mut sleep: Pin<&mut impl Future<Output = ()>>) {
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending(), "an hour is not over yet");
        Poll::Ready(())
    })
    .await;
}
