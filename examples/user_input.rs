//! The same program twice, waiting for its user and not: the second is five times faster, and its
//! answer is another one.
//!
//! Watch:  where the inputs are printed, what time it takes, and the two totals at the end.
//! Run:    cargo run --example user_input -- --clock virtual
//!         cargo run --example user_input -- --clock virtual --inputs 5,5,5,5,5 --later-inputs random --seed 7
//! Prints: the tutorial's two transcripts for its own inputs, then why one ends at -2 and one at -13.
//! Unlike Python: a thread's sleep and a task's sleep are the same call here, both on the loop's clock.
//!         As in Python a spawned task does not start before its spawner waits, which is at the gather.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use clap::{Arg, ArgMatches};

use crate::support::explore::{Study, say};
use crate::support::{Flags, command, heading};
use roundel::study::Explore;
use roundel::{Instant, gather, sleep, spawn};

/// What the user enters, each time after two seconds.
struct Inputs {
    first_run: Vec<i64>,
    second_run: Vec<i64>,
}

async fn user_io(input: i64) -> i64 {
    sleep(Duration::from_secs(2)).await;
    input
}

/// Waits for each input where it is needed. Returns the total it ends at.
async fn simulation(inputs: &[i64]) -> i64 {
    let mut inputs = inputs.iter();
    let mut total = 100;
    while total > 0 {
        total -= 1;
        if total % 20 == 0 {
            let input = user_io(*inputs.next().expect("inputs from 1 to 5 meet five multiples of 20")).await;
            say!("User enters the input {input}");
            total -= input;
        }
        say!("Now the total value is {total}");
    }
    say!("Done!");
    total
}

/// Makes a task for each input and looks at the results at the end. Returns the total it ends at, and
/// what the total was when each task began.
async fn simulation_concurrency(inputs: &[i64]) -> (i64, Vec<i64>) {
    let mut inputs = inputs.iter();
    let (total, began_at) = (Rc::new(Cell::new(100)), Rc::new(RefCell::new(Vec::new())));
    let mut tasks = Vec::new();
    while total.get() > 0 {
        total.set(total.get() - 1);
        if total.get() % 20 == 0 {
            let input = *inputs.next().expect("the count down from 100 meets five multiples of 20");
            let (total, began_at) = (total.clone(), began_at.clone());
            tasks.push(spawn(async move {
                began_at.borrow_mut().push(total.get());
                user_io(input).await
            }));
        }
        say!("Now the total value is: {}", total.get());
    }
    for input in gather(tasks).await {
        let input = input.expect("nobody cancels the user");
        say!("User enters the input: {input}");
        total.set(total.get() - input);
    }
    say!("Done!");
    (total.get(), began_at.take())
}

/// The five tasks of the second way have 113,400 orders: a thousand of them, by the seed.
fn programs(study: &mut Study) {
    study.program("one-by-one", Explore::new().expect(|total| *total == -2), || simulation(&[1, 3, 4, 4, 2]));
    let at_once = Explore::new().racing_timers().random(study.seed, 1_000).expect(|end| *end == (-13, vec![0; 5]));
    study.program("at-once", at_once, || simulation_concurrency(&[2, 3, 4, 3, 1]));
}

fn run_with(flags: &Flags, inputs: &Inputs) {
    if flags.study(programs) {
        return;
    }
    let event_loop = flags.event_loop();
    heading("user_input");
    event_loop.block_on(async {
        println!("Testing simulation for no concurrency");
        let start = Instant::now();
        let one_by_one = simulation(&inputs.first_run).await;
        println!("Time cost: {:.2} seconds", start.elapsed().as_secs_f64());

        println!("Testing simulation for concurrency");
        let start = Instant::now();
        let (at_once, began_at) = simulation_concurrency(&inputs.second_run).await;
        println!("Time cost: {:.2} seconds", start.elapsed().as_secs_f64());

        heading("why the totals differ");
        let (first, second) = (&inputs.first_run, &inputs.second_run);
        let (last, sum) = (first[4], second.iter().sum::<i64>());
        println!("one by one, the total ends at {one_by_one}: the inputs {first:?} came during the count,");
        println!("    which then had less to count; only the last one, {last}, came when it was at 0 already");
        println!("at once, the total ends at {at_once}, which the tutorial never printed: the count went to 0 by");
        println!("    itself, and then all of the inputs {second:?}, {sum} together, were taken off");
        println!(
            "the five tasks began when the total was {began_at:?}: at the gather, the first wait of their spawner"
        );
        assert_eq!((one_by_one, at_once), (-last, -sum));
        assert_eq!(began_at, [0; 5], "no task begins before its spawner waits");
    });
}

// The tour's way in.
#[allow(dead_code)]
pub(crate) fn run(flags: &Flags) {
    run_with(flags, &Inputs { first_run: vec![1, 3, 4, 4, 2], second_run: vec![2, 3, 4, 3, 1] });
}

fn main() {
    let inputs = |name, default| {
        Arg::new(name).long(name).value_name("1..5,x5 | random").allow_hyphen_values(true).default_value(default)
    };
    let matches = command()
        .arg(inputs("inputs", "1,3,4,4,2").help("What the user enters while the program waits for it"))
        .arg(inputs("later-inputs", "2,3,4,3,1").help("What the user enters while the program does not wait"))
        .get_matches();
    let flags = Flags::from_matches(&matches);
    let mut random = fastrand::Rng::with_seed(flags.seed);
    let first_run = five(&matches, "inputs", &mut random);
    run_with(&flags, &Inputs { first_run, second_run: five(&matches, "later-inputs", &mut random) });
}

fn five(matches: &ArgMatches, name: &str, random: &mut fastrand::Rng) -> Vec<i64> {
    let text = matches.get_one::<String>(name).expect("it has a default");
    if text == "random" {
        return (0..5).map(|_| random.i64(1..=5)).collect();
    }
    let numbers: Option<Vec<i64>> =
        text.split(',').map(|n| n.trim().parse().ok().filter(|n| (1..=5).contains(n))).collect();
    numbers.filter(|numbers| numbers.len() == 5).unwrap_or_else(|| {
        eprintln!("--{name} {text}: give five numbers from 1 to 5, as in --{name} 1,3,4,4,2");
        std::process::exit(2)
    })
}
