//! Any bytes as a tree: refused, or a tree whose total is the sum of its self values, before and after truncation.
#![no_main]

use flamestore_flamegraph::Tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut tree) = Tree::from_bytes(bytes) else { return };
    let total = tree.total();
    tree.truncate(8);
    assert_eq!(tree.flamegraph().total, total);
});
