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
//! Promises: the loop does no more for a client than give the text; a client that says nothing, says too much or goes
//! away harms nobody; the socket is for this user only, and goes with the loop; nothing that is no socket is removed.
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
    /// replaced.
    ///
    /// [`build`](Builder::build) fails if something else is at `path`, or somebody listens there, if the system
    /// refuses the socket or the thread, and where there are no Unix sockets.
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
    use std::cell::{Cell, RefCell};
    use std::fs::{self, Permissions};
    use std::io::{self, BufRead, BufReader, Read, Write};
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::rc::Rc;
    use std::thread;
    use std::time::Duration;

    use crate::builder::Premises;
    use crate::clock::Instant;
    use crate::locks::{Arc, ThreadBuilder};
    use crate::observer::{Event, Observer, Watch};
    use crate::study::ask::{Line, PATIENCE};
    use crate::study::census::Taker;
    use crate::study::queries::Request;
    use crate::study::watchdog::Pulse;

    /// The longest request: a name of a task fits, and nobody fills our memory.
    const LONGEST: usize = 1024;

    /// What is read, and thrown away, of a request that is too long: an answer to somebody who still writes is lost.
    const SPARE: u64 = 1 << 20;

    /// Clients at once: one has an answer within seconds, so more are no humans.
    const CLIENTS: usize = 16;

    /// How long a client may take over its line, or over our text.
    const UNHURRIED: Duration = Duration::from_secs(10);

    thread_local! {
        /// The censuses of this thread's loops, where an errand finds its own: it comes from another thread, and
        /// cannot bring it along.
        static CENSUSES: RefCell<Vec<(Pulse, Rc<Taker>)>> = const { RefCell::new(Vec::new()) };
    }

    /// Takes the census of one loop, and has the socket.
    struct Inspector {
        pulse: Pulse,
        census: Rc<Taker>,
        path: PathBuf,
        /// Which file the socket is: another one at its path is none of our business.
        file: (u64, u64),
        listener: UnixListener,
        closed: Cell<bool>,
    }

    pub(super) fn open(path: &Path, premises: &Premises) -> io::Result<Watch> {
        let path = std::path::absolute(path)?;
        let listener = listen(&path)?;
        let metadata = fs::symlink_metadata(&path)?;
        let line = Line { address: premises.address, pulse: Pulse::new() };
        let inspector = Inspector {
            pulse: line.pulse.clone(),
            census: Rc::default(),
            path,
            file: (metadata.dev(), metadata.ino()),
            listener: listener.try_clone()?,
            closed: Cell::new(false),
        };
        CENSUSES.with_borrow_mut(|all| all.push((inspector.pulse.clone(), inspector.census.clone())));
        ThreadBuilder::new().name("roundel inspect".to_owned()).spawn(move || receive(&listener, &line))?;
        Ok(Watch::of_everything(Rc::new(inspector)))
    }

    /// A socket at `path`, for this user only.
    fn listen(path: &Path) -> io::Result<UnixListener> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        // Whoever came in before the door had its lock goes out again.
        listener.set_nonblocking(true)?;
        while listener.accept().is_ok() {}
        listener.set_nonblocking(false)?;
        Ok(listener)
    }

    /// Removes a socket that nobody listens to.
    fn remove_stale(path: &Path) -> io::Result<()> {
        let taken = |text| Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        if !fs::symlink_metadata(path)?.file_type().is_socket() {
            return taken("there is something that is no socket: choose another path, or move it away");
        }
        match UnixStream::connect(path) {
            Ok(_) => taken("somebody listens there already: choose another path, or end that process"),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
        }
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
            if self.closed.replace(true) {
                return;
            }
            self.pulse.close();
            // At the thread's end they may be gone already.
            let _ = CENSUSES.try_with(|all| all.borrow_mut().retain(|(pulse, _)| !pulse.is(&self.pulse)));
            self.end_accept();
            let file = fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
            if file.is_ok_and(|file| file == self.file) {
                let _ = fs::remove_file(&self.path);
            }
        }

        /// Its thread waits in `accept`. On Linux that ends when the socket is shut down; elsewhere a last client ends
        /// it.
        fn end_accept(&self) {
            let shut = self
                .listener
                .try_clone()
                .and_then(|listener| UnixStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both));
            if shut.is_err() {
                let _ = UnixStream::connect(&self.path);
            }
        }
    }

    /// The inspector's thread: a thread more for each client, so that a slow one keeps nobody waiting.
    fn receive(listener: &UnixListener, line: &Line) {
        let present = Arc::new(());
        for client in listener.incoming() {
            if line.pulse.is_closed() {
                return;
            }
            let Ok(client) = client else {
                // No descriptors left, most likely: they come back, or the loop ends.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            if Arc::strong_count(&present) > CLIENTS {
                answer(&client, "error: too many clients at once: try again\n");
                continue;
            }
            let (line, guest) = (line.clone(), present.clone());
            let serve = move || {
                serve(&client, &line);
                drop(guest);
            };
            // Without a thread the client is sent away, by the drop of its socket.
            let _ = ThreadBuilder::new().name("roundel inspect".to_owned()).spawn(serve);
        }
    }

    fn serve(client: &UnixStream, line: &Line) {
        let _ = client.set_read_timeout(Some(UNHURRIED));
        if let Some(request) = read_line(client) {
            let answered = request.and_then(|request| ask(line, &Request::parse(&request)?));
            answer(client, &answered.unwrap_or_else(|error| format!("error: {error}\n")));
        }
    }

    fn answer(client: &UnixStream, text: &str) {
        let _ = client.set_write_timeout(Some(UNHURRIED));
        // A client that has gone away does not want to hear.
        let _ = (&mut &*client).write_all(text.as_bytes());
    }

    /// The first line; nothing if the client goes away without one.
    fn read_line(client: &UnixStream) -> Option<Result<String, String>> {
        let mut reader = BufReader::new(client).take(LONGEST as u64 + 1);
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.len() <= LONGEST => Some(Ok(String::from_utf8_lossy(&line).into_owned())),
            Ok(_) => {
                reader.set_limit(SPARE);
                let _ = reader.skip_until(b'\n');
                Some(Err(format!("a request is one line of at most {LONGEST} bytes")))
            }
            Err(_) => Some(Err(format!("no request came within {UNHURRIED:?}"))),
        }
    }

    fn ask(line: &Line, request: &Request) -> Result<String, String> {
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
