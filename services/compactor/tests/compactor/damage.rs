//! What is damaged, full or too much costs no more than itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use flamestore_api::Reader;
use flamestore_block::{Block, BlockCache, Meta, Spill};
use flamestore_clock::Clock;
use flamestore_compaction::{Room, merge};
use flamestore_compactor::config::DiskRules;
use flamestore_compactor::delete::State;
use flamestore_index::{Index, Snapshot, Why};
use flamestore_model::{ProfileId, ProfileType, Select, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::{Faulty, Op, Verdict};
use futures::{FutureExt, TryStreamExt};

use crate::same::{filled, live};
use crate::support::{START_NANOS, TYPE, World, compactor, runtime, tenant_of};

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

/// Profiles of a service of the first tenant are deleted on request.
async fn delete(world: &mut World, service: u64) -> String {
    let selector = format!("{{service_name=\"svc-{service}\"}}");
    let now_ms = world.clock.now_millis();
    let receipt = world.compactor().delete(&tenant_of(0), &selector, 0, now_ms).await.unwrap();
    world.pushed.retain(|p| p.tenant != 0 || p.service != service);
    receipt.id
}

#[test]
fn what_was_deleted_on_request_stays_deleted_whatever_of_the_index_is_damaged() {
    runtime().block_on(async {
        for (many, compacts_first, restarts) in
            [(1, false, true), (1, true, false), (usize::MAX, false, false), (usize::MAX, true, true)]
        {
            let when = format!("{many} damaged, compacted before: {compacts_first}, restarts: {restarts}");
            let mut world = filled(|_| {}).await;
            world.compactor().clean_all().await.unwrap();
            let id = delete(&mut world, 2).await;
            if compacts_first {
                world.compactor().compact_all().await.unwrap();
            }
            world.damage_index(0, many).await;
            if restarts {
                world.crash().await;
            }
            world.check(&when).await;
            for hour in 0..3 {
                world.compactor().compact_all().await.unwrap();
                world.compactor().clean_all().await.unwrap();
                world.check(&format!("{when}, {hour} hours later")).await;
                world.clock.advance(Duration::from_secs(3600));
            }
            let receipts = world.compactor().deletions(&tenant_of(0)).await.unwrap();
            assert_eq!(receipts.iter().map(|r| (r.id.clone(), r.state)).collect::<Vec<_>>(), [(id, State::Done)]);
            let left = live(&world, 0).await;
            assert!(
                left.iter().all(|b| b.deletions.len() == 1 && b.datasets.iter().all(|d| d.service_name != "svc-2"))
            );
        }
    });
}

#[test]
fn a_compaction_that_knew_of_no_deletion_does_not_bring_it_back_with_a_damaged_index() {
    runtime().block_on(async {
        let mut left_over = 0;
        for calls in (11..200).step_by(2) {
            let mut world = filled(|_| {}).await;
            world.compactor().clean_all().await.unwrap();
            world.fuse.store(calls, SeqCst);
            let ended = world.compactor().compact_all().await;
            world.fuse.store(-1, SeqCst);
            if ended.is_ok() {
                break;
            }
            let index = Index::new(world.bucket.clone(), tenant_of(0), world.clock.clone());
            if index.view(4).await.unwrap().orphans.is_empty() {
                continue;
            }
            left_over += 1;
            delete(&mut world, 2).await;
            world.compactor().compact_all().await.unwrap();
            world.damage_index(0, usize::MAX).await;
            world.crash().await;
            world.check(&format!("{calls} calls")).await;
            world.compactor().compact_all().await.unwrap();
            world.check(&format!("{calls} calls, compacted")).await;
            world.crash().await;
            world.check(&format!("{calls} calls, started again")).await;
            if left_over == 2 {
                break;
            }
        }
        assert!(left_over > 0);
    });
}

#[test]
fn a_request_that_the_index_has_lost_is_taken_up_again_and_its_object_goes_with_the_receipt() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        world.compactor().clean_all().await.unwrap();
        let before = world.pushed.clone();
        delete(&mut world, 2).await;
        let index = Index::new(world.bucket.clone(), tenant_of(0), world.clock.clone());
        let base = index.view(4).await.unwrap().snapshot;
        let lose = |snapshot: &mut Snapshot| {
            snapshot.deletions.clear();
            Ok(())
        };
        index.edit(&base, lose).await.unwrap();
        world.crash().await;
        let remaining = std::mem::replace(&mut world.pushed, before);
        world.check("nobody knows of it").await;
        world.pushed = remaining;
        world.compactor().clean_all().await.unwrap();
        world.check("found").await;
        let request = index.kept().await.unwrap().pop_first().unwrap();
        index.forget(request).await.unwrap();
        world.compactor().clean_all().await.unwrap();
        assert_eq!(index.kept().await.unwrap().first(), Some(&request), "written down again");
        world.compactor().compact_all().await.unwrap();
        for _ in 0..2 {
            world.clock.advance(Duration::from_secs(31 * 86_400));
            world.push_one(0, 0, 1, 1, world.clock.now_nanos(), ProfileId::v7(0, 77 << 64), 40).await;
            world.engine().flush().await.unwrap();
            world.compactor().clean_all().await.unwrap();
        }
        assert_eq!((index.kept().await.unwrap().len(), index.view(4).await.unwrap().snapshot.deletions.len()), (0, 0));
    });
}

