//! The wait list: the line in which tasks stand for permits, and the stock they are handed from.
//!
//! ```text
//!   stock: 1     line:  [ wants 2 ] [ wants 1 ]
//!   grant(1) --> stock 2 --> the first gets 2, stock 0;  the second goes on waiting
//! ```
//!
//! Under every primitive of `sync` there is one of these. A *grant* is kept: what nobody takes stays
//! in stock. A *notification* is forgotten if nobody waits.
//!
//! Promises: first come, first served, with nobody overtaking; a waiter that is dropped after it was
//! granted something gives it to the next in line, or home to the stock; one that was notified passes
//! the notification on; whoever is closed out is told so; no waker is cloned, woken or dropped while
//! the list is borrowed. A wait allocates nothing but its slot in the arena, which is used again.
//! A wait that is leaked (`mem::forget`) keeps its place, and in the end what it is given.
//! Does not know: tasks, loops; it works under any executor.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::arena::{Arena, Key, Linked, List};
use crate::keep::keep;
use crate::wakers::Wakers;

/// A stock of units, and the line of those who wait for some.
#[derive(Debug)]
pub(crate) struct WaitList(RefCell<State>);

/// An empty stock.
impl Default for WaitList {
    fn default() -> WaitList {
        WaitList::new(0)
    }
}

#[derive(Debug)]
struct State {
    stock: usize,
    closed: bool,
    waiters: Arena<Linked<Waiter>>,
    line: List,
}

#[derive(Debug)]
struct Waiter {
    wants: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Waiting(Waker),
    /// Its units are taken from the stock.
    Granted,
    /// `pass_on`: the notification was meant for one, whichever it is.
    Notified {
        pass_on: bool,
    },
    Closed,
}

/// The list was closed: nothing will be granted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl WaitList {
    pub(crate) const fn new(stock: usize) -> WaitList {
        WaitList(RefCell::new(State { stock, closed: false, waiters: Arena::new(), line: List::new() }))
    }

    /// Takes `wants` units at once, if they are there and nobody stands in line for them.
    #[inline]
    pub(crate) fn try_take(&self, wants: usize) -> Result<bool, Closed> {
        self.0.borrow_mut().try_take(wants)
    }

    /// Takes `wants` units, in line if need be. The place in line is taken at the first poll.
    #[inline]
    pub(crate) fn take(&self, wants: usize) -> Wait<'_> {
        Wait { list: self, wants, place: None }
    }

    /// Stands in line until notified, whatever is in stock.
    pub(crate) fn wait(&self) -> Wait<'_> {
        // More than any stock can hold, so that only a notification ends the wait.
        self.take(usize::MAX)
    }

    /// Adds `units` to the stock and serves the line from it.
    #[inline]
    pub(crate) fn grant(&self, units: usize) {
        let mut state = self.0.borrow_mut();
        state.stock += units;
        if state.line.is_empty() {
            return;
        }
        drop(state);
        self.serve_line();
    }

    // Apart from `grant`, so that giving back what nobody waits for stays a handful of instructions.
    fn serve_line(&self) {
        let mut served = Wakers::new();
        self.0.borrow_mut().serve(&mut served);
        served.wake_all();
    }

    /// Takes units into safe hands: the caller has taken them, and the drop gives them back.
    #[inline]
    pub(crate) fn hold(&self, units: usize) -> Held<'_> {
        Held { list: self, units }
    }

    /// Ends the wait of the `most` oldest waiters.
    pub(crate) fn notify(&self, most: usize) {
        self.notify_waiting(most, true);
    }

    /// Ends the wait of all who wait now, and of nobody who comes later.
    pub(crate) fn notify_all(&self) {
        self.notify_waiting(usize::MAX, false);
    }

    fn notify_waiting(&self, most: usize, pass_on: bool) {
        let mut notified = Wakers::new();
        {
            let mut state = self.0.borrow_mut();
            for _ in 0..most {
                if !state.end_wait_of_first(Stage::Notified { pass_on }, &mut notified) {
                    break;
                }
            }
        }
        notified.wake_all();
    }

    /// Tells everyone in line that there will be nothing, and everyone who comes. What was granted
    /// already stays granted.
    pub(crate) fn close(&self) {
        let mut closed = Wakers::new();
        {
            let mut state = self.0.borrow_mut();
            state.closed = true;
            while state.end_wait_of_first(Stage::Closed, &mut closed) {}
        }
        closed.wake_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// Units that nobody has taken.
    pub(crate) fn stock(&self) -> usize {
        self.0.borrow().stock
    }

    /// Takes up to `most` units out of the stock for good, past any line; returns how many.
    pub(crate) fn withdraw(&self, most: usize) -> usize {
        let mut state = self.0.borrow_mut();
        let taken = state.stock.min(most);
        state.stock -= taken;
        taken
    }

    /// How many stand in line, not counting those who were granted or notified already.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.0.borrow();
        state.waiters.iter().filter(|(_, _, waiter)| matches!(waiter.value.stage, Stage::Waiting(_))).count()
    }
}

impl State {
    #[inline]
    fn try_take(&mut self, wants: usize) -> Result<bool, Closed> {
        if self.closed {
            return Err(Closed);
        }
        let free = self.line.is_empty() && self.stock >= wants;
        if free {
            self.stock -= wants;
        }
        Ok(free)
    }

