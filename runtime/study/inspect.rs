//! The inspector: a Unix socket at which a running loop is asked what it does.
//!
//! ```text
//!   client             a thread of the inspector's             the loop's thread
//!   "ps\n"  ---------> reads one line  --- an errand --------> looks at the census, between two turns
//!   text    <--------- writes, closes  <---------------------- text
//!                      2 s without an answer: says in whose poll the loop hangs
//! ```
//!
//! A request is one line; its answer lasts until the end of the stream, and begins with `error: ` if it is none.
//! `examples/inspect.rs` is a client; `echo ps | nc -U PATH` is another.
//!
//! Promises: the loop does no more for a client than give the text; a client that says nothing, is slow, says too much
//! or goes away harms nobody; the socket is for this user only, and goes with the loop; so does the thread.
//! Does not know: what the answers mean.

use std::io;
use std::path::Path;

use crate::builder::Builder;

impl Builder {
    /// Opens a Unix socket at `path` where the loop can be asked what it does, while it does it: `ps` lists the tasks,
    /// `tree` tells who spawned whom, `locks` who holds what, and `why TASK` what a task waits for, and so on to the
    /// end.
    ///
    /// It takes a thread, and an account of every event. A socket at `path` that nobody listens to any more is
    /// replaced. It is put together in a folder beside `path` for a moment, so that it is never open to others: some
    /// twenty bytes beyond its folder's name have to fit into what the system takes as a path of a socket, which is
    /// about a hundred.
    ///
    /// [`build`](Builder::build) fails if something else is at `path`, or somebody listens there, if the system
    /// refuses the socket or the thread, and where there are no Unix sockets. It does not wait for anybody, and leaves
    /// nothing at `path` if it fails.
    #[doc(alias = "pstree")]
    pub fn inspect(self, path: impl AsRef<Path>) -> Builder {
        let path = path.as_ref().to_owned();
        self.attach(move |premises| {
            let opened = open(&path, premises);
            opened.map_err(|error| io::Error::new(error.kind(), format!("inspect({}): {error}", path.display())))
        })
    }
}

#[cfg(unix)]
use on_unix::open;

#[cfg(not(unix))]
fn open(_: &Path, _: &crate::builder::Premises) -> io::Result<crate::observer::Watch> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets on this system"))
}

#[cfg(unix)]
mod on_unix {
    use std::cell::RefCell;
    use std::io;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::rc::Rc;
    use std::thread;
    use std::time::Duration;

    use crate::builder::Premises;
    use crate::clock::Instant;
    use crate::locks::{Arc, ThreadBuilder};
    use crate::observer::{Event, Observer, Watch};
    use crate::study::ask::{Line, PATIENCE};
    use crate::study::census::Taker;
    use crate::study::door::Door;
    use crate::study::queries::Request;
    use crate::study::visit::Visit;
    use crate::study::watchdog::Pulse;

    /// Clients at once: one has an answer within seconds, so more are no humans. As many again are told so; who comes
    /// then is sent away without a word.
    const CLIENTS: usize = 16;

    /// Within this a client has to say its line, counted from when it came: time enough to type it. Its visit ends
    /// within twice that, so nobody keeps a place for longer.
    const HURRY: Duration = Duration::from_secs(10);

    /// The same for one who is only to be told that there are too many: its line, which comes at once if it is a
    /// program's, has to be read, or the answer is lost to it.
    const GREAT_HURRY: Duration = Duration::from_secs(1);

    thread_local! {
        /// The censuses of this thread's loops, where an errand finds its own: it comes from another thread, and
        /// cannot bring it along.
        static CENSUSES: RefCell<Vec<(Pulse, Rc<Taker>)>> = const { RefCell::new(Vec::new()) };
    }

    /// Takes the census of one loop, and has the door.
    struct Inspector {
        pulse: Pulse,
        census: Rc<Taker>,
        door: Door,
    }

    pub(super) fn open(path: &Path, premises: &Premises) -> io::Result<Watch> {
        let (listener, door) = Door::open(path)?;
        let line = Line::to(premises.address);
        let inspector = Inspector { pulse: line.pulse.clone(), census: Rc::default(), door };
        CENSUSES.with_borrow_mut(|all| all.push((inspector.pulse.clone(), inspector.census.clone())));
        // Without a thread the inspector goes here, and its door with it.
        ThreadBuilder::new().name("roundel inspect".to_owned()).spawn(move || receive(&listener, &line))?;
        Ok(Watch::of_everything(Rc::new(inspector)))
    }

    impl Observer for Inspector {
        fn event(&self, event: &Event<'_>) {
            self.census.event(event);
            self.pulse.event(event);
            if matches!(event, Event::Closing) {
                self.close();
            }
        }
    }

    impl Drop for Inspector {
        fn drop(&mut self) {
            self.close();
        }
    }

    impl Inspector {
        fn close(&self) {
            self.pulse.close();
            // At the thread's end they may be gone already.
            let _ = CENSUSES.try_with(|all| all.borrow_mut().retain(|(pulse, _)| !pulse.is(&self.pulse)));
            self.door.close();
        }
    }

    /// The inspector's thread: a thread more for each client, so that a slow one keeps nobody waiting, not even to
    /// hear that there are too many.
    fn receive(listener: &UnixListener, line: &Line) {
        let (guests, refused) = (Arc::new(()), Arc::new(()));
        for client in listener.incoming() {
            if line.pulse.is_closed() {
                return;
            }
            let Ok(client) = client else {
                // No descriptors left, most likely: they come back, or the loop ends.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            let has_room = |present: &Arc<()>| Arc::strong_count(present) <= CLIENTS;
            let (present, answer, hurry): (_, fn(&Line, &str) -> Answer, _) = if has_room(&guests) {
                (&guests, answer_to, HURRY)
            } else if has_room(&refused) {
                (&refused, |_, _| Err("too many clients at once: try again".to_owned()), GREAT_HURRY)
            } else {
                continue;
            };
            let (visit, line, present) = (Visit::new(client, hurry), line.clone(), present.clone());
            let serve = move || {
                if let Some(request) = visit.request() {
                    let answered = request.and_then(|request| answer(&line, &request));
                    visit.answer(&answered.unwrap_or_else(|error| format!("error: {error}\n")));
                }
                drop(present);
            };
            // Without a thread the client is sent away, by the drop of its socket.
            let _ = ThreadBuilder::new().name("roundel inspect".to_owned()).spawn(serve);
        }
    }

    /// A text, or what is wrong, in words.
    type Answer = Result<String, String>;

    fn answer_to(line: &Line, request: &str) -> Answer {
        ask(line, &Request::parse(request)?)
    }

    fn ask(line: &Line, request: &Request) -> Answer {
        let (request, pulse) = (request.clone(), line.pulse.clone());
        let question = move || {
            let of_this_loop = |all: &RefCell<Vec<(Pulse, Rc<Taker>)>>| {
                all.borrow().iter().find(|(of, _)| of.is(&pulse)).map(|(_, census)| census.clone())
            };
            let census = CENSUSES.try_with(of_this_loop).ok().flatten();
            let answered = census.map(|census| request.answer(&census.0.borrow(), Instant::now()));
            match answered {
                Some(Ok(text)) => text,
                Some(Err(error)) => format!("error: {error}\n"),
                None => "error: the loop has ended\n".to_owned(),
            }
        };
        line.ask(question, PATIENCE).map_err(|silence| silence.to_string())
    }
}
