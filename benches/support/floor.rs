//! The least code that does the job of each row, by hand. It cancels nothing, names nothing, catches no panic and
//! serves no other job, so no runtime can be there; it says how far from there they are.
//!
//! A task is a boxed future, its waker a number, what is ready stands in a `VecDeque`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn, ready};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Token};

use super::{BUFFER, Sampler, nanos, thread_cpu_time};

pub const NAME: &str = "floor";

type Task<T = ()> = Pin<Box<dyn Future<Output = T>>>;

/// Samples of the wall's time, of a batch that needs no more than to be done.
fn wall(mut batch: impl FnMut() + 'static) -> Sampler {
    Box::new(move |batches| {
        let begun = Instant::now();
        for _ in 0..batches {
            batch();
        }
        nanos(begun.elapsed())
    })
}

fn poll<T>(task: &mut Task<T>) -> Poll<T> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

pub fn spawn_and_join() -> Sampler {
    let mut queue: VecDeque<Task<u64>> = VecDeque::new();
    wall(move || {
        queue.push_back(Box::pin(async { black_box(1_u64) }));
        let mut task = queue.pop_front().expect("it is there");
        assert!(poll(&mut task).is_ready());
    })
}

pub fn spawn_all(tasks: u64) -> Sampler {
    let mut queue: VecDeque<Task<u64>> = VecDeque::new();
    wall(move || {
        for n in 0..tasks {
            queue.push_back(Box::pin(async move { black_box(n) }));
        }
        while let Some(mut task) = queue.pop_front() {
            assert!(poll(&mut task).is_ready());
        }
    })
}

pub fn yield_alone() -> Sampler {
    Box::new(|batches| {
        let begun = Instant::now();
        take_turns(1, batches);
        nanos(begun.elapsed())
    })
}

pub fn yield_among(tasks: u64, yields: u64) -> Sampler {
    wall(move || take_turns(tasks, yields))
}

/// Whoever yields goes to the end of the line.
fn take_turns(tasks: u64, yields: u64) {
    let task = async move || {
        for _ in 0..yields {
            once_pending().await;
        }
    };
    let mut queue: VecDeque<Task> = (0..tasks).map(|_| Box::pin(async move { task().await }) as Task).collect();
    while let Some(mut task) = queue.pop_front() {
        if poll(&mut task).is_pending() {
            queue.push_back(task);
        }
    }
}

fn once_pending() -> impl Future<Output = ()> {
    let mut has_waited = false;
    poll_fn(move |_| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        Poll::Pending
    })
}

/// Runs tasks that wait for each other.
#[derive(Default)]
struct Line {
    ready: RefCell<VecDeque<usize>>,
    /// The one whose turn it is.
    running: Cell<usize>,
}

impl Line {
    fn wake(&self, task: usize) {
        self.ready.borrow_mut().push_back(task);
    }

    async fn yield_now(&self) {
        self.wake(self.running.get());
        once_pending().await;
    }

    /// Until none is ready.
    fn run(&self, tasks: &mut [Task]) {
        loop {
            let Some(next) = self.ready.borrow_mut().pop_front() else { return };
            self.running.set(next);
            let _ = poll(&mut tasks[next]);
        }
    }

    fn run_all(&self, mut tasks: Vec<Task>) {
        self.ready.borrow_mut().extend(0..tasks.len());
        self.run(&mut tasks);
    }
}

pub fn ping_pong(rallies: u64) -> Sampler {
    wall(move || {
        let line = Rc::new(Line::default());
        let ball = Rc::new(Cell::new(0));
        let waiting: Rc<[Cell<Option<usize>>; 2]> = Rc::default();
        let players = [0, 1].map(|player| {
            let (line, ball, waiting) = (line.clone(), ball.clone(), waiting.clone());
            Box::pin(async move {
                for _ in 0..rallies {
                    if ball.get() != player {
                        waiting[player].set(Some(line.running.get()));
                        once_pending().await;
                    }
                    ball.set(1 - player);
                    if let Some(other) = waiting[1 - player].take() {
                        line.wake(other);
                    }
                }
            }) as Task
        });
        line.run_all(players.into());
    })
}

