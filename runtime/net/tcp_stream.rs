//! The TCP stream: bytes in, bytes out.
//!
//! ```text
//!   read:    [ wait until readable ] -> recv(2) -> fewer than asked for? then nothing is left
//!   write:   [ wait until writable ] -> send(2) -> fewer than given?     then there is no room
//! ```
//!
//! Promises: a request that fits the buffer costs one call to read and one to write; reading and
//! writing wait in different lines.
//! Does not know: who accepts or connects, what the bytes mean.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::arena::Key;
use crate::context;
use crate::driver::Driver;
use crate::reactor::{Side, Source};

/// A TCP connection.
///
/// Dropping it closes the connection. To tell the peer that nothing more will come and still read its
/// answer, [`shut down`](TcpStream::shutdown) the writing side.
///
/// # Several tasks on one stream
///
/// The async methods may be called by any number of tasks at once, and all are woken. Bytes go to
/// whoever comes first, so two tasks that write whole messages need a lock between them. The methods of
/// [`AsyncRead`] and [`AsyncWrite`] remember one waker for each direction, the last one: use those of
/// one direction in one task only.
#[doc(alias = "open_connection")]
#[doc(alias = "StreamReader")]
#[doc(alias = "StreamWriter")]
pub struct TcpStream {
    source: Source<mio::net::TcpStream>,
    /// Where the `poll_` methods of each direction stand in line.
    reading: Cell<Option<Key>>,
    writing: Cell<Option<Key>>,
}

