//! A TCP server that sends back what it gets, and a thousand clients, in one process and one thread.
//!
//! Watch:  all connections are open at once, checked on the server's side, and every client gets its
//!         own lines back. No lock, no atomic: the count is a `Cell`.
//! Run:    cargo run --release --example echo
//!         cargo run --example echo -- --record echo.svg    (with four clients only)
//! Prints: how many connections were open at once, how many lines came back right
//! Look:   with --inspect PATH it keeps all connections until Enter is pressed, and meanwhile
//!         `cargo run --example inspect -- PATH ps` lists the tasks, and tree, locks and why tell more.
//!         For few enough to read: --connections 4 --at-once 1
//! Unlike Python: `read` and `write_all` take `&self`, so a connection can be read and written by two
//!         tasks without splitting it. Both ends need a descriptor: 2,000 and a few more.

mod support;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use clap::{Arg, ArgMatches, value_parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::Flags;
use roundel::net::{TcpListener, TcpStream};
use roundel::sync::{Barrier, Semaphore};
use roundel::{gather, spawn_named, to_thread};

const CONNECTIONS: usize = 1_000;
/// The system keeps 128 connections in line for `accept`; who finds the line full tries again a second
/// later. So no more than these are on their way at once.
const AT_ONCE: usize = 100;
const LINES: usize = 3;

/// What only this example can be told.
struct Plan {
    connections: usize,
    at_once: usize,
    inspect: Option<PathBuf>,
}

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
        let _detached = spawn_named(&format!("connection {}", count.now.get()), async move {
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
    on_their_way: Semaphore,
    all_are_connected: Barrier,
    /// The first one holds it open until Enter is pressed, for somebody wants to look.
    is_held_open: bool,
}

async fn enter_is_pressed() -> io::Result<()> {
    println!("all is quiet: ask, then press Enter");
    to_thread(|| io::stdin().read_line(&mut String::new())).await.map_err(io::Error::other)??;
    Ok(())
}

/// Sends its lines and counts those that come back as they were sent.
async fn client(number: usize, server: SocketAddr, door: Rc<Door>) -> io::Result<usize> {
    let permit = door.on_their_way.acquire().await.map_err(io::Error::other)?;
    let stream = TcpStream::connect(server).await?;
    let mut right = say(&stream, number, 0).await?;
    if door.is_held_open && number == 0 {
        enter_is_pressed().await?;
    }
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

#[allow(dead_code, reason = "the tour calls it")]
pub(crate) fn run(flags: &Flags) {
    let connections = flags.fewer(CONNECTIONS, 4);
    run_as_planned(flags, Plan { connections, at_once: AT_ONCE, inspect: None });
}

fn run_as_planned(flags: &Flags, plan: Plan) {
    flags.refuse_to_explore("it talks through real sockets, which answer when they like");
    let connections = flags.fewer(as_many_as_there_is_room_for(plan.connections), 4);
    let is_held_open = plan.inspect.is_some();
    let builder = match plan.inspect {
        Some(path) => flags.builder().inspect(path),
        None => flags.builder(),
    };
    let event_loop = builder.build().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2)
    });
    let count = Rc::new(Count::default());
    let right: io::Result<usize> = event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = listener.local_addr()?;
        let serving = spawn_named("server", serve(listener, count.clone()));
        let door = Rc::new(Door {
            on_their_way: Semaphore::new(plan.at_once).named("on their way"),
            all_are_connected: Barrier::new(connections).named("all are connected"),
            is_held_open,
        });
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
fn as_many_as_there_is_room_for(wanted: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    // What a process gets at first is often 1,024; it may raise that to the hard limit by itself.
    let raised = Rlimit { current: limits.maximum, ..limits };
    let limits = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limits };
    let spare = 64;
    let room = limits.current.map_or(wanted, |limit| (limit.saturating_sub(spare) / 2) as usize);
    if room < wanted {
        println!("only {room} connections: the limit of descriptors is {:?}; raise it with ulimit -n", limits.current);
    }
    room.min(wanted)
}

fn main() {
    // clap knows ranges of u32, and more would have no room.
    let number = || value_parser!(u32).range(1..);
    let arg = |name, help| Arg::new(name).long(name).value_name("N").value_parser(number()).help(help);
    let path = Arg::new("inspect").long("inspect").value_name("PATH").value_parser(value_parser!(PathBuf));
    let matches = support::command()
        .arg(arg("connections", "How many clients there are [default: 1000, or 4 when recorded]"))
        .arg(arg("at-once", "How many of them connect at the same time [default: 100]"))
        .arg(path.help("Waits for Enter while all is connected, and can be asked at a socket there"))
        .get_matches();
    let number = |name, default| ArgMatches::get_one::<u32>(&matches, name).map_or(default, |number| *number as usize);
    let inspect = matches.get_one("inspect").cloned();
    let flags = Flags::from_matches(&matches);
    let connections = number("connections", flags.fewer(CONNECTIONS, 4));
    run_as_planned(&flags, Plan { connections, at_once: number("at-once", AT_ONCE), inspect });
}
