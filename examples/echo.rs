//! A TCP server that sends back what it gets, and a thousand clients, in one process and one thread.
//!
//! Watch:  all connections are open at once, checked on the server's side, and every client gets its
//!         own lines back. No lock, no atomic: the count is a `Cell`.
//! Run:    cargo run --release --example echo
//!         cargo run --example echo -- --record echo.svg    (with four clients only)
//! Prints: how many connections were open at once, how many lines came back right
//! Unlike Python: `read` and `write_all` take `&self`, so a connection can be read and written by two
//!         tasks without splitting it. Both ends need a descriptor: 2,000 and a few more.

mod support;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::Flags;
use roundel::net::{TcpListener, TcpStream};
use roundel::sync::{Barrier, Semaphore};
use roundel::{gather, spawn};

const CONNECTIONS: usize = 1_000;
const LINES: usize = 3;

/// How many connections the server has, and the most it had.
#[derive(Default)]
struct Count {
    now: Cell<usize>,
    most: Cell<usize>,
}

async fn serve(listener: TcpListener, count: Rc<Count>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        count.now.set(count.now.get() + 1);
        count.most.set(count.most.get().max(count.now.get()));
        let count = count.clone();
        let _detached = spawn(async move {
            if let Err(error) = echo(stream).await {
                eprintln!("a connection broke: {error}");
            }
            count.now.set(count.now.get() - 1);
        });
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

/// Where clients meet.
struct Door {
    /// The system keeps 128 connections in line for `accept`; who finds the line full tries again a
    /// second later. So no more than these are on their way at once.
    on_their_way: Semaphore,
    all_are_connected: Barrier,
}

/// Sends its lines and counts those that come back as they were sent.
async fn client(number: usize, server: SocketAddr, door: Rc<Door>) -> io::Result<usize> {
    let permit = door.on_their_way.acquire().await.map_err(io::Error::other)?;
    let stream = TcpStream::connect(server).await?;
    let mut right = say(&stream, number, 0).await?;
    drop(permit); // an answer has come: the server has accepted
    door.all_are_connected.wait().await;
    for line in 1..LINES {
        right += say(&stream, number, line).await?;
    }
    Ok(right)
}

/// 1 if the line came back as it was sent, else 0.
async fn say(stream: &TcpStream, number: usize, line: usize) -> io::Result<usize> {
    let sent = format!("client {number:04}, line {line}\n");
    stream.write_all(sent.as_bytes()).await?;
    let mut received = vec![0; sent.len()];
    stream.read_exact(&mut received).await?;
    Ok(usize::from(received == sent.as_bytes()))
}

pub(crate) fn run(flags: &Flags) {
    let connections = flags.fewer(connections(), 4);
    let count = Rc::new(Count::default());
    let right: io::Result<usize> = flags.event_loop().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = listener.local_addr()?;
        let serving = spawn(serve(listener, count.clone()));
        let door = Rc::new(Door { on_their_way: Semaphore::new(100), all_are_connected: Barrier::new(connections) });
        let clients = gather((0..connections).map(|number| client(number, server, door.clone()))).await;
        serving.cancel();
        clients.into_iter().sum()
    });
    let right = right.expect("loopback connections do not break");
    println!("{} connections open at once", count.most.get());
    println!("{right} lines of {} came back right", connections * LINES);
    assert_eq!((count.most.get(), right), (connections, connections * LINES));
}

/// As many as wanted, or as the system's limit on descriptors has room for.
fn connections() -> usize {
    let limits = getrlimit(Resource::Nofile);
    // What a process gets at first is often 1,024; it may raise that to the hard limit by itself.
    let raised = Rlimit { current: limits.maximum, ..limits };
    let limits = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limits };
    let spare = 64;
    let room = limits.current.map_or(CONNECTIONS, |limit| (limit.saturating_sub(spare) / 2) as usize);
    if room < CONNECTIONS {
        println!("only {room} connections: the limit of descriptors is {:?}; raise it with ulimit -n", limits.current);
    }
    room.min(CONNECTIONS)
}

fn main() {
    run(&Flags::parse());
}
