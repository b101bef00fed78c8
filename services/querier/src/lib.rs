//! The querier: asks every reader that may hold profiles and merges what they say, each profile once.
//!
//! It knows nothing of wire formats, time zones or truncation: the query-frontend shapes the answers.

pub mod fan_out;
pub mod gate;
pub mod shown;

pub use fan_out::Querier;
pub use gate::Gate;
pub use shown::{Shown, View};
