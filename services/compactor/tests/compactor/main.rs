//! The compactor over a real store and a bucket that breaks.

mod damage;
mod same;
mod sim;
mod support;
