//! What does a request over a socket cost the server?
//!
//! | row | the question |
//! |---|---|
//! | `echo_64` | 64 bytes come over one of 64 connections and are sent back |
//! | `echo_1000` | the same with 1,000 connections |
//!
//! Every figure is the processor time of one request in the server's thread, of the program and the system
//! together. The clients are one thread of plain blocking sockets, the same for all: it writes a request to
//! every connection, then reads every answer, and begins again. So all connections have a request on the way,
//! and on one core the server is told of many at once.
//!
//! What they leave out: the clients, the network (it is loopback), accepting and registering (done before the
//! measuring begins), the latency of one request among the many, and any work a real server does.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::contenders;
use crate::support::{Drivers, Row, Sampler, Sockets, cpu_time, floor};

const MESSAGE: usize = 64;
/// Requests of each connection in a batch, so that spawning the servers weighs little.
const REQUESTS: u64 = 20;
/// An answer that is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn rows() -> Vec<Row> {
    let row = |id, title, connections, contenders| {
        let operations = connections * REQUESTS;
        Row { group: "net", id, title, operations, contenders }
    };
    vec![
        row(
            "echo_64",
            "TCP echo, 64 connections, server CPU per request",
            64,
            contenders!(all_but_local_pool, echo(64), talk_to(64, floor::echo)),
        ),
        row(
            "echo_1000",
            "TCP echo, 1,000 connections, server CPU per request",
            1_000,
            contenders!(all_but_local_pool, echo(1_000), talk_to(1_000, floor::echo)),
        ),
    ]
}

fn echo<P: Sockets>(connections: usize) -> Sampler {
    let peer = P::new(Drivers::Sockets);
    talk_to(connections, move |streams, bytes| {
        peer.run(async move {
            let adopt = |stream| P::adopt(stream).expect("a socket can be registered");
            let streams = Cell::new(streams.into_iter().map(adopt).collect::<Vec<_>>());
            let closed_later = Cell::new(Vec::new());
            let elapsed = cpu_time(1, async || {
                let servers: Vec<_> =
                    streams.take().into_iter().map(|stream| P::spawn(P::echo(stream, bytes))).collect();
                let mut streams = Vec::with_capacity(servers.len());
                for server in servers {
                    let stream = server.await.expect("no server panics");
                    streams.push(stream.expect("the client asks to the end"));
                }
                closed_later.set(streams);
            })
            .await;
            drop(closed_later);
            elapsed
        })
    })
}

/// Connects for each sample, and has `server` answer so many bytes on each connection.
fn talk_to(connections: usize, server: impl Fn(Vec<TcpStream>, usize) -> f64 + 'static) -> Sampler {
    let (needed, limit) = (2 * connections as u64 + 100, getrlimit(Resource::Nofile));
    if limit.current.is_some_and(|current| current < needed) {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to there one may");
    }
    Box::new(move |batches| {
        let (clients, servers) = connect(connections).expect("loopback can be connected to");
        let requests = batches * REQUESTS;
        let client = thread::spawn(move || ask(clients, requests).expect("the server answers"));
        let elapsed = server(servers, requests as usize * MESSAGE);
        client.join().expect("the clients had their answers");
        elapsed
    })
}

fn connect(connections: usize) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(PATIENCE))?;
        server.set_nodelay(true)?;
        server.set_nonblocking(true)?;
        clients.push(client);
        servers.push(server);
    }
    Ok((clients, servers))
}

fn ask(clients: Vec<TcpStream>, requests: u64) -> io::Result<()> {
    let (request, mut answer) = ([7; MESSAGE], [0; MESSAGE]);
    for _ in 0..requests {
        for mut client in &clients {
            client.write_all(&request)?;
        }
        for mut client in &clients {
            client.read_exact(&mut answer)?;
        }
    }
    Ok(())
}
