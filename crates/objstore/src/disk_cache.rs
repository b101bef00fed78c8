//! A disk cache: pages of objects that never change, in a local folder, within a bound.
//!
//! Nothing in the folder is trusted: a page that is short, rotten, gone or another's fails the check of whoever reads, and
//! comes from the bucket again. So pages are not synced, and a folder that was lost or copied does no harm.
//!
//! Which page goes when there is no room is decided by `quick_cache`, as for what blocks keep in memory. Crates that are
//! disk caches as a whole bring a log of their own, threads for it and a recovery; files in a folder need none of them.

mod claim;
mod folder;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use flamestore_model::Fault;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use tokio::sync::{Semaphore, watch};

use crate::bucket::Bucket;
use claim::Claim;
use folder::Folder;

/// Pages are of this size, or a little larger where the object's checksums span more: about what a store sends in half the
/// time that a request takes.
pub const PAGE_BYTES: u64 = 256 << 10;
/// Objects whose pages would have to be larger are not cached.
pub const MAX_PAGE_BYTES: u64 = 1 << 20;
/// Pages that wait to be written, in memory. While there are more, what is read is not kept: a slow disk slows no query.
pub const MAX_PENDING_WRITES: usize = 64;
/// The smallest cache that can hold what one query reads.
pub const MIN_BYTES: u64 = 64 << 20;
/// What file systems hand out.
const FILE_UNIT: u64 = 4 << 10;

/// Whether bytes that begin here, at a piece, and end with one are those that were written.
pub type Sound = Arc<dyn Fn(u64, &[u8]) -> bool + Send + Sync>;

/// An object that never changes, as whoever reads it knows it.
#[derive(Clone)]
pub struct Immutable {
    pub key: String,
    pub size: u64,
    /// The parts that can be checked by themselves, in bytes; the last one is shorter.
    pub piece_bytes: u64,
    pub sound: Sound,
}

/// One page: the hash of its object's key and of its place.
type Id = u128;

/// Pages in a folder. Cheap to clone; one process at a time.
#[derive(Clone)]
pub struct DiskCache {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    folder: Folder,
    /// The length of each page that is kept.
    table: Cache<Id, u32, FileBytes, DefaultHashBuilder, Evict>,
    /// What somebody is reading or writing just now.
    loading: Mutex<HashMap<Id, watch::Receiver<Option<Bytes>>>>,
    writes: Arc<Semaphore>,
    /// The last write failed.
    failing: AtomicBool,
}

impl DiskCache {
    /// Takes over what an earlier process has left in the folder. `max_bytes` is at least [`MIN_BYTES`].
    pub async fn open(dir: &Path, max_bytes: u64) -> Result<Self, Fault> {
        let dir = dir.to_owned();
        let refuse = {
            let dir = dir.clone();
            move |e: std::io::Error| {
                Fault::invalid(format!("the disk cache cannot use the directory {}", dir.display())).caused_by(e)
            }
        };
        let opened = tokio::task::spawn_blocking(move || Inner::open(&dir, max_bytes.max(MIN_BYTES)).map_err(refuse));
        let inner = opened.await.map_err(|e| Fault::internal("opening the disk cache broke off").caused_by(e))??;
        Ok(DiskCache { inner: Arc::new(inner) })
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.inner.table.weight()
    }

