//! smol on one thread: its `LocalExecutor`, run by async-io, which has the timers and the sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use async_executor::{LocalExecutor, Task};
use async_io::{Async, Timer};
use async_lock::{Mutex, Semaphore};
use futures_lite::future;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

use super::{BUFFER, Drivers, Infallibly, LockAndQueue, Peer, Semaphores, Sockets, Threads, Timers};

/// Leaked, a few words each, so that tasks can name the executor that they run on. The workload is a task, or the
/// root future.
pub struct Smol<const ROOT: bool>(&'static LocalExecutor<'static>);

thread_local! {
    /// The one that runs a workload.
    static EXECUTOR: Cell<Option<&'static LocalExecutor<'static>>> = const { Cell::new(None) };
}

impl<const ROOT: bool> Peer for Smol<ROOT> {
    const NAME: &'static str = if ROOT { "smol_root" } else { "smol" };
    type Error = Infallible;
    type Handle<T: 'static> = Infallibly<Task<T>>;

    fn new(_: Drivers) -> Self {
        Smol(Box::leak(Box::new(LocalExecutor::new())))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(self.0.run(future))
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        EXECUTOR.set(Some(self.0));
        if ROOT { self.block_on(workload) } else { self.block_on(self.0.spawn(workload)) }
    }

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Infallibly<Task<F::Output>> {
        Infallibly(EXECUTOR.get().expect("a workload runs").spawn(future))
    }

    fn yield_now() -> impl Future<Output = ()> {
        future::yield_now()
    }
}

impl<const ROOT: bool> Timers for Smol<ROOT> {
    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }
}

impl<const ROOT: bool> LockAndQueue for Smol<ROOT> {
    type Lock = Mutex<u64>;
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn lock() -> Mutex<u64> {
        Mutex::new(0)
    }

    async fn add(lock: &Mutex<u64>, meanwhile: impl AsyncFn()) {
        let mut count = lock.lock().await;
        meanwhile().await;
        *count += 1;
    }

    fn total(lock: Mutex<u64>) -> u64 {
        lock.into_inner()
    }

    fn queue(room: usize) -> (async_channel::Sender<u64>, async_channel::Receiver<u64>) {
        async_channel::bounded(room)
    }

    async fn produce(sender: async_channel::Sender<u64>, items: u64) {
        for item in 0..items {
            assert!(sender.send(item).await.is_ok());
        }
    }

    async fn consume(receiver: async_channel::Receiver<u64>) -> u64 {
        let mut sum = 0;
        while let Ok(item) = receiver.recv().await {
            sum += item;
        }
        sum
    }
}

impl<const ROOT: bool> Semaphores for Smol<ROOT> {
    type Semaphore = Semaphore;

    fn semaphore(permits: usize) -> Semaphore {
        Semaphore::new(permits)
    }

    async fn with_permit(semaphore: &Semaphore, meanwhile: impl AsyncFn()) {
        let _permit = semaphore.acquire().await;
        meanwhile().await;
    }
}

impl<const ROOT: bool> Sockets for Smol<ROOT> {
    type Stream = Async<TcpStream>;

    fn adopt(stream: TcpStream) -> io::Result<Async<TcpStream>> {
        Async::new(stream)
    }

    async fn echo(mut stream: Async<TcpStream>, bytes: usize) -> io::Result<Async<TcpStream>> {
        let (mut buffer, mut left) = ([0; BUFFER], bytes);
        while left > 0 {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.write_all(&buffer[..length]).await?;
            left -= length;
        }
        Ok(stream)
    }
}

impl<const ROOT: bool> Threads for Smol<ROOT> {
    async fn to_thread(closure: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        blocking::unblock(closure).await
    }
}
