//! The waker: one number that says which task of which loop to wake.
//!
//! ```text
//!   63        52 51                      26 25                       0
//!   [ loop: 12 ][ life of the slot: 26     ][ slot: 26               ]
//! ```
//!
//! Cloning a waker copies the number and dropping it does nothing, so it crosses threads without a
//! reference count, and it can never reach a future: at worst it names a task that is over, and then
//! it does nothing. (After 2^26 spawns in one slot it may name a later task, which is polled once for
//! nothing; every future must allow that.)
//!
//! Promises: the only `unsafe` expression of the crate is here.
//! Does not know: what a wake does; `home` does.

use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::arena::{INDEX_BITS, Key, LIFE_BITS, LIFE_MASK, MAX_INDEX};
use crate::home;
use crate::keep;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("roundel keeps a waker in one 64-bit word: build it for a 64-bit target");

/// The waker of the task `key` of the loop `number`.
#[inline]
pub(crate) fn waker(number: u32, key: Key) -> Waker {
    made_of(raw(pack(number, key)))
}

/// The same for a task that is asked what it waits for: clones of this one are counted, so that it shows who
/// keeps one, and they are plain ones. It will wake like no other, so that whoever waits has to keep it anew.
pub(crate) fn asking_waker(number: u32, key: Key) -> Waker {
    let data = ptr::without_provenance(pack(number, key) as usize);
    made_of(RawWaker::new(data, &ASKING))
}

#[inline]
fn made_of(raw: RawWaker) -> Waker {
    // SAFETY: the contract of `RawWaker` asks that the four functions be thread-safe and that clone,
    // wake and drop keep a resource's count right. There is no resource: the data is a number that is
    // never turned into a pointer again, and the functions are safe code on that number.
    #[expect(unsafe_code, reason = "the one place where a number becomes a Waker")]
    unsafe {
        Waker::from_raw(raw)
    }
}

/// Whether a waker is of this runtime: what it does can neither panic nor wait.
pub(crate) fn is_ours(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &VTABLE)
}

/// The task that a waker wakes, if it is one of this runtime's.
pub(crate) fn woken_by(waker: &Waker) -> Option<Key> {
    is_ours(waker).then(|| unpack(waker.data().addr() as u64).1)
}

/// A waker that ends the sleep of the loop `number`, and no more: it names the last slot, before any life in it.
pub(crate) fn waker_of_nobody(number: u32) -> Waker {
    waker(number, Key { index: MAX_INDEX, life: 0 })
}

// One address for all wakers, so that `will_wake` can compare it.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);
static ASKING: RawWakerVTable = RawWakerVTable::new(clone_and_count, wake, wake, drop);

fn raw(word: u64) -> RawWaker {
    RawWaker::new(ptr::without_provenance(word as usize), &VTABLE)
}

fn clone(data: *const ()) -> RawWaker {
    raw(data.addr() as u64)
}

fn clone_and_count(data: *const ()) -> RawWaker {
    keep::count_stray();
    clone(data)
}

fn wake(data: *const ()) {
    let (number, key) = unpack(data.addr() as u64);
    home::wake(number, key);
}

fn drop(_: *const ()) {}

fn pack(number: u32, key: Key) -> u64 {
    (u64::from(number) << (LIFE_BITS + INDEX_BITS)) + (u64::from(key.life) << INDEX_BITS) + u64::from(key.index)
}

fn unpack(word: u64) -> (u32, Key) {
    let index = (word & ((1 << INDEX_BITS) - 1)) as u32;
    let life = (word >> INDEX_BITS & LIFE_MASK) as u32;
    ((word >> (LIFE_BITS + INDEX_BITS)) as u32, Key { index, life })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_was_packed_into_it() {
        for (number, index, life) in [(0, 0, 0), (4095, (1 << 26) - 1, (1 << 26) - 1), (7, 1 << 25, 3)] {
            let key = Key { index, life };
            assert_eq!(unpack(pack(number, key)), (number, key));
        }
    }

    #[test]
    fn clones_wake_the_same_task_and_others_do_not() {
        let one = waker(4095, Key { index: 1, life: 1 });
        assert!(one.will_wake(&one.clone()));
        assert!(!one.will_wake(&waker(4095, Key { index: 1, life: 2 })));
    }
}
