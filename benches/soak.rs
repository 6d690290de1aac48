//! Does it hold? Bounded loads, each of which must end with nothing left.
//!
//! | run | what it does | what must come out |
//! |---|---|---|
//! | `connections` | 20,000 connections are open at once, both ends here, and each echoes twice | two descriptors each, and all of them back |
//! | `tasks` | a million tasks wait at once, are woken together and joined | two polls each, the heap where it was |
//! | `wakes` | ten million wakes of one task by eight threads, half before the loop looks, half while it runs | no more room than a few pages, one poll for the first half |
//! | `loops` | ten thousand loops come and go, with tasks, timers, sockets or threads | descriptors, threads and heap flat |
//! | `mixture` | for a minute tasks do what a seed says: spawn, cancel, sleep, lock, queue, call threads, talk | every count back to zero |
//!
//! `cargo bench --bench soak` runs all; names behind `--` choose, and `--seed N` repeats a mixture's choices
//! (not their timing, which is the machine's). With `--test`, or by `cargo test --benches`, a short form of
//! each runs in a second or two.
//!
//! Figures of time are printed and never judged. Counts are judged: descriptors and threads are the kernel's,
//! of this process; the heap is what went through the allocator, to the byte.
//!
//! What they leave out: other machines. All that talks here talks to itself, over loopback.
#![allow(missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::process;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use roundel::net::{TcpListener, TcpStream};
use roundel::sync::{Event, Lock, Queue, Semaphore};
use roundel::{EventLoop, Handle, JoinHandle, Observer, Outcome, TaskGroup};
use roundel::{all_tasks, gather, sleep, spawn, timeout, to_thread, yield_now};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// All runs together take some two minutes. Nothing is waited for longer than this.
const LIMIT: Duration = Duration::from_secs(15 * 60);

type Run = fn(&Plan);
const RUNS: [(&str, Run); 5] =
    [("connections", connections), ("tasks", tasks), ("wakes", wakes), ("loops", loops), ("mixture", mixture)];

fn main() {
    let plan = Plan::from_args();
    let (over, is_over) = mpsc::channel::<()>();
    // A lost wake is a hang, and a hang must end, too.
    let watchdog = thread::spawn(move || {
        if is_over.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("not done after {LIMIT:?}: something was lost");
            process::abort();
        }
    });
    for (name, run) in RUNS {
        if plan.names.is_empty() || plan.names.iter().any(|chosen| chosen == name) {
            let begun = Instant::now();
            println!("{name}");
            run(&plan);
            println!("  all of it in {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
    drop(over);
    watchdog.join().expect("it only waits");
}

/// What the command line asks for.
struct Plan {
    names: Vec<String>,
    short: bool,
    seed: u64,
}

impl Plan {
    fn from_args() -> Plan {
        let mut plan = Plan { names: Vec::new(), short: true, seed: fastrand::u64(..1 << 32) };
        let mut tested = false;
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => plan.short = false,
                "--test" => tested = true,
                "--seed" => {
                    let seed = args.next().and_then(|seed| seed.parse().ok());
                    plan.seed = seed.expect("--seed wants a number");
                }
                // cargo's own harness has many more, which mean nothing here.
                flag if flag.starts_with('-') => {}
                name => {
                    assert!(RUNS.iter().any(|run| run.0 == name), "no run is called {name}");
                    plan.names.push(name.to_owned());
                }
            }
        }
        plan.short |= tested;
        plan
    }

    fn size(&self, full: usize, short: usize) -> usize {
        if self.short { short } else { full }
    }
}

// What the process holds: its heap by this allocator, the rest by the kernel's count.

static HEAP: AtomicUsize = AtomicUsize::new(0);
static HEAP_PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting the bytes in use.
struct Counting;

#[expect(unsafe_code, reason = "counting bytes takes a global allocator, which is an unsafe trait")]
// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = HEAP.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        HEAP_PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: usize,
    heap: usize,
}

impl Held {
    fn now() -> Held {
        // One descriptor is that of the directory being read.
        let descriptors = entries("/proc/self/fd") - 1;
        Held { descriptors, threads: entries("/proc/self/task"), heap: HEAP.load(Ordering::Relaxed) }
    }

