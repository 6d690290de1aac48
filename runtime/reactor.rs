//! The reactor: sockets in, wakers of the ready ones out. The one place that waits for the OS.
//!
//! ```text
//!                        read side            write side
//!   source 3, life 7   [ ready, waiters: ]  [ not ready, waiters: 12 15 ]
//!                            ^                      ^
//!   poll: token (3, 7) readable              token (3, 7) writable -> ready, wake 12 and 15
//!   operation says WouldBlock ----------------> not ready
//! ```
//!
//! Registration is edge-triggered and happens once a source: an event says that something changed,
//! and the side stays ready until an operation says WouldBlock.
//!
//! Promises: readiness is lost on WouldBlock only, or on a short read or write before any hang-up or
//! error was seen (epoll(7), "Will closing..." and "Do I need to..."); an event for a source that is
//! gone finds nothing; a source is deregistered before it is closed; every waiter of a side is woken;
//! a socket that is always ready holds neither the loop nor its like.
//! Does not know: tasks, timers, what the sockets carry.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use mio::{Events, Interest, Token};

use crate::arena::{Arena, Key, Linked, List};
use crate::keep::keep;
use crate::observer::{self, Actor, Event, Label, Resource, Waits};
use crate::wakers::Wakers;

/// Events taken from the OS at once. A longer list is only taken in several goes; none is lost.
const EVENTS_AT_ONCE: usize = 1024;

/// The longest single wait: some systems misread a timeout of several weeks.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Operations that one task may do in a row without a look at the OS; then it gives its turn away, for a
/// socket that is always ready must not hold the loop. 64 such turns, which come between two looks, are a
/// thousand operations: one to ten milliseconds. A turn given away costs a hundredth of 16 operations.
const OPERATIONS_IN_A_ROW: u32 = 16;

/// Whether a short read or write means that there is no more just now. It does where the system itself
/// tells of the next change (epoll, kqueue). Elsewhere mio puts edges together out of levels, and only
/// an operation that said WouldBlock makes it listen again.
const SHORT_MEANS_DRAINED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

const UNPARK: Token = Token(usize::MAX);

/// mio's registry, and what is known of each source in it.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: RefCell<Option<(mio::Poll, Events)>>,
    sources: RefCell<Sources>,
    /// Who did the last operation, and how many in a row.
    row: Cell<(Actor, u32)>,
    closed: Cell<bool>,
}

#[derive(Debug)]
struct Sources {
    sides: Arena<[SideState; 2]>,
    waiters: Arena<Linked<Waker>>,
}

#[derive(Clone, Copy, Debug)]
struct SideState {
    ready: bool,
    /// A hang-up or an error was seen: from now on only WouldBlock takes readiness away.
    ended: bool,
    waiters: List,
}

/// One of the two directions of a source.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Read = 0,
    Write = 1,
}

impl Reactor {
    /// A reactor, and the waker that ends its wait from any thread.
    pub(crate) fn new() -> io::Result<(Reactor, Waker)> {
        let poll = mio::Poll::new()?;
        let unparker = Unparker(mio::Waker::new(poll.registry(), UNPARK).map_err(in_plain_words)?);
        let reactor = Reactor {
            poll: RefCell::new(Some((poll, Events::with_capacity(EVENTS_AT_ONCE)))),
            sources: RefCell::new(Sources { sides: Arena::new(), waiters: Arena::new() }),
            row: Cell::new((Actor::Outside, 0)),
            closed: Cell::new(false),
        };
        Ok((reactor, Waker::from(Arc::new(unparker))))
    }

    /// Registers `io` for both directions. `ready` says whether to try an operation before any event.
    pub(crate) fn register<S: mio::event::Source>(self: &Rc<Self>, mut io: S, ready: bool) -> io::Result<Source<S>> {
        let poll = self.poll.borrow();
        let Some((poll, _)) = &*poll else { return Err(loop_is_gone()) };
        let side = SideState { ready, ended: false, waiters: List::new() };
        let key = self.sources.borrow_mut().sides.insert([side; 2]);
        if let Err(error) = poll.registry().register(&mut io, token_of(key), Interest::READABLE | Interest::WRITABLE) {
            self.sources.borrow_mut().sides.remove(key);
            return Err(in_plain_words(error));
        }
        let source = Source { io, key, reactor: self.clone(), label: Label::new() };
        observer::tell(|| Event::Opened { socket: source.resource(), by: observer::actor() });
        Ok(source)
    }

