//! A visit: somebody at the door says one line, is given one text, and leaves, all within a time.
//!
//! ```text
//!   arrives ----- the line must be there ----- and the text be read
//!   0             hurry                        2 x hurry
//! ```
//!
//! Promises: it ends in time, though each byte comes or goes just before one would give up; what is sent too much is
//! read and thrown away, up to a limit, since whoever still writes to a closed socket loses the answer.
//! Does not know: what the line means.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest line: a name of a task fits, and nobody fills our memory.
const LONGEST: usize = 1024;

/// What is read, and thrown away, of a line that is too long.
const SPARE: u64 = 1 << 20;

/// What is written at once. The system takes so much in one piece: a write waits once, if it waits.
const PIECE: usize = 4096;

pub(crate) struct Visit {
    client: UnixStream,
    arrived: Instant,
    hurry: Duration,
}

impl Visit {
    /// The time runs from now.
    pub(crate) fn new(client: UnixStream, hurry: Duration) -> Visit {
        Visit { client, arrived: Instant::now(), hurry }
    }

    /// The line; nothing if the client goes away without one, and in words what is wrong with it.
    pub(crate) fn request(&self) -> Option<Result<String, String>> {
        let in_time = InTime { client: &self.client, until: self.arrived + self.hurry };
        let mut reader = BufReader::new(in_time).take(LONGEST as u64 + 1);
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.len() <= LONGEST => Some(Ok(String::from_utf8_lossy(&line).into_owned())),
            Ok(_) => {
                reader.set_limit(SPARE);
                let _ = reader.skip_until(b'\n');
                Some(Err(format!("a request is one line of at most {LONGEST} bytes")))
            }
            Err(_) => Some(Err(format!("no request came within {:?}", self.hurry))),
        }
    }

    /// Gives the text, as far as it is taken in time, and ends the visit.
    pub(crate) fn answer(self, text: &str) {
        let mut in_time = InTime { client: &self.client, until: self.arrived + 2 * self.hurry };
        // A client that has gone away does not want to hear.
        let _ = in_time.write_all(text.as_bytes());
    }
}

/// A stream of which every call ends by then.
struct InTime<'a> {
    client: &'a UnixStream,
    until: Instant,
}

impl InTime<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for InTime<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.client.set_read_timeout(self.left()?)?;
        self.client.read(buf)
    }
}

impl Write for InTime<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.client.set_write_timeout(self.left()?)?;
        self.client.write(&buf[..buf.len().min(PIECE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    fn visit() -> (Visit, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("there are descriptors");
        (Visit::new(ours, SHORT), theirs)
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_has_to_be_there_in_time() {
        let (visit, mut client) = visit();
        let trickles = thread::spawn(move || {
            while client.write_all(b"p").is_ok() {
                thread::sleep(SHORT / 10);
            }
        });
        assert_eq!(visit.request(), Some(Err("no request came within 100ms".to_owned())));
        drop(visit);
        trickles.join().expect("it does not panic");
    }

    #[test]
    fn a_text_that_is_read_byte_by_byte_ends_in_time() {
        let (visit, mut client) = visit();
        let text = "x".repeat(8 << 20);
        let length = text.len();
        let answers = thread::spawn(move || visit.answer(&text));
        let mut read = 0;
        while !answers.is_finished() {
            read += client.read(&mut [0]).expect("it is not reset");
            thread::sleep(SHORT / 100);
        }
        read += io::copy(&mut client, &mut io::sink()).map_or(0, |rest| rest as usize);
        assert!((1..length).contains(&read), "{read} of {length} bytes");
    }
}
