//! The handle: append and wait, trim, close.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use crc32c::crc32c_append;
use flamestore_clock::{Chance, Clock};
use flamestore_model::{Fault, FaultId, Kind};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::commit::Writer;
use crate::layout::RECORD_HEADER_BYTES;
use crate::observe::Observer;
use crate::open::{Recovered, recover};
use crate::options::WalOptions;

/// Where the records of one append stand, once they are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// LSN of the first; the others follow without a gap.
    pub first_lsn: u64,
}

/// A log that is open for writing. Dropping it waits for the batch under way.
#[derive(Debug)]
pub struct Wal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held so that no other process writes here.
    _lock: File,
}

pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: WalOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) wake: Condvar,
    room: Arc<Semaphore>,
    /// LSN of the next record that will be written.
    pub(crate) next_lsn: AtomicU64,
    pub(crate) segments: Mutex<VecDeque<Kept>>,
    /// Why nothing is acknowledged now.
    pub(crate) failure: Mutex<Option<String>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).field("next_lsn", &self.next_lsn).finish_non_exhaustive()
    }
}

/// A segment on disk.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// One more than its last LSN; `None` while it is written.
    pub(crate) end_lsn: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) closed: bool,
}

/// The records of one append.
pub(crate) struct Entry {
    pub(crate) records: Vec<Unwritten>,
    pub(crate) bytes: usize,
    pub(crate) done: oneshot::Sender<Result<Committed, Fault>>,
    /// Room in the queue, given back when the entry is dropped.
    pub(crate) _room: OwnedSemaphorePermit,
}

pub(crate) struct Unwritten {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

impl Wal {
    /// Opens the log in a folder (made if absent), and finds what it holds. Refused while another process has it open.
    pub fn open(
        dir: &Path,
        options: WalOptions,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        observer: Arc<dyn Observer>,
    ) -> Result<(Wal, Recovered), Fault> {
        std::fs::create_dir_all(dir).map_err(|e| {
            Fault::unavailable(format!(
                "cannot make the folder {} for the log: check its owner and the disk",
                dir.display()
            ))
            .caused_by(e)
        })?;
        let lock = lock(dir)?;
        let (recovered, resume) = recover(dir)?;
        let mut segments = VecDeque::new();
        for (i, s) in recovered.segments.iter().enumerate() {
            let end_lsn = recovered.segments.get(i + 1).map_or(resume.next_lsn, |next| next.first_lsn);
            segments.push_back(Kept { path: s.path.clone(), bytes: s.bytes, end_lsn: Some(end_lsn) });
        }
        let shared = Arc::new(Shared {
            dir: dir.to_path_buf(),
            options,
            clock,
            chance,
            observer,
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(options.max_queue_bytes.min(Semaphore::MAX_PERMITS))),
            next_lsn: AtomicU64::new(resume.next_lsn),
            segments: Mutex::new(segments),
            failure: Mutex::new(None),
        });
        let writer = Writer::new(shared.clone(), resume);
        let thread = std::thread::Builder::new()
            .name("wal-commit".into())
            .spawn(move || writer.run())
            .map_err(|e| Fault::unavailable("cannot start the log's thread: too many threads?").caused_by(e))?;
        Ok((Wal { shared, thread: Mutex::new(Some(thread)), _lock: lock }, recovered))
    }

