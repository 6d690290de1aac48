//! What the models share: how many cases they run, and operations that come as bytes.
//!
//! An operation is four bytes, whoever makes them up: proptest, which shrinks a failure to the shortest
//! list of operations, or the fuzzer in `fuzz/`, which looks for bytes that reach new code.
//!
//! The cases are the same in every run, for a failure must not come and go. `PROPTEST_CASES=100000`
//! asks for so many, and for other ones each time; what fails is printed, and belongs into a test of its own.
#![allow(dead_code, reason = "each test file uses some of it")]

use proptest::collection::{SizeRange, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The bytes of one operation.
pub(crate) type Bytes = [u8; 4];

/// So many cases by default, and no file of past failures beside the test.
pub(crate) fn cases(number: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if asked { config } else { ProptestConfig { cases: number, rng_seed: RngSeed::Fixed(3), ..config } }
}

/// Lists of operations, each decoded from its bytes.
pub(crate) fn operations<T: std::fmt::Debug>(
    decode: fn(Bytes) -> T,
    length: impl Into<SizeRange>,
) -> impl Strategy<Value = Vec<T>> {
    vec(any::<Bytes>().prop_map(decode), length)
}
