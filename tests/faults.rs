//! Faults: the system refuses, interrupts, cuts short and resets, and the runtime goes on.
//!
//! Between the test and the system lies a shim in C, `tests/faults/shim.c`: its head says how a fault is
//! ordered. First the whole net suite runs again under it, then come stories of single faults. Where no C
//! compiler is installed, each test says so and passes.
//!
//! What a user sees of each fault:
//!
//! | fault | where | what the user sees | and then |
//! |---|---|---|---|
//! | short reads and writes | any stream | nothing: `read_exact`, `write_all`, `BufReader` go on to the end | no byte is lost |
//! | EINTR | wait, read, write, accept | nothing: it is tried again, and how long to wait is worked out anew | |
//! | EMFILE, ENFILE, ENOBUFS, ENOMEM | `accept` | "Too many open files (os error 24)", or what it was | a second's rest, then the next try |
//! | ECONNABORTED | `accept` | nothing: the next connection is waited for | |
//! | ECONNRESET, EPROTO, EPERM | `accept` | "Connection reset by peer (os error 104)", or what it was | the next `accept` tries at once |
//! | ECONNRESET | `read`, `write` | "Connection reset by peer (os error 104)" | that stream only |
//! | reset by the peer | a `write` that waits | "Connection reset by peer (os error 104)" or "Broken pipe (os error 32)" | that stream only |
//! | the peer is gone | `write` | "Broken pipe (os error 32)", never a signal | |
//! | ECONNREFUSED | `connect` | "Connection refused (os error 111)" | the next address is tried before |
//! | EMFILE | `bind`, `connect` | "Too many open files (os error 24)" | the next one works |
//! | epoll takes no more (ENOSPC) | `bind`, `connect`, `accept` | "the system watches no more descriptors for this user: No space left on device (os error 28)": the limit is /proc/sys/fs/epoll/max_user_watches | the socket is closed, the next one works |
//! | epoll lets nothing go (EBADF) | dropping a socket | nothing | it is closed and forgotten |
//! | no epoll, no eventfd | `EventLoop::new` | "Too many open files (os error 24)" | nothing is left open, the next one works |
//! | the same | `block_on` | a panic: "block_on() cannot make an event loop: Too many open files (os error 24)" | |
//! | epoll can no longer wait | `EventLoop::block_on` | a panic: "the event loop can no longer wait for the system: Bad file descriptor (os error 9); was one of its descriptors closed?" | |
//! | no thread (EAGAIN) | the first `to_thread` | "the work for another thread could not start: the system gave no thread: Resource temporarily unavailable (os error 11)" | the next one tries again |
//! | the same, with a thread there | `to_thread` | nothing: the closure waits for that thread | |
//!
//! Descriptors made scarce in earnest (RLIMIT_NOFILE) are in net_faults.rs, which runs again here too.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use futures::future::{join, join_all};
use roundel::net::{TcpListener, TcpStream};
use roundel::{Clock, EventLoop, Instant, sleep, spawn, timeout, to_thread, yield_now};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use support::{panic_text, panics_during, virtual_loop};

// The shim, and programs that run with it

