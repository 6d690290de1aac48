//! Stories of the buffered reader: lines, separators and exact counts, out of chunks of any cut.
//!
//! Behaviours of asyncio's streams (section 11 of the list) and the stories that hold them:
//!
//! | row | test |
//! |---|---|
//! | 11 read(0) returns at once | `reading_nothing_takes_no_time`, and in net.rs |
//! | 11 read(n) after the end gives what is left, then nothing | `after_the_end_the_rest_is_given_and_then_nothing` |
//! | 11 read_until: separator split over chunks | `a_separator_may_be_cut_by_chunks` |
//! | 11 read_until: overrun says how much to skip | `an_endless_line_is_refused_and_can_be_skipped`, `a_separator_found_too_late_is_an_overrun_too` |
//! | 11 read_until: the end gives the partial data | `the_end_before_a_separator_gives_what_came` |
//! | 11 read_exact short: error with the partial data | `too_few_bytes_come_back_in_the_error` |
//! | 11 a line without newline at the end | `the_last_line_needs_no_newline` |
//! | 11 an error while a reader waits wakes it | net.rs: `a_reset_wakes_the_reader_with_an_error` |
//! | 11 several drains at once all wake | net.rs: `every_writer_that_waits_for_room_is_woken` |
//! | 11 write after close is an error | net.rs: `writing_after_the_end_is_an_error_and_no_signal` |
//! | 11 wait_closed with unread data does not hang | net.rs: `closing_with_unread_bytes_waits_for_nobody` |
//! | 11 half-close keeps reading | net.rs: `a_half_closed_stream_goes_on_reading` |
//! | 11 server start and stop with open connections | net.rs: `connections_outlive_their_listener` |
//! | 11 a stream dropped unclosed closes its descriptor | net_faults.rs: `every_descriptor_is_closed_once` |
//! | 10 accept retry after EMFILE, other errors raised | net_faults.rs: `a_server_without_descriptors_rests_and_recovers` |

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures::executor::block_on;
use futures::{AsyncBufReadExt, AsyncRead, AsyncReadExt, StreamExt};
use roundel::net::{BufReader, ReadError};

/// Gives its chunks one by one, and waits once before each.
struct Chunks {
    chunks: VecDeque<io::Result<&'static [u8]>>,
    waited: bool,
}

impl Chunks {
    fn of<const N: usize>(chunks: [&'static str; N]) -> Chunks {
        Chunks { chunks: chunks.into_iter().map(|chunk| Ok(chunk.as_bytes())).collect(), waited: false }
    }
}

impl AsyncRead for Chunks {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(chunk) = self.chunks.pop_front() else { return Poll::Ready(Ok(0)) };
        let chunk = chunk?;
        let count = chunk.len().min(buf.len());
        buf[..count].copy_from_slice(&chunk[..count]);
        if count < chunk.len() {
            self.chunks.push_front(Ok(&chunk[count..]));
        }
        Poll::Ready(Ok(count))
    }
}

/// Reads one poll's worth, and once more where the first poll only waited, then drops the future.
fn poll_twice<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut cx) {
        Poll::Pending => future.poll(&mut cx),
        ready => ready,
    }
}

#[test]
fn lines_come_out_however_the_chunks_were_cut() {
    let mut reader = BufReader::new(Chunks::of(["on", "e\ntw", "o\r\n", "\nfour", "\n"]));
    block_on(async {
        for line in ["one", "two", "", "four"] {
            assert_eq!(reader.next_line().await.unwrap().as_deref(), Some(line));
        }
        assert_eq!(reader.next_line().await.unwrap(), None);
        assert_eq!(reader.next_line().await.unwrap(), None);
    });
}

#[test]
fn a_separator_may_be_cut_by_chunks() {
    let mut reader = BufReader::new(Chunks::of(["head", "er\r", "\n", "\r", "\nbody", "\r\n\r"]));
    block_on(async {
        assert_eq!(reader.read_until(b"\r\n\r\n").await.unwrap(), b"header\r\n\r\n");
        assert_eq!(reader.read_until(b"y").await.unwrap(), b"body");
        let error = reader.read_until(b"\r\n\r\n").await.unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { partial, expected: None } if partial == b"\r\n\r"));
    });
}

