//! The pprof wire format: one-pass decoding into columns, normalising, splitting, encoding.
//!
//! Pure: no tokio, no network, no disk, no clock.

pub mod profile;

pub use profile::{Group, Normalized, NormalizeOptions, Spy, Function, Line, Location, Mapping, Profile, Sample, SampleLabel, StrRef, ValueType};
