//! What does a task weigh? The rows, and what they leave out, are in `rows/memory.rs`. A count is the same every
//! time, so each is taken once and needs no statistics.

#[path = "rows/memory.rs"]
mod rows;
mod support;

fn main() {
    for row in rows::rows() {
        for contender in row.contenders {
            let bytes = (contender.make)()(1) / row.operations as f64;
            println!("{}/{} {:12} {bytes:6.1} bytes", row.group, row.id, contender.name);
        }
    }
}