    /// Appends records, each given in parts that are written one after another, and waits until they are synced.
    ///
    /// All or nothing is acknowledged. Whoever stops waiting does not stop the append. After an error the records may or may not be found after a restart.
    /// `Unavailable`: the disk failed, or the queue stayed full for `max_queue_wait`. `TooLarge`: over `max_record_bytes`.
    pub async fn append(&self, records: Vec<Vec<Bytes>>) -> Result<Committed, Fault> {
        let shared = &self.shared;
        let mut sealed = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for parts in records {
            let length: usize = parts.iter().map(Bytes::len).sum();
            let limit = shared.options.max_record_bytes;
            let length = u32::try_from(length).ok().filter(|l| *l as usize <= limit).ok_or_else(|| {
                Fault::new(Kind::TooLarge, format!("a log record of {length} bytes is over max_record_bytes, {limit}"))
            })?;
            let checksum = parts.iter().fold(0, |sum, part| crc32c_append(sum, part));
            bytes += RECORD_HEADER_BYTES + length as usize;
            sealed.push(Unwritten { parts, length, checksum });
        }
        self.ready()?;
        let room = self.room(bytes).await?;
        let (done, answer) = oneshot::channel();
        {
            let mut queue = shared.queue.lock();
            if queue.closed {
                return Err(closed());
            }
            queue.entries.push_back(Entry { records: sealed, bytes, done, _room: room });
        }
        shared.wake.notify_one();
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let WalOptions { max_queue_bytes, max_queue_wait, .. } = self.shared.options;
        // One append larger than the queue waits until the queue is empty.
        let permits = u32::try_from(bytes.min(max_queue_bytes)).unwrap_or(u32::MAX);
        let room = self.shared.room.clone().acquire_many_owned(permits);
        match tokio::time::timeout(max_queue_wait, room).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(Fault::of(
                FaultId::LogBusy,
                format!(
                    "the log's queue (wal_queue_bytes {max_queue_bytes}) stayed full for {max_queue_wait:?}: the disk is \
                 too slow for what is pushed; try again later"
                ),
            )),
        }
    }

    /// `Err` while nothing can be acknowledged, with the reason.
    pub fn ready(&self) -> Result<(), Fault> {
        match &*self.shared.failure.lock() {
            Some(why) => Err(Fault::of(
                FaultId::LogFailing,
                format!("the log cannot be written ({why}): check the disk; try again"),
            )),
            None => Ok(()),
        }
    }

    /// No record that is appended from now on gets a smaller LSN.
    pub fn next_lsn(&self) -> u64 {
        self.shared.next_lsn.load(Ordering::Acquire)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.shared.segments.lock().iter().map(|s| s.bytes).sum()
    }

    /// Files on disk.
    pub fn segments(&self) -> usize {
        self.shared.segments.lock().len()
    }

    /// Deletes the oldest segments, as far as all their LSNs are below `lsn`. The one that is written stays. Returns how
    /// many are gone.
    pub fn trim(&self, lsn: u64) -> Result<usize, Fault> {
        self.delete_while(|segment| segment.end_lsn.is_some_and(|end| end <= lsn))
    }

    /// Ends the log: refuses further appends, finishes those under way, and deletes every segment whose LSNs are all
    /// below `lsn`, the last one too. Blocks for a sync at most. Returns how many are gone.
    pub fn close(&self, lsn: u64) -> Result<usize, Fault> {
        self.stop();
        let end = self.next_lsn();
        self.delete_while(|segment| segment.end_lsn.unwrap_or(end) <= lsn)
    }

    /// Refuses further appends and waits for the commit thread to finish what is queued.
    fn stop(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been told by its own message, and every waiter got an error.
            let _ = thread.join();
        }
    }

    fn delete_while(&self, unneeded: impl Fn(&Kept) -> bool) -> Result<usize, Fault> {
        let mut segments = self.shared.segments.lock();
        let mut gone = 0;
        while let Some(oldest) = segments.front().filter(|s| unneeded(s)) {
            match std::fs::remove_file(&oldest.path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    let what = format!("cannot delete log segment {}: check the folder's owner", oldest.path.display());
                    return Err(Fault::unavailable(what).caused_by(e));
                }
                _ => {}
            }
            segments.pop_front();
            gone += 1;
        }
        Ok(gone)
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn closed() -> Fault {
    Fault::of(FaultId::Stopping, "the log is closed: this process is shutting down; try another one")
}

