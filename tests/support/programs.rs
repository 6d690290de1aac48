//! The built examples, for tests that run them; and a folder for what they write.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses some of it, and a test may unwrap")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `target/debug` or `target/release`, whichever this test was built into.
fn profile_dir() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_path_buf()
}

/// The built example. `cargo test --test NAME` builds no examples by itself, and would run old ones.
pub(crate) fn example(name: &str) -> Command {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let profile = profile_dir();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        cargo.args(["build", "--quiet", "--examples", "--target-dir"]).arg(profile.parent().unwrap());
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.output().unwrap();
        assert!(built.status.success(), "the examples do not build:\n{}", String::from_utf8_lossy(&built.stderr));
    });
    Command::new(profile_dir().join("examples").join(name).with_extension(env::consts::EXE_EXTENSION))
}

/// A directory that is gone when this is.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let dir = env::temp_dir().join(format!("roundel-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    /// A path in it for a socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
