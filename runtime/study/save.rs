//! Recordings on disk: the name's ending says what is written.
//!
//! ```text
//!   save("run.svg")   a picture                                   timeline
//!   save("run.json")  trace events, and the recording itself      trace   <--load
//!   save("run.html")  a page to step through                      page
//! ```
//!
//! Promises: what was saved as `.json` is loaded as it was; another ending is refused before anything is written.
//! Does not know: what a file looks like inside.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::study::recording::Recording;
use crate::study::{page, timeline, trace};

/// What can be written, by the ending of the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Picture,
    Trace,
    Page,
}

impl Recording {
    /// Writes it to a file: a picture as `.svg`, a page to step through as `.html`, or `.json`, which
    /// ui.perfetto.dev and chrome://tracing open, and [`load`](Recording::load) as well.
    ///
    /// # Errors
    ///
    /// If the name has another ending, of the kind `InvalidInput`; or if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let text = match form_of(path)? {
            Form::Picture => timeline::svg(self),
            Form::Trace => trace::json(self)?,
            Form::Page => page::html(self),
        };
        fs::write(path, text)
    }

    /// Whether [`save`](Recording::save) knows how to write a file of this name: for a program that wants to know
    /// before it runs.
    ///
    /// # Errors
    ///
    /// As by [`save`](Recording::save), if the name has another ending. Nothing is written.
    pub fn check_name(path: impl AsRef<Path>) -> io::Result<()> {
        form_of(path.as_ref()).map(drop)
    }

    /// Reads what was saved as `.json`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or, of the kind `InvalidData`, if there is no recording in it.
    pub fn load(path: impl AsRef<Path>) -> io::Result<Recording> {
        #[derive(Deserialize)]
        struct File {
            roundel: Recording,
        }
        let path = path.as_ref();
        let text = fs::read_to_string(path)?;
        let file: File = serde_json::from_str(&text).map_err(|error| {
            let text = format!("{} holds no recording: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(file.roundel)
    }
}

fn form_of(path: &Path) -> io::Result<Form> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => Ok(Form::Picture),
        Some("json") => Ok(Form::Trace),
        Some("html") => Ok(Form::Page),
        _ => {
            let name = path.display();
            Err(unsupported(&format!("cannot record to {name}: give a name that ends in .svg, .json or .html")))
        }
    }
}

fn unsupported(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
