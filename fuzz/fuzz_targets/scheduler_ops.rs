//! Looks for tasks and outsiders that bring the loop to poll, drop or finish otherwise than a naive executor.
//!
//! From the top of the project, on a stable toolchain, for five minutes:
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run scheduler_ops -- -max_total_time=300`
//!
//! Four bytes are one operation. `tests/model_scheduler.rs` runs the same model on random ones.
#![no_main]

#[path = "../../tests/models/scheduler.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

use model::Op;

fuzz_target!(|bytes: &[u8]| {
    let ops: Vec<Op> = bytes.as_chunks().0.iter().copied().map(Op::decode).collect();
    model::run(&ops);
});
