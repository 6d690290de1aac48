//! Stories of TCP sockets on the loop, over the loopback interface.
//!
//! The rows of the bug catalogue's section on reactors and sockets:
//!
//! | row | test, or why there is none |
//! |---|---|
//! | R1 R2 R3 | reactor.rs: `an_event_of_an_earlier_life_of_the_slot_is_ignored`; `a_socket_opened_while_another_closes_hears_nothing_stale` |
//! | R4 | reactor.rs: `a_socket_that_lives_on_as_a_copy_is_no_longer_listened_to` |
//! | R5 | `a_half_closed_stream_goes_on_reading`, `a_writer_to_a_half_closed_stream_rests_until_there_is_room` |
//! | R6 R7 | `a_reset_wakes_the_reader_with_an_error`, `a_reset_wakes_the_writer_with_an_error`, `an_end_wakes_whoever_waits_whichever_side_it_comes_from`, `a_reset_wakes_both_directions` |
//! | R8 | reactor.rs: `a_short_read_saves_the_next_call_unless_the_end_was_seen`; `the_end_right_behind_the_last_bytes_is_seen` |
//! | R9 | `a_peek_leaves_the_bytes_and_waits_like_a_read` |
//! | R10 R11 | connect.rs: `a_connection_that_the_system_has_not_decided_is_waited_for`; `a_connect_that_is_polled_for_nothing_still_connects`, `a_refused_connection_is_an_error` |
//! | R15 | `connections_that_came_together_are_all_accepted` |
//! | R20 | `sockets_outlive_their_loop`, `whoever_waits_when_the_loop_ends_is_told`, `sockets_in_tasks_end_with_the_loop`; reactor.rs |
//! | R22 | `every_reader_of_a_stream_is_woken`, `every_task_that_accepts_is_served`, `of_two_pollers_of_one_direction_the_last_is_woken` |
//! | R23 | `whoever_waits_by_poll_is_woken_when_the_stream_is_dropped` |
//! | R32 | `writing_after_the_end_is_an_error_and_no_signal` |
//! | R34 | `dropping_the_write_half_ends_the_stream_and_reuniting_does_not` |
//! | R35 | `halves_of_different_streams_do_not_reunite` |
//! | R36 | `reading_nothing_takes_no_time` |
//! | R37, K29 | `a_socket_that_is_always_ready_does_not_hold_the_loop`, `sockets_that_are_always_ready_share_the_loop` |
//! | R39 | `a_reset_wakes_the_writer_with_an_error` |
//! | R40 | `an_urgent_byte_is_no_news_to_a_reader` |
//! | R41 | `more_ready_sockets_than_one_look_takes_are_all_served` |
//! | K6, K43 | `a_tasks_last_words_still_go_out_when_the_loop_ends` |
//!
//! What is tested in net_faults.rs and net_syscalls.rs, and what cannot be, stands in CATALOGUE.md.
//!
//! Nothing here measures time; the time limit of `story` only turns a hang into a failure.

#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::{join, join_all};
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use roundel::net::{BufReader, TcpListener, TcpStream};
use roundel::{Clock, EventLoop, spawn, timeout, yield_now};

fn story<T>(story: impl Future<Output = T>) -> T {
    roundel::block_on(bounded(story))
}

async fn bounded<T>(story: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), story).await.expect("the story hangs")
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let (listener, addr) = listener();
    let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
    (near.unwrap(), far.unwrap().0)
}

/// Answers every connection with what it says, until it says no more.
/// Writes until there is no room, and still none when the loop has looked at the system. Gives how much.
async fn fill(stream: &TcpStream) -> usize {
    let flood = vec![1; 100_000];
    let (mut sent, mut waits) = (0, 0);
    while waits < 200 {
        match futures::poll!(pin!(stream.write(&flood))) {
            Poll::Ready(written) => (sent, waits) = (sent + written.unwrap(), 0),
            Poll::Pending => {
                waits += 1;
                yield_now().await;
            }
        }
    }
    sent
}

async fn echo(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        drop(spawn(async move {
            let mut buf = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut buf).await {
                stream.write_all(&buf[..count]).await.unwrap();
            }
        }));
    }
}

/// Whether this process may have so many descriptors; asks for all it can get.
fn room_for(descriptors: u64) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let room = limit.maximum.is_none_or(|most| most >= descriptors);
    if !room {
        println!("skipped: this process may not have {descriptors} descriptors");
    }
    room
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<CountWakes>, Waker) {
    let count = Arc::new(CountWakes::default());
    (count.clone(), Waker::from(count))
}

// Connecting and accepting

