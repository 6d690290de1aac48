//! Buffered reading: lines, exact counts and separators out of a stream of chunks.
//!
//! ```text
//!   buffer   [ given out | still to be read |  room  ]
//!                        start              end
//!   read_until(b"\r\n"):  found? give it out : read another chunk into the room, look again
//! ```
//!
//! Promises: a byte leaves the buffer only when it is given out, so a future that is dropped half-way
//! loses nothing; a separator is found across chunks, and no byte is looked at over and over; an
//! endless line does not fill the memory.
//! Does not know: sockets; it reads anything that has `futures_io`'s `AsyncRead`.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead};

/// How long a line may be, if nothing else is said: asyncio's figure.
const LIMIT: usize = 65_536;

/// The buffer of a fresh reader, and the least it asks its stream for.
const CHUNK: usize = 8192;

/// Reads lines, records and exact counts from `R`, by way of a buffer.
///
/// It holds the reader, which may be a borrowed one: give it `&stream` and write to `stream` meanwhile.
///
/// ```
/// use roundel::net::BufReader;
///
/// # fn main() -> Result<(), roundel::net::ReadError> {
/// # roundel::block_on(async {
/// let mut reader = BufReader::new(&b"GET /\r\n5:hello"[..]);
/// assert_eq!(reader.next_line().await?.as_deref(), Some("GET /"));
/// assert_eq!(reader.read_until(b":").await?, b"5:");
/// assert_eq!(reader.read_exact(5).await?, b"hello");
/// assert_eq!(reader.next_line().await?, None);
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "StreamReader")]
pub struct BufReader<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl<R> BufReader<R> {
    /// A reader whose lines may have 65,536 bytes.
    pub fn new(reader: R) -> BufReader<R> {
        BufReader::with_limit(LIMIT, reader)
    }

    /// A reader whose lines may have `limit` bytes, not counting the separator.
    pub fn with_limit(limit: usize, reader: R) -> BufReader<R> {
        BufReader { reader, buffer: Vec::new(), start: 0, end: 0, limit }
    }

    /// What has come and was not given out yet.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Skips `count` bytes of the [`buffer`](BufReader::buffer), or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
    }

    /// The reader underneath. What the buffer has is no longer there.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader underneath, to be changed.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The reader underneath, for good. What is in the buffer is lost.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer()[..count].to_vec();
        self.consume(count);
        taken
    }
}

impl<R: AsyncRead + Unpin> BufReader<R> {
    /// Reads what there is, as much as fits, and waits if there is nothing. 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, buf)).await
    }

    /// Reads exactly `count` bytes. They stay in the buffer until all are there, so dropping the future
    /// half-way loses none.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] if the stream ends first, and those of the reader.
    #[doc(alias = "readexactly")]
    pub async fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        while self.buffer().len() < count {
            if self.fill().await? == 0 {
                return Err(ReadError::Incomplete { partial: self.take(self.buffer().len()), expected: Some(count) });
            }
        }
        Ok(self.take(count))
    }

    /// Reads up to the next `separator`, which is the end of what is given. Dropping the future half-way
    /// loses nothing.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] if the stream ends first, [`ReadError::Overrun`] if more than the limit
    /// comes before a separator, and those of the reader.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    #[track_caller]
    #[doc(alias = "readuntil")]
    pub fn read_until(&mut self, separator: &[u8]) -> impl Future<Output = Result<Vec<u8>, ReadError>> {
        assert!(!separator.is_empty(), "read_until() needs a separator of at least one byte");
        self.until(separator)
    }

    /// Reads a line with its `\n`. The last one may be without; after it they are empty.
    ///
    /// # Errors
    ///
    /// [`ReadError::Overrun`] if the line is longer than the limit, and those of the reader.
    #[doc(alias = "readline")]
    pub async fn read_line(&mut self) -> Result<Vec<u8>, ReadError> {
        match self.until(b"\n").await {
            Err(ReadError::Incomplete { partial, .. }) => Ok(partial),
            line => line,
        }
    }

    /// Reads a line of text without its `\n` or `\r\n`; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`read_line`](BufReader::read_line); and `InvalidData` if it is not UTF-8, in which case the
    /// line is gone.
    #[doc(alias = "lines")]
    pub async fn next_line(&mut self) -> Result<Option<String>, ReadError> {
        let mut line = self.read_line().await?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.ends_with(b"\n") {
            line.pop();
            if line.ends_with(b"\r") {
                line.pop();
            }
        }
        match String::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(error) => Err(ReadError::Io(io::Error::new(io::ErrorKind::InvalidData, error))),
        }
    }

    /// Reads to the end of the stream. Dropping the future half-way loses nothing.
    ///
    /// # Errors
    ///
    /// Those of the reader; what came before is in the buffer.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? > 0 {}
        Ok(self.take(self.buffer().len()))
    }

    async fn until(&mut self, separator: &[u8]) -> Result<Vec<u8>, ReadError> {
        let mut searched = 0;
        loop {
            if let Some(at) = position(&self.buffer()[searched..], separator) {
                let before = searched + at;
                if before > self.limit {
                    return Err(ReadError::Overrun { consumed: before });
                }
                return Ok(self.take(before + separator.len()));
            }
            // All but the last few bytes, which may be the beginning of a separator.
            searched = (self.buffer().len() + 1).saturating_sub(separator.len());
            if searched > self.limit {
                return Err(ReadError::Overrun { consumed: searched });
            }
            if self.fill().await? == 0 {
                return Err(ReadError::Incomplete { partial: self.take(self.buffer().len()), expected: None });
            }
        }
    }

    /// Reads one chunk into the room; 0 at the end of the stream.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let room = &mut self.buffer[self.end..];
        let asked = room.len();
        let read = ready!(Pin::new(&mut self.reader).poll_read(cx, room))?;
        assert!(read <= asked, "a reader said that it read {read} bytes into room for {asked}");
        self.end += read;
        Poll::Ready(Ok(read))
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > self.buffer.len() / 2 {
            // Moving the smaller part to the front frees the larger: on the whole a byte moves once.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            self.buffer.resize((2 * self.buffer.len()).max(CHUNK), 0);
        }
    }
}

