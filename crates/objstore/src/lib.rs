//! The bucket: an object store with a prefix, create-only puts and durable local files.
//!
//! Create-only is what the store's promises rest on: a block is committed by one [`Bucket::put_create`], and whoever
//! comes second is told so. The store knows nothing of what the objects mean.

mod bucket;
mod durable;
mod ranges;
mod refusal;

pub mod conformance;
pub mod faulty;
pub mod observe;

pub use bucket::{Bucket, LOCAL_GAP_BYTES, MAX_PARALLEL_RANGES, Object, Put, REMOTE_GAP_BYTES};
pub use faulty::{Faulty, Verdict};
pub use observe::{Call, Observe, Op};
