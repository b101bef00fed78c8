use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use futures::FutureExt;
use object_store::memory::InMemory;
use tokio::sync::Notify;

use super::*;
use crate::{Faulty, Verdict};

const SIZE: u64 = 3 * PAGE_BYTES + 1000;

fn content(seed: u8, size: u64) -> Bytes {
    (0..size).map(|i| (i / 7) as u8 ^ (i / 4096) as u8 ^ seed).collect::<Vec<_>>().into()
}

/// An object of the bucket whose bytes are known.
fn object(key: &str, content: &Bytes) -> Immutable {
    let known = content.clone();
    let sound = move |at: u64, bytes: &[u8]| known.get(at as usize..at as usize + bytes.len()) == Some(bytes);
    Immutable { key: key.into(), size: content.len() as u64, piece_bytes: 64 << 10, sound: Arc::new(sound) }
}

struct Fixture {
    dir: tempfile::TempDir,
    bucket: Bucket,
    gets: Arc<AtomicUsize>,
}

impl Fixture {
    /// A bucket that counts its reads; the first `failing` fail, and each waits for `gate` if there is one.
    fn with(failing: usize, gate: Option<Arc<Notify>>) -> Self {
        let gets = Arc::new(AtomicUsize::new(0));
        let count = gets.clone();
        let rule = move |op: crate::Op, _: &object_store::path::Path| match op {
            crate::Op::GetRange if count.fetch_add(1, SeqCst) < failing => Verdict::FailBefore,
            _ => Verdict::Pass,
        };
        let delay = move |op: crate::Op| match &gate {
            Some(gate) if op == crate::Op::GetRange => {
                let gate = gate.clone();
                async move { gate.notified().await }.boxed()
            }
            _ => async {}.boxed(),
        };
        let store = Faulty::by_rule(Arc::new(InMemory::new()), rule).delayed(delay);
        let bucket = Bucket::new(Arc::new(store), "").unwrap();
        Fixture { dir: tempfile::tempdir().unwrap(), bucket, gets }
    }

    fn new() -> Self {
        Self::with(0, None)
    }

    async fn put(&self, key: &str, content: &Bytes) -> Immutable {
        self.bucket.put(key, content.clone()).await.unwrap();
        object(key, content)
    }

