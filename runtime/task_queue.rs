//! The task queue: which tasks are ready, and how a wake at home queues one.
//!
//! ```text
//!   wake:   marks: [ life 7, queued ] <- set
//!           line:  .. 4 9 2 <- push the key
//!                  ^ pop
//! ```
//!
//! Each slot has one word: the serial number of the task that lives there, and whether it is queued.
//! A wake of a task that is queued already, or over, changes nothing.
//!
//! Promises: a task stands in line at most once; first in, first out; `pop` gives who stood in line when
//! the round began, whoever leaves or comes meanwhile; a wake runs no user code and never blocks on any.
//! Does not know: tasks, futures, the operating system.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::task::Waker;

use crate::arena::{Key, LIFE_MASK};
use crate::inbox::{self, Address, Errand, Mail};
use crate::observer::{self, Event, TaskId};

/// The ready tasks of one loop, and its address for other threads.
#[derive(Debug)]
pub(crate) struct TaskQueue {
    address: Address,
    ready: RefCell<Ready>,
    /// The vectors that the inbox gave last time, to be given back empty.
    spare: RefCell<Mail>,
}

#[derive(Debug)]
struct Ready {
    /// A slot's word: `serial << 1 | queued`, or [`NOBODY`].
    marks: Vec<u64>,
    line: VecDeque<Key>,
    /// How many in the line are over: they left it without being popped.
    gone: usize,
    /// How many of the line, with those who are over, stood there when the round began.
    round: usize,
}

/// The word of an empty slot. It reads as queued, so that a wake has nothing to do.
const NOBODY: u64 = u64::MAX;
const QUEUED: u64 = 1;

/// Below this many, tasks that are over are left in the line for `pop` to skip.
const FEW: usize = 64;

impl TaskQueue {
    /// An empty queue with a fresh loop number. `unpark` must end the loop's sleep.
    ///
    /// # Errors
    ///
    /// When 4,096 loops are alive already.
    pub(crate) fn open(unpark: Waker) -> io::Result<TaskQueue> {
        let ready = Ready { marks: Vec::new(), line: VecDeque::new(), gone: 0, round: 0 };
        let address = Address::open(unpark)?;
        Ok(TaskQueue { address, ready: RefCell::new(ready), spare: RefCell::default() })
    }

    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// A task begins its life in a slot, and at the end of the line.
    pub(crate) fn admit(&self, key: Key, serial: u64) {
        let mut ready = self.ready.borrow_mut();
        let index = key.index as usize;
        if ready.marks.len() <= index {
            ready.marks.resize(index + 1, NOBODY);
        }
        ready.marks[index] = serial << 1 | QUEUED;
        ready.line.push_back(key);
    }

    /// A task's life is over: later wakes of it do nothing.
    pub(crate) fn dismiss(&self, key: Key) {
        let mut ready = self.ready.borrow_mut();
        let Some(mark) = ready.marks.get_mut(key.index as usize) else { return };
        if !names(*mark, key) {
            return;
        }
        let was_queued = *mark & QUEUED != 0;
        *mark = NOBODY;
        if was_queued {
            ready.gone += 1;
            if ready.gone > FEW.max(ready.line.len() / 2) {
                ready.compact();
            }
        }
    }

    /// Queues a live task that is not queued yet.
    #[inline]
    pub(crate) fn wake(&self, key: Key) {
        tell_woken(self.enqueue(key));
    }

    /// Marks and queues; gives the task if this is what queued it.
    // Called, not inlined, at the one place that every waker runs through: that is shorter in sum.
    #[inline(never)]
    fn enqueue(&self, key: Key) -> Option<TaskId> {
        let mut ready = self.ready.borrow_mut();
        let mark = ready.marks.get_mut(key.index as usize)?;
        // This life and not queued, in one comparison.
        if *mark & (LIFE_MASK << 1 | QUEUED) != u64::from(key.life) << 1 {
            return None;
        }
        let serial = *mark >> 1;
        *mark |= QUEUED;
        ready.line.push_back(key);
        Some(TaskId::of(serial))
    }

