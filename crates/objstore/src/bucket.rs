//! The bucket.

mod parts;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flamestore_clock::Clock;
use flamestore_model::{Fault, Kind};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::account::Account;
pub use parts::PART_BYTES;

use crate::observe::{Call, Observe, Op};
use crate::turns::{Turn, Turns};
use crate::{durable, ranges, refusal, remote};

/// Ranges of one object at most this far apart are read in one request from a remote store: about what it sends in
/// the time that one more request would take.
pub const REMOTE_GAP_BYTES: u64 = 512 << 10;
/// The same for a local disk, where a request is a system call.
pub const LOCAL_GAP_BYTES: u64 = 16 << 10;
/// Range requests of one call that run at the same time.
pub const MAX_PARALLEL_RANGES: usize = 8;

/// How a create-only put ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    /// Somebody wrote it before; nothing was changed.
    AlreadyExists,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Relative to the bucket's prefix.
    pub key: String,
    pub bytes: u64,
    pub modified_ms: i64,
}

/// Objects under one prefix of a store. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    gap_bytes: u64,
    /// Where the objects are files: the store again, and its root.
    local: Option<(Arc<LocalFileSystem>, PathBuf)>,
    /// Across a network: turns for requests.
    remote: Option<Arc<Turns>>,
    observer: Option<(Arc<dyn Observe>, Arc<dyn Clock>)>,
    /// Of the query that reads.
    account: Option<Arc<Account>>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({}, prefix {:?})", self.store, self.prefix.as_ref())
    }
}