/// The built shim; nothing, and the reason is printed, where it cannot be built.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.so");
        // By another name first: a second run may be loading the old one just now.
        let fresh = built.with_extension(format!("{}.so", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o"]).arg(&fresh).arg(&source);
        let Ok(output) = cc.args(["-ldl", "-lrt", "-lpthread"]).output() else { return None };
        assert!(output.status.success(), "the shim does not build:\n{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(&fresh, &built).unwrap();
        Some(built)
    };
    let shim = SHIM.get_or_init(build).as_deref();
    if shim.is_none() {
        println!("skipped: there is no C compiler (cc) to build the shim with");
    }
    shim
}

/// The path of a file that nobody else writes.
fn scratch() -> PathBuf {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("faults.{}.{}", std::process::id(), FILES.fetch_add(1, Ordering::SeqCst));
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a program to its end, `seconds` at most, and gives whether it went well and what it said.
fn run(command: &mut Command, seconds: u64) -> (bool, String) {
    let path = scratch();
    let said = File::create(&path).unwrap();
    command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (tell, ended) = mpsc::channel();
    let waiting = thread::spawn(move || tell.send(child.wait().unwrap()));
    let status = ended.recv_timeout(Duration::from_secs(seconds)).ok();
    if status.is_none() {
        kill_process(pid, Signal::KILL).unwrap();
    }
    waiting.join().unwrap().unwrap();
    let mut text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    fs::remove_file(path).unwrap();
    if status.is_none() {
        text += "\nit hung, and was killed";
    }
    (status.is_some_and(|status| status.success()), text)
}

/// Runs the test called `name` again, in a process of its own with the shim in it. True in that process,
/// which then tells the story and orders its faults itself.
fn with_shim(name: &str) -> bool {
    const MARK: &str = "ROUNDEL_TEST_WITH_SHIM";
    if env::var_os(MARK).is_some() {
        return true;
    }
    let Some(shim) = shim() else { return false };
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", name, "--test-threads=1", "--nocapture"]).env(MARK, name).env("LD_PRELOAD", shim);
    let (went_well, text) = run(&mut child, 30);
    print!("{text}");
    assert!(went_well, "{name}, in a process of its own:\n{text}");
    assert!(text.contains("1 passed"), "no test is called {name}:\n{text}");
    false
}

/// Orders faults, in place of those ordered before, and begins to count anew.
fn order(rules: &str) {
    let answer = fs::read_link(format!("faults={rules}")).expect("the shim is not in this process");
    assert_eq!(answer, Path::new("set"));
}

/// How often the program made this call, and how often it met with a fault.
fn count(call: &str) -> (u64, u64) {
    let answer = fs::read_link(format!("faults?{call}")).expect("the shim is not in this process");
    let (calls, faults) = answer.to_str().unwrap().split_once(' ').unwrap();
    (calls.parse().unwrap(), faults.parse().unwrap())
}

// The suites again

/// What runs under faults: all that waits in the system, or for another thread.
const SUITES: [&str; 9] =
    ["net", "net_buf_reader", "net_faults", "net_syscalls", "handle", "threads", "timeouts", "wakes", "idle"];

/// Tests that count system calls or waits, and so count the faults as well.
const COUNTERS: [(&str, &str); 9] = [
    ("timeouts::a_fraction_of_a_millisecond_is_slept_in_one_go", "it counts waits"),
    ("net_syscalls::an_echo_takes_one_call_to_read_and_one_to_write", "it counts reads and writes"),
    ("net_syscalls::an_idle_server_makes_no_system_call", "it counts waits and reads"),
    ("idle::one_timer_is_one_wait_whatever_level_of_the_wheel_it_is_on", "it counts waits"),
    ("idle::a_wait_shorter_than_a_tick_is_one_wait", "it counts waits"),
    ("idle::an_idle_loop_makes_no_system_call_while_it_waits", "it counts waits"),
    ("timeouts::a_wait_longer_than_the_system_can_count_is_no_short_one", "it counts waits"),
    ("net::a_writer_to_a_half_closed_stream_rests_until_there_is_room", "it counts the polls of a writer"),
    ("net::a_reset_wakes_both_directions", "it takes a writer that has to wait for one whose window is full"),
];

/// Tests of how much one call moves, which the fault decides.
const MEASURERS: [(&str, &str); 4] = [
    (
        "net::a_reader_that_is_dropped_after_its_wake_leaves_the_bytes_to_the_others",
        "its bytes must come in one write, or both readers have run before one is dropped",
    ),
    ("net::several_slices_go_out_together", "it says how much one write takes"),
    ("net::the_end_right_behind_the_last_bytes_is_seen", "it says how much one read gives"),
    ("net::a_peek_leaves_the_bytes_and_waits_like_a_read", "it says how much one write lets a peek see"),
];

/// Tests that would take a minute with bytes one by one. They are told by themselves, see below.
const BIG: [(&str, &str); 4] = [
    ("net::a_half_closed_stream_goes_on_reading", "it sends 3 MB"),
    ("net::a_lot_passes_through_small_windows", "it sends 2 MB"),
    ("net::borrowed_halves_read_and_write_at_once", "it sends 1 MB"),
    ("net::every_writer_that_waits_for_room_is_woken", "it fills all windows four times"),
];

/// Where the queue of a listener overflows, Linux answers with SYN cookies, remembers nothing, and drops the
/// first segment. That would be sent again; but if the second comes first, and the lost one had one to three
/// bytes, the second still agrees with the cookie, and those bytes are gone for good.
const COOKIES: [(&str, &str); 1] = [(
    "net::a_thousand_connections_are_served_side_by_side",
    "it overflows the queue of its listener, where Linux loses writes of 2 bytes",
)];

/// The built test programs, by name.
fn suites() -> &'static [(String, PathBuf)] {
    static BUILT: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    BUILT.get_or_init(|| {
        // `cargo test` has built them all before; `cargo test --test faults` has not.
        let profile = env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        cargo.args(["test", "--no-run", "--quiet", "--message-format=json", "--target-dir"]);
        cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.args(SUITES.iter().flat_map(|suite| ["--test", suite]));
        let built = cargo.stdin(Stdio::null()).output().unwrap();
        assert!(built.status.success(), "the suites do not build:\n{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).unwrap();
        let path_in =
            |message: &str| Some(PathBuf::from(message.split_once("\"executable\":\"")?.1.split_once('"')?.0));
        let programs = messages.lines().filter_map(path_in);
        let named = programs.map(|path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            // Behind the name stands a hash.
            (file.rsplit_once('-').unwrap().0.to_owned(), path)
        });
        let suites: Vec<_> = named.collect();
        assert_eq!(suites.len(), SUITES.len(), "{messages}");
        suites
    })
}

/// Runs every suite under the given faults. `expected` are the calls that must have met with some.
fn all_suites_under(rules: &str, skipped: &[&[(&str, &str)]], expected: &[&str]) {
    let Some(shim) = shim() else { return };
    let report = scratch();
    for (suite, program) in suites() {
        let mut tests = Command::new(program);
        tests.args(["--test-threads=2", "--exact"]).env("LD_PRELOAD", shim);
        tests.env("ROUNDEL_FAULTS", rules).env("ROUNDEL_FAULTS_REPORT", &report);
        let mut skips = 0;
        for (name, why) in skipped.iter().copied().flatten() {
            if let Some(name) = name.strip_prefix(suite.as_str()).and_then(|rest| rest.strip_prefix("::")) {
                println!("skipped under {rules}: {suite}::{name}, for {why}");
                tests.args(["--skip", name]);
                skips += 1;
            }
        }
        let (went_well, text) = run(&mut tests, 90);
        assert!(went_well, "{suite} under {rules}:\n{text}");
        // A test that is not there cannot be skipped: the list is as long as it says.
        assert!(text.contains(&format!(" {skips} filtered out")), "{suite} skips {skips} tests:\n{text}");
    }
    let done = fs::read_to_string(&report).unwrap();
    fs::remove_file(report).unwrap();
    let total = |call: &str| {
        let lines = done.lines().filter_map(|line| line.strip_prefix(call)?.strip_prefix(' ')?.split_once(' '));
        let number = |text: &str| text.parse::<u64>().unwrap();
        lines.fold((0, 0), |sum, (calls, faults)| (sum.0 + number(calls), sum.1 + number(faults)))
    };
    for call in expected {
        let (calls, faults) = total(call);
        println!("{rules}: {faults} faults in {calls} calls of {call}");
        assert!(faults > 100, "{faults} faults at {call} under {rules}:\n{done}");
    }
    // No spin: a loop that did for one second would wait some hundred thousand times more.
    let (waits, _) = total("epoll_wait");
    assert!((1000..300_000).contains(&waits), "{waits} waits under {rules}:\n{done}");
}

#[test]
fn all_suites_hold_with_one_byte_reads_and_two_byte_writes() {
    all_suites_under("recv:short=1,send:short=2", &[&COUNTERS, &MEASURERS, &BIG, &COOKIES], &["recv", "send"]);
}

#[test]
fn the_big_stories_hold_with_their_first_bytes_one_by_one() {
    let Some(shim) = shim() else { return };
    let (_, net) = suites().iter().find(|(suite, _)| suite == "net").unwrap();
    for (name, _) in BIG {
        let name = name.strip_prefix("net::").unwrap();
        let mut story = Command::new(net);
        story.args(["--exact", name]).env("LD_PRELOAD", shim);
        story.env("ROUNDEL_FAULTS", "storm,recv:short=1@1-50000,send:short=2@1-50000");
        let (went_well, text) = run(&mut story, 90);
        assert!(went_well && text.contains("1 passed"), "{name}:\n{text}");
    }
}

#[test]
fn all_suites_hold_with_reads_and_writes_in_pieces() {
    // Neither length goes into the other, nor into a buffer's.
    all_suites_under("recv:short=997,send:short=1499", &[&COUNTERS], &["recv", "send"]);
}

#[test]
fn all_suites_hold_in_a_storm_of_signals() {
    // R14, X3. Beside the real signals, whose moment is chance, some calls that say so by order.
    let rules = "storm,epoll_wait:EINTR/3,recv:EINTR/3,send:EINTR/5,accept4:EINTR/2";
    all_suites_under(rules, &[&COUNTERS], &["storm", "epoll_wait", "recv", "send", "accept4"]);
}

#[test]
fn all_suites_hold_in_a_storm_with_one_byte_reads_and_two_byte_writes() {
    // R14, X3
    let rules = "storm,epoll_wait:EINTR/3,recv:EINTR/3,recv:short=1,send:EINTR/5,send:short=2,accept4:EINTR/2";
    all_suites_under(
        rules,
        &[&COUNTERS, &MEASURERS, &BIG, &COOKIES],
        &["storm", "epoll_wait", "recv", "send", "accept4"],
    );
}

// Stories of single faults

const EMFILE: i32 = 24;
const WATCHES_NO_MORE: &str =
    "the system watches no more descriptors for this user: No space left on device (os error 28)";

fn descriptors() -> BTreeSet<u32> {
    let open: Vec<u32> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().parse().unwrap())
        .collect();
    // The directory was open while it was read, and is not any more.
    open.into_iter().filter(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()).collect()
}

