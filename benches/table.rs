//! How do we stand? Every row on every contender, in one run of about a minute, as a table and a chart.
//!
//! ```sh
//! cargo bench --bench table                        # all rows
//! cargo bench --bench table -- yield lock          # those with one of the words in their names
//! cargo bench --bench table -- --svg chart.svg     # the chart there, and not in target/table.svg
//! ```
//!
//! The contenders of a row take turns: each does its part once in every round, and in every round another
//! is first, so that whatever the machine does meanwhile falls on all. A part is long enough for a clock to be
//! no part of it; the figure is the median of its rounds. The process keeps itself on one core, threads that
//! it starts among it.
//!
//! The figures are nanoseconds an operation, or bytes. Where a runtime can be used in several ways, `tokio`
//! above all, the quickest by the row's medians is shown; `support/mod.rs` says which there are, and `rows/`
//! what each row leaves out. A dash means that a contender has no means for the row.
//!
//! What it leaves out: how sure a figure is. The other benches ask criterion, which tells; here look at two runs.

#[path = "support/chart.rs"]
mod chart;
mod rows;
mod support;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant, SystemTime};

use support::{
    Contender, Row, Sampler, median, only_a_test, pin_to_one_core, say_if_unknown, say_what_there_is, with_digits,
};

const ROUNDS: usize = 15;
/// As long as a part takes at least, unless one batch takes longer.
const PART: Duration = Duration::from_millis(8);

fn main() {
    let core = pin_to_one_core();
    let test = only_a_test();
    let (words, svg) = arguments();
    let chosen = |row: &Row| words.is_empty() || words.iter().any(|word| row.names_contain(word));
    let rows = rows::all();
    if !rows.iter().any(chosen) {
        say_what_there_is(&words, rows.iter().map(|row| row.title));
        return;
    }
    // Asked for before the minutes are spent.
    if let Some(svg) = &svg
        && let Err(error) = fs::write(svg, "")
    {
        eprintln!("no chart can be written to {}: {error}", svg.display());
        process::exit(1);
    }
    print_head(core);
    let mut figures = Vec::new();
    for row in rows.into_iter().filter(chosen) {
        let taken = Figures::take(&row, test);
        println!("{}", taken.to_line());
        figures.push(taken);
    }
    let Some(svg) = svg.filter(|_| !test) else { return };
    let lines: Vec<_> = figures.iter().map(Figures::to_chart).collect();
    chart::draw(&svg, &lines).expect("the chart can be written");
    println!("\nchart: {}", svg.display());
}

/// The words that choose rows, and where the chart goes: nowhere if it would be one of some rows, unasked.
fn arguments() -> (Vec<String>, Option<PathBuf>) {
    let (mut words, mut svg) = (Vec::new(), None);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--svg" => match arguments.next() {
                Some(path) if !path.starts_with("--") => svg = Some(path.into()),
                _ => {
                    eprintln!("--svg wants the path of the chart behind it");
                    process::exit(1);
                }
            },
            flag if flag.starts_with("--") => say_if_unknown(flag, "words of rows, --svg PATH"),
            word => words.push(word.to_owned()),
        }
    }
    // cargo runs a bench in the directory of its package.
    let all = words.is_empty().then(|| PathBuf::from("target/table.svg"));
    (words, svg.or(all))
}

fn print_head(core: usize) {
    println!("{}, core {core} of {}", today(), processor());
    let peers = ["tokio", "async-executor", "async-io", "async-lock", "async-channel", "blocking", "futures", "mio"];
    println!("{}", peers.map(|name| format!("{name} {}", version(name))).join(", "));
    println!("ns per operation, or bytes; median of {ROUNDS} rounds; floor: the least code that does it by hand\n");
    println!(
        "| row | roundel | tokio | `tokio::main` | smol | `LocalPool` | floor | to tokio | to `tokio::main` | to floor |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
}

/// Year, month and day, of Greenwich.
fn today() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970");
    let (mut days, mut year) = (since.as_secs() / 86_400, 1970);
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("a processor that tells no name".to_owned(), |(_, name)| name.to_owned())
}

