//! Finds the next good record behind a damaged one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::layout::{RECORD_HEADER_BYTES, RecordHeader};

/// Bytes looked at in one read.
const WINDOW_BYTES: usize = 1 << 20;

/// The offset of the first good record in `from..len` whose LSN is at least `min_lsn`, if there is one.
pub(crate) fn next_good(file: &File, from: u64, len: u64, min_lsn: u64, salt: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; WINDOW_BYTES + RECORD_HEADER_BYTES];
    let mut payload = Vec::new();
    let mut at = from;
    while at + RECORD_HEADER_BYTES as u64 <= len {
        let have = usize::try_from(len - at).map_or(window.len(), |left| left.min(window.len()));
        file.read_exact_at(&mut window[..have], at)?;
        for (i, bytes) in window[..have].windows(RECORD_HEADER_BYTES).enumerate().take(WINDOW_BYTES) {
            let Ok(bytes) = bytes.try_into() else { continue };
            let header = RecordHeader::decode(bytes);
            let start = at + i as u64;
            let room = len - start - RECORD_HEADER_BYTES as u64;
            // Every missing record took at least its header, so an LSN further ahead cannot be true.
            let max_lsn = min_lsn.saturating_add((start - from) / RECORD_HEADER_BYTES as u64 + 1);
            if header.lsn < min_lsn || header.lsn > max_lsn || u64::from(header.length) > room {
                continue;
            }
            payload.resize(header.length as usize, 0);
            file.read_exact_at(&mut payload, start + RECORD_HEADER_BYTES as u64)?;
            if header.seals(&payload, salt) {
                return Ok(Some(start));
            }
        }
        at += WINDOW_BYTES as u64;
    }
    Ok(None)
}