fn story<T>(story: impl Future<Output = T>) -> T {
    roundel::block_on(async { timeout(Duration::from_secs(20), story).await.expect("the story hangs") })
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The two ends of a connection, the near one in the loop and the far one of the standard library.
async fn pair() -> (TcpStream, std::net::TcpStream) {
    let (listener, addr) = listener();
    let far = std::net::TcpStream::connect(addr).unwrap();
    (listener.accept().await.unwrap().0, far)
}

/// That bytes go both ways.
async fn assert_alive(near: &TcpStream, far: &mut std::net::TcpStream) {
    let mut heard = [0; 4];
    far.write_all(b"ping").unwrap();
    near.read_exact(&mut heard).await.unwrap();
    near.write_all(&heard).await.unwrap();
    far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping");
}

async fn turns() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

#[test]
fn faults_come_as_ordered_and_are_counted() {
    // Without this, a shim that does nothing would pass for a runtime that stands everything.
    if !with_shim("faults_come_as_ordered_and_are_counted") {
        return;
    }
    story(async {
        let (near, mut far) = pair().await;
        order("recv:short=1,recv:EINTR@3,send:short=2,send:ECONNRESET@4-5");
        let write = |far: &mut std::net::TcpStream| far.write(b"abc").map_err(|error| error.kind());
        let writes: Vec<_> = (0..6).map(|_| write(&mut far)).collect();
        let reset = Err(ErrorKind::ConnectionReset);
        assert_eq!(writes, [Ok(2), Ok(2), Ok(2), reset, reset, Ok(2)]);
        assert_eq!(count("send"), (6, 6));
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 1);
        let mut rest = [0; 7];
        near.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"bababab");
        // Seven cuts; the last read asked for one byte, and one call was interrupted.
        assert_eq!(count("recv").1, 8);
        order("");
        assert_eq!(far.write(b"abc").unwrap(), 3);
        assert_eq!(count("send"), (1, 0));
    });
}

