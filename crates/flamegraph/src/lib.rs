//! Merged stack trees: flame graphs, diffs, trees, DOT and pprof, truncated once.
//!
//! Pure: no tokio, no network, no disk, no clock. Heads and blocks hand in stack values ([`merge`], [`profile_merge`]);
//! the querier cuts the result once ([`truncate`]) and draws it. Nothing recurses: stacks may be thousands of frames deep.

pub mod tree;
pub mod merge;
pub mod truncate;
mod children;
pub mod levels;
pub mod diff;
pub mod tree_bytes;
pub mod functions;
pub mod profile_merge;
pub mod dot;
pub mod series;
pub mod timeline;
pub mod heatmap;

pub use diff::Diff;
pub use functions::{FunctionRow, FunctionTable};
pub use levels::Flamegraph;
pub use merge::{TreeMerger, fold};
pub use profile_merge::{GoPgo, PprofMeta, ProfileMerge};
pub use tree::Tree;