    /// What is held when the threads of a pool have gone, which nobody waits for: here we do, but not so
    /// long that threads go which were never told to, after their ten idle seconds.
    fn settled(threads: usize) -> Held {
        let begun = Instant::now();
        while entries("/proc/self/task") > threads && begun.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        Held::now()
    }
}

/// Asserts that the heap is where it was, give or take the list of loop numbers, which may have doubled.
fn gave_back(heap_before: usize) {
    let kept = Held::now().heap.abs_diff(heap_before);
    assert!(kept <= 4 * LOOP_NUMBERS, "{kept} bytes of the heap were not given back");
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("/proc is there on Linux").count()
}

fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory has a line");
    let kib = line.trim().trim_end_matches(" kB").parse::<usize>();
    kib.expect("it is a number of KiB") * 1024
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn event_loop() -> EventLoop {
    EventLoop::new().expect("the system has descriptors left")
}

// Connections.

const CONNECTIONS: usize = 20_000;
/// One address to dial has some 28,000 ports to be dialled from.
const CONNECTIONS_A_LISTENER: usize = 10_000;
/// Less than the backlog of a listener, so that no dialler has to knock twice.
const DIALLING: usize = 100;
/// What else the process may open meanwhile: the loop's own descriptors, and one to count the rest.
const SPARE_DESCRIPTORS: usize = 16;

fn connections(plan: &Plan) {
    let limit = raise_descriptor_limit();
    let before = Held::now();
    let wanted = plan.size(CONNECTIONS, 500);
    let listeners = wanted.div_ceil(CONNECTIONS_A_LISTENER);
    let allowed = limit.saturating_sub(before.descriptors + listeners + SPARE_DESCRIPTORS) / 2;
    let count = wanted.min(allowed);
    println!("  {wanted} wanted; a limit of {limit} descriptors allows {allowed}, with both ends in this process");

    let event_loop = event_loop();
    let at_peak = event_loop.block_on(echo_all(count, listeners));
    assert_eq!(at_peak.descriptors - before.descriptors, 2 * count + listeners + LOOP_DESCRIPTORS);
    assert_eq!(Held::now().descriptors, before.descriptors + LOOP_DESCRIPTORS, "every socket is closed");
    drop(event_loop);
    assert_eq!(Held::now().descriptors, before.descriptors);
    gave_back(before.heap);
    println!("  {count} open at once, {} descriptors, all closed", at_peak.descriptors);
    println!("  {} bytes of heap a connection, of both ends' tasks", (at_peak.heap - before.heap) / count);
}

/// epoll's, and the eventfd that ends a wait.
const LOOP_DESCRIPTORS: usize = 2;

fn raise_descriptor_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the soft limit may rise to the hard one");
    maximum.map_or(usize::MAX, |limit| limit as usize)
}

/// Opens so many connections, one echo each; holds them all; one more echo each; and closes them.
/// Gives what was held meanwhile.
async fn echo_all(count: usize, listeners: usize) -> Held {
    let begun = Instant::now();
    let (dialling, open) = (Rc::new(Semaphore::new(DIALLING)), Rc::new(Cell::new(0)));
    let (all_open, go_on) = (Rc::new(Event::new()), Rc::new(Event::new()));
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for nth in 0..listeners {
        // Addresses of their own, so that each has all the ports.
        let listener = TcpListener::bind(format!("127.0.0.{}:0", nth + 1)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let share = count / listeners + usize::from(nth < count % listeners);
        servers.push(spawn(async move {
            let mut echoes = Vec::new();
            for _ in 0..share {
                let (stream, _) = listener.accept().await.expect("there are descriptors enough");
                echoes.push(spawn(echo(stream)));
            }
            let mut bytes = 0;
            for echo in echoes {
                bytes += echo.await.expect("it does not panic").expect("nobody breaks off");
            }
            bytes
        }));
        for _ in 0..share {
            let (dialling, open) = (dialling.clone(), open.clone());
            let (all_open, go_on) = (all_open.clone(), go_on.clone());
            clients.push(spawn(async move {
                let permit = dialling.acquire().await.expect("it is never closed");
                let stream = TcpStream::connect(address).await.expect("the listener is there");
                ask(&stream, b"first").await.expect("the server echoes");
                drop(permit);
                open.set(open.get() + 1);
                if open.get() == count {
                    all_open.set();
                }
                go_on.wait().await;
                ask(&stream, b"second").await.expect("the server still echoes");
            }));
        }
    }
    all_open.wait().await;
    let (held, opened) = (Held::now(), begun.elapsed());
    go_on.set();
    for client in clients {
        client.await.expect("it does not panic");
    }
    let mut bytes = 0;
    for server in servers {
        bytes += server.await.expect("it does not panic");
    }
    assert_eq!(bytes, count * (b"first".len() + b"second".len()));
    let rest = begun.elapsed() - opened;
    println!("  opened in {:.2} s, echoed once more and closed in {:.2} s", opened.as_secs_f64(), rest.as_secs_f64());
    held
}

/// Sends back what comes, until the other end closes; says how much it was.
async fn echo(stream: TcpStream) -> io::Result<usize> {
    let mut buf = [0; 64];
    let mut bytes = 0;
    loop {
        let read = stream.read(&mut buf).await?;
        if read == 0 {
            return Ok(bytes);
        }
        stream.write_all(&buf[..read]).await?;
        bytes += read;
    }
}

async fn ask(stream: &TcpStream, question: &[u8]) -> io::Result<()> {
    stream.write_all(question).await?;
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, question);
    Ok(())
}

