//! An append-only log with group commit: what is acknowledged has been synced to disk.
//!
//! [`Wal::append`] queues records and waits; one thread writes all that is queued, syncs once, and answers everybody.
//! There is no timer: while one sync runs, the next batch gathers, so a lone caller waits for one sync and many callers
//! share theirs. After a crash, [`Wal::open`] finds the segments, cuts a torn tail off, and [`Segment::records`] reads
//! them back, several segments at once if wanted.
//!
//! The log knows nothing of what it keeps: a record is bytes and a number.

mod commit;
pub mod layout;
mod log;
mod observe;
mod open;
mod options;
mod records;
mod resync;
mod segment;

pub use log::{Committed, Wal};
pub use observe::{Batch, Observer, Silent};
pub use open::Recovered;
pub use options::WalOptions;
pub use records::{Damage, Record, Records};
pub use segment::Segment;
