//! What is damaged, full or too much costs no more than itself.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

use flamestore_api::Reader;
use flamestore_block::{Block, BlockCache, Meta, Spill};
use flamestore_compaction::{Room, merge};
use flamestore_compactor::config::DiskRules;
use flamestore_index::{Index, Why};
use flamestore_model::{ProfileType, Select, TimeRange, TreeQuery};
use futures::TryStreamExt;

use crate::same::{filled, live};
use crate::support::{TYPE, World, runtime, tenant_of};

async fn flip(world: &World, key: &str) {
    let mut bytes = world.bucket.get(key).await.unwrap().to_vec();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    world.bucket.put(key, bytes.into()).await.unwrap();
}

#[test]
fn a_block_that_cannot_be_read_is_named_and_holds_up_no_other() {
    runtime().block_on(async {
        for file in
            ["samples.parquet", "profiles.parquet", "series.parquet", "stacktraces.parquet", "functions.parquet"]
        {
            let mut world = filled(|_| {}).await;
            let bad = live(&world, 0).await.swap_remove(2);
            flip(&world, &bad.key(file)).await;
            world.compactor().compact_all().await.unwrap();
            let after = live(&world, 0).await;
            assert_eq!(after.len(), 2, "{file}: the bad one, and the others as one");
            assert!(after.iter().any(|b| b.ulid == bad.ulid) && after.iter().any(|b| b.sources.len() == 5));
            assert_eq!(live(&world, 1).await.len(), 1, "{file}");
            let told = world.struck.corrupt.lock().clone();
            assert!(told.iter().any(|t| t.contains(&bad.ulid.to_string()) && t.contains(file)), "{file}: {told:?}");
            // It stays so, also after a restart.
            world.crash().await;
            world.compactor().compact_all().await.unwrap();
            assert_eq!(live(&world, 0).await.len(), 2);
        }
    });
}

#[test]
fn a_query_answers_without_the_block_that_is_damaged_and_says_so() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        let select = || {
            let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: i64::MAX });
            select.profile_type = Some(ProfileType::parse(TYPE).unwrap());
            TreeQuery::whole(select)
        };
        let whole = world.engine().tree(&tenant_of(0), &select()).await.unwrap();
        let bad = live(&world, 0).await.swap_remove(2);
        flip(&world, &bad.key("samples.parquet")).await;
        // What is at hand already is not read again.
        let mut world = world;
        world.crash().await;
        let answer = world.engine().tree(&tenant_of(0), &select()).await.unwrap();
        assert!(!whole.partial && answer.partial);
        // Each of the six blocks has as much of every tenant.
        assert_eq!(answer.value.total() * 6, whole.value.total() * 5);
        let other = world.engine().tree(&tenant_of(1), &select()).await.unwrap();
        assert!(!other.partial, "another tenant\'s answer is whole");
    });
}

#[test]
fn a_roll_up_that_is_damaged_or_gone_costs_no_answer() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        let before = world.answers().await;
        world.compactor().compact_all().await.unwrap();
        let made = live(&world, 0).await.swap_remove(0);
        let files = made.files.iter().filter(|f| f.path.starts_with("rollup_"));
        let files: Vec<String> = files.map(|f| made.key(&f.path)).collect();
        assert!(files.len() >= 2, "{made:?}");
        for key in &files {
            flip(&world, key).await;
        }
        world.crash().await;
        assert_eq!(world.answers().await, before);
        for key in &files {
            world.bucket.delete(key).await.unwrap();
        }
        world.crash().await;
        assert_eq!(world.answers().await, before);
        world.check("roll-ups are gone").await;
    });
}

/// Places of an object at which a bit is flipped, in hundredths.
const PLACES: [usize; 4] = [3, 33, 66, 97];

/// Sums of the first tenant by each kind of answer, and whether it is partial.
async fn sums(world: &World) -> [(i64, bool); 3] {
    let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: i64::MAX });
    select.profile_type = Some(ProfileType::parse(TYPE).unwrap());
    let (query, tenant) = (TreeQuery::whole(select), tenant_of(0));
    let tree = world.engine().tree(&tenant, &query).await.unwrap();
    let profile = world.engine().profile(&tenant, &query).await.unwrap();
    let points = world.engine().points(&tenant, &query).await.unwrap();
    let sum = points.value.iter().flat_map(|s| &s.points).map(|p| p.total).sum();
    [(tree.value.total(), tree.partial), (profile.value.total(), profile.partial), (sum, points.partial)]
}

/// What compaction finds in a block.
async fn found_in(world: &World, meta: &Meta) -> Option<String> {
    let (bucket, cache) = (world.bucket.clone(), BlockCache::new(1 << 20));
    let block = Block::open(bucket, tenant_of(0), meta.clone().into(), cache).unwrap();
    let room = Room { max_bytes: 64 << 20, spill: Spill::new(world.dir.path().join("spill")) };
    let merged = Box::pin(merge(&[block], &tenant_of(0), 1, &BTreeSet::new(), &room)).await;
    merged.err().map(|fault| fault.to_string())
}