// Tasks.

const TASKS: usize = 1_000_000;

fn tasks(plan: &Plan) {
    let count = plan.size(TASKS, 50_000);
    let before = Held::now();
    let event_loop = event_loop();
    // The second time everything has its room already: what the first left must do.
    let heap_between = event_loop.block_on(async {
        wait_together(count, true).await;
        let heap = Held::now().heap;
        wait_together(count, false).await;
        assert_eq!(Held::now().heap, heap, "a second time takes no more room");
        heap
    });
    drop(event_loop);
    gave_back(before.heap);
    println!("  nothing left; the loop kept {:.1} MiB of tables until its end", mib(heap_between - before.heap));
}

async fn wait_together(count: usize, figures: bool) {
    let (go, polls) = (Rc::new(Event::new()), Rc::new(Cell::new(0)));
    let mut handles: Vec<JoinHandle<usize>> = Vec::with_capacity(count);
    let (before, resident_before, begun) = (Held::now(), resident(), Instant::now());
    let mut size = 0;
    for nth in 0..count {
        let (go, polls) = (go.clone(), polls.clone());
        let waiter = async move {
            let mut wait = std::pin::pin!(go.wait());
            poll_fn(|cx| {
                polls.set(polls.get() + 1);
                wait.as_mut().poll(cx)
            })
            .await;
            nth
        };
        size = size_of_val(&waiter);
        handles.push(spawn(waiter));
    }
    while go.waiting() < count {
        yield_now().await;
    }
    let spawned = begun.elapsed();
    assert_eq!((all_tasks().len(), polls.get()), (count + 1, count));
    let (heap, resident) = (Held::now().heap, resident());
    go.set();
    for (nth, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.ok(), Some(nth));
    }
    assert_eq!((all_tasks().len(), polls.get()), (1, 2 * count), "one poll to wait, one to end");
    if figures {
        let (heap, resident) = (heap - before.heap, resident.saturating_sub(resident_before));
        let rest = begun.elapsed() - spawned;
        println!("  {count} alive at once: spawned in {:.2} s", spawned.as_secs_f64());
        println!("  woken and joined in {:.2} s", rest.as_secs_f64());
        println!("  {} bytes of heap a task, {size} of them its own future's", heap / count);
        println!("  {} bytes of resident memory a task", resident / count);
    }
}

// Wakes.

const WAKES: usize = 10_000_000;
const WAKING_THREADS: usize = 8;
/// Two lists of wakes, and the set that finds repeats, take some 50 KiB; ten million wakes took 80 MB.
const ROOM_FOR_WAKES: usize = 256 * 1024;

