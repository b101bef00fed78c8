//! Blocks that the bucket loses: told at once, given up after some cleanups, and back when their objects are.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use flamestore_block::{Meta, Ulid};
use flamestore_compactor::delete::State;
use flamestore_compactor::lost::{CONFIRMED, KEEP_LOST_MS};
use flamestore_index::{Index, Snapshot};
use flamestore_objstore::{Bucket, Faulty, Op, Verdict};
use futures::TryStreamExt;

use crate::same::{filled, live};
use crate::support::{World, compactor, runtime, tenant_of};

async fn listed(world: &World) -> Snapshot {
    let index = Index::new(world.bucket.clone(), tenant_of(0), world.clock.clone());
    index.latest().await.unwrap().snapshot.unwrap()
}

/// Takes objects of a block out of the bucket, as somebody would by hand: all of them, or that file.
async fn lose(bucket: &Bucket, block: &Meta, file: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let keys: Vec<String> = match file {
        Some(file) => vec![block.key(file)],
        None => {
            let folder = format!("{}/blocks/{}", block.tenant, block.ulid);
            bucket.list(&folder).map_ok(|o| o.key).try_collect().await.unwrap()
        }
    };
    let mut taken = Vec::new();
    for key in keys {
        taken.push((key.clone(), bucket.get(&key).await.unwrap().to_vec()));
        bucket.delete(&key).await.unwrap();
    }
    taken
}

async fn put_back(bucket: &Bucket, taken: &[(String, Vec<u8>)]) {
    for (key, content) in taken {
        bucket.put(key, content.clone().into()).await.unwrap();
    }
}

async fn clean(world: &World, times: u32) {
    for _ in 0..times {
        world.compactor().clean_all().await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
}

#[test]
fn a_block_whose_objects_are_gone_makes_answers_partial_until_it_is_given_up_and_comes_back_whole() {
    runtime().block_on(async {
        for file in [None, Some("samples.parquet"), Some("profiles.parquet"), Some("series.parquet")] {
            let mut world = filled(|_| {}).await;
            clean(&world, 1).await;
            let block = live(&world, 0).await.swap_remove(2);
            let taken = lose(&world.bucket, &block, file).await;
            world.crash().await;
            let answers = world.answered(0, "gone").await;
            // What a query needs is read: time series need no samples.
            let says_so = !answers.1 || file == Some("samples.parquet");
            assert!(says_so, "{file:?}");
            // A query that misses it has it looked at.
            world.answers().await;
            for cleanup in 1..CONFIRMED {
                clean(&world, 1).await;
                assert_eq!(
                    listed(&world).await.quarantined.first().map(|q| (q.ulid, q.gone)),
                    Some((block.ulid, cleanup))
                );
                world.crash().await;
                assert_eq!(world.answered(0, "not given up").await.1, answers.1, "{file:?}");
            }
            clean(&world, 1).await;
            let now = listed(&world).await;
            assert!(now.block(block.ulid).is_none() && now.quarantined.is_empty(), "{file:?}");
            assert_eq!(now.lost.first().map(|l| (l.ulid, l.profiles)), Some((block.ulid, block.stats.profiles)));
            for restart in [false, true] {
                if restart {
                    world.crash().await;
                }
                let (found, whole) = world.answered(0, "given up").await;
                assert!(whole, "{file:?}, after a restart: {restart}");
                assert_eq!(found.len() as u64, world.pushed.len() as u64 / 2 - block.stats.profiles);
            }
            world.compactor().compact_all().await.unwrap();
            clean(&world, 1).await;
            // Half of it is not enough.
            put_back(&world.bucket, &taken[1..]).await;
            clean(&world, 1).await;
            assert!(listed(&world).await.is_lost(block.ulid));
            put_back(&world.bucket, &taken).await;
            clean(&world, 1).await;
            world.check("back").await;
            world.crash().await;
            world.check("back, after a restart").await;
            world.compactor().compact_all().await.unwrap();
            world.check("merged with others").await;
        }
    });
}

#[test]
fn compaction_leaves_out_what_is_gone_and_merges_the_others() {
    runtime().block_on(async {
        for file in [None, Some("functions.parquet")] {
            let world = filled(|_| {}).await;
            clean(&world, 1).await;
            let block = live(&world, 0).await.swap_remove(2);
            lose(&world.bucket, &block, file).await;
            world.compactor().compact_all().await.unwrap();
            let after = listed(&world).await.blocks;
            assert_eq!(after.len(), 2, "{file:?}: {after:?}");
            assert!(after.iter().any(|b| b.sources.len() == 5) && after.iter().any(|b| b.ulid == block.ulid));
        }
    });
}

#[test]
fn a_meta_that_is_gone_is_written_again_from_the_index() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        clean(&world, 1).await;
        let block = live(&world, 0).await.swap_remove(2);
        let taken = lose(&world.bucket, &block, Some("meta.json")).await;
        world.process.as_ref().unwrap().0.missed_blocks(&tenant_of(0));
        // Nothing misses it but whoever looks at it for another reason.
        let index = Index::new(world.bucket.clone(), tenant_of(0), world.clock.clone());
        let base = listed(&world).await;
        let watched = |snapshot: &mut Snapshot| {
            snapshot.miss(block.ulid, "?", 0, 1);
            Ok(())
        };
        index.edit(&base, watched).await.unwrap();
        clean(&world, CONFIRMED).await;
        assert_eq!(world.bucket.get(&taken[0].0).await.unwrap(), taken[0].1);
        assert!(listed(&world).await.quarantined.is_empty() && listed(&world).await.lost.is_empty());
        world.check("as before").await;
    });
}

