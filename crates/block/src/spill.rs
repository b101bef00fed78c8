//! A folder for what is too large to be held: files that are gone when they are dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flamestore_model::Fault;

/// How our files are called: nothing else in the folder is touched.
const SUFFIX: &str = ".spill";

/// Where large things go meanwhile. Cheap to clone; each clone writes to the same folder and counts together.
#[derive(Debug, Clone)]
pub struct Spill {
    folder: Arc<Folder>,
    written: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Folder {
    dir: PathBuf,
    next: AtomicU64,
}

impl Spill {
    /// Uses a folder, which is made when the first file is.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let folder = Folder { dir: dir.into(), next: AtomicU64::new(0) };
        Spill { folder: Arc::new(folder), written: Arc::default() }
    }

    /// The same folder with a count of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Spill { folder: self.folder.clone(), written: Arc::default() }
    }

    /// Removes what a process that died has left in the folder; nobody else may be using it.
    pub fn clear(&self) -> Result<(), Fault> {
        let entries = match std::fs::read_dir(&self.folder.dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|e| unusable(&self.folder.dir, e))?,
        };
        for entry in entries {
            let path = entry.map_err(|e| unusable(&self.folder.dir, e))?.path();
            if path.as_os_str().to_string_lossy().ends_with(SUFFIX) {
                std::fs::remove_file(&path).map_err(|e| unusable(&self.folder.dir, e))?;
            }
        }
        Ok(())
    }

    /// Bytes that were ever written to files of this value and its clones.
    pub fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// An empty file.
    pub fn file(&self) -> Result<SpillFile, Fault> {
        let refuse = |e| unusable(&self.folder.dir, e);
        std::fs::create_dir_all(&self.folder.dir).map_err(refuse)?;
        loop {
            let name = format!("{}-{}{SUFFIX}", std::process::id(), self.folder.next.fetch_add(1, Ordering::Relaxed));
            let path = self.folder.dir.join(name);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let (folder, written) = (self.folder.clone(), self.written.clone());
                    return Ok(SpillFile { file, path, len: 0, folder, written });
                }
                // Left by a process of the same number.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(refuse(e)),
            }
        }
    }
}

/// Says what to do about a folder that does not take or give bytes.
pub(crate) fn unusable(dir: &Path, e: io::Error) -> Fault {
    let dir = dir.display();
    let message = match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
            "the disk of {dir} (compactor.data_dir) is full: free some space there, or point the key to a larger disk"
        ),
        _ => format!("the folder {dir} (compactor.data_dir) cannot be used"),
    };
    Fault::unavailable(message).caused_by(e)
}

/// A file that only grows, is read at any place, and goes with this value.
#[derive(Debug)]
pub struct SpillFile {
    file: File,
    path: PathBuf,
    len: u64,
    folder: Arc<Folder>,
    written: Arc<AtomicU64>,
}

impl SpillFile {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` with what stands from `offset` on.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        self.file.read_exact_at(buffer, offset).map_err(|e| unusable(&self.folder.dir, e))
    }

    /// Writes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.write_all(bytes).map_err(|e| unusable(&self.folder.dir, e))
    }
}

impl Write for SpillFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.len += n as u64;
        self.written.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // What stays is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_at_any_place_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(dir.path().join("a/b"));
        spill.clear().unwrap();
        let (mut one, mut two) = (spill.file().unwrap(), spill.file().unwrap());
        one.append(b"hello").unwrap();
        two.append(b"world").unwrap();
        two.append(b"!").unwrap();
        let mut read = [0; 3];
        two.read_at(&mut read, 3).unwrap();
        assert_eq!((&read, one.len(), two.len(), spill.written_bytes()), (b"ld!", 5, 6, 11));
        assert!(two.read_at(&mut read, 4).unwrap_err().message.contains("compactor.data_dir"));
        drop((one, two));
        assert_eq!(std::fs::read_dir(dir.path().join("a/b")).unwrap().count(), 0);
    }

    #[test]
    fn clearing_removes_what_is_ours_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["7-1.spill", "notes.txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        Spill::new(dir.path()).clear().unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }
}
