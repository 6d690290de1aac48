//! What a loop tells those who ask while it runs: by a dump, on a signal, and at the inspector's socket.
//!
//! | promise | test |
//! |---|---|
//! | a dump lists every task with its state, from within and from outside | a_dump_lists_every_task_with_its_state |
//! | a signal prints one, and says whose poll hangs | a_signal_prints_a_dump_and_tells_of_a_poll_that_hangs |
//! | a signal that cannot be caught is an error | a_signal_that_cannot_be_caught_is_refused |
//! | ps, tree | ps_and_tree_show_who_is_there_and_what_each_waits_for |
//! | who spawned somebody and is over | a_task_whose_spawner_is_over_stands_by_itself |
//! | locks: holders and lines | locks_show_who_holds_and_who_stands_in_line |
//! | why: the chain to its end | why_follows_the_waits_to_their_end |
//! | why: a circle is named | why_names_the_circle |
//! | a circle that may yet be left is not called hopeless | a_circle_with_a_way_out_is_not_called_hopeless, a_circle_through_a_semaphore_is_not_called_hopeless, a_circle_through_the_first_of_a_family_is_not_called_hopeless |
//! | a circle that is certain is told before one that is not | a_certain_circle_is_told_first |
//! | why of a crowd is cut | of_a_crowd_why_names_the_nearest |
//! | errors are clear | a_request_that_makes_no_sense_is_an_error_that_says_what_does |
//! | a long line, a silent client, one that goes away, many at once | a_client_that_misbehaves_harms_nobody, many_clients_are_answered_at_once |
//! | a slow client keeps its place for seconds only | (unit) a_line_that_comes_byte_by_byte_has_to_be_there_in_time, a_text_that_is_read_byte_by_byte_ends_in_time |
//! | too many clients are told so, and keep nobody waiting | one_client_too_many_is_told_so |
//! | of a loop that reads no mail the questions do not pile up | (unit) a_loop_that_reads_no_mail_gets_one_errand_however_often_it_is_asked |
//! | a loop that hangs does not hang the inspector | a_loop_that_hangs_in_a_poll_is_told_on |
//! | nor does one that is not run | a_loop_that_nobody_runs_is_told_on |
//! | the socket is private, and goes with the loop | the_socket_is_for_its_user_only_and_goes_with_the_loop, nobody_finds_the_socket_unlocked |
//! | without descriptors nothing is left, neither a file nor a thread | without_descriptors_nothing_is_left_behind |
//! | a stale socket is replaced, nothing else is | a_stale_socket_is_replaced_and_nothing_else_is |
//! | of two who replace it one wins, and stays | of_two_who_replace_a_stale_socket_one_has_it |
//! | a listener that does not accept is not waited for | a_listener_with_a_full_line_is_not_waited_for |
//! | another's socket at the path stays | what_somebody_else_put_at_the_path_stays |
//! | two loops of one thread are told apart | two_loops_of_one_thread_are_told_apart |
//! | an inspector keeps nobody from being declared dead | an_inspected_loop_still_says_that_it_is_deadlocked, whoever_asks_all_the_time_keeps_no_deadlock_from_being_told |
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/programs.rs"]
mod programs;
mod support;

use std::env;
use std::fs;
use std::future::pending;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use programs::Scratch;
use roundel::net::TcpListener;
use roundel::study::dump;
use roundel::sync::{Event, Lock, Semaphore};
use roundel::{Clock, EventLoop, JoinHandle, as_completed, gather, sleep, spawn, spawn_named, to_thread, yield_now};
use rustix::process::{Pid, Signal, kill_process};

/// A loop on a clock that stands still, which can be asked at a socket.
fn inspected(name: &str) -> (Scratch, EventLoop) {
    let scratch = Scratch::new(name);
    let event_loop = EventLoop::builder().clock(Clock::manual()).inspect(scratch.socket()).build().unwrap();
    (scratch, event_loop)
}

/// The answer to one request, from a thread of its own, with the name of this file cut down to `here`.
fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(b"\n").unwrap();
    rest_of(&mut stream)
}