    /// Ranges of an object in the order asked for: pages that are kept come from the disk, others from the bucket, once
    /// for all who ask at the same time.
    pub async fn get_ranges(
        &self,
        bucket: &Bucket,
        object: &Immutable,
        wanted: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Fault> {
        let page_bytes = object.page_bytes();
        if page_bytes > MAX_PAGE_BYTES || wanted.iter().any(|r| r.end > object.size) {
            return bucket.get_ranges(&object.key, wanted).await;
        }
        let mut missing = object.pages(wanted);
        if let Some(account) = bucket.account() {
            account.pages(missing.len() as u64);
        }
        let mut have: HashMap<u64, Bytes> = HashMap::with_capacity(missing.len());
        while !missing.is_empty() {
            let Sorted { kept, claims, awaited } = self.sort(object, &missing);
            let (read, loaded) =
                futures::try_join!(self.read(bucket, object, kept), self.load(bucket, object, claims))?;
            have.extend(read);
            have.extend(loaded);
            for (page, mut told) in awaited {
                // Who loaded it may have failed or gone away: then it is our turn.
                if let Ok(bytes) = told.wait_for(Option::is_some).await {
                    have.extend(bytes.clone().map(|bytes| (page, bytes)));
                }
            }
            missing.retain(|page| !have.contains_key(page));
        }
        let joined = wanted.iter().map(|r| join(r, page_bytes, &have));
        joined.collect::<Option<_>>().ok_or_else(|| Fault::internal("disk cache: a page is not there"))
    }

    fn sort(&self, object: &Immutable, pages: &[u64]) -> Sorted {
        let mut sorted = Sorted::default();
        // Under one lock: a page is in the table before it is no longer being loaded.
        let mut loading = self.inner.loading.lock();
        for page in pages {
            let id = object.id(*page);
            if let Some(told) = loading.get(&id) {
                sorted.awaited.push((*page, told.clone()));
            } else if self.inner.table.get(&id).is_some() {
                sorted.kept.push((*page, id));
            } else {
                let (teller, told) = watch::channel(None);
                loading.insert(id, told);
                sorted.claims.push(Claim { cache: self.inner.clone(), id, page: *page, teller });
            }
        }
        sorted
    }

    /// Pages of the table. Those that are not what they should be are left out, and thrown away.
    async fn read(
        &self,
        bucket: &Bucket,
        object: &Immutable,
        kept: Vec<(u64, Id)>,
    ) -> Result<Vec<(u64, Bytes)>, Fault> {
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let (inner, of) = (self.inner.clone(), object.clone());
        let read = tokio::task::spawn_blocking(move || {
            kept.into_iter().map(|(page, id)| (page, inner.take(&of, page, id))).collect::<Vec<_>>()
        });
        let read = read.await.map_err(|e| Fault::internal("reading the disk cache broke off").caused_by(e))?;
        let mut sound = Vec::with_capacity(read.len());
        for (page, found) in read {
            match (found, bucket.account()) {
                (Found::Sound(bytes), account) => {
                    if let Some(account) = account {
                        account.page_on_disk(bytes.len() as u64);
                    }
                    sound.push((page, bytes));
                }
                (Found::Damaged, Some(account)) => account.page_damaged(),
                (Found::Damaged | Found::Gone, _) => {}
            }
        }
        Ok(sound)
    }

    /// Fetches pages, tells whoever waits for them, and has them written.
    async fn load(&self, bucket: &Bucket, object: &Immutable, claims: Vec<Claim>) -> Result<Vec<(u64, Bytes)>, Fault> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let ranges: Vec<Range<u64>> = claims.iter().map(|claim| object.range(claim.page)).collect();
        let fetched = bucket.get_ranges(&object.key, &ranges).await?;
        let mut loaded = Vec::with_capacity(claims.len());
        let mut writes = Vec::new();
        for (claim, bytes) in claims.into_iter().zip(fetched) {
            // Neighbours came as one: what is kept until it is written must not hold all of them.
            let bytes = Bytes::copy_from_slice(&bytes);
            loaded.push((claim.page, bytes.clone()));
            claim.teller.send_replace(Some(bytes.clone()));
            if let Ok(permit) = self.inner.writes.clone().try_acquire_owned() {
                writes.push((claim, bytes, permit));
            }
        }
        if !writes.is_empty() {
            let of = object.clone();
            // Nobody waits for it. The claims end with it, so that until then the bytes come from memory.
            drop(tokio::task::spawn_blocking(move || {
                for (claim, bytes, permit) in writes {
                    claim.cache.keep(&of, claim.page, claim.id, &bytes);
                    // The claim holds the page in memory too: it ends before the permit that counts it.
                    drop((claim, bytes));
                    drop(permit);
                }
            }));
        }
        Ok(loaded)
    }
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskCache({} of {} bytes)", self.bytes(), self.inner.table.capacity())
    }
}

/// Where the pages of one call are.
#[derive(Default)]
struct Sorted {
    kept: Vec<(u64, Id)>,
    claims: Vec<Claim>,
    awaited: Vec<(u64, watch::Receiver<Option<Bytes>>)>,
}

/// What a page of the table turned out to be.
enum Found {
    Sound(Bytes),
    Damaged,
    /// It made room for others just now.
    Gone,
}

impl Inner {
    fn open(dir: &Path, max_bytes: u64) -> std::io::Result<Self> {
        let folder = Folder::open(dir)?;
        let kept_bytes = max_bytes - MAX_PENDING_WRITES as u64 * PAGE_BYTES;
        let options = OptionsBuilder::new()
            // One part: the bound is then that of the whole, and a disk is slower than any lock.
            .shards(1)
            .estimated_items_capacity(usize::try_from(kept_bytes / PAGE_BYTES).unwrap_or(usize::MAX))
            .weight_capacity(kept_bytes)
            .build()
            .map_err(|e| std::io::Error::other(e.to_string()))?;
        let inner = Inner {
            folder,
            table: Cache::with_options(options, FileBytes, DefaultHashBuilder::default(), Evict),
            loading: Mutex::default(),
            writes: Arc::new(Semaphore::new(MAX_PENDING_WRITES)),
            failing: AtomicBool::new(false),
        };
        for (id, bytes) in inner.folder.pages()? {
            inner.enter(id, bytes);
        }
        Ok(inner)
    }

