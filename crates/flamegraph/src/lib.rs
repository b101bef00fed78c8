//! Merged stack trees: flame graphs, diffs, trees, DOT and pprof, truncated once; and the time series beside them.
//!
//! Pure: no tokio, no network, no disk, no clock. Heads and blocks hand in stack values ([`merge`], [`profile_merge`]);
//! the querier cuts the result once ([`truncate`]) and draws it. Nothing recurses: stacks may be thousands of frames
//! deep. Values are not negative, and sums saturate, so that merging in any order gives the same answer.

pub mod budget;
pub mod merge;
pub mod tree;

mod children;
pub mod diff;
pub mod function_diff;
pub mod functions;
pub mod levels;
pub mod sandwich;
pub mod tree_bytes;
pub mod truncate;

pub mod dot;
pub mod profile_merge;

pub mod group;
pub mod heatmap;
pub mod series;
pub mod timeline;

mod wire;

pub use diff::Diff;
pub use function_diff::{FunctionDiffRow, FunctionTableDiff};
pub use functions::{FunctionRow, FunctionTable};
pub use levels::Flamegraph;
pub use merge::{TreeMerger, fold};
pub use profile_merge::{GoPgo, Pieces, PprofMeta, ProfileMerge};
pub use sandwich::{Half, HalfNode, Sandwich};
pub use tree::Tree;