pub fn wake_all(waiters: u64) -> Sampler {
    let line = Rc::new(Line::default());
    let waiting: Rc<RefCell<Vec<usize>>> = Rc::default();
    let waiter = |line: Rc<Line>, waiting: Rc<RefCell<Vec<usize>>>| async move {
        for _ in 0.. {
            waiting.borrow_mut().push(line.running.get());
            once_pending().await;
        }
    };
    let mut tasks: Vec<_> = (0..waiters).map(|_| Box::pin(waiter(line.clone(), waiting.clone())) as Task).collect();
    line.ready.borrow_mut().extend(0..tasks.len());
    line.run(&mut tasks);
    wall(move || {
        for task in waiting.borrow_mut().drain(..) {
            line.wake(task);
        }
        line.run(&mut tasks);
    })
}

pub fn block_on_ready() -> Sampler {
    wall(|| {
        let future = pin!(ready(black_box(1)));
        assert!(black_box(future.poll(&mut Context::from_waker(Waker::noop()))).is_ready());
    })
}

/// What every loop must ask the system for.
pub fn make_and_drop() -> Sampler {
    wall(|| {
        let poll = mio::Poll::new().expect("the system has descriptors left");
        let waker = mio::Waker::new(poll.registry(), Token(0)).expect("likewise");
        drop(black_box((poll, waker)));
    })
}

/// A list of tasks for every millisecond.
pub fn sleep_all(durations: Vec<u64>) -> Sampler {
    let longest = durations.iter().max().map_or(0, |&millis| millis as usize);
    Box::new(move |batches| {
        let begun = thread_cpu_time();
        for _ in 0..batches {
            let line = Rc::new(Line::default());
            let timers: Rc<RefCell<Vec<Vec<usize>>>> = Rc::new(RefCell::new(vec![Vec::new(); longest + 1]));
            let sleeper = |line: Rc<Line>, timers: Rc<RefCell<Vec<Vec<usize>>>>, millis: u64| async move {
                timers.borrow_mut()[millis as usize].push(line.running.get());
                once_pending().await;
            };
            let mut tasks: Vec<_> =
                durations.iter().map(|&n| Box::pin(sleeper(line.clone(), timers.clone(), n)) as Task).collect();
            let start = Instant::now();
            line.ready.borrow_mut().extend(0..tasks.len());
            line.run(&mut tasks);
            for millis in 1..=longest {
                thread::sleep(Duration::from_millis(millis as u64).saturating_sub(start.elapsed()));
                let due = std::mem::take(&mut timers.borrow_mut()[millis]);
                line.ready.borrow_mut().extend(due);
                line.run(&mut tasks);
            }
        }
        nanos(thread_cpu_time() - begun)
    })
}

/// The last of an array of deadlines comes and goes.
pub fn far_sleep_dropped(outstanding: u64) -> Sampler {
    let mut timers: Vec<(u64, usize)> = (0..outstanding).map(|n| (n, 0)).collect();
    wall(move || {
        timers.push(black_box((3_600_000, 1)));
        black_box(&mut timers).pop();
    })
}

pub fn lock_uncontended() -> Sampler {
    let (held, mut count) = (Cell::new(false), 0_u64);
    wall(move || {
        assert!(!black_box(&held).replace(true));
        *black_box(&mut count) += 1;
        held.set(false);
    })
}

/// A count of permits and a line of those who wait for one; what is given back goes to the first of them.
pub fn contended(permits: usize, tasks: u64, turns: u64) -> Sampler {
    wall(move || {
        let line = Rc::new(Line::default());
        let free = Rc::new(Cell::new(permits));
        let waiting: Rc<RefCell<VecDeque<usize>>> = Rc::default();
        let task = |line: Rc<Line>, free: Rc<Cell<usize>>, waiting: Rc<RefCell<VecDeque<usize>>>| async move {
            for _ in 0..turns {
                if free.get() == 0 {
                    waiting.borrow_mut().push_back(line.running.get());
                    once_pending().await;
                } else {
                    free.set(free.get() - 1);
                }
                line.yield_now().await;
                let next = waiting.borrow_mut().pop_front();
                match next {
                    Some(next) => line.wake(next),
                    None => free.set(free.get() + 1),
                }
            }
        };
        let tasks = (0..tasks).map(|_| Box::pin(task(line.clone(), free.clone(), waiting.clone())) as Task);
        line.run_all(tasks.collect());
        assert_eq!(free.get(), permits);
    })
}

