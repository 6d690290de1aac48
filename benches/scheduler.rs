//! What does the scheduler cost? The rows, and what they leave out, are in `rows/scheduler.rs`.

#[path = "rows/scheduler.rs"]
mod rows;
mod support;

fn main() {
    support::measure(rows::task_rows().into_iter().chain(rows::loop_rows()).collect());
}
