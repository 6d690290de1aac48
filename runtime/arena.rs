//! The arena: slots that know how many lives they have had, and FIFO lists threaded through them.
//!
//! ```text
//!   Key { index: 2, life: 7 } ---> slot 2, serial 7: found
//!   Key { index: 2, life: 4 } ---> slot 2, serial 7: nothing (that life is over)
//! ```
//!
//! Tasks, I/O sources and waiters all live in one of these and are named by [`Key`].
//!
//! Promises: a key of a removed value finds nothing, until 2^26 later inserts have put a value with
//! the same life into the same slot; push, pop and unlink take constant time and allocate nothing.
//! Does not know: what it holds.

use slab::Slab;

/// Bits of a slot index, and of a life: both fit, with 12 bits of loop number, into one 64-bit waker.
pub(crate) const INDEX_BITS: u32 = 26;
pub(crate) const LIFE_BITS: u32 = 26;
pub(crate) const MAX_INDEX: u32 = (1 << INDEX_BITS) - 1;
pub(crate) const LIFE_MASK: u64 = (1 << LIFE_BITS) - 1;

/// The name of a value in an [`Arena`]: its slot, and which of the slot's lives is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) life: u32,
}

impl Key {
    /// Finds nothing in any arena.
    pub(crate) const NOWHERE: Key = Key { index: NOBODY, life: 0 };

    pub(crate) fn new(index: usize, serial: u64) -> Key {
        Key { index: index as u32, life: (serial & LIFE_MASK) as u32 }
    }
}

/// A `Slab` whose entries carry the serial number of their insertion.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    slots: Slab<Entry<T>>,
    last_serial: u64,
}

#[derive(Debug)]
struct Entry<T> {
    serial: u64,
    value: T,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Arena<T> {
        Arena { slots: Slab::new(), last_serial: 0 }
    }

    /// Stores `value` under the next serial number: 1, 2, 3 and so on.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        let serial = self.next_serial();
        self.insert_as(serial, value)
    }

    /// A serial number that no value had yet, for [`insert_as`](Arena::insert_as).
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }

    /// Stores `value` under a serial number of the caller's choice.
    pub(crate) fn insert_as(&mut self, serial: u64, value: T) -> Key {
        let index = self.slots.insert(Entry { serial, value });
        assert!(index < 1 << INDEX_BITS, "an arena holds 67,108,864 values at most");
        Key::new(index, serial)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let entry = self.slots.get(key.index as usize)?;
        entry.is(key).then_some(&entry.value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.slots.get_mut(key.index as usize)?;
        entry.is(key).then_some(&mut entry.value)
    }

    /// The serial number under which the value was stored; unlike a life it never comes again.
    pub(crate) fn serial(&self, key: Key) -> Option<u64> {
        let entry = self.slots.get(key.index as usize)?;
        entry.is(key).then_some(entry.serial)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.slots.remove(key.index as usize).value)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every value, in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, entry)| &mut entry.value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, u64, &T)> {
        self.slots.iter().map(|(index, entry)| (Key::new(index, entry.serial), entry.serial, &entry.value))
    }
}

impl<T> Entry<T> {
    fn is(&self, key: Key) -> bool {
        (self.serial & LIFE_MASK) as u32 == key.life
    }
}

/// A value that can stand in a [`List`]: it carries its neighbours' slots.
#[derive(Debug)]
pub(crate) struct Linked<T> {
    /// Means nothing in the first of a list. Out of any list it is [`LOOSE`] or [`RETIRED`].
    before: u32,
    after: u32,
    pub(crate) value: T,
}

/// No slot has one of these indices: they are beyond `INDEX_BITS`.
pub(crate) const NOBODY: u32 = u32::MAX;
const LOOSE: u32 = u32::MAX - 1;
const RETIRED: u32 = u32::MAX - 2;

impl<T> Linked<T> {
    pub(crate) const fn new(value: T) -> Linked<T> {
        Linked { before: LOOSE, after: NOBODY, value }
    }

    /// Whether it stands in no list and may stand in one.
    #[inline]
    pub(crate) fn is_loose(&self) -> bool {
        self.before == LOOSE
    }

    #[inline]
    pub(crate) fn is_listed(&self) -> bool {
        self.before != LOOSE && self.before != RETIRED
    }

    /// It stands in no list, and never will again.
    #[inline]
    pub(crate) fn retire(&mut self) {
        self.before = RETIRED;
    }
}

