//! Any bytes as a binary trie.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flamestore_fuzz::upload("trie", "", bytes));
