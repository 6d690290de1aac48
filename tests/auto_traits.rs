//! Which types may cross threads, be shared, be moved after a poll, or be looked at after a panic.
//!
//! The auto traits of a type are part of its interface, and nobody writes them down: one field more, and
//! they change. Here they are written down, for every public type and for every future, those that async
//! functions return included.
//!
//! | question | test |
//! |---|---|
//! | has each type and each future exactly these? | every_public_type_and_future_has_the_auto_traits_it_should |
//! | is any missing in the table? | no_public_type_or_future_is_missing_from_the_table |
//!
//! Where a type has a parameter, `u8` stands for one that has every auto trait, `Rc<u8>` for one that must
//! not cross threads, and `Stuck` for one that must not be moved once pinned.
//!
//! What the compiler makes of an `async fn` is not Unpin, and what such a future borrows decides the rest:
//! one that holds `&mut` is not UnwindSafe, one that holds a socket or a primitive stays on its thread.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::future::{Future, pending};
use std::io::IoSlice;
use std::marker::{PhantomData, PhantomPinned};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use roundel::net::{self, TcpListener, TcpStream};
use roundel::study;
use roundel::sync::{self, oneshot};
use roundel::{
    Actor, AsCompleted, Behind, Builder, CancelHandle, Clock, Elapsed, Event, EventLoop, Gather, GatherSettled,
    Generator, GroupClosed, GroupError, GroupHandle, Handle, Holder, Instant, Interval, JoinError, JoinHandle,
    MissedTicks, Observer, Order, Outcome, Ran, RemoteHandle, Resource, RoundRobin, Sleep, Step, TaskGroup, TaskId,
    TaskInfo, ThreadHandle, TryGather, Waits, Yield, YieldNow, Yielder, as_completed, block_on, gather, generator,
    interval, spawn, timeout, timeout_at,
};
use support::implements;

/// Must not be moved once it was pinned.
type Stuck = PhantomPinned;

/// A type or a future, the auto traits that it must have and no others, and those it has.
struct Row {
    what: &'static str,
    must: &'static str,
    has: String,
}

/// `row!(Type; Traits)`, and `row!(future expression; Traits)` for a future without a name.
macro_rules! row {
    (future $future:expr; $($must:ident)*) => {{
        let marker = marker_of(&$future);
        row!(marker stringify!($future), marker, $($must)*)
    }};
    (marker $what:expr, $marker:expr, $($must:ident)*) => {{
        let has = [
            (implements!(marker $marker, Send), "Send"),
            (implements!(marker $marker, Sync), "Sync"),
            (implements!(marker $marker, Unpin), "Unpin"),
            (implements!(marker $marker, UnwindSafe), "UnwindSafe"),
            (implements!(marker $marker, RefUnwindSafe), "RefUnwindSafe"),
        ];
        let has: Vec<&str> = has.into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
        Row { what: $what, must: stringify!($($must)*), has: has.join(" ") }
    }};
    ($type:ty; $($must:ident)*) => {
        row!(marker stringify!($type), PhantomData::<$type>, $($must)*)
    };
}

fn marker_of<F: Future>(_: &F) -> PhantomData<F> {
    PhantomData
}