fn lock(dir: &Path) -> Result<File, Fault> {
    let path = dir.join("lock");
    let failed = |e: std::io::Error| {
        Fault::unavailable(format!("cannot lock {}: check the folder's owner and the disk", path.display()))
            .caused_by(e)
    };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Fault::unavailable(format!(
            "{} is in use by another process: give each process a data folder of its own",
            dir.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

#[cfg(test)]
mod tests {
    use flamestore_clock::{SeededChance, SystemClock};
    use proptest::prelude::*;

    use super::*;
    use crate::layout::HEADER_BYTES;
    use crate::observe::{Batch, Silent};

    fn open(dir: &Path, options: WalOptions) -> (Wal, Recovered) {
        open_with(dir, options, Arc::new(Silent)).unwrap()
    }

    fn open_with(dir: &Path, options: WalOptions, observer: Arc<dyn Observer>) -> Result<(Wal, Recovered), Fault> {
        let chance = Arc::new(SeededChance::new(7));
        Wal::open(dir, options, Arc::new(SystemClock::default()), chance, observer)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn append(wal: &Wal, payload: &[u8]) -> u64 {
        let (a, b) = payload.split_at(payload.len() / 2);
        let parts = vec![Bytes::copy_from_slice(a), Bytes::new(), Bytes::copy_from_slice(b)];
        runtime().block_on(wal.append(vec![parts])).unwrap().first_lsn
    }

    /// Good records, and the words of what is damaged.
    fn read(found: &Recovered) -> (Vec<(u64, Vec<u8>)>, Vec<String>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for segment in &found.segments {
            match segment.records() {
                Ok(records) => records.for_each(|r| match r {
                    Ok(r) => good.push((r.lsn, r.payload.to_vec())),
                    Err(e) => bad.push(e.to_string()),
                }),
                Err(e) => bad.push(e.to_string()),
            }
        }
        (good, bad)
    }

    fn payload(i: u64) -> Vec<u8> {
        (0..i * 7 % 50).map(|b| (b + i) as u8).collect()
    }

    /// A log with records `1..=n`; returns its only segment.
    fn one_segment(dir: &Path, n: u64) -> PathBuf {
        let (wal, _) = open(dir, WalOptions::default());
        for i in 1..=n {
            assert_eq!(append(&wal, &payload(i)), i);
        }
        dir.join(crate::segment::file_name(1))
    }

    #[test]
    fn what_was_appended_is_read_back_over_many_segments_and_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let options = WalOptions { segment_bytes: 300, ..WalOptions::default() };
        let mut all = Vec::new();
        for _ in 0..3 {
            let (wal, found) = open(dir.path(), options);
            assert_eq!(read(&found), (all.clone(), vec![]));
            assert_eq!(found.torn_bytes, 0);
            for _ in 0..20 {
                let lsn = all.len() as u64 + 1;
                assert_eq!(append(&wal, &payload(lsn)), lsn);
                all.push((lsn, payload(lsn)));
            }
            assert!(wal.segments() > 2);
        }
    }

    #[test]
    fn a_tail_torn_at_any_byte_loses_only_the_torn_records() {
        let source = tempfile::tempdir().unwrap();
        let whole = std::fs::read(one_segment(source.path(), 6)).unwrap();
        for cut in 0..whole.len() {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(crate::segment::file_name(1)), &whole[..cut]).unwrap();
            let (wal, found) = open(dir.path(), WalOptions::default());
            let (good, bad) = read(&found);
            assert_eq!(bad, Vec::<String>::new(), "cut at {cut}");
            let mut end = HEADER_BYTES;
            let expected: Vec<_> = (1..=6)
                .map(|i| (i, payload(i)))
                .take_while(|(_, p)| {
                    end += RECORD_HEADER_BYTES + p.len();
                    end <= cut
                })
                .collect();
            assert_eq!(good, expected, "cut at {cut}");
            // And the log goes on behind them.
            let lsn = append(&wal, b"after");
            assert_eq!(lsn, good.len() as u64 + 1);
            drop(wal);
            let (good, bad) = read(&open(dir.path(), WalOptions::default()).1);
            assert_eq!((good.last(), bad.len()), (Some(&(lsn, b"after".to_vec())), 0));
        }
    }

    #[test]
    fn garbage_behind_the_last_record_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = one_segment(dir.path(), 3);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(&[0; 4096]);
        bytes.extend_from_slice(&[0xff; 99]);
        std::fs::write(&path, bytes).unwrap();
        let (_wal, found) = open(dir.path(), WalOptions::default());
        assert_eq!(found.torn_bytes, 4096 + 99);
        assert_eq!(read(&found).0.len(), 3);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_told_and_costs_one_record() {
        let source = tempfile::tempdir().unwrap();
        let whole = std::fs::read(one_segment(source.path(), 5)).unwrap();
        for at in HEADER_BYTES..whole.len() {
            let dir = tempfile::tempdir().unwrap();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(dir.path().join(crate::segment::file_name(1)), &bytes).unwrap();
            // A segment behind it makes it one that must be whole.
            let later = crate::layout::Header { salt: 1, first_lsn: 6, synced_lsn: 5 };
            std::fs::write(dir.path().join(crate::segment::file_name(6)), later.encode()).unwrap();
            let (_wal, found) = open(dir.path(), WalOptions::default());
            let (good, bad) = read(&found);
            assert_eq!((good.len(), bad.len()), (4, 1), "bit at {at}");
            assert!(bad[0].contains(".wal is damaged at byte") && bad[0].contains("1 records"), "{bad:?}");
            assert!(good.iter().all(|(lsn, p)| *p == payload(*lsn)));
        }
    }

    #[test]
    fn a_damaged_header_is_told_and_the_other_segments_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let options = WalOptions { segment_bytes: 1, ..WalOptions::default() };
        {
            let (wal, _) = open(dir.path(), options);
            (1..=3).for_each(|i| assert_eq!(append(&wal, &payload(i)), i));
        }
        for broken in [2, 3] {
            let path = dir.path().join(crate::segment::file_name(broken));
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[13] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        let (wal, found) = open(dir.path(), options);
        let (good, bad) = read(&found);
        assert_eq!((good.len(), bad.len()), (1, 2), "{bad:?}");
        assert!(append(&wal, b"next") > 3);
    }

    #[test]
    fn trimming_deletes_only_segments_that_lie_wholly_below() {
        let dir = tempfile::tempdir().unwrap();
        let options = WalOptions { segment_bytes: 1, ..WalOptions::default() };
        let (wal, _) = open(dir.path(), options);
        (1..=5).for_each(|i| assert_eq!(append(&wal, &payload(i)), i));
        assert_eq!(wal.trim(1).unwrap(), 0);
        assert_eq!(wal.trim(3).unwrap(), 2);
        // The one that is written stays, whatever is asked.
        assert_eq!(wal.trim(100).unwrap(), 2);
        assert_eq!(wal.segments(), 1);
        drop(wal);
        let (wal, found) = open(dir.path(), options);
        assert_eq!(read(&found).0, vec![(5, payload(5))]);
        assert_eq!(wal.trim(wal.next_lsn()).unwrap(), 1);
        assert_eq!(append(&wal, b"x"), 6);
    }

    #[test]
    fn closing_deletes_everything_that_is_not_needed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let options = WalOptions { segment_bytes: 1, ..WalOptions::default() };
        let (wal, _) = open(dir.path(), options);
        (1..=3).for_each(|i| assert_eq!(append(&wal, &payload(i)), i));
        assert_eq!(wal.close(3).unwrap(), 2);
        drop(wal);
        let (wal, found) = open(dir.path(), options);
        assert_eq!(read(&found).0, vec![(3, payload(3))]);
        assert_eq!(append(&wal, &payload(4)), 4);
        assert_eq!(wal.close(wal.next_lsn()).unwrap(), 2);
        assert_eq!(wal.bytes(), 0);
        drop(wal);
        let (_, found) = open(dir.path(), options);
        assert!(read(&found).0.is_empty());
    }

    #[test]
    fn two_processes_cannot_share_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = open(dir.path(), WalOptions::default());
        let second = open_with(dir.path(), WalOptions::default(), Arc::new(Silent));
        assert!(second.unwrap_err().message.contains("another process"));
        drop(first);
        open(dir.path(), WalOptions::default());
    }

    #[derive(Default)]
    struct Count(Mutex<Vec<Batch>>);

    impl Observer for Count {
        fn committed(&self, batch: Batch) {
            self.0.lock().push(batch);
        }
    }

    #[test]
    fn many_callers_share_a_sync() {
        let dir = tempfile::tempdir().unwrap();
        let count = Arc::new(Count::default());
        let (wal, _) = open_with(dir.path(), WalOptions::default(), count.clone()).unwrap();
        let wal = &wal;
        runtime().block_on(async {
            let one = |i: usize| async move { wal.append(vec![vec![Bytes::from(vec![i as u8; 100])]]).await.unwrap() };
            let mut lsns: Vec<u64> =
                join_all((0..200).map(one)).await.into_iter().map(|committed| committed.first_lsn).collect();
            lsns.sort_unstable();
            assert_eq!(lsns, (1..=200).collect::<Vec<_>>());
        });
        let batches = count.0.lock();
        assert_eq!(batches.iter().map(|b| b.records).sum::<usize>(), 200);
        assert!(batches.len() < 100, "{} syncs for 200 appends at once", batches.len());
    }

    async fn join_all<F: Future<Output = Committed>>(all: impl Iterator<Item = F>) -> Vec<Committed> {
        let mut all: Vec<_> = all.map(Box::pin).collect();
        let mut out: Vec<Option<Committed>> = all.iter().map(|_| None).collect();
        std::future::poll_fn(move |cx| {
            for (future, out) in all.iter_mut().zip(&mut out).filter(|(_, out)| out.is_none()) {
                if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                    *out = Some(value);
                }
            }
            match out.iter().all(Option::is_some) {
                true => std::task::Poll::Ready(out.iter().flatten().copied().collect()),
                false => std::task::Poll::Pending,
            }
        })
        .await
    }

    #[test]
    fn a_record_over_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (wal, _) = open(dir.path(), WalOptions { max_record_bytes: 10, ..WalOptions::default() });
        let fault = runtime().block_on(wal.append(vec![vec![Bytes::from_static(&[0; 11])]])).unwrap_err();
        assert_eq!(fault.kind, Kind::TooLarge);
        assert!(fault.message.contains("max_record_bytes"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn any_batches_survive_any_restarts_and_a_torn_last_write(
            runs in prop::collection::vec(prop::collection::vec(prop::collection::vec(0usize..300, 1..4), 0..8), 1..4),
            segment_bytes in 1u64..2000, queue in 1usize..500, tear in 0u64..200,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let options = WalOptions { segment_bytes, max_queue_bytes: queue, ..WalOptions::default() };
            let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
            for run in runs {
                let (wal, found) = open(dir.path(), options);
                prop_assert_eq!(read(&found), (all.clone(), vec![]));
                for batch in run {
                    let first = all.len() as u64 + 1;
                    let records: Vec<Vec<u8>> = batch.iter().map(|n| vec![(*n % 251) as u8; *n]).collect();
                    let parts = records.iter().map(|r| vec![Bytes::copy_from_slice(r)]).collect();
                    prop_assert_eq!(runtime().block_on(wal.append(parts)).unwrap().first_lsn, first);
                    all.extend(records.into_iter().zip(first..).map(|(r, lsn)| (lsn, r)));
                }
            }
            // A crash tears the last write: a prefix of the records is left, never something else.
            let (_, last) = crate::segment::list(dir.path()).unwrap().pop().unzip();
            if let Some(last) = last {
                let len = std::fs::metadata(&last).unwrap().len();
                File::options().write(true).open(&last).unwrap().set_len(len.saturating_sub(tear)).unwrap();
            }
            let (good, bad) = read(&open(dir.path(), options).1);
            prop_assert_eq!(bad, Vec::<String>::new());
            prop_assert!(all.starts_with(&good));
        }
    }
}
