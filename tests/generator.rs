//! Stories of generators and of the round-robin scheduler over them.
//!
//! | seed row | test |
//! |---|---|
//! | S2-6, hand-written state machines | `state_machines_tell_the_seven_lines` |
//! | S2-6, async generators | `async_generators_tell_the_seven_lines` |
//! | S2-6, yielded values observable | `what_is_yielded_can_be_seen_and_by_whom` |
//! | S2-6, two-way `send` | `what_is_sent_comes_out_of_the_yield`, `send_before_the_first_yield_names_the_cure` |
//! | S2-6, exceptions thrown in | `an_error_is_thrown_in_by_sending_a_result` |
//! | S2-6, closing a half-run generator | `dropping_a_half_run_generator_drops_its_locals_where_it_stands` |
//! | S2-6, task return value | `a_task_keeps_its_return_value`, `a_parent_waits_for_its_child_by_yielding_from_it` |
//! | S4-4, a subroutine is a special coroutine | `a_generator_that_never_yields_runs_like_a_plain_call` |
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;

use roundel::{Generator, RoundRobin, Step, Yielder, generator, two_way_generator};

const SEVEN_LINES: &str = "hello~ 2\nhi~ 0\nhello~ 1\nhi~ 1\nsay hello\nhi~ 2\nsay hi\n";

/// Lines written by several tasks, in the order they were written.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn line(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }

    fn text(&self) -> String {
        self.take().into_iter().map(|line| line + "\n").collect()
    }
}

/// Writes to the trace when it is dropped.
struct Farewell(Trace, &'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.line(self.1);
    }
}

fn panic_of(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| payload.downcast_ref::<&str>().unwrap().to_string())
}

fn say_hello(trace: Trace, from: u32) -> Generator<'static, Option<u32>> {
    generator(move |y| async move {
        let mut n = from;
        while n > 0 {
            trace.line(format!("hello~ {n}"));
            y.yield_(Some(n)).await;
            n -= 1;
        }
        trace.line("say hello");
    })
}

fn say_hi(trace: Trace, upto: u32) -> Generator<'static, Option<u32>> {
    generator(move |y| async move {
        for x in 0..upto {
            trace.line(format!("hi~ {x}"));
            y.yield_(None).await;
        }
        trace.line("say hi");
    })
}

#[test]
fn async_generators_tell_the_seven_lines() {
    let trace = Trace::default();
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(say_hello(trace.clone(), 2));
    scheduler.new_task(say_hi(trace.clone(), 3));
    scheduler.run();
    assert_eq!(trace.text(), SEVEN_LINES);
}

/// What the compiler makes of `say_hello`, by hand: the locals, and where it stands.
enum SayHello {
    Loop { n: u32, trace: Trace },
    AfterYield { n: u32, trace: Trace },
    Done,
}

impl Iterator for SayHello {
    type Item = Option<u32>;

    fn next(&mut self) -> Option<Option<u32>> {
        let (n, trace) = match std::mem::replace(self, SayHello::Done) {
            SayHello::Loop { n, trace } => (n, trace),
            SayHello::AfterYield { n, trace } => (n - 1, trace),
            SayHello::Done => return None,
        };
        if n == 0 {
            trace.line("say hello");
            return None;
        }
        trace.line(format!("hello~ {n}"));
        *self = SayHello::AfterYield { n, trace };
        Some(Some(n))
    }
}

struct SayHi {
    x: u32,
    upto: u32,
    trace: Trace,
}

impl Iterator for SayHi {
    type Item = Option<u32>;

    fn next(&mut self) -> Option<Option<u32>> {
        if self.x == self.upto {
            self.trace.line("say hi");
            return None;
        }
        self.trace.line(format!("hi~ {}", self.x));
        self.x += 1;
        Some(None)
    }
}

#[test]
fn state_machines_tell_the_seven_lines() {
    let trace = Trace::default();
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(SayHello::Loop { n: 2, trace: trace.clone() });
    scheduler.new_task(SayHi { x: 0, upto: 3, trace: trace.clone() });
    scheduler.run();
    assert_eq!(trace.text(), SEVEN_LINES);
}

#[test]
fn what_is_yielded_can_be_seen_and_by_whom() {
    let trace = Trace::default();
    let mut scheduler = RoundRobin::new();
    assert_eq!(scheduler.new_task(say_hello(trace.clone(), 2)), 0);
    assert_eq!(scheduler.new_task(say_hi(trace, 3)), 1);
    let turns: Vec<_> = scheduler.collect();
    assert_eq!(turns, [(0, Some(2)), (1, None), (0, Some(1)), (1, None), (1, None)]);
}

