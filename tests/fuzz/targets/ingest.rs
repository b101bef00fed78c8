//! Any request to `/ingest`: the first line is the query string, the second the content type, the rest the body.
#![no_main]

use flamestore_formats::Caps;
use flamestore_formats::ingest::{IngestParams, IngestRequest, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |b| *b == b'\n');
    let (query, content_type) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
    let body = parts.next().unwrap_or(&[]).to_vec();
    let query = String::from_utf8_lossy(query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let request = IngestRequest {
        params: &IngestParams::from_pairs(pairs),
        content_type: &String::from_utf8_lossy(content_type),
        content_encoding: "",
        body: body.into(),
        now_nanos: 1_795_000_000_000_000_000,
        caps: Caps { max_inflated_bytes: 1 << 20, max_profile_bytes: 1 << 20, ..Caps::default() },
    };
    let _ = read(&request);
});
