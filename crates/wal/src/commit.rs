//! The commit thread: takes what is queued, writes it, syncs once, answers everybody.
//!
//! Hot; its bench is `benches/append.rs`.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fail::fail_point;
use flamestore_model::{Fault, FaultId};

use crate::layout::{HEADER_BYTES, Header, RECORD_HEADER_BYTES, RecordHeader};
use crate::log::{Committed, Entry, Kept, Shared};
use crate::observe::Batch;
use crate::open::Resume;
use crate::segment::{file_name, sync_dir};

pub(crate) struct Writer {
    shared: Arc<Shared>,
    segment: Option<OpenSegment>,
    next_lsn: u64,
    synced_lsn: u64,
}

/// However the thread ends, nobody waits for it.
struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        queue.entries.clear();
    }
}

struct OpenSegment {
    file: File,
    salt: u64,
    bytes: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, resume: Resume) -> Self {
        Writer { shared, segment: None, next_lsn: resume.next_lsn, synced_lsn: resume.synced_lsn }
    }

    /// Until the log is closed and nothing is queued.
    pub(crate) fn run(mut self) {
        let _closing = CloseAtEnd(self.shared.clone());
        while let Some(batch) = self.take() {
            match self.commit(&batch) {
                Ok(first_lsn) => answer(batch, first_lsn),
                Err(e) => {
                    self.fail(batch, &e);
                    if !self.revive() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for work; `None` at the end.
    fn take(&self) -> Option<Vec<Entry>> {
        let mut queue = self.shared.queue.lock();
        while queue.entries.is_empty() {
            if queue.closed {
                return None;
            }
            self.shared.wake.wait(&mut queue);
        }
        let mut bytes = 0;
        let mut count = 0;
        for entry in &queue.entries {
            bytes += entry.bytes;
            if count > 0 && bytes > self.shared.options.max_batch_bytes {
                break;
            }
            count += 1;
        }
        Some(queue.entries.drain(..count).collect())
    }

    /// Writes and syncs a batch; returns the LSN of its first record.
    fn commit(&mut self, batch: &[Entry]) -> io::Result<u64> {
        let segment = match self.segment.take() {
            Some(open) if open.bytes < self.shared.options.segment_bytes => open,
            full => {
                drop(full);
                self.create()?
            }
        };
        let segment = self.segment.insert(segment);

        let first_lsn = self.next_lsn;
        let records = || batch.iter().flat_map(|entry| &entry.records);
        let headers: Vec<[u8; RECORD_HEADER_BYTES]> = records()
            .zip(first_lsn..)
            .map(|(r, lsn)| RecordHeader::new(r.length, lsn, r.checksum, segment.salt).encode())
            .collect();
        let mut slices = Vec::with_capacity(headers.len() * 3);
        for (record, header) in records().zip(&headers) {
            slices.push(IoSlice::new(header));
            slices.extend(record.parts.iter().map(|part| IoSlice::new(part)));
        }
        let bytes = slices.iter().map(|s| s.len() as u64).sum::<u64>();
        // From here on the numbers are taken, whatever becomes of the batch.
        self.next_lsn += headers.len() as u64;
        self.shared.next_lsn.store(self.next_lsn, Ordering::Release);

        let started = self.shared.clock.monotonic_nanos();
        fail_point!("wal-before-write", |_| Err(io::Error::other("injected")));
        write_all(&mut segment.file, &mut slices)?;
        fail_point!("wal-after-write", |_| Err(io::Error::other("injected")));
        let written = self.shared.clock.monotonic_nanos();
        segment.file.sync_data()?;
        fail_point!("wal-after-sync", |_| Err(io::Error::other("injected")));
        let synced = self.shared.clock.monotonic_nanos();

        segment.bytes += bytes;
        self.synced_lsn = self.next_lsn - 1;
        if let Some(kept) = self.shared.segments.lock().back_mut() {
            kept.bytes = segment.bytes;
        }
        self.shared.observer.committed(Batch {
            records: headers.len(),
            bytes,
            write_nanos: written.saturating_sub(started),
            sync_nanos: synced.saturating_sub(written),
        });
        Ok(first_lsn)
    }

    /// Starts a segment: its header and its name are on disk before any record is.
    fn create(&self) -> io::Result<OpenSegment> {
        let header =
            Header { salt: self.shared.chance.next_u64(), first_lsn: self.next_lsn, synced_lsn: self.synced_lsn };
        let path: PathBuf = self.shared.dir.join(file_name(self.next_lsn));
        fail_point!("wal-create", |_| Err(io::Error::other("injected")));
        // A file of this name holds no acknowledged record: opening has looked, and a failed attempt wrote none.
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        file.write_all(&header.encode())?;
        file.sync_all()?;
        sync_dir(&self.shared.dir)?;
        let mut segments = self.shared.segments.lock();
        if let Some(closed) = segments.back_mut().filter(|s| s.end_lsn.is_none()) {
            closed.end_lsn = Some(self.next_lsn);
        }
        let bytes = HEADER_BYTES as u64;
        // Another try under the same name replaces the first.
        segments.retain(|s| s.path != path);
        segments.push_back(Kept { path, bytes, end_lsn: None });
        Ok(OpenSegment { file, salt: header.salt, bytes })
    }

    /// Nothing is acknowledged from now on: after a failed write or sync nobody knows what of the batch is on disk.
    fn fail(&mut self, batch: Vec<Entry>, error: &io::Error) {
        tracing::error!(dir = %self.shared.dir.display(), %error, "the log cannot be written; pushes are refused");
        self.segment = None;
        *self.shared.failure.lock() = Some(error.to_string());
        self.shared.observer.failed();
        self.refuse(batch, error);
    }

    fn refuse(&self, batch: impl IntoIterator<Item = Entry>, error: &io::Error) {
        for entry in batch {
            let fault = Fault::of(
                FaultId::LogFailing,
                format!("the log could not be written ({error}): check the disk; try again"),
            );
            let _ = entry.done.send(Err(fault));
        }
    }

    /// Tries a fresh segment until one can be made. The old one is never written again, and the fresh one records what
    /// had been synced before, so the failed batch can never be read back as acknowledged. False: closed meanwhile.
    fn revive(&mut self) -> bool {
        loop {
            if !self.rest(self.shared.options.revive_after) {
                return false;
            }
            match self.create() {
                Ok(segment) => {
                    self.segment = Some(segment);
                    *self.shared.failure.lock() = None;
                    self.shared.observer.revived();
                    tracing::info!(dir = %self.shared.dir.display(), "the log can be written again");
                    return true;
                }
                Err(error) => *self.shared.failure.lock() = Some(error.to_string()),
            }
        }
    }

    /// Refuses what comes in for a while. False: closed.
    fn rest(&self, how_long: Duration) -> bool {
        let until = self.shared.clock.monotonic_nanos().saturating_add(how_long.as_nanos() as u64);
        let mut queue = self.shared.queue.lock();
        loop {
            let refused = std::mem::take(&mut queue.entries);
            self.refuse(refused, &io::Error::other("after a failed write"));
            if queue.closed {
                return false;
            }
            let left = until.saturating_sub(self.shared.clock.monotonic_nanos());
            if left == 0 {
                return true;
            }
            // A clock that stands still must not keep the log down: waking by the timer ends the rest too.
            if self.shared.wake.wait_for(&mut queue, Duration::from_nanos(left)).timed_out() && queue.entries.is_empty()
            {
                return !queue.closed;
            }
        }
    }
}

fn answer(batch: Vec<Entry>, mut first_lsn: u64) {
    for entry in batch {
        let records = entry.records.len() as u64;
        // Whoever no longer waits needs no answer.
        let _ = entry.done.send(Ok(Committed { first_lsn }));
        first_lsn += records;
    }
}

fn write_all(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Empty parts at the front would look like a disk that takes nothing.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