impl Bucket {
    /// Over any store. Keys get `prefix/` in front; an empty prefix is none.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self, Fault> {
        let prefix = Path::parse(prefix).map_err(|e| {
            Fault::invalid(format!("the bucket prefix {prefix:?} is not a path such as `a/b`")).caused_by(e)
        })?;
        Ok(Bucket {
            store,
            prefix,
            gap_bytes: REMOTE_GAP_BYTES,
            local: None,
            remote: None,
            observer: None,
            account: None,
        })
    }

    /// Over a store across a network.
    pub(crate) fn remote(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self, Fault> {
        let turns = Arc::new(Turns::new(remote::MAX_REQUESTS));
        Ok(Bucket { remote: Some(turns), ..Self::new(store, prefix)? })
    }

    /// Has so many requests under way, of all clones together, instead of [`remote::MAX_REQUESTS`]; at least one. Of no
    /// effect where the objects are files or in memory.
    #[must_use]
    pub fn with_max_requests(self, max_requests: usize) -> Self {
        let remote = self.remote.map(|_| Arc::new(Turns::new(max_requests)));
        Bucket { remote, ..self }
    }

    /// Over a directory, made if need be. A put that has answered survives a crash of the machine: the file and the
    /// directories that lead to it are synced.
    pub fn filesystem(dir: impl Into<PathBuf>) -> Result<Self, Fault> {
        let dir = dir.into();
        let refuse = |e: Box<dyn std::error::Error + Send + Sync>| {
            Fault::invalid(format!("the storage directory {} cannot be used", dir.display())).caused_by(e)
        };
        durable::make_dir(&dir).map_err(|e| refuse(e.into()))?;
        let root = dir.canonicalize().map_err(|e| refuse(e.into()))?;
        let local = LocalFileSystem::new_with_prefix(&root).map_err(|e| refuse(e.into()))?;
        // A folder is only a name here, as in a remote store: without objects there is none.
        let local = Arc::new(local.with_fsync(true).with_automatic_cleanup(true));
        let store: Arc<dyn ObjectStore> = local.clone();
        Ok(Bucket {
            store,
            prefix: Path::default(),
            gap_bytes: LOCAL_GAP_BYTES,
            local: Some((local, root)),
            remote: None,
            observer: None,
            account: None,
        })
    }

    /// Held in memory and gone with the process.
    pub fn in_memory() -> Self {
        Bucket {
            store: Arc::new(InMemory::new()),
            prefix: Path::default(),
            gap_bytes: LOCAL_GAP_BYTES,
            local: None,
            remote: None,
            observer: None,
            account: None,
        }
    }

    /// The same bucket with something around its store, for tests that make it fail.
    #[must_use]
    pub fn through(mut self, around: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        self.store = around(self.store);
        self
    }

    /// Tells `observer` of every call from now on.
    #[must_use]
    pub fn observed(mut self, observer: Arc<dyn Observe>, clock: Arc<dyn Clock>) -> Self {
        self.observer = Some((observer, clock));
        self
    }

    /// Whether it is across a network, so that every request costs a round trip.
    pub fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// An account for one query.
    pub fn open_account(&self) -> Arc<Account> {
        Arc::new(Account::new(self.remote.as_ref().map_or(1, |turns| turns.of_one_query)))
    }

    /// The same bucket for the reads of one query.
    #[must_use]
    pub fn on(&self, account: Arc<Account>) -> Self {
        Bucket { account: Some(account), ..self.clone() }
    }

    /// Of the query that this bucket reads for.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }

    /// A small object, as `read` understands it. `None`: there is none. One that is not understood is fetched once more, since the
    /// damage may be on the way; the inner fault is that of the second time.
    pub async fn understand<T>(
        &self,
        key: &str,
        mut read: impl FnMut(&[u8]) -> Result<T, Fault>,
    ) -> Result<Option<Result<T, Fault>>, Fault> {
        let mut tries = 0;
        loop {
            let bytes = match self.get(key).await {
                Ok(bytes) => bytes,
                Err(fault) if fault.kind == Kind::NotFound => return Ok(None),
                Err(fault) => return Err(fault),
            };
            let found = read(&bytes);
            if found.is_ok() || tries > 0 {
                return Ok(Some(found));
            }
            tries += 1;
        }
    }

    /// Tells the observer that an object is not what was written, as whoever reads it has found.
    pub fn damaged(&self, key: &str, fault: &Fault) {
        if let Some((observer, _)) = &self.observer {
            observer.damaged(key, fault);
        }
    }

    /// Writes an object only if there is none of that key: of several writers exactly one is told [`Put::Created`].
    pub async fn put_create(&self, key: &str, content: Bytes) -> Result<Put, Fault> {
        let path = self.path(key)?;
        let watch = self.watch(Op::PutCreate, content.len() as u64);
        let options = PutOptions::from(PutMode::Create);
        let turn = self.turn().await;
        let put = match self.store.put_opts(&path, content.into(), options).await {
            Ok(_) => Ok(Put::Created),
            Err(e @ (Error::AlreadyExists { .. } | Error::Precondition { .. })) => self.beaten(e, &path, key).await,
            Err(e) => Err(refusal::of(e, "create", key)),
        };
        drop(turn);
        let put = self.settled(put, &path, key).await;
        watch.done(put.is_err());
        put
    }

    /// Stores also answer "conflict" to a write that met another or a deletion, and then there may be no object at all.
    async fn beaten(&self, e: Error, path: &Path, key: &str) -> Result<Put, Fault> {
        if self.remote.is_none() {
            return Ok(Put::AlreadyExists);
        }
        match self.store.head(path).await {
            Ok(_) => Ok(Put::AlreadyExists),
            Err(Error::NotFound { .. }) => Err(refusal::again(key, "met another call for the same key").caused_by(e)),
            Err(e) => Err(refusal::of(e, "look at", key)),
        }
    }

    /// Writes an object, over an older one if there is one.
    pub async fn put(&self, key: &str, content: Bytes) -> Result<(), Fault> {
        let path = self.path(key)?;
        let watch = self.watch(Op::Put, content.len() as u64);
        let turn = self.turn().await;
        let put = self.store.put(&path, content.into()).await.map_err(|e| refusal::of(e, "put", key)).map(drop);
        drop(turn);
        let put = self.settled(put, &path, key).await;
        watch.done(put.is_err());
        put
    }

    /// The whole object; [`Kind::NotFound`] when there is none.
    pub async fn get(&self, key: &str) -> Result<Bytes, Fault> {
        let path = self.path(key)?;
        let mut watch = self.watch(Op::Get, 0);
        let turn = self.read_turn().await;
        self.note(|account| account.requested(1));
        let read = async {
            let answer = self.store.get(&path).await?;
            Ok((answer.meta.size, answer.bytes().await?))
        };
        let got = match read.await {
            Ok((size, bytes)) if bytes.len() as u64 != size => Err(refusal::again(key, "came only in part")),
            Ok((_, bytes)) => Ok(bytes),
            Err(e) => Err(refusal::of(e, "get", key)),
        };
        drop(turn);
        watch.bytes = got.as_ref().map_or(0, |b| b.len() as u64);
        self.note(|account| account.received(watch.bytes));
        watch.done(got.as_ref().is_err_and(|e| e.kind != Kind::NotFound));
        got
    }

    /// One range of an object.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Fault> {
        let mut got = self.get_ranges(key, std::slice::from_ref(&range)).await?;
        Ok(got.pop().unwrap_or_default())
    }

    /// Ranges of an object, in the order asked for, neighbours read together.
    ///
    /// A range that ends behind the object's end is [`Kind::Corrupt`]: callers know sizes from what they wrote.
    pub async fn get_ranges(&self, key: &str, wanted: &[Range<u64>]) -> Result<Vec<Bytes>, Fault> {
        let path = self.path(key)?;
        let reads = ranges::coalesce(wanted, self.gap_bytes);
        let fetched = if self.local.is_some() {
            // One blocking call for all of them.
            let watch = self.watch(Op::GetRange, bytes_of(&reads));
            self.note(|account| account.requested(reads.len() as u64));
            let read = self.store.get_ranges(&path, &reads).await;
            watch.done(read.as_ref().is_err_and(|e| !matches!(e, Error::NotFound { .. })));
            read
        } else {
            futures::stream::iter(reads.iter().cloned())
                .map(async |range| {
                    let _turn = self.read_turn().await;
                    self.note(|account| account.requested(1));
                    let watch = self.watch(Op::GetRange, bytes_of(std::slice::from_ref(&range)));
                    let read = self.store.get_range(&path, range).await;
                    watch.done(read.as_ref().is_err_and(|e| !matches!(e, Error::NotFound { .. })));
                    read
                })
                .buffered(MAX_PARALLEL_RANGES)
                .try_collect()
                .await
        };
        if let Ok(bytes) = &fetched {
            self.note(|account| account.received(bytes.iter().map(|b| b.len() as u64).sum()));
        }
        let fetched = match fetched {
            Err(e) => Err(self.refused_range(e, &path, key, &reads).await),
            Ok(bytes) if !whole(&reads, &bytes) => Err(self.cut_short(&path, key, &reads).await),
            Ok(bytes) => Ok(reads.iter().map(|r| r.start).zip(bytes).collect::<Vec<(u64, Bytes)>>()),
        };
        let fetched = fetched?;
        wanted.iter().map(|w| ranges::cut(w, &fetched).ok_or_else(|| too_short(key, w.end))).collect()
    }

    /// Less came than was asked for: either the object is that short, or the answer was.
    async fn cut_short(&self, path: &Path, key: &str, reads: &[Range<u64>]) -> Fault {
        let end = reads.iter().map(|r| r.end).max().unwrap_or(0);
        match self.store.head(path).await {
            Ok(meta) if meta.size < end => too_short(key, end),
            Ok(_) => refusal::again(key, "came only in part"),
            Err(e) => refusal::of(e, "look at", key),
        }
    }

    /// Stores refuse a range that starts behind the end in words of their own: asks for the size.
    async fn refused_range(&self, e: Error, path: &Path, key: &str, reads: &[Range<u64>]) -> Fault {
        let end = reads.iter().map(|r| r.end).max().unwrap_or(0);
        if !matches!(e, Error::NotFound { .. }) && self.store.head(path).await.is_ok_and(|meta| meta.size < end) {
            return too_short(key, end).caused_by(e);
        }
        refusal::of(e, "read ranges of", key)
    }

    /// What is known of an object; `None` when there is none.
    pub async fn head(&self, key: &str) -> Result<Option<Object>, Fault> {
        let path = self.path(key)?;
        let watch = self.watch(Op::Head, 0);
        let _turn = self.turn().await;
        let head = match self.store.head(&path).await {
            Ok(meta) => Ok(Some(self.object(meta))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(refusal::of(e, "look at", key)),
        };
        watch.done(head.is_err());
        head
    }

    /// Every object under a folder (at any depth), in no promised order. An empty folder name is the whole bucket.
    pub fn list(&self, folder: &str) -> BoxStream<'static, Result<Object, Fault>> {
        let path = match self.path(folder) {
            Ok(path) => path,
            Err(fault) => return futures::stream::once(async { Err(fault) }).boxed(),
        };
        let this = self.clone();
        let name = folder.to_owned();
        // Counted as one call, when the stream is over or dropped.
        let watch = self.watch(Op::List, 0);
        self.store
            .list(Some(&path))
            .map(move |r| {
                let _ = &watch;
                r.map(|meta| this.object(meta)).map_err(|e| refusal::of(e, "list", &name))
            })
            .boxed()
    }

    /// The names of the folders directly under a folder, sorted, without slashes.
    pub async fn list_dirs(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let path = self.path(folder)?;
        let watch = self.watch(Op::List, 0);
        let _turn = self.turn().await;
        let listed = match self.store.list_with_delimiter(Some(&path)).await {
            Ok(l) => Ok(l.common_prefixes),
            // A folder is only a name: one that does not exist has nothing in it.
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(e) => Err(refusal::of(e, "list folders of", folder)),
        };
        watch.done(listed.is_err());
        let mut names: Vec<String> = listed?.iter().filter_map(|p| p.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// Removes an object; that there is none is no error.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        let path = self.path(key)?;
        let watch = self.watch(Op::Delete, 0);
        let _turn = self.turn().await;
        let deleted = match self.store.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(refusal::of(e, "delete", key)),
        };
        watch.done(deleted.is_err());
        deleted
    }

    /// Waits for a turn. A listing takes none: it is one request at a time, and whoever reads it may make others between.
    async fn turn(&self) -> Option<Turn<'_>> {
        match &self.remote {
            Some(turns) => Some(turns.any().await),
            None => None,
        }
    }

    /// Waits for a turn among those that read.
    async fn read_turn(&self) -> Option<Turn<'_>> {
        match &self.remote {
            Some(turns) => Some(turns.read(self.account()).await),
            None => None,
        }
    }

    fn note(&self, entry: impl FnOnce(&Account)) {
        if let Some(account) = &self.account {
            entry(account);
        }
    }

    fn path(&self, key: &str) -> Result<Path, Fault> {
        let key = Path::parse(key)
            .map_err(|e| Fault::internal(format!("bucket: {key:?} is not a legal key")).caused_by(e))?;
        Ok(self.prefix.parts().chain(key.parts()).collect())
    }

    fn object(&self, meta: object_store::ObjectMeta) -> Object {
        let inside = meta.location.prefix_match(&self.prefix).map(|parts| parts.collect::<Path>());
        let key = inside.unwrap_or(meta.location).into();
        Object { key, bytes: meta.size, modified_ms: meta.last_modified.timestamp_millis() }
    }

    /// A put is over when what it says is on disk, also if somebody else wrote it.
    async fn settled<T: Send>(&self, put: Result<T, Fault>, path: &Path, key: &str) -> Result<T, Fault> {
        let (Ok(_), Some((local, root))) = (&put, &self.local) else { return put };
        let file = local.path_to_filesystem(path).map_err(|e| refusal::of(e, "find", key))?;
        let root = root.clone();
        let synced = tokio::task::spawn_blocking(move || durable::sync_up_to(&root, &file)).await;
        match synced {
            Ok(Ok(())) => put,
            Ok(Err(e)) => Err(Fault::unavailable(format!("bucket: {key:?} cannot be synced to disk")).caused_by(e)),
            Err(e) => Err(Fault::internal(format!("bucket: the sync of {key:?} was broken off")).caused_by(e)),
        }
    }

    fn watch(&self, op: Op, bytes: u64) -> Watch {
        let start = self.observer.as_ref().map_or(0, |(_, clock)| clock.monotonic_nanos());
        Watch { observer: self.observer.clone(), start, op, bytes, failed: false }
    }
}

fn bytes_of(reads: &[Range<u64>]) -> u64 {
    reads.iter().map(|r| r.end - r.start).sum()
}

fn whole(reads: &[Range<u64>], bytes: &[Bytes]) -> bool {
    reads.len() == bytes.len() && reads.iter().zip(bytes).all(|(r, b)| b.len() as u64 == r.end - r.start)
}

fn too_short(key: &str, end: u64) -> Fault {
    Fault::corrupt(format!("bucket: {key:?} ends before byte {end}: it is not what was written"))
}

/// Reports a call when dropped, so that one that is broken off is counted too.
struct Watch {
    observer: Option<(Arc<dyn Observe>, Arc<dyn Clock>)>,
    start: u64,
    op: Op,
    bytes: u64,
    failed: bool,
}

impl Watch {
    fn done(mut self, failed: bool) {
        self.failed = failed;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((observer, clock)) = &self.observer {
            let seconds = clock.monotonic_nanos().saturating_sub(self.start) as f64 / 1e9;
            observer.observe(Call { op: self.op, bytes: self.bytes, seconds, failed: self.failed });
        }
    }
}