    /// Everyone who is ready now is of the round, and who becomes ready later is not. Gives how many
    /// that are.
    #[inline]
    pub(crate) fn begin_round(&self) -> usize {
        let mut ready = self.ready.borrow_mut();
        ready.round = ready.line.len();
        ready.round - ready.gone
    }

    /// Takes the oldest ready task of the round out of the line and clears its mark.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Key> {
        let mut ready = self.ready.borrow_mut();
        loop {
            // Counted with those who are over, or somebody of the next round would come in their place.
            ready.round = ready.round.checked_sub(1)?;
            let key = ready.line.pop_front()?;
            if ready.leave(key) {
                return Some(key);
            }
            ready.gone -= 1;
        }
    }

    /// Takes the task at `position` among the ready ones out of the line.
    pub(crate) fn pop_at(&self, position: usize) -> Option<Key> {
        let mut ready = self.ready.borrow_mut();
        ready.compact();
        let key = ready.line.remove(position)?;
        ready.leave(key).then_some(key)
    }

    /// Every ready task, oldest first.
    pub(crate) fn ready(&self) -> Vec<TaskId> {
        let mut ready = self.ready.borrow_mut();
        ready.compact();
        ready.line.iter().map(|key| TaskId::of(ready.marks[key.index as usize] >> 1)).collect()
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        let ready = self.ready.borrow();
        ready.line.len() - ready.gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether another thread left something: one plain load, no lock.
    pub(crate) fn has_mail(&self) -> bool {
        self.address.has_mail()
    }

    /// Takes what other threads left: queues the tasks they woke, hands the errands to the caller.
    pub(crate) fn collect(&self) -> Vec<Errand> {
        let mut mail = self.spare.take();
        self.address.collect(&mut mail);
        let actor = observer::set_actor(observer::Actor::Thread);
        for key in mail.wakes.drain(..) {
            self.wake(key);
        }
        observer::set_actor(actor);
        let errands = mem::take(&mut mail.errands);
        self.spare.replace(mail);
        errands
    }

    /// The loop's end: whatever other threads leave from now on, they get back. What they left and
    /// nobody took is given to the caller, to be dropped with no lock held.
    pub(crate) fn close(&self) -> Vec<Errand> {
        self.address.close()
    }
}

impl Ready {
    /// Clears the mark of a task taken out of the line; false if that task is over.
    fn leave(&mut self, key: Key) -> bool {
        let mark = &mut self.marks[key.index as usize];
        let alive = names(*mark, key);
        if alive {
            *mark &= !QUEUED;
        }
        alive
    }

    fn compact(&mut self) {
        if self.gone == 0 {
            return;
        }
        let (marks, round) = (&self.marks, self.round);
        let mut place = 0;
        self.line.retain(|key| {
            let alive = names(marks[key.index as usize], *key);
            if place < round && !alive {
                self.round -= 1;
            }
            place += 1;
            alive
        });
        self.gone = 0;
    }
}

/// Whether the word of a slot is that of the task `key`.
#[inline]
fn names(mark: u64, key: Key) -> bool {
    mark != NOBODY && (mark >> 1) & LIFE_MASK == u64::from(key.life)
}

#[inline]
fn tell_woken(task: Option<TaskId>) {
    if let Some(task) = task {
        observer::tell(|| Event::Woken { task, by: observer::actor() });
    }
}

