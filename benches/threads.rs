//! What does it cost to leave the thread? The rows, and what they leave out, are in `rows/threads.rs`.

#[path = "rows/threads.rs"]
mod rows;
mod support;

fn main() {
    support::measure(rows::rows());
}