fn position(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        [byte] => bytes.iter().position(|candidate| candidate == byte),
        _ => bytes.windows(separator.len()).position(|window| window == separator),
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BufReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.buffer().is_empty() {
            // A large read has nothing to gain from a copy.
            if buf.len() >= CHUNK {
                return Pin::new(&mut self.reader).poll_read(cx, buf);
            }
            ready!(self.poll_fill(cx))?;
        }
        let count = buf.len().min(self.buffer().len());
        buf[..count].copy_from_slice(&self.buffer()[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let reader = self.get_mut();
        if reader.buffer().is_empty() {
            ready!(reader.poll_fill(cx))?;
        }
        Poll::Ready(Ok(reader.buffer()))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        BufReader::consume(&mut self, count);
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("reader", &self.reader)
            .field("buffered", &self.buffer().len())
            .field("limit", &self.limit)
            .finish()
    }
}

/// Why a [`BufReader`] did not give what it was asked for.
///
/// It turns into an [`io::Error`], so `?` works in functions that return one: `Incomplete` becomes
/// `UnexpectedEof`, and `Overrun` becomes `InvalidData`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream ended first.
    #[doc(alias = "IncompleteReadError")]
    Incomplete {
        /// What came before the end. It is no longer in the buffer.
        partial: Vec<u8>,
        /// How many bytes were wanted; `None` where it was up to a separator.
        expected: Option<usize>,
    },
    /// More than the limit came before a separator. Everything is still in the buffer.
    #[doc(alias = "LimitOverrunError")]
    Overrun {
        /// How many bytes are certain to belong to what is too long: [`consume`](BufReader::consume)
        /// them to go on behind. If the separator has come, it follows them.
        consumed: usize,
    },
    /// The reader failed.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Incomplete { partial, expected: Some(expected) } => {
                write!(f, "the stream ended after {} of {expected} bytes", partial.len())
            }
            ReadError::Incomplete { partial, expected: None } => {
                write!(f, "the stream ended after {} bytes, before a separator", partial.len())
            }
            ReadError::Overrun { consumed } => {
                write!(f, "{consumed} bytes came before a separator, which is more than the limit")
            }
            ReadError::Io(error) => error.fmt(f),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReadError::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        let kind = match error {
            ReadError::Io(error) => return error,
            ReadError::Incomplete { .. } => io::ErrorKind::UnexpectedEof,
            ReadError::Overrun { .. } => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
