//! The bucket: an object store with a prefix, create-only puts and durable local files.
//!
//! Create-only is what the store's promises rest on: a block is committed by one [`Bucket::put_create`], and whoever
//! comes second is told so. The store knows nothing of what the objects mean.

mod account;
mod aws_profile;
mod bucket;
mod durable;
mod endpoint;
mod ranges;
mod refusal;
mod turns;

pub mod azure;
pub mod conformance;
pub mod disk_cache;
pub mod environment;
pub mod faulty;
pub mod gcs;
pub mod observe;
pub mod remote;
pub mod s3;
pub mod sealed;
pub mod self_test;

pub use account::Account;
pub use bucket::{Bucket, LOCAL_GAP_BYTES, MAX_PARALLEL_RANGES, Object, PART_BYTES, Put, REMOTE_GAP_BYTES};
pub use disk_cache::{DiskCache, Immutable, Sound};
pub use environment::Environment;
pub use faulty::{Faulty, Verdict};
pub use observe::{Call, Observe, Op};