    fn stage(&mut self, place: Key) -> &mut Stage {
        let waiter = self.waiters.get_mut(place).expect("a waiter stays until its future takes it out");
        &mut waiter.value.stage
    }

    /// Hands units to the head of the line for as long as the stock lasts.
    fn serve(&mut self, served: &mut Wakers) {
        while let Some(first) = self.line.front(&self.waiters) {
            let wants = self.waiters.get(first).map_or(0, |waiter| waiter.value.wants);
            if wants > self.stock {
                break;
            }
            self.stock -= wants;
            self.end_wait_of_first(Stage::Granted, served);
        }
    }

    fn end_wait_of_first(&mut self, stage: Stage, woken: &mut Wakers) -> bool {
        let Some((_, _, first)) = self.line.pop_front(&mut self.waiters) else { return false };
        if let Stage::Waiting(waker) = std::mem::replace(&mut first.stage, stage) {
            woken.push(waker);
        }
        true
    }

    /// A waiter goes away before it heard how its wait ended: what it was given must not be lost.
    fn forsake(&mut self, place: Key, woken: &mut Wakers) -> Option<Waker> {
        let stage = &self.waiters.get(place)?.value.stage;
        if matches!(stage, Stage::Waiting(_)) {
            self.line.unlink(&mut self.waiters, place);
        }
        let waiter = self.waiters.remove(place)?.value;
        match waiter.stage {
            Stage::Waiting(waker) => {
                // It may have been all that kept smaller wishes behind it waiting.
                self.serve(woken);
                Some(waker)
            }
            Stage::Granted => {
                self.stock += waiter.wants;
                self.serve(woken);
                None
            }
            Stage::Notified { pass_on: true } => {
                self.end_wait_of_first(Stage::Notified { pass_on: true }, woken);
                None
            }
            Stage::Notified { pass_on: false } | Stage::Closed => None,
        }
    }
}

/// Units in somebody's hands. Dropping it grants them again.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    list: &'a WaitList,
    units: usize,
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.list.grant(self.units);
    }
}

/// A wait for units or for a notification. Dropping it half-way loses neither.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub(crate) struct Wait<'a> {
    list: &'a WaitList,
    wants: usize,
    place: Option<Key>,
}

impl Wait<'_> {
    /// Polls as awaiting does, but a place in line is not given up when the wait is over: until
    /// [`accept`](Wait::accept) is called, a drop still passes on what the wait has brought.
    pub(crate) fn poll_over(&mut self, waker: &Waker) -> Poll<Result<(), Closed>> {
        match self.place {
            None => self.begin(waker),
            Some(place) => self.go_on(place, waker),
        }
    }

    /// Keeps for good what the wait has brought, and gives up the place in line.
    pub(crate) fn accept(&mut self) {
        if let Some(place) = self.place.take() {
            let waiter = self.list.0.borrow_mut().waiters.remove(place);
            debug_assert!(!matches!(waiter, Some(Linked { value: Waiter { stage: Stage::Waiting(_), .. }, .. })));
        }
    }

    fn begin(&mut self, waker: &Waker) -> Poll<Result<(), Closed>> {
        match self.list.try_take(self.wants) {
            Err(Closed) => return Poll::Ready(Err(Closed)),
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => {}
        }
        // Cloned with no borrow held, for a foreign waker runs foreign code, and that may have
        // changed the stock: hence the second look. (If that ends the wait, the borrow goes first,
        // being the younger, and the clone after it.)
        let waiter = Waiter { wants: self.wants, stage: Stage::Waiting(keep(waker)) };
        let mut state = self.list.0.borrow_mut();
        match state.try_take(self.wants) {
            Err(Closed) => return Poll::Ready(Err(Closed)),
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => {}
        }
        let State { waiters, line, .. } = &mut *state;
        let place = waiters.insert(Linked::new(waiter));
        line.push_back(waiters, place);
        self.place = Some(place);
        Poll::Pending
    }

    fn go_on(&mut self, place: Key, waker: &Waker) -> Poll<Result<(), Closed>> {
        match self.list.0.borrow_mut().stage(place) {
            Stage::Waiting(current) if current.will_wake(waker) => return Poll::Pending,
            Stage::Waiting(_) => {}
            Stage::Closed => return Poll::Ready(Err(Closed)),
            Stage::Granted | Stage::Notified { .. } => return Poll::Ready(Ok(())),
        }
        // Another waker from now on. Both the cloning and the dropping may run foreign code.
        let mut waker = keep(waker);
        let ended = match self.list.0.borrow_mut().stage(place) {
            Stage::Waiting(current) => {
                std::mem::swap(current, &mut waker);
                false
            }
            _ => true,
        };
        drop(waker);
        // Ended while the waker was being cloned: nobody will wake the new one.
        if ended { self.go_on(place, Waker::noop()) } else { Poll::Pending }
    }

    // Apart from `drop`, so that dropping a wait that never stood in line stays a comparison.
    fn leave(&mut self, place: Key) {
        let mut woken = Wakers::new();
        let own = self.list.0.borrow_mut().forsake(place, &mut woken);
        drop(own);
        woken.wake_all();
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.place.is_none() && self.list.try_take(self.wants) == Ok(true) {
            return Poll::Ready(Ok(()));
        }
        let over = self.poll_over(cx.waker());
        if over.is_ready() {
            self.accept();
        }
        over
    }
}

impl Drop for Wait<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.leave(place);
        }
    }
}
