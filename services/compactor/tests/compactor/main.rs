//! The compactor over a real store and a bucket that breaks.

mod damage;
#[path = "../shared/follows.rs"]
mod follows;
mod leases;
mod lost;
mod same;
mod sim;
mod support;