#[test]
fn what_is_said_comes_back() {
    story(async {
        let (listener, addr) = listener();
        drop(spawn(echo(listener)));
        let stream = TcpStream::connect(addr).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        for said in ["hello", "again", "and again"] {
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut heard = vec![0; said.len()];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, said.as_bytes());
        }
    });
}

#[test]
fn a_thousand_connections_are_served_side_by_side() {
    if !room_for(2500) {
        return;
    }
    story(async {
        let (listener, addr) = listener();
        drop(spawn(echo(listener)));
        let clients = (0..1000u32).map(|number| {
            spawn(async move {
                let stream = TcpStream::connect(addr).await.unwrap();
                for round in 0..3 {
                    let said = (number * 3 + round).to_le_bytes();
                    stream.write_all(&said).await.unwrap();
                    let mut heard = [0; 4];
                    stream.read_exact(&mut heard).await.unwrap();
                    assert_eq!(heard, said);
                }
                // Open to the end, so that there really are a thousand.
                stream
            })
        });
        let streams = join_all(clients).await;
        assert_eq!(streams.into_iter().filter(|stream| stream.is_ok()).count(), 1000);
    });
}

#[test]
fn connections_that_came_together_are_all_accepted() {
    // R15
    story(async {
        let (listener, addr) = listener();
        let clients: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        for _ in &clients {
            listener.accept().await.unwrap();
        }
    });
}

#[test]
fn every_task_that_accepts_is_served() {
    // R22
    story(async {
        let (listener, addr) = listener();
        let accepting = join_all((0..5).map(|_| listener.accept()));
        let connecting = async {
            // They all stand in line before anybody comes.
            yield_now().await;
            join_all((0..5).map(|_| TcpStream::connect(addr))).await
        };
        let (accepted, connected) = join(accepting, connecting).await;
        assert!(accepted.iter().all(Result::is_ok) && connected.iter().all(Result::is_ok));
    });
}

#[test]
fn an_accept_that_is_dropped_loses_no_connection() {
    story(async {
        let (listener, addr) = listener();
        for _ in 0..10 {
            let mut accepting = pin!(listener.accept());
            assert!(futures::poll!(&mut accepting).is_pending());
        }
        let (accepted, connected) = join(listener.accept(), TcpStream::connect(addr)).await;
        assert_eq!(accepted.unwrap().1, connected.unwrap().local_addr().unwrap());
    });
}

#[test]
fn connections_outlive_their_listener() {
    story(async {
        let (listener, addr) = listener();
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        let (near, far) = (near.unwrap(), far.unwrap().0);
        drop(listener);
        near.write_all(b"still here").await.unwrap();
        let mut heard = [0; 10];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"still here");
        // And the address can be used again at once, though connections from it are open.
        TcpListener::bind(addr).unwrap();
    });
}

