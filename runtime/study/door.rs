//! The door: a Unix socket that is listened to at a path, for this user only.
//!
//! ```text
//!   folder/.r1f-0/      made afresh, and nobody else may enter
//!                 s     bound here, and locked (0600)
//!   folder/app.sock     its second name, which it gets if nothing has that; a stale socket is moved into our
//!                       folder first, looked at again where nobody exchanges it, and only then removed
//! ```
//!
//! Whether somebody listens is found out with a datagram socket: the system refuses it one way if nobody does,
//! another way if somebody does, and never lets it wait, however long the line of clients is.
//!
//! Promises: nobody else finds the door unlocked, not for a moment; it stands whole or not at all; what is no stale
//! socket is not removed, nor is what others put in its place since.
//! Does not know: what is said there; threads.
//! Left over: a process that is killed in the midst leaves its small folder. If three open the same stale path within
//! microseconds, one may lose its place to another, and is then not found.

use std::cell::Cell;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// How often somebody else may be quicker than we with a socket that dies at once.
const ATTEMPTS: u32 = 16;

/// A socket at a path. Closing or dropping it shuts it, and takes it from there.
pub(crate) struct Door {
    path: PathBuf,
    /// Which file it is: another one at its path is none of our business.
    file: (u64, u64),
    /// The listener by another name, to be shut when no descriptor is to be had. While it is open, nobody takes the
    /// file for a stale one.
    socket: UnixStream,
    closed: Cell<bool>,
}

impl Door {
    /// Opens one, with the listener for whoever receives the clients.
    ///
    /// # Errors
    ///
    /// If there is something at the path that is no stale socket, or the system refuses.
    pub(crate) fn open(path: &Path) -> io::Result<(UnixListener, Door)> {
        let path = std::path::absolute(path)?;
        // A file can have a longer name than clients could connect to.
        SocketAddr::from_pathname(&path)?;
        let yard = Yard::beside(&path)?;
        let listener = UnixListener::bind(yard.fresh())?;
        fs::set_permissions(yard.fresh(), Permissions::from_mode(0o600))?;
        let socket = UnixStream::from(OwnedFd::from(listener.try_clone()?));
        let file = file_at(&yard.fresh())?;
        yard.open_at(&path)?;
        Ok((listener, Door { path, file, socket, closed: Cell::new(false) }))
    }

    /// Ends the wait for clients, and removes the file. A second time does nothing.
    pub(crate) fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        // On Linux that ends an `accept`; where it does not, a last client does.
        if self.socket.shutdown(Shutdown::Both).is_err() {
            let _ = UnixStream::connect(&self.path);
        }
        if file_at(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
    }
}

/// A folder of our own beside the path, which goes when this does.
struct Yard(PathBuf);

impl Yard {
    fn beside(path: &Path) -> io::Result<Yard> {
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        let mut number = 0;
        loop {
            let folder = parent.join(format!(".r{:x}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&folder) {
                // Another loop of this process is at it, or a process of our number was killed at it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < ATTEMPTS => number += 1,
                made => return made.map(|()| Yard(folder)),
            }
        }
    }

    fn fresh(&self) -> PathBuf {
        self.0.join("s")
    }

    fn open_at(&self, path: &Path) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            match name(&self.fresh(), path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.clear(path)?,
                named => return named,
            }
        }
        refused("others take the place again and again")
    }

    /// Removes a stale socket, if that is what is there.
    fn clear(&self, path: &Path) -> io::Result<()> {
        match must_be_stale(path).and_then(|()| self.take_away(path)) {
            // Somebody else did it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Removes what was a stale socket a moment ago; whatever else it is by now goes back to its place.
    fn take_away(&self, path: &Path) -> io::Result<()> {
        let moved = self.0.join("moved");
        fs::rename(path, &moved)?;
        must_be_stale(&moved).inspect_err(|_| {
            // If a third is there already, this one stays where it is: it is not ours to remove.
            if name(&moved, path).is_ok() {
                let _ = fs::remove_file(&moved);
            }
        })?;
        fs::remove_file(&moved)
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.fresh());
        let _ = fs::remove_dir(&self.0);
    }
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Names a file, if nothing has the name. The old name may stay.
fn name(file: &Path, name: &Path) -> io::Result<()> {
    let linked = fs::hard_link(file, name);
    // Some file systems have no second names, and then it takes two steps.
    let cannot = |error: &io::Error| matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported);
    let is_free = || fs::symlink_metadata(name).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if linked.as_ref().is_err_and(cannot) && is_free() { fs::rename(file, name) } else { linked }
}

fn must_be_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return refused("there is something that is no socket: choose another path, or move it away");
    }
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Ok(()),
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Err(error),
            // "Wrong type", which std has no name for: there is one of the other type.
            _ => refused("somebody listens there already: choose another path, or end that process"),
        },
        Ok(()) => refused("somebody listens there already: choose another path, or end that process"),
    }
}

fn refused(text: &str) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::AddrInUse, text))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_comes_between_two_looks_at_a_stale_socket_is_put_back() {
        let folder = std::env::temp_dir().join(format!("roundel-door-{}", std::process::id()));
        let path = folder.join("socket");
        fs::create_dir_all(&folder).expect("a folder for the test");
        let yard = Yard::beside(&path).expect("there is room");
        let is_put_back = || {
            let before = file_at(&path).expect("it is there");
            yard.take_away(&path).expect_err("it is not stale");
            assert_eq!(file_at(&path).expect("it is there again"), before);
            assert_eq!(fs::read_dir(&yard.0).expect("it is our folder").count(), 0);
        };
        let fresh = UnixListener::bind(&path).expect("nothing is there");
        is_put_back();
        UnixStream::connect(&path).expect("it is the one that listens");
        drop(fresh);
        yard.take_away(&path).expect("now it is stale");
        fs::write(&path, "a letter").expect("nothing is there");
        is_put_back();
        fs::remove_file(&path).expect("the letter is there");
        fs::create_dir(&path).expect("nothing is there");
        is_put_back();
        drop(yard);
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
