//! Models of all that crosses threads: every order in which two threads can meet, tried by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release --test loom
//! ```
//!
//! The three files in which threads meet (inbox, answer, pool) are built here as they are, with loom's
//! locks and atomics in place of the library's door to std's, `runtime/locks.rs`. A model fails if in any
//! order an assertion fails, or if all threads wait: a lost wake-up is such a deadlock.
//!
//! | what meets | model | row of the bug catalogue |
//! |---|---|---|
//! | a wake, and the loop that goes to sleep | a_wake_meets_a_loop_that_goes_to_sleep | K17, K31 |
//! | two wakes, and the loop that goes to sleep | a_sleeping_loop_is_unparked_once_by_two_threads | K45 |
//! | a wake, and the loop's death | a_wake_meets_the_loops_death | K13, K14, K15 |
//! | an errand, and the loop's death | an_errand_is_run_or_given_back_whenever_the_loop_dies | K4, B3 |
//! | a number's next loop, and an old waker | a_late_wake_meets_the_next_loop_of_that_number | K47 |
//! | a remote cancel, and the task's end | a_cancel_meets_the_end_of_the_task | K9, K11, K57 |
//! | a remote cancel, and the task's making | a_cancel_meets_the_beginning_of_the_task | K10, K11 |
//! | a remote cancel and the handle's drop, and the task's making | a_cancel_whose_asker_goes_meets_the_beginning_of_the_task | K11 |
//! | the answer, and whoever awaits it | an_answer_meets_the_one_who_awaits_it | K19, B8 |
//! | the answer, and whoever goes away | an_answer_meets_an_asker_who_goes | K19 |
//! | a job, and a thread that goes idle | a_job_meets_a_thread_that_goes_idle | B1 |
//! | a job, and a thread that tells of the one before | jobs_one_after_another_are_run_by_one_thread | B1 |
//! | jobs that need each other | jobs_that_need_each_other_get_a_thread_each | B1 |
//! | a job, and the pool's end | a_job_meets_the_end_of_the_pool | B2, B3, B4 |
#![cfg(loom)]
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs, reason = "of each file a model uses some")]

use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker};

use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use answer::{Answer, Told, answer, answer_watched_by};
use arena::Key;
use inbox::{Address, Errand, Mail};
use pool::Pool;

#[path = "../runtime/answer.rs"]
mod answer;
#[path = "../runtime/arena.rs"]
mod arena;
#[path = "../runtime/clock.rs"]
mod clock;
#[path = "../runtime/inbox.rs"]
mod inbox;
#[path = "../runtime/join_error.rs"]
mod join_error;
#[path = "../runtime/observer.rs"]
mod observer;
#[path = "../runtime/pool.rs"]
mod pool;
#[path = "../runtime/quietly.rs"]
mod quietly;

/// What stands in for `runtime/locks.rs`.
mod locks {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::Builder as ThreadBuilder;

