//! The bug catalogue holds: `tests/CATALOGUE.md` has an answer for each of its rows, and every test that it
//! names is there.
//!
//! A row is `| T1 | what must not happen | tested | tests/timeouts.rs::the_longest_sleep, .. |`; its third word
//! is `tested`, with the tests in the fourth field, or `impossible` or `not applicable`, with the reason.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::{array, fs};

const SECTIONS: [(&str, usize); 7] = [("T", 40), ("K", 57), ("R", 42), ("S", 31), ("G", 12), ("B", 10), ("X", 3)];
const WORDS: [&str; 3] = ["tested", "impossible", "not applicable"];
/// Fewer letters than this say nothing.
const SHORTEST_REASON: usize = 30;

/// The rows of the catalogue as they should be, in order.
fn rows() -> impl Iterator<Item = String> {
    SECTIONS.into_iter().flat_map(|(letter, rows)| (1..=rows).map(move |row| format!("{letter}{row}")))
}

/// The fields of each line of the tables, without the tables' heads.
fn lines(catalogue: &str) -> Vec<[&str; 4]> {
    let is_rule = |line: &str| line.trim_start_matches(['|', ' ']).starts_with("--");
    let with_next = catalogue.lines().zip(catalogue.lines().skip(1).chain([""]));
    let bodies = with_next.filter(|(line, next)| !is_rule(line) && !is_rule(next)).map(|(line, _)| line.trim());
    let rows = bodies.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|line| {
        // What follows the third bar belongs to the last field, bars and all.
        let mut fields = line.splitn(4, '|').map(str::trim);
        array::from_fn(|_| fields.next().unwrap_or_default())
    })
    .collect()
}

/// What is wrong with the catalogue, and how many rows there are of each word. `read` gives the text of a file.
fn check(catalogue: &str, read: impl Fn(&str) -> Option<String>) -> (Vec<String>, [usize; 3]) {
    let (mut faults, mut counts) = (Vec::new(), [0; 3]);
    let lines = lines(catalogue);
    let there: Vec<&str> = lines.iter().map(|[row, ..]| *row).collect();
    let due: Vec<String> = rows().collect();
    faults.extend(due.iter().filter(|row| !there.contains(&row.as_str())).map(|row| format!("{row} is missing")));
    for (place, row) in there.iter().enumerate() {
        match due.iter().position(|due| due == row) {
            None => faults.push(format!("{row} is no row of the catalogue")),
            Some(_) if there[..place].contains(row) => faults.push(format!("{row} is there twice")),
            // The row before it in the file must come before it in the catalogue.
            Some(number) if place > 0 && due[number..].iter().any(|due| due == there[place - 1]) => {
                faults.push(format!("{row} is out of order"));
            }
            Some(_) => {}
        }
    }
    for [row, story, word, answer] in lines {
        let Some(kind) = WORDS.iter().position(|known| *known == word) else {
            faults.push(format!("{row} has the word {word:?}"));
            continue;
        };
        counts[kind] += 1;
        if story.is_empty() {
            faults.push(format!("{row} does not say what must not happen"));
        }
        if kind > 0 {
            if answer.len() < SHORTEST_REASON {
                faults.push(format!("{row} has no reason"));
            }
            continue;
        }
        // Tests stand between backticks, and so does code that a remark mentions: only the former have a file.
        let names: Vec<_> = answer.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")).collect();
        if names.is_empty() {
            faults.push(format!("{row} names no test"));
        }
        for (file, test) in names {
            let file = format!("{file}.rs");
            match read(&file) {
                None => faults.push(format!("{row}: there is no file {file}")),
                Some(text) if !has_test(&text, test) => faults.push(format!("{row}: {file} has no test {test}")),
                Some(text) if !mentions(&text, row) => faults.push(format!("{row} is not mentioned in {file}")),
                Some(_) => {}
            }
        }
    }
    (faults, counts)
}

/// Whether there is a function of that name under a `#[test]`, with nothing but attributes and comments between.
fn has_test(text: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('(')) {
            return is_test;
        }
        is_test = line == "#[test]" || is_test && (line.starts_with("#[") || line.starts_with("//"));
    }
    false
}

/// Whether a comment has the row as a word of its own.
fn mentions(text: &str, row: &str) -> bool {
    let comments = text.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| comment);
    comments.flat_map(|comment| comment.split(|c: char| !c.is_alphanumeric())).any(|word| word == row)
}

#[test]
fn every_row_of_the_bug_catalogue_has_its_answer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).ok();
    let (faults, counts) = check(&read("tests/CATALOGUE.md").unwrap(), read);
    for (word, count) in WORDS.iter().zip(counts) {
        println!("{count:4} {word}");
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_bad_catalogue_is_found_out() {
    let file = "// T1, T30: why\n#[test]\n#[cfg(unix)]\nfn good() {}\n\n#[test]\nfn other() {}\nfn aside() {}\n";
    let read = |name: &str| (name == "tests/a.rs").then(|| file.to_owned());
    let reason = "there is no such thing here, and never was";
    // All of them, each with a reason: nothing to find fault with.
    let good: Vec<String> = rows().map(|row| format!("| {row} | it breaks | not applicable | {reason} |")).collect();
    assert_eq!(good.len(), 195);
    assert_eq!(
        check(&format!("| # | a | b | c |\n|---|---|---|---|\n{}", good.join("\n")), read),
        (vec![], [0, 0, 195])
    );

    let with = |place: usize, line: &str| {
        let mut lines = good.clone();
        lines[place] = line.to_owned();
        check(&lines.join("\n"), read).0
    };
    let none: [&str; 0] = [];
    assert_eq!(with(0, "| T1 | it breaks | tested | `tests/a.rs::good` and `b` |"), none);
    assert_eq!(with(0, "| T1 | it breaks | tested | good |"), ["T1 names no test"]);
    assert_eq!(with(0, "| T1 | it breaks | tested | `tests/a.rs::goo` |"), ["T1: tests/a.rs has no test goo"]);
    assert_eq!(with(0, "| T1 | it breaks | tested | `tests/a.rs::aside` |"), ["T1: tests/a.rs has no test aside"]);
    assert_eq!(with(0, "| T1 | it breaks | tested | `tests/b.rs::good` |"), ["T1: there is no file tests/b.rs"]);
    assert_eq!(with(2, "| T3 | it breaks | tested | `tests/a.rs::other` |"), ["T3 is not mentioned in tests/a.rs"]);
    assert_eq!(with(0, "| T1 | it breaks | impossible | no |"), ["T1 has no reason"]);
    assert_eq!(with(0, &format!("| T1 | | impossible | {reason} |")), ["T1 does not say what must not happen"]);
    assert_eq!(with(0, &format!("| T1 | it breaks | hopeful | {reason} |")), ["T1 has the word \"hopeful\""]);
    assert_eq!(with(0, ""), ["T1 is missing"]);
    assert_eq!(with(1, &good[0]), ["T2 is missing", "T1 is there twice"]);
    assert_eq!(with(194, &good[194].replace("X3", "X4")), ["X3 is missing", "X4 is no row of the catalogue"]);
    let mut swapped = good.clone();
    swapped.swap(0, 1);
    assert_eq!(check(&swapped.join("\n"), read).0, ["T1 is out of order"]);
}
