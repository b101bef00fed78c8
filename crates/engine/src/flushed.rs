//! Up to where everything is flushed, kept in the data folder: an old record in the log must not bring back what was deleted
//! from its block since.
//!
//! The log gives back whole segments only, so records of flushed epochs stand in it for a while. As long as a block, or the
//! index, names an epoch it is not replayed; but a block whose profiles were all deleted on request leaves no trace when its
//! bytes are gone.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use flamestore_model::Fault;

const FILE: &str = "flushed-below";

/// The first epoch that may hold something unflushed. 0: nothing is known.
pub(crate) fn load(dir: &Path) -> Result<u64, Fault> {
    let path = dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().unwrap_or_else(|_| {
            tracing::error!(path = %path.display(), "this file does not hold a number: it is ignored and written again");
            0
        })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(failed(&path, e)),
    }
}

/// The file is there whole or as it was, also after a crash.
pub(crate) fn store(dir: &Path, epoch: u64) -> Result<(), Fault> {
    let (path, draft) = (dir.join(FILE), dir.join(format!("{FILE}.draft")));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(epoch.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|e| failed(&path, e))
}

fn failed(path: &Path, e: io::Error) -> Fault {
    Fault::unavailable(format!("cannot read or write {}: check the folder's owner and the disk", path.display()))
        .caused_by(e)
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
