//! The shelf of a queue: where its items lie, and in which order they come out.
//!
//! ```text
//!   store 1, 3, 2     fifo: 1 3 2     lifo: 2 3 1     priority: 1 2 3
//! ```
//!
//! Does not know: who waits for what lies here.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// Where the items lie, and in which order they come out.
pub(super) enum Shelf<T> {
    Fifo(VecDeque<T>),
    Lifo(Vec<T>),
    /// The comparison comes along, so that only the constructor has to know that there is one.
    Priority(BinaryHeap<Ranked<T>>, Compare<T>),
}

pub(super) type Compare<T> = fn(&T, &T) -> Ordering;

impl<T> Shelf<T> {
    pub(super) fn fifo() -> Shelf<T> {
        Shelf::Fifo(VecDeque::new())
    }

    pub(super) fn lifo() -> Shelf<T> {
        Shelf::Lifo(Vec::new())
    }

    pub(super) fn priority() -> Shelf<T>
    where
        T: Ord,
    {
        Shelf::Priority(BinaryHeap::new(), T::cmp)
    }

    #[inline]
    pub(super) fn store(&mut self, item: T) {
        match self {
            Shelf::Fifo(items) => items.push_back(item),
            Shelf::Lifo(items) => items.push(item),
            Shelf::Priority(items, compare) => items.push(Ranked { item, compare: *compare }),
        }
    }

    #[inline]
    pub(super) fn fetch(&mut self) -> Option<T> {
        match self {
            Shelf::Fifo(items) => items.pop_front(),
            Shelf::Lifo(items) => items.pop(),
            Shelf::Priority(items, _) => items.pop().map(|ranked| ranked.item),
        }
    }

    /// Takes everything off, to be dropped elsewhere.
    pub(super) fn clear(&mut self) -> Shelf<T> {
        let empty = match self {
            Shelf::Fifo(_) => Shelf::Fifo(VecDeque::new()),
            Shelf::Lifo(_) => Shelf::Lifo(Vec::new()),
            Shelf::Priority(_, compare) => Shelf::Priority(BinaryHeap::new(), *compare),
        };
        std::mem::replace(self, empty)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Shelf::Fifo(items) => items.len(),
            Shelf::Lifo(items) => items.len(),
            Shelf::Priority(items, _) => items.len(),
        }
    }
}

/// An item in the heap, which gives the greatest first: so the smaller item ranks higher.
pub(super) struct Ranked<T> {
    item: T,
    compare: Compare<T>,
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Ranked<T>) -> Ordering {
        (self.compare)(&other.item, &self.item)
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Ranked<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Ranked<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Ranked<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_equal_where_neither_comes_first() {
        let ranked = |item: u8| Ranked { item, compare: u8::cmp };
        assert!(ranked(1) == ranked(1));
        assert!(ranked(1) != ranked(2));
        assert!(ranked(1) > ranked(2), "the smallest comes first, from a heap that gives the greatest");
    }
}