fn wakes(plan: &Plan) {
    let each = plan.size(WAKES, 400_000) / 2 / WAKING_THREADS;
    let event_loop = event_loop();
    let polls = Rc::new(Cell::new(0));
    let (waker, done) = (Rc::new(RefCell::new(None)), Arc::new(AtomicUsize::new(0)));
    let (counted, given, all_done) = (polls.clone(), waker.clone(), done.clone());
    let task = event_loop.spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        *given.borrow_mut() = Some(cx.waker().clone());
        if all_done.load(Ordering::Acquire) < 2 * WAKING_THREADS { Poll::Pending } else { Poll::Ready(()) }
    }));
    event_loop.turn();
    let waker = waker.take().expect("it was polled");

    let begun = Instant::now();
    let room = storm(&waker, each, &done, || ());
    event_loop.turn();
    assert_eq!(polls.get(), 2, "however many wakes, one poll");
    println!("  {} wakes before the loop looked: 1 poll, {room} bytes of heap at most", each * WAKING_THREADS);

    let room = storm(&waker, each, &done, || event_loop.block_on(async { task.await.expect("it does not panic") }));
    let polled = polls.get() - 2;
    assert!((1..=each * WAKING_THREADS + WAKING_THREADS).contains(&polled));
    println!("  {} wakes while it ran: {polled} polls, {room} bytes of heap at most", each * WAKING_THREADS);
    let nanos = begun.elapsed().as_nanos() as usize / (2 * each * WAKING_THREADS);
    println!("  {nanos} ns a wake, with {WAKING_THREADS} threads at it");
}

/// Wakes from all threads at once, `meanwhile` here; gives the room that the heap grew by meanwhile.
fn storm(waker: &Waker, each: usize, done: &Arc<AtomicUsize>, meanwhile: impl FnOnce()) -> usize {
    let start = Arc::new(Barrier::new(WAKING_THREADS + 1));
    let threads: Vec<_> = (0..WAKING_THREADS)
        .map(|_| {
            let (waker, start, done) = (waker.clone(), start.clone(), done.clone());
            thread::spawn(move || {
                start.wait();
                (0..each).for_each(|_| waker.wake_by_ref());
                done.fetch_add(1, Ordering::Release);
                // So that somebody looks at `done` after the last of us.
                waker.wake_by_ref();
            })
        })
        .collect();
    let before = Held::now().heap;
    HEAP_PEAK.store(before, Ordering::Relaxed);
    start.wait();
    meanwhile();
    for thread in threads {
        thread.join().expect("it does not panic");
    }
    let room = HEAP_PEAK.load(Ordering::Relaxed) - before;
    assert!(room < ROOM_FOR_WAKES, "the wakes took {room} bytes");
    room
}

// Loops.

const LOOPS: usize = 10_000;
/// A loop's number is used again after 4,096 others, and the list of used ones grows until then.
const LOOP_NUMBERS: usize = 4096;

fn loops(plan: &Plan) {
    let count = plan.size(LOOPS, 500);
    let threads = Held::now().threads;
    // The first of each kind makes what the process then keeps, and the list of numbers gets its full length.
    (0..LOOP_NUMBERS).for_each(|_| drop(event_loop()));
    (0..KINDS).for_each(one_loop);
    let before = Held::settled(threads);
    println!("  {:>7} {:>12} {:>8} {:>12} {:>14}", "loops", "descriptors", "threads", "heap bytes", "resident MiB");
    for nth in 1..=count {
        one_loop(nth);
        // A thread's last steps are the C library's, and may open a file: hence first settled, then counted.
        let held = Held::settled(threads);
        assert_eq!(held, before, "after loop {nth}");
        if nth % (count / 5) == 0 {
            let Held { descriptors, threads, heap } = held;
            println!("  {nth:>7} {descriptors:>12} {threads:>8} {heap:>12} {:>14.1}", mib(resident()));
        }
    }
}

const KINDS: usize = 8;

fn one_loop(nth: usize) {
    let event_loop = event_loop();
    match nth % KINDS {
        // Most come and go with nothing in them, and one with tasks that never get a turn.
        0..=2 => {}
        3 => (0..10).for_each(|_| drop(event_loop.spawn(yield_now()))),
        // Tasks that end, and tasks that wait for ever and are dropped with the loop.
        4 => event_loop.block_on(async {
            let ended = gather((0..10).map(|n| async move { n }));
            (0..10).for_each(|_| drop(spawn(pending::<()>())));
            assert_eq!(ended.await.iter().sum::<i32>(), 45);
        }),
        // Timers that fire, and timers that never will.
        5 => event_loop.block_on(async {
            for n in 0..10_u64 {
                drop(spawn(sleep(Duration::from_secs(n * n * 3600))));
            }
            sleep(Duration::from_millis(1)).await;
            assert_eq!(all_tasks().len(), 1 + 9);
        }),
        // A connection that has spoken, and stands open with somebody reading at the loop's end.
        6 => event_loop.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
            let address = listener.local_addr().expect("it is bound");
            drop(spawn(async move {
                let (stream, _) = listener.accept().await.expect("somebody dials");
                echo(stream).await
            }));
            let stream = TcpStream::connect(address).await.expect("the listener is there");
            ask(&stream, b"hello").await.expect("the server echoes");
            drop(spawn(async move { stream.read(&mut [0; 8]).await }));
            yield_now().await;
        }),
        // A thread that answers, with a task that it sent; and then it is idle, or has something nobody waits for.
        _ => event_loop.block_on(async {
            let handle = Handle::current();
            let sent = to_thread(move || handle.spawn(async { 6 * 7 }).wait()).await;
            assert_eq!(sent.ok().and_then(Result::ok), Some(42));
            if (nth / KINDS).is_multiple_of(2) {
                drop(to_thread(thread::yield_now));
            }
        }),
    }
}

