//! The arrivals: which of many tasks are over, in order of finishing.
//!
//! ```text
//!   task 3 ends --report(3)--> [ 3 ] --poll_next--> 3      whoever waits is woken, once
//! ```
//!
//! Promises: every report is given once, in order; no borrow is held while a waker is cloned, woken or
//! dropped.
//! Does not know: tasks; a number is what the one who waits made of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::keep::keep;
use crate::observer::{self, Behind, Event, Label, TaskId, Waits};

/// Who has finished, of many: the numbers in order of finishing, and one waker to hear of it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    finished: RefCell<VecDeque<usize>>,
    waker: RefCell<Option<Waker>>,
    label: Label,
}

impl Arrivals {
    /// Tells whoever watches that this task's end will be reported here.
    pub(crate) fn tell_member(&self, task: TaskId) {
        observer::tell(|| Event::Member { family: self.label.resource(Waits::Children), task });
    }

    pub(crate) fn report(&self, number: usize) {
        self.finished.borrow_mut().push_back(number);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next number in order of finishing, if there is one.
    pub(crate) fn try_next(&self) -> Option<usize> {
        self.finished.borrow_mut().pop_front()
    }

    /// The next number in order of finishing. With none there, the context's task will be woken.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<usize> {
        // Cloned before the look: a foreign waker's clone may be what finishes a task.
        let waker = keep(cx.waker());
        if let Some(number) = self.try_next() {
            return Poll::Ready(number);
        }
        observer::waiting(Waits::Children, &self.label, None, |tell| tell(Behind::Members));
        let before = self.waker.borrow_mut().replace(waker);
        drop(before);
        Poll::Pending
    }
}
