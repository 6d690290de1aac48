//! The program `inspect` asks the program `echo` while it serves.
//!
//! | promise | test |
//! |---|---|
//! | the program `inspect` asks the program `echo` | the_echo_server_is_asked_while_it_serves |
//! | and asks again and again | the_client_asks_again_until_nobody_answers |
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/programs.rs"]
mod programs;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::thread;

use programs::{Scratch, example};

/// The server, at rest with all its clients, until Enter is pressed. Killed if the test fails.
struct Server {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Server {
    fn start(scratch: &Scratch) -> Server {
        let mut command = example("echo");
        command.args(["--connections", "4", "--at-once", "1", "--inspect"]).arg(scratch.socket());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server { child, says };
        let mut line = String::new();
        server.says.read_line(&mut line).unwrap();
        assert_eq!(line, "all is quiet: ask, then press Enter\n");
        server
    }

    fn press_enter(mut self) -> String {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.says.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts `echo.rs:ACQUIRE` for the line of a call, and `N` for numbers that the system's own order decides.
fn with_places(answer: &str) -> String {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo.rs")).unwrap();
    let mut answer = answer.replace("examples/echo.rs", "echo.rs");
    for (name, call) in [
        ("MAIN", "block_on("),
        ("SERVER", "spawn_named(\"server\""),
        ("CLIENTS", "gather((0.."),
        ("CONNECTION", "spawn_named(&format!"),
        ("ACQUIRE", ".acquire()"),
        ("ENTER", "to_thread(||"),
    ] {
        let line = source.lines().position(|line| line.contains(call)).unwrap() + 1;
        answer = answer.replace(&format!("echo.rs:{line}"), &format!("echo.rs:{name}"));
    }
    let mut pieces = answer.split("Socket ");
    let before = pieces.next().unwrap().to_owned();
    pieces.fold(before, |text, piece| text + "Socket N" + piece.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Without the column of polls, which the system's own pace decides.
fn without_polls(table: &str) -> String {
    let at = table.lines().next().unwrap().find("polls").unwrap();
    table.lines().map(|line| format!("{}{}\n", &line[..at], &line[at + 7..])).collect()
}

#[test]
fn the_echo_server_is_asked_while_it_serves() {
    let scratch = Scratch::new("echo");
    example("inspect");
    let server = Server::start(&scratch);
    let inspect = |request: &str| {
        let output = example("inspect").arg(scratch.socket()).args(request.split(' ')).output().unwrap();
        let answer = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code(), with_places(&String::from_utf8(answer).unwrap()))
    };
    let (status, ps) = inspect("ps");
    assert_eq!(status, Some(0), "{ps}");
    let expected = "\
task  name          state    waits for                  spawned at
0     main          waiting  4 tasks, task 2 to task 5  echo.rs:MAIN
1     server        waiting  Socket N                   echo.rs:SERVER
2     -             waiting  a closure on a thread      echo.rs:CLIENTS
3     -             waiting  Semaphore \"on their way\"   echo.rs:CLIENTS
4     -             waiting  Semaphore \"on their way\"   echo.rs:CLIENTS
5     -             waiting  Semaphore \"on their way\"   echo.rs:CLIENTS
6     connection 1  waiting  Socket N                   echo.rs:CONNECTION
";
    assert_eq!(without_polls(&ps), expected);
    let expected = "\
task 0 \"main\": waiting for 4 tasks, task 2 to task 5
├── task 1 \"server\": waiting for Socket N
│   └── task 6 \"connection 1\": waiting for Socket N
├── task 2: waiting for a closure on a thread
├── task 3: waiting for Semaphore \"on their way\"
├── task 4: waiting for Semaphore \"on their way\"
└── task 5: waiting for Semaphore \"on their way\"
";
    assert_eq!(inspect("tree"), (Some(0), expected.to_owned()));
    let expected = "\
Semaphore \"on their way\"
  held by task 2 (taken at echo.rs:ACQUIRE)
  1 in line: task 3 (at echo.rs:ACQUIRE)
  2 in line: task 4 (at echo.rs:ACQUIRE)
  3 in line: task 5 (at echo.rs:ACQUIRE)
";
    assert_eq!(inspect("locks"), (Some(0), expected.to_owned()));
    let expected = "\
task 3 (spawned at echo.rs:CLIENTS)
  waits for Semaphore \"on their way\" (at echo.rs:ACQUIRE), held by task 2 (taken at echo.rs:ACQUIRE)
task 2 (spawned at echo.rs:CLIENTS)
  waits for a closure on a thread (at echo.rs:ENTER) to end
";
    assert_eq!(inspect("why 3"), (Some(0), expected.to_owned()));
    let (status, error) = inspect("why");
    assert_eq!((status, &*error), (Some(1), "error: why needs a task: its number or its name\n"));
    assert_eq!(server.press_enter(), "4 connections open at once\n12 lines of 12 came back right\n");
    let (status, error) = inspect("ps");
    assert_eq!(status, Some(1));
    assert!(error.starts_with("error: nobody answers at "), "{error}");
}

#[test]
fn the_client_says_how_it_is_used() {
    let help = String::from_utf8(example("inspect").arg("--help").output().unwrap().stdout).unwrap();
    for word in ["PATH", "ps", "tree", "locks", "why TASK", "--watch"] {
        assert!(help.contains(word), "{help}");
    }
    let nothing = example("inspect").output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn the_client_asks_again_until_nobody_answers() {
    let scratch = Scratch::new("watch");
    let listener = UnixListener::bind(scratch.socket()).unwrap();
    let answers = thread::spawn(move || {
        for answer in ["one\n", "two\n"] {
            let (mut client, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&client).read_line(&mut line).unwrap();
            assert_eq!(line, "why me\n");
            client.write_all(answer.as_bytes()).unwrap();
        }
    });
    let output = example("inspect").arg(scratch.socket()).args(["why", "me", "--watch", "1"]).output().unwrap();
    answers.join().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "one\n\ntwo\n\n");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: nobody answers at ") && output.status.code() == Some(1), "{error}");
}
