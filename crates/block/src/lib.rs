//! Immutable Parquet blocks: their layout, writer and reader.
//!
//! A block is a folder of Parquet files, `<tenant>/blocks/<ULID>/`, that holds the profiles of one tenant over some time
//! and everything needed to read them. Its `meta.json` is written last and create-only: that is the commit. The format
//! is public, `docs/reference/block-format.md`. Nothing here knows of HTTP, of logs or of which blocks there are.

mod layout;
mod refusal;

pub mod meta;
pub mod read;
pub mod spill;
pub mod ulid;
pub mod upload;
pub mod write;

pub use layout::{REVISION, VERSION};
pub use meta::{Meta, Origin};
pub use read::{Block, BlockCache, Hidden};
pub use spill::Spill;
pub use ulid::Ulid;
pub use upload::{Committed, upload};
pub use write::{BlockMeta, Content, DatasetInput, ProfileInput, SeriesInput, Written, write_block, write_streams};