#[test]
fn what_a_flush_has_begun_is_not_swept_away_from_under_it() {
    runtime().block_on(async {
        let mut begun = 0;
        for calls in 2..40 {
            let mut world = World::new(3, Arc::default()).await;
            world.push_one(0, 1, 1, 1, START_NANOS, ProfileId::v7(0, 1 << 64), 40).await;
            world.fuse.store(calls, SeqCst);
            let ended = world.engine().flush().await;
            world.fuse.store(-1, SeqCst);
            if ended.is_ok() {
                break;
            }
            let files = world.bucket.list("tenant-0/blocks").map_ok(|o| o.key);
            let files: Vec<String> = files.try_collect().await.unwrap();
            begun += usize::from(!files.is_empty());
            // By our clock they are years old.
            world.compactor().clean_all().await.unwrap();
            for file in &files {
                assert!(world.bucket.head(file).await.unwrap().is_some(), "{file}");
            }
            world.engine().flush().await.unwrap();
            world.crash().await;
            world.check(&format!("{calls} calls")).await;
        }
        assert!(begun > 5, "{begun}");
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
        let before = profiles(&world).await;
        world.setup.disk.0.store((1 << 20) - 1, SeqCst);
        world.compactor().make_room().await.unwrap();
        let left: Vec<_> = futures::future::join_all((0..2).map(|t| live(&world, t))).await.concat();
        assert_eq!(left.len(), 11);
        assert!(left.iter().all(|b| b.ulid != oldest[0].ulid));
        let gone = world.bucket.list(&format!("{}/blocks/{}", oldest[0].tenant, oldest[0].ulid));
        assert_eq!(gone.try_collect::<Vec<_>>().await.unwrap(), []);
        assert_eq!(profiles(&world).await, before - oldest[0].stats.profiles as usize, "answers go on, without it");
    });
}

/// How many are answered, of both tenants; each answer says that it is whole.
async fn profiles(world: &World) -> usize {
    let mut found = 0;
    for t in 0..2 {
        let (answered, whole) = world.answered(t, "the disk is full").await;
        assert!(whole);
        found += answered.len();
    }
    found
}