// The mixture.

const MIXTURE: Duration = Duration::from_secs(60);
const SHORT_MIXTURE: Duration = Duration::from_secs(1);
/// Enough that everything is contended, few enough that each gets somewhere in a minute.
const POPULATION: usize = 500;
const NEW_AT_ONCE: usize = 50;
const PERMITS: usize = 8;
const ROOM: usize = 16;
const LOCKS: usize = 4;
/// Deeds within deeds.
const DEEPEST: u32 = 3;
/// Each server has ports for itself, and a closed connection keeps its port for a while.
const SERVERS: usize = 8;
/// A message and its echo fit in the sockets' buffers, so the two ends never wait for each other.
const LONGEST_MESSAGE: usize = 16 * 1024;

fn mixture(plan: &Plan) {
    println!("  --seed {}", plan.seed);
    let threads = Held::now().threads;
    // What the process makes once and keeps is made now, and not counted below.
    mix(plan.seed, SHORT_MIXTURE / 4);
    let before = Held::settled(threads);
    let tally = mix(plan.seed, if plan.short { SHORT_MIXTURE } else { MIXTURE });
    let counts = tally.counts.take();
    drop(tally);
    for (what, count) in &counts {
        println!("  {count:>12} {what}");
    }
    drop(counts);
    assert_eq!(Held::settled(threads), before, "descriptors, threads and heap are where they were");
    println!("  descriptors, threads and every byte of the heap given back");
}

/// Counts by name; and as an observer it counts how tasks begin and end.
#[derive(Default)]
struct Tally {
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl Tally {
    fn add(&self, what: &'static str, count: usize) {
        *self.counts.borrow_mut().entry(what).or_default() += count as u64;
    }

    fn of(&self, what: &str) -> u64 {
        self.counts.borrow().get(what).copied().unwrap_or(0)
    }
}

impl Observer for Tally {
    fn event(&self, event: &roundel::Event<'_>) {
        match event {
            // Task 0 is the root, which is nobody's to spawn.
            roundel::Event::Spawned { task, .. } if task.number() > 0 => self.add("tasks spawned", 1),
            roundel::Event::Finished { task, outcome } if task.number() > 0 => {
                let how = match outcome {
                    Outcome::Returned => "tasks returned",
                    Outcome::Panicked => "tasks panicked",
                    Outcome::Cancelled => "tasks cancelled",
                };
                self.add(how, 1);
            }
            _ => {}
        }
    }
}

/// What the deeds share.
struct World {
    random: RefCell<fastrand::Rng>,
    tally: Rc<Tally>,
    locks: [Lock<usize>; LOCKS],
    permits: Semaphore,
    inside: Cell<usize>,
    queue: Queue<Counted>,
    servers: Vec<SocketAddr>,
    handle: Handle,
    /// Everything that is in the world once and must leave it: items, closures, messages half sent.
    about: Arc<AtomicUsize>,
}

/// Something that is counted as long as it is about.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl World {
    fn pick(&self, below: usize) -> usize {
        self.random.borrow_mut().usize(..below)
    }

    fn moment(&self) -> Duration {
        Duration::from_micros(self.random.borrow_mut().u64(..5000))
    }

    fn counted(&self) -> Counted {
        self.about.fetch_add(1, Ordering::Relaxed);
        Counted(self.about.clone())
    }

    fn inside(&self) -> Inside<'_> {
        self.inside.set(self.inside.get() + 1);
        Inside(self)
    }
}

