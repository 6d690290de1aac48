//! The scheduler against a model: whatever tasks do to each other, and the outside to the loop, every poll,
//! drop and result comes when a naive executor says.
//!
//! `fuzz/` runs the same model.
#![allow(missing_docs)]

#[path = "models/scheduler.rs"]
mod model;
mod models;

use proptest::prelude::*;

use model::Op;

proptest! {
    #![proptest_config(models::cases(3000))]
    #[test]
    fn the_loop_polls_as_a_naive_executor_would(ops in models::operations(Op::decode, 0..150)) {
        model::run(&ops);
    }
}