    macro_rules! shared {
        ($(#[$doc:meta])* static $name:ident: [$type:ty; $len:expr] = $value:expr) => {
            loom::lazy_static! {
                $(#[$doc])*
                static ref $name: [$type; $len] = std::array::from_fn(|_| $value);
            }
        };
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr) => {
            loom::lazy_static! {
                $(#[$doc])*
                static ref $name: $type = $value;
            }
        };
    }
    pub(crate) use shared;
}

/// Tries `story` in every order, and says how many those were.
fn model(name: &str, story: impl Fn() + Send + Sync + 'static) {
    bounded(None, name, story);
}

/// The same with so many preemptions at most, where every order would take hours.
fn bounded(preemptions: impl Into<Option<usize>>, name: &str, story: impl Fn() + Send + Sync + 'static) {
    let orders = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions.into();
    builder.check({
        let orders = orders.clone();
        move || {
            orders.fetch_add(1, Ordering::Relaxed);
            story();
        }
    });
    println!("{name}: {} orders", orders.load(Ordering::Relaxed));
}

/// Where the loop sleeps. Unparked as by mio's waker: now or, if it does not sleep, the next time.
struct Bed {
    notify: Notify,
    unparks: AtomicUsize,
}

impl Bed {
    fn new() -> StdArc<Bed> {
        StdArc::new(Bed { notify: Notify::new(), unparks: AtomicUsize::new(0) })
    }

    fn unparks(&self) -> usize {
        self.unparks.load(Ordering::SeqCst)
    }
}

impl Wake for Bed {
    fn wake(self: StdArc<Self>) {
        self.unparks.fetch_add(1, Ordering::SeqCst);
        self.notify.notify();
    }
}

/// A waker as a task of the loop has it.
struct TaskWaker(u32, Key);

impl Wake for TaskWaker {
    fn wake(self: StdArc<Self>) {
        inbox::wake(self.0, self.1);
    }
}

fn open(bed: &StdArc<Bed>) -> Address {
    Address::open(Waker::from(bed.clone())).unwrap()
}

fn key(index: u32) -> Key {
    Key { index, life: 1 }
}

fn collect(address: Address) -> Mail {
    let mut mail = Mail::default();
    address.collect(&mut mail);
    mail
}

/// The loop's part, as event_loop.rs has it when no task is ready. Gives the mail, and how often it slept.
fn next_mail(address: Address, bed: &Bed) -> (Mail, usize) {
    let mut slept = 0;
    loop {
        if address.has_mail() {
            return (collect(address), slept);
        }
        if address.settle() {
            slept += 1;
            bed.notify.wait();
            address.rise();
        }
    }
}

#[test]
fn a_wake_meets_a_loop_that_goes_to_sleep() {
    model("a wake and a loop that goes to sleep", || {
        let bed = Bed::new();
        let address = open(&bed);
        let written = Arc::new(AtomicUsize::new(0));
        let other = thread::spawn({
            let written = written.clone();
            move || {
                written.store(1, Ordering::Relaxed);
                inbox::wake(address.number(), key(0));
            }
        });
        let (mail, _) = next_mail(address, &bed);
        assert_eq!(mail.wakes, [key(0)]);
        assert_eq!(written.load(Ordering::Relaxed), 1, "what was written before the wake is seen after it");
        other.join().unwrap();
        address.close();
    });
}

#[test]
fn a_sleeping_loop_is_unparked_once_by_two_threads() {
    bounded(4, "two wakes and a loop that goes to sleep", || {
        let bed = Bed::new();
        let address = open(&bed);
        let others = [0, 1].map(|index| thread::spawn(move || inbox::wake(address.number(), key(index))));
        let (mut woken, mut sleeps) = (Vec::new(), 0);
        while woken.len() < 2 {
            let (mail, slept) = next_mail(address, &bed);
            woken.extend(mail.wakes.iter().map(|key| key.index));
            sleeps += slept;
        }
        others.into_iter().for_each(|other| other.join().unwrap());
        woken.sort_unstable();
        assert_eq!(woken, [0, 1]);
        assert!(bed.unparks() <= sleeps, "{} unparks for {sleeps} sleeps", bed.unparks());
        assert!(!address.has_mail());
        address.close();
    });
}

#[test]
fn a_wake_meets_the_loops_death() {
    model("a wake and the loop's death", || {
        let bed = Bed::new();
        let address = open(&bed);
        let other = thread::spawn(move || inbox::wake(address.number(), key(0)));
        let settled = address.settle();
        address.close();
        other.join().unwrap();
        assert!(!address.is_alive());
        assert!(bed.unparks() <= usize::from(settled));
    });
}

#[test]
fn an_errand_is_run_or_given_back_whenever_the_loop_dies() {
    model("an errand and the loop's death", || {
        let bed = Bed::new();
        let address = open(&bed);
        let other = thread::spawn(move || address.send(Errand::Cancel(key(0), 1)).is_ok());
        let run = collect(address).errands.len();
        let given_back = address.close().len();
        let accepted = other.join().unwrap();
        assert_eq!(run + given_back, usize::from(accepted));
    });
}

#[test]
fn a_late_wake_meets_the_next_loop_of_that_number() {
    model("a late wake and the next loop of that number", || {
        let bed = Bed::new();
        let (old, _second) = (open(&bed), open(&bed));
        let other = thread::spawn(move || {
            inbox::wake(old.number(), key(0));
            old.send(Errand::Cancel(key(0), 1)).is_ok()
        });
        let given_back = old.close().len();
        let new = open(&bed);
        assert_eq!(new.number(), old.number(), "there are only two");
        let accepted = other.join().unwrap();
        assert_eq!(given_back, usize::from(accepted));
        let mail = collect(new);
        assert!(mail.wakes.len() <= 1, "a wake for nothing, which every future allows");
        assert!(mail.errands.is_empty(), "but nothing that was meant for the old one");
        new.close();
    });
}

/// The loop's part of a task sent to it, as handle.rs has it: says how it is stopped, and goes on.
/// Gives the answer back if the task is to run.
fn begin(answer: Answer<u32>, address: Address) -> Option<Answer<u32>> {
    if !answer.begin() && !answer.is_unasked() {
        return None;
    }
    let stop = move || drop(address.send(Errand::Cancel(key(0), 1)));
    let wanted = answer.work().unwrap().stop_by(Box::new(stop));
    wanted.then_some(answer)
}

#[test]
fn a_cancel_meets_the_end_of_the_task() {
    model("a cancel and the end of the task", || {
        let bed = Bed::new();
        let address = open(&bed);
        let (answer, asker) = answer();
        let other = thread::spawn(move || {
            asker.stop();
            asker.wait(None)
        });
        if let Some(answer) = begin(answer, address) {
            // A cancel that came in time drops the task, and the answer with it.
            if collect(address).errands.is_empty() {
                answer.give(Ok(7));
            }
        }
        let Poll::Ready(Some(result)) = other.join().unwrap() else { panic!("there is always an answer") };
        assert!(result.is_ok_and(|value| value == 7) || !address.has_mail());
        address.close();
    });
}

#[test]
fn a_cancel_meets_the_beginning_of_the_task() {
    model("a cancel and the beginning of the task", || {
        let bed = Bed::new();
        let address = open(&bed);
        let (answer, asker) = answer();
        let other = thread::spawn(move || {
            asker.stop();
            asker.wait(None)
        });
        if let Some(answer) = begin(answer, address) {
            // A task that never ends by itself: if the cancel went astray, this waits for ever.
            let (mail, _) = next_mail(address, &bed);
            assert_eq!(mail.errands.len(), 1);
            drop(answer);
        }
        let Poll::Ready(Some(result)) = other.join().unwrap() else { panic!("there is always an answer") };
        assert!(result.unwrap_err().is_cancelled());
        address.close();
    });
}

#[test]
fn a_cancel_whose_asker_goes_meets_the_beginning_of_the_task() {
    model("a cancel whose asker goes, and the beginning of the task", || {
        let bed = Bed::new();
        let address = open(&bed);
        let (answer, asker) = answer();
        let other = thread::spawn(move || {
            asker.stop();
            drop(asker);
        });
        if let Some(answer) = begin(answer, address) {
            let (mail, _) = next_mail(address, &bed);
            assert_eq!(mail.errands.len(), 1);
            drop(answer);
        }
        other.join().unwrap();
        address.close();
    });
}

#[test]
fn an_answer_meets_the_one_who_awaits_it() {
    model("an answer and the one who awaits it", || {
        let bed = Bed::new();
        let address = open(&bed);
        let told = Told::not_yet();
        let (answer, asker) = answer_watched_by(Some((Waker::noop().clone(), told.clone())));
        let other = thread::spawn(move || answer.give(Ok(7)));
        let waker = Waker::from(StdArc::new(TaskWaker(address.number(), key(0))));
        let mut cx = Context::from_waker(&waker);
        let result = match asker.poll(&mut cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                if told.is_told() {
                    assert!(!address.settle(), "who was told has mail: virtual time does not jump past it");
                }
                assert_eq!(next_mail(address, &bed).0.wakes, [key(0)]);
                let Poll::Ready(result) = asker.poll(&mut cx) else { panic!("woken for nothing") };
                result
            }
        };
        assert_eq!(result.unwrap().unwrap(), 7);
        other.join().unwrap();
        assert!(told.is_told());
        address.close();
    });
}

#[test]
fn an_answer_meets_an_asker_who_goes() {
    model("an answer and an asker who goes", || {
        let (answer, asker) = answer();
        let value = Arc::new(());
        let other = thread::spawn({
            let value = value.clone();
            move || {
                if answer.begin() {
                    answer.give(Ok(value));
                }
            }
        });
        assert!(asker.poll(&mut Context::from_waker(Waker::noop())).is_pending() || asker.is_given());
        drop(asker);
        other.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1, "the value was dropped, once");
    });
}