fn rest_of(stream: &mut UnixStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace(file!(), "here")
}

/// Asks the loop this is awaited in, from a thread: meanwhile the loop is at rest.
async fn asked(scratch: &Scratch, request: &str) -> String {
    let (path, request) = (scratch.socket(), request.to_owned());
    to_thread(move || ask(&path, &request)).await.unwrap()
}

#[test]
fn a_dump_lists_every_task_with_its_state() {
    let event_loop = EventLoop::builder().clock(Clock::manual()).build().unwrap();
    let line = line!() + 1;
    let inside = event_loop.block_on(async {
        drop(spawn_named("sleeper", sleep(Duration::from_secs(1))));
        drop(spawn(pending::<()>()));
        yield_now().await;
        drop(spawn(async {}));
        dump()
    });
    let expected = format!(
        "4 tasks
task  name     state    waits for          polls  spawned at
0     main     running  -                  2      here:{line}
1     sleeper  waiting  Timer              1      here:{}
2     -        waiting  something foreign  1      here:{}
3     -        ready    its turn           0      here:{}
",
        line + 1,
        line + 2,
        line + 4
    );
    assert_eq!(inside.replace(file!(), "here"), expected);
    let outside = event_loop.dump();
    assert!(outside.starts_with("3 tasks\n") && !outside.contains("main"), "{outside}");
}

/// Not a test of its own: a process that prints what it does when it gets a signal.
#[test]
fn the_signalled_child() {
    if env::var_os("ROUNDEL_SIGNALLED_CHILD").is_none() {
        return;
    }
    let event_loop = EventLoop::builder().dump_on_signal(Signal::USR1.as_raw()).build().unwrap();
    let next_line = || std::io::stdin().lines().next();
    event_loop.block_on(async {
        drop(spawn_named("sleeper", sleep(Duration::from_secs(3600))));
        yield_now().await;
        eprintln!("at rest");
        to_thread(next_line).await.unwrap();
        let hangs = spawn_named("hangs", async move {
            eprintln!("hanging");
            next_line()
        });
        let _ = hangs.await;
    });
    // The loop is no more, and the signal does nothing.
    drop(event_loop);
    eprintln!("over");
    next_line();
}

#[test]
fn a_signal_prints_a_dump_and_tells_of_a_poll_that_hangs() {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["the_signalled_child", "--exact", "--test-threads", "1", "--nocapture"])
        .env("ROUNDEL_SIGNALLED_CHILD", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut hears = child.stdin.take().unwrap();
    let pid = Pid::from_child(&child);
    let signal = || kill_process(pid, Signal::USR1).unwrap();
    let mut until = |text: &str| says.by_ref().find(|line| line.contains(text)).unwrap_or_default();

    until("at rest");
    signal();
    assert_eq!(until("roundel, on signal"), format!("roundel, on signal {}: 2 tasks", Signal::USR1.as_raw()));
    let row = until("sleeper");
    assert!(row.starts_with("1     sleeper  waiting  Timer "), "{row}");

    writeln!(hears).unwrap();
    until("hanging");
    signal();
    let hangs = until("roundel, on signal");
    assert!(hangs.contains(": the loop hangs: task 2 \"hangs\" (spawned at tests"), "{hangs}");
    assert!(hangs.contains(" has been in one poll for "), "{hangs}");

    writeln!(hears).unwrap();
    until("over");
    signal();
    writeln!(hears).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_signal_that_cannot_be_caught_is_refused() {
    let error = EventLoop::builder().dump_on_signal(Signal::KILL.as_raw()).build().unwrap_err();
    assert_eq!(error.to_string(), "dump_on_signal(): signal 9 cannot be caught; SIGUSR1 can");
}

#[test]
fn ps_and_tree_show_who_is_there_and_what_each_waits_for() {
    let (scratch, event_loop) = inspected("ps");
    let line = line!() + 1;
    let (ps, tree) = event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let parent = spawn_named("parent", async move {
            let child = spawn_named("child", sleep(Duration::from_millis(2500)));
            drop(spawn(pending::<()>()));
            child.await
        });
        drop(spawn_named("server", async move { listener.accept().await.map(|_| ()) }));
        drop(spawn(async move { parent.await.is_ok() }));
        yield_now().await;
        yield_now().await;
        (asked(&scratch, "ps").await, asked(&scratch, "tree").await)
    });
    let expected = format!(
        "\
task  name    state    waits for                         polls  spawned at
0     main    waiting  a closure on a thread             3      here:{line}
1     parent  waiting  task 4 \"child\"                    1      here:{}
2     server  waiting  Socket 1                          1      here:{}
3     -       waiting  task 1 \"parent\"                   1      here:{}
4     child   waiting  Timer, in 2.5s                    1      here:{}
5     -       waiting  something unknown to the runtime  1      here:{}
",
        line + 2,
        line + 7,
        line + 8,
        line + 3,
        line + 4,
    );
    assert_eq!(ps, expected);
    let expected = "\
task 0 \"main\": waiting for a closure on a thread
├── task 1 \"parent\": waiting for task 4 \"child\"
│   ├── task 4 \"child\": waiting for Timer, in 2.5s
│   └── task 5: waiting for something unknown to the runtime
├── task 2 \"server\": waiting for Socket 1
└── task 3: waiting for task 1 \"parent\"
";
    assert_eq!(tree, expected);
}

