//! Any bytes as a binary tree, as old clients send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flamestore_fuzz::upload("tree", "", bytes));