#[test]
fn a_block_that_cannot_be_deleted_stops_no_other_from_making_room() {
    runtime().block_on(async {
        let world = filled(|config| {
            config.disk = Some(DiskRules { dir: "/".into(), min_free_bytes: 1 << 20, min_free_share: 0.5 });
        })
        .await;
        let mut blocks: Vec<_> = futures::future::join_all((0..2).map(|t| live(&world, t))).await.concat();
        blocks.sort_by_key(|b| (b.max_time_nanos, b.ulid));
        let stuck = blocks[0].ulid.to_string();
        let rule = move |op: Op, path: &str| op == Op::Delete && path.contains(&stuck);
        let clumsy =
            world.bucket.clone().through(|store| {
                Arc::new(Faulty::by_rule(store, move |op, path| {
                    if rule(op, path.as_ref()) { Verdict::FailBefore } else { Verdict::Pass }
                }))
            });
        let engine = world.process.as_ref().unwrap().0.clone();
        let compactor = compactor(&world.dir, &clumsy, &world.clock, &world.struck, &world.setup, engine, None);
        // Missing are the bytes of the first two.
        let missing = blocks[0].stats.bytes + 1;
        world.setup.disk.0.store((1 << 20) - missing, SeqCst);
        compactor.make_room().await.unwrap_err();
        assert_eq!(world.struck.deleted.load(SeqCst), 1, "the second one");
        profiles(&world).await;
        let left = futures::future::join_all((0..2).map(|t| live(&world, t))).await.concat();
        assert_eq!(left.len(), 10, "nothing is answered of the one that is still there");
        // Its turn comes again: as what is marked and has bytes.
        drop(compactor);
        world.compactor().make_room().await.unwrap();
        let gone = world.bucket.list(&format!("{}/blocks/{}", blocks[0].tenant, blocks[0].ulid));
        assert_eq!(gone.try_collect::<Vec<_>>().await.unwrap(), []);
    });
}

#[test]
fn what_made_room_while_it_was_merged_does_not_come_back() {
    runtime().block_on(async {
        let world = filled(|config| {
            config.disk = Some(DiskRules { dir: "/".into(), min_free_bytes: 1 << 20, min_free_share: 0.5 });
        })
        .await;
        // The last tables of a merge are read when the gate opens.
        let (gate, opened) = tokio::sync::watch::channel(false);
        let reads = move |op| {
            let mut opened = opened.clone();
            async move {
                if op == Op::GetRange {
                    let _ = opened.wait_for(|open| *open).await;
                }
            }
            .boxed()
        };
        let pass = |_: Op, _: &_| Verdict::Pass;
        let slow = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, pass).delayed(reads)));
        let engine = world.process.as_ref().unwrap().0.clone();
        let merging = compactor(&world.dir, &slow, &world.clock, &world.struck, &world.setup, engine, None);
        let mut first = Vec::new();
        let room = async {
            while world.struck.compactions_started.load(SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            first = futures::future::join_all((0..2).map(|t| live(&world, t))).await.concat();
            first.sort_by_key(|b| (b.max_time_nanos, b.ulid));
            world.setup.disk.0.store((1 << 20) - 1, SeqCst);
            merging.make_room().await.unwrap();
            gate.send_replace(true);
        };
        let (merged, ()) = tokio::join!(merging.compact_all(), room);
        let gone = first[0].ulid;
        let index = Index::new(world.bucket.clone(), TenantId::parse(&first[0].tenant).unwrap(), world.clock.clone());
        let snapshot = index.view(4).await.unwrap().snapshot;
        assert!(snapshot.block(gone).is_none() && snapshot.is_dead(gone), "{merged:?}");
        assert!(snapshot.blocks.iter().all(|b| !b.sources.contains(&gone)), "{merged:?}");
        profiles(&world).await;
        world.compactor().clean_all().await.unwrap();
        profiles(&world).await;
    });
}

#[test]
fn a_disk_that_fills_while_blocks_are_merged_does_not_wait_for_that() {
    runtime().block_on(async {
        let world = filled(|config| {
            config.disk = Some(DiskRules { dir: "/".into(), min_free_bytes: 1 << 20, min_free_share: 0.5 });
        })
        .await;
        // Merges read ranges, and wait for them for ever.
        let reads = |op| if op == Op::GetRange { std::future::pending().boxed() } else { async {}.boxed() };
        let pass = |_: Op, _: &_| Verdict::Pass;
        let stuck = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, pass).delayed(reads)));
        let engine = world.process.as_ref().unwrap().0.clone();
        let merging = compactor(&world.dir, &stuck, &world.clock, &world.struck, &world.setup, engine, None);
        let fills_and_empties = async {
            while world.struck.compactions_started.load(SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            world.setup.disk.0.store((1 << 20) - 1, SeqCst);
            while world.struck.deleted.load(SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        merging.run(fills_and_empties).await;
        assert_eq!(world.struck.compacted.load(SeqCst), 0);
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
