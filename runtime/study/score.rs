//! The score: a recording laid out in lanes and columns, before anything is drawn.
//!
//! ```text
//!   world     |          .                 [wakes]
//!   main      |[turn]~~~~~~~~~~~~~~~~~~~~~~~~~|~~~~~~~~[turn]      one lane a task; a thread has one as well
//!   task 1    |  |====[turn]~~Timer 10 ms~~~~~'==[turn] returned
//!                            0        +10 ms   10 ms               to the right: one step after another
//! ```
//!
//! The way to the right is the order of things and not their time: most of what a loop does takes no time to speak of,
//! and on a virtual clock none at all. Where the time moves on there is a gap, which says by how much.
//!
//! Does not know: how that is worked out, which is `layout`'s; colours.

use crate::study::recording::Outcome;

/// What stands where; places are in pixels from the left end of the lanes.
#[derive(Default)]
pub(crate) struct Score {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) arrows: Vec<Arrow>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) gaps: Vec<Gap>,
    /// From where to where each strip goes.
    pub(crate) strips: Vec<(f64, f64)>,
    /// Steps after the end of the picture.
    pub(crate) steps_left: usize,
    /// Tasks without a lane.
    pub(crate) tasks_left: usize,
    /// Locks and permits without a row, since their task held many.
    pub(crate) holds_left: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) who: Who,
    pub(crate) label: String,
    /// The line that spawned it, or whatever else is to be said below the label.
    pub(crate) below: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Timers, sockets, threads without a lane, and code outside any task.
    World,
    Task(u64),
    Thread(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    Wait,
    Ready,
    Turn,
    Work,
    Hold,
}

/// Something that lasts.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) lane: usize,
    pub(crate) shape: Shape,
    /// Of what a task holds at one time, each has a row of its own, from 0.
    pub(crate) row: usize,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) text: String,
    pub(crate) title: String,
}

/// Something that one does to another.
#[derive(Debug)]
pub(crate) struct Arrow {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) at: f64,
    pub(crate) spawns: bool,
    pub(crate) title: String,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) lane: usize,
    pub(crate) at: f64,
    pub(crate) sort: Sort,
    /// What was said, or what a panic said.
    pub(crate) text: String,
    /// At an end: what the task said in its last turn, if there was no room for it there.
    pub(crate) notes: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Note,
    /// What the loop says of the whole.
    Verdict,
    Ended(Outcome),
}

/// Time that passes.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) lasts: String,
    /// The time at its end.
    pub(crate) until: String,
}

/// The width of a text in pixels, nearly: nobody knows the reader's fonts.
pub(crate) fn width_of(text: &str, size: f64) -> f64 {
    let wide = |c: char| if (c as u32) < 0x2e80 { 0.58 } else { 1.0 };
    text.chars().map(wide).sum::<f64>() * size
}

/// What is written where there is room for one line.
pub(crate) fn first_line(text: &str) -> String {
    let text = text.trim_end();
    text.split_once('\n').map_or_else(|| text.to_owned(), |(first, _)| format!("{first} …"))
}

/// `10 ms`, `1.5 s`, `12.35 µs`.
pub(crate) fn duration(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0 => return "0".into(),
        1_000_000_000.. => (1e9, "s"),
        1_000_000.. => (1e6, "ms"),
        1_000.. => (1e3, "µs"),
        _ => (1.0, "ns"),
    };
    let value = nanos as f64 / unit;
    let decimals = if value >= 100.0 { 1 } else { 2 };
    let digits = format!("{value:.decimals$}");
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits} {name}")
}
