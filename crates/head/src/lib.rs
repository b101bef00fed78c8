//! The newest profiles of one service, in memory.
//!
//! Pure: no tokio, no network, no disk, no clock, no lock. [`DatasetHead::append`] interns a pprof once and stores its
//! samples as columns; queries ([`DatasetHead::add_tree`] and its sisters) sum those into a dense array by stack id; a
//! flush reads everything in the order of a block ([`DatasetHead::sorted_series`]).

mod annotations;
mod arena;
mod cost;
pub mod dataset;
pub mod samples;
mod select;
mod series;
pub mod sorted;

pub use dataset::{Appended, DatasetHead};
pub use samples::Samples;
pub use sorted::{SortedSeries, StoredProfile};