    /// Whether anybody waits for a source.
    pub(crate) fn has_waiters(&self) -> bool {
        !self.sources.borrow().waiters.is_empty()
    }

    /// Waits until something happens, `limit` at most (`None`: for ever), and collects the wakers of
    /// what became ready. May return early.
    pub(crate) fn poll(&self, limit: Option<Duration>, due: &mut Wakers) -> io::Result<()> {
        self.row.set((Actor::Outside, 0));
        let mut poll = self.poll.borrow_mut();
        let Some((poll, events)) = &mut *poll else { return Err(loop_is_gone()) };
        match poll.poll(events, limit.map(|limit| limit.min(LONGEST_WAIT))) {
            Ok(()) => {}
            // A signal: whoever called works out anew how long to wait.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut sources = self.sources.borrow_mut();
        for event in events.iter() {
            if event.token() == UNPARK {
                continue;
            }
            let key = key_of(event.token());
            let ended = event.is_error();
            if event.is_readable() || event.is_read_closed() || ended {
                sources.set_ready(key, Side::Read, ended || event.is_read_closed(), due);
            }
            if event.is_writable() || event.is_write_closed() || ended {
                sources.set_ready(key, Side::Write, ended || event.is_write_closed(), due);
            }
        }
        Ok(())
    }

    /// How many operations this one did in a row.
    fn row_of(&self, actor: Actor) -> u32 {
        let (last, operations) = self.row.get();
        if last == actor { operations } else { 0 }
    }

    /// Whether no source is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.borrow().sides.is_empty()
    }

    /// Ends the reactor's life: from now on every operation fails, and whoever waits is woken to see it.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let mut due = Wakers::new();
        let mut sources = self.sources.borrow_mut();
        let keys: Vec<Key> = sources.sides.iter().map(|(key, _, _)| key).collect();
        for key in keys {
            sources.set_ready(key, Side::Read, true, &mut due);
            sources.set_ready(key, Side::Write, true, &mut due);
        }
        drop(sources);
        let poll = self.poll.borrow_mut().take();
        drop(poll);
        due.wake_all();
    }
}

impl Sources {
    fn set_ready(&mut self, key: Key, side: Side, ended: bool, due: &mut Wakers) {
        // An event may come for a source that was dropped after the OS had put it on the list.
        let Some(sides) = self.sides.get_mut(key) else { return };
        let state = &mut sides[side as usize];
        state.ready = true;
        state.ended |= ended;
        while let Some((waiter, ..)) = state.waiters.pop_front(&mut self.waiters) {
            if let Some(waiter) = self.waiters.remove(waiter) {
                due.push(waiter.value);
            }
        }
    }

    /// Puts `waker` in the line of a side, or into the place it has there already. Gives back the
    /// waker that was there, to be dropped with no borrow held.
    fn wait(&mut self, key: Key, side: Side, place: &mut Option<Key>, waker: Waker) -> Option<Waker> {
        if let Some(waiter) = place.and_then(|place| self.waiters.get_mut(place)) {
            return Some(std::mem::replace(&mut waiter.value, waker));
        }
        let state = &mut self.sides.get_mut(key)?[side as usize];
        let waiter = self.waiters.insert(Linked::new(waker));
        state.waiters.push_back(&mut self.waiters, waiter);
        *place = Some(waiter);
        None
    }

    fn leave(&mut self, key: Key, side: Side, place: Key) -> Option<Waker> {
        self.waiters.get(place)?;
        let state = &mut self.sides.get_mut(key)?[side as usize];
        state.waiters.unlink(&mut self.waiters, place);
        self.waiters.remove(place).map(|waiter| waiter.value)
    }
}

/// epoll says "no space left on device" where it means no disk, but how many descriptors a user may watch.
fn in_plain_words(error: io::Error) -> io::Error {
    match error.kind() {
        kind @ io::ErrorKind::StorageFull => {
            io::Error::new(kind, format!("the system watches no more descriptors for this user: {error}"))
        }
        _ => error,
    }
}

/// A source as the OS names it: slot and life, so that an event for one that is gone finds nothing.
fn token_of(key: Key) -> Token {
    Token(key.index as usize | (key.life as usize) << 32)
}

fn key_of(Token(token): Token) -> Key {
    Key { index: token as u32, life: (token >> 32) as u32 }
}

fn loop_is_gone() -> io::Error {
    io::Error::other("the event loop of this socket is gone: use a socket inside the loop that made it")
}

/// A registered source of readiness. Dropping it deregisters it, then closes it.
#[derive(Debug)]
pub(crate) struct Source<S: mio::event::Source> {
    io: S,
    key: Key,
    reactor: Rc<Reactor>,
    label: Label,
}

