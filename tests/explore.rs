//! Exploration counts what can be counted by hand: every row of the seed catalogue's oracles.
//!
//! | promise | test |
//! |---|---|
//! | lost update, 2 tasks: 6 | two_tasks_lose_an_update_in_four_of_six_schedules |
//! | 3 tasks: 90 | three_tasks_have_90_schedules |
//! | 4 tasks: 2,520 | four_tasks_have_2520_schedules |
//! | with a lock always right | with_a_lock_no_update_is_lost |
//! | bank without a lock: 1,554 | the_bank_without_a_lock_has_1554_schedules |
//! | the same with sleeps that race | the_bank_that_sleeps_has_as_many_if_timers_race |
//! | bank with a lock: 336 | the_bank_with_a_lock_has_336_schedules_and_never_pays_too_much |
//! | two locks, nothing between: 2 | two_locks_with_nothing_between_are_taken_together |
//! | two locks, an await between: 6 | two_locks_with_an_await_between_deadlock_in_four_of_six_schedules |
//! | 3 philosophers: 102 | three_philosophers_starve_in_48_of_102_schedules |
//! | 4 philosophers: 3,840 | four_philosophers_starve_in_1088_of_3840_schedules |
//! | cache lock: 1,034 and 3,832 | the_cache_is_loaded_twice_in_78_schedules_and_with_a_second_look_in_none |
//!
//! What else is promised of an exploration is in `explore_promises.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use roundel::study::{Exploration, Explore, FailureKind, explore, replay};
use roundel::sync::Lock;
use roundel::{gather, sleep, yield_now};

/// The shortest schedule that gives an outcome like this one, the first of them.
fn first_with<T: Ord + std::fmt::Debug, F: Future<Output = T>>(
    program: impl FnMut() -> F,
    wanted: impl Fn(&T) -> bool + 'static,
) -> String {
    let exploration = Explore::new().expect(move |outcome| !wanted(outcome)).run(program);
    exploration.schedule().unwrap().to_owned()
}

fn histogram<T: Ord + Clone>(exploration: &Exploration<T>) -> Vec<(T, usize)> {
    exploration.outcomes().iter().map(|(outcome, times)| (outcome.clone(), *times)).collect()
}

async fn lost_update(tasks: usize) -> usize {
    let counter = Rc::new(Cell::new(0));
    let add_one = |counter: Rc<Cell<usize>>| async move {
        let read = counter.get();
        yield_now().await;
        counter.set(read + 1);
    };
    gather((0..tasks).map(|_| add_one(counter.clone()))).await;
    counter.get()
}

#[test]
fn two_tasks_lose_an_update_in_four_of_six_schedules() {
    let exploration = explore(|| lost_update(2));
    assert!(exploration.is_complete());
    assert_eq!(exploration.schedules(), 6);
    assert_eq!(histogram(&exploration), [(1, 4), (2, 2)]);
    assert_eq!(first_with(|| lost_update(2), |sum| *sum < 2), "0.1.0.1");
}

#[test]
fn three_tasks_have_90_schedules() {
    let exploration = explore(|| lost_update(3));
    assert_eq!(exploration.schedules(), 90);
    assert_eq!(histogram(&exploration), [(1, 48), (2, 36), (3, 6)]);
    assert_eq!(first_with(|| lost_update(3), |sum| *sum == 1), "0.1.0.2.2.1");
}

#[test]
fn four_tasks_have_2520_schedules() {
    let exploration = explore(|| lost_update(4));
    assert_eq!(exploration.schedules(), 2520);
    assert_eq!(histogram(&exploration), [(1, 1152), (2, 1056), (3, 288), (4, 24)]);
}

#[test]
fn with_a_lock_no_update_is_lost() {
    for tasks in 2..=4 {
        let exploration = Explore::new().expect(move |sum| *sum == tasks).run(|| async move {
            let counter = Rc::new(Lock::new(0));
            let add_one = |counter: Rc<Lock<usize>>| async move {
                let mut counter = counter.acquire().await;
                let read = *counter;
                yield_now().await;
                *counter = read + 1;
            };
            gather((0..tasks).map(|_| add_one(counter.clone()))).await;
            *counter.acquire().await
        });
        exploration.check();
        assert_eq!(histogram(&exploration), [(tasks, exploration.schedules())]);
    }
}

