//! tokio on one thread, set up in each of the ways there are.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, LocalSet, spawn_blocking, spawn_local};

use super::{BUFFER, Drivers, LockAndQueue, Peer, Semaphores, Sockets, Threads, Timers};

pub struct Tokio<S: Setting>(S);

pub trait Setting: Sized + 'static {
    const NAME: &'static str;
    fn build(drivers: Drivers) -> Self;
    fn block_on<F: Future>(&self, future: F) -> F::Output;
    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output;

    /// The plain way, by which a task wakes itself. tokio's own gives way to its drivers as well, and is slower.
    fn yield_now() -> impl Future<Output = ()> {
        futures_lite::future::yield_now()
    }
}

impl<S: Setting> Peer for Tokio<S> {
    const NAME: &'static str = S::NAME;
    type Error = JoinError;
    type Handle<T: 'static> = JoinHandle<T>;

    fn new(drivers: Drivers) -> Self {
        Tokio(S::build(drivers))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.0.run(workload)
    }

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
        spawn_local(future)
    }

    fn yield_now() -> impl Future<Output = ()> {
        S::yield_now()
    }
}

pub struct Local(LocalRuntime);

impl Setting for Local {
    const NAME: &'static str = "tokio_local";

    fn build(drivers: Drivers) -> Local {
        Local(builder(drivers).build_local(LocalOptions::default()).expect("the system has descriptors left"))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(async { spawn_local(workload).await.expect("no workload panics") })
    }
}

pub struct Set(Runtime, LocalSet);

impl Setting for Set {
    const NAME: &'static str = "tokio_set";

    fn build(drivers: Drivers) -> Set {
        Set(builder(drivers).build().expect("the system has descriptors left"), LocalSet::new())
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.1.block_on(&self.0, future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(async { spawn_local(workload).await.expect("no workload panics") })
    }
}

pub struct Main(Local);

impl Setting for Main {
    const NAME: &'static str = "tokio_main";

    fn build(_: Drivers) -> Main {
        Main(Local::build(Drivers::TimeAndSockets))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(workload)
    }

    fn yield_now() -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }
}

fn builder(drivers: Drivers) -> Builder {
    let mut builder = Builder::new_current_thread();
    match drivers {
        Drivers::None => {}
        Drivers::Time => {
            builder.enable_time();
        }
        Drivers::Sockets => {
            builder.enable_io();
        }
        Drivers::TimeAndSockets => {
            builder.enable_all();
        }
    }
    builder
}

impl<S: Setting> Timers for Tokio<S> {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }
}

impl<S: Setting> LockAndQueue for Tokio<S> {
    type Lock = Mutex<u64>;
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

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

    fn queue(room: usize) -> (mpsc::Sender<u64>, mpsc::Receiver<u64>) {
        mpsc::channel(room)
    }

    async fn produce(sender: mpsc::Sender<u64>, items: u64) {
        for item in 0..items {
            assert!(sender.send(item).await.is_ok());
        }
    }

    async fn consume(mut receiver: mpsc::Receiver<u64>) -> u64 {
        let mut sum = 0;
        while let Some(item) = receiver.recv().await {
            sum += item;
        }
        sum
    }
}

impl<S: Setting> Semaphores for Tokio<S> {
    type Semaphore = Semaphore;

    fn semaphore(permits: usize) -> Semaphore {
        Semaphore::new(permits)
    }

    async fn with_permit(semaphore: &Semaphore, meanwhile: impl AsyncFn()) {
        let permit = semaphore.acquire().await;
        assert!(permit.is_ok());
        meanwhile().await;
    }
}

impl<S: Setting> Sockets for Tokio<S> {
    type Stream = tokio::net::TcpStream;

    fn adopt(stream: TcpStream) -> io::Result<Self::Stream> {
        tokio::net::TcpStream::from_std(stream)
    }

    async fn echo(mut stream: Self::Stream, bytes: usize) -> io::Result<Self::Stream> {
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

impl<S: Setting> Threads for Tokio<S> {
    async fn to_thread(closure: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        spawn_blocking(closure).await.expect("no closure panics")
    }
}