impl<S: mio::event::Source> Source<S> {
    fn resource(&self) -> Resource {
        self.label.resource(Waits::Socket)
    }

    pub(crate) fn get(&self) -> &S {
        &self.io
    }

    /// Waits until `operation` does not say WouldBlock. Dropping the future half-way loses nothing:
    /// the operation has either not happened or its result was returned.
    pub(crate) fn when_ready<R, F>(&self, side: Side, operation: F) -> WhenReady<'_, S, F>
    where
        F: FnMut(&S) -> io::Result<R> + Unpin,
    {
        WhenReady { source: self, side, operation, place: None }
    }

    /// The same for `poll_` methods: `place` is where this caller waits, one for each direction.
    pub(crate) fn poll_operation<R>(
        &self,
        side: Side,
        place: &mut Option<Key>,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.poll_ready(side, place, cx))?;
            match operation(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clear(side),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => {
                    self.reactor.row.set((observer::actor(), self.reactor.row_of(observer::actor()) + 1));
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Ready when an operation on that side is worth a try.
    fn poll_ready(&self, side: Side, place: &mut Option<Key>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reactor.closed.get() {
            return Poll::Ready(Err(loop_is_gone()));
        }
        if self.is_ready(side) {
            // Whoever stood in line was taken out when the side became ready. The name of that place
            // is forgotten before it can ever be somebody else's.
            *place = None;
            if self.reactor.row_of(observer::actor()) < OPERATIONS_IN_A_ROW {
                return Poll::Ready(Ok(()));
            }
            self.reactor.row.set((Actor::Outside, 0));
            observer::waiting_for_a_turn();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        observer::waiting_for_anyone(Waits::Socket, &self.label, None);
        let waker = keep(cx.waker());
        let replaced = self.reactor.sources.borrow_mut().wait(self.key, side, place, waker);
        drop(replaced);
        Poll::Pending
    }

    fn is_ready(&self, side: Side) -> bool {
        self.reactor.sources.borrow().sides.get(self.key).is_some_and(|sides| sides[side as usize].ready)
    }

    /// After a read or write that moved something, but less than it might have: the OS has no more just
    /// now, and will say when it has. Saves the call that would only return WouldBlock.
    ///
    /// It does nothing once the end was seen, which the OS tells only once. And it is not for a peek,
    /// which leaves there what it saw. (Urgent data makes a read short with more behind it: whoever
    /// sends such to a plain stream is heard when the next byte comes.)
    pub(crate) fn came_short(&self, side: Side) {
        if !SHORT_MEANS_DRAINED {
            return;
        }
        let mut sources = self.reactor.sources.borrow_mut();
        if let Some(sides) = sources.sides.get_mut(self.key) {
            let state = &mut sides[side as usize];
            state.ready &= state.ended;
        }
    }

    fn clear(&self, side: Side) {
        let mut sources = self.reactor.sources.borrow_mut();
        if let Some(sides) = sources.sides.get_mut(self.key) {
            sides[side as usize].ready = false;
        }
    }

    /// Takes a waiter out of the line of its side.
    fn leave(&self, side: Side, place: &mut Option<Key>) {
        if let Some(place) = place.take() {
            let waker = self.reactor.sources.borrow_mut().leave(self.key, side, place);
            drop(waker);
        }
    }
}

impl<S: mio::event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        let mut gone = Wakers::new();
        {
            let mut sources = self.reactor.sources.borrow_mut();
            sources.set_ready(self.key, Side::Read, true, &mut gone);
            sources.set_ready(self.key, Side::Write, true, &mut gone);
            sources.sides.remove(self.key);
        }
        if let Some((poll, _)) = &*self.reactor.poll.borrow() {
            // The descriptor may have been closed behind our back; then there is nothing to take out.
            let _ = poll.registry().deregister(&mut self.io);
        }
        observer::tell(|| Event::Closed { socket: self.resource() });
    }
}

/// The future of [`Source::when_ready`].
#[derive(Debug)]
pub(crate) struct WhenReady<'a, S: mio::event::Source, F> {
    source: &'a Source<S>,
    side: Side,
    operation: F,
    place: Option<Key>,
}

impl<S: mio::event::Source, R, F> Future for WhenReady<'_, S, F>
where
    F: FnMut(&S) -> io::Result<R> + Unpin,
{
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let WhenReady { source, side, operation, place } = &mut *self;
        source.poll_operation(*side, place, cx, operation)
    }
}

