//! Finds what a log holds, and cuts off what a crash left half written.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use flamestore_model::Fault;

use crate::layout::{BadHeader, FIRST_LSN, HEADER_BYTES, VERSION};
use crate::segment::{End, Segment, list, read_header, sync_dir};

/// What [`crate::Wal::open`] found.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// In order; all closed: new records go to a new segment.
    pub segments: Vec<Segment>,
    /// Bytes of a torn tail that were cut off the last segment.
    pub torn_bytes: u64,
}

/// Where writing goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resume {
    pub(crate) next_lsn: u64,
    pub(crate) synced_lsn: u64,
}

pub(crate) fn recover(dir: &Path) -> Result<(Recovered, Resume), Fault> {
    let failed = |e: io::Error| {
        Fault::unavailable(format!(
            "cannot open the log in {}: check the folder, its owner and the disk",
            dir.display()
        ))
        .caused_by(e)
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        sync_dir(parent).map_err(failed)?;
    }
    let mut found = Recovered::default();
    let mut resume = Resume { next_lsn: FIRST_LSN, synced_lsn: FIRST_LSN - 1 };
    let files = list(dir).map_err(failed)?;
    for (i, (first_lsn, path)) in files.iter().enumerate() {
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let header = read_header(&file, *first_lsn).map_err(failed)?;
        if let Err(BadHeader::Version(v)) = header {
            return Err(Fault::corrupt(format!(
                "log segment {} has version {v}, this program reads up to {VERSION}: start the program that wrote it, \
                 or a later one",
                path.display()
            )));
        }
        if let Some(before) = found.segments.last_mut() {
            before.end = Some(End { synced_lsn: header.map_or(first_lsn.saturating_sub(1), |h| h.synced_lsn) });
        }
        let segment = Segment { path: path.clone(), first_lsn: *first_lsn, bytes, end: None };
        let is_last = i + 1 == files.len();
        if !is_last {
            found.segments.push(segment);
            continue;
        }
        let Ok(header) = header else {
            // A crash while the segment was made leaves less than a header, and nothing in it was acknowledged.
            resume = Resume { next_lsn: *first_lsn, synced_lsn: first_lsn.saturating_sub(1) };
            if bytes > HEADER_BYTES as u64 {
                // Damage: kept, and told when it is read. It holds at most this many records.
                resume.next_lsn = first_lsn.saturating_add(bytes);
                resume.synced_lsn = resume.next_lsn - 1;
                found.segments.push(segment);
            }
            continue;
        };
        let (end, next_lsn) = segment.records()?.find_end().map_err(failed)?;
        if next_lsn == header.first_lsn {
            // Nothing readable in it: the next segment takes its name and what it knows.
            found.torn_bytes = bytes - HEADER_BYTES as u64;
            resume = Resume { next_lsn, synced_lsn: header.synced_lsn };
            continue;
        }
        found.torn_bytes = bytes - end;
        if found.torn_bytes > 0 {
            let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            file.set_len(end).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        resume = Resume { next_lsn, synced_lsn: next_lsn - 1 };
        found.segments.push(Segment { bytes: end, ..segment });
    }
    Ok((found, resume))
}
