//! Any text as the JSON of a message, any bytes as its wire form: refused, or JSON that can be read again.
//!
//! The first byte chooses the message, the second the way.
#![no_main]

use std::sync::OnceLock;

use flamestore_proto::DESCRIPTOR_SET;
use flamestore_rpc::json::{Schema, Unknown};
use libfuzzer_sys::fuzz_target;

const MESSAGES: [&str; 6] = [
    "push.v1.PushRequest",
    "querier.v1.SelectMergeStacktracesRequest",
    "querier.v1.SelectMergeStacktracesResponse",
    "querier.v1.SelectSeriesResponse",
    "querier.v1.DiffRequest",
    "google.v1.Profile",
];

fuzz_target!(|bytes: &[u8]| {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| Schema::from_descriptor_sets(&[DESCRIPTOR_SET]).expect("our own descriptors").0);
    let [choice, way, input @ ..] = bytes else { return };
    let message = schema.find(MESSAGES[usize::from(*choice) % MESSAGES.len()]).expect("one of our own messages");
    let mut wire = Vec::new();
    if way % 2 == 0 {
        let unknown = if way % 4 == 0 { Unknown::Skip } else { Unknown::Refuse };
        if schema.read(message, input, unknown, &mut wire).is_err() {
            return;
        }
    } else {
        wire.extend_from_slice(input);
    }
    let mut text = Vec::new();
    if schema.write(message, &wire, &mut text).is_ok() {
        schema.read(message, &text, Unknown::Refuse, &mut Vec::new()).expect("what was written can be read");
    }
});