#[test]
fn a_taken_address_is_an_error_and_the_next_one_is_tried() {
    story(async {
        let (_listener, taken) = listener();
        assert_eq!(TcpListener::bind(taken).unwrap_err().kind(), ErrorKind::AddrInUse);
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        TcpListener::bind(&[taken, free][..]).unwrap();
        let nothing: &[SocketAddr] = &[];
        assert_eq!(TcpListener::bind(nothing).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

/// An address where nobody listens: its owner is bound and does not listen.
fn refusing() -> (std::net::TcpStream, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The client's own port is taken as long as it lives, and does not accept.
    let addr = client.local_addr().unwrap();
    (client, addr)
}

#[test]
fn a_refused_connection_is_an_error() {
    // R10
    story(async {
        let (_keeps_the_port, refusing) = refusing();
        assert_eq!(TcpStream::connect(refusing).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn each_address_is_tried_in_turn() {
    story(async {
        let (_keeps_the_port, refusing) = refusing();
        let (_listener, addr) = listener();
        let stream = TcpStream::connect(&[refusing, addr][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        let error = TcpStream::connect(&[refusing, refusing][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let nothing: &[SocketAddr] = &[];
        assert_eq!(TcpStream::connect(nothing).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(TcpStream::connect("no port").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_connect_that_is_polled_for_nothing_still_connects() {
    // R10, R11
    story(async {
        let (_listener, addr) = listener();
        let mut connecting = TcpStream::connect(addr);
        let mut cx = Context::from_waker(Waker::noop());
        let stream = loop {
            if let Poll::Ready(stream) = Pin::new(&mut connecting).poll(&mut cx) {
                break stream.unwrap();
            }
            yield_now().await;
        };
        assert_eq!(stream.peer_addr().unwrap(), addr);
        assert!(stream.nodelay().is_ok());
    });
}

// Reading and writing

#[test]
fn a_half_closed_stream_goes_on_reading() {
    // R5
    story(async {
        let (near, far) = pair().await;
        near.write_all(b"question").await.unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        assert_eq!(far.read_to_end(&mut heard).await.unwrap(), 8);
        // The end of one direction says nothing about the other, however much it has to carry.
        let answer = vec![7; 3_000_000];
        let answering = async {
            far.write_all(&answer).await.unwrap();
            drop(far);
        };
        let mut got = Vec::new();
        let (_, read) = join(answering, near.read_to_end(&mut got)).await;
        assert_eq!((read.unwrap(), got == answer), (answer.len(), true));
    });
}

#[test]
fn a_writer_to_a_half_closed_stream_rests_until_there_is_room() {
    // R5: that the other side writes no more is no news for who writes to it.
    story(async {
        let (near, far) = pair().await;
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        let sent = fill(&near).await;
        let polls = Rc::new(Cell::new(0));
        let counter = polls.clone();
        let writer = spawn(async move {
            let mut writing = pin!(near.write(b"last"));
            let written = std::future::poll_fn(|cx| {
                counter.set(counter.get() + 1);
                writing.as_mut().poll(cx)
            });
            written.await.unwrap()
        });
        for _ in 0..1000 {
            yield_now().await;
        }
        // The system may still move some bytes on; a writer that spins would have been polled every time.
        assert!(polls.get() < 10, "polled {} times", polls.get());
        let mut buf = vec![0; 65_536];
        let mut left = sent + b"last".len();
        while left > 0 {
            left -= far.read(&mut buf).await.unwrap();
        }
        assert_eq!(writer.await.unwrap(), 4);
    });
}

#[test]
fn the_end_right_behind_the_last_bytes_is_seen() {
    // R8
    story(async {
        for _ in 0..100 {
            let (near, far) = pair().await;
            near.write_all(b"last words").await.unwrap();
            drop(near);
            let mut buf = [0; 64];
            // Fewer than fit, and then the end, whether it was there already or came behind.
            assert_eq!(far.read(&mut buf).await.unwrap(), 10);
            assert_eq!(far.read(&mut buf).await.unwrap(), 0);
            assert_eq!(far.read(&mut buf).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_lot_passes_through_small_windows() {
    story(async {
        let (near, far) = pair().await;
        let sent: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
        let writing = async {
            for piece in sent.chunks(77_777) {
                near.write_all(piece).await.unwrap();
            }
            drop(near);
        };
        let reading = async {
            let mut got: Vec<u8> = Vec::new();
            let mut buf = vec![0; 4321];
            loop {
                match far.read(&mut buf).await.unwrap() {
                    0 => return got,
                    count => got.extend(&buf[..count]),
                }
            }
        };
        let (_, got) = join(writing, reading).await;
        assert!(got == sent);
    });
}

#[test]
fn too_short_a_stream_is_an_error_of_read_exact() {
    story(async {
        let (near, far) = pair().await;
        near.write_all(b"abc").await.unwrap();
        drop(near);
        let mut buf = [0; 5];
        let error = far.read_exact(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(error.to_string(), "the stream ended after 3 of 5 bytes");
        assert_eq!(&buf, b"abc\0\0");
    });
}

#[test]
fn a_reading_to_the_end_that_is_dropped_keeps_what_came() {
    story(async {
        let (near, far) = pair().await;
        near.write_all(b"so far").await.unwrap();
        let mut got = b"before: ".to_vec();
        while got.len() < 14 {
            let mut reading = pin!(far.read_to_end(&mut got));
            assert!(futures::poll!(&mut reading).is_pending());
            yield_now().await;
            // Dropped here, with whatever it has read.
        }
        assert_eq!(got, b"before: so far");
        near.write_all(b", so good").await.unwrap();
        drop(near);
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"before: so far, so good");
    });
}

#[test]
fn a_read_can_be_given_up_and_the_stream_lives_on() {
    story(async {
        let (near, far) = pair().await;
        let mut buf = [0; 16];
        assert!(timeout(Duration::from_millis(2), far.read(&mut buf)).await.is_err());
        near.write_all(b"later").await.unwrap();
        far.read_exact(&mut buf[..5]).await.unwrap();
        assert_eq!(&buf[..5], b"later");
    });
}

#[test]
fn reading_nothing_takes_no_time() {
    // R36
    story(async {
        let (near, far) = pair().await;
        assert_eq!(far.read(&mut []).await.unwrap(), 0);
        assert_eq!(far.peek(&mut []).await.unwrap(), 0);
        assert_eq!(near.write(&[]).await.unwrap(), 0);
        let mut reader = &far;
        assert_eq!(AsyncReadExt::read(&mut reader, &mut []).await.unwrap(), 0);
        // It was not the end.
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 1);
    });
}

#[test]
fn a_peek_leaves_the_bytes_and_waits_like_a_read() {
    // R9
    story(async {
        let (near, far) = pair().await;
        for _ in 0..3 {
            let mut buf = [0; 8];
            let (seen, _) = join(far.peek(&mut buf), async {
                yield_now().await;
                near.write_all(b"look").await.unwrap();
            })
            .await;
            assert_eq!(&buf[..seen.unwrap()], b"look");
            let mut buf = [0; 8];
            assert_eq!(far.peek(&mut buf).await.unwrap(), 4);
            assert_eq!(far.read(&mut buf).await.unwrap(), 4);
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_urgent_byte_is_no_news_to_a_reader() {
    // R40: it is kept apart from the stream, and nobody asked for it.
    story(async {
        let (listener, addr) = listener();
        let mut far = std::net::TcpStream::connect(addr).unwrap();
        let near = listener.accept().await.unwrap().0;
        let polls = Rc::new(Cell::new(0));
        let counter = polls.clone();
        let reader = spawn(async move {
            let mut buf = [0; 8];
            let mut reading = Box::pin(near.read(&mut buf));
            let read = std::future::poll_fn(|cx| {
                counter.set(counter.get() + 1);
                reading.as_mut().poll(cx)
            });
            let count = read.await.unwrap();
            drop(reading);
            buf[..count].to_vec()
        });
        yield_now().await;
        rustix::net::send(&far, b"!", rustix::net::SendFlags::OOB).unwrap();
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(polls.get(), 1);
        far.write_all(b"x").unwrap();
        assert_eq!(reader.await.unwrap(), b"x");
    });
}

#[test]
fn several_slices_go_out_together() {
    story(async {
        let (near, far) = pair().await;
        let slices = [IoSlice::new(b"one "), IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(near.write_vectored(&slices).await.unwrap(), 13);
        let mut heard = [0; 13];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"one two three");
    });
}

#[test]
fn options_are_kept() {
    story(async {
        let (near, _far) = pair().await;
        near.set_nodelay(true).unwrap();
        assert!(near.nodelay().unwrap());
        near.set_ttl(17).unwrap();
        assert_eq!(near.ttl().unwrap(), 17);
    });
}

#[test]
fn sockets_of_the_standard_library_can_move_in() {
    story(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let mut far = std::net::TcpStream::connect(addr).unwrap();
        let near = listener.accept().await.unwrap().0;
        near.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        far.read_exact(&mut heard).unwrap();
        let far = TcpStream::from_std(far).unwrap();
        far.write_all(&heard).await.unwrap();
        near.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    });
}

// Ends and errors

/// Bytes that nobody read make the system reset the connection when it is closed.
async fn reset(far: TcpStream) {
    while far.peek(&mut [0]).await.unwrap() == 0 {}
    drop(far);
}

#[test]
fn a_reset_wakes_the_reader_with_an_error() {
    // R6, R7
    story(async {
        let (near, far) = pair().await;
        let mut buf = [0; 16];
        let (read, _) = join(near.read(&mut buf), async {
            near.write_all(b"unread").await.unwrap();
            reset(far).await;
        })
        .await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_wakes_the_writer_with_an_error() {
    // R6, R7, R39
    story(async {
        let (near, far) = pair().await;
        let flood = vec![0; 1_000_000];
        let (written, _) = join(
            async {
                loop {
                    near.write_all(&flood).await?;
                }
            },
            async {
                // By then the writer stands in line.
                for _ in 0..100 {
                    yield_now().await;
                }
                reset(far).await;
            },
        )
        .await;
        let written: io::Result<()> = written;
        let kind = written.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
    });
}

#[test]
fn an_end_wakes_whoever_waits_whichever_side_it_comes_from() {
    // R6: there is nothing to read but the end, and no other event will come.
    story(async {
        for from_afar in [true, false] {
            let (near, far) = pair().await;
            let near = Rc::new(near);
            let reading = near.clone();
            let reader = spawn(async move { reading.read(&mut [0; 8]).await });
            for _ in 0..200 {
                yield_now().await;
            }
            assert!(!reader.is_finished());
            if from_afar { far.shutdown(Shutdown::Write) } else { near.shutdown(Shutdown::Read) }.unwrap();
            assert_eq!(reader.await.unwrap().unwrap(), 0);
        }
    });
}

#[test]
fn a_reset_wakes_both_directions() {
    // R7
    story(async {
        let (near, far) = pair().await;
        near.write_all(b"unread").await.unwrap();
        fill(&near).await;
        let near = Rc::new(near);
        let (reading, writing) = (near.clone(), near.clone());
        let reader = spawn(async move { reading.read(&mut [0; 8]).await });
        // More than the system will ever take.
        let writer = spawn(async move { writing.write_all(&vec![0; 64 << 20]).await });
        for _ in 0..200 {
            yield_now().await;
        }
        assert!(!reader.is_finished() && !writer.is_finished());
        reset(far).await;
        // The system tells the error once; the other of the two then sees the end, or a broken pipe.
        let read = reader.await.unwrap();
        let written = writer.await.unwrap();
        assert!(written.is_err(), "{written:?}");
        assert!(read.is_err() || read.is_ok_and(|count| count == 0));
    });
}

#[test]
fn writing_after_the_end_is_an_error_and_no_signal() {
    // R32
    story(async {
        let (near, far) = pair().await;
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(near.write(b"too late").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // The other side hears of the end by its own writes, at the latest after the first.
        drop(near);
        let error = loop {
            if let Err(error) = far.write(b"anybody?").await {
                break error;
            }
            yield_now().await;
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    });
}

#[test]
fn closing_with_unread_bytes_waits_for_nobody() {
    story(async {
        let (mut near, far) = pair().await;
        far.write_all(b"nobody reads this").await.unwrap();
        near.close().await.unwrap();
        near.close().await.unwrap();
        drop(near);
        // Closing what the other side has reset counts as closed too.
        let mut far = far;
        while far.write(b"more").await.is_ok() {
            yield_now().await;
        }
        far.close().await.unwrap();
    });
}

// The two halves

#[test]
fn two_tasks_share_a_stream_by_its_halves() {
    story(async {
        let (near, far) = pair().await;
        drop(spawn(async move {
            let (read, write) = far.into_split();
            futures::io::copy(read, &mut { write }).await.unwrap();
        }));
        let (read, write) = near.into_split();
        let writer = spawn(async move {
            for number in 0..1000u32 {
                write.write_all(&number.to_le_bytes()).await.unwrap();
            }
            // Its end is the end of the stream.
        });
        let reader = spawn(async move {
            let mut all = Vec::new();
            read.read_to_end(&mut all).await.unwrap();
            all
        });
        writer.await.unwrap();
        let all = reader.await.unwrap();
        let expected: Vec<u8> = (0..1000u32).flat_map(u32::to_le_bytes).collect();
        assert!(all == expected);
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    story(async {
        let (listener, addr) = listener();
        drop(spawn(echo(listener)));
        let stream = TcpStream::connect(addr).await.unwrap();
        let sent = vec![9; 500_000];
        // With AsyncReadExt in scope, `stream.split()` would be that trait's, which takes the stream.
        let (read, write) = TcpStream::split(&stream);
        let mut got = vec![0; sent.len()];
        let (written, read) = join(write.write_all(&sent), read.read_exact(&mut got)).await;
        written.unwrap();
        read.unwrap();
        assert!(got == sent);
        // Nothing was shut down by the end of the halves.
        stream.write_all(b"more").await.unwrap();
        stream.read_exact(&mut got[..4]).await.unwrap();
    });
}

#[test]
fn dropping_the_write_half_ends_the_stream_and_reuniting_does_not() {
    // R34
    story(async {
        let (near, far) = pair().await;
        let (read, write) = near.into_split();
        let near = read.reunite(write).unwrap();
        near.write_all(b"still open").await.unwrap();
        let (read, write) = near.into_split();
        let near = write.reunite(read).unwrap();
        let mut heard = [0; 10];
        far.read_exact(&mut heard).await.unwrap();
        let (read, write) = near.into_split();
        drop(write);
        assert_eq!(far.read(&mut heard).await.unwrap(), 0);
        far.write_all(b"and back").await.unwrap();
        read.read_exact(&mut heard[..8]).await.unwrap();
        // The read half may go first as well: the write half keeps the stream.
        let (near, far) = pair().await;
        let (read, write) = near.into_split();
        drop(read);
        write.write_all(b"alone").await.unwrap();
        write.shutdown().unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"alone");
    });
}

#[test]
fn halves_of_different_streams_do_not_reunite() {
    // R35
    story(async {
        let (one, other) = pair().await;
        let (read_one, write_one) = one.into_split();
        let (read_other, write_other) = other.into_split();
        let error = read_one.reunite(write_other).unwrap_err();
        assert_eq!(error.to_string(), "these two halves were never one stream");
        // Both come back unharmed.
        let one = write_one.reunite(error.read).unwrap();
        let other = read_other.reunite(error.write).unwrap();
        one.write_all(b"ok").await.unwrap();
        other.read_exact(&mut [0; 2]).await.unwrap();
    });
}

// Many who wait

#[test]
fn every_reader_of_a_stream_is_woken() {
    // R22
    story(async {
        let (near, far) = pair().await;
        let far = Rc::new(far);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let far = far.clone();
                spawn(async move { far.read(&mut [0]).await.unwrap() })
            })
            .collect();
        for _ in 0..3 {
            yield_now().await;
        }
        near.write_all(b"abc").await.unwrap();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 1);
        }
    });
}

#[test]
fn a_reader_that_is_dropped_after_its_wake_leaves_the_bytes_to_the_others() {
    // R22, K56
    story(async {
        let (near, far) = pair().await;
        let far = Rc::new(far);
        let read = |far: Rc<TcpStream>| async move { far.read(&mut [0; 8]).await.unwrap() };
        let first = spawn(read(far.clone()));
        let second = spawn(read(far.clone()));
        yield_now().await;
        near.write_all(b"once").await.unwrap();
        first.cancel();
        assert_eq!(second.await.unwrap(), 4);
    });
}

#[test]
fn every_writer_that_waits_for_room_is_woken() {
    story(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let flood = vec![1; 100_000];
        // Full to the brim: the next write would have to wait.
        let sent = fill(&near).await;
        let finished = Rc::new(Cell::new(0));
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (near, finished, flood) = (near.clone(), finished.clone(), flood.clone());
                spawn(async move {
                    near.write_all(&flood).await.unwrap();
                    finished.set(finished.get() + 1);
                })
            })
            .collect();
        yield_now().await;
        let mut buf = vec![0; 65_536];
        let mut left = sent + 3 * flood.len();
        while left > 0 {
            left -= far.read(&mut buf).await.unwrap();
        }
        join_all(writers).await;
        assert_eq!(finished.get(), 3);
    });
}

#[test]
fn of_two_pollers_of_one_direction_the_last_is_woken() {
    // R22: what the documentation of TcpStream says of the poll_ methods.
    story(async {
        let (near, far) = pair().await;
        // An accepted stream is taken for ready until it has said otherwise.
        let (first, first_waker) = counting();
        let (last, last_waker) = counting();
        for waker in [&first_waker, &last_waker] {
            let mut cx = Context::from_waker(waker);
            assert!(Pin::new(&mut &far).poll_read(&mut cx, &mut [0]).is_pending());
        }
        let mut buf = [0; 8];
        let (peeked, _) = join(far.peek(&mut buf), near.write_all(b"x")).await;
        assert_eq!(peeked.unwrap(), 1);
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        assert_eq!(last.0.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn whoever_waits_by_poll_is_woken_when_the_stream_is_dropped() {
    // R23: an async method borrows the stream, so there it cannot happen; the poll_ methods do not.
    story(async {
        let (_near, far) = pair().await;
        let (wakes, waker) = counting();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut &far).poll_read(&mut cx, &mut [0]).is_pending());
        drop(far);
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn more_ready_sockets_than_one_look_takes_are_all_served() {
    // R41: one look takes 1,024 events.
    let pairs = 1300;
    if !room_for(2 * pairs + 500) {
        return;
    }
    story(async {
        let (listener, addr) = listener();
        let mut far = Vec::new();
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut readers = Vec::new();
        for number in 0..pairs {
            far.push(std::net::TcpStream::connect(addr).unwrap());
            let near = listener.accept().await.unwrap().0;
            let order = order.clone();
            readers.push(spawn(async move {
                let mut buf = [0; 8];
                near.read_exact(&mut buf).await.unwrap();
                order.borrow_mut().push(u64::from_le_bytes(buf));
                assert_eq!(u64::from_le_bytes(buf), number);
                near
            }));
        }
        // All of them wait; then all are ready before the loop looks once.
        for _ in 0..200 {
            yield_now().await;
        }
        assert!(order.borrow().is_empty());
        for (number, far) in far.iter_mut().enumerate() {
            far.write_all(&(number as u64).to_le_bytes()).unwrap();
        }
        let nears = join_all(readers).await;
        assert!(nears.iter().all(Result::is_ok));
        order.borrow_mut().sort_unstable();
        assert!(order.borrow().iter().copied().eq(0..pairs));
    });
}

#[test]
fn a_socket_that_is_always_ready_does_not_hold_the_loop() {
    // R37
    story(async {
        let (near, far) = pair().await;
        let total = 50_000;
        let mut sent = 0;
        while sent < total {
            sent += near.write(&vec![5; total - sent]).await.unwrap();
        }
        let reader = spawn(async move {
            for _ in 0..total {
                // All of it is there: this never waits for bytes.
                assert_eq!(far.read(&mut [0]).await.unwrap(), 1);
            }
        });
        let mut turns = 0;
        while !reader.is_finished() {
            turns += 1;
            yield_now().await;
        }
        assert!(turns > total / 512, "{turns} turns beside {total} reads");
    });
}

#[test]
fn sockets_that_are_always_ready_share_the_loop() {
    // K29, R37: whoever stands first in line after a look must not use up what all may do before the next.
    const TOTAL: usize = 20_000;
    for sockets in 1..=4 {
        story(async {
            let mut pairs = Vec::new();
            for _ in 0..sockets {
                pairs.push(pair().await);
                pairs.last().unwrap().0.write_all(&[5; TOTAL]).await.unwrap();
            }
            let counts: Rc<[Cell<usize>]> = (0..sockets).map(|_| Cell::new(0)).collect();
            let readers = pairs.into_iter().enumerate().map(|(reader, (near, far))| {
                let counts = counts.clone();
                spawn(async move {
                    while counts[reader].get() < TOTAL {
                        // All of it is there: this never waits for bytes.
                        counts[reader].set(counts[reader].get() + far.read(&mut [0]).await.unwrap());
                        let (least, most) = (counts.iter().min().unwrap().get(), counts.iter().max().unwrap().get());
                        assert!(
                            most - least <= TOTAL / 4,
                            "of {sockets} sockets one has read {most}, one {least} bytes"
                        );
                    }
                    drop(near);
                })
            });
            for reader in readers.collect::<Vec<_>>() {
                reader.await.unwrap();
            }
        });
    }
}

#[test]
fn a_socket_opened_while_another_closes_hears_nothing_stale() {
    // R1, R2, R3
    story(async {
        let (listener, addr) = listener();
        for _ in 0..50 {
            let (first, first_far) = join(TcpStream::connect(addr), listener.accept()).await;
            let (second, second_far) = join(TcpStream::connect(addr), listener.accept()).await;
            let (first, second) = (first.unwrap(), second.unwrap());
            // Both become ready in one look; whoever runs first closes the other and takes its place.
            first_far.unwrap().0.write_all(b"a").await.unwrap();
            let second_far = second_far.unwrap().0;
            second_far.write_all(b"b").await.unwrap();
            first.read(&mut [0; 8]).await.unwrap();
            drop((second, second_far));
            let (third, third_far) = join(TcpStream::connect(addr), listener.accept()).await;
            let (third, third_far) = (third.unwrap(), third_far.unwrap().0);
            let mut buf = [0; 8];
            let mut reading = pin!(third.read(&mut buf));
            for _ in 0..3 {
                assert!(futures::poll!(&mut reading).is_pending());
                yield_now().await;
            }
            third_far.write_all(b"c").await.unwrap();
            assert_eq!(reading.await.unwrap(), 1);
        }
    });
}

// The end of the loop

#[test]
fn sockets_outlive_their_loop() {
    // R20
    let first = EventLoop::new().unwrap();
    let (listener, near, far, connecting) = first.block_on(async {
        let (listener, addr) = listener();
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        (listener, near.unwrap(), far.unwrap().0, TcpStream::connect(addr))
    });
    // Between two runs they only wait.
    first.block_on(async {
        near.write_all(b"between").await.unwrap();
        far.read_exact(&mut [0; 7]).await.unwrap();
    });
    drop(first);
    let gone =
        |error: io::Error| assert!(error.to_string().contains("the event loop of this socket is gone"), "{error}");
    story(async {
        gone(near.read(&mut [0]).await.unwrap_err());
        gone(near.write_all(b"x").await.unwrap_err());
        gone(far.peek(&mut [0]).await.unwrap_err());
        gone(listener.accept().await.unwrap_err());
        gone(connecting.await.unwrap_err());
        let (read, write) = near.into_split();
        gone(read.read(&mut [0]).await.unwrap_err());
        drop((read, write));
    });
    // Dropped in no loop at all.
    drop((listener, far));
}

#[test]
fn whoever_waits_when_the_loop_ends_is_told() {
    // R20: a future that is not a task of the loop is not dropped with it.
    let event_loop = EventLoop::new().unwrap();
    let (_near, far) = event_loop.block_on(bounded(pair()));
    let (wakes, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut buf = [0; 8];
    let mut reading = pin!(far.read(&mut buf));
    assert!(reading.as_mut().poll(&mut cx).is_pending());
    drop(event_loop);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(matches!(reading.poll(&mut cx), Poll::Ready(Err(_))));
}

#[test]
fn sockets_in_tasks_end_with_the_loop() {
    // R20, K43
    let mut far = {
        let event_loop = EventLoop::new().unwrap();
        let far = event_loop.block_on(bounded(async {
            let (listener, addr) = listener();
            let far = std::net::TcpStream::connect(addr).unwrap();
            let near = listener.accept().await.unwrap().0;
            drop(spawn(echo(listener)));
            drop(spawn(async move { near.read(&mut [0]).await }));
            yield_now().await;
            far
        }));
        drop(event_loop);
        far
    };
    assert_eq!(far.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_tasks_last_words_still_go_out_when_the_loop_ends() {
    // K6, K43: tasks go before timers and sockets, so their destructors find both in working order.
    struct LastWords(TcpStream);
    impl Drop for LastWords {
        fn drop(&mut self) {
            let mut cx = Context::from_waker(Waker::noop());
            let said = futures::AsyncWrite::poll_write(Pin::new(&mut &self.0), &mut cx, b"farewell");
            assert!(matches!(said, Poll::Ready(Ok(1..))), "{said:?}");
            assert!(pin!(roundel::sleep(Duration::from_secs(1))).poll(&mut cx).is_pending());
            assert!(TcpListener::bind("127.0.0.1:0").is_ok());
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (mut far, task) = event_loop.block_on(bounded(async {
        let (listener, addr) = listener();
        let far = std::net::TcpStream::connect(addr).unwrap();
        let last_words = LastWords(listener.accept().await.unwrap().0);
        let task = spawn(async move {
            let LastWords(stream) = &last_words;
            stream.read(&mut [0]).await.map(drop)
        });
        yield_now().await;
        (far, task)
    }));
    drop(event_loop);
    assert!(futures::executor::block_on(task).unwrap_err().is_cancelled(), "its destructor did not panic");
    let mut heard = String::new();
    far.read_to_string(&mut heard).unwrap();
    assert!(!heard.is_empty() && "farewell".starts_with(&heard), "{heard}");
}

#[test]
fn a_socket_may_be_dropped_inside_another_loop() {
    let first = EventLoop::new().unwrap();
    let (near, far) = first.block_on(bounded(pair()));
    story(async { drop(near) });
    first.block_on(bounded(async { assert_eq!(far.read(&mut [0]).await.unwrap(), 0) }));
}

#[test]
#[should_panic(expected = "TcpListener::bind() needs a running loop: call it inside block_on()")]
fn listening_needs_a_loop() {
    let _ = TcpListener::bind("127.0.0.1:0");
}

#[test]
#[should_panic(expected = "TcpStream::connect() needs a running loop: call it inside block_on()")]
fn connecting_needs_a_loop() {
    drop(TcpStream::connect("127.0.0.1:1"));
}

// With others' code and on other clocks

#[test]
fn the_combinators_of_futures_work_on_streams() {
    story(async {
        let (listener, addr) = listener();
        drop(spawn(async move {
            let stream = listener.accept().await.unwrap().0;
            futures::io::copy(&stream, &mut &stream).await.unwrap();
        }));
        let mut stream = TcpStream::connect(addr).await.unwrap();
        AsyncWriteExt::write_all(&mut stream, b"by traits\nonly").await.unwrap();
        AsyncWriteExt::flush(&mut stream).await.unwrap();
        AsyncWriteExt::close(&mut stream).await.unwrap();
        let mut heard = String::new();
        AsyncReadExt::read_to_string(&mut stream, &mut heard).await.unwrap();
        assert_eq!(heard, "by traits\nonly");
    });
}

#[test]
fn lines_are_read_while_the_same_stream_is_written() {
    story(async {
        let (listener, addr) = listener();
        drop(spawn(echo(listener)));
        let stream = TcpStream::connect(addr).await.unwrap();
        let mut lines = BufReader::new(&stream);
        for number in 0..100 {
            stream.write_all(format!("line {number}\r\n").as_bytes()).await.unwrap();
            assert_eq!(lines.next_line().await.unwrap(), Some(format!("line {number}")));
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(lines.next_line().await.unwrap(), None);
    });
}

#[test]
fn sockets_work_on_a_virtual_clock() {
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).build().unwrap();
    event_loop.block_on(bounded(async {
        let (near, far) = pair().await;
        let mut buf = [0; 8];
        // The far end answers at once in real time, long before this limit is reached in any.
        let reading = timeout(Duration::from_secs(30), far.read_exact(&mut buf[..3]));
        let (read, _) = join(reading, near.write_all(b"now")).await;
        read.unwrap().unwrap();
        assert!(timeout(Duration::from_millis(2), far.read(&mut buf)).await.is_err());
    }));
}

#[test]
fn everything_shows_itself() {
    story(async {
        let (listener, addr) = listener();
        assert_eq!(format!("{listener:?}"), format!("TcpListener {{ local: Some({addr}), .. }}"));
        let connecting = TcpStream::connect(addr);
        assert!(format!("{connecting:?}").contains(&addr.to_string()));
        let stream = connecting.await.unwrap();
        let local = stream.local_addr().unwrap();
        let shown = format!("TcpStream {{ local: Some({local}), peer: Some({addr}), .. }}");
        assert_eq!(format!("{stream:?}"), shown);
        assert!(format!("{:?}", stream.into_split()).contains(&shown));
    });
}
