//! A queue hands work from one task to another, and says when there is no more: four ways.
//!
//! Watch:  with room for two, the third `put` waits for the consumer: that is back-pressure.
//! Run:    cargo run --example producer_consumer
//! Prints: consume 0 to consume 4, for each way; half a second each on the loop's clock
//! Unlike Python: the sentinel is `None` of an `Option`, so no number can be mistaken for it; there
//!         must be one for each consumer, where `shutdown` (asyncio has it since 3.13) tells them all.

mod support;

use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::explore::{Study, say};
use crate::support::{Flags, heading, ms};
use roundel::study::Explore;
use roundel::sync::Queue;
use roundel::{Instant, gather, sleep, spawn};

const WORK: Duration = ms(100);

/// The tutorial's way.
async fn with_sentinel() {
    let queue = Rc::new(Queue::unbounded());
    let (producer, consumer) = (queue.clone(), queue);
    let producer = async move {
        for i in 0..5 {
            producer.put(Some(i)).await.expect("it is not shut down");
        }
        producer.put(None).await.expect("it is not shut down");
    };
    let consumer = async move {
        while let Some(item) = consumer.get().await.expect("it is not shut down") {
            say!("consume {item}");
            sleep(WORK).await;
        }
    };
    gather!(producer, consumer).await;
}

/// The modern way. What was put before the shutdown is still consumed.
async fn with_shutdown() {
    let queue = Rc::new(Queue::unbounded());
    let (producer, consumer) = (queue.clone(), queue);
    let producer = async move {
        for i in 0..5 {
            producer.put(i).await.expect("it is not shut down yet");
        }
        producer.shutdown();
    };
    let consumer = async move {
        while let Ok(item) = consumer.get().await {
            say!("consume {item}");
            sleep(WORK).await;
        }
    };
    gather!(producer, consumer).await;
}

/// Room for two: the producer is held back to the consumer's pace, and waits for its work to be done.
async fn with_back_pressure() {
    let start = Instant::now();
    let queue = Rc::new(Queue::bounded(2));
    let consumer = queue.clone();
    let consumer = spawn(async move {
        while let Ok(item) = consumer.get().await {
            say!("consume {item}");
            sleep(WORK).await;
            consumer.task_done();
        }
    });
    for i in 0..5 {
        queue.put(i).await.expect("it is not shut down yet");
        say!("    put {i} after {:.1} s", start.elapsed().as_secs_f64());
        assert!(queue.len() <= 2, "a queue for 2 holds {}", queue.len());
    }
    queue.join().await;
    say!("    all done after {:.1} s", start.elapsed().as_secs_f64());
    queue.shutdown();
    consumer.await.expect("the consumer ends when the queue is shut down");
}

/// A channel's end is a value in Rust: when the producer drops its own, the consumer's loop ends.
fn with_threads(work: Duration) {
    let (sender, receiver) = mpsc::channel();
    let producer = thread::spawn(move || (0..5).try_for_each(|i| sender.send(i)));
    let consumer = thread::spawn(move || {
        for item in receiver {
            println!("consume {item}");
            thread::sleep(work);
        }
    });
    producer.join().expect("it does not panic").expect("the consumer is there");
    consumer.join().expect("it does not panic");
}

/// Runs one way on a loop of its own, and checks that the work took its time.
fn timed(flags: &Flags, title: &str, way: impl Future<Output = ()>) {
    heading(title);
    flags.event_loop().block_on(async {
        let start = Instant::now();
        way.await;
        let elapsed = start.elapsed();
        assert!(elapsed >= 5 * WORK, "five pieces of work of 0.1 s took {elapsed:?}");
    });
}

fn programs(study: &mut Study) {
    study.program("sentinel", Explore::new().racing_timers(), with_sentinel);
    study.program("shutdown", Explore::new().racing_timers(), with_shutdown);
    study.program("back-pressure", Explore::new().racing_timers(), with_back_pressure);
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(programs) {
        return;
    }
    timed(flags, "tasks, with a sentinel", with_sentinel());
    timed(flags, "tasks, with shutdown", with_shutdown());
    timed(flags, "tasks, with room for two", with_back_pressure());
    heading("threads, with a channel");
    with_threads(flags.for_threads(WORK));
}

fn main() {
    run(&Flags::parse());
}
