//! Every panic that the runtime can raise: what it says, and whose line it reports.
//!
//! `PANICS`, below, lists each `panic!`, `assert!`, `expect`, `unreachable!` and `resume_unwind` of the
//! runtime, file by file, with the test that reaches it or the reason why nobody can.
//! `every_panic_of_the_runtime_is_in_the_table` reads the sources and fails on one that is missing, on one
//! that is no more, and on a test that does not speak of it.
//!
//! A panic is reported at the user's line, by `#[track_caller]`. That cannot reach through code which is not
//! the runtime's own or has no name: an `async fn`, `poll_fn`, and `&mut F` as a future (whose `poll` is the
//! standard library's). What then?
//!
//! | through | line reported | where the user finds his own |
//! |---|---|---|
//! | `(&mut handle).await` | the standard library's | in the backtrace only |
//! | `completed.next().await` | as_completed.rs | in the backtrace only; `poll_next` reports it |
//! | `gather!(..).await` | gather.rs | in the text: the line of the `gather!` |
//! | `timeout(..).await`, `interval.tick().await`, of a loop that is gone | time.rs | in the text: the line of the `timeout` or `interval` |
//! | `reader.read_line().await`, of a reader that lies | buf_reader.rs | it is the reader's fault, and the text says so |
//! | a turn that is not in the schedule | order.rs | in the text: the line of the `schedule` |
//!
//! `a_wrapper_hides_the_line` holds this table to the truth.
#![allow(clippy::redundant_async_block, reason = "the await itself must stand in the line that is tested")]
#![allow(clippy::async_yields_async, reason = "futures are made inside the loop and awaited outside")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::future::{Future, pending};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use futures::{AsyncRead, FutureExt};
use roundel::net::{BufReader, TcpListener, TcpStream};
use roundel::sync::{Barrier, Queue, Semaphore};
use roundel::{
    EventLoop, Generator, Handle, Order, Step, TaskGroup, Yielder, as_completed, block_on, gather, gather_settled,
    generator, interval, spawn, timeout, try_gather, two_way_generator,
};
use support::{alone, assert_refused, millis, panics_during, virtual_loop};

