//! The step-through page: one HTML file that shows a recording event by event, in any browser, without a network.
//!
//! ```text
//!   page.html    {{title}}  {{css}}  {{recording}}  {{sources}}  {{js}}
//!                              |          |             |          |
//!                          page.css    as JSON     files that   model.js    what the loop looks like after each event
//!                                                  its sites    words.js    captions: english.js, chinese.js
//!                                                  name         elements.js names, colours, reasons
//!                                                               panels.js   one function for each part of the page
//!                                                               page.js     the buttons
//! ```
//!
//! Promises: whatever a name or a source file holds, it stays data; the page asks nobody for anything.
//! Does not know: what the events mean. That is worked out by the page, event by event.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;

use serde::Serialize;

use crate::study::recording::{Recording, Site, Step, What};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 7] = [
    include_str!("page/model.js"),
    include_str!("page/words.js"),
    include_str!("page/english.js"),
    include_str!("page/chinese.js"),
    include_str!("page/elements.js"),
    include_str!("page/panels.js"),
    include_str!("page/page.js"),
];

/// A source file beyond this, in bytes, is generated, and nobody reads it beside a recording.
const MOST_OF_A_FILE: u64 = 500_000;

/// The recording as a page to step through: the run queue, timers, locks, sockets, every task and its reason,
/// forward and back, with a caption for each event in English and Chinese.
///
/// One self-contained file, some 80 kB and the recording. The source files that the recording names are put into
/// it, if they are found below the working directory.
///
/// ```
/// use roundel::study::{Recording, page};
///
/// let html = page::html(&Recording::default());
/// assert!(html.starts_with("<!doctype html>"));
/// ```
pub fn html(recording: &Recording) -> String {
    let title = if recording.title.is_empty() { "roundel" } else { &recording.title };
    let scripts = SCRIPTS.join("\n");
    let mut page = String::new();
    let mut rest = TEMPLATE;
    // What is put in is never looked at for places to put something in.
    while let Some((before, name, after)) = next_place(rest) {
        page.push_str(before);
        match name {
            "title" => page.push_str(&escaped(title)),
            "css" => page.push_str(STYLE),
            "js" => page.push_str(&scripts),
            "recording" => page.push_str(&json(recording)),
            "sources" => page.push_str(&json(&sources(recording))),
            _ => unreachable!("the template has no other places"),
        }
        rest = after;
    }
    page + rest
}

impl Recording {
    /// This recording as a page to step through: see [`page::html`](html).
    pub fn html(&self) -> String {
        html(self)
    }
}

/// The text before the next `{{name}}`, the name, and the text after it.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name, after))
}

/// As JSON inside a script element, which ends at the first `</script` wherever that stands. In JSON a `<` can only
/// be part of a string, where it may be written by its number.
fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("plain data with string keys can always be written");
    text.replace('<', "\\u003c")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The text of every file that the recording names and that can be read.
fn sources(recording: &Recording) -> BTreeMap<&str, String> {
    let of_steps = recording.steps.iter().filter_map(site_of);
    let of_tasks = recording.tasks.iter().filter_map(|task| task.site.as_ref());
    let files: BTreeSet<&str> = of_steps.chain(of_tasks).map(|site| site.file.as_str()).collect();
    files.into_iter().filter_map(|file| Some((file, text_of(file)?))).collect()
}

fn site_of(step: &Step) -> Option<&Site> {
    match &step.what {
        What::Spawned { site, .. }
        | What::Acquired { site, .. }
        | What::Unread { site, .. }
        | What::Submitted { site, .. } => Some(site),
        What::Waiting { site, .. } => site.as_ref(),
        _ => None,
    }
}

/// The program's own sources only: a page may be handed on, and what lies elsewhere on this machine should not be.
fn text_of(file: &str) -> Option<String> {
    // Whoever made the recording has chosen the name, and a link may lead anywhere.
    let path = fs::canonicalize(file).ok()?;
    let is_ours = path.starts_with(env::current_dir().ok()?.canonicalize().ok()?);
    let is_source = path.extension().is_some_and(|extension| extension == "rs");
    let is_small = || fs::metadata(&path).is_ok_and(|about| about.is_file() && about.len() <= MOST_OF_A_FILE);
    if is_ours && is_source && is_small() { fs::read_to_string(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_page() {
        let title = "</title><script>alert(1)</script> {{js}} & more";
        let recording = Recording { title: title.to_owned(), ..Recording::default() };
        let html = html(&recording);
        assert!(!html.contains("<script>alert"));
        assert!(html.contains("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; {{js}} &amp; more"));
        let plain = super::html(&Recording::default());
        assert_eq!(html.matches("</script>").count(), plain.matches("</script>").count());
    }

    #[test]
    fn the_recording_is_read_back_from_the_page_as_it_was() {
        let recording = Recording { title: "a < b </script> \u{2028} é".to_owned(), ..Recording::default() };
        let html = html(&recording);
        let (_, rest) = html.split_once("id=\"recording\">").expect("it has its place");
        let (text, _) = rest.split_once("</script>").expect("it ends");
        assert_eq!(serde_json::from_str::<Recording>(text).expect("it is JSON"), recording);
    }

    #[test]
    fn only_sources_below_the_working_directory_are_put_in() {
        assert!(text_of("runtime/lib.rs").is_some_and(|text| text.contains("mod study")));
        assert_eq!(text_of("/etc/hostname"), None);
        assert_eq!(text_of("Cargo.toml"), None, "it is no source");
        // A link leads where it leads: this one out of here, to a source that is none of ours.
        let link = env::temp_dir().join(format!("roundel-page-{}.rs", std::process::id()));
        fs::write(&link, "fn elsewhere() {}").expect("there is room for a file");
        assert_eq!(text_of(link.to_str().expect("a plain path")), None);
        fs::remove_file(link).expect("it was just written");
        assert_eq!(text_of("no/such/file.rs"), None);
    }
}
