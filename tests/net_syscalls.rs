//! Stories of what the system sees of a server: counted by strace, told by signals.
//!
//! The server runs in a process of its own, which is this test program once more. Where strace is not
//! installed, or may not watch, the stories that count say so and pass.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use roundel::net::TcpListener;
use rustix::process::{Pid, Signal, kill_process};

const SERVER: &str = "ROUNDEL_TEST_SERVER";

/// Not a story: the server of the others. It answers one connection and ends.
#[test]
fn server() {
    if env::var_os(SERVER).is_none() {
        return;
    }
    roundel::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("\nport {}", listener.local_addr().unwrap().port());
        let stream = listener.accept().await.unwrap().0;
        let mut buf = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buf).await {
            stream.write_all(&buf[..count]).await.unwrap();
        }
    });
}

/// The server's process, and a connection to it.
struct Server {
    process: Child,
    /// Kept open, for the test program writes to it at its end.
    _output: BufReader<ChildStdout>,
    stream: TcpStream,
}

impl Server {
    /// Starts it by `command`; nothing if that does not get so far as to listen.
    fn start(mut command: Command) -> Option<Server> {
        let command = command.args(["--exact", "server", "--nocapture"]).env(SERVER, "1");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            if output.read_line(&mut line).unwrap() == 0 {
                process.wait().unwrap();
                return None;
            }
            if let Some(port) = line.strip_prefix("port ") {
                break port.trim().parse().unwrap();
            }
        };
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Server { process, _output: output, stream })
    }

    fn ask(&mut self) {
        self.stream.write_all(b"question").unwrap();
        self.stream.read_exact(&mut [0; 8]).unwrap();
    }

    fn end(mut self) {
        drop(self.stream);
        assert!(self.process.wait().unwrap().success());
    }
}

/// The system calls of a server during `story`; nothing where they cannot be watched.
fn watched(name: &str, story: impl FnOnce(&mut Server)) -> Option<String> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("skipped: strace is not installed");
        return None;
    }
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}.strace", std::process::id()));
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=desc,network", "-o"]).arg(&report).arg(env::current_exe().unwrap());
    let Some(mut server) = Server::start(command) else {
        println!("skipped: strace may not watch");
        return None;
    };
    story(&mut server);
    server.end();
    let calls = fs::read_to_string(&report).unwrap();
    fs::remove_file(&report).unwrap();
    // From the first accept on: what came before belongs to the test program.
    Some(calls.lines().skip_while(|call| !call.contains(" accept4(")).map(|call| format!("{call}\n")).collect())
}

fn count(calls: &str, name: &str) -> usize {
    calls.matches(&format!(" {name}(")).count()
}

#[test]
fn an_echo_takes_one_call_to_read_and_one_to_write() {
    const REQUESTS: usize = 500;
    let calls = watched("echo", |server| (0..REQUESTS).for_each(|_| server.ask()));
    let Some(calls) = calls else { return };
    // Beside those: one read before the first request has come, and one for the end.
    assert!((REQUESTS..=REQUESTS + 3).contains(&count(&calls, "recvfrom")), "{calls}");
    assert_eq!(count(&calls, "sendto"), REQUESTS, "{calls}");
    // And one wait for each, with the same to spare.
    assert!(count(&calls, "epoll_wait") <= REQUESTS + 5, "{calls}");
    // No registration is ever changed.
    assert!(count(&calls, "epoll_ctl") <= 4, "{calls}");
}

#[test]
fn an_idle_server_makes_no_system_call() {
    // R38
    let calls = watched("idle", |server| {
        server.ask();
        // However long this is, it must not show in the count.
        thread::sleep(Duration::from_millis(200));
        server.ask();
    });
    let Some(calls) = calls else { return };
    assert!(count(&calls, "epoll_wait") <= 8, "{calls}");
    assert!(count(&calls, "recvfrom") <= 5, "{calls}");
}

#[test]
fn a_signal_does_not_end_the_wait() {
    // R14, X3: a process that was stopped and continued finds its wait interrupted.
    let mut server = Server::start(Command::new(env::current_exe().unwrap())).unwrap();
    let pid = Pid::from_child(&server.process);
    for _ in 0..20 {
        server.ask();
        kill_process(pid, Signal::STOP).unwrap();
        while !is_stopped(&server.process) {
            thread::yield_now();
        }
        kill_process(pid, Signal::CONT).unwrap();
    }
    server.ask();
    server.end();
}

/// Not a story: it sleeps on the real clock, and must not wake early.
#[test]
fn sleeper() {
    if env::var_os(SERVER).is_none() {
        return;
    }
    roundel::block_on(async {
        let deadline = roundel::Instant::now() + Duration::from_millis(200);
        println!("\nsleeps");
        roundel::sleep_until(deadline).await;
        assert!(roundel::Instant::now() >= deadline);
    });
}

#[test]
fn a_storm_of_signals_neither_ends_a_sleep_nor_prolongs_it() {
    // R14, X3: the wait is interrupted again and again, and what is left of it is worked out anew.
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "sleeper", "--nocapture"]).env(SERVER, "1").stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    while line != "sleeps\n" {
        line.clear();
        if output.read_line(&mut line).unwrap() == 0 {
            break;
        }
    }
    let pid = Pid::from_child(&process);
    let began = std::time::Instant::now();
    // Were each wait begun from the start, the sleep would last as long as the storm.
    while process.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60) {
        kill_process(pid, Signal::STOP).unwrap();
        while !is_stopped(&process) && process.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        let _ = kill_process(pid, Signal::CONT);
        // A moment to go back to its wait.
        thread::sleep(Duration::from_millis(2));
    }
    let _ = process.kill();
    assert!(process.wait().unwrap().success(), "{line}");
}

fn is_stopped(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    // The name may have blanks and brackets; the state follows it.
    stat.rsplit(") ").next().unwrap().starts_with('T')
}