#[test]
fn a_separator_that_begins_anew_inside_itself_is_found() {
    let mut reader = BufReader::new(Chunks::of(["aa", "ab", "c"]));
    assert_eq!(block_on(reader.read_until(b"aab")).unwrap(), b"aaab");
}

#[test]
fn the_end_before_a_separator_gives_what_came() {
    let mut reader = BufReader::new(Chunks::of(["no ", "end"]));
    block_on(async {
        let error = reader.read_until(b";").await.unwrap_err();
        assert_eq!(error.to_string(), "the stream ended after 6 bytes, before a separator");
        assert!(matches!(error, ReadError::Incomplete { partial, expected: None } if partial == b"no end"));
        // It is given once.
        let error = reader.read_until(b";").await.unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { partial, .. } if partial.is_empty()));
    });
}

#[test]
fn the_last_line_needs_no_newline() {
    let mut reader = BufReader::new(Chunks::of(["first\nlast"]));
    block_on(async {
        assert_eq!(reader.read_line().await.unwrap(), b"first\n");
        assert_eq!(reader.read_line().await.unwrap(), b"last");
        assert_eq!(reader.read_line().await.unwrap(), b"");
    });
}

#[test]
fn too_few_bytes_come_back_in_the_error() {
    let mut reader = BufReader::new(Chunks::of(["abc", "de"]));
    block_on(async {
        assert_eq!(reader.read_exact(0).await.unwrap(), b"");
        assert_eq!(reader.read_exact(4).await.unwrap(), b"abcd");
        let error = reader.read_exact(9).await.unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { partial, expected: Some(9) } if partial == b"e"));
    });
}

#[test]
fn an_endless_line_is_refused_and_can_be_skipped() {
    let mut reader = BufReader::with_limit(4, Chunks::of(["12", "34", "56", "\n", "ok\n"]));
    block_on(async {
        let mut skipped = 0;
        let rest = loop {
            match reader.read_line().await {
                Err(ReadError::Overrun { consumed }) => {
                    assert_eq!(reader.buffer().len(), consumed, "nothing is lost yet");
                    reader.consume(consumed);
                    skipped += consumed;
                }
                line => break line.unwrap(),
            }
        };
        assert_eq!(skipped + rest.len(), "123456\n".len());
        assert_eq!(reader.read_line().await.unwrap(), b"ok\n");
    });
}

#[test]
fn a_separator_found_too_late_is_an_overrun_too() {
    let mut reader = BufReader::with_limit(4, Chunks::of(["12345\r\nok\r\n"]));
    block_on(async {
        let error = reader.read_until(b"\r\n").await.unwrap_err();
        assert!(matches!(error, ReadError::Overrun { consumed: 5 }));
        reader.consume(5);
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), b"\r\n");
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), b"ok\r\n");
    });
}

#[test]
fn a_line_of_just_the_limit_passes() {
    let mut reader = BufReader::with_limit(4, Chunks::of(["1234", "\n12345"]));
    block_on(async {
        assert_eq!(reader.read_line().await.unwrap(), b"1234\n");
        assert!(matches!(reader.read_line().await, Err(ReadError::Overrun { consumed: 5 })));
    });
}

#[test]
fn an_endless_line_does_not_fill_the_memory() {
    let mut reader = BufReader::with_limit(100, futures::io::repeat(b'x'));
    assert!(matches!(block_on(reader.read_line()), Err(ReadError::Overrun { .. })));
    assert!(reader.buffer().len() <= 8192);
}