/// A job that answers, as thread.rs makes it.
fn job(answer: Answer<u32>, value: u32) -> pool::Job {
    Box::new(move |worked| {
        if answer.begin() {
            answer.give_after(Ok(value), |_| worked());
        }
    })
}

#[test]
fn a_job_meets_a_thread_that_goes_idle() {
    bounded(None, "two jobs and a thread that goes idle", || {
        let pool = Pool::new(Some(1));
        let askers = [1, 2].map(|value| {
            let (answer, asker) = answer();
            pool.submit(job(answer, value)).unwrap();
            asker
        });
        let results = askers.map(|asker| match asker.wait(None) {
            Poll::Ready(Some(result)) => result.unwrap(),
            _ => panic!("each job has run"),
        });
        assert_eq!(results, [1, 2]);
        // An idle thread that is not told waits for ever, which the model would report.
        assert!(pool.close().is_empty());
    });
}

#[test]
fn jobs_one_after_another_are_run_by_one_thread() {
    bounded(None, "two jobs, one after the other", || {
        let pool = Pool::new(Some(2));
        for value in [1, 2] {
            let (answer, asker) = answer();
            pool.submit(job(answer, value)).unwrap();
            assert!(matches!(asker.wait(None), Poll::Ready(Some(Ok(it))) if it == value));
        }
        assert_eq!(pool.threads(), 1, "it was about to look for more");
        assert!(pool.close().is_empty());
    });
}

