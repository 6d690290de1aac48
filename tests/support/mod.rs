//! What several test files share: a trace, counting wakers, loops in virtual time, caught panics.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses some of it, and a test may unwrap")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::env;
use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use roundel::{Clock, EventLoop};

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace::default()
    }

    pub(crate) fn note(&self, what: impl Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// Something that notes `what` when it is dropped.
    pub(crate) fn on_drop(&self, what: impl Display) -> NoteDrop {
        NoteDrop(self.clone(), what.to_string())
    }

    /// Something that notes "`name` dropped" when it is.
    pub(crate) fn at_drop(&self, name: impl Display) -> NoteDrop {
        self.on_drop(format!("{name} dropped"))
    }
}

/// Made by [`Trace::on_drop`].
#[derive(Debug)]
pub(crate) struct NoteDrop(Trace, pub(crate) String);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.note(&self.1);
    }
}

/// Runs a closure when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Counts the wakes of a waker that no loop made.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn counting_waker() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes::default());
    (wakes.clone(), Waker::from(wakes))
}

pub(crate) fn virtual_loop() -> EventLoop {
    EventLoop::builder().clock(Clock::virtual_time()).build().unwrap()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A panic as the panic hook saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) text: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

thread_local! {
    static PANICS: RefCell<Vec<Panic>> = const { RefCell::new(Vec::new()) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `story` and returns its result, and every panic of this thread meanwhile, caught or not.
/// The panics noted here are not printed.
pub(crate) fn panics_during<R>(story: impl FnOnce() -> R) -> (Result<R, Box<dyn Any + Send>>, Vec<Panic>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !WATCHED.get() {
                return before(info);
            }
            let location = info.location().unwrap();
            let text = panic_text(info.payload());
            let panic = Panic { text, file: location.file().to_owned(), line: location.line() };
            PANICS.with_borrow_mut(|panics| panics.push(panic));
        }));
    });
    let before = WATCHED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(story));
    WATCHED.set(before);
    (result, PANICS.take())
}

/// What a panic's payload says.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Runs the test called `name` again, alone in a process of its own, for what the whole process shares:
/// descriptors, threads, loop numbers. True in that process, which then tells the story.
pub(crate) fn alone(name: &str) -> bool {
    const MARK: &str = "ROUNDEL_TEST_ALONE";
    if env::var_os(MARK).is_some() {
        return true;
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", name, "--test-threads=1", "--nocapture"]).env(MARK, name);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    assert!(output.status.success(), "{name}, in a process of its own:\n{text}");
    assert!(text.contains("1 passed"), "no test is called {name}:\n{text}");
    false
}

/// Whether a type has a trait, asked where the type is known: `implements!(Rc<u8>: Send)` is false. Of a
/// value: `implements!(marker marker_of(&value), Send)`, with the value's `PhantomData`.
#[allow(unused_macros, reason = "each test file uses some of it")]
macro_rules! implements {
    (marker $marker:expr, $($bound:tt)+) => {{
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "of the two methods one is called")]
        trait Lacks {
            fn answer(&self) -> bool {
                false
            }
        }
        impl<T: ?Sized> Lacks for &Probe<T> {}
        // An inherent method wins over the trait's, where its bound holds.
        impl<T: ?Sized + $($bound)+> Probe<T> {
            #[allow(dead_code, reason = "of the two methods one is called")]
            fn answer(&self) -> bool {
                true
            }
        }
        (&Probe($marker)).answer()
    }};
    ($type:ty: $($bound:tt)+) => {
        $crate::support::implements!(marker std::marker::PhantomData::<$type>, $($bound)+)
    };
}
#[allow(unused_imports, reason = "each test file uses some of it")]
pub(crate) use implements;

/// Tells a story that would go on for an hour if it went wrong: it is given twenty seconds.
pub(crate) fn soon(story: impl FnOnce() + Send + 'static) {
    let (over, ended) = mpsc::channel::<()>();
    let teller = thread::spawn(move || {
        story();
        drop(over);
    });
    let ended = ended.recv_timeout(Duration::from_secs(20));
    assert_ne!(ended, Err(mpsc::RecvTimeoutError::Timeout), "the story hangs");
    teller.join().unwrap();
}

/// Whether a type may cross, or be shared between, threads: `crosses_threads!(Rc<u8>)` is false.
#[allow(unused_macros, reason = "each test file uses some of it")]
macro_rules! crosses_threads {
    ($type:ty) => {
        $crate::support::implements!($type: Send + Sync)
    };
}
#[allow(unused_imports, reason = "each test file uses some of it")]
pub(crate) use crosses_threads;

/// The misuse panics with this text, at the line where it is written.
#[allow(unused_macros, reason = "each test file uses some of it")]
macro_rules! assert_refused {
    ($text:literal, $misuse:expr) => {{
        let (result, panics) = $crate::support::panics_during(|| {
            let _misuse = $misuse;
        });
        assert!(result.is_err(), "{} must panic", stringify!($misuse));
        assert_eq!(panics.len(), 1);
        assert!(panics[0].text.contains($text), "{}: {:?}", stringify!($misuse), panics[0]);
        assert_eq!((panics[0].file.as_str(), panics[0].line), (file!(), line!()), "{}", stringify!($misuse));
    }};
}
#[allow(unused_imports, reason = "each test file uses some of it")]
pub(crate) use assert_refused;
