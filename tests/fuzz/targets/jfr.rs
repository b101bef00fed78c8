//! Any bytes as a recording of the Java Flight Recorder.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flamestore_fuzz::upload("jfr", "", bytes));