    /// Writes down that a page is on the disk, and deletes those that make room for it.
    fn enter(&self, id: Id, bytes: u32) {
        let mut gone = Vec::new();
        self.table.insert_with_lifecycle(id, bytes, &mut gone);
        for id in gone {
            self.folder.remove(id);
        }
    }

    fn keep(&self, object: &Immutable, page: u64, id: Id, bytes: &[u8]) {
        let Ok(len) = u32::try_from(bytes.len()) else { return };
        if !(object.sound)(object.range(page).start, bytes) {
            return;
        }
        match self.folder.write(id, bytes) {
            Ok(()) => {
                self.enter(id, len);
                self.failing.store(false, Relaxed);
            }
            Err(e) if !self.failing.swap(true, Relaxed) => {
                tracing::warn!(err = %e, "the disk cache cannot be written: what is read over the network is not kept");
            }
            Err(_) => {}
        }
    }

    fn take(&self, object: &Immutable, page: u64, id: Id) -> Found {
        let range = object.range(page);
        let found = match self.folder.read(id, range.end - range.start) {
            Ok(bytes) if (object.sound)(range.start, &bytes) => return Found::Sound(bytes.into()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Found::Gone,
            Ok(_) | Err(_) => {
                tracing::warn!(object = object.key, at = range.start, "a page of the disk cache is damaged");
                Found::Damaged
            }
        };
        self.table.remove(&id);
        self.folder.remove(id);
        found
    }
}

impl Immutable {
    /// Whole pieces make a page.
    fn page_bytes(&self) -> u64 {
        let piece = self.piece_bytes.max(1);
        piece.saturating_mul((PAGE_BYTES / piece).max(1))
    }

    /// The numbers of the pages that hold these ranges, climbing.
    fn pages(&self, wanted: &[Range<u64>]) -> Vec<u64> {
        let page = self.page_bytes();
        let full = wanted.iter().filter(|r| r.start < r.end);
        let mut pages: Vec<u64> = full.flat_map(|r| r.start / page..r.end.div_ceil(page)).collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    fn range(&self, page: u64) -> Range<u64> {
        let start = page * self.page_bytes();
        start..start.saturating_add(self.page_bytes()).min(self.size)
    }

    fn id(&self, page: u64) -> Id {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(self.key.as_bytes());
        // No key has a zero in it.
        hasher.update(&[0]);
        hasher.update(&self.page_bytes().to_le_bytes());
        hasher.update(&page.to_le_bytes());
        hasher.digest128()
    }
}

/// One range out of its pages; `None` when one of them is missing.
fn join(wanted: &Range<u64>, page_bytes: u64, have: &HashMap<u64, Bytes>) -> Option<Bytes> {
    if wanted.start >= wanted.end {
        return Some(Bytes::new());
    }
    let part = |page: u64| {
        let bytes = have.get(&page)?;
        let start = page * page_bytes;
        let from = usize::try_from(wanted.start.saturating_sub(start)).ok()?;
        let to = usize::try_from(wanted.end - start).ok()?.min(bytes.len());
        (from <= to).then(|| bytes.slice(from..to))
    };
    let pages = wanted.start / page_bytes..wanted.end.div_ceil(page_bytes);
    if pages.end - pages.start == 1 {
        return part(pages.start);
    }
    let mut out = BytesMut::with_capacity(usize::try_from(wanted.end - wanted.start).ok()?);
    for page in pages {
        out.extend_from_slice(&part(page)?);
    }
    Some(out.freeze())
}

/// Weighs pages in bytes of the disk.
#[derive(Debug, Clone, Copy)]
struct FileBytes;

impl Weighter<Id, u32> for FileBytes {
    fn weight(&self, _: &Id, bytes: &u32) -> u64 {
        u64::from(*bytes).next_multiple_of(FILE_UNIT).max(FILE_UNIT)
    }
}

/// Tells which pages had to make room.
#[derive(Debug, Clone, Copy)]
struct Evict;

impl Lifecycle<Id, u32> for Evict {
    type RequestState = Vec<Id>;

    fn on_evict(&self, gone: &mut Vec<Id>, id: Id, _: u32) {
        gone.push(id);
    }
}

#[cfg(test)]
mod tests;
