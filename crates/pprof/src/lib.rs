//! The pprof wire format: one-pass decoding into columns, checking, normalising, encoding.
//!
//! Pure: no tokio, no network, no disk, no clock. The way of a file through this crate:
//!
//! 1. [`decode`] inflates and scans the bytes once into a [`Profile`]: columns, strings as ranges, ids as indexes.
//! 2. [`check`] refuses a profile that is over a tenant's limits or has a type name that queries could not say.
//! 3. [`normalize`] repairs what clients are known to get wrong, drops samples that mean nothing and sorts the rest into
//!    label groups. It never fails, and the same bytes and options give the same result every time.
//! 4. [`encode::Writer`] goes the other way, for converters and query answers.

pub mod profile;

mod triple;
mod wire;

mod inflate;

pub mod decode;

mod check;

pub mod normalize;

pub mod encode;

pub use check::{Caps, check};
pub use decode::decode;
pub use inflate::told_bytes;
pub use normalize::normalize;
pub use profile::{
    Dropped, Function, Group, Line, Location, MISSING, Mapping, NO_MAPPING, NormalizeOptions, Normalized, Profile,
    Sample, SampleLabel, Spy, StrRef, ValueType,
};
