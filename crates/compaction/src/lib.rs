//! What to compact, how blocks are merged, and what goes when.
//!
//! Planning ([`plan`]) and retention ([`retain`]) are pure functions of the list of blocks; [`merge`] reads the sources of
//! one job and makes the files of one block, within a memory budget. Nothing here writes to the bucket or knows the time.

pub mod merge;
pub mod plan;
pub mod retain;

pub use merge::{Cost, Merged, Room, merge};
pub use plan::{Job, PlanConfig, plan};
pub use retain::{Going, Rules, going};