const AMOUNTS: [i64; 4] = [80, 70, 50, 20];

/// What the account ends at, and how many were refused.
async fn bank<F: Future<Output = ()> + 'static>(pause: fn() -> F) -> (i64, u32) {
    let (balance, refusals) = (Rc::new(Cell::new(100)), Rc::new(Cell::new(0)));
    let withdraw = |amount| {
        let (balance, refusals) = (balance.clone(), refusals.clone());
        async move {
            if balance.get() < amount {
                return refusals.set(refusals.get() + 1);
            }
            pause().await;
            balance.set(balance.get() - amount);
        }
    };
    gather(AMOUNTS.map(withdraw)).await;
    (balance.get(), refusals.get())
}

async fn bank_with_lock<F: Future<Output = ()> + 'static>(pause: fn() -> F) -> (i64, u32) {
    let (balance, refusals) = (Rc::new(Lock::new(100)), Rc::new(Cell::new(0)));
    let withdraw = |amount| {
        let (balance, refusals) = (balance.clone(), refusals.clone());
        async move {
            let mut balance = balance.acquire().await;
            if *balance < amount {
                return refusals.set(refusals.get() + 1);
            }
            pause().await;
            *balance -= amount;
        }
    };
    gather(AMOUNTS.map(withdraw)).await;
    let balance = *balance.acquire().await;
    (balance, refusals.get())
}

async fn a_second() {
    sleep(Duration::from_secs(1)).await;
}

async fn a_turn() {
    yield_now().await;
}

fn by_balance(exploration: &Exploration<(i64, u32)>) -> BTreeMap<i64, usize> {
    let mut balances = BTreeMap::new();
    for ((balance, _), times) in exploration.outcomes() {
        *balances.entry(*balance).or_default() += times;
    }
    balances
}

/// The catalogue's row 3.
const BANK: [(i64, usize); 10] =
    [(-120, 900), (-70, 152), (-50, 164), (-40, 152), (-100, 72), (-30, 12), (-20, 12), (0, 30), (10, 30), (30, 30)];

fn check_bank(exploration: &Exploration<(i64, u32)>) {
    assert!(exploration.is_complete());
    assert_eq!(exploration.schedules(), 1554);
    assert_eq!(by_balance(exploration), BANK.into_iter().collect());
    assert_eq!(exploration.outcomes()[&(-50, 1)], 152);
    assert_eq!(exploration.outcomes()[&(-50, 2)], 12);
}

#[test]
fn the_bank_without_a_lock_has_1554_schedules() {
    check_bank(&explore(|| bank(a_turn)));
    // All check before anybody acts.
    assert_eq!(replay("0.1.2.3", || bank(a_turn)).unwrap().result, Ok((-120, 0)));
    // As low, and earlier in the order of exploration: after 80 are gone there are still the 20 that the last asks for.
    assert_eq!(first_with(|| bank(a_turn), |(balance, _)| *balance == -120), "0.1.2.0.3.1.2.3");
    assert_eq!(first_with(|| bank(a_turn), |(balance, _)| *balance < 0), "0.1.0.1.2.3");
}

#[test]
fn the_bank_that_sleeps_has_as_many_if_timers_race() {
    check_bank(&Explore::new().racing_timers().run(|| bank(a_second)));
    // In virtual time alone nobody acts before all have checked.
    let exploration = explore(|| bank(a_second));
    assert_eq!(exploration.outcomes().keys().collect::<Vec<_>>(), [&(-120, 0)]);
}

#[test]
fn the_bank_with_a_lock_has_336_schedules_and_never_pays_too_much() {
    let expected = [((0, 2), 112), ((10, 2), 112), ((30, 2), 112)];
    for exploration in
        [explore(|| bank_with_lock(a_turn)), Explore::new().racing_timers().run(|| bank_with_lock(a_second))]
    {
        exploration.check();
        assert_eq!(exploration.schedules(), 336);
        assert_eq!(histogram(&exploration), expected);
    }
}

