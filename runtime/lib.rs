//! Roundel: an async runtime for one thread, whose heart can be read in an hour.
//!
//! ```
//! use std::time::Duration;
//! use roundel::{gather, sleep};
//!
//! let greetings = roundel::block_on(async {
//!     gather(["Hello", "world"].map(|word| async move {
//!         sleep(Duration::from_millis(1)).await;
//!         word
//!     })).await
//! });
//! assert_eq!(greetings, ["Hello", "world"]);
//! ```
//!
//! Futures here are not `Send`, and need not be: a loop, its tasks and its primitives live on one
//! thread. Only wakers, [`Handle`], [`CancelHandle`] and [`RemoteHandle`] cross threads.
//!
//! # A tour
//!
//! | to | use |
//! |---|---|
//! | run | [`block_on`], or an [`EventLoop`] of your own |
//! | make tasks | [`spawn()`] gives a handle to await or to cancel |
//! | run many | [`gather()`] and [`gather!`] in argument order, [`as_completed()`] in order of completion, [`TaskGroup`] |
//! | wait | [`sleep`], [`timeout`], [`interval`], [`yield_now()`] |
//! | meet | [`sync`]: `Lock`, `Semaphore`, `Event`, `Condition`, `Barrier`, `Queue`, `oneshot`, `OnceCell` |
//! | talk | [`net`]: `TcpListener`, `TcpStream` |
//! | block | [`to_thread`] |
//! | come from another thread | [`Handle`] |
//! | watch, steer, repeat | [`Observer`], [`Clock`], [`Order`], and what [`study`] makes of them |
//! | step back | [`generator()`] and [`RoundRobin`]: the same idea without wakers |
//!
//! # The house
//!
//! A file imports from lower floors only; `tests/floors.rs` reads the imports and holds it to that.
//!
//! ```text
//! 7  study/*                                               watched, explained, repeated
//! 6  time  net/*  spawn  gather  as_completed  group       what a task calls
//!    thread  handle                                        other threads: out, and in
//! 5  builder  event_loop  context                          takes turns; which loop this thread is in
//! 4  scheduler                driver                       run tasks  |  wait for the world
//! 3  join_handle  home  waker                              a handle; a number that wakes
//! 2  task  answer                                          a boxed future, and its result
//! 1  task_queue  inbox  arrivals  order  reactor  timer_wheel  pool  wait_list  join_error
//! 0  arena  wakers  keep  observer  clock  quietly  locks  pure data, and the door to std's locks
//!    beside: sync/* (on wait_list), yield_now, generator: they run under any executor
//! ```

mod answer;
mod arena;
mod arrivals;
mod as_completed;
mod builder;
mod clock;
mod context;
mod driver;
mod event_loop;
mod gather;
mod generator;
mod group;
mod handle;
mod home;
mod inbox;
mod join_error;
mod join_handle;
mod keep;
mod locks;
pub mod net;
mod observer;
mod order;
mod pool;
mod quietly;
mod reactor;
mod scheduler;
mod spawn;
pub mod study;
pub mod sync;
mod task;
mod task_queue;
mod thread;
mod time;
mod timer_wheel;
mod wait_list;
mod waker;
mod wakers;
mod yield_now;

pub use as_completed::{AsCompleted, as_completed};
pub use builder::Builder;
pub use clock::{Clock, Instant};
pub use event_loop::{EventLoop, block_on};
#[doc(hidden)]
pub use gather::for_macros;
pub use gather::{Gather, GatherSettled, TryGather, gather, gather_settled, try_gather};
pub use generator::{Generator, RoundRobin, Step, Yield, Yielder, generator, two_way_generator};
pub use group::{GroupClosed, GroupError, GroupHandle, TaskGroup};
pub use handle::{Handle, RemoteHandle};
pub use join_error::JoinError;
pub use join_handle::{CancelHandle, JoinHandle};
pub use observer::{Actor, Behind, Event, Holder, Observer, Outcome, Ran, Resource, TaskId, Waits};
pub use order::Order;
pub use spawn::{all_tasks, current_task, spawn, spawn_named};
pub use task::TaskInfo;
pub use thread::{ThreadHandle, to_thread};
pub use time::{Elapsed, Interval, MissedTicks, Sleep, interval, sleep, sleep_until, timeout, timeout_at};
pub use yield_now::{YieldNow, yield_now};

/// The README's programs, compiled with the other examples of this documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
