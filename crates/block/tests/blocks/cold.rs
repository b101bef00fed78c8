//! What the first query on a block costs: requests, bytes, and how often it waits for the bucket.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use flamestore_block::read::WHOLE_FILE_BYTES;
use flamestore_block::{Block, BlockCache, Meta, upload};
use flamestore_flamegraph::TreeMerger;
use flamestore_model::{Fault, Reads, Select, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::disk_cache::{self, DiskCache};
use flamestore_objstore::{Bucket, Faulty, Op, Verdict};
use futures::FutureExt;
use futures::channel::oneshot;
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Runtime};

use crate::made::{self, START_NANOS, STEP_NANOS, Size};
use crate::{held, naive, open, written};

/// Every file is small.
const SMALL: Size = Size { functions: 50, stacks: 200, pods: 2, profiles: 20, samples: 20, links: false };
/// Profiles, samples, stacks and nodes are not.
const LARGE: Size = Size { functions: 3000, stacks: 50_000, pods: 20, profiles: 900, samples: 10, links: false };
/// In so many turns nobody has asked: whoever can ask has asked. Between two requests a reader hands its work over a few times.
const QUIET_TURNS: usize = 100;

/// A thread for tasks and one for what would keep it waiting: so there are turns.
fn runtime() -> Runtime {
    Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap()
}