async fn two_locks(pause: bool) {
    let [a, b] = ["a", "b"].map(|name| Rc::new(Lock::new(()).named(name)));
    let task = |first: Rc<Lock<()>>, second: Rc<Lock<()>>| async move {
        let _first = first.acquire().await;
        if pause {
            yield_now().await;
        }
        let _second = second.acquire().await;
    };
    gather([task(a.clone(), b.clone()), task(b, a)]).await;
}

#[test]
fn two_locks_with_nothing_between_are_taken_together() {
    let exploration = explore(|| two_locks(false));
    exploration.check();
    assert_eq!(exploration.schedules(), 2);
}

#[test]
fn two_locks_with_an_await_between_deadlock_in_four_of_six_schedules() {
    let exploration = explore(|| two_locks(true));
    assert_eq!(exploration.schedules(), 6);
    assert_eq!(exploration.outcomes()[&()], 2);
    assert_eq!(exploration.failures_of(FailureKind::Deadlocked), 4);
    // Both have taken one, and then each finds out in a turn of its own that the other is gone.
    assert_eq!(exploration.schedule(), Some("0.1.0.1"));
    let runs = [(); 2].map(|()| replay("0.1", || two_locks(true)).unwrap());
    assert_eq!(runs[0], runs[1]);
    let failure = runs[0].result.as_ref().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Deadlocked);
}

async fn philosophers(number: usize) {
    let forks: Vec<_> = (0..number).map(|_| Rc::new(Lock::new(()))).collect();
    let dine = |left: Rc<Lock<()>>, right: Rc<Lock<()>>| async move {
        let _left = left.acquire().await;
        yield_now().await;
        let _right = right.acquire().await;
    };
    gather((0..number).map(|i| dine(forks[i].clone(), forks[(i + 1) % number].clone()))).await;
}

#[test]
fn three_philosophers_starve_in_48_of_102_schedules() {
    let exploration = explore(|| philosophers(3));
    assert_eq!((exploration.schedules(), exploration.failures_of(FailureKind::Deadlocked)), (102, 48));
}

#[test]
fn four_philosophers_starve_in_1088_of_3840_schedules() {
    let exploration = explore(|| philosophers(4));
    assert!(exploration.is_complete());
    assert_eq!((exploration.schedules(), exploration.failures_of(FailureKind::Deadlocked)), (3840, 1088));
}

/// A cache with one key, and a lock of the kind that SETNX makes.
#[derive(Default)]
struct Cache {
    value: Cell<Option<u32>>,
    locked: Cell<bool>,
    loads: Cell<u32>,
}

/// How often two workers load what one load would do for.
async fn cache(second_look: bool) -> u32 {
    async fn worker(cache: Rc<Cache>, second_look: bool) {
        for _ in 0..3 {
            let found = cache.value.get();
            yield_now().await;
            if found.is_some() {
                return;
            }
            let taken = !cache.locked.replace(true);
            yield_now().await;
            if !taken {
                yield_now().await;
                continue;
            }
            if second_look {
                let found = cache.value.get();
                yield_now().await;
                if found.is_some() {
                    return cache.locked.set(false);
                }
            }
            cache.loads.set(cache.loads.get() + 1);
            yield_now().await;
            cache.value.set(Some(1));
            yield_now().await;
            return cache.locked.set(false);
        }
    }
    let cache = Rc::new(Cache::default());
    gather([(); 2].map(|()| worker(cache.clone(), second_look))).await;
    cache.loads.get()
}

#[test]
fn the_cache_is_loaded_twice_in_78_schedules_and_with_a_second_look_in_none() {
    let exploration = Explore::new().expect(|loads| *loads == 1).run(|| cache(false));
    assert_eq!(exploration.schedules(), 1034);
    assert_eq!(exploration.outcomes()[&2], 78);
    assert_eq!(exploration.failures(), 78);
    assert_eq!(exploration.schedule(), Some("0.0.0.1.0.0.1.1.1.1"));

    let exploration = Explore::new().expect(|loads| *loads == 1).run(|| cache(true));
    exploration.check();
    assert_eq!(exploration.schedules(), 3832);
}
