//! Ten jobs, three permits: never more than three run.
//!
//! Watch:  the order of the `done` lines, which is not 0 to 9, and the three lanes at the end.
//! Run:    cargo run --example semaphore [-- --seed 7]
//! Prints: ten lines `done i`; the most that were inside at once, checked; who ran when.
//! Unlike Python: `acquire` gives a permit, and dropping the permit gives it back; so no path forgets
//!         it, and none can give it back twice, for which asyncio has `BoundedSemaphore`. It can be
//!         made before there is a loop, as in asyncio since 3.10.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::support::explore::{Study, say};
use crate::support::{Flags, heading, ms};
use roundel::study::Explore;
use roundel::sync::Semaphore;
use roundel::{Instant, gather, sleep};

const PERMITS: usize = 3;

#[derive(Default)]
struct Record {
    inside: Cell<usize>,
    most: Cell<usize>,
    /// Who ran, and from which millisecond to which.
    stays: RefCell<Vec<(u32, u128, u128)>>,
}

async fn limited_task(i: u32, pause: u64, semaphore: Rc<Semaphore>, record: Rc<Record>, start: Instant) {
    let _permit = semaphore.acquire().await.expect("nobody closes it");
    let from = start.elapsed().as_millis();
    record.inside.set(record.inside.get() + 1);
    record.most.set(record.most.get().max(record.inside.get()));
    sleep(ms(pause)).await;
    say!("done {i}");
    record.inside.set(record.inside.get() - 1);
    record.stays.borrow_mut().push((i, from, start.elapsed().as_millis()));
}

/// Four jobs for three permits, of which any may be slow.
fn programs(study: &mut Study) {
    let explore = Explore::new().racing_timers().expect(|most| *most <= PERMITS);
    study.program("semaphore", explore, || async {
        let (semaphore, record) = (Rc::new(Semaphore::new(PERMITS)), Rc::new(Record::default()));
        let start = Instant::now();
        gather((0..4).map(|i| limited_task(i, 100, semaphore.clone(), record.clone(), start))).await;
        record.most.get()
    });
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(programs) {
        return;
    }
    let (semaphore, record) = (Rc::new(Semaphore::new(PERMITS)), Rc::new(Record::default()));
    let mut random = fastrand::Rng::with_seed(flags.seed);
    flags.event_loop().block_on(async {
        let start = Instant::now();
        gather((0..10).map(|i| limited_task(i, random.u64(100..=300), semaphore.clone(), record.clone(), start))).await;
    });
    heading("never more than 3 inside");
    println!("most inside at once: {}", record.most.get());
    draw(record.stays.take());
    assert_eq!(record.most.get(), PERMITS, "the most that were inside at once");
}

/// One line a lane, one column for each 20 ms: a job's number while it runs.
fn draw(mut stays: Vec<(u32, u128, u128)>) {
    stays.sort_by_key(|&(_, from, _)| from);
    let mut lanes: Vec<(u128, String)> = vec![(0, String::new()); PERMITS];
    for (i, from, to) in stays {
        let lane = lanes.iter_mut().find(|(free, _)| *free <= from).expect("a job that begins has a lane");
        lane.0 = to;
        let (from, to) = ((from / 20) as usize, (to / 20) as usize);
        lane.1 = format!("{:from$}{}", lane.1, i.to_string().repeat(to - from));
    }
    for (number, (_, lane)) in lanes.iter().enumerate() {
        println!("lane {number} |{lane}");
    }
}

fn main() {
    run(&Flags::parse());
}