/// Somebody with a permit.
struct Inside<'a>(&'a World);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.set(self.0.inside.get() - 1);
    }
}

/// One mixture, on a loop of its own.
fn mix(seed: u64, length: Duration) -> Rc<Tally> {
    let tally = Rc::new(Tally::default());
    let event_loop = EventLoop::builder().observer(tally.clone()).build().expect("the system has descriptors left");
    let descriptors = Held::now().descriptors;
    event_loop.block_on(async {
        let listeners = (1..=SERVERS).map(|n| TcpListener::bind(format!("127.0.0.{n}:0")));
        let listeners: Vec<_> = listeners.collect::<io::Result<_>>().expect("loopback has free ports");
        let servers = listeners.iter().map(|listener| listener.local_addr().expect("it is bound")).collect();
        let world = Rc::new(World {
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            tally: tally.clone(),
            locks: Default::default(),
            permits: Semaphore::new(PERMITS),
            inside: Cell::new(0),
            queue: Queue::bounded(ROOM),
            servers,
            handle: Handle::current(),
            about: Arc::default(),
        });
        let serving: Vec<_> = listeners.into_iter().map(|listener| spawn(serve(listener, tally.clone()))).collect();

        live(&world, length).await;

        // Whoever waits for an item or for room is told that there is no more; the rest ends by itself.
        world.queue.shutdown();
        soon("the tasks end", || all_tasks().len() == 1 + SERVERS).await;
        assert!(serving.iter().all(JoinHandle::cancel));
        nothing_is_left(&world).await;
        assert_eq!(Held::now().descriptors, descriptors, "every socket is closed");
    });
    tally
}

/// Spawns and cancels until the time is over; then cancels half of those who are left.
async fn live(world: &Rc<World>, length: Duration) {
    let begun = Instant::now();
    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
    while begun.elapsed() < length {
        for _ in 0..world.pick(NEW_AT_ONCE.min(POPULATION - tasks.len()) + 1) {
            let story = world.clone();
            tasks.push(spawn(async move { deed(&story, 0).await }));
        }
        for _ in 0..tasks.len() / 50 {
            tasks.swap_remove(world.pick(tasks.len())).cancel();
        }
        tasks.retain(|task| !task.is_finished());
        if world.pick(2) == 0 {
            yield_now().await;
        } else {
            sleep(world.moment() / 4).await;
        }
    }
    for task in &tasks[tasks.len() / 2..] {
        task.cancel();
    }
}

async fn nothing_is_left(world: &World) {
    let World { tally, locks, permits, queue, .. } = world;
    assert_eq!(all_tasks().len(), 1, "only the root is alive");
    assert_eq!(tally.of("tasks panicked"), tally.of("panics that were meant"));
    let ended = tally.of("tasks returned") + tally.of("tasks panicked") + tally.of("tasks cancelled");
    assert_eq!(tally.of("tasks spawned"), ended, "every task ended, in one way");

    assert_eq!((permits.available_permits(), permits.waiting()), (PERMITS, 0));
    assert!(locks.iter().all(|lock| !lock.is_locked() && lock.waiting() == 0));
    let turns = locks.iter().map(|lock| *lock.try_acquire().expect("it is free")).sum::<usize>();
    assert_eq!(turns as u64, tally.of("turns with a lock"), "no two had a lock at once");

    let left = queue.len();
    assert_eq!(tally.of("items put"), tally.of("items got") + left as u64);
    while queue.try_get().is_ok() {}
    // A thread may still hold a closure whose task was cancelled.
    soon("items and closures go", || world.about.load(Ordering::Relaxed) == 0).await;
    assert_eq!(tally.of("bytes sent"), tally.of("bytes received") + tally.of("bytes broken off"));
    assert_eq!(tally.of("connections accepted"), tally.of("connections ended"));
}

/// Waits for what other threads, or the ends of connections, still have to do.
async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not after 20 s: {what}; alive: {:#?}", all_tasks());
        sleep(Duration::from_millis(1)).await;
    }
}

/// Echoes for all who dial, until cancelled.
async fn serve(listener: TcpListener, tally: Rc<Tally>) {
    loop {
        let (stream, _) = listener.accept().await.expect("there are descriptors enough");
        tally.add("connections accepted", 1);
        let tally = tally.clone();
        drop(spawn(async move {
            // An error is a client that was cancelled with an echo on its way.
            let _ = echo(stream).await;
            tally.add("connections ended", 1);
        }));
    }
}