/// A first-in-first-out list of values that live in one arena, linked by index.
///
/// The list holds slots, not values: its owner takes a value out of the list before out of the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    /// Means nothing while the list is empty.
    tail: u32,
}

impl List {
    pub(crate) const fn new() -> List {
        List { head: NOBODY, tail: NOBODY }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NOBODY
    }

    /// Whether the oldest member is the one in this slot.
    pub(crate) fn is_first(&self, index: u32) -> bool {
        self.head == index
    }

    /// The slot of the youngest member; [`NOBODY`] if there is none.
    #[inline]
    pub(crate) fn last(&self) -> u32 {
        if self.is_empty() { NOBODY } else { self.tail }
    }

    #[inline]
    pub(crate) fn push_back<T>(&mut self, arena: &mut Arena<Linked<T>>, key: Key) {
        let node = arena.get_mut(key).expect("a listed value lives in its arena");
        node.before = self.tail;
        node.after = NOBODY;
        match self.head {
            NOBODY => self.head = key.index,
            _ => neighbour(arena, self.tail).after = key.index,
        }
        self.tail = key.index;
    }

    pub(crate) fn push_front<T>(&mut self, arena: &mut Arena<Linked<T>>, key: Key) {
        let head = self.head;
        let node = arena.get_mut(key).expect("a listed value lives in its arena");
        node.before = NOBODY;
        node.after = head;
        match head {
            NOBODY => self.tail = key.index,
            head => neighbour(arena, head).before = key.index,
        }
        self.head = key.index;
    }

    /// The oldest member, which stays where it is.
    pub(crate) fn front<T>(&self, arena: &Arena<Linked<T>>) -> Option<Key> {
        let entry = arena.slots.get(self.head as usize)?;
        Some(Key::new(self.head as usize, entry.serial))
    }

    /// Takes the oldest member out of the list: its key, its serial number and its value.
    #[inline]
    pub(crate) fn pop_front<'a, T>(&mut self, arena: &'a mut Arena<Linked<T>>) -> Option<(Key, u64, &'a mut T)> {
        let entry = arena.slots.get_mut(self.head as usize)?;
        let key = Key::new(self.head as usize, entry.serial);
        self.head = entry.value.after;
        entry.value.before = LOOSE;
        Some((key, entry.serial, &mut entry.value.value))
    }

    /// Takes a member out, wherever it stands, and gives the slot of the one before it, [`NOBODY`] for the
    /// first. The caller knows that it is in this list.
    pub(crate) fn unlink<T>(&mut self, arena: &mut Arena<Linked<T>>, key: Key) -> u32 {
        let Some(node) = arena.get_mut(key) else { return NOBODY };
        let after = node.after;
        let before = if self.head == key.index { NOBODY } else { node.before };
        node.before = LOOSE;
        match before {
            NOBODY => self.head = after,
            before => neighbour(arena, before).after = after,
        }
        match after {
            NOBODY => self.tail = before,
            after => neighbour(arena, after).before = before,
        }
        before
    }

    /// Every member, oldest first.
    pub(crate) fn iter<T>(&self, arena: &Arena<Linked<T>>) -> impl Iterator<Item = (Key, u64)> {
        let mut next = self.head;
        std::iter::from_fn(move || {
            let entry = arena.slots.get(next as usize)?;
            let key = Key::new(next as usize, entry.serial);
            next = entry.value.after;
            Some((key, entry.serial))
        })
    }
}

fn neighbour<T>(arena: &mut Arena<Linked<T>>, index: u32) -> &mut Linked<T> {
    &mut arena.slots[index as usize].value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut arena = Arena::new();
        let first = arena.insert("first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert("second");
        assert_eq!(second.index, first.index);
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"second"));
    }

    #[test]
    fn a_list_keeps_order_while_members_leave_from_anywhere() {
        let mut arena = Arena::new();
        let mut list = List::new();
        let keys: Vec<Key> = (0..5).map(|n| arena.insert(Linked::new(n))).collect();
        for &key in &keys {
            list.push_back(&mut arena, key);
        }
        for gone in [2, 0, 4] {
            list.unlink(&mut arena, keys[gone]);
            arena.remove(keys[gone]);
        }
        let mut left = Vec::new();
        while let Some((key, ..)) = list.pop_front(&mut arena) {
            left.extend(arena.remove(key).map(|node| node.value));
        }
        assert_eq!(left, [1, 3]);
        assert!(list.is_empty() && arena.is_empty());
    }
}
