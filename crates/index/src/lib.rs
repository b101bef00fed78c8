//! The bucket index: which blocks of a tenant count.
//!
//! Snapshots of the whole list stand in the bucket under `<tenant>/index/`, numbered, each written create-only: of two who
//! would write the same number one wins, and the other looks again ([`Index::edit`]). That put is where a compaction
//! commits. Blocks that were flushed since the last snapshot are found by listing ([`Index::view`]), so a flush needs no
//! index, and an index that is lost or damaged is made again from the blocks ([`cover`]). `docs/adr/0006-bucket-index.md`
//! says why. Nothing here knows of queries or of how blocks are merged.

pub mod cover;
pub mod hidden;
pub mod request;
pub mod snapshot;
pub mod store;
pub mod view;

pub use hidden::hidden;
pub use request::Request;
pub use snapshot::{Dead, Deletion, Lost, Quarantined, Snapshot, Why};
pub use store::Index;
pub use view::View;
