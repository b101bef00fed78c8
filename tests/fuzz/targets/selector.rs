//! Any text as a selector: refused, or written and read again it is the same.
#![no_main]

use flamestore_model::{ProfileType, Selector};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = ProfileType::parse(text);
    if let Ok(selector) = Selector::parse(text) {
        assert_eq!(Selector::parse(&selector.to_string()).ok(), Some(selector));
    }
});
