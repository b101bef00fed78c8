//! What the process tells of itself: metrics, log lines, and profiles of its own.
//!
//! Metrics are a value that is passed along, never a global. Only the log is global, because the logging facade is.

pub mod logging;
pub mod metrics;
pub mod self_profile;

pub use metrics::{BuildInfo, Metrics};