#[test]
fn after_the_end_the_rest_is_given_and_then_nothing() {
    let mut reader = BufReader::new(Chunks::of(["a\nrest"]));
    block_on(async {
        assert_eq!(reader.read_line().await.unwrap(), b"a\n");
        let mut buf = [0; 64];
        assert_eq!(reader.read(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf[..4], b"rest");
        assert_eq!(reader.read(&mut buf).await.unwrap(), 0);
        assert_eq!(reader.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn reading_nothing_takes_no_time() {
    // R36
    let mut reader = BufReader::new(Chunks::of(["abc"]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(pin!(reader.read(&mut [])).poll(&mut cx), Poll::Ready(Ok(0))));
    assert!(matches!(pin!(reader.read_exact(0)).poll(&mut cx), Poll::Ready(Ok(nothing)) if nothing.is_empty()));
    assert_eq!(block_on(reader.read_exact(3)).unwrap(), b"abc");
}

#[test]
fn a_read_that_is_dropped_half_way_loses_nothing() {
    let mut reader = BufReader::new(Chunks::of(["ab", "cd", "e\n"]));
    // Each takes a chunk and is dropped while it waits for the next.
    assert!(poll_twice(reader.read_until(b"\n")).is_pending());
    assert!(poll_twice(reader.read_exact(100)).is_pending());
    assert!(!reader.buffer().is_empty());
    assert_eq!(block_on(reader.read_line()).unwrap(), b"abcde\n");
}

#[test]
fn an_error_of_the_stream_leaves_what_came_before_it() {
    let mut chunks = Chunks::of(["half a li", "ne\n"]);
    chunks.chunks.insert(1, Err(io::ErrorKind::ConnectionReset.into()));
    let mut reader = BufReader::new(chunks);
    block_on(async {
        let error = io::Error::from(reader.read_line().await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(reader.buffer(), b"half a li");
        assert_eq!(reader.read_line().await.unwrap(), b"half a line\n");
    });
}

#[test]
fn text_that_is_not_utf_8_is_an_error_of_its_line_only() {
    let mut reader = BufReader::new(&b"\xff\xfe\nplain\n"[..]);
    block_on(async {
        let error = io::Error::from(reader.next_line().await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(reader.next_line().await.unwrap().as_deref(), Some("plain"));
    });
}

#[test]
fn everything_to_the_end_comes_at_once() {
    let mut reader = BufReader::new(Chunks::of(["skip\n", "all ", "of ", "this"]));
    block_on(async {
        reader.read_line().await.unwrap();
        assert_eq!(reader.read_to_end().await.unwrap(), b"all of this");
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
    });
}

#[test]
fn long_lines_and_long_reads_pass_through_a_small_buffer() {
    let letter = |n: u32| if n % 50_000 == 49_999 { b'\n' } else { b'a' + (n % 26) as u8 };
    let text: Vec<u8> = (0..300_000).map(letter).collect();
    let mut reader = BufReader::new(&text[..]);
    block_on(async {
        let mut together = Vec::new();
        for _ in 0..3 {
            let line = reader.read_line().await.unwrap();
            assert_eq!(line.len(), 50_000);
            together.extend(line);
        }
        together.extend(reader.read_exact(70_000).await.unwrap());
        let mut buf = vec![0; 20_000];
        let read = reader.read(&mut buf).await.unwrap();
        together.extend(&buf[..read]);
        together.extend(reader.read_to_end().await.unwrap());
        assert!(together == text);
    });
}

#[test]
fn the_combinators_of_futures_work_on_it() {
    block_on(async {
        let reader = BufReader::new(Chunks::of(["a\nb", "b\n", "c"]));
        let lines: Vec<String> = reader.lines().map(|line| line.unwrap()).collect().await;
        assert_eq!(lines, ["a", "bb", "c"]);
        let mut rest = String::new();
        let mut reader = BufReader::new(Chunks::of(["x\nyz", "!"]));
        BufReader::read_line(&mut reader).await.unwrap();
        reader.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "yz!");
    });
}

#[test]
#[should_panic(expected = "read_until() needs a separator of at least one byte")]
fn an_empty_separator_is_refused() {
    drop(BufReader::new(&b"abc"[..]).read_until(b""));
}