/// What cargo has built it with.
fn version(name: &str) -> &'static str {
    let package = format!("name = \"{name}\"\nversion = \"");
    let rest = include_str!("../Cargo.lock").split_once(&package).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_once('"')).map_or("?", |(version, _)| version)
}

/// What an operation took with everyone who can do it.
struct Figures {
    title: &'static str,
    medians: Vec<(&'static str, f64)>,
}

impl Figures {
    fn take(row: &Row, test: bool) -> Figures {
        let mut parts: Vec<_> = row.contenders.iter().map(|contender| Part::prepare(contender, test)).collect();
        // A count is the same every time.
        let rounds = if test || row.group == "memory" { 1 } else { ROUNDS };
        for round in 0..rounds {
            for n in 0..parts.len() {
                let turn = (round + n) % parts.len();
                parts[turn].sample();
            }
        }
        let medians = parts.into_iter().map(|part| (part.name, median(part.figures) / row.operations as f64));
        Figures { title: row.title, medians: medians.collect() }
    }

    fn of(&self, name: &str) -> Option<f64> {
        self.medians.iter().find(|(contender, _)| *contender == name).map(|(_, median)| *median)
    }

    /// The quickest of the ways to use one runtime.
    fn best_of(&self, names: [&str; 2]) -> Option<f64> {
        names.into_iter().filter_map(|name| self.of(name)).reduce(f64::min)
    }

    /// In the order of the columns.
    fn of_others(&self) -> [Option<f64>; 5] {
        let tokio = self.best_of(["tokio_local", "tokio_set"]);
        let smol = self.best_of(["smol", "smol_root"]);
        let local_pool = self.best_of(["local_pool", "local_pool_root"]);
        [tokio, self.of("tokio_main"), smol, local_pool, self.of("floor")]
    }

    fn to_line(&self) -> String {
        let roundel = self.of("roundel").expect("we are in every row");
        let others = self.of_others();
        let [tokio, main, .., floor] = others;
        let figure = |figure: Option<f64>| figure.map_or("-".to_owned(), with_digits);
        let ratio = |other: Option<f64>| other.map_or("-".to_owned(), |other| format!("{:.2}", roundel / other));
        let figures = [Some(roundel)].into_iter().chain(others).map(figure).collect::<Vec<_>>().join(" | ");
        let ratios = [tokio, main, floor].map(ratio).join(" | ");
        format!("| {} | {figures} | {ratios} |", self.title)
    }

    fn to_chart(&self) -> chart::Line {
        let [tokio, main, smol, local_pool, floor] = self.of_others();
        let tokio = tokio.expect("tokio is in every row");
        let others = [floor, local_pool, smol, main].map(|other| other.map(|figure| figure / tokio));
        let roundel = self.of("roundel").expect("we are in every row") / tokio;
        chart::Line { title: self.title, roundel, others }
    }
}

/// One contender's samples of a row.
struct Part {
    name: &'static str,
    sampler: Sampler,
    batches: u64,
    figures: Vec<f64>,
}

impl Part {
    fn prepare(contender: &Contender, test: bool) -> Part {
        let mut sampler = (contender.make)();
        let batches = if test { 1 } else { enough(&mut sampler) };
        Part { name: contender.name, sampler, batches, figures: Vec::new() }
    }

    fn sample(&mut self) {
        self.figures.push((self.sampler)(self.batches) / self.batches as f64);
    }
}

/// Warms up, until it is known how many batches take long enough.
fn enough(sampler: &mut Sampler) -> u64 {
    let mut batches = 1;
    loop {
        let begun = Instant::now();
        sampler(batches);
        let took = begun.elapsed();
        if took >= PART {
            return batches;
        }
        let missing = PART.as_secs_f64() / took.as_secs_f64().max(1e-6);
        batches = (batches as f64 * missing.clamp(1.2, 10.0)).ceil() as u64;
    }
}