#[test]
fn a_server_that_is_refused_a_descriptor_rests_a_second_and_recovers() {
    // R12, R13
    if !with_shim("a_server_that_is_refused_a_descriptor_rests_a_second_and_recovers") {
        return;
    }
    let refusals = [
        ("EMFILE", "Too many open files (os error 24)"),
        ("ENFILE", "Too many open files in system (os error 23)"),
        ("ENOBUFS", "No buffer space available (os error 105)"),
        ("ENOMEM", "Cannot allocate memory (os error 12)"),
    ];
    for (name, text) in refusals {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        event_loop.block_on(async {
            let (listener, addr) = listener();
            let _client = std::net::TcpStream::connect(addr).unwrap();
            order(&format!("accept4:{name}@1-2"));
            let log = Rc::new(RefCell::new(Vec::new()));
            let told = log.clone();
            let server = spawn(async move {
                while let Err(error) = listener.accept().await {
                    told.borrow_mut().push(error.to_string());
                }
            });
            // It is told once, and then it rests: a thousand turns, one call.
            turns().await;
            assert_eq!((log.take(), count("accept4").0), (vec![text.to_owned()], 1));
            clock.advance(Duration::from_millis(999));
            turns().await;
            assert_eq!(count("accept4").0, 1);
            clock.advance(Duration::from_millis(1));
            turns().await;
            assert_eq!((log.take(), count("accept4").0), (vec![text.to_owned()], 2));
            clock.advance(Duration::from_secs(1));
            server.await.unwrap();
            assert_eq!((log.take(), count("accept4").0), (vec![], 3));
        });
    }
}

