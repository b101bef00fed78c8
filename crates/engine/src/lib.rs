//! The store of one process: log, heads, flush, blocks, and exact answers over all of them.
//!
//! The way of a profile: `push` logs it, waits for the sync and applies it to a head; `flush` makes heads that were
//! cut a block and commits it in the bucket; `select` answers from a snapshot in which every profile is in a head or
//! in a block, never in both. `replay` brings the log back after a crash. The unit of all this is the `epoch`.
//! Nothing here knows of HTTP, of rings or of other processes.

mod budget;
mod catalog;
mod config;
mod engine;
mod epoch;
mod flush;
mod flushed;
mod heads;
mod identity;
mod lately;
mod missed;
mod observe;
mod push;
mod record;
mod replay;
mod results;
mod select;
mod small_file;
mod source_version;
mod store;

pub use config::EngineConfig;
pub use engine::{Engine, Parts};
pub use observe::{CutReason, Flushed, Observe, Replayed, Silent, Stats};
pub use store::MaxSeries;