enum Reached {
    /// By the test of this name in this file, which asserts on the text.
    By(&'static str, &'static str),
    /// In principle, but by no test, and why.
    Untested(&'static str),
    /// Never: what the runtime itself keeps so, and how.
    Never(&'static str),
}
use Reached::{By, Never, Untested};

/// File, a piece of the text (for `resume_unwind`, which has none, that word), and who reaches it.
#[rustfmt::skip] // one panic a line, however long
const PANICS: &[(&str, &str, Reached)] = &[
    ("arena.rs", "an arena holds 67,108,864 values at most", Untested("it takes so many tasks or waiters alive at once: several GiB")),
    ("arena.rs", "a listed value lives in its arena", Never("push_back() is given the keys of values that were just put in, or just taken out of another list")),
    ("as_completed.rs", "pass each only once", By("callers", "a_future_that_has_given_its_result_says_so_at_the_line_of_the_await")),
    ("as_completed.rs", "a task finishes once", Never("each handle reports one number of its own, once: its end takes the listener out")),
    ("clock.rs", "build the loop with Clock::manual()", By("bad_use", "what_cannot_be_is_refused_at_the_line_of_the_call")),
    ("context.rs", "needs a running loop", By("bad_use", "whatever_needs_a_loop_says_so_at_the_line_of_the_call")),
    ("context.rs", "was called inside a running loop", By("bad_use", "a_loop_inside_a_loop_is_refused_at_the_line_of_the_call")),
    ("driver.rs", "the event loop can no longer wait for the system", Untested("somebody must close the loop's own descriptor, which safe code cannot do")),
    ("event_loop.rs", "block_on() cannot make an event loop", By("callers", "a_loop_that_cannot_be_made_says_so_at_the_line_of_the_call")),
    ("event_loop.rs", "{deadlock}", By("deadlock", "block_on_panics_with_the_explanation")),
    ("event_loop.rs", "the loop runs until the root is done", Never("run() returns only when the root's poll gave its output, or by a panic")),
    ("gather.rs", "await it only once", By("callers", "a_future_that_has_given_its_result_says_so_at_the_line_of_the_await")),
    ("gather.rs", "gather_settled() does not", By("callers", "a_child_that_somebody_cancelled_is_reported_at_the_line_of_the_await")),
    ("gather.rs", "resume_unwind", By("gather", "a_panicking_child_cancels_its_siblings_and_panics_at_the_await")),
    ("gather.rs", "the children stay until the result is given", Never("every poll begins by asking whether they are there")),
    ("gather.rs", "a child is over once", Never("its number arrives once")),
    ("gather.rs", "the handle stays until the child is over", Never("it is taken by join(), once, and by detach(), which consumes the child")),
    ("gather.rs", "who has arrived is over", Never("a task reports when its result is there, and nobody else has its handle")),
    ("gather.rs", "a value is kept until it is given", Never("into_value() consumes it")),
    ("gather.rs", "every child has arrived", Never("the result is put together when no child is running")),
    ("gather.rs", "the tuple has no more children", Never("the numbers are those that adopt() gave, one for each place")),
    ("generator.rs", "call resume() first", By("callers", "a_generator_says_what_is_wrong_at_the_line_of_the_call")),
    ("generator.rs", "ask is_finished() first", By("callers", "a_generator_says_what_is_wrong_at_the_line_of_the_call")),
    ("generator.rs", "do the waiting in a task", By("callers", "a_generator_says_what_is_wrong_at_the_line_of_the_call")),
    ("generator.rs", "outside its generator's body", By("callers", "a_generator_says_what_is_wrong_at_the_line_of_the_call")),
    ("generator.rs", "await one yield_() before the next", By("callers", "a_generator_says_what_is_wrong_at_the_line_of_the_call")),
    ("group.rs", "resume_unwind", By("task_group", "a_panicking_child_cancels_its_siblings_and_panics_at_the_await")),
    ("group.rs", "there was one a moment ago", Never("nothing runs between the look and the taking")),
    ("group.rs", "the body is only dropped after a failure", Never("only a failure closes the group while it runs, and it stays to be told")),
    ("handle.rs", "await the handle instead", By("bad_use", "what_cannot_be_is_refused_at_the_line_of_the_call")),
    ("handle.rs", "use timeout() there", By("callers", "what_would_never_end_is_refused_at_the_line_of_the_call")),
    ("handle.rs", "a RemoteHandle gives its result once", By("callers", "a_future_that_has_given_its_result_says_so_at_the_line_of_the_await")),
    ("handle.rs", "a wait without limit ends with the result", Never("only a limit ends Asker::wait() as pending")),
    ("handle.rs", "await it only once", By("bad_use", "a_handle_that_can_give_nothing_says_so_at_the_line_of_the_await")),
    // Two texts, both in task.rs: one's own handle, and one handle twice.
    ("join_handle.rs", "{refusal}", By("bad_use", "a_handle_that_can_give_nothing_says_so_at_the_line_of_the_await")),
    ("join_handle.rs", "a task's output has the type of its handle", Never("spawn() makes both from one future")),
    ("net/buf_reader.rs", "read_until() needs a separator of at least one byte", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("net/buf_reader.rs", "a reader said that it read", By("callers", "a_wrapper_hides_the_line")),
    ("net/connect.rs", "a connect() gives its result once: await it only once", By("callers", "a_future_that_has_given_its_result_says_so_at_the_line_of_the_await")),
    ("net/connect.rs", "begin() says that one is under way", Never("it said so in the line before")),
    ("net/split.rs", "a stream has two halves, and the other is gone", Never("both halves are in the caller's hands, and the stream has no third owner")),
    ("order.rs", "was it recorded from another program?", By("callers", "a_wrapper_hides_the_line")),
    ("study/page.rs", "plain data with string keys can always be written", Never("a recording is numbers, texts and lists, and its maps have texts as keys")),
    ("study/page.rs", "the template has no other places", Never("the template is compiled in, and a test of the file writes it")),
    ("study/exploration.rs", "{self}", By("explore_promises", "the_report_can_be_read")),
    ("study/hush.rs", "a panic to see whether the hook", By("explore_promises", "a_hook_that_was_set_since_makes_no_panic_loud")),
    ("study/search.rs", "{NOT_THE_SAME}", By("explore_promises", "a_program_that_is_not_the_same_in_every_run_is_found_out")),
    ("study/search.rs", "{strayed}", By("explore_promises", "a_program_that_is_not_the_same_in_every_run_is_found_out")),
    ("study/search.rs", "{text}", By("explore_promises", "a_socket_is_refused_at_the_call_and_for_good")),
    ("study/explore.rs", "was called inside a running loop", By("explore_promises", "an_exploration_inside_a_loop_is_refused")),
    ("study/search.rs", "it was written by this exploration", Never("a schedule is read as it was written, which a test of schedule.rs holds to")),
    ("study/search.rs", "a diagram needs the program that was explored", By("explore_promises", "the_shortest_schedule_that_fails_has_its_diagram")),
    ("study/steered.rs", "explore() cannot make an event loop", Untested("the system must run out of descriptors between two runs")),
    ("study/steered.rs", "{text}", By("explore_promises", "a_socket_is_refused_at_the_call_and_for_good")),
    ("sync/barrier.rs", "Barrier::new() needs at least one party", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("sync/lock.rs", "nobody closes the line of a lock", Never("the line is private to the lock, which has no close()")),
    ("sync/once_cell.rs", "it was just filled", Never("only &mut and self take the value out, and this future borrows the cell")),
    ("sync/queue.rs", "use Queue::unbounded()", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("sync/queue.rs", "call it once for each item that get() gave", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("sync/queue.rs", "a put() takes its item along when it is done: await it only once", By("callers", "a_future_that_has_given_its_result_says_so_at_the_line_of_the_await")),
    ("sync/semaphore.rs", "Semaphore::new() takes at most Semaphore::MAX_PERMITS", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("sync/semaphore.rs", "acquire_many() for more than Semaphore::MAX_PERMITS never ends", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("sync/semaphore.rs", "a permit comes back by being dropped", By("callers", "what_cannot_be_is_refused_in_the_line_that_says_it")),
    ("task.rs", "a finished task has its result", Never("nothing runs between the look and the taking")),
    ("thread.rs", "await it only once", By("bad_use", "a_handle_that_can_give_nothing_says_so_at_the_line_of_the_await")),
    ("time.rs", "await it inside the loop that made it", By("bad_use", "a_sleep_that_outlives_its_loop_names_both_lines")),
    ("time.rs", "await it in its own", By("bad_use", "a_sleep_that_is_awaited_in_another_loop_names_both_lines")),
    ("time.rs", "interval() needs a period above zero", By("bad_use", "what_cannot_be_is_refused_at_the_line_of_the_call")),
    ("timer_wheel.rs", "some four billion timers at most", Untested("it takes so many timers alive at once: 128 GiB")),
    ("wait_list.rs", "a waiter stays until its future takes it out", Never("the arena and the keys are the list's own, and a future forgets its key when it takes the waiter out")),
    ("wait_list.rs", "Stage::Waiting(_)", Never("accept() follows a poll that said the wait is over")),
];

#[test]
fn every_panic_of_the_runtime_is_in_the_table() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut raised = Vec::new();
    for folder in ["", "net/", "sync/", "study/"] {
        for entry in fs::read_dir(top.join("runtime").join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".rs") {
                let file = format!("{folder}{name}");
                let text = fs::read_to_string(top.join("runtime").join(&file)).unwrap();
                raised.extend(panics_in(&text).into_iter().map(|says| (file.clone(), says)));
            }
        }
    }
    let mut faults = Vec::new();
    for (file, says) in &raised {
        if !PANICS.iter().any(|(in_file, piece, _)| in_file == file && says.contains(piece)) {
            faults.push(format!("not in the table: {file}: {says:?}"));
        }
    }
    for (file, piece, reached) in PANICS {
        if !raised.iter().any(|(in_file, says)| in_file == file && says.contains(piece)) {
            faults.push(format!("no such panic: {file}: {piece:?}"));
        }
        let By(test_file, test) = reached else { continue };
        let text = fs::read_to_string(top.join("tests").join(format!("{test_file}.rs"))).unwrap();
        // The body of the test. A text without words of its own is told apart by the test alone.
        let body = text.split_once(&format!("fn {test}() {{")).map(|(_, rest)| rest.split("\n}\n").next().unwrap());
        let words = !piece.contains(['{', '_']) || piece.contains(' ');
        if body.is_none_or(|body| words && !body.contains(piece)) {
            faults.push(format!("{test_file}: {test} does not speak of {piece:?}"));
        }
    }
    let tested = PANICS.iter().filter(|(.., reached)| matches!(reached, By(..))).count();
    let never = PANICS.iter().filter(|(.., reached)| matches!(reached, Never(why) if why.len() > 10)).count();
    let untested = PANICS.iter().filter(|(.., reached)| matches!(reached, Untested(why) if why.len() > 10)).count();
    println!("{} panics: {tested} tested, {never} that nobody reaches, {untested} untested", PANICS.len());
    assert_eq!(tested + never + untested, PANICS.len(), "a panic that no test reaches has its reason");
    assert!(raised.len() > 50, "the sources were read: {}", raised.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What each panic of a source says, without those in comments and in the file's own tests.
fn panics_in(text: &str) -> Vec<String> {
    let text = text.split("mod tests {").next().unwrap();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for word in
        ["panic!(", "assert!(", "assert_eq!(", "assert_ne!(", ".expect(", "unreachable!(", "todo!(", "unimplemented!("]
    {
        for (at, _) in code.match_indices(word) {
            // To the end of the statement, so that a text over several lines is there as a whole.
            let rest = &code[at + word.len()..];
            let end = rest.find(";\n").unwrap_or(rest.len()).min(rest.find("\n\n").unwrap_or(rest.len()));
            found.push(rest[..end].replace("\\\n", "").split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found.extend(code.matches("panic::resume_unwind(").map(|_| "resume_unwind".to_owned()));
    found.extend(code.matches(".unwrap()").map(|_| ".unwrap(), which says nothing".to_owned()));
    found
}

#[test]
fn what_cannot_be_is_refused_in_the_line_that_says_it() {
    const TOO_MANY: usize = Semaphore::MAX_PERMITS + 1;
    assert_refused!("Barrier::new() needs at least one party", Barrier::new(0));
    assert_refused!("use Queue::unbounded() for one without bound", Queue::<u8>::bounded(0));
    assert_refused!("use Queue::unbounded()", Queue::<u8>::lifo(0));
    assert_refused!("use Queue::unbounded()", Queue::<u8>::priority(0));
    assert_refused!("call it once for each item that get() gave", Queue::<u8>::unbounded().task_done());
    assert_refused!("Semaphore::new() takes at most Semaphore::MAX_PERMITS permits", Semaphore::new(TOO_MANY));
    let semaphore = Semaphore::new(1);
    assert_refused!("acquire_many() for more than Semaphore::MAX_PERMITS never ends", semaphore.acquire_many(TOO_MANY));
    // S10
    assert_refused!("a permit comes back by being dropped", semaphore.add_permits(Semaphore::MAX_PERMITS));
    let mut reader = BufReader::new(&b"abc"[..]);
    assert_refused!("read_until() needs a separator of at least one byte", reader.read_until(b""));
}

#[test]
fn what_runs_many_or_talks_says_that_it_needs_a_loop_at_the_line_of_the_call() {
    // The rest of bad_use's whatever_needs_a_loop_says_so_at_the_line_of_the_call.
    assert_refused!("gather() needs a running loop: call it inside block_on()", gather([async {}]));
    assert_refused!("gather!() needs a running loop", gather!(async {}, async {}));
    assert_refused!("gather_settled() needs a running loop", gather_settled([async {}]));
    assert_refused!("try_gather() needs a running loop", try_gather([async { Ok::<(), ()>(()) }]));
    let group = TaskGroup::<(), ()>::new();
    assert_refused!("TaskGroup::spawn() needs a running loop", group.spawn_named("name", async { Ok(()) }));
    assert_refused!("TaskGroup::spawn() needs a running loop", group.handle().spawn(async { Ok(()) }));
    assert_refused!("TaskGroup::spawn() needs a running loop", group.handle().spawn_named("name", async { Ok(()) }));
    assert_refused!("TcpListener::bind() needs a running loop", TcpListener::bind("127.0.0.1:0"));
    assert_refused!("TcpStream::connect() needs a running loop", TcpStream::connect("127.0.0.1:1"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_refused!("TcpStream::from_std() needs a running loop", TcpStream::from_std(stream));
    assert_refused!("TcpListener::from_std() needs a running loop", TcpListener::from_std(listener));
}

#[test]
fn what_would_never_end_is_refused_at_the_line_of_the_call() {
    virtual_loop().block_on(async {
        let handle = Handle::current();
        let remote = thread::spawn(move || handle.spawn(pending::<()>())).join().unwrap();
        assert_refused!("use timeout() there", remote.wait_timeout(millis(1)));
    });
}

#[test]
fn a_future_that_has_given_its_result_says_so_at_the_line_of_the_await() {
    // Beside the handles in bad_use.
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let mut all = gather([async { 1 }]);
        (&mut all).await;
        assert_refused!("this gather has given its result already: await it only once", now(async { all.await }));
        let mut all = try_gather([async { Ok::<u8, u8>(1) }]);
        (&mut all).await.unwrap();
        assert_refused!("this gather has given its result already: await it only once", now(async { all.await }));
        let mut all = gather_settled([async { 1 }]);
        (&mut all).await;
        assert_refused!("this gather has given its result already: await it only once", now(async { all.await }));

        let queue = Queue::unbounded();
        let mut put = queue.put(1);
        (&mut put).await.unwrap();
        assert_refused!("a put() takes its item along when it is done: await it only once", now(async { put.await }));
        assert_eq!(queue.len(), 1, "nothing was put for that");

        // After a connection, also where another address is left; and after none.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut connect = TcpStream::connect(&[address, address][..]);
        drop((&mut connect).await.unwrap());
        assert_refused!("a connect() gives its result once: await it only once", now(async { connect.await }));
        let mut connect = TcpStream::connect(&[][..]);
        (&mut connect).await.unwrap_err();
        assert_refused!("a connect() gives its result once: await it only once", now(async { connect.await }));

        let mut spent = spawn(async { 1 });
        (&mut spent).await.unwrap();
        let (mut completed, mut cx) = (as_completed([spent]), Context::from_waker(Waker::noop()));
        assert_refused!("pass each only once", completed.poll_next(&mut cx));

        let handle = Handle::current();
        let mut remote = handle.spawn(async { 1 });
        (&mut remote).await.unwrap();
        let remote = thread::spawn(move || panics_during(|| remote.wait())).join().unwrap();
        assert!(remote.0.is_err() && remote.1[0].text.contains("a RemoteHandle gives its result once"));
        assert_eq!((remote.1[0].file.as_str(), remote.1[0].line), (file!(), line!() - 2));
    });
}

/// Polls a future once, on this line.
fn now<F: Future>(future: F) {
    let _ = future.now_or_never();
}

#[test]
fn a_child_that_somebody_cancelled_is_reported_at_the_line_of_the_await() {
    // The loop of the children is gone, and has cancelled them.
    let all = virtual_loop().block_on(async { gather([pending::<()>()]) });
    assert_refused!("gather_settled() does not", now(async { all.await }));
    let all = virtual_loop().block_on(async { try_gather([pending::<Result<(), ()>>()]) });
    assert_refused!("gather_settled() does not", now(async { all.await }));
}

#[test]
fn a_loop_that_cannot_be_made_says_so_at_the_line_of_the_call() {
    if !alone("a_loop_that_cannot_be_made_says_so_at_the_line_of_the_call") {
        return;
    }
    // Until the descriptors are used up, or the loops' numbers.
    let mut loops = Vec::new();
    while let Ok(event_loop) = EventLoop::new() {
        loops.push(event_loop);
        assert!(loops.len() <= 4096);
    }
    assert_refused!("block_on() cannot make an event loop: ", block_on(async {}));
    drop(loops);
    block_on(async {});
}

#[test]
fn a_generator_says_what_is_wrong_at_the_line_of_the_call() {
    let mut fresh = two_way_generator(|y| async move { y.yield_(1).await.unwrap_or(0) });
    assert_refused!("call resume() first", fresh.send(1));

    let mut over: Generator<'_, ()> = generator(|_| async {});
    assert_eq!(over.resume(), Step::Returned(()));
    assert_refused!("ask is_finished() first", over.resume());
    assert_refused!("ask is_finished() first", over.send(()));

    let waiting = || -> Generator<'_, ()> { generator(|_| pending()) };
    assert_refused!("do the waiting in a task", waiting().resume());
    assert_refused!("do the waiting in a task", waiting().next());

    let mut escape: Generator<'_, u8, Yielder<u8>> = generator(|y| async { y });
    let Step::Returned(y) = escape.resume() else { panic!("it yields nothing") };
    assert_refused!("outside its generator's body", virtual_loop().block_on(async { y.yield_(1).await }));

    // One is yielded and given up, and so still lies there when the next one comes.
    let twice = async |y: Yielder<u8>| {
        let _ = futures::poll!(y.yield_(1));
        y.yield_(2).await;
    };
    let line = line!() - 2;
    let (result, panics) = panics_during(|| generator(twice).resume());
    assert!(result.is_err() && panics[0].text.contains("await one yield_() before the next"), "{panics:?}");
    assert_eq!((panics[0].file.as_str(), panics[0].line), (file!(), line));
}

#[test]
fn a_wrapper_hides_the_line() {
    // What `#[track_caller]` cannot reach: as the table at the head of this file has it.
    let at = |place: &str, text: &str, misuse: &mut dyn FnMut()| {
        let (result, panics) = panics_during(misuse);
        assert!(result.is_err() && panics.len() == 1, "{place}: {panics:?}");
        assert!(panics[0].text.contains(text), "{place}: {panics:?}");
        assert!(panics[0].file.ends_with(place), "{place}: {panics:?}");
    };
    let here = |line: u32| format!("{}:{line}:", file!());
    let event_loop = virtual_loop();

    let mut spent = event_loop.spawn(async {});
    event_loop.block_on(&mut spent).unwrap();
    at("future.rs", "await it only once", &mut || now(async { (&mut spent).await }));
    at("as_completed.rs", "pass each only once", &mut || {
        let mut spent = event_loop.spawn(async {});
        event_loop.block_on(&mut spent).unwrap();
        let mut completed = as_completed([spent]);
        event_loop.block_on(completed.next());
    });

    let (all, line) = virtual_loop().block_on(async { (gather!(pending::<()>()), line!()) });
    let mut all = Box::pin(all);
    at("gather.rs", &here(line), &mut || now(async { (&mut all).await }));
    at("gather.rs", "await it only once", &mut || now(async { (&mut all).await }));

    let (late, line) = virtual_loop().block_on(async { (timeout(millis(1), pending::<()>()), line!()) });
    let mut late = Box::pin(late);
    at("time.rs", &here(line), &mut || now(&mut late));
    let (mut ticks, line) = virtual_loop().block_on(async { (interval(millis(1)), line!()) });
    ticks.reset();
    at("time.rs", &here(line), &mut || now(ticks.tick()));

    let mut reader = BufReader::new(Liar);
    at("buf_reader.rs", "a reader said that it read", &mut || now(reader.read_line()));

    let (order, line) = (Order::schedule([7]), line!());
    let scheduled = EventLoop::builder().order(order).build().unwrap();
    drop(scheduled.spawn(async {}));
    at("order.rs", &here(line), &mut || _ = scheduled.turn());
    drop(scheduled.spawn(async {}));
    let scheduled = EventLoop::builder().order(Order::schedule([7])).build().unwrap();
    drop(scheduled.spawn(async {}));
    at("order.rs", "was it recorded from another program?", &mut || _ = scheduled.turn());
}

/// A reader that says it has read more than it was asked for.
struct Liar;

impl AsyncRead for Liar {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len() + 1))
    }
}
