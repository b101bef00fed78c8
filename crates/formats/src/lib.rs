//! Every upload format, turned into labels and pprof bytes.
//!
//! Pure: no tokio, no network, no disk, no clock. Decoders are total: bytes from outside end in an answer or a
//! [`Fault`](flamestore_model::Fault), never in a panic, and every one of them is bounded by [`Caps`].

pub mod arrival;
pub mod attime;
pub mod caps;
pub mod ingest;
pub mod ingested;
pub mod otlp;

mod app_name;
mod folded;
mod form;
mod inflate;
mod jfr;
mod multipart;
mod protobuf;
mod speedscope;
mod stacks;
mod suffix;
mod tree;
mod trie;
mod uvarint;

#[cfg(test)]
mod testing;

pub use arrival::{Arrival, TimeRepair};
pub use caps::Caps;
pub use ingest::{IngestParams, IngestRequest};
pub use ingested::{Ingested, Notes, RawProfile};
