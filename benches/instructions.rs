//! How many instructions does an operation take?
//!
//! Times wander with the machine; instructions do not. valgrind counts them, so the figures repeat within
//! a hundredth, on a busy machine too, and can have limits:
//!
//! ```text
//!   this program --runs--> valgrind: itself, --row yield_alone --peer roundel --times 1000   a instructions
//!                          valgrind: itself, --row yield_alone --peer roundel --times 3000   b
//!                          (b - a) / 2000 = instructions per operation, whatever the start cost
//! ```
//!
//! | command | what it does |
//! |---|---|
//! | `cargo bench --bench instructions` | counts every row for every peer, and prints a table |
//! | `.. -- --roundel-only` | counts roundel alone, and ends with status 1 if a row is above its limit |
//! | `.. -- --check` | counts roundel and `tokio::main`; the same, and for a row above its share of that |
//! | `.. -- --test` | runs every row once, without valgrind |
//! | `.. -- yield lock` | any of these, for the rows with such a name only |
//!
//! The rows are those of `rows/` that only compute, and the contenders roundel, tokio in its three settings, and
//! the floor, as `support/mod.rs` has them. What the clock readings around a batch take is in the counts, and next
//! to nothing.
//!
//! What the figures leave out: the system's side of its calls, and that one instruction may take as long
//! as a hundred others. They belong to one compiler, one allocator and one processor's instruction set:
//! another release of any may move them, and the limits with them.

mod rows;
mod support;

use std::env;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use support::Row;

struct Counted {
    /// The row's name in `rows/`.
    name: &'static str,
    /// Batches of the short and of the long run. valgrind does some ten million instructions a second,
    /// and the two must differ by a few of these, lest the noise of the start be seen.
    batches: [u64; 2],
    /// The most that roundel may take of what `tokio::main` takes: 0.45 or 0.65 was the aim, and what is above that is
    /// what was reached (DESIGN.md says what limits it).
    share: f64,
    /// The most instructions an operation that roundel may take: what it took when last looked at, and 5 %.
    limit: f64,
}

const fn counted(name: &'static str, batches: [u64; 2], share: f64, limit: f64) -> Counted {
    Counted { name, batches, share, limit }
}

const ROWS: [Counted; 12] = [
    counted("spawn_and_join", [1_000, 5_000], 0.45, 1378.0),
    counted("spawn_100000", [1, 2], 0.64, 1291.0),
    counted("yield_alone", [1_000, 11_000], 0.45, 267.0),
    counted("yield_among_1000", [1, 2], 0.48, 260.0),
    counted("ping_pong", [1, 11], 0.65, 268.0),
    counted("wake_10000", [1, 3], 0.65, 351.0),
    counted("far_sleep_dropped", [1_000, 21_000], 0.71, 439.0),
    counted("lock_uncontended", [1_000, 21_000], 0.65, 137.0),
    counted("lock_contended", [1, 2], 0.45, 1038.0),
    counted("semaphore", [1, 2], 0.65, 1002.0),
    counted("queue", [1, 3], 0.45, 190.0),
    counted("block_on_ready", [1_000, 11_000], 0.84, 653.0),
];

/// The share is of the second.
const PEERS: [&str; 5] = ["roundel", "tokio_main", "tokio_local", "tokio_set", "floor"];

fn known(row: &str) -> Row {
    rows::all().into_iter().find(|known| known.id == row).unwrap_or_else(|| panic!("there is no row {row}"))
}

