//! Stories of sockets when descriptors are short, and of descriptors that must not be left behind.
//!
//! The table of all rows of the bug catalogue is CATALOGUE.md. The stories here change or count what
//! belongs to the whole process, so each one waits until it is alone.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::{join, join_all};
use roundel::net::{TcpListener, TcpStream};
use roundel::{Clock, EventLoop, all_tasks, spawn, spawn_named, yield_now};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const EMFILE: i32 = 24;

static PROCESS: Mutex<()> = Mutex::new(());

/// Waits until no other story of this file runs.
fn alone() -> MutexGuard<'static, ()> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn descriptors() -> BTreeSet<u32> {
    let open: Vec<u32> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().parse().unwrap())
        .collect();
    // The directory was open while it was read, and is not any more.
    open.into_iter().filter(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()).collect()
}

/// Takes every descriptor the process may have but a few, until it is dropped.
struct Hoard {
    files: Vec<File>,
    before: Rlimit,
}

impl Hoard {
    fn leaving(few: usize) -> Hoard {
        let before = getrlimit(Resource::Nofile);
        let highest = descriptors().last().copied().unwrap_or(0);
        setrlimit(Resource::Nofile, Rlimit { current: Some(u64::from(highest) + 20), ..before }).unwrap();
        let mut hoard = Hoard { files: Vec::new(), before };
        while let Ok(file) = File::open("/dev/null") {
            hoard.files.push(file);
        }
        hoard.release(few);
        hoard
    }

    fn release(&mut self, count: usize) {
        self.files.truncate(self.files.len() - count);
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.before).unwrap();
    }
}

/// A waker that counts its wakes.
fn counting() -> (Arc<AtomicUsize>, Waker) {
    struct Count(Arc<AtomicUsize>);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    (count.clone(), Waker::from(Arc::new(Count(count))))
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Many turns for everybody, and so several looks at clock and sockets.
async fn turns() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

/// The carelessness of many a server: whatever goes wrong, accept again.
async fn serve(listener: Rc<TcpListener>, log: Rc<RefCell<Vec<i32>>>) {
    loop {
        match listener.accept().await {
            Ok(_) => return log.borrow_mut().push(0),
            Err(error) => log.borrow_mut().push(error.raw_os_error().unwrap()),
        }
    }
}

fn polls_of(name: &str) -> u32 {
    all_tasks().iter().find(|task| task.name.as_deref() == Some(name)).map(|task| task.polls).unwrap()
}

#[test]
fn a_server_without_descriptors_rests_and_recovers() {
    // R12, R13
    let _alone = alone();
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(async {
        let (listener, addr) = listener();
        let _client = std::net::TcpStream::connect(addr).unwrap();
        let mut hoard = Hoard::leaving(0);
        let log = Rc::new(RefCell::new(Vec::new()));
        let server = spawn_named("server", serve(Rc::new(listener), log.clone()));

        // It is told, and then it does not spin: two or three polls beside a thousand turns.
        turns().await;
        assert_eq!(*log.borrow(), [EMFILE]);
        assert!(polls_of("server") <= 3, "{} polls", polls_of("server"));

        // It tries again after a second, not before.
        clock.advance(Duration::from_millis(999));
        turns().await;
        assert_eq!(*log.borrow(), [EMFILE]);
        clock.advance(Duration::from_millis(1));
        turns().await;
        assert_eq!(*log.borrow(), [EMFILE, EMFILE]);
        assert!(polls_of("server") <= 5, "{} polls", polls_of("server"));

        // A descriptor is freed, of which no event tells. It does not sleep for ever.
        hoard.release(1);
        clock.advance(Duration::from_secs(1));
        server.await.unwrap();
        assert_eq!(*log.borrow(), [EMFILE, EMFILE, 0]);
    });
}

#[test]
fn all_servers_of_one_listener_rest_together() {
    // R12
    let _alone = alone();
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(async {
        let (listener, addr) = listener();
        let _clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        let mut hoard = Hoard::leaving(0);
        let listener = Rc::new(listener);
        let log = Rc::new(RefCell::new(Vec::new()));
        let servers: Vec<_> = (0..3).map(|_| spawn(serve(listener.clone(), log.clone()))).collect();
        for second in 1..=5 {
            turns().await;
            let tries = log.borrow().len();
            assert!((second..=3 * second).contains(&tries), "{tries} tries in second {second}");
            clock.advance(Duration::from_secs(1));
        }
        hoard.release(3);
        clock.advance(Duration::from_secs(1));
        join_all(servers).await;
        assert_eq!(log.borrow().iter().filter(|&&said| said == 0).count(), 3);
    });
}

#[test]
fn a_resting_server_sees_the_end_of_its_loop() {
    // R12, R20
    let _alone = alone();
    let event_loop = EventLoop::builder().clock(Clock::manual()).build().unwrap();
    let (listener, _client, hoard) = event_loop.block_on(async {
        let (listener, addr) = listener();
        let client = std::net::TcpStream::connect(addr).unwrap();
        let hoard = Hoard::leaving(0);
        assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(EMFILE));
        (listener, client, hoard)
    });
    let mut accepting = pin!(listener.accept());
    let (wakes, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    assert!(accepting.as_mut().poll(&mut cx).is_pending());
    drop(event_loop);
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    let Poll::Ready(Err(error)) = accepting.poll(&mut cx) else { panic!("the loop is gone") };
    assert!(error.to_string().contains("the event loop of this socket is gone"), "{error}");
    drop(hoard);
}

#[test]
fn without_descriptors_everything_is_an_error_and_nothing_hangs() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let (listener, addr) = listener();
        let hoard = Hoard::leaving(0);
        assert_eq!(TcpListener::bind("127.0.0.1:0").unwrap_err().raw_os_error(), Some(EMFILE));
        assert_eq!(TcpStream::connect(addr).await.unwrap_err().raw_os_error(), Some(EMFILE));
        drop(hoard);
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        near.unwrap();
        far.unwrap();
    });
}

