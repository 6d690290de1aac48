//! Asks a running loop what it does: the client of `EventLoop::builder().inspect(PATH)`.
//!
//! Watch:  a process that serves, and answers between two turns; one that hangs in a poll is told on by its
//!         inspector's thread, after two seconds.
//! Run:    cargo run --example echo -- --inspect /tmp/echo.sock          in one terminal, and in another
//!         cargo run --example inspect -- /tmp/echo.sock ps              or tree, locks, why TASK
//!         cargo run --example inspect -- /tmp/echo.sock ps --watch 1    again every second
//! Prints: the answer; ends with status 1 if that is an error.
//! Unlike Python: `python -m asyncio ps PID` reads the memory of a process, and needs the right to do so. Here the
//!         process opens a door, or none.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, Command, value_parser};

/// What is to be asked, where, and how often.
struct Question {
    path: PathBuf,
    line: String,
    every: Option<Duration>,
}

impl Question {
    fn parse() -> Question {
        let path = Arg::new("PATH").required(true).value_parser(value_parser!(PathBuf));
        let request = Arg::new("REQUEST").required(true).num_args(1..);
        let watch = Arg::new("watch").long("watch").value_name("SECONDS").value_parser(value_parser!(u64).range(1..));
        let matches = Command::new("inspect")
            .about("Asks a running loop what it does")
            .arg(path.help("The socket that the process was told to open"))
            .arg(
                request.help("ps: the tasks; tree: who spawned whom; locks: who has what; why TASK: what it waits for"),
            )
            .arg(watch.help("Asks again and again, until the process ends"))
            .get_matches();
        let words: Vec<String> = matches.get_many::<String>("REQUEST").into_iter().flatten().cloned().collect();
        Question {
            path: matches.get_one::<PathBuf>("PATH").cloned().unwrap_or_default(),
            line: words.join(" "),
            every: matches.get_one("watch").copied().map(Duration::from_secs),
        }
    }
}

#[cfg(unix)]
fn ask(question: &Question) -> io::Result<String> {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    let mut stream = UnixStream::connect(&question.path)?;
    writeln!(stream, "{}", question.line)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(not(unix))]
fn ask(_: &Question) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets on this system"))
}

fn main() -> ExitCode {
    let question = Question::parse();
    loop {
        match ask(&question) {
            Ok(answer) if answer.starts_with("error: ") => {
                eprint!("{answer}");
                return ExitCode::FAILURE;
            }
            Ok(answer) => print!("{answer}"),
            Err(error) => {
                eprintln!("error: nobody answers at {}: {error}", question.path.display());
                return ExitCode::FAILURE;
            }
        }
        let Some(pause) = question.every else { return ExitCode::SUCCESS };
        std::thread::sleep(pause);
        println!();
    }
}
