//! Ten waits at once take as long as one.
//!
//! Watch:  the results stand in the order of the arguments, and the time is 0.2 s and not 2 s.
//! Run:    cargo run --example gather
//! Prints: async results [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
//!         elapsed 0.200
//! Unlike Python: futures are lazy, so `gather` has to make tasks of them, and does. futures-rs's
//!         `join_all` waits just as long but polls all ten inside one task, which is then one unit
//!         to cancel, to watch and to wake: any of the ten being ready costs a look at others.

mod support;

use crate::support::explore::Study;
use crate::support::{Flags, heading, ms};
use roundel::study::Explore;
use roundel::{Instant, all_tasks, gather, sleep};

async fn fake_io(index: u32) -> u32 {
    sleep(ms(200)).await;
    index * 10
}

/// Whoever ends first, the results stand in the order of the arguments.
fn programs(study: &mut Study) {
    let explore = Explore::new().racing_timers().expect(|results| *results == [0, 10, 20]);
    study.program("gather", explore, || async { gather((0..3).map(fake_io)).await });
}

pub(crate) fn run(flags: &Flags) {
    if flags.study(programs) {
        return;
    }
    flags.event_loop().block_on(async {
        let start = Instant::now();
        let results = gather((0..10).map(fake_io)).await;
        println!("async results {results:?}");
        let elapsed = start.elapsed();
        println!("elapsed {:.3}", elapsed.as_secs_f64());
        assert_eq!(results, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert!((ms(200)..ms(2000)).contains(&elapsed), "ten waits of 0.2 s at once took {elapsed:?}");

        heading("how many tasks that is, with the one that waits");
        // Each looks around when it begins; the last to begin sees them all.
        let look_around = |_| async { all_tasks().len() };
        println!("gather   {}", gather((0..10).map(look_around)).await[0]);
        println!("join_all {}", futures::future::join_all((0..10).map(look_around)).await[0]);
    });
}

fn main() {
    run(&Flags::parse());
}