/// Does so many batches of a row with one contender.
fn run(row: &str, peer: &str, batches: u64) {
    let contender = known(row).contenders.into_iter().find(|contender| contender.name == peer);
    let contender = contender.unwrap_or_else(|| panic!("{peer} has no part in {row}"));
    (contender.make)()(batches);
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    let value = |name: &str| args.iter().skip_while(|arg| *arg != name).nth(1);
    if let (Some(row), Some(peer), Some(times)) = (value("--row"), value("--peer"), value("--times")) {
        run(row, peer, times.parse().expect("--times is a number"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let is_wanted = |row: &&Counted| wanted.is_empty() || wanted.iter().any(|part| row.name.contains(*part));
    let rows: Vec<&Counted> = ROWS.iter().filter(is_wanted).collect();
    if rows.is_empty() {
        eprintln!("no row has one of {wanted:?} in its name. There are: {:?}", ROWS.map(|row| row.name));
        // A check of nothing is not passed.
        return if flag("--check") { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    // Under `cargo test` there is no `--bench`.
    if flag("--test") || !flag("--bench") {
        for row in rows {
            PEERS.iter().for_each(|peer| run(row.name, peer, 1));
        }
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: there is no valgrind here, which counts the instructions");
        return ExitCode::SUCCESS;
    }
    let (check, alone) = (flag("--check"), flag("--roundel-only"));
    let peers = match (check, alone) {
        (_, true) => &PEERS[..1],
        (true, _) => &PEERS[..2],
        _ => &PEERS[..],
    };
    let counts = count_all(&rows, peers);
    print_table(&rows, peers, &counts);
    let faults = faults(&rows, &counts);
    faults.iter().for_each(|fault| println!("{fault}"));
    ExitCode::from(u8::from((check || alone) && !faults.is_empty()))
}

/// The instructions an operation, for each row by each peer. A count is not disturbed by others beside
/// it, so each processor takes the next one until none is left.
fn count_all(rows: &[&Counted], peers: &[&str]) -> Vec<Vec<f64>> {
    let next = AtomicUsize::new(0);
    let count_some = || {
        let mut counts = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = rows.get(place / peers.len()) else { return counts };
            counts.push((place, count(row, peers[place % peers.len()])));
        }
    };
    let mut counts = vec![0.0; rows.len() * peers.len()];
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let counters: Vec<_> = (0..processors).map(|_| scope.spawn(count_some)).collect();
        for counter in counters {
            for (place, count) in counter.join().expect("valgrind counts") {
                counts[place] = count;
            }
        }
    });
    counts.chunks(peers.len()).map(<[f64]>::to_vec).collect()
}

fn count(row: &Counted, peer: &str) -> f64 {
    let [few, many] = row.batches;
    let more = total(row.name, peer, many) - total(row.name, peer, few);
    more as f64 / ((many - few) * known(row.name).operations) as f64
}

/// All instructions of one run, its start among them.
fn total(row: &str, peer: &str, times: u64) -> u64 {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(env::current_exe().expect("a program has a name"));
    let output = valgrind.args(["--row", row, "--peer", peer, "--times", &times.to_string()]).output();
    let output = output.expect("valgrind was there a moment ago");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{row} by {peer} under valgrind: {report}");
    // ==1234== Collected : 56789
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.unwrap_or_else(|| panic!("callgrind tells no count: {report}"));
    count.trim().parse().expect("a count is a number")
}

fn print_table(rows: &[&Counted], peers: &[&str], counts: &[Vec<f64>]) {
    let others: String = peers[1..].iter().map(|peer| format!(" of {peer} |")).collect();
    println!("| instructions | {} |{others} limit |", peers.join(" | "));
    println!("|---|{}", "---:|".repeat(2 * peers.len()));
    for (row, counts) in rows.iter().zip(counts) {
        let own = counts[0];
        print!("| {} |", row.name);
        counts.iter().for_each(|count| print!(" {count:.1} |"));
        counts[1..].iter().for_each(|other| print!(" {:.2} |", own / other));
        println!(" {:.0} |", row.limit);
    }
}

/// What is above its limit, or above its share of what `tokio_main` takes, where that was counted.
fn faults(rows: &[&Counted], counts: &[Vec<f64>]) -> Vec<String> {
    let mut faults = Vec::new();
    for (row, counts) in rows.iter().zip(counts) {
        let (name, own, limit) = (row.name, counts[0], row.limit);
        if own > limit {
            faults.push(format!("{name}: {own:.1} instructions are above the limit of {limit:.0}"));
        }
        if let Some(tokio) = counts.get(1)
            && own > tokio * row.share
        {
            let share = own / tokio;
            let peer = PEERS[1];
            faults.push(format!("{name}: {share:.2} of the count of {peer} is above the share of {}", row.share));
        }
    }
    faults
}
