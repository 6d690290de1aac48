//! The two directions of a stream as two values.
//!
//! ```text
//!   split(&stream)      -> ReadHalf<'_>, WriteHalf<'_>          for two futures of one task
//!   into_split(stream)  -> OwnedReadHalf, OwnedWriteHalf        for two tasks; reunite() undoes it
//! ```
//!
//! Promises: dropping the owned write half shuts down writing, so that the peer sees the end; reuniting
//! does not; only the two halves of one stream reunite, and if they are not that, both come back; the
//! socket is closed when both owned halves are gone.
//! Does not know: how bytes are moved; the halves pass everything on to the stream.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::net::tcp_stream::TcpStream;

impl TcpStream {
    /// The two directions apart, for as long as the stream is borrowed. Costs nothing.
    ///
    /// Dropping these halves does nothing to the connection. Where `futures::AsyncReadExt` is in scope,
    /// say `TcpStream::split(&stream)`: that trait has a `split` of its own, which takes the stream.
    pub fn split(&self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf { stream: self }, WriteHalf { stream: self })
    }

    /// The two directions apart, each to go its own way, for example into a task.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Rc::new(self);
        (OwnedReadHalf { stream: stream.clone() }, OwnedWriteHalf { stream, ends: true })
    }
}

/// The reading direction of a borrowed stream. Made by [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a> {
    stream: &'a TcpStream,
}

/// The writing direction of a borrowed stream. Made by [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a> {
    stream: &'a TcpStream,
}

/// The reading direction of a stream. Made by [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Rc<TcpStream>,
}

/// The writing direction of a stream. Made by [`TcpStream::into_split`]. Dropping it shuts down
/// writing: the peer reads to the end of what was written.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Rc<TcpStream>,
    /// Whether its end is the end of the writing.
    ends: bool,
}

impl OwnedReadHalf {
    /// Puts the two halves together again. See [`OwnedWriteHalf::reunite`].
    ///
    /// # Errors
    ///
    /// If they were never one stream: both come back in the error.
    pub fn reunite(self, write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        write.reunite(self)
    }
}

impl OwnedWriteHalf {
    /// Puts the two halves together again. Nothing is shut down by that.
    ///
    /// # Errors
    ///
    /// If they were never one stream: both come back in the error.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: nobody else can hold the stream")]
    pub fn reunite(mut self, read: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        if !Rc::ptr_eq(&self.stream, &read.stream) {
            return Err(ReuniteError { read, write: self });
        }
        self.ends = false;
        drop(self);
        Ok(Rc::into_inner(read.stream).expect("a stream has two halves, and the other is gone"))
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.ends {
            // A connection that is over already needs no ending.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// The two halves are not of one stream. They come back in it, as they were.
#[derive(Debug)]
pub struct ReuniteError {
    /// The reading half.
    pub read: OwnedReadHalf,
    /// The writing half.
    pub write: OwnedWriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these two halves were never one stream")
    }
}

impl Error for ReuniteError {}

// The same methods for both kinds, which differ in how they hold the stream.
macro_rules! reading {
    ($half:ty) => {
        impl $half {
            /// Reads what has come; see [`TcpStream::read`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.read(buf).await
            }

            /// Reads and leaves it there; see [`TcpStream::peek`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.peek(buf).await
            }

            /// Fills all of `buf`; see [`TcpStream::read_exact`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
                self.stream.read_exact(buf).await
            }

            /// Reads to the end; see [`TcpStream::read_to_end`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn read_to_end(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
                self.stream.read_to_end(buf).await
            }
        }

        impl AsyncRead for $half {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self.stream).poll_read(cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self.stream).poll_read_vectored(cx, bufs)
            }
        }

        addresses!($half);
    };
}

macro_rules! writing {
    ($half:ty) => {
        impl $half {
            /// Writes what the system takes; see [`TcpStream::write`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
                self.stream.write(buf).await
            }

            /// Writes from several slices; see [`TcpStream::write_vectored`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.stream.write_vectored(bufs).await
            }

            /// Writes all of `buf`; see [`TcpStream::write_all`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn write_all(&self, buf: &[u8]) -> io::Result<()> {
                self.stream.write_all(buf).await
            }

            /// Ends the writing: the peer reads to the end of what was written.
            ///
            /// # Errors
            ///
            /// `NotConnected` if the connection is over already.
            #[doc(alias = "write_eof")]
            pub fn shutdown(&self) -> io::Result<()> {
                self.stream.shutdown(Shutdown::Write)
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self.stream).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self.stream).poll_write_vectored(cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut &*self.stream).poll_flush(cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut &*self.stream).poll_close(cx)
            }
        }

        addresses!($half);
    };
}

macro_rules! addresses {
    ($half:ty) => {
        impl $half {
            /// This end's address.
            ///
            /// # Errors
            ///
            /// If the system cannot say.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.stream.local_addr()
            }

            /// The other end's address.
            ///
            /// # Errors
            ///
            /// `NotConnected` if the connection is over already.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.stream.peer_addr()
            }
        }
    };
}

reading!(ReadHalf<'_>);
reading!(OwnedReadHalf);
writing!(WriteHalf<'_>);
writing!(OwnedWriteHalf);
