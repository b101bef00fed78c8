//! The words everything else is said in: tenant, labels, selector, profile type, time, fault.
//!
//! Pure: no tokio, no network, no disk, no clock. Nothing here knows the wire or the store.

pub mod annotation;
pub mod cost;
pub mod fault;
pub mod filter;
pub mod ids;
pub mod labels;
pub mod profile_type;
pub mod query_text;
pub mod re2;
pub mod reads;
pub mod select;
pub mod selector;
pub mod stacks;
pub mod tenant;
pub mod time;
pub mod values;

pub use annotation::{Annotation, Note};
pub use cost::{Cost, QueryCost};
pub use fault::{Discard, Fault, FaultId, Kind};
pub use filter::{Filter, Links};
pub use ids::ProfileId;
pub use labels::{Fingerprint, Label, Labels, LabelsBuilder};
pub use profile_type::ProfileType;
pub use query_text::{QueryText, Question, TypeWanted};
pub use reads::Reads;
pub use select::{Point, Select, SeriesInfo, SeriesPoints, StoredSeries, TreeQuery};
pub use selector::{MatchOp, Matcher, Selector};
pub use stacks::{FrameFilter, FramePatterns, FrameVerdict, StackFilter};
pub use tenant::TenantId;
pub use time::TimeRange;
pub use values::Values;