#[test]
fn a_server_whose_process_is_out_of_descriptors_makes_one_call_a_second() {
    // R12, R13: as in net_faults.rs, in earnest, and with the calls counted.
    if !with_shim("a_server_whose_process_is_out_of_descriptors_makes_one_call_a_second") {
        return;
    }
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(async {
        let (listener, addr) = listener();
        let (served, mut served_far) = pair().await;
        let _client = std::net::TcpStream::connect(addr).unwrap();
        let server = spawn(async move {
            let mut errors = 0;
            while let Err(error) = listener.accept().await {
                assert_eq!(error.raw_os_error(), Some(EMFILE));
                errors += 1;
            }
            errors
        });
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
        order("");
        for second in 1..=20 {
            turns().await;
            assert_eq!(count("accept4").0, second);
            // Who is connected already is served meanwhile.
            assert_alive(&served, &mut served_far).await;
            clock.advance(Duration::from_secs(1));
        }
        setrlimit(Resource::Nofile, limit).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(server.await.unwrap(), 20);
    });
}

#[test]
fn connections_aborted_before_they_were_accepted_are_passed_over() {
    if !with_shim("connections_aborted_before_they_were_accepted_are_passed_over") {
        return;
    }
    story(async {
        let (listener, addr) = listener();
        let mut far = std::net::TcpStream::connect(addr).unwrap();
        order("accept4:ECONNABORTED@1-3");
        let near = listener.accept().await.unwrap().0;
        assert_eq!(count("accept4"), (4, 3));
        assert_alive(&near, &mut far).await;
        // However many there are, the others have their turns.
        let _far = std::net::TcpStream::connect(addr).unwrap();
        order("accept4:ECONNABORTED@1-100000");
        let accepting = spawn(async move { listener.accept().await.map(drop) });
        let mut turns = 0;
        while !accepting.is_finished() {
            turns += 1;
            yield_now().await;
        }
        accepting.await.unwrap().unwrap();
        assert_eq!(count("accept4"), (100_001, 100_000));
        assert!(turns > 300, "{turns} turns beside 100,000 calls");
    });
}

