//! Tests of the crate from outside: decoding, normalising and encoding as callers see them.

mod decoding;
mod fixture;
mod hostile;
mod normalizing;
mod round_trip;
