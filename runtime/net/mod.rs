//! Sockets: TCP listeners and streams, their two directions apart, and buffered reading.
//!
//! ```text
//!   TcpListener --accept--> TcpStream --split--> ReadHalf, WriteHalf          (borrowed)
//!   TcpStream::connect ---------^      into_split--> OwnedReadHalf, OwnedWriteHalf
//!   BufReader: lines and exact counts out of anything that reads
//! ```
//!
//! An echo server:
//!
//! ```no_run
//! use roundel::net::TcpListener;
//!
//! # fn main() -> std::io::Result<()> {
//! roundel::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:7000")?;
//!     loop {
//!         let (stream, _peer) = listener.accept().await?;
//!         drop(roundel::spawn(async move {
//!             let mut buf = [0; 4096];
//!             while let Ok(n @ 1..) = stream.read(&mut buf).await {
//!                 stream.write_all(&buf[..n]).await?;
//!             }
//!             std::io::Result::Ok(())
//!         }));
//!     }
//! })
//! # }
//! ```
//!
//! All methods take `&self`, since everything lives on one thread: one task may read while another
//! writes, and several may even read, each getting some of the bytes. Streams and halves also have the
//! `AsyncRead` and `AsyncWrite` of `futures_io`, so that code written against futures-rs reads them.
//!
//! Promises: an operation that is dropped half-way has either not happened or said so; a socket is
//! closed when its last part is dropped, once; after its loop is gone, waiting operations fail with an
//! error instead of hanging.
//!
//! A socket belongs to the loop in which it was made, and only that loop can wake those who wait for it.

mod buf_reader;
mod split;
mod tcp_listener;
mod tcp_stream;

pub use buf_reader::{BufReader, ReadError};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::TcpListener;
pub use tcp_stream::{Connect, TcpStream};
