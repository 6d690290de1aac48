//! The house stands as its plan says: files import from lower floors only, there are no circles, one
//! `unsafe`, and mio stays in its rooms. The files are read as text, so a slip is named by file and line.
//!
//! | rule | test |
//! |---|---|
//! | the house as it is obeys every rule | the_house_stands |
//! | no upward import, no unlisted one on the same floor | an_import_from_a_higher_floor_is_found |
//! | no circle | a_circle_is_found |
//! | one `unsafe`, in waker.rs | a_second_unsafe_is_found |
//! | mio in reactor.rs and net/ only | mio_outside_its_rooms_is_found |
//! | locks and atomics from locks.rs only | a_lock_from_elsewhere_is_found |
//! | no leave to import that nobody uses | a_leave_that_nobody_uses_is_found |
//! | every file has a floor, and every room its file | a_file_on_no_floor_is_found; a_missing_room_is_found |
//! | comments, strings and test modules do not count | what_is_no_code_is_not_read |
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The plan of the house, lowest floor first.
const FLOORS: [&[&str]; 8] = [
    &["arena", "wakers", "keep", "observer", "clock", "quietly", "locks"],
    &[
        "task_queue",
        "inbox",
        "arrivals",
        "reactor",
        "timer_wheel",
        "wait_list",
        "pool",
        "order",
        "join_error",
        "study/census",
        "study/words",
    ],
    &["task", "answer", "study/deadlock"],
    &["join_handle", "home", "waker"],
    &["scheduler", "driver", "study/watchdog"],
    &["context", "study/inquest", "study/warnings", "event_loop", "builder"],
    &["spawn", "time", "net", "gather", "as_completed", "group", "thread", "handle"],
    &["study"],
];

/// Who may import from the same floor, and what.
const NEIGHBOURS: &[(&str, &[&str])] = &[
    ("waker", &["home"]),
    ("join_handle", &["home"]),
    ("event_loop", &["context", "study/inquest"]),
    ("builder", &["context", "event_loop", "study/inquest", "study/warnings"]),
    ("study/inquest", &["context"]),
    ("handle", &["spawn"]),
    ("observer", &["clock"]),
    ("study/census", &["study/words"]),
    ("keep", &["locks"]),
];

/// Rooms beside the stairs, and all that they may import: they run under any executor.
const BESIDE: &[(&str, &[&str])] =
    &[("sync", &["wait_list", "keep", "observer"]), ("yield_now", &["observer"]), ("generator", &[])];

/// The top floor but one, whose rooms may use those beside the stairs.
const USERS: usize = 6;

/// Where mio may be named.
const ROOMS_OF_MIO: &[&str] = &["reactor", "net"];

/// Where the one `unsafe` is.
const ROOM_OF_UNSAFE: &str = "waker";

/// What two threads share comes through one door, behind which a model can put its own.
const ROOM_OF_LOCKS: &str = "locks";
const LOCKS: [&str; 6] = ["atomic", "Barrier", "Condvar", "mpsc", "Mutex", "RwLock"];

/// Rooms without which this is another house.
const MUST_EXIST: &[&str] = &[
    "arena",
    "locks",
    "observer",
    "clock",
    "task_queue",
    "reactor",
    "timer_wheel",
    "wait_list",
    "order",
    "waker",
    "task",
    "scheduler",
    "driver",
    "context",
    "event_loop",
    "spawn",
    "time",
    "net",
    "gather",
    "group",
    "thread",
    "handle",
    "sync",
    "yield_now",
    "generator",
];

/// Sources by their path below `runtime/`.
type House = BTreeMap<String, String>;

