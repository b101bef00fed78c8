//! Any bytes as a pprof: decoding refuses them or gives a profile that normalising makes sound, the same way twice.
#![no_main]

use flamestore_pprof::{NormalizeOptions, Spy, decode, normalize};
use libfuzzer_sys::fuzz_target;

const MAX_INFLATED_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = decode(bytes, MAX_INFLATED_BYTES) else { return };
    let options = NormalizeOptions {
        max_depth: 64,
        max_symbol_bytes: 32,
        max_inflated_bytes: MAX_INFLATED_BYTES as u32,
        go: true,
        spy: Spy::Rbspy,
    };
    let (a, b) = (normalize(profile.clone(), &options), normalize(profile, &options));
    assert_eq!(a.groups.len(), b.groups.len());
    for (x, y) in a.groups.iter().zip(&b.groups) {
        assert_eq!(x.rows, y.rows);
        for row in &x.rows {
            let sample = &a.profile.samples[*row as usize];
            assert!(a.profile.locations_of(sample).len() <= 64);
            for location in a.profile.locations_of(sample) {
                let location = &a.profile.locations[*location as usize];
                for line in &a.profile.lines[location.first_line as usize..location.end_line as usize] {
                    let function = &a.profile.functions[line.function as usize];
                    assert!(std::str::from_utf8(a.profile.bytes_of(function.name)).is_ok());
                }
            }
        }
    }
});