#[test]
fn a_task_whose_spawner_is_over_stands_by_itself() {
    let (scratch, event_loop) = inspected("orphan");
    drop(event_loop.spawn(pending::<()>()));
    let tree = event_loop.block_on(async {
        spawn(async { drop(spawn_named("orphan", pending::<()>())) }).await.unwrap();
        yield_now().await;
        asked(&scratch, "tree").await
    });
    let expected = "\
task 0 \"main\": waiting for a closure on a thread
task 1: waiting for something unknown to the runtime
task 3 \"orphan\": waiting for something unknown to the runtime (spawned by task 2, which is over)
";
    assert_eq!(tree, expected);
}

#[test]
fn locks_show_who_holds_and_who_stands_in_line() {
    let (scratch, event_loop) = inspected("locks");
    let line = line!() + 4;
    let (before, during, after) = event_loop.block_on(async {
        let before = asked(&scratch, "locks").await;
        let (lock, permits) = (Rc::new(Lock::new(()).named("a")), Rc::new(Semaphore::new(2).named("pool")));
        let held = lock.acquire().await;
        let permit = permits.acquire().await.unwrap();
        for name in ["T1", "T2"] {
            let (lock, permits) = (lock.clone(), permits.clone());
            drop(spawn_named(name, async move {
                let _permit = permits.acquire().await;
                let _held = lock.acquire().await;
            }));
        }
        yield_now().await;
        let during = asked(&scratch, "locks").await;
        drop((held, permit));
        for _ in 0..4 {
            yield_now().await;
        }
        (before, during, asked(&scratch, "locks").await)
    });
    assert_eq!(before, "no lock and no semaphore is held or waited for\n");
    assert_eq!(before, after);
    let expected = format!(
        "\
Lock \"a\"
  held by task 0 \"main\" (taken at here:{0})
  1 in line: task 1 \"T1\" (at here:{3})
Semaphore \"pool\"
  held by task 0 \"main\" (taken at here:{1})
  held by task 1 \"T1\" (taken at here:{2})
  1 in line: task 2 \"T2\" (at here:{2})
",
        line,
        line + 1,
        line + 5,
        line + 6,
    );
    assert_eq!(during, expected);
}