#[test]
fn the_house_stands() {
    let mut house = House::new();
    read_all(Path::new("runtime"), Path::new("runtime"), &mut house);
    let mut faults = inspect(&house);
    faults.extend(missing_rooms(&house));
    faults.extend(unused_leaves(&house));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn read_all(top: &Path, folder: &Path, house: &mut House) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(top, &path, house);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            house.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Every fault of the house, each with its file and line.
fn inspect(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    let mut imports = Vec::new();
    let mut unsafes = Vec::new();
    for (file, source) in house {
        let code = code_of(source);
        let room = room_of(file);
        let place = |line: usize| format!("runtime/{file}:{line}");
        if room != "lib" && floor_of(room).is_none() && beside(room).is_none() {
            faults.push(format!("{}: is on no floor: give it one in tests/floors.rs", place(1)));
        }
        for (line, text) in code.lines().enumerate().map(|(line, text)| (line + 1, text)) {
            if words(text).any(|word| word == "mio") && !ROOMS_OF_MIO.contains(&room) {
                faults.push(format!("{}: names mio, which only {ROOMS_OF_MIO:?} may", place(line)));
            }
            if text.contains("std::sync") && words(text).any(|word| LOCKS.contains(&word)) && room != ROOM_OF_LOCKS {
                faults.push(format!("{}: takes a lock from elsewhere than {ROOM_OF_LOCKS}.rs", place(line)));
            }
            for word in words(text) {
                if word == "unsafe" {
                    unsafes.push((room, place(line)));
                }
                if word == "fn" && room == "lib" {
                    faults.push(format!("{}: the front door has no bodies", place(line)));
                }
            }
        }
        for (line, target) in imports_of(&code, stem_of(file)) {
            if !may_import(room, &target) {
                faults.push(format!("{}: {room} may not import {}", place(line), room_of(&target)));
            }
            imports.push((stem_of(file).to_owned(), file_meant(house, &target), place(line)));
        }
    }
    let mut in_its_room = unsafes.iter().filter(|(room, _)| *room == ROOM_OF_UNSAFE);
    let allowed = in_its_room.next();
    for found in unsafes.iter().filter(|&found| Some(found) != allowed) {
        faults.push(format!("{}: `unsafe`, of which there is one, in {ROOM_OF_UNSAFE}.rs", found.1));
    }
    faults.extend(circle_in(&imports));
    faults
}

fn missing_rooms(house: &House) -> Vec<String> {
    let rooms: BTreeSet<&str> = house.keys().map(|file| room_of(file)).collect();
    let missing = MUST_EXIST.iter().filter(|room| !rooms.contains(*room));
    missing.map(|room| format!("runtime/{room}.rs is missing")).collect()
}

/// Leaves to import on one's own floor, or from beside the stairs, that nobody makes use of.
fn unused_leaves(house: &House) -> Vec<String> {
    let mut used = BTreeSet::new();
    for (file, source) in house {
        let targets = imports_of(&code_of(source), stem_of(file));
        used.extend(targets.iter().map(|(_, target)| (room_of(file).to_owned(), room_of(target).to_owned())));
    }
    let leaves = NEIGHBOURS.iter().chain(BESIDE).flat_map(|(room, targets)| targets.iter().map(move |to| (*room, *to)));
    let unused = leaves.filter(|&(room, target)| !used.contains(&(room.to_owned(), target.to_owned())));
    unused.map(|(room, target)| format!("{room} may import {target}, and does not: take the leave away")).collect()
}

/// The name of `net/tcp.rs` is `net/tcp`, that of `net/mod.rs` is `net`.
fn stem_of(file: &str) -> &str {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    stem.strip_suffix("/mod").unwrap_or(stem)
}

/// Of the path `net/tcp/TcpStream` the file `net/tcp.rs` if there is one, else `net`: the rest names an
/// item in it.
fn file_meant(house: &House, path: &str) -> String {
    let known = |path: &str| house.keys().any(|file| stem_of(file) == path);
    match path.rsplit_once('/') {
        Some((shorter, _)) if !known(path) => file_meant(house, shorter),
        _ => path.to_owned(),
    }
}

/// `net/tcp.rs` belongs to the room `net`; but a file that has a floor of its own is a room by itself.
fn room_of(file: &str) -> &str {
    let own = FLOORS.iter().copied().flatten().find(|room| {
        room.contains('/')
            && file.strip_prefix(**room).is_some_and(|rest| rest.is_empty() || !rest.starts_with(char::is_alphanumeric))
    });
    if let Some(own) = own {
        return own;
    }
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

fn beside(room: &str) -> Option<&'static [&'static str]> {
    BESIDE.iter().find(|(name, _)| *name == room).map(|(_, imports)| *imports)
}

fn may_import(room: &str, target: &str) -> bool {
    let target = room_of(target);
    if room == "lib" || room == target {
        return true;
    }
    if let Some(imports) = beside(room) {
        return imports.contains(&target);
    }
    let Some(floor) = floor_of(room) else { return false };
    if beside(target).is_some() {
        return floor >= USERS;
    }
    match floor_of(target) {
        None => false,
        Some(below) if below == floor => {
            NEIGHBOURS.iter().any(|(name, imports)| *name == room && imports.contains(&target))
        }
        Some(other) => other < floor,
    }
}

/// The paths that the code of `stem` names by `crate::` or `super::`, by their first two names, with
/// the lines where it does.
fn imports_of(code: &str, stem: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            // `$crate` stands for whoever uses a macro; `super::super::` is taken at its first word.
            if before.is_some_and(|c| c == '$' || c == ':' || c.is_alphanumeric() || c == '_') {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            let mut rest = &code[at + root.len()..];
            let mut folder = if root == "crate::" { None } else { stem.rsplit_once('/').map(|(folder, _)| folder) };
            while let Some(up) = rest.strip_prefix("super::") {
                folder = folder.and_then(|folder| folder.rsplit_once('/')).map(|(folder, _)| folder);
                rest = up;
            }
            // `super::*` in a module inside a file names that file; a glob above a file would name no file.
            for path in paths(rest).into_iter().filter(|path| !path.is_empty()) {
                found.push((line, folder.map_or(path.clone(), |folder| format!("{folder}/{path}"))));
            }
        }
    }
    found
}

