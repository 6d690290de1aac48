//! Looks for operations on the timer wheel after which it does not do as a sorted map would.
//!
//! From the top of the project, on a stable toolchain, for five minutes:
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run timer_wheel -- -max_total_time=300`
//!
//! Four bytes are one operation. `tests/model_timer_wheel.rs` runs the same model on random ones.
#![no_main]
#![allow(dead_code, reason = "the library's files, of which a part is used")]

#[path = "../../tests/models/timer_wheel.rs"]
mod model;
#[path = "../../runtime/timer_wheel.rs"]
mod timer_wheel;
#[path = "../../runtime/wakers.rs"]
mod wakers;

use libfuzzer_sys::fuzz_target;

use model::Op;

fuzz_target!(|bytes: &[u8]| {
    let ops: Vec<Op> = bytes.as_chunks().0.iter().copied().map(Op::decode).collect();
    model::run(&ops);
});