#[rustfmt::skip] // one row a line
fn types() -> Vec<Row> {
    vec![
        // Loops and tasks live on one thread. What holds nothing of the loop may go anywhere. A handle is
        // Unpin whatever it will give, for the output lies elsewhere.
        row!(EventLoop; Unpin UnwindSafe RefUnwindSafe),
        row!(Builder; Unpin),
        row!(JoinHandle<u8>; Unpin),
        row!(JoinHandle<Stuck>; Unpin),
        row!(TaskInfo; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(TaskId; Send Sync Unpin UnwindSafe RefUnwindSafe),
        // The payload of a panic is Send and not Sync, and nobody knows what it looks like inside.
        row!(JoinError; Send Sync Unpin),
        row!(AsCompleted<u8>; Unpin),
        row!(AsCompleted<Stuck>; Unpin),
        row!(TaskGroup<u8, u8>; Unpin),
        row!(TaskGroup<Stuck, Stuck>; Unpin),
        row!(GroupHandle<u8, u8>; Unpin),
        row!(GroupClosed; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(GroupError<u8>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(GroupError<Rc<u8>>; Unpin UnwindSafe RefUnwindSafe),
        row!(Gather<u8>; Unpin),
        row!(Gather<Stuck>; Unpin),
        row!(TryGather<u8, u8>; Unpin),
        row!(TryGather<Stuck, Stuck>; Unpin),
        row!(GatherSettled<u8>; Unpin),
        row!(GatherSettled<Stuck>; Unpin),
        row!(YieldNow; Send Sync Unpin UnwindSafe RefUnwindSafe),
        // What crosses threads. ThreadHandle is not among it: its loop counts it as work under way.
        row!(Handle; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(CancelHandle; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(RemoteHandle<u8>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(RemoteHandle<Rc<u8>>; Unpin UnwindSafe RefUnwindSafe),
        row!(RemoteHandle<Stuck>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(ThreadHandle<u8>; Unpin),
        row!(ThreadHandle<Stuck>; Unpin),
        // A clock is shared by reference count with its loop, and so is what waits on it.
        row!(Clock; Unpin),
        row!(Instant; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Sleep; Unpin),
        row!(Interval; Unpin),
        row!(Elapsed; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(MissedTicks; Send Sync Unpin UnwindSafe RefUnwindSafe),
        // Watching and steering: events are plain data, to be sent wherever somebody looks at them. An observer
        // lives beside its loop and need be nothing.
        row!(Order; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(dyn Observer;),
        row!(Event<'static>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Actor; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Behind<'static>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Holder; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Waits; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Ran; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Resource; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Outcome; Send Sync Unpin UnwindSafe RefUnwindSafe),
        // What the study finds is plain data, too. Who records lives beside its loop; a lane crosses threads.
        row!(study::Deadlock; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Stuck; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Held; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Waiting; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Why; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Warning; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Warnings; Send Sync Unpin),
        row!(study::Explore<u8>; Unpin),
        row!(study::Exploration<u8>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Run<u8>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Failing; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Failure; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::FailureKind; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Dropped; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Bound; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::ScheduleError; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Recorder; Unpin),
        row!(study::Recording; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Lane; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(study::Span<'static>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        // Generators hold the body as it is, which need not be Send. The return value may lie inside.
        row!(Generator<'static, u8, u8, u8>; Unpin),
        row!(Generator<'static, Stuck, Stuck, Stuck>;),
        row!(RoundRobin<'static, u8>; Unpin),
        row!(Step<u8, u8>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(Step<Rc<u8>, u8>; Unpin UnwindSafe RefUnwindSafe),
        row!(Yielder<u8, u8>; Unpin),
        row!(Yield<'static, u8, u8>; Unpin),
        row!(Yield<'static, Stuck, Stuck>; Unpin),
        // The primitives are not Sync, which keeps all who meet on one thread. One that nobody borrows can be
        // moved elsewhere, as a `Cell` can. They know no poison, so a guard that was dropped in a panic
        // leaves what it leaves: UnwindSafe, and not RefUnwindSafe, as a `RefCell`.
        row!(sync::Lock<u8>; Send Unpin UnwindSafe),
        row!(sync::Lock<Stuck>; Send UnwindSafe),
        row!(sync::AcquireLock<'static, u8>; Unpin),
        row!(sync::AcquireLock<'static, Stuck>; Unpin),
        row!(sync::LockGuard<'static, u8>; Unpin),
        row!(sync::Semaphore; Send Unpin UnwindSafe),
        row!(sync::Acquire<'static>; Unpin),
        row!(sync::Permit<'static>; Unpin),
        row!(sync::Closed; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(sync::Event; Send Unpin UnwindSafe),
        row!(sync::EventWait<'static>; Unpin),
        row!(sync::Condition; Send Unpin UnwindSafe),
        row!(sync::Barrier; Send Unpin UnwindSafe),
        row!(sync::BarrierWait<'static>; Unpin),
        row!(sync::BarrierTurn; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(sync::OnceCell<u8>; Send Unpin UnwindSafe),
        row!(sync::OnceCell<Stuck>; Send UnwindSafe),
        row!(sync::Queue<u8>; Send Unpin UnwindSafe),
        row!(sync::Queue<Stuck>; Send UnwindSafe),
        row!(sync::Put<'static, u8>; Unpin),
        row!(sync::Put<'static, Stuck>; Unpin),
        row!(sync::Get<'static, u8>; Unpin),
        row!(sync::Get<'static, Stuck>; Unpin),
        row!(sync::Join<'static, u8>; Unpin),
        row!(sync::Shutdown; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(sync::Shutdown<Rc<u8>>; Unpin UnwindSafe RefUnwindSafe),
        row!(sync::TryPutError<u8>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(sync::TryPutError<Rc<u8>>; Unpin UnwindSafe RefUnwindSafe),
        row!(sync::TryGetError; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(oneshot::Sender<u8>; Unpin),
        row!(oneshot::Receiver<u8>; Unpin),
        row!(oneshot::Receiver<Stuck>; Unpin),
        row!(oneshot::Dropped; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(oneshot::TryRecvError; Send Sync Unpin UnwindSafe RefUnwindSafe),
        // Sockets are registered with a loop. A ReuniteError holds both halves of one.
        row!(net::TcpListener; Unpin),
        row!(net::TcpStream; Unpin),
        row!(net::Connect; Unpin),
        row!(net::ReadHalf<'static>; Unpin),
        row!(net::WriteHalf<'static>; Unpin),
        row!(net::OwnedReadHalf; Unpin),
        row!(net::OwnedWriteHalf; Unpin),
        row!(net::ReuniteError; Unpin),
        row!(net::BufReader<&'static [u8]>; Send Sync Unpin UnwindSafe RefUnwindSafe),
        row!(net::BufReader<net::TcpStream>; Unpin),
        // As io::Error, of which the standard library says no more.
        row!(net::ReadError; Send Sync Unpin),
    ]
}

#[rustfmt::skip] // one row a line
fn futures() -> Vec<Row> {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (read_half, write_half) = stream.split();
        let (owned_read_half, owned_write_half) = TcpStream::connect(address).await.unwrap().into_split();
        let mut reader = net::BufReader::new(&b"abc"[..]);
        let mut stream_reader = net::BufReader::new(&stream);
        let (mut buf, mut all, slices) = ([0; 8], Vec::new(), [IoSlice::new(b"abc")]);
        let (lock, condition, once) = (sync::Lock::new(1), sync::Condition::new(), sync::OnceCell::new());
        let (mut sender, _receiver) = oneshot::channel::<u8>();
        let mut group = TaskGroup::<u8, u8>::new();
        let mut completed = as_completed([spawn(async { 1 })]);
        let mut ticks = interval(Duration::from_secs(1));
        let yielder = escaped_yielder();
        vec![
            row!(future timeout(Duration::ZERO, async {});),
            row!(future timeout(Duration::ZERO, pending::<()>());),
            row!(future timeout_at(Instant::FAR, async {});),
            row!(future gather!(async { 1 }, async { "two" }); Unpin),
            row!(future gather([async { 1 }]); Unpin),
            row!(future ticks.tick();),
            row!(future completed.next();),
            row!(future group.next();),
            row!(future TaskGroup::<u8, u8>::new().join();),
            row!(future TaskGroup::<u8, u8>::scope(async |_| Ok(1));),
            row!(future yielder.yield_from([1]);),
            row!(future condition.wait(lock.try_acquire().unwrap());),
            row!(future condition.wait_for(lock.try_acquire().unwrap(), |_| true);),
            row!(future once.get_or_init(async || 1);),
            row!(future once.get_or_try_init(async || Ok::<u8, u8>(1));),
            row!(future sender.closed();),
            row!(future listener.accept();),
            row!(future stream.read(&mut buf);),
            row!(future stream.peek(&mut buf);),
            row!(future stream.read_exact(&mut buf);),
            row!(future stream.read_to_end(&mut all);),
            row!(future stream.write(b"abc");),
            row!(future stream.write_vectored(&slices);),
            row!(future stream.write_all(b"abc");),
            row!(future read_half.read(&mut buf);),
            row!(future read_half.peek(&mut buf);),
            row!(future read_half.read_exact(&mut buf);),
            row!(future read_half.read_to_end(&mut all);),
            row!(future write_half.write(b"abc");),
            row!(future write_half.write_vectored(&slices);),
            row!(future write_half.write_all(b"abc");),
            row!(future owned_read_half.read(&mut buf);),
            row!(future owned_read_half.peek(&mut buf);),
            row!(future owned_read_half.read_exact(&mut buf);),
            row!(future owned_read_half.read_to_end(&mut all);),
            row!(future owned_write_half.write(b"abc");),
            row!(future owned_write_half.write_vectored(&slices);),
            row!(future owned_write_half.write_all(b"abc");),
            row!(future reader.read(&mut buf); Send Sync RefUnwindSafe),
            row!(future reader.read_exact(3); Send Sync RefUnwindSafe),
            row!(future reader.read_until(b"\n"); Send Sync RefUnwindSafe),
            row!(future reader.read_line(); Send Sync RefUnwindSafe),
            row!(future reader.next_line(); Send Sync RefUnwindSafe),
            row!(future reader.read_to_end(); Send Sync RefUnwindSafe),
            row!(future stream_reader.read_line();),
        ]
    })
}

fn escaped_yielder() -> Yielder<u8> {
    let mut escaped = None;
    let mut body = generator(|yielder| {
        escaped = Some(yielder);
        async {}
    });
    assert_eq!(body.resume(), Step::Returned(()));
    drop(body);
    escaped.unwrap()
}

#[test]
fn every_public_type_and_future_has_the_auto_traits_it_should() {
    // K22: what must stay on its thread is not Send, whatever it is made of.
    let rows = types().into_iter().chain(futures());
    let wrong: Vec<String> = rows
        .filter(|row| row.must != row.has)
        .map(|row| format!("{}: must have `{}`, has `{}`", row.what, row.must, row.has))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_public_type_or_future_is_missing_from_the_table() {
    // As the table has them: `JoinHandle`, `sync::Lock`.
    let named: BTreeSet<String> = types()
        .iter()
        .map(|row| row.what.split('<').next().unwrap().trim_start_matches("dyn ").replace(' ', ""))
        .collect();
    let called: String = futures().iter().map(|row| format!(" {}\n", row.what)).collect();

    let mut missing = Vec::new();
    let doors = [
        ("", "lib.rs"),
        ("net::", "net/mod.rs"),
        ("sync::", "sync/mod.rs"),
        ("oneshot::", "sync/oneshot.rs"),
        ("study::", "study/mod.rs"),
    ];
    for (path, file) in doors {
        let types = exported(&fs::read_to_string(runtime().join(file)).unwrap());
        assert!(types.len() > 3, "{file} was read: {types:?}");
        missing.extend(types.into_iter().map(|name| format!("{path}{name}")).filter(|name| !named.contains(name)));
    }
    // The futures without a name: of an `async fn`, and of a function that returns `impl Future`.
    let mut functions = 0;
    for file in sources() {
        for function in unnamed_futures(&fs::read_to_string(&file).unwrap()) {
            functions += 1;
            // What a macro calls stands there as the macro.
            let call = if function == "gather_tuple" { "gather!".to_owned() } else { function };
            if ![".", " ", "::"].iter().any(|before| called.contains(&format!("{before}{call}("))) {
                missing.push(format!("{call}() in {}", file.display()));
            }
        }
    }
    assert!(functions > 25, "the sources were read: {functions}");
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

fn runtime() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime")
}

fn sources() -> Vec<PathBuf> {
    let folders = ["", "net", "sync"].map(|folder| runtime().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// The types and traits that a file makes public, by `pub use` or where they stand.
fn exported(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for rest in text.split("\npub use ").skip(1) {
        let list = rest.split(';').next().unwrap().rsplit("::").next().unwrap();
        names.extend(list.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
    }
    for kind in ["\npub struct ", "\npub enum ", "\npub trait "] {
        let declared = text.split(kind).skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        names.extend(declared.map(str::to_owned));
    }
    // Functions and modules are written small.
    names.retain(|name| name.starts_with(char::is_uppercase));
    names
}

/// The public functions of a file that return a future without a name.
fn unnamed_futures(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for declaration in text.split("pub ").skip(1) {
        let head = declaration.split('{').next().unwrap();
        let returned = head.rsplit("->").next().unwrap().trim_start();
        let function = match head.strip_prefix("async fn ") {
            None if returned.starts_with("impl Future") => head.strip_prefix("fn "),
            function => function,
        };
        names.extend(function.and_then(|function| function.split(['(', '<']).next()).map(str::to_owned));
    }
    names
}