#[test]
fn jobs_that_need_each_other_get_a_thread_each() {
    bounded(2, "two jobs that need each other, and one idle thread", || {
        let pool = Pool::new(Some(2));
        let (answer, asker) = answer::answer();
        pool.submit(job(answer, 0)).unwrap();
        assert!(matches!(asker.wait(None), Poll::Ready(Some(Ok(0)))));
        let (first, first_asker) = answer::answer();
        let (second, second_asker) = answer::answer();
        pool.submit(Box::new(move |_| {
            let _ = second_asker.wait(None);
            first.give(Ok(1));
        }))
        .unwrap();
        pool.submit(job(second, 2)).unwrap();
        assert!(matches!(first_asker.wait(None), Poll::Ready(Some(Ok(1)))));
        drop(pool.close());
    });
}

#[test]
fn a_job_meets_the_end_of_the_pool() {
    bounded(4, "jobs and the end of the pool", || {
        let pool = Pool::new(Some(2));
        let askers = [1, 2].map(|value| {
            let (answer, asker) = answer();
            pool.submit(job(answer, value)).unwrap();
            asker
        });
        let called_off = askers[1].call_off();
        drop(pool.close());
        let results = askers.map(|asker| asker.wait(None));
        for (number, result) in results.into_iter().enumerate() {
            let Poll::Ready(Some(result)) = result else { panic!("there is always an answer") };
            match result {
                Ok(value) => assert!(value == number as u32 + 1 && !(number == 1 && called_off)),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        let (answer, asker) = answer();
        assert!(pool.submit(job(answer, 3)).is_err(), "too late");
        let Poll::Ready(Some(Err(error))) = asker.wait(None) else { panic!("it never ran") };
        assert!(error.is_cancelled());
    });
}
