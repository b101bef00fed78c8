//! One file of the log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flamestore_model::Fault;

use crate::layout::{BadHeader, HEADER_BYTES, Header};
use crate::records::Records;

/// A closed segment that can be read. Several can be read at once.
#[derive(Debug, Clone)]
pub struct Segment {
    pub path: PathBuf,
    /// From the file's name.
    pub first_lsn: u64,
    /// Length of the file.
    pub bytes: u64,
    /// What the following segment knows of this one's end; `None` for the last one.
    pub(crate) end: Option<End>,
}

/// Where a segment ends, as its successor says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// Records above this LSN were never acknowledged: they are not read.
    pub(crate) synced_lsn: u64,
}

impl Segment {
    /// Its records in order, with at most one of them in memory.
    pub fn records(&self) -> Result<Records, Fault> {
        Records::open(self)
    }
}

pub(crate) fn file_name(first_lsn: u64) -> String {
    format!("{first_lsn:020}.wal")
}

/// The segments of a folder in order, as (first LSN, path).
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        let Some(digits) = name.strip_suffix(".wal").filter(|d| d.len() == 20) else { continue };
        if let Ok(first_lsn) = digits.parse() {
            out.push((first_lsn, path));
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// The header of the segment whose name says `first_lsn`.
pub(crate) fn read_header(file: &File, first_lsn: u64) -> io::Result<Result<Header, BadHeader>> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {
            Ok(Header::decode(&bytes)
                .and_then(|h| if h.first_lsn == first_lsn { Ok(h) } else { Err(BadHeader::Damaged) }))
        }
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(BadHeader::Damaged)),
        Err(e) => Err(e),
    }
}

/// Makes names in a folder survive a crash.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