    async fn open(&self) -> DiskCache {
        DiskCache::open(self.dir.path(), MIN_BYTES).await.unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for shelf in std::fs::read_dir(self.dir.path().join("pages-v1")).unwrap() {
            found.extend(std::fs::read_dir(shelf.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
        }
        found
    }

    fn gets(&self) -> usize {
        self.gets.load(SeqCst)
    }
}

async fn settled(cache: &DiskCache) {
    drop(cache.inner.writes.acquire_many(MAX_PENDING_WRITES as u32).await.unwrap());
}

async fn all(cache: &DiskCache, bucket: &Bucket, object: &Immutable) -> Bytes {
    cache.get_ranges(bucket, object, std::slice::from_ref(&(0..object.size))).await.unwrap().remove(0)
}

#[tokio::test]
async fn what_was_read_once_is_read_from_the_disk_also_after_a_restart() {
    let f = Fixture::new();
    let bytes = content(1, SIZE);
    let object = f.put("t/blocks/b/x", &bytes).await;
    let cache = f.open().await;
    let wanted = [PAGE_BYTES + 5..PAGE_BYTES + 10, 0..0, SIZE - 3..SIZE, PAGE_BYTES - 2..PAGE_BYTES + 2];
    let account = f.bucket.open_account();
    let bucket = f.bucket.on(account.clone());
    for restart in [false, true] {
        let got = cache.get_ranges(&bucket, &object, &wanted).await.unwrap();
        for (range, got) in wanted.iter().zip(got) {
            assert_eq!(got, bytes.slice(range.start as usize..range.end as usize), "{range:?}");
        }
        settled(&cache).await;
        assert_eq!(f.gets(), 1, "neighbouring pages are fetched together, and once: {restart}");
    }
    let reads = account.reads();
    assert_eq!((reads.pages, reads.cached_pages, reads.requests), (6, 3, 1));
    assert_eq!(reads.cached_page_bytes, 2 * PAGE_BYTES + 1000);
    drop(cache);
    let cache = f.open().await;
    assert_eq!(cache.get_ranges(&bucket, &object, &wanted[..1]).await.unwrap()[0].len(), 5);
    assert_eq!(f.gets(), 1);
    assert_eq!(all(&cache, &bucket, &object).await, bytes);
    assert_eq!(f.gets(), 2, "one page had never been asked for");
}

#[tokio::test]
async fn a_damaged_page_comes_from_the_bucket_again_and_is_whole_from_then_on() {
    let f = Fixture::new();
    let bytes = content(2, SIZE);
    let object = f.put("t/blocks/b/x", &bytes).await;
    let cache = f.open().await;
    all(&cache, &f.bucket, &object).await;
    settled(&cache).await;
    let files = f.files();
    assert_eq!(files.len(), 4);
    let mut rotten = std::fs::read(&files[0]).unwrap();
    rotten[17] ^= 1;
    std::fs::write(&files[0], rotten).unwrap();
    std::fs::write(&files[1], b"").unwrap();
    std::fs::remove_file(&files[2]).unwrap();
    let account = f.bucket.open_account();
    for _ in 0..2 {
        assert_eq!(all(&cache, &f.bucket.on(account.clone()), &object).await, bytes);
        settled(&cache).await;
    }
    let reads = account.reads();
    assert_eq!((reads.damaged_pages, reads.pages, reads.cached_pages), (2, 8, 5));
    let healed = account.reads().requests;
    assert_eq!(all(&cache, &f.bucket.on(account.clone()), &object).await, bytes);
    assert_eq!(account.reads().requests, healed);
}

#[tokio::test]
async fn what_the_bucket_gave_wrong_is_not_kept() {
    let f = Fixture::new();
    let bytes = content(3, SIZE);
    f.put("t/blocks/b/x", &content(4, SIZE)).await;
    let object = object("t/blocks/b/x", &bytes);
    let cache = f.open().await;
    assert_ne!(all(&cache, &f.bucket, &object).await, bytes, "whoever reads finds out by itself");
    settled(&cache).await;
    assert!(f.files().is_empty());
}

#[tokio::test]
async fn the_folder_never_outgrows_its_bound() {
    let f = Fixture::new();
    let bytes = content(5, 40 * PAGE_BYTES);
    let cache = f.open().await;
    for i in 0..10 {
        let object = f.put(&format!("t/blocks/{i}/x"), &bytes).await;
        all(&cache, &f.bucket, &object).await;
        settled(&cache).await;
        let on_disk: u64 = f.files().iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(on_disk <= MIN_BYTES && on_disk == cache.bytes(), "{on_disk} {}", cache.bytes());
    }
    assert!(cache.bytes() > MIN_BYTES / 2);
    drop(cache);
    let cache = f.open().await;
    assert_eq!(cache.bytes(), f.files().iter().map(|file| file.metadata().unwrap().len()).sum::<u64>());
}

#[tokio::test]
async fn many_who_ask_at_the_same_time_load_once() {
    let gate = Arc::new(Notify::new());
    let f = Fixture::with(0, Some(gate.clone()));
    let bytes = content(6, SIZE);
    let object = f.put("t/blocks/b/x", &bytes).await;
    let cache = f.open().await;
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let (cache, bucket, object) = (cache.clone(), f.bucket.clone(), object.clone());
            tokio::spawn(async move { all(&cache, &bucket, &object).await })
        })
        .collect();
    while cache.inner.loading.lock().len() < 4 {
        tokio::task::yield_now().await;
    }
    // Tokio has one thread here: all have asked when this one gets to run again.
    tokio::task::yield_now().await;
    gate.notify_one();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), bytes);
    }
    assert_eq!(f.gets(), 1);
}

#[tokio::test]
async fn who_waits_for_one_who_fails_or_goes_away_loads_itself() {
    let gate = Arc::new(Notify::new());
    let f = Fixture::with(1, Some(gate.clone()));
    let bytes = content(7, SIZE);
    let object = f.put("t/blocks/b/x", &bytes).await;
    let cache = f.open().await;
    let whole = 0..SIZE;
    let range = std::slice::from_ref(&whole);
    let mut fails = cache.get_ranges(&f.bucket, &object, range).boxed();
    assert!(futures::poll!(&mut fails).is_pending());
    let mut waits = cache.get_ranges(&f.bucket, &object, range).boxed();
    assert!(futures::poll!(&mut waits).is_pending());
    gate.notify_one();
    assert!(fails.await.is_err());
    // Now the other one is loading; a third waits, and takes over when it is gone.
    assert!(futures::poll!(&mut waits).is_pending());
    let mut takes_over = cache.get_ranges(&f.bucket, &object, range).boxed();
    assert!(futures::poll!(&mut takes_over).is_pending());
    drop(waits);
    assert!(futures::poll!(&mut takes_over).is_pending());
    gate.notify_one();
    assert_eq!(takes_over.await.unwrap()[0], bytes);
    assert_eq!(f.gets(), 2);
}

#[tokio::test]
async fn what_was_never_finished_and_what_is_not_ours_is_no_page() {
    let f = Fixture::new();
    let pages = f.dir.path().join("pages-v1");
    std::fs::create_dir_all(pages.join("new")).unwrap();
    std::fs::create_dir_all(pages.join("00")).unwrap();
    std::fs::write(pages.join("new/00000000000000000000000000000001"), b"half").unwrap();
    std::fs::write(pages.join("00/notes.txt"), b"mine").unwrap();
    std::fs::write(pages.join("00/ff000000000000000000000000000001"), b"elsewhere").unwrap();
    let cache = f.open().await;
    assert_eq!(cache.bytes(), 0);
    assert!(!pages.join("new/00000000000000000000000000000001").exists() && pages.join("00/notes.txt").exists());
}
