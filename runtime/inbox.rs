//! The inbox: where other threads leave word for a loop, and the registry in which they find it.
//!
//! ```text
//!   another thread                       loops[number]                     the loop
//!   wake, cancel, spawn  --- lock ---> [ mail | asleep? ] <--- lock --- collect, between two turns
//!                                          |                            settle: no mail? then asleep
//!                           asleep? unpark, once
//! ```
//!
//! Promises: no wake is lost, and a sleeping loop is unparked once, however many come; a loop that is
//! awake costs nobody a system call; what comes after the loop's death does nothing, or is given back;
//! a task woken a million times takes the room of one; no lock is held while other people's code runs.
//! Does not know: tasks, or how the loop sleeps (it unparks through a `Waker`).

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::task::Waker;

use crate::arena::Key;
use crate::locks::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError, shared};
use crate::observer::Actor;

/// Leaves a wake for the loop `number`. If none lives there, nothing happens.
#[cold]
pub(crate) fn wake(number: u32, key: Key) {
    LOOPS[number as usize].deliver(|inbox| {
        inbox.mail.wakes.push(key);
        if inbox.mail.wakes.len() > inbox.enough {
            inbox.forget_repeats();
        }
    });
}

/// Loops that can be alive at once: what 12 bits of a waker can tell apart.
/// (A model has few loops, and makes the table anew for each of its runs.)
const MAX_LOOPS: usize = if cfg!(loom) { 2 } else { 1 << 12 };

shared! {
    /// Every live loop's inbox, found by the loop's number.
    static LOOPS: [Desk; MAX_LOOPS] = Desk { has_mail: AtomicBool::new(false), inbox: Mutex::new(None) }
}

/// Where other threads leave word for one loop.
struct Desk {
    has_mail: AtomicBool,
    inbox: Mutex<Option<Inbox>>,
}

struct Inbox {
    /// Which loop lives here: a number is used again, its serial never.
    serial: u64,
    mail: Mail,
    /// So many wakes are kept before repeats are looked for.
    enough: usize,
    /// Whether the loop sleeps and nobody has unparked it yet.
    asleep: bool,
    unpark: Waker,
}

/// What was left: tasks to wake, and errands, with who asks for them.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) wakes: Vec<Key>,
    pub(crate) errands: Vec<(Actor, Errand)>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.errands.is_empty()
    }
}

/// Something that is wanted done on the loop's thread, between two turns.
pub(crate) enum Errand {
    /// Cancel the task with this key, if its serial number is this one.
    Cancel(Key, u64),
    /// Run a closure inside the loop.
    Run(Box<dyn FnOnce() + Send>),
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Errand::Cancel(key, serial) => f.debug_tuple("Cancel").field(key).field(serial).finish(),
            Errand::Run(_) => f.write_str("Run(..)"),
        }
    }
}

/// 1,024 keys are 8 KiB: below that, a wake that comes twice is cheaper to keep than to look for.
const MANY_WAKES: usize = 1024;

impl Inbox {
    /// A task woken ten million times before the loop looks still takes the room of one.
    fn forget_repeats(&mut self) {
        let mut seen = HashSet::new();
        self.mail.wakes.retain(|key| seen.insert((key.index, key.life)));
        self.enough = MANY_WAKES.max(2 * self.mail.wakes.len());
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Option<Inbox>> {
        // Nothing that runs under this lock can leave it half done.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves word under the lock and unparks the loop after it. False if no loop lives here.
    fn deliver(&self, leave: impl FnOnce(&mut Inbox)) -> bool {
        let mut guard = self.lock();
        let Some(inbox) = guard.as_mut() else { return false };
        leave(inbox);
        self.has_mail.store(true, Ordering::Release);
        let unpark = mem::take(&mut inbox.asleep).then(|| inbox.unpark.clone());
        drop(guard);
        if let Some(unpark) = unpark {
            unpark.wake();
        }
        true
    }
}

/// A loop as other threads name it: its number, and the serial that no other loop ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    number: u32,
    serial: u64,
}

impl Address {
    /// A fresh loop number with an empty inbox.
    ///
    /// # Errors
    ///
    /// When 4,096 loops are alive already.
    pub(crate) fn open(unpark: Waker) -> io::Result<Address> {
        let address = Numbers::take().ok_or_else(|| {
            io::Error::other("4,096 event loops are alive in this process: drop one before making another")
        })?;
        let inbox = Inbox { serial: address.serial, mail: Mail::default(), enough: MANY_WAKES, asleep: false, unpark };
        *address.inbox() = Some(inbox);
        Ok(address)
    }

