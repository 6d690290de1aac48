//! What every example shares: its flags, a loop made after them, and headings for what is printed.
//!
//!   --clock real|virtual   the loop's clock: real waits; virtual jumps, and prints the same in every run
//!   --seed N               starts whatever is random
//!   --explore, --replay SCHEDULE   its programs under every order of their tasks, or under one; see explore.rs
//!   --record FILE          writes what the loop does to FILE: .svg, .html or .json; see record.rs
//!
//! A heading between dashes begins lines that are the same in every run on the virtual clock, and a
//! heading between tildes lines that differ, because threads or the machine's own time decide them.
//! `tests/examples.rs` compares the first kind with `tests/golden/`; the second checks itself.

// Each example compiles this file and uses a part of it.
#![allow(dead_code)]

pub(crate) mod explore;
pub(crate) mod record;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use roundel::{Builder, Clock, EventLoop};

/// What the command line said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) virtual_clock: bool,
    pub(crate) seed: u64,
    /// What is to be done instead of running the example.
    pub(crate) wish: Option<explore::Wish>,
    /// Where the loops are recorded to.
    pub(crate) record: Option<&'static Path>,
}

impl Flags {
    /// The flags of this program. Ends it, with an explanation, if they make no sense.
    pub(crate) fn parse() -> Flags {
        Flags::from_matches(&command().get_matches())
    }

    pub(crate) fn from_matches(matches: &ArgMatches) -> Flags {
        Flags {
            virtual_clock: matches.get_one::<String>("clock").is_some_and(|clock| clock == "virtual"),
            seed: matches.get_one("seed").copied().unwrap_or(1),
            wish: explore::wish(matches),
            record: record::target(matches),
        }
    }

    /// A loop on the clock that was asked for.
    pub(crate) fn event_loop(self) -> EventLoop {
        self.event_loop_titled("")
    }

    /// The same, with a line that says what it does, for whoever sees it recorded.
    pub(crate) fn event_loop_titled(self, title: &str) -> EventLoop {
        self.builder_titled(title).build().expect("the system has descriptors left for a loop")
    }

    /// The same, for who wants more of it.
    pub(crate) fn builder(self) -> Builder {
        self.builder_titled("")
    }

    fn builder_titled(self, title: &str) -> Builder {
        let clock = if self.virtual_clock { Clock::virtual_time() } else { Clock::real() };
        record::watched(EventLoop::builder().clock(clock), self.record, title)
    }

    /// `few` where it is recorded, since nobody can read a picture of thousands; else `all`.
    pub(crate) fn fewer(self, all: usize, few: usize) -> usize {
        if self.record.is_some() { all.min(few) } else { all }
    }

    /// How long a thread sleeps where a task sleeps `duration`. Threads know no virtual clock: beside
    /// one they sleep a twentieth of it, by the machine's clock, so that nobody has to wait.
    pub(crate) fn for_threads(self, duration: Duration) -> Duration {
        if self.virtual_clock { duration / 20 } else { duration }
    }
}

/// The flags that all examples have; one that needs more adds them.
pub(crate) fn command() -> Command {
    let clock = Arg::new("clock").long("clock").value_parser(["real", "virtual"]).default_value("real");
    let seed = Arg::new("seed").long("seed").value_name("N").value_parser(value_parser!(u64)).default_value("1");
    Command::new("example")
        .arg(clock.help("The loop's clock: wait, or jump to the next deadline"))
        .arg(seed.help("Starts whatever is random"))
        .args(explore::flags())
        .arg(record::flag())
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The example's own name.
pub(crate) fn example() -> String {
    let path = env::args_os().next().map(PathBuf::from);
    path.and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).unwrap_or_default()
}

/// Ends the program, as clap does.
pub(crate) fn refuse(why: &str) -> ! {
    eprintln!("error: {why}");
    process::exit(2)
}

/// Begins lines that are the same in every run on the virtual clock.
pub(crate) fn heading(title: &str) {
    println!("--- {title} ---");
}

/// Begins lines that differ from run to run.
pub(crate) fn heading_of_what_varies(title: &str) {
    println!("~~~ {title} ~~~");
}

/// The memory this process has in RAM, in bytes; `None` where the system has no `/proc`.
pub(crate) fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
