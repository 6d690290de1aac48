//! What does a request over a socket cost?
//!
//! | row | the question |
//! |---|---|
//! | `echo_wall` | one of 64 connections sends 64 bytes to an echo server and reads them back: the time of one request |
//! | `echo_cpu` | the processor time of the same, of the program and the system together |
//!
//! Server and clients are tasks of one loop in one process, over loopback: a request is two writes and
//! two reads, and these four system calls make most of the figure. Every client waits for its
//! answer before it asks again, so up to 64 requests are on their way.
//!
//! What they leave out: the network, connecting (it is done before the measuring begins), the latency
//! of one request among the many, and any work a real server does.

mod support;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use support::{Bench, Drivers, Peer, Roundel, Setting, Tokio, cpu_time, wall_time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONNECTIONS: u64 = 64;
const MESSAGE: usize = 64;
/// Larger than a message, so that all runtimes can tell that a read has taken all there was.
const BUFFER: usize = 1024;
/// Requests of each connection in a batch, so that spawning the clients weighs little.
const REQUESTS: u64 = 50;

ask_all!(echo_wall, echo_cpu);

fn echo_wall<P: Sockets>(bench: &mut Bench) {
    bench.ask::<P>("echo_wall", CONNECTIONS * REQUESTS, Drivers::TimeAndSockets, async |batches| {
        let echo = Echo::<P>::begin();
        let elapsed = wall_time(batches, async || echo.ask().await).await;
        echo.end().await;
        elapsed
    });
}

fn echo_cpu<P: Sockets>(bench: &mut Bench) {
    bench.ask::<P>("echo_cpu", CONNECTIONS * REQUESTS, Drivers::TimeAndSockets, async |batches| {
        let echo = Echo::<P>::begin();
        let elapsed = cpu_time(batches, async || echo.ask().await).await;
        echo.end().await;
        elapsed
    });
}

/// An echo server's tasks, and the connections of its clients.
struct Echo<P: Sockets> {
    servers: Vec<P::Handle<()>>,
    clients: RefCell<Vec<P::Stream>>,
}

impl<P: Sockets> Echo<P> {
    fn begin() -> Echo<P> {
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let (client, server) = connection().expect("loopback can be connected to");
            clients.push(P::adopt(client).expect("a socket can be registered"));
            let server = P::adopt(server).expect("a socket can be registered");
            servers.push(P::spawn(async { P::serve(server).await.expect("the client hangs up in order") }));
        }
        Echo { servers, clients: RefCell::new(clients) }
    }

    /// Every client sends its requests, one after another.
    async fn ask(&self) {
        let ask = async |mut stream: P::Stream| {
            for _ in 0..REQUESTS {
                P::request(&mut stream).await.expect("the server answers");
            }
            stream
        };
        let tasks: Vec<_> = self.clients.take().into_iter().map(|client| P::spawn(ask(client))).collect();
        for task in tasks {
            let client = task.await.expect("no client panics");
            self.clients.borrow_mut().push(client);
        }
    }

    async fn end(self) {
        drop(self.clients);
        for server in self.servers {
            server.await.expect("no server panics");
        }
    }
}

fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
    }
    Ok((client, server))
}

/// The sockets of a runtime.
trait Sockets: Peer {
    type Stream: 'static;

    fn adopt(stream: TcpStream) -> io::Result<Self::Stream>;
    /// Sends back whatever comes, until the client hangs up.
    fn serve(stream: Self::Stream) -> impl Future<Output = io::Result<()>>;
    /// Sends a message and reads it back.
    fn request(stream: &mut Self::Stream) -> impl Future<Output = io::Result<()>>;
}

impl Sockets for Roundel {
    type Stream = roundel::net::TcpStream;

    fn adopt(stream: TcpStream) -> io::Result<Self::Stream> {
        roundel::net::TcpStream::from_std(stream)
    }

    async fn serve(stream: Self::Stream) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..length]).await?;
        }
    }

    async fn request(stream: &mut Self::Stream) -> io::Result<()> {
        stream.write_all(&[7; MESSAGE]).await?;
        let (mut buffer, mut length) = ([0; BUFFER], 0);
        while length < MESSAGE {
            length += stream.read(&mut buffer).await?;
        }
        Ok(())
    }
}

impl<S: Setting> Sockets for Tokio<S> {
    type Stream = tokio::net::TcpStream;

    fn adopt(stream: TcpStream) -> io::Result<Self::Stream> {
        tokio::net::TcpStream::from_std(stream)
    }

    async fn serve(mut stream: Self::Stream) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..length]).await?;
        }
    }

    async fn request(stream: &mut Self::Stream) -> io::Result<()> {
        stream.write_all(&[7; MESSAGE]).await?;
        let (mut buffer, mut length) = ([0; BUFFER], 0);
        while length < MESSAGE {
            length += stream.read(&mut buffer).await?;
        }
        Ok(())
    }
}
