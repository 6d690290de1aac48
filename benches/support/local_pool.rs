//! `LocalPool` of futures: an executor and nothing else, with the lock and the channel of the same crate.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;

use futures::channel::mpsc;
use futures::executor::LocalSpawner;
use futures::future::RemoteHandle;
use futures::lock::Mutex;
use futures::task::LocalSpawnExt;
use futures::{SinkExt, StreamExt};
use futures_lite::future;

use super::{Drivers, Infallibly, LockAndQueue, Peer};

/// The workload is a task, or the root future.
pub struct LocalPool<const ROOT: bool>(RefCell<futures::executor::LocalPool>);

thread_local! {
    /// Of the pool that runs a workload.
    static SPAWNER: RefCell<Option<LocalSpawner>> = const { RefCell::new(None) };
}

impl<const ROOT: bool> Peer for LocalPool<ROOT> {
    const NAME: &'static str = if ROOT { "local_pool_root" } else { "local_pool" };
    type Error = Infallible;
    type Handle<T: 'static> = Infallibly<RemoteHandle<T>>;

    fn new(_: Drivers) -> Self {
        LocalPool(RefCell::new(futures::executor::LocalPool::new()))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.borrow_mut().run_until(future)
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, workload: F) -> F::Output {
        let spawner = self.0.borrow().spawner();
        SPAWNER.set(Some(spawner.clone()));
        if ROOT {
            self.block_on(workload)
        } else {
            self.block_on(spawner.spawn_local_with_handle(workload).expect("the pool is there"))
        }
    }

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Infallibly<RemoteHandle<F::Output>> {
        let handle = SPAWNER.with_borrow(|spawner| {
            let spawner = spawner.as_ref().expect("a workload runs");
            spawner.spawn_local_with_handle(future).expect("the pool is there")
        });
        Infallibly(handle)
    }

    // futures has none of its own.
    fn yield_now() -> impl Future<Output = ()> {
        future::yield_now()
    }
}

impl<const ROOT: bool> LockAndQueue for LocalPool<ROOT> {
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
        // Every sender has a place besides.
        mpsc::channel(room - 1)
    }

    async fn produce(mut sender: mpsc::Sender<u64>, items: u64) {
        for item in 0..items {
            // `send` would wait until the consumer has taken it.
            assert!(sender.feed(item).await.is_ok());
        }
    }

    async fn consume(mut receiver: mpsc::Receiver<u64>) -> u64 {
        let mut sum = 0;
        while let Some(item) = receiver.next().await {
            sum += item;
        }
        sum
    }
}
