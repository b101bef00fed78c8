//! Reads the records of a segment back, past damage.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use flamestore_model::Fault;

use crate::layout::{BadHeader, HEADER_BYTES, RECORD_HEADER_BYTES, RecordHeader, VERSION};
use crate::resync::next_good;
use crate::segment::{End, Segment, read_header};

/// Bytes read ahead.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// One record as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub lsn: u64,
    pub payload: Bytes,
}

/// A stretch of a segment that is not what was written. Reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    /// Where it starts, and how long it is, in bytes.
    pub offset: u64,
    pub bytes: u64,
    /// The first record lost, and how many. `None`: nobody knows.
    pub first_lsn: u64,
    pub records: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { path, offset, bytes, first_lsn, records } = self;
        write!(f, "log segment {} is damaged at byte {offset} ({bytes} bytes): ", path.display())?;
        match records {
            Some(n) => write!(f, "{n} records from number {first_lsn} on are lost"),
            None => write!(f, "records from number {first_lsn} on are lost"),
        }
    }
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Fault {
        Fault::corrupt(damage.to_string())
    }
}

/// The records of one segment in order. After `Err` it goes on with the next good record.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: BufReader<File>,
    salt: u64,
    /// Where the next record starts.
    at: u64,
    len: u64,
    next_lsn: u64,
    end: Option<End>,
    /// Set when nothing more can be read.
    done: bool,
}

impl Records {
    pub(crate) fn open(segment: &Segment) -> Result<Self, Fault> {
        let failed = |e: io::Error| {
            Fault::unavailable(format!("cannot read log segment {}: check the disk", segment.path.display()))
                .caused_by(e)
        };
        let file = File::open(&segment.path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let header = read_header(&file, segment.first_lsn).map_err(failed)?;
        let header = header.map_err(|why| match why {
            BadHeader::Version(v) => Fault::corrupt(format!(
                "log segment {} has version {v}, this program reads up to {VERSION}: start the program that wrote it, \
                 or a later one",
                segment.path.display()
            )),
            BadHeader::Damaged => Fault::from(Damage {
                path: segment.path.clone(),
                offset: 0,
                bytes: len,
                first_lsn: segment.first_lsn,
                records: segment.end.map(|end| (end.synced_lsn + 1).saturating_sub(segment.first_lsn)),
            }),
        })?;
        let mut file = BufReader::with_capacity(READ_AHEAD_BYTES, file);
        file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(failed)?;
        Ok(Records {
            path: segment.path.clone(),
            file,
            salt: header.salt,
            at: HEADER_BYTES as u64,
            len,
            next_lsn: header.first_lsn,
            end: segment.end,
            done: false,
        })
    }

    /// Reads to the end: where the last good record ends, and the LSN after it.
    pub(crate) fn find_end(mut self) -> io::Result<(u64, u64)> {
        while !self.done {
            if self.read()?.is_none() {
                self.pass_damage()?;
            }
        }
        Ok((self.at, self.next_lsn))
    }

    /// The record at `self.at`, or `None` when there is no good one.
    fn read(&mut self) -> io::Result<Option<Record>> {
        if self.len - self.at < RECORD_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; RECORD_HEADER_BYTES];
        self.file.read_exact(&mut bytes)?;
        let header = RecordHeader::decode(&bytes);
        if header.lsn != self.next_lsn || u64::from(header.length) > self.len - self.at - RECORD_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut payload = vec![0; header.length as usize];
        self.file.read_exact(&mut payload)?;
        if !header.seals(&payload, self.salt) {
            return Ok(None);
        }
        self.at += (RECORD_HEADER_BYTES + payload.len()) as u64;
        self.next_lsn += 1;
        Ok(Some(Record { lsn: header.lsn, payload: payload.into() }))
    }

    /// Skips to the next good record, and says what lies between.
    fn pass_damage(&mut self) -> io::Result<Option<Damage>> {
        let (offset, first_lsn) = (self.at, self.next_lsn);
        let good = next_good(self.file.get_ref(), self.at, self.len, self.next_lsn, self.salt)?;
        if let Some(good) = good {
            self.file.seek(SeekFrom::Start(good))?;
            let mut bytes = [0; RECORD_HEADER_BYTES];
            self.file.read_exact(&mut bytes)?;
            self.file.seek(SeekFrom::Start(good))?;
            self.at = good;
            self.next_lsn = RecordHeader::decode(&bytes).lsn;
            let (bytes, records) = (good - offset, Some(self.next_lsn - first_lsn));
            return Ok(Some(Damage { path: self.path.clone(), offset, bytes, first_lsn, records }));
        }
        self.done = true;
        let lost = self.end.map(|end| (end.synced_lsn + 1).saturating_sub(first_lsn));
        // What was never acknowledged may be torn.
        let torn = lost == Some(0) || (lost.is_none() && offset == self.len);
        let bytes = self.len - offset;
        Ok((!torn).then(|| Damage { path: self.path.clone(), offset, bytes, first_lsn, records: lost }))
    }
}

impl Iterator for Records {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.end.is_some_and(|end| self.next_lsn > end.synced_lsn) {
            return None;
        }
        let found = match self.read() {
            Ok(Some(record)) => return Some(Ok(record)),
            Ok(None) => self.pass_damage(),
            Err(e) => Err(e),
        };
        match found {
            Ok(damage) => damage.map(|d| Err(d.into())),
            Err(e) => {
                self.done = true;
                let what =
                    format!("cannot read log segment {} at byte {}: check the disk", self.path.display(), self.at);
                Some(Err(Fault::unavailable(what).caused_by(e)))
            }
        }
    }
}
