//! The timer wheel against a model: whatever is inserted, cancelled and moved, it fires as a sorted map would.
//!
//! The wheel is private, so its file is built into this test once more; `fuzz/` runs the same model.
#![allow(missing_docs)]
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "the library's files, of which a part is used")]

#[path = "models/timer_wheel.rs"]
mod model;
mod models;
#[path = "../runtime/timer_wheel.rs"]
mod timer_wheel;
#[path = "../runtime/wakers.rs"]
mod wakers;

use proptest::prelude::*;

use model::Op;

proptest! {
    #![proptest_config(models::cases(4000))]
    #[test]
    fn the_wheel_fires_what_a_sorted_map_would(ops in models::operations(Op::decode, 0..150)) {
        model::run(&ops);
    }
}
