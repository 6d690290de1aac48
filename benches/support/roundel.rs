//! roundel, as its documentation has it.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::{Lock, Queue, Semaphore};

use super::{BUFFER, Drivers, LockAndQueue, Peer, Semaphores, Sockets, Threads, Timers};

pub struct Roundel(roundel::EventLoop);

impl Peer for Roundel {
    const NAME: &'static str = "roundel";
    type Error = roundel::JoinError;
    type Handle<T: 'static> = roundel::JoinHandle<T>;

    fn new(_: Drivers) -> Roundel {
        Roundel(roundel::EventLoop::new().expect("the system has descriptors left"))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        self.block_on(async { Self::spawn(workload).await.expect("no workload panics") })
    }

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> roundel::JoinHandle<F::Output> {
        roundel::spawn(future)
    }

    fn yield_now() -> impl Future<Output = ()> {
        roundel::yield_now()
    }
}

impl Timers for Roundel {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        roundel::sleep(duration)
    }
}

impl LockAndQueue for Roundel {
    type Lock = Lock<u64>;
    type Sender = Rc<Queue<u64>>;
    type Receiver = Rc<Queue<u64>>;

    fn lock() -> Lock<u64> {
        Lock::new(0)
    }

    async fn add(lock: &Lock<u64>, meanwhile: impl AsyncFn()) {
        let mut count = lock.acquire().await;
        meanwhile().await;
        *count += 1;
    }

    fn total(lock: Lock<u64>) -> u64 {
        lock.into_inner()
    }

    fn queue(room: usize) -> (Rc<Queue<u64>>, Rc<Queue<u64>>) {
        let queue = Rc::new(Queue::bounded(room));
        (queue.clone(), queue)
    }

    async fn produce(queue: Rc<Queue<u64>>, items: u64) {
        for item in 0..items {
            assert!(queue.put(item).await.is_ok());
        }
        queue.shutdown();
    }

    async fn consume(queue: Rc<Queue<u64>>) -> u64 {
        let mut sum = 0;
        while let Ok(item) = queue.get().await {
            sum += item;
        }
        sum
    }
}

impl Semaphores for Roundel {
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

impl Sockets for Roundel {
    type Stream = roundel::net::TcpStream;

    fn adopt(stream: TcpStream) -> io::Result<Self::Stream> {
        roundel::net::TcpStream::from_std(stream)
    }

    async fn echo(stream: Self::Stream, bytes: usize) -> io::Result<Self::Stream> {
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

impl Threads for Roundel {
    async fn to_thread(closure: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        roundel::to_thread(closure).await.expect("no closure panics")
    }
}
