//! `--explore` and `--replay SCHEDULE`: the example's programs under every order of their tasks, or under one.
//!
//!   bank --explore                        runs each of its programs under every order, and tells how they end
//!   bank --replay unlocked:0.1.0.1.2.3    runs one of them again under this order, and shows what it prints
//!
//! With `--record FILE` the run of the replay, or of the shortest schedule that fails, is recorded.
//!
//! An example has one program or several, each with a name; of one, the name may be left out. They are small: three
//! workers where the example has a hundred, for the number of orders grows fast.

use std::cell::Cell;
use std::fmt::Debug;
use std::path::Path;
use std::process;
use std::rc::Rc;

use clap::{Arg, ArgAction, ArgMatches};
use roundel::study::{Explore, note};

use super::record::Saved;
use super::{Flags, example, heading, refuse};

/// What is to be done instead of running the example.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Explore,
    /// The name of a program, if one was given, and the schedule.
    Replay(Option<&'static str>, &'static str),
}

/// The flags themselves.
pub(crate) fn flags() -> [Arg; 2] {
    let explore = "Runs each of the example's programs, made small, under every order of its tasks";
    let replay = "Runs one of them again under the order that --explore printed";
    [
        Arg::new("explore").long("explore").action(ArgAction::SetTrue).help(explore).conflicts_with("replay"),
        Arg::new("replay").long("replay").value_name("[PROGRAM:]SCHEDULE").help(replay),
    ]
}

/// What the command line said.
pub(crate) fn wish(matches: &ArgMatches) -> Option<Wish> {
    let Some(words) = matches.get_one::<String>("replay") else {
        return matches.get_flag("explore").then_some(Wish::Explore);
    };
    // It lives as long as the flags do, which is as long as the program.
    let words: &'static str = words.clone().leak();
    Some(match words.split_once(':') {
        Some((name, schedule)) => Wish::Replay(Some(name), schedule),
        None => Wish::Replay(None, words),
    })
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether the program is one of a thousand runs, whose words nobody wants to read.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.get()
}

/// Prints a line of an example's program, and tells it to whoever records the run; but not while it is explored.
#[allow(unused_macros)]
macro_rules! say {
    ($($words:tt)*) => {
        if !$crate::support::explore::is_quiet() {
            $crate::support::explore::say_aloud(&format!($($words)*));
        }
    };
}

pub(crate) fn say_aloud(words: &str) {
    println!("{words}");
    note(words);
}
#[allow(unused_imports)]
pub(crate) use say;

impl Flags {
    /// Explores the example's programs, or runs one again, if the command line says so. True if it did.
    pub(crate) fn study(&self, programs: impl FnOnce(&mut Study)) -> bool {
        let Some(wish) = self.wish else { return false };
        let mut study = Study { seed: self.seed, record: self.record, programs: Vec::new() };
        programs(&mut study);
        match wish {
            Wish::Explore => study.programs.into_iter().for_each(|(name, program)| program(name, None)),
            Wish::Replay(wanted, schedule) => study.replay(wanted, schedule),
        }
        true
    }

    /// Ends the program if it is to be explored, which it cannot be.
    pub(crate) fn refuse_to_explore(&self, why: &str) {
        if self.wish.is_some() {
            refuse(&format!("{} cannot be explored: {why}", example()));
        }
    }
}

/// An example's programs.
pub(crate) struct Study {
    pub(crate) seed: u64,
    record: Option<&'static Path>,
    programs: Vec<(&'static str, Program)>,
}

/// Explores what has this name, or runs it again under a schedule.
type Program = Box<dyn FnOnce(&str, Option<&str>)>;

impl Study {
    /// Adds a program, with what is to be explored of it and what is expected.
    pub(crate) fn program<T, F>(
        &mut self,
        name: &'static str,
        explore: Explore<T>,
        program: impl FnMut() -> F + 'static,
    ) where
        T: Ord + Debug + 'static,
        F: Future<Output = T>,
    {
        let record = self.record;
        let run = move |name: &str, schedule: Option<&str>| match schedule {
            None => explore_program(name, explore, program, record),
            Some(schedule) => replay_program(schedule, recorded(explore, record, schedule), program),
        };
        self.programs.push((name, Box::new(run)));
    }

    fn replay(self, wanted: Option<&str>, schedule: &str) {
        let names = self.programs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if let Some(nobody) = wanted.filter(|wanted| self.programs.iter().all(|(name, _)| name != wanted)) {
            refuse(&format!("{nobody:?} is no program of {}; here is {names}", example()));
        }
        let mut wanted_ones = self.programs.into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
        match (wanted_ones.next(), wanted_ones.next()) {
            (Some((name, program)), None) => program(name, Some(schedule)),
            _ => refuse(&format!("say which program it is of, by --replay PROGRAM:{schedule}; here is {names}")),
        }
    }
}

/// With `--record`, the run of the shortest schedule that fails is recorded.
fn explore_program<T, F>(name: &str, explore: Explore<T>, mut program: impl FnMut() -> F, record: Option<&'static Path>)
where
    T: Ord + Debug,
    F: Future<Output = T>,
{
    heading(name);
    IS_QUIET.set(true);
    let exploration = explore.run(&mut program);
    IS_QUIET.set(false);
    println!("{exploration}");
    let schedule = exploration.schedule();
    if let Some(schedule) = schedule.filter(|schedule| schedule.len() < 200) {
        println!("to see it: cargo run --example {} -- --replay {name}:{schedule}", example());
    }
    match (schedule, record) {
        (Some(schedule), Some(_)) => {
            // Of a long one the beginning is enough to tell it by.
            let shown = &schedule[..schedule.len().min(200)];
            let again = recorded(explore, record, shown).replay(schedule, program);
            again.expect("the exploration has run it again itself");
        }
        (None, Some(_)) => eprintln!("nothing is recorded of {name}: no schedule of it fails"),
        (_, None) => {}
    }
}

/// Has a replay recorded, if that was asked for.
fn recorded<T>(explore: Explore<T>, file: Option<&'static Path>, schedule: &str) -> Explore<T> {
    match file {
        Some(file) => explore.observer(Rc::new(Saved::new(file, &format!("{}, {}", example(), titled(schedule))))),
        None => explore,
    }
}

fn titled(schedule: &str) -> String {
    if schedule.is_empty() {
        return "the empty schedule (first in, first out)".to_owned();
    }
    format!("schedule {schedule} (0 is task 1)")
}

/// Ends with status 1 if the run fails.
fn replay_program<T, F>(schedule: &str, explore: Explore<T>, program: impl FnMut() -> F)
where
    T: Debug,
    F: Future<Output = T>,
{
    match explore.replay(schedule, program) {
        // Of no run, no file is written: this ends the program, and drops nothing.
        Err(error) => refuse(&error.to_string()),
        Ok(run) => {
            drop(explore);
            println!("{run}");
            if run.result.is_err() {
                process::exit(1);
            }
        }
    }
}