/// Of `a::b::c` it is `a/b`, of `{a, b::{c, d}}` they are `a` and `b`.
fn paths(path: &str) -> Vec<String> {
    let Some(group) = path.trim_start().strip_prefix('{') else { return vec![first_two(path)] };
    let mut depth = 0;
    let mut found = Vec::new();
    let mut expects = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            c if expects && (c.is_alphabetic() || c == '_') => {
                found.push(first_two(&group[at..]));
                expects = false;
            }
            _ => {}
        }
    }
    found
}

fn first_two(path: &str) -> String {
    let name = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
    let first = name(path);
    match path[first.len()..].strip_prefix("::").map(name) {
        Some(second) if !second.is_empty() => format!("{first}/{second}"),
        _ => first,
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// A way round, if the imports hold one.
fn circle_in(imports: &[(String, String, String)]) -> Option<String> {
    let files: BTreeSet<&str> = imports.iter().map(|(from, _, _)| from.as_str()).collect();
    // A file that reaches itself is on a circle; the houses are small enough to try each.
    for start in files {
        let mut way: Vec<(&str, Option<(usize, &str)>)> = vec![(start, None)];
        let mut seen = BTreeSet::new();
        let mut position = 0;
        while position < way.len() {
            let (file, _) = way[position];
            for (_, to, place) in imports.iter().filter(|(from, to, _)| from == file && from != to) {
                if to == start {
                    let mut steps = vec![format!("{file} imports {start} ({place})")];
                    let mut back = position;
                    while let (here, Some((from, place))) = way[back] {
                        steps.push(format!("{} imports {here} ({place})", way[from].0));
                        back = from;
                    }
                    steps.reverse();
                    return Some(format!("a circle: {}", steps.join(", ")));
                }
                if seen.insert(to.as_str()) {
                    way.push((to, Some((position, place.as_str()))));
                }
            }
            position += 1;
        }
    }
    None
}

/// The source with comments, strings and test modules blanked out, line by line where it was.
fn code_of(source: &str) -> String {
    without_tests(&without_words(source))
}

/// Blanks comments, strings and characters.
fn without_words(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            '/' if bytes.get(at + 1) == Some(&'/') => end_of_line(&bytes, at),
            '/' if bytes.get(at + 1) == Some(&'*') => end_of_comment(&bytes, at),
            '"' => end_of_string(&bytes, at),
            'r' if !after_word(&bytes, at) => end_of_raw_string(&bytes, at).unwrap_or(at),
            '\'' => end_of_character(&bytes, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            code.push(bytes[at]);
            at += 1;
            continue;
        }
        // Lines stay where they are.
        code.extend(bytes[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

fn after_word(bytes: &[char], at: usize) -> bool {
    // `br"..."` and `cr"..."` are raw strings too.
    let mut before = bytes[..at].iter().rev();
    match before.next() {
        Some('b' | 'c') => before.next().is_some_and(|c| c.is_alphanumeric() || *c == '_'),
        Some(c) => c.is_alphanumeric() || *c == '_',
        None => false,
    }
}

fn end_of_line(bytes: &[char], at: usize) -> usize {
    bytes[at..].iter().position(|&c| c == '\n').map_or(bytes.len(), |length| at + length)
}

/// Comments in Rust nest.
fn end_of_comment(bytes: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

fn end_of_string(bytes: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != '"' {
        end += if bytes[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

fn end_of_raw_string(bytes: &[char], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&'"') {
        return None;
    }
    let ends = |&end: &usize| {
        bytes[end] == '"' && bytes[end + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    Some((open + 1..bytes.len()).find(ends).map_or(bytes.len(), |end| end + 1 + hashes))
}

/// Nothing if the quote begins a lifetime.
fn end_of_character(bytes: &[char], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&'\\') {
        let close = bytes[at + 3..].iter().position(|&c| c == '\'')?;
        return Some(at + 3 + close + 1);
    }
    (bytes.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

/// Blanks what stands under `#[cfg(test)]` or `#[cfg(all(test, ..))]`: test modules may import what they like.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(at) = code.find("#[cfg(test)]").or_else(|| code.find("#[cfg(all(test,")) {
        let body = code[at..].find(['{', ';']).map_or(code.len(), |length| at + length);
        let mut end = body + 1;
        if code[body..].starts_with('{') {
            let mut depth = 0;
            for (length, c) in code[body..].char_indices() {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if depth == 0 {
                    end = body + length + 1;
                    break;
                }
            }
        }
        let end = end.min(code.len());
        let blank: String = code[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(at..end, &blank);
    }
    code
}

fn house<const N: usize>(files: [(&str, &str); N]) -> House {
    files.map(|(name, source)| (name.to_owned(), source.to_owned())).into()
}

#[test]
fn an_import_from_a_higher_floor_is_found() {
    let faults = inspect(&house([
        ("arena.rs", "//! The lowest floor.\nuse crate::task::Task;\n"),
        ("driver.rs", "use crate::arena::Key;\nuse crate::scheduler;\n"),
        (
            "event_loop.rs",
            "use crate::{arena::{Arena, List}, context};\nuse crate::{\n    driver,\n    time::Sleep,\n};",
        ),
        (
            "gather.rs",
            "use crate::task::Tasks;\nfn f() -> crate::group::TaskGroup { crate::yield_now::yield_now(); }\n",
        ),
        (
            "sync/lock.rs",
            "use super::semaphore::Semaphore;\nuse super::super::wait_list::WaitList;\nuse crate::task::Task;",
        ),
        ("yield_now.rs", "use crate::observer;\nuse crate::EventLoop;\n"),
    ]));
    assert_eq!(
        faults,
        [
            "runtime/arena.rs:2: arena may not import task",
            "runtime/driver.rs:2: driver may not import scheduler",
            "runtime/event_loop.rs:2: event_loop may not import time",
            "runtime/gather.rs:2: gather may not import group",
            "runtime/sync/lock.rs:3: sync may not import task",
            "runtime/yield_now.rs:2: yield_now may not import EventLoop",
        ]
    );
}

#[test]
fn a_circle_is_found() {
    let faults = inspect(&house([
        ("net/mod.rs", ""),
        ("net/tcp.rs", "use std::io;\nuse super::unix::Path;\n"),
        ("net/udp.rs", "use crate::net::tcp::TcpStream;\n"),
        ("net/unix.rs", "use super::udp;\n"),
    ]));
    assert_eq!(
        faults,
        [
            "a circle: net/tcp imports net/unix (runtime/net/tcp.rs:2), net/unix imports net/udp (runtime/net/unix.rs:1), \
          net/udp imports net/tcp (runtime/net/udp.rs:1)"
        ]
    );
}

#[test]
fn a_second_unsafe_is_found() {
    let faults = inspect(&house([
        ("arena.rs", "fn f() {\n    unsafe { g() }\n}"),
        (
            "waker.rs",
            "#[expect(unsafe_code, reason = \"unsafe here\")]\nunsafe { Waker::from_raw(raw) }\nunsafe fn h() {}",
        ),
    ]));
    assert_eq!(
        faults,
        [
            "runtime/arena.rs:2: `unsafe`, of which there is one, in waker.rs",
            "runtime/waker.rs:3: `unsafe`, of which there is one, in waker.rs",
        ]
    );
}

#[test]
fn mio_outside_its_rooms_is_found() {
    let faults = inspect(&house([
        ("driver.rs", "use std::io;\nuse mio::Token;\n"),
        ("net/tcp.rs", "use mio::net::TcpStream;"),
        ("reactor.rs", "use mio::Poll;"),
        ("task.rs", "fn f(events: &mio::Events) {}"),
    ]));
    let names = faults.iter().map(|fault| fault.split(": ").next().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["runtime/driver.rs:2", "runtime/task.rs:1"]);
}

#[test]
fn a_lock_from_elsewhere_is_found() {
    let faults = inspect(&house([
        ("locks.rs", "pub(crate) use std::sync::Mutex;"),
        ("pool.rs", "use std::sync::OnceLock;\nuse std::sync::{Arc, Mutex};\n"),
        ("task.rs", "use crate::locks::Mutex;\nfn f(_: &std::sync::atomic::AtomicBool) {}"),
    ]));
    let names = faults.iter().map(|fault| fault.split(": ").next().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["runtime/pool.rs:2", "runtime/task.rs:2"]);
}

#[test]
fn a_leave_that_nobody_uses_is_found() {
    let faults = unused_leaves(&house([("handle.rs", "use crate::spawn::spawn;"), ("event_loop.rs", "")]));
    assert!(faults.contains(&"event_loop may import context, and does not: take the leave away".to_owned()));
    assert!(!faults.iter().any(|fault| fault.starts_with("handle")));
}

#[test]
fn a_file_on_no_floor_is_found() {
    let faults = inspect(&house([("lib.rs", "mod arena;\npub fn body() {}"), ("utils.rs", "use crate::arena::Key;")]));
    assert_eq!(
        faults,
        [
            "runtime/lib.rs:2: the front door has no bodies",
            "runtime/utils.rs:1: is on no floor: give it one in tests/floors.rs",
            "runtime/utils.rs:1: utils may not import arena",
        ]
    );
}

#[test]
fn a_missing_room_is_found() {
    let rooms = MUST_EXIST.iter().filter(|&&room| room != "waker").map(|room| (format!("{room}.rs"), String::new()));
    assert_eq!(missing_rooms(&rooms.collect()), ["runtime/waker.rs is missing"]);
    assert!(MUST_EXIST.iter().all(|room| floor_of(room).is_some() || beside(room).is_some()));
}

#[test]
fn what_is_no_code_is_not_read() {
    let source = r##"//! unsafe, mio::Poll, crate::task
/* use crate::task; /* nested: unsafe */ still unsafe */
fn f<'a>(quote: char) -> &'a str {
    let _ = ('"', '\'', '\u{1f4}', b'"', "a \" unsafe", r#"mio " unsafe"#, br"unsafe");
    "\
    use crate::task;"
}
macro_rules! g { () => { $crate::task::spawn() } }
#[cfg(test)]
mod tests {
    use crate::task::{Task, Tasks};
    fn brace() -> char { '}' }
    unsafe fn h() {}
}
#[cfg(test)]
use crate::task;
fn last() { crate::task::last() }
"##;
    assert_eq!(inspect(&house([("arena.rs", source)])), ["runtime/arena.rs:17: arena may not import task"]);
}
