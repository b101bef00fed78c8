//! One binary for all tests that use the real server, so that it is linked once.

mod api;
mod buckets;
mod compat;
mod crash;
mod flamectl;
mod open_format;
