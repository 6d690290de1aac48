//! What does a task weigh? The rows, and what they leave out, are in `rows/memory.rs`. A count is the same every
//! time, so each is taken once and needs no statistics.

#[path = "rows/memory.rs"]
mod rows;
mod support;

use std::env;

fn main() {
    let words: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let chosen = |row: &support::Row| words.is_empty() || words.iter().any(|word| row.names_contain(word));
    for row in rows::rows().into_iter().filter(chosen) {
        for contender in row.contenders {
            let bytes = (contender.make)()(1) / row.operations as f64;
            println!("{}/{} {:12} {bytes:6.1} bytes", row.group, row.id, contender.name);
        }
    }
}
