//! Limits by tenant: every name and default an operator may set, the overrides of each tenant, and what enforces them.
//!
//! Nothing here reads a file: the texts of flags, configuration and runtime files come as values (`flamestore-config`).

pub mod human_duration;
pub mod limit_value;
pub mod nearest;
pub mod overrides;
pub mod quota;
pub mod rate;
pub mod recording_rule;
pub mod relabel;
pub mod structured;
mod table;
pub mod usage_groups;

pub use human_duration::HumanDuration;
pub use limit_value::LimitKind;
pub use overrides::Overrides;
pub use quota::QuotaGate;
pub use rate::RateLimiter;
pub use table::{Effect, LimitSpec, Limits, SPECS, SetError};