thread_local! {
    /// The queue of the loop this thread is inside of. Without a destructor, for wakes come from those
    /// of other thread-locals too; it holds something only while the thread is inside a loop.
    static HOME: ManuallyDrop<RefCell<Option<Rc<TaskQueue>>>> = const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Makes `queue` this thread's home, where wakes need no lock; returns the one before.
#[inline]
pub(crate) fn set_home(queue: Option<Rc<TaskQueue>>) -> Option<Rc<TaskQueue>> {
    HOME.with(|home| home.replace(queue))
}

/// Whether this thread is inside the loop with this address.
pub(crate) fn is_home(address: Address) -> bool {
    HOME.with(|home| home.borrow().as_ref().is_some_and(|queue| queue.address == address))
}

/// Wakes the task `key` of the loop `number`, from wherever this is called.
pub(crate) fn wake(number: u32, key: Key) {
    let at_home = HOME.with(|home| match &*home.borrow() {
        Some(queue) if queue.address.number() == number => Some(queue.enqueue(key)),
        _ => None,
    });
    match at_home {
        // Told with the thread-local let go: an observer is other people's code.
        Some(woken) => tell_woken(woken),
        None => inbox::wake(number, key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Unparks(AtomicUsize);

    impl Wake for Unparks {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn queue() -> (TaskQueue, Arc<Unparks>) {
        let unparks = Arc::new(Unparks::default());
        (TaskQueue::open(unparks.clone().into()).expect("few loops are alive"), unparks)
    }

    fn admit_and_pop(queue: &TaskQueue, index: usize, serial: u64) -> Key {
        let key = Key::new(index, serial);
        queue.admit(key, serial);
        queue.begin_round();
        assert_eq!(queue.pop(), Some(key));
        key
    }

    #[test]
    fn a_sleeping_loop_is_unparked_once_however_many_wakes_come() {
        // K45
        let (queue, unparks) = queue();
        let keys = [0, 1, 2].map(|index| admit_and_pop(&queue, index, 1));
        let wake_all = || keys.map(|key| wake(queue.address().number(), key));
        wake_all();
        assert_eq!(unparks.0.load(Ordering::SeqCst), 0, "it is awake");
        assert!(!queue.address().settle(), "there is mail: no sleep");
        queue.collect();
        assert_eq!(queue.len(), 3);
        queue.begin_round();
        while queue.pop().is_some() {}
        assert!(queue.address().settle());
        wake_all();
        wake_all();
        assert_eq!(unparks.0.load(Ordering::SeqCst), 1);
        queue.address().rise();
        queue.collect();
        assert_eq!(queue.len(), 3, "each is queued once");
    }

    #[test]
    fn tasks_that_are_over_are_not_counted_and_take_no_room() {
        let (queue, _unparks) = queue();
        for serial in 1..=10_000 {
            let key = Key::new(serial as usize % 7, serial);
            queue.admit(key, serial);
            queue.dismiss(key);
            queue.dismiss(key);
            assert!(queue.is_empty());
        }
        assert!(queue.ready.borrow().line.len() <= FEW + 1);
        queue.begin_round();
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_long_line_is_cleared_when_more_than_half_of_it_is_over() {
        let (queue, _unparks) = queue();
        let keys: Vec<Key> = (0..1000).map(|index| Key::new(index, 1)).collect();
        keys.iter().for_each(|&key| queue.admit(key, 1));
        keys[..500].iter().for_each(|&key| queue.dismiss(key));
        assert_eq!((queue.len(), queue.ready.borrow().line.len()), (500, 1000));
        queue.dismiss(keys[500]);
        assert_eq!((queue.len(), queue.ready.borrow().line.len()), (499, 499));
    }

    #[test]
    fn a_life_that_comes_again_wakes_its_later_tenant_once_for_nothing() {
        // K47: 2^26 tenants later, the one collision that every future must allow.
        let (queue, _unparks) = queue();
        let old = admit_and_pop(&queue, 3, 5);
        admit_and_pop(&queue, 3, 5 + LIFE_MASK);
        queue.wake(old);
        assert!(queue.is_empty(), "one life short of it");
        let tenant = admit_and_pop(&queue, 3, 5 + LIFE_MASK + 1);
        queue.wake(old);
        queue.begin_round();
        assert_eq!(queue.pop(), Some(tenant));
    }
}