#[test]
fn why_follows_the_waits_to_their_end() {
    let (scratch, event_loop) = inspected("why");
    let line = line!() + 1;
    let [by_number, by_name, ready] = event_loop.block_on(async {
        let lock = Rc::new(Lock::new(()).named("a"));
        let holder = lock.clone();
        let slow = spawn_named("slow", async move {
            let _held = holder.acquire().await;
            sleep(Duration::from_secs(3)).await;
        });
        let next = spawn(async move { drop(lock.acquire().await) });
        drop(spawn_named("last", async move { next.await.is_ok() && slow.await.is_ok() }));
        yield_now().await;
        yield_now().await;
        [asked(&scratch, "why 3").await, asked(&scratch, "why last").await, asked(&scratch, "why task 0").await]
    });
    let expected = format!(
        "\
task 3 \"last\" (spawned at here:{})
  waits for task 2 (at here:{}) to end
task 2 (spawned at here:{})
  waits for Lock \"a\" (at here:{}), held by task 1 \"slow\" (taken at here:{})
task 1 \"slow\" (spawned at here:{})
  waits for Timer, in 3s (at here:{})
",
        line + 8,
        line + 8,
        line + 7,
        line + 7,
        line + 4,
        line + 3,
        line + 5,
    );
    assert_eq!(by_number, expected);
    assert_eq!(by_name, expected);
    assert!(ready.starts_with("task 0 \"main\" (spawned at here:"), "{ready}");
    assert!(ready.contains("\n  waits for a closure on a thread"), "{ready}");
}

/// What is said of a circle of which each waits for the next, and for nobody else.
const CERTAIN: &str = "none of them goes on, unless a guard was given to another task, or one of them is cancelled";

/// What is said of any other.
const UNCERTAIN: &str = "not each of them is known to need the next";

