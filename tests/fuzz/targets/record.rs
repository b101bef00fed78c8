//! Any bytes as a record that passed the log's checksum: what can be read is the same after being written again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

// The engine shows its records to nobody else.
#[path = "../../../crates/engine/src/record.rs"]
mod record;

use record::Logged;

fuzz_target!(|bytes: &[u8]| {
    let Ok(logged) = Logged::decode(Bytes::copy_from_slice(bytes)) else { return };
    let (epoch, tenant) = (logged.epoch, logged.tenant.clone());
    let Ok(profile) = logged.into_profile() else { return };
    let written = Bytes::from(record::encode(epoch, &tenant, &profile).concat());
    let Ok(again) = Logged::decode(written) else { panic!("what was written cannot be read") };
    assert_eq!((again.epoch, &again.tenant), (epoch, &tenant));
    let Ok(again) = again.into_profile() else { panic!("what was written cannot be read") };
    assert_eq!(
        (again.profile_id, again.time_nanos, &again.raw),
        (profile.profile_id, profile.time_nanos, &profile.raw)
    );
    assert_eq!(again.series.len(), profile.series.len());
    for (again, series) in again.series.iter().zip(&profile.series) {
        assert_eq!((&again.labels, again.group, again.column), (&series.labels, series.group, series.column));
    }
});