#[test]
fn an_accept_that_fails_is_told_and_the_next_one_is_served_at_once() {
    if !with_shim("an_accept_that_fails_is_told_and_the_next_one_is_served_at_once") {
        return;
    }
    // On this clock a rest would never end.
    let event_loop = EventLoop::builder().clock(Clock::manual()).build().unwrap();
    event_loop.block_on(async {
        let (listener, addr) = listener();
        for name in ["ECONNRESET", "EPROTO", "EPERM"] {
            let mut far = std::net::TcpStream::connect(addr).unwrap();
            order(&format!("accept4:{name}@1"));
            let error = listener.accept().await.unwrap_err();
            assert!(error.to_string().contains("(os error "), "{error}");
            let near = listener.accept().await.unwrap().0;
            assert_eq!(count("accept4"), (2, 1));
            assert_alive(&near, &mut far).await;
        }
    });
}

#[test]
fn a_reset_is_told_to_the_one_it_happened_to() {
    if !with_shim("a_reset_is_told_to_the_one_it_happened_to") {
        return;
    }
    story(async {
        let (near, mut far) = pair().await;
        let (other, mut other_far) = pair().await;
        far.write_all(b"here").unwrap();
        order("recv:ECONNRESET@1");
        let error = near.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.to_string(), "Connection reset by peer (os error 104)");
        assert_eq!(count("recv"), (1, 1));
        assert_alive(&other, &mut other_far).await;
        for (name, kind) in [("ECONNRESET", ErrorKind::ConnectionReset), ("EPIPE", ErrorKind::BrokenPipe)] {
            // In the midst of it: the third of six pieces.
            order(&format!("send:short=2,send:{name}@3"));
            let error = near.write_all(b"in six parts").await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(count("send"), (3, 3));
            assert_alive(&other, &mut other_far).await;
        }
        // Nothing else was lost: what came before is there, on both sides.
        order("");
        let mut heard = [0; 8];
        near.read_exact(&mut heard[..4]).await.unwrap();
        assert_eq!(&heard[..4], b"here");
        far.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"in sin s");
    });
}

