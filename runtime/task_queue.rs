//! The task queue: tasks in numbered slots, and the line of the ready ones threaded through them.
//!
//! ```text
//!   slots:  0 [ a ]   1 [ b ]   2 [ - ]   3 [ c ]
//!   line:   3 -> 0 -> 1        this round ends after 0
//!           ^ pop     ^ wake puts a task here, if it stands in no line
//! ```
//!
//! Promises: a task stands in line at most once; first in, first out; a round is who stood in line
//! when it began, whoever leaves or comes meanwhile; a wake of a task that is in line already, or over,
//! changes nothing; each step takes constant time.
//! Does not know: what a task is, threads, the operating system.

use crate::arena::{Arena, Key, Linked, List, NOBODY};

/// Tasks of a kind, and the line of those that are ready.
#[derive(Debug)]
pub(crate) struct TaskQueue<T> {
    slots: Arena<Linked<T>>,
    line: List,
    /// The slot of the last in line who is of this round; nobody if the round is over.
    round: u32,
}

impl<T> TaskQueue<T> {
    pub(crate) const fn new() -> TaskQueue<T> {
        TaskQueue { slots: Arena::new(), line: List::new(), round: NOBODY }
    }

    /// A serial number that no task had yet.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.slots.next_serial()
    }

    /// A task begins its life in a slot, and at the end of the line.
    #[inline]
    pub(crate) fn admit(&mut self, serial: u64, task: T) -> Key {
        let key = self.slots.insert_as(serial, Linked::new(task));
        self.line.push_back(&mut self.slots, key);
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        Some(&self.slots.get(key)?.value)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        Some(&mut self.slots.get_mut(key)?.value)
    }

    /// The number under which the task was admitted; unlike a life it never comes again.
    pub(crate) fn serial(&self, key: Key) -> Option<u64> {
        self.slots.serial(key)
    }

    /// Every task, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, u64, &T)> {
        self.slots.iter().map(|(key, serial, task)| (key, serial, &task.value))
    }

    /// Every task, in no order.
    pub(crate) fn tasks_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.values_mut().map(|slot| &mut slot.value)
    }

    /// Puts a task in line if it stands in none. Whether it does so now.
    #[inline]
    pub(crate) fn wake(&mut self, key: Key) -> bool {
        if !self.slots.get(key).is_some_and(Linked::is_loose) {
            return false;
        }
        self.line.push_back(&mut self.slots, key);
        true
    }

    /// A task is over: it leaves the line, and no wake puts it there again.
    #[inline]
    pub(crate) fn retire(&mut self, key: Key) -> Option<&mut T> {
        if self.slots.get(key)?.is_listed() {
            self.leave(key);
        }
        let task = self.slots.get_mut(key)?;
        task.retire();
        Some(&mut task.value)
    }

    /// Takes a task out of its slot, which is free then.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        if self.slots.get(key)?.is_listed() {
            self.leave(key);
        }
        Some(self.slots.remove(key)?.value)
    }

    /// Takes the oldest ready task out of the line: its key, its serial number and itself.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Key, u64, &mut T)> {
        self.line.pop_front(&mut self.slots)
    }

    /// Everyone who is ready now is of the round, and who becomes ready later is not.
    pub(crate) fn begin_round(&mut self) {
        self.round = self.line.last();
    }

    /// Whether the next in line is of the round. Whoever asks pops it then, and asks again before the next.
    pub(crate) fn next_is_of_round(&mut self) -> bool {
        if self.round == NOBODY {
            return false;
        }
        if self.line.is_first(self.round) {
            self.round = NOBODY;
        }
        true
    }

    /// Puts the task at `position` among the ready ones first in line, and all of them into the round.
    pub(crate) fn bring_forward(&mut self, position: usize) {
        let place = self.line.iter(&self.slots).nth(position);
        if let Some((key, _)) = place {
            self.line.unlink(&mut self.slots, key);
            self.line.push_front(&mut self.slots, key);
        }
        self.begin_round();
    }

    /// The serial numbers of every ready task, oldest first.
    pub(crate) fn ready(&self) -> impl Iterator<Item = u64> {
        self.line.iter(&self.slots).map(|(_, serial)| serial)
    }

    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.line.is_empty()
    }

    fn leave(&mut self, key: Key) {
        let before = self.line.unlink(&mut self.slots, key);
        // The round then ends with the one before, who is of it too, or is over if there is none.
        if key.index == self.round {
            self.round = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::LIFE_MASK;

    fn of_three() -> (TaskQueue<char>, [Key; 3]) {
        let mut queue = TaskQueue::new();
        let keys = ['a', 'b', 'c'].map(|name| {
            let serial = queue.next_serial();
            queue.admit(serial, name)
        });
        (queue, keys)
    }

    fn round(queue: &mut TaskQueue<char>) -> String {
        queue.begin_round();
        rest_of_round(queue)
    }

    fn rest_of_round(queue: &mut TaskQueue<char>) -> String {
        let next = || if queue.next_is_of_round() { queue.pop().map(|(_, _, name)| *name) } else { None };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_task_stands_in_line_once_however_often_it_is_woken() {
        let (mut queue, [a, b, _]) = of_three();
        assert!(!queue.wake(a), "it was admitted to the line");
        assert_eq!(round(&mut queue), "abc");
        assert!(queue.wake(b) && queue.wake(a) && !queue.wake(b));
        assert_eq!(round(&mut queue), "ba");
        assert!(queue.is_idle());
    }

    #[test]
    fn who_comes_during_a_round_waits_for_the_next() {
        let (mut queue, [a, ..]) = of_three();
        queue.begin_round();
        assert!(queue.next_is_of_round());
        assert_eq!(queue.pop().map(|(key, serial, _)| (key, serial)), Some((a, 1)));
        assert!(queue.wake(a));
        assert_eq!(rest_of_round(&mut queue), "bc");
        assert_eq!(round(&mut queue), "a");
    }

    #[test]
    fn whoever_is_over_leaves_the_line_and_the_round_from_any_place() {
        for gone in 0..3 {
            let (mut queue, keys) = of_three();
            queue.begin_round();
            queue.retire(keys[gone]);
            queue.retire(keys[gone]);
            assert!(!queue.wake(keys[gone]));
            let late = queue.next_serial();
            queue.admit(late, 'd');
            assert_eq!(rest_of_round(&mut queue), ["bc", "ac", "ab"][gone]);
            assert_eq!(round(&mut queue), "d");
        }
    }

    #[test]
    fn a_round_all_of_whose_tasks_are_over_is_over() {
        let (mut queue, keys) = of_three();
        queue.begin_round();
        for key in keys {
            assert!(queue.remove(key).is_some());
        }
        let serial = queue.next_serial();
        queue.admit(serial, 'd');
        assert!(!queue.next_is_of_round());
        assert_eq!(round(&mut queue), "d");
    }

    #[test]
    fn one_is_brought_forward_and_the_others_keep_their_order() {
        let (mut queue, _) = of_three();
        assert_eq!(queue.ready().collect::<Vec<_>>(), [1, 2, 3]);
        queue.bring_forward(1);
        assert_eq!(queue.ready().collect::<Vec<_>>(), [2, 1, 3]);
        queue.bring_forward(2);
        queue.bring_forward(0);
        queue.bring_forward(3);
        assert_eq!(round(&mut queue), "cba");
        queue.bring_forward(0);
        assert!(queue.is_idle());
    }

    #[test]
    fn a_life_that_comes_again_wakes_its_later_tenant_once_for_nothing() {
        // K47: 2^26 tenants later, the one collision that every future must allow.
        let mut queue = TaskQueue::new();
        let mut live = |serial| {
            let key = queue.admit(serial, 'x');
            assert_eq!(round(&mut queue), "x");
            key
        };
        let old = live(5);
        queue.remove(old);
        let later = queue.admit(5 + LIFE_MASK, 'x');
        round(&mut queue);
        assert!(!queue.wake(old), "one life short of it");
        queue.remove(later);
        queue.admit(5 + LIFE_MASK + 1, 'y');
        round(&mut queue);
        assert!(queue.wake(old));
        assert_eq!(round(&mut queue), "y");
    }
}
