//! Up to where everything is flushed, kept in the data folder: an old record in the log must not bring back what was deleted
//! from its block since.
//!
//! The log gives back whole segments only, so records of flushed epochs stand in it for a while. As long as a block, or the
//! index, names an epoch it is not replayed; but a block whose profiles were all deleted on request leaves no trace when its
//! bytes are gone.

use std::io::ErrorKind;
use std::path::Path;

use flamestore_model::Fault;

use crate::small_file;

const FILE: &str = "flushed-below";

/// The first epoch that may hold something unflushed. 0: nothing is known.
pub(crate) fn load(dir: &Path) -> Result<u64, Fault> {
    let path = dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().unwrap_or_else(|_| {
            tracing::error!(path = %path.display(), "this file does not hold a number: it is ignored and written again");
            0
        })),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        Err(e) => Err(small_file::failed(&path, e)),
    }
}

pub(crate) fn store(dir: &Path, epoch: u64) -> Result<(), Fault> {
    small_file::replace(dir, FILE, epoch.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_kept_and_nonsense_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), 0);
        store(dir.path(), 1_763_697_600_000).unwrap();
        assert_eq!(load(dir.path()).unwrap(), 1_763_697_600_000);
        std::fs::write(dir.path().join(FILE), "?").unwrap();
        assert_eq!(load(dir.path()).unwrap(), 0);
    }
}
