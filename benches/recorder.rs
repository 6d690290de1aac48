//! What does an event cost with a recorder on?
//!
//! A task yields, which is four events: it waits for a turn, is woken, its turn ends, and the next begins. What that
//! takes beyond a yield that nobody watches is shared among the four.
//!
//! ```text
//!   this program --runs--> itself, --observer ring --times 40000, and half as often:  nanoseconds
//!                          the same under valgrind:                                   instructions
//! ```
//!
//! | command | what it does |
//! |---|---|
//! | `cargo bench --bench recorder` | prints the table |
//! | `.. -- --test` | runs every row once |
//!
//! | row | who watches |
//! |---|---|
//! | `deaf` | an observer that does nothing: what telling alone takes |
//! | `ring` | a recorder of the newest 10,000 events |
//! | `whole` | a recorder of everything, the growing of its tape included |
//!
//! and each on the real clock, and on a virtual one, beside which the machine's is read as well. What the figures
//! leave out: events that bring a text or the holders of a lock, which take a block of memory each; and without
//! valgrind the instructions are missing. Those do not count what the system does for a reading of the clock.
#![allow(missing_docs)]

use std::env;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Instant;

use roundel::study::Recorder;
use roundel::{Clock, Event, EventLoop, Observer, yield_now};

const ROWS: [&str; 4] = ["nobody", "deaf", "ring", "whole"];
const CLOCKS: [&str; 2] = ["real", "virtual"];
/// Events of a yield.
const EVENTS: f64 = 4.0;
/// Enough that the start is nothing beside it; valgrind does some ten million instructions a second.
const TIMES: u64 = 40_000;

struct Deaf;

impl Observer for Deaf {
    fn event(&self, _: &Event<'_>) {}
}

/// Yields so many times and gives the nanoseconds that it took.
fn run(row: &str, clock: &str, times: u64) -> f64 {
    let clock = if clock == "virtual" { Clock::virtual_time() } else { Clock::real() };
    let builder = EventLoop::builder().clock(clock);
    let builder = match row {
        "deaf" => builder.observer(Rc::new(Deaf)),
        "ring" => builder.observer(Rc::new(Recorder::ring(10_000))),
        "whole" => builder.observer(Rc::new(Recorder::whole())),
        _ => builder,
    };
    let event_loop = builder.build().expect("the system has descriptors left");
    event_loop.block_on(async {
        let began = Instant::now();
        for _ in 0..times {
            yield_now().await;
        }
        began.elapsed().as_nanos() as f64
    })
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let value = |name: &str| args.iter().skip_while(|arg| *arg != name).nth(1);
    if let (Some(row), Some(clock), Some(times)) = (value("--observer"), value("--clock"), value("--times")) {
        run(row, clock, times.parse().expect("--times is a number"));
        return ExitCode::SUCCESS;
    }
    // Under `cargo test` there is no `--bench`.
    if args.iter().any(|arg| arg == "--test") || !args.iter().any(|arg| arg == "--bench") {
        for clock in CLOCKS {
            for row in ROWS {
                run(row, clock, 10);
            }
        }
        return ExitCode::SUCCESS;
    }
    println!("| an event | clock | nanoseconds | instructions |");
    println!("|---|---|---:|---:|");
    for clock in CLOCKS {
        let times = nanoseconds(clock);
        let counts = ROWS.map(|row| instructions(row, clock));
        for nr in 1..ROWS.len() {
            let nanoseconds = (times[nr] - times[0]) / EVENTS;
            let counted = counts[nr].zip(counts[0]).map(|(all, quiet)| format!("{:.0}", (all - quiet) / EVENTS));
            println!("| {} | {clock} | {nanoseconds:.1} | {} |", ROWS[nr], counted.unwrap_or_else(|| "-".into()));
        }
    }
    ExitCode::SUCCESS
}

/// Of a yield, row by row: the least of fifty runs, which the machine disturbed least. The rows take turns, so that
/// it disturbs all of them alike.
fn nanoseconds(clock: &str) -> [f64; ROWS.len()] {
    let mut least = [f64::MAX; ROWS.len()];
    for _ in 0..50 {
        let measured = ROWS.map(|row| run(row, clock, TIMES) / TIMES as f64);
        least = std::array::from_fn(|nr| least[nr].min(measured[nr]));
    }
    least
}

/// Of a yield, if valgrind is there to count them.
fn instructions(row: &str, clock: &str) -> Option<f64> {
    let more = collected(row, clock, TIMES)? - collected(row, clock, TIMES / 2)?;
    Some(more / (TIMES / 2) as f64)
}

fn collected(row: &str, clock: &str, times: u64) -> Option<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(env::current_exe().ok()?);
    valgrind.args(["--observer", row, "--clock", clock, "--times", &times.to_string()]);
    let report = valgrind.output().ok()?.stderr;
    // ==1234== Collected : 56789
    String::from_utf8_lossy(&report).lines().find_map(|line| line.split_once("Collected : "))?.1.trim().parse().ok()
}