impl<S: mio::event::Source, F> Drop for WhenReady<'_, S, F> {
    fn drop(&mut self) {
        self.source.leave(self.side, &mut self.place);
    }
}

/// Ends the reactor's wait from any thread, now or the next time it begins.
struct Unparker(mio::Waker);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails when the OS cannot take one more event, and then the loop is awake already.
        let _ = self.0.wake();
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    type Socket = Source<mio::net::TcpStream>;

    fn pair(reactor: &Rc<Reactor>) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (register(reactor, listener.accept().unwrap().0), far)
    }

    fn register(reactor: &Rc<Reactor>, near: TcpStream) -> Socket {
        near.set_nonblocking(true).unwrap();
        reactor.register(mio::net::TcpStream::from_std(near), false).unwrap()
    }

    fn reactor() -> Rc<Reactor> {
        Rc::new(Reactor::new().unwrap().0)
    }

    /// Looks until something was reported, for some seconds at most.
    fn look(reactor: &Reactor) -> usize {
        let mut due = Wakers::new();
        reactor.poll(Some(Duration::from_secs(10)), &mut due).unwrap();
        due.wake_all();
        let poll = reactor.poll.borrow();
        poll.as_ref().map_or(0, |(_, events)| events.iter().count())
    }

    fn read(source: &Socket, room: usize) -> Poll<io::Result<usize>> {
        let mut buf = vec![0; room];
        let mut cx = Context::from_waker(Waker::noop());
        source.poll_operation(Side::Read, &mut None, &mut cx, |mut stream| stream.read(&mut buf))
    }

    #[test]
    fn an_event_of_an_earlier_life_of_the_slot_is_ignored() {
        // R1, R2, R3
        let reactor = reactor();
        let (gone, _far) = pair(&reactor);
        let stale = gone.key;
        drop(gone);
        let (tenant, _far) = pair(&reactor);
        assert_eq!(tenant.key.index, stale.index);
        // By way of the token, as an event comes in.
        let tell = |key| reactor.sources.borrow_mut().set_ready(key, Side::Read, true, &mut Wakers::new());
        tell(key_of(token_of(stale)));
        assert!(!tenant.is_ready(Side::Read));
        tell(key_of(token_of(tenant.key)));
        assert!(tenant.is_ready(Side::Read));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_source_that_the_system_refuses_leaves_no_slot_behind() {
        // R16. A plain file cannot be waited for.
        let reactor = reactor();
        let file = std::fs::File::open("/dev/null").unwrap();
        let socket = TcpStream::from(std::os::fd::OwnedFd::from(file));
        assert!(reactor.register(mio::net::TcpStream::from_std(socket), true).is_err());
        assert!(reactor.is_empty());
    }

    /// A socket with a registry that says no.
    struct Refused {
        stream: Rc<RefCell<mio::net::TcpStream>>,
        coming: Option<i32>,
        going: Option<i32>,
    }

    impl Refused {
        fn new(stream: &Rc<RefCell<mio::net::TcpStream>>, coming: Option<i32>, going: Option<i32>) -> Refused {
            Refused { stream: stream.clone(), coming, going }
        }
    }

    fn refusal(code: Option<i32>) -> io::Result<()> {
        code.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    }

    impl mio::event::Source for Refused {
        fn register(&mut self, registry: &mio::Registry, token: Token, interests: Interest) -> io::Result<()> {
            refusal(self.coming)?;
            self.stream.borrow_mut().register(registry, token, interests)
        }

        fn reregister(&mut self, registry: &mio::Registry, token: Token, interests: Interest) -> io::Result<()> {
            self.stream.borrow_mut().reregister(registry, token, interests)
        }

        fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
            refusal(self.going)?;
            self.stream.borrow_mut().deregister(registry)
        }
    }

    fn shared(far: &mut Option<TcpStream>) -> Rc<RefCell<mio::net::TcpStream>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        *far = Some(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let near = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        Rc::new(RefCell::new(mio::net::TcpStream::from_std(near)))
    }

    #[test]
    fn a_registry_without_room_leaves_no_slot_behind() {
        // R16
        const ENOSPC: i32 = 28;
        let reactor = reactor();
        let stream = shared(&mut None);
        let error = reactor.register(Refused::new(&stream, Some(ENOSPC), None), true).err().unwrap();
        assert!(error.to_string().starts_with("the system watches no more descriptors"), "{error}");
        assert!(reactor.is_empty());
        assert!(reactor.register(Refused::new(&stream, None, None), true).is_ok(), "the next attempt may work");
    }

    #[test]
    fn a_descriptor_closed_behind_our_back_leaves_no_slot_behind() {
        // R18
        const EBADF: i32 = 9;
        let reactor = reactor();
        let source = reactor.register(Refused::new(&shared(&mut None), None, Some(EBADF)), true).unwrap();
        drop(source);
        assert!(reactor.is_empty());
    }

    #[test]
    fn a_socket_that_is_registered_twice_is_refused_and_the_first_is_unharmed() {
        // R42
        let reactor = reactor();
        let mut far = None;
        let stream = shared(&mut far);
        let first = reactor.register(Refused::new(&stream, None, None), false).unwrap();
        assert!(reactor.register(Refused::new(&stream, None, None), false).is_err());
        assert_eq!(reactor.sources.borrow().sides.len(), 1);
        far.unwrap().write_all(b"x").unwrap();
        while !first.is_ready(Side::Read) {
            look(&reactor);
        }
    }

    #[test]
    fn an_event_is_told_once_and_a_look_without_time_does_not_wait() {
        // R26, R27
        let reactor = reactor();
        let (near, mut far) = pair(&reactor);
        far.write_all(b"x").unwrap();
        while !near.is_ready(Side::Read) {
            look(&reactor);
        }
        assert!(matches!(read(&near, 8), Poll::Ready(Ok(1))));
        assert!(read(&near, 8).is_pending());
        for _ in 0..3 {
            // Nothing happens any more: with time to wait, this would wait for ever.
            reactor.poll(Some(Duration::ZERO), &mut Wakers::new()).unwrap();
            assert!(!near.is_ready(Side::Read), "what was told before is not told again");
        }
    }

    #[test]
    fn a_socket_that_lives_on_as_a_copy_is_no_longer_listened_to() {
        // R4
        let reactor = reactor();
        let (first, mut far) = pair(&reactor);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut other_far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        let copy = near.try_clone().unwrap();
        let copied = register(&reactor, near);
        look(&reactor);
        drop(copied);
        other_far.write_all(b"to the copy").unwrap();
        far.write_all(b"to the first").unwrap();
        assert_eq!(look(&reactor), 1);
        assert!(first.is_ready(Side::Read));
        drop(copy);
    }

    #[test]
    fn a_short_read_saves_the_next_call_unless_the_end_was_seen() {
        // R8
        let reactor = reactor();
        let (near, mut far) = pair(&reactor);
        while !near.is_ready(Side::Read) {
            far.write_all(b"abc").unwrap();
            look(&reactor);
        }
        assert!(matches!(read(&near, 1), Poll::Ready(Ok(1))));
        near.came_short(Side::Read);
        assert_eq!(near.is_ready(Side::Read), !SHORT_MEANS_DRAINED);
        far.write_all(b"def").unwrap();
        drop(far);
        // The end may be told together with the bytes or after them.
        while !near.reactor.sources.borrow().sides.get(near.key).unwrap()[0].ended {
            look(&reactor);
        }
        assert!(matches!(read(&near, 64), Poll::Ready(Ok(1..))));
        near.came_short(Side::Read);
        assert!(near.is_ready(Side::Read));
        assert!(matches!(read(&near, 64), Poll::Ready(Ok(0))));
    }

    #[test]
    fn waiting_leaves_nothing_behind() {
        let reactor = reactor();
        let (near, _far) = pair(&reactor);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            let mut waiting = near.when_ready(Side::Read, |stream| stream.peek(&mut [0]));
            for _ in 0..3 {
                assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
            }
        }
        assert!(reactor.sources.borrow().waiters.is_empty());
        let mut place = None;
        for _ in 0..1000 {
            let peek = |stream: &mio::net::TcpStream| stream.peek(&mut [0]);
            assert!(near.poll_operation(Side::Read, &mut place, &mut cx, peek).is_pending());
        }
        assert_eq!(reactor.sources.borrow().waiters.len(), 1);
        drop(near);
        assert!(reactor.sources.borrow().waiters.is_empty());
    }

    #[test]
    fn the_end_of_the_reactor_is_told_to_whoever_waits() {
        // R20
        let reactor = reactor();
        let (near, _far) = pair(&reactor);
        assert!(read(&near, 1).is_pending());
        reactor.close();
        assert!(matches!(read(&near, 1), Poll::Ready(Err(_))));
        assert!(reactor.register(mio::net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap(), true).is_err());
        drop(near);
        assert!(reactor.is_empty());
    }
}
