//! The query-frontend: the read doors. Requests are checked and moved into what the tenant may ask, the querier answers,
//! and the answer is truncated and shaped once, here, at the root.
//!
//! The story of one flame graph is [`stacktraces::Frontend::select_merge_stacktraces`].

pub mod frontend;

pub mod metadata;
pub mod range;
pub mod select;

pub mod analyze;
pub mod diff;
pub mod export;
pub mod heatmap;
pub mod series;
pub mod stacktraces;
mod stored;

pub mod about;
pub mod adhoc;
pub mod debuginfo;
pub mod doors;
pub mod grpc;
pub mod http;
pub mod question;
pub mod render;
pub mod rules;
pub mod settings;
pub mod vcs;

pub use frontend::{Frontend, Parts};
