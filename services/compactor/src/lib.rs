//! The compactor: merges blocks into larger ones, and removes what is past retention.
//!
//! [`Compactor::run`] is the story. Everything goes by the bucket index (`flamestore-index`): a compaction counts when the
//! next snapshot lists it, a block that is to go is marked there first, and its bytes go when `deletion_delay` is over. So a
//! crash anywhere leaves at worst bytes that nobody reads, and two compactors cannot both replace the same block. Leases
//! ([`lease`]) only keep them from trying.

pub mod compact;
pub mod config;
pub mod delete;
pub mod disk;
pub mod http;
pub mod lease;
pub mod lost;
pub mod observe;
pub mod retain;
pub mod run;
pub mod sweep;

pub use config::CompactorConfig;
pub use disk::{Disk, FileSystem, Space};
pub use flamestore_compaction::Cost;
pub use observe::{Counted, Flush, Follow, Observe};
pub use run::{Compactor, Parts};
