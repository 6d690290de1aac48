//! The words in which the study speaks of tasks, lines and waits, and the tables that it draws.
//!
//! Promises: text, and nothing else.
//! Does not know: what it speaks of.

use std::panic::Location;
use std::time::Duration;

use crate::observer::{TaskId, Waits};

/// `task 3`, or `task 3 "reader"`.
pub(crate) fn who(task: TaskId, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{task} {name:?}"),
        None => task.to_string(),
    }
}

/// A name in a cell of a table: on one line, whatever is in it.
pub(crate) fn name_or_dash(name: Option<&str>) -> String {
    name.map_or_else(|| "-".to_owned(), |name| name.escape_debug().to_string())
}

/// `examples/echo.rs:36`.
pub(crate) fn place(site: &Location<'_>) -> String {
    format!("{}:{}", site.file(), site.line())
}

/// What is waited for, where no more is known than its kind.
pub(crate) fn what(waits: Waits) -> String {
    match waits {
        Waits::Foreign => "something foreign".to_owned(),
        Waits::Turn => "its turn".to_owned(),
        known => format!("{known:?}"),
    }
}

/// A duration to three digits or so: nobody reads the nanoseconds of a second.
pub(crate) fn roughly(duration: Duration) -> String {
    let unit = if duration >= Duration::from_secs(1) { 1_000_000 } else { 1_000 };
    let nanos = duration.as_nanos() / unit * unit;
    format!("{:?}", Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// Rows under a head, each column as wide as its widest cell. Ends with a line's end; no line ends with a blank.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in [head.map(str::to_owned)].iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line += &format!("{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".to_owned(), "a long one".to_owned(), "x".to_owned()], [(); 3].map(|()| String::new())];
        assert_eq!(table(["nr", "name", ""], &rows), "nr  name\n1   a long one  x\n\n");
    }

    #[test]
    fn a_duration_is_rounded_down_to_what_one_reads() {
        assert_eq!(roughly(Duration::from_nanos(1_234_567_891)), "1.234s");
        assert_eq!(roughly(Duration::from_nanos(250_345_678)), "250.345ms");
    }
}