/// Two tasks with a lock each, who want the other's, and a third who stands behind them.
fn in_a_circle([first, second]: [&'static str; 2], way_out: bool) -> [JoinHandle<()>; 2] {
    let [a, b] = [0, 1].map(|_| Rc::new(Lock::new(())));
    let out = Rc::new(Event::new());
    [(first, a.clone(), b.clone()), (second, b, a)].map(|(name, first, second)| {
        let out = out.clone();
        spawn_named(name, async move {
            let _first = first.acquire().await;
            yield_now().await;
            if way_out {
                futures::future::select(Box::pin(out.wait()), second.acquire()).await;
            } else {
                drop(second.acquire().await);
            }
        })
    })
}

#[test]
fn why_names_the_circle() {
    let (scratch, event_loop) = inspected("circle");
    let why = event_loop.block_on(async {
        drop(in_a_circle(["T1", "T2"], false));
        yield_now().await;
        yield_now().await;
        asked(&scratch, "why T2").await
    });
    assert!(why.contains("task 2 \"T2\" (spawned at "), "{why}");
    assert_eq!(why.lines().count(), 5, "each task once: {why}");
    let last = why.lines().last().unwrap();
    assert_eq!(last, format!("a circle: task 1 \"T1\" -> task 2 \"T2\" -> task 1 \"T1\"; {CERTAIN}"));
}

#[test]
fn a_circle_with_a_way_out_is_not_called_hopeless() {
    let (scratch, event_loop) = inspected("way-out");
    let why = event_loop.block_on(async {
        drop(in_a_circle(["T1", "T2"], true));
        yield_now().await;
        yield_now().await;
        asked(&scratch, "why T1").await
    });
    let last = why.lines().last().unwrap();
    let hope = format!("a circle with ways out: task 1 \"T1\" -> task 2 \"T2\" -> task 1 \"T1\"; {UNCERTAIN}");
    assert_eq!(last, hope, "{why}");
}

/// Task `x` has a permit and wants the lock, task `y` the other way round; but `z` has a permit too, until `go`.
fn in_a_circle_through_a_semaphore(go: &Rc<Event>) -> [JoinHandle<()>; 3] {
    let (permits, lock) = (Rc::new(Semaphore::new(2)), Rc::new(Lock::new(())));
    let (z_permits, y_permits, x_lock, go) = (permits.clone(), permits.clone(), lock.clone(), go.clone());
    let z = spawn_named("z", async move {
        let _permit = z_permits.acquire().await;
        go.wait().await;
    });
    let x = spawn_named("x", async move {
        let _permit = permits.acquire().await;
        yield_now().await;
        drop(x_lock.acquire().await);
    });
    let y = spawn_named("y", async move {
        let _held = lock.acquire().await;
        yield_now().await;
        drop(y_permits.acquire().await);
    });
    [x, y, z]
}

#[test]
fn a_circle_through_a_semaphore_is_not_called_hopeless() {
    let (scratch, event_loop) = inspected("semaphore");
    event_loop.block_on(async {
        let go = Rc::new(Event::new());
        let all = in_a_circle_through_a_semaphore(&go);
        yield_now().await;
        yield_now().await;
        let why = asked(&scratch, "why x").await;
        let hope = format!("a circle with ways out: task 2 \"x\" -> task 3 \"y\" -> task 2 \"x\"; {UNCERTAIN}");
        assert_eq!(why.lines().last(), Some(&*hope), "{why}");
        // And so it is.
        go.set();
        assert!(gather(all).await.iter().all(Result::is_ok));
    });
}

#[test]
fn a_circle_through_the_first_of_a_family_is_not_called_hopeless() {
    let (scratch, event_loop) = inspected("family");
    event_loop.block_on(async {
        let (lock, go) = (Rc::new(Lock::new(())), Rc::new(Event::new()));
        let goes = go.clone();
        let x = spawn_named("x", async move {
            let held = lock.acquire().await;
            let lock = lock.clone();
            let first = spawn_named("first", async move { drop(lock.acquire().await) });
            let second = spawn_named("second", async move { goes.wait().await });
            let mut all = as_completed([first, second]);
            all.next().await.unwrap().unwrap();
            drop(held);
            all.next().await.unwrap().unwrap();
        });
        yield_now().await;
        yield_now().await;
        let why = asked(&scratch, "why x").await;
        let hope = format!("a circle with ways out: task 1 \"x\" -> task 2 \"first\" -> task 1 \"x\"; {UNCERTAIN}");
        assert_eq!(why.lines().last(), Some(&*hope), "{why}");
        go.set();
        assert!(x.await.is_ok());
    });
}

#[test]
fn a_certain_circle_is_told_first() {
    let (scratch, event_loop) = inspected("certain");
    let why = event_loop.block_on(async {
        let [t1, _] = in_a_circle(["T1", "T2"], false);
        let [x, ..] = in_a_circle_through_a_semaphore(&Rc::default());
        drop(spawn_named("waits", async { gather([t1, x]).await.len() }));
        yield_now().await;
        yield_now().await;
        asked(&scratch, "why waits").await
    });
    let certain = format!("a circle: task 1 \"T1\" -> task 2 \"T2\" -> task 1 \"T1\"; {CERTAIN}");
    assert_eq!(why.lines().last(), Some(&*certain), "{why}");
}

#[test]
fn of_a_crowd_why_names_the_nearest() {
    let (scratch, event_loop) = inspected("crowd");
    let why = event_loop.block_on(async {
        drop(spawn_named("all", async { gather((0..100).map(|_| pending::<()>())).await.len() }));
        yield_now().await;
        yield_now().await;
        asked(&scratch, "why all").await
    });
    assert!(why.contains("\n  waits for 100 tasks, task 2 to task 101 to end\n"), "{why}");
    assert!(why.ends_with("\nand 69 more, and whoever they wait for\n"), "{why}");
}

#[test]
fn a_request_that_makes_no_sense_is_an_error_that_says_what_does() {
    let (scratch, event_loop) = inspected("errors");
    let known = "ask ps, tree, locks or why TASK (a number or a name)";
    for (request, error) in [
        ("frobnicate", format!("unknown request \"frobnicate\": {known}")),
        ("", format!("an empty request: {known}")),
        ("ps aux", format!("ps stands alone: {known}")),
        ("why", "why needs a task: its number or its name".to_owned()),
        (
            "why nobody",
            "there is no task \"nobody\": it is over, or never was; ps lists those that are there".to_owned(),
        ),
    ] {
        assert_eq!(event_loop.block_on(asked(&scratch, request)), format!("error: {error}\n"));
    }
}

#[test]
fn a_client_that_misbehaves_harms_nobody() {
    let (scratch, event_loop) = inspected("misbehaves");
    event_loop.block_on(async {
        let path = scratch.socket();
        let silent = UnixStream::connect(&path).unwrap();
        drop(UnixStream::connect(&path).unwrap());
        // Goes away before its answer has come.
        UnixStream::connect(&path).unwrap().write_all(b"ps\n").unwrap();
        let too_long = {
            let path = path.clone();
            to_thread(move || ask(&path, &"x".repeat(100_000))).await.unwrap()
        };
        assert_eq!(too_long, "error: a request is one line of at most 1024 bytes\n");
        let no_text = to_thread(move || {
            let mut stream = UnixStream::connect(&path).unwrap();
            // Without an end of the line, but with an end of the stream.
            stream.write_all(b"\xff\xfe").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            rest_of(&mut stream)
        });
        assert!(no_text.await.unwrap().starts_with("error: unknown request "));
        assert!(asked(&scratch, "ps").await.starts_with("task  name"));
        drop(silent);
    });
}

#[test]
fn many_clients_are_answered_at_once() {
    let (scratch, event_loop) = inspected("many");
    event_loop.block_on(async {
        let path = scratch.socket();
        let one = |_| {
            to_thread({
                let path = path.clone();
                move || ask(&path, "tree")
            })
        };
        let all = gather((0..12).map(one)).await;
        let all: Vec<String> = all.into_iter().map(Result::unwrap).collect();
        assert!(all.iter().all(|answer| answer.starts_with("task 0 \"main\": ")), "{all:?}");
    });
}

#[test]
fn one_client_too_many_is_told_so() {
    let (scratch, event_loop) = inspected("too-many");
    event_loop.block_on(async {
        // They say nothing; three of them are to be told that there are too many, and say nothing either.
        let silent: Vec<_> = (0..16 + 3).map(|_| UnixStream::connect(scratch.socket()).unwrap()).collect();
        let too_many = "error: too many clients at once: try again\n";
        for _ in 0..3 {
            assert_eq!(asked(&scratch, "ps").await, too_many);
        }
        drop(silent);
        // As soon as the system has told everybody, there is room again.
        while asked(&scratch, "ps").await == too_many {}
        assert!(asked(&scratch, "ps").await.starts_with("task  name"));
    });
}

#[test]
fn a_loop_that_hangs_in_a_poll_is_told_on() {
    let (scratch, event_loop) = inspected("hangs");
    let line = line!() + 3;
    let answer = event_loop.block_on(async {
        let path = scratch.socket();
        let stuck = spawn_named("stuck", async move {
            let (says, said) = mpsc::channel();
            thread::spawn(move || says.send(ask(&path, "ps")));
            // The poll does not go on before the answer is there.
            said.recv().unwrap()
        });
        // What comes too late is not answered, and does no harm.
        let answer = stuck.await.unwrap();
        assert!(asked(&scratch, "ps").await.starts_with("task  name"));
        answer
    });
    let expected =
        format!("error: the loop hangs: task 1 \"stuck\" (spawned at here:{line}) has been in one poll for ");
    assert!(answer.starts_with(&expected) && answer.contains("s, and nobody else runs meanwhile\n"), "{answer}");
}

#[test]
fn a_loop_that_nobody_runs_is_told_on() {
    let (scratch, event_loop) = inspected("absent");
    let answer = ask(&scratch.socket(), "ps");
    let expected =
        "error: the loop does not answer: its thread is outside of block_on() just now, or in a destructor\n";
    assert_eq!(answer, expected);
    // A root that left by a panic is in no poll any more.
    let panicked = std::panic::catch_unwind(|| event_loop.block_on(async { panic!("gone") }));
    assert!(panicked.is_err());
    assert_eq!(ask(&scratch.socket(), "ps"), expected);
}

#[test]
fn the_socket_is_for_its_user_only_and_goes_with_the_loop() {
    let (scratch, event_loop) = inspected("private");
    let metadata = fs::symlink_metadata(scratch.socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let mut client = UnixStream::connect(scratch.socket()).unwrap();
    drop(event_loop);
    assert!(!scratch.socket().exists());
    // Whoever is there already is told, or is sent away.
    let _ = client.write_all(b"ps\n");
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    assert!(read.is_err() || answer.is_empty() || answer == "error: the loop has ended\n", "{answer}");
}

/// What is in the folder of the socket.
fn files_beside(path: &Path) -> Vec<String> {
    let all = fs::read_dir(path.parent().unwrap()).unwrap();
    all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn nobody_finds_the_socket_unlocked() {
    let scratch = Scratch::new("unlocked");
    let path = scratch.socket();
    let (build, built) = (|| EventLoop::builder().inspect(&path).build().unwrap(), AtomicBool::new(false));
    let unlocked = thread::scope(|scope| {
        let watches = scope.spawn(|| {
            let modes = std::iter::from_fn(|| (!built.load(Relaxed)).then(|| fs::symlink_metadata(&path)));
            modes.flatten().map(|metadata| metadata.permissions().mode() & 0o777).find(|&mode| mode != 0o600)
        });
        (0..100).for_each(|_| drop(build()));
        built.store(true, Relaxed);
        watches.join().unwrap()
    });
    assert_eq!(unlocked, None);
    let _event_loop = build();
    assert_eq!(files_beside(&path), ["socket"], "nothing that it was made with is left");
}

/// Not a test of its own: a process that has few descriptors, which would disturb the other tests.
#[cfg(target_os = "linux")]
#[test]
fn the_child_without_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    if env::var_os("ROUNDEL_CHILD_WITHOUT_DESCRIPTORS").is_none() {
        return;
    }
    let scratch = Scratch::new("descriptors");
    let before = getrlimit(Resource::Nofile);
    let limit = |current| setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..before }).unwrap();
    let all_again = || setrlimit(Resource::Nofile, before).unwrap();
    // One more each time: whatever it is that fails, nothing is left.
    let (refusals, event_loop) = (0..)
        .find_map(|free| {
            let used = fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
            limit(used + free);
            let built = EventLoop::builder().inspect(scratch.socket()).build();
            all_again();
            let files = files_beside(&scratch.socket());
            assert_eq!(files.len(), usize::from(built.is_ok()), "with {free} descriptors: {files:?}");
            built.ok().map(|event_loop| (free, event_loop))
        })
        .unwrap();
    assert!(refusals >= 2, "one before the socket is there, one after: {refusals}");
    let threads = || {
        let all = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = all.map(|thread| fs::read_to_string(thread.path().join("comm")).unwrap_or_default());
        names.filter(|name| name.starts_with("roundel inspect")).count()
    };
    // It has not got its name before it runs.
    while threads() == 0 {
        thread::yield_now();
    }
    limit(0);
    drop(event_loop);
    all_again();
    assert!(files_beside(&scratch.socket()).is_empty());
    let began = Instant::now();
    while threads() > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the inspector's thread goes on");
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_nothing_is_left_behind() {
    let child = Command::new(env::current_exe().unwrap())
        .args(["the_child_without_descriptors", "--exact", "--test-threads", "1"])
        .env("ROUNDEL_CHILD_WITHOUT_DESCRIPTORS", "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn of_two_who_replace_a_stale_socket_one_has_it() {
    let scratch = Scratch::new("two");
    let path = scratch.socket();
    for _ in 0..100 {
        drop(UnixListener::bind(&path).unwrap());
        let (start, ready, looked) = (Barrier::new(2), Barrier::new(3), Barrier::new(3));
        thread::scope(|scope| {
            let builds = || {
                start.wait();
                let built = EventLoop::builder().inspect(&path).build();
                ready.wait();
                looked.wait();
                built.is_ok()
            };
            let both = [scope.spawn(builds), scope.spawn(builds)];
            ready.wait();
            let connected = UnixStream::connect(&path).is_ok();
            let files = files_beside(&path);
            looked.wait();
            let winners = both.into_iter().filter_map(|thread| thread.join().ok()).filter(|&won| won).count();
            assert_eq!((winners, connected, &*files), (1, true, &["socket".to_owned()][..]));
        });
    }
}

#[test]
fn a_listener_with_a_full_line_is_not_waited_for() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

    let scratch = Scratch::new("full");
    let path = scratch.socket();
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let _in_line = UnixStream::connect(&path).unwrap();
    let error = EventLoop::builder().inspect(&path).build().unwrap_err().to_string();
    assert!(error.contains("somebody listens there already"), "{error}");
    assert_eq!(files_beside(&path), ["socket"]);
    drop(listener);
    assert!(EventLoop::builder().inspect(&path).build().is_ok());
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let scratch = Scratch::new("stale");
    let path = scratch.socket();
    let build = || EventLoop::builder().inspect(&path).build();
    // Whoever listened there is gone, and has left his socket.
    drop(UnixListener::bind(&path).unwrap());
    let event_loop = build().unwrap();
    assert!(event_loop.block_on(asked(&scratch, "ps")).starts_with("task  name"));

    let error = build().unwrap_err().to_string();
    let listens = "somebody listens there already: choose another path, or end that process";
    assert_eq!(error, format!("inspect({}): {listens}", path.display()));
    assert!(event_loop.block_on(asked(&scratch, "ps")).starts_with("task  name"), "and is not disturbed");
    drop(event_loop);

    fs::write(&path, "a letter").unwrap();
    let error = build().unwrap_err().to_string();
    assert!(error.ends_with("there is something that is no socket: choose another path, or move it away"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");

    let nowhere = EventLoop::builder().inspect(path.join("below a file")).build().unwrap_err();
    assert!(nowhere.to_string().starts_with("inspect("), "{nowhere}");
    // A name that a file may have, but no socket that is to be connected to.
    let long = EventLoop::builder().inspect(scratch.0.join("x".repeat(150))).build().unwrap_err();
    assert_eq!(long.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(files_beside(&path), ["socket"]);
}

#[test]
fn what_somebody_else_put_at_the_path_stays() {
    let (scratch, event_loop) = inspected("replaced");
    fs::remove_file(scratch.socket()).unwrap();
    let _other = UnixListener::bind(scratch.socket()).unwrap();
    drop(event_loop);
    assert!(scratch.socket().exists());
}

#[test]
fn two_loops_of_one_thread_are_told_apart() {
    let (one, first) = inspected("one");
    let (other, second) = inspected("other");
    drop(first.spawn(pending::<()>()));
    let count = |answer: String| answer.lines().count();
    assert_eq!(count(first.block_on(asked(&one, "ps"))), 3);
    assert_eq!(count(second.block_on(asked(&other, "ps"))), 2);
    drop(first);
    assert_eq!(count(second.block_on(asked(&other, "ps"))), 2);
}

#[test]
fn an_inspected_loop_still_says_that_it_is_deadlocked() {
    let scratch = Scratch::new("deadlock");
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).inspect(scratch.socket()).build().unwrap();
    let _client = UnixStream::connect(scratch.socket()).unwrap();
    let lock = Lock::new(());
    let deadlock = event_loop.try_block_on(async {
        let _held = lock.acquire().await;
        drop(lock.acquire().await);
    });
    assert_eq!(deadlock.unwrap_err().cycles.len(), 1);
}

#[test]
fn whoever_asks_all_the_time_keeps_no_deadlock_from_being_told() {
    let scratch = Scratch::new("busy");
    let event_loop = EventLoop::builder().inspect(scratch.socket()).build().unwrap();
    let (path, is_over) = (scratch.socket(), std::sync::Arc::new(AtomicBool::new(false)));
    let until = is_over.clone();
    let asks = thread::spawn(move || {
        // Some ten seconds at most; a deadlock is told after a tenth of one.
        let asked = (0..500).take_while(|_| !until.load(Relaxed)).map(|_| {
            thread::sleep(Duration::from_millis(20));
            ask(&path, "ps").contains("main")
        });
        asked.filter(|answered| *answered).count()
    });
    event_loop.try_block_on(async { Event::new().wait().await }).unwrap_err();
    is_over.store(true, Relaxed);
    // The last question may find nobody who runs the loop, and is told so.
    assert!((1..400).contains(&asks.join().unwrap()));
    drop(event_loop);
}