#[test]
fn a_store_that_fails_or_lists_what_was_makes_nothing_lost() {
    runtime().block_on(async {
        for (what, verdict) in
            [(Op::Head, Verdict::FailBefore), (Op::Head, Verdict::Throttle), (Op::List, Verdict::StaleList)]
        {
            let mut world = filled(|_| {}).await;
            let blind = world.bucket.clone().through(|store| {
                Arc::new(Faulty::by_rule(store, move |op, path| {
                    if op == what && path.as_ref().contains("/blocks") { verdict } else { Verdict::Pass }
                }))
            });
            let engine = world.process.as_ref().unwrap().0.clone();
            let other = compactor(&world.dir, &blind, &world.clock, &world.struck, &world.setup, engine, None);
            let _ = other.clean_all().await;
            world.compactor().compact_all().await.unwrap();
            for _ in 0..2 * CONFIRMED {
                let _ = other.clean_all().await;
                world.clock.advance(Duration::from_secs(1));
            }
            let now = listed(&world).await;
            assert!(now.lost.is_empty() && now.quarantined.is_empty(), "{what:?} {verdict:?}");
            // It holds the lock of the folder.
            drop(other);
            world.crash().await;
            world.check("all is there").await;
        }
    });
}

#[test]
fn what_is_deleted_on_request_while_a_block_is_lost_stays_deleted_when_it_comes_back() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        clean(&world, 1).await;
        let block = live(&world, 0).await.swap_remove(2);
        let taken = lose(&world.bucket, &block, None).await;
        let until = i64::MAX / 1_000_000;
        let before = world.compactor().delete(&tenant_of(0), "{service_name=\"svc-0\"}", 0, until).await.unwrap();
        clean(&world, CONFIRMED).await;
        let after = world.compactor().delete(&tenant_of(0), "{service_name=\"svc-2\"}", 0, until).await.unwrap();
        world.pushed.retain(|p| p.tenant != 0 || p.service == 1);
        world.compactor().compact_all().await.unwrap();
        world.clock.advance(Duration::from_secs(3600));
        clean(&world, 1).await;
        let states = world.compactor().deletions(&tenant_of(0)).await.unwrap();
        assert!(states.iter().all(|r| r.state == State::Done), "{states:?}");
        put_back(&world.bucket, &taken).await;
        clean(&world, 1).await;
        world.check("back, without what was deleted").await;
        let states = world.compactor().deletions(&tenant_of(0)).await.unwrap();
        let hidden = states.iter().filter(|r| r.state == State::Hidden);
        assert!(hidden.map(|r| &r.id).eq([&after.id, &before.id]), "{states:?}");
        world.compactor().compact_all().await.unwrap();
        world.crash().await;
        world.check("written again").await;
    });
}

