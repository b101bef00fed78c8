//! Small files of the data folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use flamestore_model::Fault;

/// Writes `dir/name`, which is there whole or as it was, also after a crash.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    let (path, draft) = (dir.join(name), dir.join(format!("{name}.draft")));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|e| failed(&path, e))
}

/// Why the disk does not do what is asked of it.
pub(crate) fn failed(path: &Path, e: io::Error) -> Fault {
    Fault::unavailable(format!("cannot read or write {}: check the folder's owner and the disk", path.display()))
        .caused_by(e)
}