#[test]
fn nothing_runs_before_the_first_resume() {
    let trace = Trace::default();
    let body = trace.clone();
    let mut numbers = generator(move |y| async move {
        body.line("begun");
        y.yield_(1).await;
    });
    assert!(trace.take().is_empty());
    assert_eq!(numbers.resume(), Step::Yielded(1));
    assert_eq!(trace.take(), ["begun"]);
    assert_eq!(numbers.resume(), Step::Returned(()));
}

#[test]
fn a_generator_that_never_yields_runs_like_a_plain_call() {
    let trace = Trace::default();
    let plain = |trace: &Trace| {
        trace.line("in");
        trace.line("out");
        42
    };
    let called = plain(&trace);
    let transcript = trace.text();

    let body = trace.clone();
    let mut subroutine: Generator<'_, (), u32> = generator(move |_| async move { plain(&body) });
    assert_eq!(subroutine.resume(), Step::Returned(called));
    assert_eq!(trace.text(), transcript);
}

#[test]
fn a_task_keeps_its_return_value() {
    let add_up = |upto: u32| {
        generator(move |y| async move {
            let mut sum = 0;
            for n in 1..=upto {
                sum += n;
                y.yield_(()).await;
            }
            sum
        })
    };
    let (mut few, mut many) = (add_up(3), add_up(10));
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(&mut few);
    scheduler.new_task(&mut many);
    scheduler.run();
    drop(scheduler);
    assert_eq!((few.into_return(), many.into_return()), (Some(6), Some(55)));
}

#[test]
fn a_generator_gives_its_return_value_once_and_then_stays_over() {
    let mut short: Generator<'_, (), &str> = generator(|_| async { "end" });
    assert_eq!(short.next(), None);
    assert!(short.is_finished());
    assert_eq!(short.next(), None);
    assert_eq!(short.resume(), Step::Returned("end"));
    assert_eq!(short.next(), None);
    let message = panic_of(|| {
        let _ = short.resume();
    });
    assert!(message.contains("ask is_finished() first"), "{message}");
    assert_eq!(short.into_return(), None);
}

#[test]
fn what_is_sent_comes_out_of_the_yield() {
    let trace = Trace::default();
    let body = trace.clone();
    let mut parrot = two_way_generator(move |y: Yielder<u32, &str>| async move {
        for n in 0.. {
            match y.yield_(n).await {
                Some("stop") => break,
                word => body.line(format!("{n}: {word:?}")),
            }
        }
    });
    assert_eq!(parrot.resume(), Step::Yielded(0));
    assert_eq!(parrot.send("hello"), Step::Yielded(1));
    assert_eq!(parrot.resume(), Step::Yielded(2));
    assert_eq!(parrot.next(), Some(3));
    assert_eq!(parrot.send("stop"), Step::Returned(()));
    assert_eq!(trace.take(), ["0: Some(\"hello\")", "1: None", "2: None"]);
}

#[test]
fn send_before_the_first_yield_names_the_cure() {
    let mut parrot = two_way_generator(|y| async move { y.yield_(()).await.unwrap_or("") });
    let message = panic_of(|| {
        let _ = parrot.send("too early");
    });
    assert!(message.contains("call resume() first"), "{message}");
    // Nothing is broken: it has not begun.
    assert_eq!(parrot.resume(), Step::Yielded(()));
    assert_eq!(parrot.send("now"), Step::Returned("now"));
}

#[test]
fn an_error_is_thrown_in_by_sending_a_result() {
    let mut worker = two_way_generator(|y| async move {
        let mut done = 0;
        loop {
            match y.yield_(done).await {
                Some(Ok(work)) => done += work,
                Some(Err(reason)) => return format!("stopped after {done}: {reason}"),
                None => {}
            }
        }
    });
    assert_eq!(worker.resume(), Step::Yielded(0));
    assert_eq!(worker.send(Ok(2)), Step::Yielded(2));
    assert_eq!(worker.send(Err("enough")), Step::Returned("stopped after 2: enough".into()));
}

#[test]
fn a_word_sent_to_a_yield_that_was_given_up_is_dropped() {
    let mut numbers = two_way_generator(|y: Yielder<u32, &str>| async move {
        {
            // Given up by whoever polls it: the value is out, and the answer is not asked for.
            let mut first = pin!(y.yield_(1));
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                if polls == 1 { first.as_mut().poll(cx).map(drop) } else { std::task::Poll::Ready(()) }
            })
            .await;
        }
        y.yield_(2).await
    });
    assert_eq!(numbers.resume(), Step::Yielded(1));
    assert_eq!(numbers.send("for the first"), Step::Yielded(2));
    assert_eq!(numbers.resume(), Step::Returned(None));
}

