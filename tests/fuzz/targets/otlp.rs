//! Any bytes as an OTLP request, and what it becomes as pprofs: refused or decoded.
#![no_main]

use flamestore_formats::{Caps, otlp};
use flamestore_pprof::decode;
use libfuzzer_sys::fuzz_target;

const MAX_INFLATED_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let caps =
        Caps { max_inflated_bytes: MAX_INFLATED_BYTES, max_profile_bytes: MAX_INFLATED_BYTES, ..Caps::default() };
    let Ok(export) = otlp::read(bytes, &caps) else { return };
    for profile in export.ingested.profiles {
        if profile.decoded.is_none() {
            let _ = decode(&profile.pprof, MAX_INFLATED_BYTES);
        }
    }
});
