//! The dump: every task with its state, as text; from within, from outside, and on a signal.
//!
//! ```text
//!   2 tasks
//!   task  name  state    waits for  polls  spawned at
//!   0     main  running  -          3      src/main.rs:7
//!   1     -     waiting  Timer      1      src/main.rs:9
//! ```
//!
//! Promises: it needs nobody who watched before; a signal is answered though the loop hangs.
//! Does not know: which lock a task waits for, only that it is a lock; [`inspect`](crate::Builder::inspect) knows.

use std::collections::BTreeSet;

use crate::context;
use crate::event_loop::EventLoop;
use crate::observer::TaskId;
use crate::study::words::{name_or_dash, place, table, what};
use crate::task::{TaskInfo, Tasks};

/// Every task of the loop that is not over, as a table: number, name, state, what it waits for, polls, the line that
/// spawned it.
///
/// # Panics
///
/// Outside a running loop. [`EventLoop::dump`] works there.
#[track_caller]
#[doc(alias = "print_stack")]
#[must_use]
pub fn dump() -> String {
    text_of(&context::tasks("dump()"))
}

impl EventLoop {
    /// As [`study::dump`](dump()), from outside the loop.
    #[must_use]
    pub fn dump(&self) -> String {
        text_of(self.tasks())
    }
}

fn text_of(tasks: &Tasks) -> String {
    let ready: BTreeSet<TaskId> = tasks.ready().into_iter().collect();
    let all = tasks.all();
    let row = |task: &TaskInfo| {
        let (state, waits) = match task.waits_for {
            None => ("running", "-".to_owned()),
            Some(_) if ready.contains(&task.id) => ("ready", "its turn".to_owned()),
            Some(waits) => ("waiting", what(waits)),
        };
        [
            task.id.number().to_string(),
            name_or_dash(task.name.as_deref()),
            state.to_owned(),
            waits,
            task.polls.to_string(),
            place(task.site),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let count = if rows.len() == 1 { "1 task".to_owned() } else { format!("{} tasks", rows.len()) };
    format!("{count}\n{}", table(HEAD, &rows))
}

/// The head of a table of tasks.
pub(crate) const HEAD: [&str; 6] = ["task", "name", "state", "waits for", "polls", "spawned at"];

#[cfg(all(unix, feature = "signal"))]
mod on_signal {
    use std::io;
    use std::rc::Rc;

    use signal_hook::consts::FORBIDDEN;
    use signal_hook::iterator::{Handle, Signals};

    use super::dump;
    use crate::builder::Builder;
    use crate::locks::ThreadBuilder;
    use crate::observer::{Event, Observer, Watch};
    use crate::quietly::quietly;
    use crate::study::ask::{Line, PATIENCE};
    use crate::study::watchdog::Pulse;

    impl Builder {
        /// Prints a [`dump`](crate::study::dump()) on stderr whenever this process gets `signal`, such as `SIGUSR1`;
        /// needs the feature `signal`. Given several times, each of the signals does it.
        ///
        /// A thread of its own waits for the signal and asks the loop; if that hangs in a poll, the thread says in
        /// whose. Once the loop has ended, the signal does nothing. [`build`](Builder::build) fails if it cannot be
        /// caught.
        pub fn dump_on_signal(self, signal: i32) -> Builder {
            self.attach(move |premises| {
                if FORBIDDEN.contains(&signal) {
                    let text = format!("dump_on_signal(): signal {signal} cannot be caught; SIGUSR1 can");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                let line = Line::to(premises.address);
                let mut signals = Signals::new([signal])?;
                let listener = Listener { pulse: line.pulse.clone(), signals: signals.handle() };
                ThreadBuilder::new().name("roundel dump".to_owned()).spawn(move || {
                    for signal in signals.forever() {
                        let text = line.ask(dump, PATIENCE).unwrap_or_else(|silence| format!("{silence}\n"));
                        quietly(|| eprint!("roundel, on signal {signal}: {text}"));
                    }
                })?;
                Ok(Watch::guard(Rc::new(listener)))
            })
        }
    }

    /// Feels the loop's pulse, and ends the thread when the loop does.
    struct Listener {
        pulse: Pulse,
        signals: Handle,
    }

    impl Observer for Listener {
        fn event(&self, event: &Event<'_>) {
            self.pulse.event(event);
            if matches!(event, Event::Closing) {
                self.signals.close();
            }
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            self.signals.close();
        }
    }
}
