//! The folder: one file a page, named by its hash, in 256 folders.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Id;

/// The layout of this folder; another one gets another name.
const LAYOUT: &str = "pages-v1";
/// Where pages are written before they get their names.
const NEW: &str = "new";

pub(super) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// Makes it if need be, and throws away what was never finished.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let dir = dir.join(LAYOUT);
        let new = dir.join(NEW);
        fs::create_dir_all(&new)?;
        for half_written in fs::read_dir(&new)? {
            fs::remove_file(half_written?.path())?;
        }
        Ok(Folder { dir })
    }

    /// Every page and its length, the oldest first.
    pub(super) fn pages(&self) -> io::Result<Vec<(Id, u32)>> {
        let mut found: Vec<(SystemTime, Id, u32)> = Vec::new();
        for shelf in fs::read_dir(&self.dir)? {
            let shelf = shelf?;
            if !shelf.file_type()?.is_dir() || shelf.file_name() == NEW {
                continue;
            }
            for file in fs::read_dir(shelf.path())? {
                let file = file?;
                // What is not named like a page is not ours.
                let Some(id) = file.file_name().to_str().and_then(|name| Id::from_str_radix(name, 16).ok()) else {
                    continue;
                };
                let Ok(about) = file.metadata() else { continue };
                if self.path(id) == file.path() {
                    let bytes = u32::try_from(about.len()).unwrap_or(u32::MAX);
                    found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), id, bytes));
                }
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, id, bytes)| (id, bytes)).collect())
    }

    /// A page of this length; any other is an error.
    pub(super) fn read(&self, id: Id, len: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(id))?;
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 1);
        file.take(len + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Under its name it is there as a whole or not at all, whenever the process dies.
    pub(super) fn write(&self, id: Id, bytes: &[u8]) -> io::Result<()> {
        let new = self.dir.join(NEW).join(name(id));
        let path = self.path(id);
        let written = fs::write(&new, bytes).and_then(|()| match fs::rename(&new, &path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
                fs::rename(&new, &path)
            }
            renamed => renamed,
        });
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// What cannot be deleted is found again at the next start.
    pub(super) fn remove(&self, id: Id) {
        drop(fs::remove_file(self.path(id)));
    }

    fn path(&self, id: Id) -> PathBuf {
        let name = name(id);
        self.dir.join(name.get(..2).unwrap_or_default()).join(name)
    }
}

fn name(id: Id) -> String {
    format!("{id:032x}")
}
