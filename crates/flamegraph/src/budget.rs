//! How much memory the sum of one query may take.

use flamestore_model::{Fault, FaultId};

/// The most heap bytes of a merged tree or profile, unless a store is set up otherwise.
pub const MAX_MERGE_BYTES: usize = 512 << 20;

/// Refuses a merge that has grown over its budget. Asked after each part that is added, so it is exceeded by one part at
/// most.
pub fn within(bytes: usize, max_bytes: usize) -> Result<(), Fault> {
    if bytes > max_bytes {
        let found = format_args!("the answer takes {bytes} bytes of memory before it is cut");
        return Err(Fault::over(FaultId::MergeTooLarge, found, format_args!("{max_bytes} bytes")));
    }
    Ok(())
}