/// All that was handed to the other thread is done, and whoever waited for it has gone on.
async fn turn() {
    tokio::task::spawn_blocking(|| {}).await.unwrap();
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

/// Holds every read back until nobody asks any more, then lets all of them go: that is one round.
#[derive(Default)]
struct Rounds {
    gets: AtomicUsize,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Rounds {
    fn bucket(self: &Arc<Self>) -> Bucket {
        let rounds = self.clone();
        let store = Faulty::by_rule(Arc::new(InMemory::new()), |_, _| Verdict::Pass).delayed(move |op| {
            if op != Op::GetRange {
                return async {}.boxed();
            }
            rounds.gets.fetch_add(1, SeqCst);
            let (go, told) = oneshot::channel();
            rounds.waiting.lock().unwrap().push(go);
            told.map(|_| ()).boxed()
        });
        Bucket::new(Arc::new(store), "").unwrap()
    }

    /// The answer, and how many rounds and requests it took.
    async fn count<T>(&self, asked: impl Future<Output = T>) -> (T, usize, usize) {
        let before = self.gets.load(SeqCst);
        let mut rounds = 0;
        let letting_go = async {
            let (mut seen, mut quiet) = (self.gets.load(SeqCst), 0);
            loop {
                turn().await;
                quiet += 1;
                let now = self.gets.load(SeqCst);
                if now != seen {
                    (seen, quiet) = (now, 0);
                } else if quiet >= QUIET_TURNS {
                    let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
                    rounds += usize::from(!waiting.is_empty());
                    for go in waiting {
                        // Whoever asked may have gone away.
                        let _ = go.send(());
                    }
                    quiet = 0;
                }
            }
        };
        let answer = tokio::select! {
            biased;
            answer = asked => answer,
            () = letting_go => unreachable!("it never ends"),
        };
        (answer, rounds, self.gets.load(SeqCst) - before)
    }
}

/// From the middle of the first profiles on: the block is cut, so profiles must be looked at.
fn cut() -> TreeQuery {
    TreeQuery::whole(Select::everything(TimeRange { from_nanos: START_NANOS + 3 * STEP_NANOS, to_nanos: i64::MAX }))
}

async fn tree(block: &Block, query: &TreeQuery) -> Result<(naive::Stacks, Reads), Fault> {
    let account = Bucket::in_memory().open_account();
    let mut merger = TreeMerger::default();
    block.on(account.clone()).add_tree(query, &mut merger).await?;
    Ok((naive::stacks_of(&merger.finish()), account.reads()))
}

async fn stored(bucket: &Bucket, datasets: &[held::Dataset]) -> Meta {
    upload(bucket, &TenantId::anonymous(), &written(datasets)).await.unwrap().meta
}

fn above(cache: &Arc<BlockCache>, bucket: &Bucket, meta: &Meta) -> Block {
    Block::open(bucket.clone(), TenantId::anonymous(), Arc::new(meta.clone()), cache.clone()).unwrap()
}

#[test]
fn a_cold_query_on_small_files_asks_once_for_each_and_waits_once() {
    runtime().block_on(async {
        let rounds = Arc::new(Rounds::default());
        let datasets = [made::dataset("a", 7, SMALL)];
        let bucket = rounds.bucket();
        let meta = stored(&bucket, &datasets).await;
        for query in [cut(), crate::everything()] {
            let (answer, waited, gets) = rounds.count(tree(&open(&bucket, meta.clone()), &query)).await;
            let (answer, reads) = answer.unwrap();
            assert_eq!(answer, naive::tree(&datasets, &query));
            // Series, samples, stacks, nodes, functions, and for a cut block profiles.
            assert!(gets <= 6 && waited == 1, "{gets} requests in {waited} rounds");
            assert_eq!((reads.requests, reads.blocks), (gets as u64, 0));
            assert!(reads.bytes <= meta.stats.bytes, "{reads:?}");
        }
    });
}

#[test]
fn a_cold_query_on_large_files_waits_three_times_and_a_warm_one_twice() {
    runtime().block_on(async {
        let rounds = Arc::new(Rounds::default());
        let datasets = [made::dataset("a", 9, LARGE)];
        let bucket = rounds.bucket();
        let meta = stored(&bucket, &datasets).await;
        for file in ["profiles.parquet", "samples.parquet", "stacktraces.parquet", "fn_tree.parquet"] {
            let size = meta.files.iter().find(|f| f.path == file).unwrap().size;
            assert!(size > WHOLE_FILE_BYTES, "{file}: {size}");
        }
        let block = open(&bucket, meta);
        let (answer, waited, gets) = rounds.count(tree(&block, &cut())).await;
        let (answer, cold) = answer.unwrap();
        assert_eq!(answer, naive::tree(&datasets, &cut()));
        // Footers and small files; then pages of profiles, stacks and nodes; then those of samples.
        assert!(waited <= 3 && gets <= 14, "{gets} requests in {waited} rounds");
        // The footers of profiles and samples had come ahead.
        assert_eq!((cold.requests, cold.cached_tables), (gets as u64, 2), "{cold:?}");

        let (answer, waited, gets) = rounds.count(tree(&block, &cut())).await;
        let warm = answer.unwrap().1;
        assert!(waited <= 2 && gets <= 6, "{gets} requests in {waited} rounds");
        assert!(warm.bytes < cold.bytes && warm.cached_tables == warm.tables, "{warm:?}");
    });
}

async fn on_disk(dir: &Path) -> Arc<BlockCache> {
    let disk = DiskCache::open(dir, disk_cache::MIN_BYTES).await.unwrap();
    BlockCache::above(Some(disk), 64 << 20)
}

#[test]
fn what_rots_in_the_disk_cache_comes_from_the_bucket_and_costs_no_answer() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let bucket = Bucket::in_memory();
        let datasets = [made::dataset("a", 11, LARGE)];
        let meta = stored(&bucket, &datasets).await;
        let truth = naive::tree(&datasets, &cut());
        let cache = on_disk(dir.path()).await;
        let (answer, cold) = tree(&above(&cache, &bucket, &meta), &cut()).await.unwrap();
        assert_eq!(answer, truth);
        // What is kept is written when the query is over.
        turn().await;
        assert!(cache.disk_bytes() > 0);
        drop(cache);
        let (answer, warm) = tree(&above(&on_disk(dir.path()).await, &bucket, &meta), &cut()).await.unwrap();
        assert_eq!(answer, truth);
        assert!(cold.requests > 0 && warm.requests == 0 && warm.cached_pages == warm.pages, "{warm:?}");

        let mut rotten = 0;
        for shelf in std::fs::read_dir(dir.path().join("pages-v1")).unwrap() {
            for file in std::fs::read_dir(shelf.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x40;
                std::fs::write(&path, bytes).unwrap();
                rotten += 1;
            }
        }
        let (answer, healed) = tree(&above(&on_disk(dir.path()).await, &bucket, &meta), &cut()).await.unwrap();
        assert_eq!(answer, truth);
        assert!(rotten > 4 && healed.damaged_pages == rotten, "{rotten} {healed:?}");
    });
}