pub fn queue(room: usize, items: u64) -> Sampler {
    wall(move || {
        let line = Rc::new(Line::default());
        let queue = Rc::new(RefCell::new(VecDeque::with_capacity(room)));
        let sum = Rc::new(Cell::new(0));
        let waiting: Rc<Cell<Option<usize>>> = Rc::default();
        let wait = async |line: &Line, waiting: &Cell<Option<usize>>| {
            waiting.set(Some(line.running.get()));
            once_pending().await;
        };
        let wake = |line: &Line, waiting: &Cell<Option<usize>>| {
            if let Some(other) = waiting.take() {
                line.wake(other);
            }
        };
        let producer = {
            let (line, queue, waiting) = (line.clone(), queue.clone(), waiting.clone());
            async move {
                for item in 0..items {
                    while queue.borrow().len() == room {
                        wait(&line, &waiting).await;
                    }
                    queue.borrow_mut().push_back(item);
                    wake(&line, &waiting);
                }
            }
        };
        let consumer = {
            let (line, sum) = (line.clone(), sum.clone());
            async move {
                for _ in 0..items {
                    let item = loop {
                        let item = queue.borrow_mut().pop_front();
                        match item {
                            Some(item) => break item,
                            None => wait(&line, &waiting).await,
                        }
                    };
                    sum.set(sum.get() + item);
                    wake(&line, &waiting);
                }
            }
        };
        line.run_all(vec![Box::pin(producer), Box::pin(consumer)]);
        assert_eq!(sum.get(), items * (items - 1) / 2);
    })
}

/// A channel to a thread, and one back.
pub fn to_thread() -> Sampler {
    type Closure = Box<dyn FnOnce() -> u64 + Send>;
    let (closures, work) = mpsc::channel::<Closure>();
    let (results, answers) = mpsc::channel();
    thread::spawn(move || {
        for closure in work {
            if results.send(closure()).is_err() {
                return;
            }
        }
    });
    wall(move || {
        closures.send(Box::new(|| black_box(1))).expect("the thread is there");
        answers.recv().expect("it answers");
    })
}

/// A channel to a thread, which unparks the one that asked.
pub fn wake_from_thread() -> Sampler {
    let (asks, asked) = mpsc::channel::<thread::Thread>();
    let is_woken = Arc::new(AtomicBool::new(false));
    let woken = is_woken.clone();
    thread::spawn(move || {
        for asker in asked {
            woken.store(true, Ordering::Release);
            asker.unpark();
        }
    });
    wall(move || {
        asks.send(thread::current()).expect("the thread is there");
        while !is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    })
}

/// A bare loop on the system's readiness. Gives the processor time of its thread.
pub fn echo(streams: Vec<TcpStream>, bytes: usize) -> f64 {
    let mut poll = mio::Poll::new().expect("the system has descriptors left");
    let mut streams: Vec<_> =
        streams.into_iter().map(|stream| (mio::net::TcpStream::from_std(stream), bytes)).collect();
    for (n, (stream, _)) in streams.iter_mut().enumerate() {
        poll.registry().register(stream, Token(n), Interest::READABLE).expect("a socket can be registered");
    }
    let (mut events, mut buffer) = (Events::with_capacity(1024), [0; BUFFER]);
    let begun = thread_cpu_time();
    let mut left = streams.len();
    while left > 0 {
        poll.poll(&mut events, None).expect("the system waits");
        for event in &events {
            let (stream, bytes) = &mut streams[event.token().0];
            match stream.read(&mut buffer) {
                Ok(0) => panic!("the client asks to the end"),
                // A short message is written at once or not at all, into a buffer that was empty.
                Ok(length) => {
                    stream.write_all(&buffer[..length]).expect("there is room");
                    *bytes -= length;
                    left -= usize::from(*bytes == 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    nanos(thread_cpu_time() - begun)
}

pub fn idle_tasks(tasks: u64) -> Vec<Task> {
    let mut idle: Vec<Task> = Vec::with_capacity(tasks as usize);
    idle.extend((0..tasks).map(|_| Box::pin(async { pending::<()>().await }) as Task));
    idle
}

/// Each beside its deadline and its number, in one array.
pub fn sleeping_tasks(tasks: u64) -> Vec<(Task, Instant, usize)> {
    let far = Instant::now() + Duration::from_secs(3600);
    let mut asleep = Vec::with_capacity(tasks as usize);
    asleep.extend((0..tasks).map(|n| (Box::pin(async { pending::<()>().await }) as Task, far, n as usize)));
    asleep
}
