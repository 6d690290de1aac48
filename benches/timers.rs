//! What does a timer cost? The rows, and what they leave out, are in `rows/timers.rs`.

#[path = "rows/timers.rs"]
mod rows;
mod support;

fn main() {
    support::measure(rows::rows());
}