#[test]
fn what_is_left_of_a_lost_block_is_deleted_when_it_is_forgotten() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        clean(&world, 1).await;
        let block = live(&world, 0).await.swap_remove(2);
        lose(&world.bucket, &block, Some("samples.parquet")).await;
        world.answers().await;
        clean(&world, CONFIRMED + 2).await;
        let left = || async { world.bucket.list_dirs("tenant-0/blocks").await.unwrap() };
        let folder = block.ulid.to_string();
        assert!(listed(&world).await.is_lost(block.ulid) && left().await.contains(&folder));
        world.clock.advance(Duration::from_millis(KEEP_LOST_MS as u64));
        clean(&world, 1).await;
        assert!(listed(&world).await.lost.is_empty() && !left().await.contains(&folder));
    });
}

#[test]
fn a_tenant_whose_blocks_are_all_gone_is_looked_at_all_the_same() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        clean(&world, 1).await;
        for block in live(&world, 0).await {
            lose(&world.bucket, &block, None).await;
        }
        assert!(!world.answered(0, "gone").await.1);
        clean(&world, CONFIRMED).await;
        assert_eq!(listed(&world).await.lost.len(), 6);
        assert!(world.answered(0, "given up").await.1);
    });
}

#[test]
fn a_missing_block_past_retention_goes_like_any_other() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        clean(&world, 1).await;
        let block = live(&world, 0).await.swap_remove(2);
        lose(&world.bucket, &block, None).await;
        world.clock.advance(Duration::from_secs(25 * 3600));
        clean(&world, 1).await;
        world.clock.advance(Duration::from_secs(3600));
        clean(&world, 2).await;
        let now = listed(&world).await;
        assert!(now.blocks.is_empty() && now.dead.is_empty() && now.lost.is_empty());
    });
}

#[test]
fn a_damaged_block_is_tried_again_when_its_files_were_replaced() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        let block = live(&world, 0).await.swap_remove(2);
        let key = block.key("samples.parquet");
        let sound = world.bucket.get(&key).await.unwrap();
        let mut broken = sound.to_vec();
        broken[50] ^= 1;
        world.bucket.put(&key, broken.into()).await.unwrap();
        world.compactor().compact_all().await.unwrap();
        clean(&world, 2).await;
        assert!(listed(&world).await.is_quarantined(block.ulid), "nobody has done anything about it");
        // Stores date by the millisecond.
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.bucket.put(&key, sound).await.unwrap();
        clean(&world, 1).await;
        assert_eq!(listed(&world).await.quarantined, []);
        world.compactor().compact_all().await.unwrap();
        assert!(live(&world, 0).await.iter().all(|b| b.ulid != block.ulid), "compacted like any other");
        world.check("repaired").await;
        assert!(world.struck.compacted.load(SeqCst) > 2);
        world.crash().await;
        world.check("repaired, after a restart").await;
    });
}

#[test]
fn of_a_block_that_is_no_block_nothing_is_lost() {
    let mut snapshot = Snapshot::empty("t");
    assert!(!snapshot.lose(Ulid(1), "?", 1) && snapshot.lost.is_empty());
    snapshot.miss(Ulid(1), "?", 1, 1);
    assert!(snapshot.quarantined.is_empty());
}
