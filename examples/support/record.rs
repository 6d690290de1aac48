//! `--record FILE`: what the example's loop does, written to FILE when the loop is gone.
//!
//!   hello --record hello.svg    a picture, for a browser
//!   hello --record hello.html   a page to step through, for a browser
//!   hello --record hello.json   for ui.perfetto.dev or chrome://tracing
//!
//! An example that makes several loops writes a file for each: FILE, then FILE-2, FILE-3 with the same ending.
//! One that cannot write what it was asked for ends there, with status 1.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::rc::Rc;
use std::thread;

use clap::{Arg, ArgMatches, value_parser};
use roundel::study::{Recorder, Recording};
use roundel::{Builder, Event, Observer};

use super::example;

/// The flag itself. A file that cannot be written is refused before the program begins.
pub(crate) fn flag() -> Arg {
    let help = "Writes what the loop does to FILE, which ends in .svg, .html or .json; of a second loop to FILE-2, and so \
                on. A large example then plays smaller";
    Arg::new("record").long("record").value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
}

/// What the command line said. Ends the program if nothing could be written there.
pub(crate) fn target(matches: &ArgMatches) -> Option<&'static Path> {
    let path: &PathBuf = matches.get_one("record")?;
    if let Err(error) = Recording::check_name(path).and_then(|()| try_to_write(path)) {
        refuse(&format!("{}: {error}", path.display()));
    }
    // It lives as long as the flags do, which is as long as the program.
    Some(Box::leak(path.clone().into_boxed_path()))
}

/// Ends the program, as clap does.
pub(crate) fn refuse(why: &str) -> ! {
    super::refuse(&format!("--record {why}"))
}

/// Leaves everything as it was.
fn try_to_write(path: &Path) -> io::Result<()> {
    // Not there either is what a link leads to that leads nowhere.
    let new = !path.exists();
    OpenOptions::new().append(true).create(true).open(path)?;
    // Of a link, the file is removed and not the link.
    if new { fs::remove_file(path.canonicalize()?) } else { Ok(()) }
}

/// Ends the program, which has not done what it was asked for; a panic that is under way does so itself.
fn fail(why: &str) {
    eprintln!("error: {why}");
    if !thread::panicking() {
        process::exit(1);
    }
}

/// Writes a picture that is no recording beside FILE, if one was asked for: to FILE-WORD.svg.
pub(crate) fn beside(file: Option<&Path>, word: &str, picture: impl FnOnce() -> String) {
    let Some(file) = file else { return };
    let path = file.with_file_name(format!("{}-{word}.svg", file.file_stem().unwrap_or_default().to_string_lossy()));
    match fs::write(&path, picture()) {
        Ok(()) => eprintln!("drawn: {}", path.display()),
        Err(error) => fail(&format!("nothing is drawn: {}: {error}", path.display())),
    }
}

/// Has the loop that is built recorded, if that was asked for.
pub(crate) fn watched(builder: Builder, file: Option<&Path>, title: &str) -> Builder {
    match file {
        Some(file) => builder.observer(Rc::new(Saved::new(file, title))),
        None => builder,
    }
}

/// Writes its recording when it is dropped: with its loop, whatever way that ends.
pub(crate) struct Saved {
    pub(crate) recorder: Recorder,
    file: PathBuf,
}

impl Saved {
    pub(crate) fn new(file: &Path, title: &str) -> Saved {
        thread_local! {
            static BEFORE: Cell<u32> = const { Cell::new(0) };
        }
        let number = BEFORE.get() + 1;
        BEFORE.set(number);
        let title = if title.is_empty() { example() } else { title.to_owned() };
        Saved { recorder: Recorder::whole().titled(&title), file: numbered(file, number) }
    }
}

/// `run.svg`, `run-2.svg`, `run-3.svg`.
fn numbered(file: &Path, number: u32) -> PathBuf {
    let (Some(stem), Some(ending)) = (file.file_stem(), file.extension()) else { return file.to_owned() };
    if number == 1 {
        return file.to_owned();
    }
    file.with_file_name(format!("{}-{number}.{}", stem.to_string_lossy(), ending.to_string_lossy()))
}

impl Observer for Saved {
    fn event(&self, event: &Event<'_>) {
        self.recorder.event(event);
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        let recording = self.recorder.recording();
        match recording.save(&self.file) {
            Ok(()) => eprintln!("recorded {} steps: {}", recording.steps.len(), self.file.display()),
            Err(error) => fail(&format!("nothing is recorded: {}: {error}", self.file.display())),
        }
    }
}
