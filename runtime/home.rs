//! Home: the loop this thread is inside of, as a wake and a spawn see it.
//!
//! ```text
//!   wake(number, key):  is it the loop at home?  put the task in line: no lock, no atomic
//!                       otherwise                leave word in that loop's inbox
//! ```
//!
//! Promises: a wake runs no user code but the observer, never blocks on any, and may come at any time, from
//! any thread, for a task or a loop that is gone.
//! Does not know: timers, sockets, how the loop runs.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::arena::Key;
use crate::inbox::{self, Address, Errand};
use crate::observer::{self, Actor};
use crate::task::Tasks;

thread_local! {
    /// Without a destructor, for wakes come from those of other thread-locals too; it holds something
    /// only while the thread is inside a loop. Whoever looks takes it out and puts it back, and calls
    /// nobody meanwhile.
    static HOME: ManuallyDrop<Cell<Option<Rc<Tasks>>>> = const { ManuallyDrop::new(Cell::new(None)) };
}

/// Makes the loop of `tasks` this thread's home; returns the one before.
#[inline]
pub(crate) fn set(tasks: Option<Rc<Tasks>>) -> Option<Rc<Tasks>> {
    HOME.with(|home| home.replace(tasks))
}

/// The tasks of the loop at home.
#[inline]
pub(crate) fn tasks() -> Option<Rc<Tasks>> {
    let tasks = set(None);
    set(tasks.clone());
    tasks
}

/// Whether this thread is inside the loop with this address.
pub(crate) fn is(address: Address) -> bool {
    tasks().is_some_and(|tasks| tasks.address() == address)
}

/// Asks a loop for something, in the name of whoever acts inside it, or of another thread. Gives the errand back if
/// the loop is gone.
pub(crate) fn send(address: Address, errand: Errand) -> Result<(), Errand> {
    let by = if is(address) { observer::actor() } else { Actor::Thread };
    address.send_by(by, errand)
}

/// Wakes the task `key` of the loop `number`, from wherever this is called.
#[inline]
pub(crate) fn wake(number: u32, key: Key) {
    let tasks = set(None);
    let at_home = match &tasks {
        Some(tasks) if tasks.address().number() == number => Some(tasks.enqueue(key)),
        _ => None,
    };
    set(tasks);
    match at_home {
        Some(false) => {}
        Some(true) => tell_woken(key),
        None => inbox::wake(number, key),
    }
}

/// For whoever watches: he may do what he likes, since home is back in its place.
#[inline]
fn tell_woken(key: Key) {
    if observer::is_watched()
        && let Some(tasks) = tasks()
    {
        tasks.tell_woken(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Waits;
    use crate::task::{Turn, TurnOf};
    use std::future::pending;
    use std::panic::Location;
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

    #[test]
    fn a_sleeping_loop_is_unparked_once_however_many_wakes_come() {
        // K45
        let unparks = Arc::new(Unparks::default());
        let address = Address::open(unparks.clone().into()).expect("few loops are alive");
        let tasks = Tasks::new(address);
        let keys = [(); 3].map(|()| tasks.add(pending::<()>(), Location::caller()).0);
        let take_turns = || {
            let mut taken = 0;
            while let Some(Turn { key, of: TurnOf::Task(body), .. }) = tasks.next_turn() {
                tasks.end_turn(key, body, Waits::Foreign);
                taken += 1;
            }
            taken
        };
        let wake_all = || keys.map(|key| wake(address.number(), key));
        assert_eq!(take_turns(), 3);
        wake_all();
        assert_eq!(unparks.0.load(Ordering::SeqCst), 0, "it is awake");
        assert!(!address.settle(), "there is mail: no sleep");
        tasks.collect();
        assert_eq!(take_turns(), 3);
        assert!(address.settle());
        wake_all();
        wake_all();
        assert_eq!(unparks.0.load(Ordering::SeqCst), 1);
        address.rise();
        tasks.collect();
        assert_eq!(take_turns(), 3, "each is queued once");
        address.close();
    }
}
