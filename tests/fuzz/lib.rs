//! What the targets of upload formats share.

use bytes::Bytes;
use flamestore_formats::ingest::{IngestParams, IngestRequest, read};
use flamestore_formats::{Caps, Ingested};
use flamestore_model::Fault;

/// Caps that a fuzzer can reach.
pub const MAX_BYTES: usize = 1 << 20;

/// A body as `/ingest` gets it in this format; what it becomes must be pprofs that can be read.
pub fn upload(format: &str, content_type: &str, body: &[u8]) {
    let Ok(ingested) = ingest(format, content_type, Bytes::copy_from_slice(body)) else { return };
    for profile in ingested.profiles {
        flamestore_pprof::decode(&profile.pprof, MAX_BYTES).expect("what is built here can be read");
    }
}

fn ingest(format: &str, content_type: &str, body: Bytes) -> Result<Ingested, Fault> {
    let params = IngestParams::from_pairs([("name", "svc.cpu"), ("format", format), ("from", "1"), ("until", "2")]);
    let caps = Caps { max_inflated_bytes: MAX_BYTES, max_profile_bytes: MAX_BYTES, ..Caps::default() };
    let now_nanos = 1_795_000_000_000_000_000;
    read(&IngestRequest { params: &params, content_type, content_encoding: "", body, now_nanos, caps })
}
