//! What does the scheduler cost?
//!
//! | row | the question |
//! |---|---|
//! | `spawn_and_join` | one task spawned and awaited, then the next |
//! | `spawn_100000` | the same with all tasks spawned before the first is awaited |
//! | `yield_alone` | one task gives its turn away with nobody to take it |
//! | `yield_among_1000` | one of 1,000 tasks gives its turn away |
//! | `ping_pong` | one of two tasks stores its waker, wakes the other and waits |
//! | `wake_10000` | one of 10,000 tasks is woken, polled, and waits again |
//! | `block_on_ready` | `block_on` of a future that is ready |
//! | `make_and_drop` | a loop with timers and sockets is made and dropped |
//!
//! Every figure is the time of one operation: one task, one yield, one wake.
//!
//! What they leave out: the first time. The loop is warm, its tables have grown, the allocator has
//! what it gives back in stock; tasks are a few words long and stay in the cache, except in the
//! 100,000. No wake crosses threads.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::hint::black_box;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use support::{Bench, Drivers, Peer, wall_time};

const SPAWNED: u64 = 100_000;
const YIELDERS: u64 = 1_000;
/// Yields of each of them in a batch, so that spawning them weighs little.
const YIELDS: u64 = 100;
const RALLIES: u64 = 1_000;
const WAITERS: u64 = 10_000;

ask_all!(
    spawn_and_join,
    spawn_100000,
    yield_alone,
    yield_among_1000,
    ping_pong,
    wake_10000,
    block_on_ready,
    make_and_drop,
);

fn spawn_and_join<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("spawn_and_join", 1, Drivers::None, async |batches| {
        wall_time(batches, async || {
            let output = P::spawn(async { black_box(1_u64) }).await;
            assert!(output.is_ok());
        })
        .await
    });
}

fn spawn_100000<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("spawn_100000", SPAWNED, Drivers::None, async |batches| {
        wall_time(batches, async || {
            let tasks: Vec<_> = (0..SPAWNED).map(|n| P::spawn(async move { black_box(n) })).collect();
            for task in tasks {
                assert!(task.await.is_ok());
            }
        })
        .await
    });
}

fn yield_alone<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("yield_alone", 1, Drivers::None, async |batches| wall_time(batches, P::yield_now).await);
}

fn yield_among_1000<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("yield_among_1000", YIELDERS * YIELDS, Drivers::None, async |batches| {
        wall_time(batches, async || {
            let yielder = async || {
                for _ in 0..YIELDS {
                    P::yield_now().await;
                }
            };
            let tasks: Vec<_> = (0..YIELDERS).map(|_| P::spawn(yielder())).collect();
            for task in tasks {
                assert!(task.await.is_ok());
            }
        })
        .await
    });
}

/// Two players; the ball is with the one whose number is here.
#[derive(Default)]
struct Table {
    ball: Cell<usize>,
    wakers: [Cell<Option<Waker>>; 2],
}

impl Table {
    /// Waits for the ball and plays it to the other side.
    async fn play(&self, player: usize) {
        poll_fn(|cx| {
            if self.ball.get() != player {
                self.wakers[player].set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        self.ball.set(1 - player);
        if let Some(waker) = self.wakers[1 - player].take() {
            waker.wake();
        }
    }
}

fn ping_pong<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("ping_pong", 2 * RALLIES, Drivers::None, async |batches| {
        wall_time(batches, async || {
            let table = Rc::new(Table::default());
            let players = [0, 1].map(|player| {
                let table = table.clone();
                P::spawn(async move {
                    for _ in 0..RALLIES {
                        table.play(player).await;
                    }
                })
            });
            for player in players {
                assert!(player.await.is_ok());
            }
        })
        .await
    });
}

/// Where tasks wait for the next round, and one task for all of them to have had it.
#[derive(Default)]
struct Gate {
    round: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
    caller: Cell<Option<Waker>>,
}

impl Gate {
    async fn pass(&self, round: u64) {
        poll_fn(|cx| {
            if self.round.get() == round {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(cx.waker().clone());
            if waiting.len() == WAITERS as usize
                && let Some(caller) = self.caller.take()
            {
                caller.wake();
            }
            Poll::Pending
        })
        .await;
    }

    async fn all_waiting(&self) {
        poll_fn(|cx| {
            if self.waiting.borrow().len() == WAITERS as usize {
                return Poll::Ready(());
            }
            self.caller.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn open(&self) {
        self.round.set(self.round.get() + 1);
        let mut waiting = self.waiting.take();
        for waker in waiting.drain(..) {
            waker.wake();
        }
        self.waiting.replace(waiting);
    }
}

fn wake_10000<P: Peer>(bench: &mut Bench) {
    bench.ask::<P>("wake_10000", WAITERS, Drivers::None, async |batches| {
        let gate = Rc::new(Gate::default());
        // One round more than is measured, in which they finish.
        let waiter = |gate: Rc<Gate>| async move {
            for round in 1..=batches + 1 {
                gate.pass(round).await;
            }
        };
        let waiters: Vec<_> = (0..WAITERS).map(|_| P::spawn(waiter(gate.clone()))).collect();
        gate.all_waiting().await;
        let elapsed = wall_time(batches, async || {
            gate.open();
            gate.all_waiting().await;
        })
        .await;
        gate.open();
        for waiter in waiters {
            assert!(waiter.await.is_ok());
        }
        elapsed
    });
}

fn block_on_ready<P: Peer>(bench: &mut Bench) {
    let peer = P::new(Drivers::None);
    bench.ask_outside::<P>("block_on_ready", 1, |batches| {
        let begun = Instant::now();
        for _ in 0..batches {
            black_box(peer.block_on(ready(black_box(1))));
        }
        begun.elapsed()
    });
}

fn make_and_drop<P: Peer>(bench: &mut Bench) {
    bench.ask_outside::<P>("make_and_drop", 1, |batches| {
        let begun = Instant::now();
        for _ in 0..batches {
            drop(black_box(P::new(Drivers::TimeAndSockets)));
        }
        begun.elapsed()
    });
}
