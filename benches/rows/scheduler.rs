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
//! 100,000. No wake crosses threads. smol's timers and sockets are the process's, made once, and
//! `LocalPool` has none, so neither has a loop to make and drop.

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::contenders;
use crate::support::{Contender, Drivers, Peer, Row, Sampler, floor, inside, nanos, wall_time};

const SPAWNED: u64 = 100_000;
const YIELDERS: u64 = 1_000;
/// Yields of each of them in a batch, so that spawning them weighs little.
const YIELDS: u64 = 100;
const RALLIES: u64 = 1_000;
const WAITERS: u64 = 10_000;

fn row(id: &'static str, title: &'static str, operations: u64, contenders: Vec<Contender>) -> Row {
    Row { group: "scheduler", id, title, operations, contenders }
}

/// What happens inside a loop.
pub(crate) fn task_rows() -> Vec<Row> {
    vec![
        row(
            "spawn_and_join",
            "spawn one, join it, in sequence",
            1,
            contenders!(everyone_in_every_way, spawn_and_join(), floor::spawn_and_join()),
        ),
        row(
            "spawn_100000",
            "spawn 100,000, then join all",
            SPAWNED,
            contenders!(everyone, spawn_all(SPAWNED), floor::spawn_all(SPAWNED)),
        ),
        row(
            "yield_alone",
            "yield, one task",
            1,
            contenders!(everyone_in_every_way, yield_alone(), floor::yield_alone()),
        ),
        row(
            "yield_among_1000",
            "yield, 1,000 tasks",
            YIELDERS * YIELDS,
            contenders!(everyone, yield_among(YIELDERS, YIELDS), floor::yield_among(YIELDERS, YIELDS)),
        ),
        row(
            "ping_pong",
            "ping-pong of two tasks through a stored waker",
            2 * RALLIES,
            contenders!(everyone, ping_pong(RALLIES), floor::ping_pong(RALLIES)),
        ),
        row(
            "wake_10000",
            "wake 10,000 waiting tasks",
            WAITERS,
            contenders!(everyone, wake_all(WAITERS), floor::wake_all(WAITERS)),
        ),
    ]
}

/// What is done with a loop as a whole.
pub(crate) fn loop_rows() -> Vec<Row> {
    vec![
        row(
            "block_on_ready",
            "`block_on` of a ready future",
            1,
            contenders!(everyone, block_on_ready(), floor::block_on_ready()),
        ),
        row(
            "make_and_drop",
            "make and drop a loop",
            1,
            contenders!(roundel_and_tokio, make_and_drop(), floor::make_and_drop()),
        ),
    ]
}

fn spawn_and_join<P: Peer>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| {
        wall_time(batches, async || {
            let output = P::spawn(async { black_box(1_u64) }).await;
            assert!(output.is_ok());
        })
        .await
    })
}

pub(crate) fn spawn_all<P: Peer>(tasks: u64) -> Sampler {
    inside::<P>(Drivers::None, async move |batches| {
        wall_time(batches, async || {
            let tasks: Vec<_> = (0..tasks).map(|n| P::spawn(async move { black_box(n) })).collect();
            for task in tasks {
                assert!(task.await.is_ok());
            }
        })
        .await
    })
}

fn yield_alone<P: Peer>() -> Sampler {
    inside::<P>(Drivers::None, async |batches| wall_time(batches, P::yield_now).await)
}

pub(crate) fn yield_among<P: Peer>(tasks: u64, yields: u64) -> Sampler {
    inside::<P>(Drivers::None, async move |batches| {
        wall_time(batches, async || {
            let yielder = async move || {
                for _ in 0..yields {
                    P::yield_now().await;
                }
            };
            let tasks: Vec<_> = (0..tasks).map(|_| P::spawn(async move { yielder().await })).collect();
            for task in tasks {
                assert!(task.await.is_ok());
            }
        })
        .await
    })
}

/// Two players; the ball is with the one whose number is here.
#[derive(Default)]
struct Table {
    ball: Cell<usize>,
    wakers: [Cell<Option<Waker>>; 2],
}

impl Table {
    /// Plays the ball to the other side.
    #[inline(always)]
    fn play(&self, player: usize) {
        self.ball.set(1 - player);
        if let Some(waker) = self.wakers[1 - player].take() {
            waker.wake();
        }
    }
}

/// Waits until the ball is on the player's side.
struct HasTheBall<'a> {
    table: &'a Table,
    player: usize,
}

impl Future for HasTheBall<'_> {
    type Output = ();

    // Always: or the compiler decides anew with every change elsewhere, and the row wanders by a tenth.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let HasTheBall { table, player } = *self;
        if table.ball.get() != player {
            table.wakers[player].set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

fn ping_pong<P: Peer>(rallies: u64) -> Sampler {
    inside::<P>(Drivers::None, async move |batches| {
        wall_time(batches, async || {
            let table = Rc::new(Table::default());
            let players = [0, 1].map(|player| {
                let table = table.clone();
                P::spawn(async move {
                    for _ in 0..rallies {
                        HasTheBall { table: &table, player }.await;
                        table.play(player);
                    }
                })
            });
            for player in players {
                assert!(player.await.is_ok());
            }
        })
        .await
    })
}

/// Where tasks wait for the next round, and one task for all of them to have had it.
#[derive(Default)]
struct Gate {
    waiters: usize,
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
            if waiting.len() == self.waiters
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
            if self.waiting.borrow().len() == self.waiters {
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

pub(crate) fn wake_all<P: Peer>(waiters: u64) -> Sampler {
    inside::<P>(Drivers::None, async move |batches| {
        let gate = Rc::new(Gate { waiters: waiters as usize, ..Gate::default() });
        // One round more than is measured, in which they finish.
        let waiter = |gate: Rc<Gate>| async move {
            for round in 1..=batches + 1 {
                gate.pass(round).await;
            }
        };
        let tasks: Vec<_> = (0..waiters).map(|_| P::spawn(waiter(gate.clone()))).collect();
        gate.all_waiting().await;
        let elapsed = wall_time(batches, async || {
            gate.open();
            gate.all_waiting().await;
        })
        .await;
        gate.open();
        for task in tasks {
            assert!(task.await.is_ok());
        }
        elapsed
    })
}

fn block_on_ready<P: Peer>() -> Sampler {
    let peer = P::new(Drivers::None);
    Box::new(move |batches| {
        let begun = Instant::now();
        for _ in 0..batches {
            black_box(peer.block_on(ready(black_box(1))));
        }
        nanos(begun.elapsed())
    })
}

fn make_and_drop<P: Peer>() -> Sampler {
    Box::new(|batches| {
        let begun = Instant::now();
        for _ in 0..batches {
            drop(black_box(P::new(Drivers::TimeAndSockets)));
        }
        nanos(begun.elapsed())
    })
}
