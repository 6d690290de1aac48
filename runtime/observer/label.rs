//! What a primitive says for whoever watches: its number and its name, who took it, and that somebody waits for it.
//!
//! Promises: where nobody watches, nothing is numbered and nothing put together.
//! Does not know: who listens.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

use super::{ACTOR, Behind, Event, Holder, Resource, STALLS, WAITS, Waits, actor, actor_of, is_watched, tell};

thread_local! {
    static LABELS: Cell<u32> = const { Cell::new(0) };
    /// By number, apart from the primitives: few have one.
    static NAMES: RefCell<BTreeMap<u32, Rc<str>>> = const { RefCell::new(BTreeMap::new()) };
}

#[inline]
fn note_wait(kind: Waits) {
    WAITS.set(kind);
    // Of these circles are made; seldom of handles alone, and nearly every root awaits one. (The kind is a constant
    // wherever this is called.)
    if kind == Waits::Lock {
        STALLS.set(true);
    }
}

/// Whether a task has begun to wait for a lock since this was last asked.
pub(crate) fn has_stalls() -> bool {
    STALLS.get()
}

/// Forgets those that there were.
pub(crate) fn forget_stalls() {
    STALLS.set(false);
}

/// A primitive's future says that it now waits, and what has to happen first. Works under any executor; where no
/// loop runs, nobody hears it.
#[inline]
pub(crate) fn waiting(
    kind: Waits,
    label: &Label,
    site: Option<&'static Location<'static>>,
    behind: impl FnOnce(&mut dyn FnMut(Behind<'_>)),
) {
    note_wait(kind);
    if is_watched() {
        tell_waiting(label.resource(kind), site, behind);
    }
}

/// As [`waiting`], where the runtime cannot tell who will end the wait.
#[inline]
pub(crate) fn waiting_for_anyone(kind: Waits, label: &Label, site: Option<&'static Location<'static>>) {
    waiting(kind, label, site, |tell| tell(Behind::Anyone));
}

/// As [`waiting`], for what has no number of its own.
#[inline]
pub(crate) fn waiting_unlabelled(
    kind: Waits,
    site: Option<&'static Location<'static>>,
    behind: impl FnOnce(&mut dyn FnMut(Behind<'_>)),
) {
    note_wait(kind);
    if is_watched() {
        tell_waiting(Resource { kind, number: 0 }, site, behind);
    }
}

/// The current task has given its turn away.
#[inline]
pub(crate) fn waiting_for_a_turn() {
    waiting_unlabelled(Waits::Turn, None, |tell| tell(Behind::Anyone));
}

#[cold]
#[inline(never)]
fn tell_waiting(
    resource: Resource,
    site: Option<&'static Location<'static>>,
    behind: impl FnOnce(&mut dyn FnMut(Behind<'_>)),
) {
    let site = site.filter(|site| !is_our_own(site));
    behind(&mut |behind| tell(|| Event::Waiting { by: actor(), resource, site, behind }));
}

/// Whether a line is one of this library: a future that is a task by itself is polled from here.
fn is_our_own(site: &Location<'_>) -> bool {
    let house = file!().trim_end_matches("observer/label.rs");
    site.file().starts_with(house)
}

/// A primitive's number, given out the first time somebody watches it or names it.
#[derive(Debug, Default)]
pub(crate) struct Label(Cell<u32>);

impl Label {
    pub(crate) const fn new() -> Label {
        Label(Cell::new(0))
    }

    pub(crate) fn resource(&self, kind: Waits) -> Resource {
        Resource { kind, number: self.number() }
    }

    fn number(&self) -> u32 {
        if self.0.get() == 0 {
            LABELS.set(LABELS.get() + 1);
            self.0.set(LABELS.get());
        }
        self.0.get()
    }

    #[inline]
    pub(crate) fn acquired(&self, kind: Waits, site: &'static Location<'static>) {
        tell(|| Event::Acquired { by: actor(), resource: self.resource(kind), site });
    }

    #[inline]
    pub(crate) fn released(&self, kind: Waits, taken: Mark) {
        tell(|| Event::Released { by: taken.holder().who, resource: self.resource(kind) });
    }
}

/// The number of a primitive that may have a name.
#[derive(Debug, Default)]
pub(crate) struct Nameable(Label);

impl Nameable {
    pub(crate) const fn new() -> Nameable {
        Nameable(Label::new())
    }

    /// Gives it a name for whoever looks.
    pub(crate) fn set_name(&self, name: &str) {
        // At a thread's end the names may have gone before.
        let _ = NAMES.try_with(|names| names.borrow_mut().insert(self.number(), name.into()));
    }
}

impl Deref for Nameable {
    type Target = Label;

    fn deref(&self) -> &Label {
        &self.0
    }
}

impl Drop for Nameable {
    #[inline]
    fn drop(&mut self) {
        if self.0.0.get() != 0 {
            forget_name(self.0.0.get());
        }
    }
}

/// Who acts and where, in two words, for whoever may be asked later who took something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    actor: u64,
    site: &'static Location<'static>,
}

impl Mark {
    /// Of whoever acts now.
    #[inline]
    pub(crate) fn of(site: &'static Location<'static>) -> Mark {
        Mark { actor: ACTOR.get(), site }
    }

    pub(crate) fn holder(self) -> Holder {
        Holder { who: actor_of(self.actor), site: self.site }
    }
}

#[cold]
fn forget_name(number: u32) {
    // At a thread's end the names may have gone before.
    let _ = NAMES.try_with(|names| names.borrow_mut().remove(&number));
}

/// While it lives, primitives are numbered from 1 again, so that a program is told of in the same words however
/// often it runs. What was named before keeps its name, which is not known meanwhile.
pub(crate) struct FreshLabels {
    count: u32,
    names: BTreeMap<u32, Rc<str>>,
}

impl FreshLabels {
    pub(crate) fn new() -> FreshLabels {
        FreshLabels { count: LABELS.replace(0), names: NAMES.take() }
    }
}

impl Drop for FreshLabels {
    fn drop(&mut self) {
        LABELS.set(self.count);
        NAMES.set(mem::take(&mut self.names));
    }
}

impl Resource {
    /// The name it was given, by `named`, as long as it lives.
    pub fn name(&self) -> Option<Rc<str>> {
        NAMES.try_with(|names| names.borrow().get(&self.number).cloned()).ok().flatten()
    }
}

/// `Lock "name"`, `Lock 3`, or `Lock` if it has neither name nor number.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        match (self.name(), self.number) {
            (Some(name), _) => write!(f, " {name:?}"),
            (None, 0) => Ok(()),
            (None, number) => write!(f, " {number}"),
        }
    }
}
