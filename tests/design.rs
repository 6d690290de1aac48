//! DESIGN.md and README.md say what is so: the trace is a real one, and the tests they name exist.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use roundel::{Clock, Event, EventLoop, Observer, sleep, spawn};

/// Writes each event down as a line.
#[derive(Default)]
struct Notes(RefCell<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Spawned { task, by, .. } => format!("{task} is made by {by:?}"),
            Event::Woken { task, by } => format!("{task} is woken by {by:?}, and queued"),
            Event::PollStarted { task } => format!("{task} has its turn"),
            Event::Waiting { by, resource, .. } => format!("  {by:?} waits for: {:?}", resource.kind),
            Event::PollEnded { task, pending: true } => format!("{task} is pending"),
            Event::PollEnded { task, pending: false } => format!("{task} is ready"),
            Event::Finished { task, outcome } => format!("{task} is over: {outcome:?}"),
            Event::Fired { timers } => format!("the wheel hands out {timers} waker"),
            other => format!("{other:?}"),
        };
        self.0.borrow_mut().push(line);
    }
}

#[test]
fn the_trace_in_design_md_is_what_the_program_does() {
    let notes = Rc::new(Notes::default());
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).observer(notes.clone()).build().unwrap();
    event_loop.block_on(async {
        let child = spawn(async { sleep(Duration::from_secs(1)).await });
        child.await.unwrap();
    });
    let trace = notes.0.borrow().join("\n");
    let design = fs::read_to_string("DESIGN.md").unwrap();
    assert!(design.contains(&trace), "DESIGN.md must hold this trace:\n{trace}");
}

/// Every function marked `#[test]` in a folder.
fn test_names(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            test_names(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after_marks = text.split("#[test]").skip(1);
            names.extend(after_marks.filter_map(|code| {
                let name = code.split_once("fn ")?.1;
                Some(name.split_once('(')?.0.to_owned())
            }));
        }
    }
}

fn all_test_names() -> Vec<String> {
    let mut names = Vec::new();
    test_names(Path::new("tests"), &mut names);
    test_names(Path::new("runtime"), &mut names);
    names
}

#[test]
fn every_test_that_design_md_names_exists() {
    let names = all_test_names();
    let design = fs::read_to_string("DESIGN.md").unwrap();
    let promises = design.split("\n## ").find(|chapter| chapter.starts_with("Promises")).unwrap();
    let mut promised = 0;
    for row in promises.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let tests = row.trim_matches('|').rsplit('|').next().unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(names.iter().any(|known| known == name), "DESIGN.md names a test that does not exist: {name}");
            promised += 1;
        }
        assert!(tests.contains('`'), "a promise without a test: {row}");
    }
    assert!(promised >= 30, "the table of promises was not found whole: {promised}");
}

#[test]
fn every_test_that_a_test_files_table_names_exists() {
    let names = all_test_names();
    for entry in fs::read_dir("tests").unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for row in text.lines().filter_map(|line| line.strip_prefix("//! |")) {
            let Some(named) = row.trim_end_matches('|').rsplit('|').next() else { continue };
            for name in named
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '*')
                .filter(|word| word.matches('_').count() >= 3 && !word.contains('*'))
            {
                let known = names.iter().any(|known| known == name);
                assert!(known, "{} names a test that does not exist: {name}", path.display());
            }
        }
    }
}
