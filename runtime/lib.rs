//! Roundel

mod arena;
mod clock;
mod context;
mod driver;
mod event_loop;
mod gather;
mod generator;
mod group;
mod handle;
pub mod net;
mod observer;
mod order;
mod pool;
mod reactor;
mod scheduler;
mod spawn;
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

pub use clock::{Clock, Instant};
pub use event_loop::{Builder, EventLoop, block_on};
pub use generator::{Generator, RoundRobin, Step, Yield, Yielder, generator, two_way_generator};
pub use observer::{Actor, Event, Observer, Outcome, Resource, TaskId, Waits};
pub use order::Order;
pub use spawn::{all_tasks, current_task, spawn, spawn_named};
pub use task::{CancelHandle, JoinError, JoinHandle, TaskInfo};
pub use time::{Elapsed, Interval, MissedTicks, Sleep, interval, sleep, sleep_until, timeout, timeout_at};
pub use yield_now::{YieldNow, yield_now};