impl TcpStream {
    /// Takes over a connection of the standard library, with whatever options it was given.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking, or the loop's registry refuses it.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        let driver = context::driver("TcpStream::from_std()");
        stream.set_nonblocking(true)?;
        TcpStream::register(&driver, mio::net::TcpStream::from_std(stream))
    }

    /// Takes over a connected stream. Mostly it can be written to at once, and often read.
    pub(super) fn register(driver: &Driver, stream: mio::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream::new(driver.reactor().register(stream, true)?))
    }

    pub(super) fn new(source: Source<mio::net::TcpStream>) -> TcpStream {
        TcpStream { source, reading: Cell::new(None), writing: Cell::new(None) }
    }

    /// Reads what has come, as much as fits, and waits if nothing has. 0 is the end of the stream.
    ///
    /// With room for nothing it gives 0 at once. Dropping the future half-way loses no bytes.
    ///
    /// # Errors
    ///
    /// What the system says, such as that the peer reset the connection; and that the loop is gone.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len();
        self.transfer(Side::Read, room, |mut stream| stream.read(buf)).await
    }

    /// As [`read`](TcpStream::read), but the bytes stay there to be read again.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.source.when_ready(Side::Read, |stream| stream.peek(buf)).await
    }

    /// Fills all of `buf`.
    ///
    /// Dropping the future half-way loses the bytes that are in `buf` by then, and how many they are.
    /// Where that matters, use a [`BufReader`](crate::net::BufReader), which keeps them.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends first: what came before stands at the beginning of `buf`.
    /// Otherwise as [`read`](TcpStream::read).
    #[doc(alias = "readexactly")]
    pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read(&mut buf[filled..]).await? {
                0 => return Err(ended_early(filled, buf.len())),
                read => filled += read,
            }
        }
        Ok(())
    }

    /// Reads to the end of the stream, behind what `buf` has already, and gives how many bytes came.
    ///
    /// What has been read is in `buf` even if the future is dropped half-way or an error comes.
    ///
    /// # Errors
    ///
    /// As [`read`](TcpStream::read).
    pub async fn read_to_end(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let before = buf.len();
        let mut growing = Growing { filled: before, buf };
        loop {
            match self.read(growing.room()).await? {
                0 => return Ok(growing.filled - before),
                read => growing.filled += read,
            }
        }
    }

    /// Writes as much as the system takes now, and waits if it takes nothing.
    ///
    /// Dropping the future half-way writes nothing.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` or `ConnectionReset` if the peer is gone, `BrokenPipe` after a shutdown; never a
    /// signal. Otherwise what the system says; and that the loop is gone.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.transfer(Side::Write, buf.len(), |mut stream| stream.write(buf)).await
    }

    /// As [`write`](TcpStream::write), from several slices with one call.
    ///
    /// # Errors
    ///
    /// As `write`. But no system call for several slices in the standard library leaves out SIGPIPE: where
    /// a program has taken back that Rust ignores it, or Rust is a guest in a program that never did, a
    /// peer that is gone is that signal on Linux.
    #[doc(alias = "writelines")]
    pub async fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        self.transfer(Side::Write, room, |mut stream| stream.write_vectored(bufs)).await
    }

    /// Writes all of `buf`, waiting for room as often as need be: asyncio's `write` and `drain` in one.
    ///
    /// Dropping the future half-way leaves some of the bytes written, and it is not said how many.
    ///
    /// # Errors
    ///
    /// As [`write`](TcpStream::write).
    #[doc(alias = "drain")]
    #[doc(alias = "sendall")]
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write(buf).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => buf = &buf[written..],
            }
        }
        Ok(())
    }

    /// Ends one direction or both. After `Shutdown::Write` the peer reads to the end of what was
    /// written, and may go on writing.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is over already.
    #[doc(alias = "write_eof")]
    #[doc(alias = "close_write")]
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source.get().shutdown(how)
    }

    /// Whether small writes go out at once (`TCP_NODELAY`), rather than wait for company.
    ///
    /// # Errors
    ///
    /// If the system cannot say.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.get().nodelay()
    }

    /// Says whether small writes are to go out at once. A protocol of questions and answers wants it.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.get().set_nodelay(nodelay)
    }

    /// How many routers a packet may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// If the system cannot say.
    pub fn ttl(&self) -> io::Result<u32> {
        self.source.get().ttl()
    }

    /// Says how many routers a packet may pass.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.source.get().set_ttl(ttl)
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// If the system cannot say.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get().local_addr()
    }

    /// The other end's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is over already.
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.get().peer_addr()
    }

    /// One read or write of `room` bytes at most, when the side is ready for it.
    async fn transfer<F>(&self, side: Side, room: usize, operation: F) -> io::Result<usize>
    where
        F: FnMut(&mio::net::TcpStream) -> io::Result<usize> + Unpin,
    {
        // Not a question to the system, whose answer would look like the end of the stream.
        if room == 0 {
            return Ok(0);
        }
        let moved = self.source.when_ready(side, operation).await?;
        self.note(side, moved, room);
        Ok(moved)
    }

    /// The same for the `poll_` methods.
    fn poll_transfer(
        &self,
        side: Side,
        room: usize,
        cx: &mut Context<'_>,
        operation: impl FnMut(&mio::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let kept = match side {
            Side::Read => &self.reading,
            Side::Write => &self.writing,
        };
        let mut place = kept.take();
        let moved = self.source.poll_operation(side, &mut place, cx, operation);
        kept.set(place);
        let moved = ready!(moved)?;
        self.note(side, moved, room);
        Poll::Ready(Ok(moved))
    }

    fn note(&self, side: Side, moved: usize, room: usize) {
        if 0 < moved && moved < room {
            self.source.came_short(side);
        }
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the address stands for no socket address at all")
}

fn ended_early(filled: usize, wanted: usize) -> io::Error {
    let message = format!("the stream ended after {filled} of {wanted} bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

/// A vector with room behind what it is filled with. However the reading ends, the room goes.
struct Growing<'a> {
    buf: &'a mut Vec<u8>,
    filled: usize,
}

impl Growing<'_> {
    /// At least two pages, and as much again as there is: so a byte is copied once or twice in all.
    fn room(&mut self) -> &mut [u8] {
        const LEAST: usize = 8192;
        if self.buf.len() == self.filled {
            self.buf.resize(self.filled + self.filled.max(LEAST), 0);
        }
        &mut self.buf[self.filled..]
    }
}

impl Drop for Growing<'_> {
    fn drop(&mut self) {
        self.buf.truncate(self.filled);
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buf.len();
        self.poll_transfer(Side::Read, room, cx, |mut stream| stream.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_transfer(Side::Read, room, cx, |mut stream| stream.read_vectored(bufs))
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_transfer(Side::Write, buf.len(), cx, |mut stream| stream.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_transfer(Side::Write, room, cx, |mut stream| stream.write_vectored(bufs))
    }

    /// Nothing is kept back here, so there is nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down the writing side. A connection that is over already counts as closed.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed),
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}