#[test]
fn a_flipped_bit_in_any_object_of_a_block_is_found_and_costs_no_more_than_the_block() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        let whole = sums(&world).await;
        assert!(whole.iter().all(|(sum, partial)| *sum == whole[0].0 && !partial));
        // No index lists it yet, so its meta.json is read too.
        let block = live(&world, 0).await.swap_remove(2);
        let mut keys: Vec<String> = block.files.iter().map(|f| block.key(&f.path)).collect();
        keys.push(block.key("meta.json"));
        assert!(keys.len() >= 8, "{keys:?}");
        for (key, place) in keys.iter().flat_map(|key| PLACES.map(|place| (key, place))) {
            let sound = world.bucket.get(key).await.unwrap();
            let mut broken = sound.to_vec();
            let at = broken.len() * place / 100;
            broken[at] ^= 4;
            world.bucket.put(key, broken.into()).await.unwrap();
            world.struck.corrupt.lock().clear();
            world.crash().await;
            for ((sum, partial), (whole, _)) in sums(&world).await.into_iter().zip(whole) {
                let left = if partial { whole / 6 * 5 } else { whole };
                assert_eq!(sum, left, "{key} at {place} %, partial: {partial}");
            }
            let mut told = world.struck.corrupt.lock().clone();
            told.extend(found_in(&world, &block).await);
            assert!(told.iter().any(|t| t.contains(key.as_str())), "{key} at {place} %: {told:?}");
            world.bucket.put(key, sound).await.unwrap();
        }
    });
}

#[test]
fn a_damaged_index_costs_nothing() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        let before = world.answers().await;
        world.compactor().compact_all().await.unwrap();
        let keys: Vec<String> = world.bucket.list("tenant-0/index").map_ok(|o| o.key).try_collect().await.unwrap();
        for key in keys {
            flip(&world, &key).await;
        }
        world.crash().await;
        assert_eq!(world.answers().await, before);
        world.compactor().compact_all().await.unwrap();
        world.compactor().clean_all().await.unwrap();
        assert!(!world.struck.corrupt.lock().is_empty());
        world.crash().await;
        assert_eq!(world.answers().await, before);
    });
}

#[test]
fn a_full_disk_loses_the_oldest_blocks_at_once_and_no_more_than_it_must() {
    runtime().block_on(async {
        let world = filled(|config| {
            config.disk = Some(DiskRules { dir: "/".into(), min_free_bytes: 1 << 20, min_free_share: 0.5 });
        })
        .await;
        world.setup.disk.0.store(1 << 20, SeqCst);
        world.compactor().make_room().await.unwrap();
        assert_eq!(live(&world, 0).await.len() + live(&world, 1).await.len(), 12, "there is room");
        // One byte is missing: the oldest block of all tenants goes.
        let oldest = (0..2).map(|t| live(&world, t));
        let mut oldest: Vec<_> = futures::future::join_all(oldest).await.concat();
        oldest.sort_by_key(|b| (b.max_time_nanos, b.ulid));
        world.setup.disk.0.store((1 << 20) - 1, SeqCst);
        world.compactor().make_room().await.unwrap();
        let left: Vec<_> = futures::future::join_all((0..2).map(|t| live(&world, t))).await.concat();
        assert_eq!(left.len(), 11);
        assert!(left.iter().all(|b| b.ulid != oldest[0].ulid));
        let gone = world.bucket.list(&format!("{}/blocks/{}", oldest[0].tenant, oldest[0].ulid));
        assert_eq!(gone.try_collect::<Vec<_>>().await.unwrap(), []);
        // Answers go on, without it.
        assert!(!world.answers().await.is_empty());
    });
}

#[test]
fn what_is_replaced_goes_first_when_the_disk_is_full() {
    runtime().block_on(async {
        let world = filled(|config| {
            config.disk = Some(DiskRules { dir: "/".into(), min_free_bytes: 1 << 20, min_free_share: 0.5 });
        })
        .await;
        let before = world.answers().await;
        world.compactor().compact_all().await.unwrap();
        world.setup.disk.0.store((1 << 20) - 1, SeqCst);
        world.compactor().make_room().await.unwrap();
        assert_eq!(world.answers().await, before, "replaced blocks were enough");
        let index = Index::new(world.bucket.clone(), tenant_of(0), world.clock.clone());
        assert_eq!(index.view(4).await.unwrap().snapshot.dead, []);
    });
}

#[test]
fn beyond_its_bytes_a_tenant_loses_the_oldest() {
    runtime().block_on(async {
        let world = filled(|config| config.max_tenant_bytes = Some(20_000)).await;
        world.compactor().clean_all().await.unwrap();
        let index = Index::new(world.bucket.clone(), tenant_of(0), world.clock.clone());
        let view = index.view(4).await.unwrap();
        let bytes: u64 = view.live.iter().map(|b| b.stats.bytes).sum();
        assert!(bytes <= 20_000 && !view.live.is_empty(), "{bytes}");
        assert!(view.snapshot.dead.iter().all(|d| d.why == Why::Size));
        let oldest_left = view.live.iter().map(|b| b.min_time_nanos).min();
        assert_eq!(world.engine().stats().blocks, view.live.len() + live(&world, 1).await.len());
        assert!(oldest_left > Some(crate::support::START_NANOS));
    });
}
