//! Any bytes as a form with a recording and labels in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flamestore_fuzz::upload("jfr", "multipart/form-data; boundary=B", bytes));
