//! What do the primitives cost? The rows, and what they leave out, are in `rows/sync.rs`.

#[path = "rows/sync.rs"]
mod rows;
mod support;

fn main() {
    support::measure(rows::rows());
}
