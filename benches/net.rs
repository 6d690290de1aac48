//! What does a request over a socket cost the server? The rows, and what they leave out, are in `rows/net.rs`.

#[path = "rows/net.rs"]
mod rows;
mod support;

fn main() {
    support::measure(rows::rows());
}
