//! Syncing what a put has made on a local disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs `file` and every directory from it up to `root`, `root` included.
///
/// The store syncs what it makes itself. This closes two gaps: a directory that another put has just made, and a file
/// that was there already, whose maker may have died before its sync.
pub(crate) fn sync_up_to(root: &Path, file: &Path) -> io::Result<()> {
    File::open(file)?.sync_all()?;
    let mut dir = file.parent();
    while let Some(d) = dir {
        sync_dir(d)?;
        if d == root {
            break;
        }
        dir = d.parent();
    }
    Ok(())
}

/// Makes a directory and its parents, and syncs the entries that lead to it.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    sync_dir(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix lets a directory be opened and synced.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
