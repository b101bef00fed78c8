//! The compactor over a real store and a bucket that breaks.

mod damage;
mod leases;
mod same;
mod sim;
mod support;
