//! Protobuf ⇄ JSON by descriptor, straight between the two texts: no message object in between.
//!
//! Follows the JSON mapping of protobuf (<https://protobuf.dev/programming-guides/json/>) as the peer reads it: unknown
//! fields and unknown enum names are skipped, `null` leaves a field unset, a field given twice (in whichever spelling) is
//! an error. Maps, groups and well-known types other than `google.protobuf.Timestamp` do not occur in our files, and a
//! [`Schema`] refuses them.
//!
//! Hot: a flame graph of megabytes passes here. Bench: `benches/json.rs`.

mod read;
mod schema;
mod timestamp;
mod write;

pub use read::Unknown;
pub use schema::{MessageIndex, Schema};

pub(crate) use write::escape;
