//! Any text as a query: refused, or understood the same when it stands on both sides of a comparison.
#![no_main]

use flamestore_model::query_text::{MAX_OFFSET_MS, MAX_QUERY_TEXT_BYTES};
use flamestore_model::{QueryText, Question};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let bounded = |query: &QueryText| (0..=MAX_OFFSET_MS).contains(&query.offset_ms);
    match Question::parse(text) {
        Ok(Question::One(one)) => {
            assert!(bounded(&one));
            if text.trim() != "vs" && 2 * text.len() + 4 <= MAX_QUERY_TEXT_BYTES {
                let both = Question::parse(&format!("{text} vs {text}"));
                assert_eq!(both.ok(), Some(Question::Versus(one.clone(), one)));
            }
        }
        Ok(Question::Versus(left, right)) => assert!(bounded(&left) && bounded(&right)),
        Err(_) => {}
    }
});