#[test]
fn dropping_a_half_run_generator_drops_its_locals_where_it_stands() {
    let trace = Trace::default();
    let body = trace.clone();
    let mut steps = generator(move |y| async move {
        let _outer = Farewell(body.clone(), "outer");
        {
            let _inner = Farewell(body.clone(), "inner");
            y.yield_(1).await;
        }
        body.line("never reached");
    });
    assert_eq!(steps.next(), Some(1));
    drop(steps);
    assert_eq!(trace.take(), ["inner", "outer"]);
}

#[test]
fn locals_are_gone_before_the_return_value_is_seen() {
    let trace = Trace::default();
    let body = trace.clone();
    let mut short: Generator<'_, (), ()> = generator(move |_| async move {
        let _local = Farewell(body.clone(), "local");
        body.line("last statement");
    });
    assert_eq!(short.resume(), Step::Returned(()));
    trace.line("returned");
    assert_eq!(trace.take(), ["last statement", "local", "returned"]);
}

/// A tree, walked in order: the classic use of `yield from`.
struct Tree {
    value: u32,
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
}

impl Tree {
    fn walk(&self) -> Generator<'_, u32> {
        generator(async |y| {
            if let Some(left) = &self.left {
                y.yield_from(left.walk()).await;
            }
            y.yield_(self.value).await;
            if let Some(right) = &self.right {
                y.yield_from(right.walk()).await;
            }
        })
    }
}

#[test]
fn a_generator_may_borrow_and_recurse() {
    let leaf = |value| Some(Box::new(Tree { value, left: None, right: None }));
    let right = Some(Box::new(Tree { value: 4, left: leaf(3), right: leaf(5) }));
    let tree = Tree { value: 2, left: leaf(1), right };
    assert_eq!(tree.walk().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(tree.walk().take(2).sum::<u32>(), 3);
}

#[test]
fn a_parent_waits_for_its_child_by_yielding_from_it() {
    let trace = Trace::default();
    let body = trace.clone();
    let parent = generator(move |y| async move {
        let mut child = generator(|y| async move {
            y.yield_("child 1").await;
            y.yield_("child 2").await;
            7
        });
        y.yield_from(&mut child).await;
        body.line(format!("child returned {:?}", child.into_return()));
        y.yield_("parent").await;
    });
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(parent);
    scheduler.new_task(["other"; 3].into_iter());
    let turns: Vec<_> = scheduler.map(|(_, value)| value).collect();
    assert_eq!(turns, ["child 1", "other", "child 2", "other", "parent", "other"]);
    assert_eq!(trace.take(), ["child returned Some(7)"]);
}

#[test]
fn an_async_function_may_yield_for_the_body() {
    async fn twice(y: &Yielder<u32>, value: u32) {
        y.yield_(value).await;
        y.yield_(value).await;
    }
    let pairs = generator(|y| async move {
        twice(&y, 1).await;
        twice(&y, 2).await;
    });
    assert_eq!(pairs.collect::<Vec<_>>(), [1, 1, 2, 2]);
}

#[test]
fn a_scheduler_is_a_task_of_another() {
    let mut inner = RoundRobin::new();
    inner.new_task(["a", "b"].into_iter());
    inner.new_task(["x"].into_iter());
    let mut outer = RoundRobin::new();
    outer.new_task(inner.map(|(_, value)| value));
    outer.new_task(["1", "2", "3"].into_iter());
    let turns: Vec<_> = outer.map(|(_, value)| value).collect();
    assert_eq!(turns, ["a", "1", "x", "2", "b", "3"]);
}

#[test]
fn tasks_may_be_added_between_two_turns() {
    let mut scheduler = RoundRobin::default();
    scheduler.new_task(["a", "b"].into_iter());
    assert_eq!(scheduler.next(), Some((0, "a")));
    scheduler.new_task(["x"].into_iter());
    assert_eq!(scheduler.by_ref().collect::<Vec<_>>(), [(0, "b"), (1, "x")]);
    assert_eq!(scheduler.next(), None);
}

#[test]
fn a_panicking_task_is_gone_and_the_others_go_on() {
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(generator(|y| async move {
        y.yield_("a").await;
        panic!("out of order");
    }));
    scheduler.new_task(["x", "y"].into_iter());
    assert_eq!(scheduler.by_ref().take(2).collect::<Vec<_>>(), [(0, "a"), (1, "x")]);
    let message = panic_of(|| scheduler.run());
    assert_eq!(message, "out of order");
    assert_eq!(scheduler.collect::<Vec<_>>(), [(1, "y")]);
}

#[test]
fn a_generator_that_panicked_is_over() {
    let mut bad: Generator<'_, (), ()> = generator(|_| async { panic!("first and last") });
    assert_eq!(
        panic_of(|| {
            let _ = bad.resume();
        }),
        "first and last"
    );
    assert!(bad.is_finished());
    assert_eq!(bad.next(), None);
    assert_eq!(bad.into_return(), None);
}

#[test]
fn awaiting_something_else_names_the_generator_and_the_cure() {
    let line = line!() + 1;
    let mut waiting: Generator<'_, (), ()> = generator(|_| std::future::pending());
    let message = panic_of(|| {
        let _ = waiting.resume();
    });
    assert!(message.contains(&format!("generator.rs:{line}:")), "{message}");
    assert!(message.contains("do the waiting in a task"), "{message}");
    assert_eq!(waiting.next(), None);
}

#[test]
fn the_loops_own_futures_are_refused_in_a_generator_too() {
    roundel::block_on(async {
        for which in 0..2 {
            let mut waiting: Generator<'_, ()> = generator(move |_| async move {
                match which {
                    0 => roundel::yield_now().await,
                    _ => roundel::sleep(std::time::Duration::from_secs(3600)).await,
                }
            });
            let message = panic_of(|| {
                let _ = waiting.resume();
            });
            assert!(message.contains("awaits something else"), "{message}");
        }
    });
}