#[test]
fn a_peer_that_resets_in_the_midst_of_a_write_ends_that_write_only() {
    // Real ones: a socket that does not linger resets when it is closed.
    if !with_shim("a_peer_that_resets_in_the_midst_of_a_write_ends_that_write_only") {
        return;
    }
    story(async {
        let (other, mut other_far) = pair().await;
        let mut writing = Vec::new();
        let mut resetting = Vec::new();
        for _ in 0..20 {
            let (near, far) = pair().await;
            writing.push(spawn(async move {
                loop {
                    if let Err(error) = near.write_all(&[7; 100_000]).await {
                        break error;
                    }
                }
            }));
            resetting.push(far);
        }
        // By now every writer waits for room.
        turns().await;
        for far in resetting {
            rustix::net::sockopt::set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
            drop(far);
        }
        for outcome in join_all(writing).await {
            let error = outcome.unwrap();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
        assert_alive(&other, &mut other_far).await;
    });
}

#[test]
fn a_write_to_a_peer_that_is_gone_is_no_signal() {
    // R32: Rust programs ignore SIGPIPE. Here it kills, as in a C program that Rust is a guest of. (Several
    // slices go out by writev(2), which cannot be told to give no signal: `write_vectored` says so.)
    if !with_shim("a_write_to_a_peer_that_is_gone_is_no_signal") {
        return;
    }
    story(async {
        let (near, far) = pair().await;
        order("sigpipe");
        rustix::net::sockopt::set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
        drop(far);
        near.read(&mut [0]).await.unwrap_err();
        for _ in 0..3 {
            assert_eq!(near.write(b"anybody?").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn a_connection_refused_is_told_and_the_next_address_is_tried() {
    if !with_shim("a_connection_refused_is_told_and_the_next_address_is_tried") {
        return;
    }
    story(async {
        let (_listener, addr) = listener();
        let before = descriptors();
        for rules in ["connect:ECONNREFUSED@1", "socket:EMFILE@1", "epoll_add:ENOSPC@1"] {
            order(rules);
            TcpStream::connect(addr).await.unwrap_err();
            assert_eq!(descriptors(), before);
            order(rules);
            let stream = TcpStream::connect(&[addr, addr][..]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), addr);
        }
        order("connect:ECONNREFUSED");
        let error = TcpStream::connect(&[addr, addr][..]).await.unwrap_err();
        assert_eq!(error.to_string(), "Connection refused (os error 111)");
        assert_eq!(count("connect"), (2, 2));
        assert_eq!(descriptors(), before);
    });
}

/// True at once in virtual time if the loop has no socket left. With one, it would give the world an hour.
async fn assert_no_socket_is_left() {
    let began = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3600));
}

#[test]
fn a_socket_that_epoll_refuses_leaves_nothing_behind() {
    // R16
    if !with_shim("a_socket_that_epoll_refuses_leaves_nothing_behind") {
        return;
    }
    virtual_loop().block_on(async {
        let before = descriptors();
        let refused = |error: io::Error| assert_eq!(error.to_string(), WATCHES_NO_MORE);
        order("epoll_add:ENOSPC@1-3");
        for _ in 0..3 {
            refused(TcpListener::bind("127.0.0.1:0").unwrap_err());
        }
        assert_eq!((count("epoll_add"), descriptors()), ((3, 3), before.clone()));
        assert_no_socket_is_left().await;

        let far = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = far.local_addr().unwrap();
        order("epoll_add:ENOSPC@1");
        refused(TcpStream::connect(addr).await.unwrap_err());
        assert_no_socket_is_left().await;
        TcpStream::connect(addr).await.unwrap();
        drop(far);
        assert_eq!(descriptors(), before);

        // So are sockets that were handed over.
        let std_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let std_stream = std::net::TcpStream::connect(std_listener.local_addr().unwrap()).unwrap();
        order("epoll_add:ENOSPC@1-2");
        refused(TcpListener::from_std(std_listener).unwrap_err());
        refused(TcpStream::from_std(std_stream).unwrap_err());
        assert_eq!(descriptors(), before);
        assert_no_socket_is_left().await;

        // A connection that was accepted and cannot be kept is closed: its peer hears of it.
        let (listener, addr) = listener();
        let mut far = std::net::TcpStream::connect(addr).unwrap();
        order("epoll_add:ENOSPC@1");
        refused(listener.accept().await.unwrap_err());
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        drop(far);
        let mut far = std::net::TcpStream::connect(addr).unwrap();
        let near = listener.accept().await.unwrap().0;
        assert_alive(&near, &mut far).await;
        drop((near, far, listener));
        assert_no_socket_is_left().await;
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_socket_that_epoll_does_not_let_go_is_closed_and_forgotten() {
    // R18
    if !with_shim("a_socket_that_epoll_does_not_let_go_is_closed_and_forgotten") {
        return;
    }
    virtual_loop().block_on(async {
        let before = descriptors();
        order("epoll_del:EBADF");
        for _ in 0..10 {
            let (near, mut far) = pair().await;
            assert_alive(&near, &mut far).await;
        }
        // Ten listeners and ten streams.
        assert_eq!(count("epoll_del"), (20, 20));
        assert_no_socket_is_left().await;
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_loop_that_is_refused_its_descriptors_is_an_error_and_leaves_none_behind() {
    // R17
    if !with_shim("a_loop_that_is_refused_its_descriptors_is_an_error_and_leaves_none_behind") {
        return;
    }
    let before = descriptors();
    let refusals = [
        ("epoll_create1", "EMFILE", "Too many open files (os error 24)"),
        ("epoll_create1", "ENFILE", "Too many open files in system (os error 23)"),
        ("eventfd", "EMFILE", "Too many open files (os error 24)"),
        ("epoll_add", "ENOSPC", WATCHES_NO_MORE),
        ("epoll_add", "ENOMEM", "Cannot allocate memory (os error 12)"),
    ];
    for (call, name, text) in refusals {
        order(&format!("{call}:{name}@1-2"));
        let error = EventLoop::new().unwrap_err();
        assert_eq!(error.to_string(), text);
        let (_, panics) = panics_during(|| roundel::block_on(async {}));
        assert_eq!(panics[0].text, format!("block_on() cannot make an event loop: {text}"));
        assert!(panics[0].file.ends_with("faults.rs"), "it names the user's line, not {}", panics[0].file);
        assert_eq!((count(call), descriptors()), ((2, 2), before.clone()));
        assert_eq!(EventLoop::new().unwrap().block_on(async { 1 }), 1);
        assert_eq!(descriptors(), before);
    }
}

#[test]
fn a_loop_that_can_no_longer_wait_says_so_and_does_not_spin() {
    if !with_shim("a_loop_that_can_no_longer_wait_says_so_and_does_not_spin") {
        return;
    }
    let before = descriptors();
    order("epoll_wait:EBADF@1");
    let event_loop = EventLoop::new().unwrap();
    let waiting = || event_loop.block_on(std::future::pending::<()>());
    let (ended, _) = panics_during(waiting);
    assert_eq!(
        panic_text(&*ended.unwrap_err()),
        "the event loop can no longer wait for the system: Bad file descriptor (os error 9); \
         was one of its descriptors closed?"
    );
    assert_eq!(count("epoll_wait"), (1, 1));
    // If it can wait again, it does.
    event_loop.block_on(async {
        let (near, mut far) = pair().await;
        assert_alive(&near, &mut far).await;
    });
    drop(event_loop);
    assert_eq!(descriptors(), before);
}

#[test]
fn interrupted_waits_are_begun_again_and_no_timer_is_early() {
    // R14
    if !with_shim("interrupted_waits_are_begun_again_and_no_timer_is_early") {
        return;
    }
    order("epoll_wait:EINTR@1-50");
    story(async {
        let began = Instant::now();
        sleep(Duration::from_millis(30)).await;
        assert!(began.elapsed() >= Duration::from_millis(30));
        // Each interrupted wait was begun again, and no more than that.
        let (waits, interrupted) = count("epoll_wait");
        assert_eq!(interrupted, 50);
        assert!(waits <= 53, "{waits} waits");
    });
}

#[test]
fn a_thread_that_is_refused_is_told_through_the_handle() {
    // B5
    if !with_shim("a_thread_that_is_refused_is_told_through_the_handle") {
        return;
    }
    story(async {
        order("pthread_create:EAGAIN@1-2");
        for _ in 0..2 {
            let error = to_thread(|| ()).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "the work for another thread could not start: the system gave no thread: \
                 Resource temporarily unavailable (os error 11)"
            );
            assert!(!error.is_cancelled() && !error.is_panic());
        }
        assert_eq!(count("pthread_create"), (2, 2));
        assert_eq!(to_thread(|| 5).await.unwrap(), 5);
    });
}

#[test]
fn work_that_is_refused_a_thread_waits_for_one_that_is_there() {
    // B5
    if !with_shim("work_that_is_refused_a_thread_waits_for_one_that_is_there") {
        return;
    }
    story(async {
        let (go_on, wait) = mpsc::channel::<()>();
        let busy = to_thread(move || wait.recv().is_err());
        order("pthread_create:EAGAIN");
        let ran = Rc::new(Cell::new(0));
        let waiting: Vec<_> = (0..3)
            .map(|number| {
                let ran = ran.clone();
                let work = to_thread(move || number);
                spawn(async move {
                    assert_eq!(work.await.unwrap(), number);
                    ran.set(ran.get() + 1);
                })
            })
            .collect();
        assert_eq!(count("pthread_create"), (3, 3));
        turns().await;
        assert_eq!(ran.get(), 0);
        drop(go_on);
        assert!(busy.await.unwrap());
        for work in waiting {
            work.await.unwrap();
        }
        assert_eq!(ran.get(), 3);
    });
}

#[test]
fn without_descriptors_for_sockets_everything_is_an_error_and_the_next_one_works() {
    if !with_shim("without_descriptors_for_sockets_everything_is_an_error_and_the_next_one_works") {
        return;
    }
    story(async {
        let (listener, addr) = listener();
        order("socket:EMFILE@1-2");
        assert_eq!(TcpListener::bind("127.0.0.1:0").unwrap_err().raw_os_error(), Some(EMFILE));
        assert_eq!(TcpStream::connect(addr).await.unwrap_err().raw_os_error(), Some(EMFILE));
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        near.unwrap();
        far.unwrap();
    });
}
