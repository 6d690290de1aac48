//! Connecting: addresses in, a TCP stream out.
//!
//! ```text
//!   next address -> connect(2) -> wait until writable -> error? connected? -> stream
//!      ^                                                   |
//!      `---------------------- error ----------------------'
//! ```
//!
//! Promises: writable is not taken for connected; a connecting future that is dropped closes its
//! socket once.
//! Does not know: what the connection is for.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::vec;

use crate::arena::Key;
use crate::context;
use crate::driver::Driver;
use crate::net::tcp_stream::{TcpStream, no_address};
use crate::reactor::{Side, Source};

impl TcpStream {
    /// Connects to the first of the given addresses that answers.
    ///
    /// A host name is looked up in this call, and the loop stands still meanwhile. Where that matters,
    /// look it up in `to_thread` and connect to the addresses that come back.
    ///
    /// There is no time limit but the system's, of a minute or two: put one around it with
    /// [`timeout`](crate::timeout). Dropping the future closes the socket.
    ///
    /// # Errors
    ///
    /// Awaiting gives what was said to the last address, or that there was none.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    pub fn connect(addr: impl ToSocketAddrs) -> Connect {
        let driver = context::driver("TcpStream::connect()");
        let (addresses, error) = match addr.to_socket_addrs() {
            Ok(addresses) => (addresses.collect(), no_address()),
            Err(error) => (Vec::new(), error),
        };
        Connect { driver, addresses: addresses.into_iter(), trying: None, place: None, error: Some(error) }
    }
}

/// The future of [`TcpStream::connect`]. Dropping it closes the socket that is being connected.
#[must_use = "a future does nothing until it is awaited"]
pub struct Connect {
    driver: Rc<Driver>,
    addresses: vec::IntoIter<SocketAddr>,
    trying: Option<Source<mio::net::TcpStream>>,
    place: Option<Key>,
    /// What to return when no address is left.
    error: Option<io::Error>,
}

impl Connect {
    /// Whether there is an attempt under way, if need be a new one.
    fn begin(&mut self) -> bool {
        while self.trying.is_none() {
            let Some(address) = self.addresses.next() else { return false };
            // Nothing is known of such a socket until the system speaks: neither side is ready.
            let connecting = mio::net::TcpStream::connect(address);
            match connecting.and_then(|stream| self.driver.reactor().register(stream, false)) {
                Ok(source) => self.trying = Some(source),
                Err(error) => self.error = Some(error),
            }
        }
        true
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let connect = &mut *self;
        while connect.begin() {
            let source = connect.trying.as_ref().expect("begin() says that one is under way");
            let connected = ready!(source.poll_operation(Side::Write, &mut connect.place, cx, check_connected));
            connect.place = None;
            match (connected, connect.trying.take()) {
                (Ok(()), Some(source)) => {
                    // Nothing is left to try or to tell: a further poll is refused.
                    (connect.addresses, connect.error) = (Vec::new().into_iter(), None);
                    return Poll::Ready(Ok(TcpStream::new(source)));
                }
                (outcome, _) => connect.error = outcome.err(),
            }
        }
        Poll::Ready(Err(connect.error.take().expect("a connect() gives its result once: await it only once")))
    }
}

/// Whether the connection stands. WouldBlock if the system has not decided, whatever woke us.
fn check_connected(stream: &mio::net::TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if is_undecided(&error) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    }
}

fn is_undecided(error: &io::Error) -> bool {
    // EINPROGRESS has no kind in the standard library.
    let in_progress = if cfg!(any(target_os = "linux", target_os = "android")) { 115 } else { 36 };
    error.kind() == io::ErrorKind::NotConnected || error.raw_os_error() == Some(in_progress)
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trying = self.trying.as_ref().map(Source::get);
        f.debug_struct("Connect").field("trying", &trying).field("left", &self.addresses.as_slice()).finish()
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_that_the_system_has_not_decided_is_waited_for() {
        // R10, R11: whatever says that the socket can be written to.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // With room for one in its queue, the others are not answered.
        rustix::net::listen(&listener, 0).unwrap();
        let addr = listener.local_addr().unwrap();
        let streams: Vec<_> = (0..4).map(|_| mio::net::TcpStream::connect(addr).unwrap()).collect();
        assert!(check_connected(&streams[0]).is_ok());
        let error = check_connected(&streams[3]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    }
}