    pub(crate) fn number(self) -> u32 {
        self.number
    }

    /// Asks the loop for something, from another thread. Gives the errand back if the loop is gone.
    pub(crate) fn send(self, errand: Errand) -> Result<(), Errand> {
        self.send_by(Actor::Thread, errand)
    }

    /// As [`send`](Address::send), in the name of `by`, who may be somebody inside the loop.
    pub(crate) fn send_by(self, by: Actor, errand: Errand) -> Result<(), Errand> {
        let mut errand = Some(errand);
        self.desk().deliver(|inbox| {
            if inbox.serial == self.serial {
                inbox.mail.errands.extend(errand.take().map(|errand| (by, errand)));
            }
        });
        errand.map_or(Ok(()), Err)
    }

    /// Whether the loop still lives.
    pub(crate) fn is_alive(self) -> bool {
        self.inbox().as_ref().is_some_and(|inbox| inbox.serial == self.serial)
    }

    /// Whether there is mail: one plain load, no lock.
    pub(crate) fn has_mail(self) -> bool {
        self.desk().has_mail.load(Ordering::Acquire)
    }

    /// As [`has_mail`](Address::has_mail), for who asks often: the desk is found once.
    pub(crate) fn watch_for_mail(self) -> impl Fn() -> bool {
        let desk = self.desk();
        move || desk.has_mail.load(Ordering::Acquire)
    }

    /// Takes the mail, and leaves the empty vectors that come in.
    pub(crate) fn collect(self, mail: &mut Mail) {
        if let Some(inbox) = self.inbox().as_mut() {
            mem::swap(mail, &mut inbox.mail);
            inbox.enough = MANY_WAKES;
            self.desk().has_mail.store(false, Ordering::Release);
        }
    }

    /// Announces that the loop goes to sleep: the next mail must unpark it. False, and no sleep, if
    /// there is mail already: looking and announcing are one step under the inbox's lock.
    pub(crate) fn settle(self) -> bool {
        let mut inbox = self.inbox();
        let Some(inbox) = inbox.as_mut() else { return false };
        inbox.asleep = inbox.mail.is_empty();
        inbox.asleep
    }

    /// The loop is awake: mail need not unpark it.
    pub(crate) fn rise(self) {
        if let Some(inbox) = self.inbox().as_mut() {
            inbox.asleep = false;
        }
    }

    /// The loop's end. Gives the errands that nobody took, to be dropped with no lock held.
    pub(crate) fn close(self) -> Vec<(Actor, Errand)> {
        let inbox = self.inbox().take_if(|inbox| inbox.serial == self.serial);
        let Some(inbox) = inbox else { return Vec::new() };
        Numbers::give_back(self.number);
        inbox.mail.errands
    }

    fn desk(self) -> &'static Desk {
        &LOOPS[self.number as usize]
    }

    fn inbox(self) -> MutexGuard<'static, Option<Inbox>> {
        self.desk().lock()
    }
}

/// The numbers not in use. A dead loop's number waits until every other has been used.
struct Numbers {
    fresh: u32,
    used: VecDeque<u32>,
    last_serial: u64,
}

shared! {
    static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { fresh: 0, used: VecDeque::new(), last_serial: 0 })
}

impl Numbers {
    fn take() -> Option<Address> {
        let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
        let number = if (numbers.fresh as usize) < MAX_LOOPS {
            numbers.fresh += 1;
            numbers.fresh - 1
        } else {
            numbers.used.pop_front()?
        };
        numbers.last_serial += 1;
        Some(Address { number, serial: numbers.last_serial })
    }

    fn give_back(number: u32) {
        NUMBERS.lock().unwrap_or_else(PoisonError::into_inner).used.push_back(number);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_inbox_takes_no_more_room_than_there_are_tasks() {
        // K53
        let address = Address::open(Waker::noop().clone()).expect("few loops are alive");
        for _ in 0..100_000 {
            wake(address.number(), Key::new(0, 1));
        }
        let mut mail = Mail::default();
        address.collect(&mut mail);
        assert!(mail.wakes.capacity() <= 4 * MANY_WAKES);
        assert!(!address.has_mail());
        address.close();
    }

    #[test]
    fn an_errand_for_a_loop_that_is_gone_is_given_back() {
        let address = Address::open(Waker::noop().clone()).expect("few loops are alive");
        assert!(address.send(Errand::Run(Box::new(|| ()))).is_ok());
        assert_eq!(address.close().len(), 1, "nobody took it");
        assert!(address.send(Errand::Run(Box::new(|| ()))).is_err());
        assert!(!address.is_alive());
    }
}