/// Something at random; the deeper, the simpler.
fn deed<'a>(world: &'a Rc<World>, depth: u32) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(async move {
        const SIMPLE: usize = 7;
        const ALL: usize = 12;
        match world.pick(if depth < DEEPEST { ALL } else { SIMPLE }) {
            0 => sleep(world.moment()).await,
            1 => {
                let mut turns = world.locks[world.pick(LOCKS)].acquire().await;
                let before = *turns;
                yield_now().await;
                *turns = before + 1;
                world.tally.add("turns with a lock", 1);
            }
            2 => {
                let _permit = world.permits.acquire_many(1 + world.pick(3)).await.expect("it is never closed");
                let _inside = world.inside();
                assert!(world.inside.get() <= PERMITS, "more are inside than there are permits");
                sleep(world.moment() / 4).await;
                world.tally.add("turns with permits", 1);
            }
            3 => {
                if world.queue.put(world.counted()).await.is_ok() {
                    world.tally.add("items put", 1);
                }
            }
            4 => {
                if world.queue.get().await.is_ok() {
                    world.tally.add("items got", 1);
                }
            }
            5 => {
                let (closure, blocked) = (world.counted(), world.moment() / 50);
                let answer = to_thread(move || {
                    thread::sleep(blocked);
                    drop(closure);
                });
                answer.await.expect("it does not panic");
                world.tally.add("closures answered", 1);
            }
            6 => talk(world).await,
            // From here on, deeds with deeds in them.
            7 => {
                let child = child(world, depth);
                match world.pick(4) {
                    0 => drop(child),
                    1 => _ = child.cancel(),
                    2 => {
                        yield_now().await;
                        child.cancel_handle().cancel();
                    }
                    _ => drop(child.await),
                }
            }
            8 => {
                if timeout(world.moment(), deed(world, depth + 1)).await.is_err() {
                    world.tally.add("timeouts", 1);
                }
            }
            9 => {
                let members = (0..3).map(|_| child(world, depth)).collect::<Vec<_>>();
                let settled = roundel::gather_settled(members).await;
                assert_eq!(settled.len(), 3);
            }
            10 => {
                // From a thread into the loop, and back; and now and then a cancel from there.
                let (handle, cancelled, moment) = (world.handle.clone(), world.pick(2) == 0, world.moment() / 10);
                let done = to_thread(move || {
                    let task = handle.spawn_with(move || sleep(moment));
                    if cancelled {
                        task.cancel();
                    }
                    task.wait().is_ok()
                });
                let done = done.await.expect("it does not panic");
                assert!(done || cancelled, "nobody else cancels it");
                world.tally.add("tasks from a thread", 1);
            }
            _ => {
                let mut group = TaskGroup::<(), ()>::new();
                for _ in 0..3 {
                    let story = world.clone();
                    let member = async move {
                        deed(&story, DEEPEST).await;
                        Ok(())
                    };
                    group.spawn(member).expect("the group is open");
                }
                if world.pick(4) == 0 {
                    world.tally.add("panics that were meant", 1);
                    // Past the hook that would print it.
                    resume_unwind(Box::new("a panic by the seed"));
                }
                let _ = group.next().await;
            }
        }
    })
}

fn child(world: &Rc<World>, depth: u32) -> JoinHandle<()> {
    let story = world.clone();
    spawn(async move { deed(&story, depth + 1).await })
}

/// Sends a message to a server and has it echoed.
async fn talk(world: &World) {
    let length = 1 + world.pick(LONGEST_MESSAGE);
    let server = world.servers[world.pick(SERVERS)];
    let stream = TcpStream::connect(server).await.expect("the server is there");
    let message: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
    stream.write_all(&message).await.expect("the server reads");
    let mut sent = Sent { tally: &world.tally, unanswered: length };
    world.tally.add("bytes sent", length);
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.expect("the server answers");
    assert_eq!(answer, message);
    sent.unanswered = 0;
    world.tally.add("bytes received", length);
}

/// A message on its way; dropped before its echo came, it counts as broken off.
struct Sent<'a> {
    tally: &'a Tally,
    unanswered: usize,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.tally.add("bytes broken off", self.unanswered);
    }
}