#[test]
fn a_loop_that_cannot_be_made_leaves_no_descriptor_behind() {
    // R17: every step of the making fails once.
    let _alone = alone();
    drop(EventLoop::new());
    let before = descriptors();
    let mut refused = 0;
    for few in 0..10 {
        let hoard = Hoard::leaving(few);
        let made = EventLoop::new();
        refused += u32::from(made.is_err());
        drop(made);
        drop(hoard);
        assert_eq!(descriptors(), before, "with {few} descriptors left");
    }
    assert!((1..10).contains(&refused));
}

#[test]
fn a_thousand_loops_leave_no_descriptor_behind() {
    // R17, K26
    let _alone = alone();
    let round = || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.block_on(async {
            let (listener, addr) = listener();
            let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
            let (near, far) = (near.unwrap(), far.unwrap().0);
            near.write_all(b"x").await.unwrap();
            // One task waits for a connection, one for bytes, and nobody ever ends them.
            drop(spawn(async move { listener.accept().await.map(drop) }));
            drop(spawn(async move {
                while far.read(&mut [0]).await? > 0 {}
                io::Result::Ok(())
            }));
            yield_now().await;
            near
        })
        // The loop goes before this socket.
    };
    drop(round());
    let before = descriptors();
    for _ in 0..1000 {
        drop(round());
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn a_loop_is_two_descriptors_and_leaves_none_to_those_who_outlive_it() {
    // R29: one to wait with, one by which other threads end that wait. K50, K34: wakers and handles keep
    // nothing of the loop alive.
    let _alone = alone();
    drop(EventLoop::new());
    let before = descriptors();
    let event_loop = EventLoop::new().unwrap();
    let waker = event_loop.block_on(std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())));
    let task = event_loop.spawn(std::future::pending::<()>());
    let (handle, cancel) = (event_loop.handle(), task.cancel_handle());
    std::thread::scope(|scope| {
        scope.spawn(|| waker.wake_by_ref());
    });
    event_loop.block_on(yield_now());
    assert_eq!(descriptors().len(), before.len() + 2);
    drop(event_loop);
    assert_eq!(descriptors(), before);
    drop((waker, task, handle, cancel));
}

#[test]
fn every_descriptor_is_closed_once() {
    let _alone = alone();
    EventLoop::new().unwrap().block_on(async {
        let (listener, addr) = listener();
        let before = descriptors();
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        let (read, write) = near.unwrap().into_split();
        assert_eq!(descriptors().len(), before.len() + 2);
        drop(far);
        assert_eq!(descriptors().len(), before.len() + 1);
        drop(read);
        assert_eq!(descriptors().len(), before.len() + 1);
        drop(write);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_connect_that_is_dropped_closes_once() {
    // R33
    let _alone = alone();
    EventLoop::new().unwrap().block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let before = descriptors();
        drop(TcpStream::connect(addr));
        for _ in 0..100 {
            let mut connecting = TcpStream::connect(addr);
            assert!(futures::poll!(&mut connecting).is_pending());
            assert_eq!(descriptors().len(), before.len() + 1);
            drop(connecting);
            assert_eq!(descriptors(), before);
            // The other side sees a connection that was closed, or none.
            assert_eq!(listener.accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap(), 0);
        }
    });
}

#[test]
fn what_is_no_socket_is_refused_and_closed() {
    // R16
    let _alone = alone();
    EventLoop::new().unwrap().block_on(async {
        let before = descriptors();
        let file = std::os::fd::OwnedFd::from(File::open("/dev/null").unwrap());
        assert!(TcpStream::from_std(file.into()).is_err());
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn no_descriptor_is_left_to_child_processes() {
    // R25
    let _alone = alone();
    let before = descriptors();
    let event_loop = EventLoop::new().unwrap();
    let _sockets = event_loop.block_on(async {
        let (listener, addr) = listener();
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        (listener, near, far)
    });
    let made: Vec<u32> = descriptors().difference(&before).copied().collect();
    assert!(made.len() >= 5, "epoll, unpark, and three sockets: {made:?}");
    for number in made {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let closes_on_exec = u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0;
        assert!(closes_on_exec, "descriptor {number}: {info}");
    }
}
