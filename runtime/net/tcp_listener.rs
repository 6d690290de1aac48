//! The TCP listener: an address in, connections out.
//!
//! ```text
//!   accept: [ pausing? wait ] -> [ wait until ready ] -> accept(2) -> a stream
//!              ^                                             |
//!              `--- one second, when the system is full -----'   (and the error to the caller)
//! ```
//!
//! Promises: a server that answers every error by accepting again neither spins nor sleeps for ever
//! while the process has no descriptors left; connections that die before they are accepted are passed
//! over; every task that waits here is woken when a connection comes.
//! Does not know: what is done with the connections.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Instant;
use crate::context;
use crate::driver::Driver;
use crate::keep::keep;
use crate::net::tcp_stream::{TcpStream, no_address};
use crate::observer::{self, Behind, Waits};
use crate::reactor::{Side, Source};
use crate::timer_wheel::Timer;

/// How long accepting rests when the system is full: long enough to cost nothing, short enough that
/// clients still wait. It is asyncio's figure.
const PAUSE: Duration = Duration::from_secs(1);

/// A TCP socket that accepts connections.
///
/// ```
/// use roundel::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// roundel::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     client.write_all(b"hello").await?;
///     let mut buf = [0; 5];
///     server.read_exact(&mut buf).await?;
///     assert_eq!(&buf, b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias = "start_server")]
pub struct TcpListener {
    source: Source<mio::net::TcpListener>,
    driver: Rc<Driver>,
    /// The system was full: nobody tries to accept before then.
    resumes: Cell<Option<Instant>>,
}

impl TcpListener {
    /// Listens at the first of the given addresses that the system grants. Port 0 lets it choose a
    /// free port; [`local_addr`](TcpListener::local_addr) tells which.
    ///
    /// On Unix the address may be used again right after the listener is dropped (`SO_REUSEADDR`). A
    /// host name is looked up in this call, and the loop stands still meanwhile.
    ///
    /// # Errors
    ///
    /// What the system said to the last address, or that there was none.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let driver = context::driver("TcpListener::bind()");
        let mut refused = None;
        for addr in addr.to_socket_addrs()? {
            match mio::net::TcpListener::bind(addr) {
                Ok(listener) => return TcpListener::register(driver, listener),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(no_address))
    }

    /// Takes over a listener of the standard library, with whatever options it was given.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking, or the loop's registry refuses it.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        let driver = context::driver("TcpListener::from_std()");
        listener.set_nonblocking(true)?;
        TcpListener::register(driver, mio::net::TcpListener::from_std(listener))
    }

    fn register(driver: Rc<Driver>, listener: mio::net::TcpListener) -> io::Result<TcpListener> {
        let source = driver.reactor().register(listener, true)?;
        Ok(TcpListener { source, driver, resumes: Cell::new(None) })
    }

    /// Waits for the next connection, and gives it with the peer's address.
    ///
    /// Several tasks may wait here; each connection goes to one of them. Dropping the future half-way
    /// loses no connection.
    ///
    /// # Errors
    ///
    /// When the process or the system has no descriptors or no memory left, that error is returned,
    /// and for one second after it every `accept` of this listener waits before it tries again. So it
    /// is enough for a server to report the error and call `accept` again. A connection that was
    /// aborted before it could be accepted is no error: the next one is waited for. All else is
    /// returned as the system says it, and that the loop is gone.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            Pause { listener: self, timer: None }.await;
            let accepted = self.source.when_ready(Side::Read, |listener| listener.accept()).await;
            match accepted.and_then(|(stream, peer)| Ok((TcpStream::register(&self.driver, stream)?, peer))) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // The listener stays ready, for no event will come when a descriptor is freed. So
                    // the clock is all that stands between a careless server and a spinning one.
                    if is_out_of_room(&error) {
                        self.resumes.set(Some(self.driver.clock().now() + PAUSE));
                    }
                    return Err(error);
                }
                accepted => return accepted,
            }
        }
    }

    /// The address it listens at.
    ///
    /// # Errors
    ///
    /// If the system cannot say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get().local_addr()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("local", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

/// EMFILE, ENFILE, ENOBUFS and ENOMEM: there is no room for one more connection just now.
fn is_out_of_room(error: &io::Error) -> bool {
    // The standard library has a kind for the last one only. Of the others, in this order, the first
    // two have one number on all Unix systems.
    let numbers = if cfg!(windows) {
        [10024, 10024, 10055]
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        [24, 23, 105]
    } else {
        [24, 23, 55]
    };
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error().is_some_and(|number| numbers.contains(&number))
}

/// Waits until the listener may try again. Ready at once if it never had to stop.
struct Pause<'a> {
    listener: &'a TcpListener,
    timer: Option<Timer>,
}

impl Pause<'_> {
    fn cancel(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.listener.driver.remove_timer(timer);
        }
    }
}

impl Future for Pause<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let TcpListener { driver, resumes, .. } = self.listener;
        let Some(until) = resumes.get() else { return Poll::Ready(()) };
        if driver.is_closed() || until <= driver.clock().now() {
            self.cancel();
            return Poll::Ready(());
        }
        observer::waiting_unlabelled(Waits::Timer, None, |tell| tell(Behind::Deadline(until)));
        if !self.timer.is_some_and(|timer| driver.rewake(timer, cx.waker())) {
            self.cancel();
            let timer = driver.timer(until);
            self.timer = Some(timer);
            driver.set(timer, keep(cx.waker()));
        }
        Poll::Pending
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}