#[test]
fn an_await_that_is_ready_at_once_is_no_wait() {
    let mut ready = generator(|y| async move {
        let value = std::future::ready(5).await;
        y.yield_(value).await;
    });
    assert_eq!(ready.next(), Some(5));
}

#[test]
fn a_generator_runs_inside_a_task_and_tasks_run_on_between_its_steps() {
    let trace = Trace::default();
    roundel::block_on(async {
        let numbers = trace.clone();
        let counting = roundel::spawn(async move {
            for n in generator(|y| async move { y.yield_from(1..=3).await }) {
                numbers.line(format!("{n}"));
                roundel::yield_now().await;
            }
        });
        let letters = trace.clone();
        let spelling = roundel::spawn(async move {
            for letter in ["a", "b", "c"] {
                letters.line(letter);
                roundel::yield_now().await;
            }
        });
        counting.await.unwrap();
        spelling.await.unwrap();
    });
    assert_eq!(trace.take(), ["1", "a", "2", "b", "3", "c"]);
}

#[test]
fn a_yield_outside_its_generator_is_refused() {
    let mut escape: Generator<'_, u32, Yielder<u32>> = generator(|y| async { y });
    let Step::Returned(y) = escape.resume() else { panic!("it yields nothing") };
    let message = panic_of(|| {
        roundel::block_on(async move {
            y.yield_(1).await;
        })
    });
    assert!(message.contains("outside its generator's body"), "{message}");
}

#[test]
fn two_yields_at_once_are_refused() {
    let mut both = generator(|y| async move {
        futures::future::join(y.yield_(1), y.yield_(2)).await;
    });
    let message = panic_of(|| {
        let _ = both.resume();
    });
    assert!(message.contains("await one yield_() before the next"), "{message}");
}

#[test]
fn a_yield_that_is_polled_for_nothing_is_yielded_once() {
    let numbers = generator(|y| async move {
        let mut once = pin!(y.yield_(1));
        poll_fn(|cx| {
            let first = once.as_mut().poll(cx);
            if first.is_pending() { once.as_mut().poll(cx) } else { first }
        })
        .await;
        y.yield_(2).await;
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn everything_prints_itself() {
    let mut numbers = generator(|y| async move {
        assert_eq!(format!("{y:?}"), "Yielder { .. }");
        assert_eq!(format!("{:?}", y.yield_(1)), "Yield { yielded: false }");
        y.yield_(1).await;
    });
    let shown = format!("{numbers:?}");
    assert!(shown.starts_with("Generator { stage: Fresh, site: ") && shown.contains("generator.rs:"), "{shown}");
    numbers.next();
    assert!(format!("{numbers:?}").contains("Suspended"));
    let mut scheduler = RoundRobin::new();
    scheduler.new_task(numbers);
    assert_eq!(format!("{scheduler:?}"), "RoundRobin { tasks: [0] }");
}
