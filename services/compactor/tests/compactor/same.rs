//! Compacting again, elsewhere, twice at once, and with profiles that came twice.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use flamestore_block::{Block, BlockCache, Meta};
use flamestore_clock::Clock;
use flamestore_index::Index;
use flamestore_model::ProfileId;
use flamestore_objstore::{Faulty, Op, Verdict};
use futures::TryStreamExt;

use crate::support::{START_NANOS, World, compactor, runtime, tenant_of};

/// Six flushes of each tenant within an hour that is over.
pub(crate) async fn filled(tune: fn(&mut flamestore_compactor::CompactorConfig)) -> World {
    let mut world = World::tuned(5, Arc::default(), tune).await;
    for i in 0..6 {
        for j in 0..6 {
            let id = ProfileId::v7(0, (i * 10 + j + 1) << 64);
            let time = START_NANOS + (i as i64 * 60 + j as i64) * 1_000_000_000;
            let n = j as u64;
            world.push_one((j % 2) as u8, n % 3, n % 2, (i as u64 + n) % 4, time, id, 100 + n as i64).await;
        }
        world.engine().flush().await.unwrap();
    }
    world.clock.advance(Duration::from_secs(3 * 3600));
    world
}

pub(crate) async fn live(world: &World, tenant: u8) -> Vec<Meta> {
    Index::new(world.bucket.clone(), tenant_of(tenant), world.clock.clone()).view(4).await.unwrap().live
}

#[test]
fn the_same_blocks_make_the_same_block_byte_by_byte() {
    runtime().block_on(async {
        let (a, b) = (filled(|_| {}).await, filled(|_| {}).await);
        // Stores have names of their own, so blocks of two stores differ; what one has compacted the other has not.
        for key in a.bucket.list("").map_ok(|o| o.key).try_collect::<Vec<_>>().await.unwrap() {
            b.bucket.put(&key, a.bucket.get(&key).await.unwrap()).await.unwrap();
        }
        for t in 0..2 {
            let mine = live(&a, t).await;
            let theirs = live(&b, t).await;
            for meta in theirs.iter().filter(|m| !mine.iter().any(|n| n.ulid == m.ulid)) {
                let folder = format!("tenant-{t}/blocks/{}", meta.ulid);
                for key in b.bucket.list(&folder).map_ok(|o| o.key).try_collect::<Vec<_>>().await.unwrap() {
                    b.bucket.delete(&key).await.unwrap();
                }
            }
        }
        a.compactor().compact_all().await.unwrap();
        b.compactor().compact_all().await.unwrap();
        for t in 0..2 {
            let (one, other) = (live(&a, t).await, live(&b, t).await);
            assert_eq!(one.len(), 1);
            assert_eq!(one, other, "the files\' checksums are part of it");
            assert_eq!((one[0].sources.len(), one[0].origins.len()), (6, 6));
            assert!(one[0].files.iter().any(|f| f.path.starts_with("rollup_")));
            let (mut damages, cache) = (Vec::new(), BlockCache::new(1 << 20));
            let block = Block::open(a.bucket.clone(), tenant_of(t), one[0].clone().into(), cache).unwrap();
            block.verify(&mut damages, &|_| {}).await.unwrap();
            assert_eq!(damages, [], "it sums up what it has");
        }
    });
}

#[test]
fn of_two_compactors_at_once_one_wins_and_nothing_counts_twice() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        let before = world.answers().await;
        let engine = world.process.as_ref().unwrap().0.clone();
        let (dir, name) = (&world.dir, Some("elsewhere"));
        let second = compactor(dir, &world.bucket, &world.clock, &world.struck, &world.setup, engine, name);
        // Either may be told that the other was faster.
        let _ = futures::join!(world.compactor().compact_all(), second.compact_all());
        assert_eq!(world.answers().await, before);
        drop(second);
        world.crash().await;
        assert_eq!(world.answers().await, before);
        for t in 0..2 {
            assert_eq!(live(&world, t).await.len(), 1);
        }
    });
}

#[test]
fn a_profile_that_was_pushed_again_under_its_id_is_kept_once() {
    runtime().block_on(async {
        let mut world = World::new(1, Arc::default()).await;
        let id = ProfileId::v7(0, 77 << 64);
        for _ in 0..2 {
            world.push_one(0, 1, 1, 1, world.clock.now_nanos() - 5_000_000_000, id, 40).await;
            world.engine().flush().await.unwrap();
        }
        world.push_one(0, 1, 1, 1, world.clock.now_nanos() - 5_000_000_000, ProfileId::v7(0, 78 << 64), 40).await;
        world.engine().flush().await.unwrap();
        world.clock.advance(Duration::from_secs(3 * 3600));
        world.compactor().compact_all().await.unwrap();
        let live = live(&world, 0).await;
        assert_eq!((live.len(), live[0].stats.profiles), (1, 2), "equal content under two ids stays two");
    });
}

#[test]
fn what_is_compacted_before_its_flush_knows_that_it_is_done_counts_once() {
    runtime().block_on(async {
        let mut compacted = 0;
        for calls in 1..60 {
            let mut world = World::new(3, Arc::default()).await;
            for minute in 0..2 {
                let id = ProfileId::v7(0, (minute + 1) << 64);
                let time = START_NANOS + minute as i64 * 60_000_000_000;
                world.push_one(0, 1, 1, 1, time, id, 40).await;
                // Of the second flush, what is done last is not answered.
                world.fuse.store(if minute == 1 { calls } else { -1 }, SeqCst);
                let _ = world.engine().flush().await;
                world.fuse.store(-1, SeqCst);
            }
            world.clock.advance(Duration::from_secs(3 * 3600));
            world.compactor().compact_all().await.unwrap();
            compacted += u64::from(live(&world, 0).await[0].sources.len() == 2);
            world.check(&format!("{calls} calls: compacted")).await;
            world.engine().flush().await.unwrap();
            world.check(&format!("{calls} calls: flushed")).await;
        }
        assert!(compacted > 5, "{compacted}");
    });
}

#[test]
fn a_store_that_was_not_told_of_a_compaction_learns_of_it_before_the_bytes_are_gone() {
    runtime().block_on(async {
        const MANY: i64 = 1 << 40;
        let world = filled(|_| {}).await;
        world.fuse.store(MANY, SeqCst);
        world.compactor().compact_all().await.unwrap();
        let all = MANY - world.fuse.load(SeqCst);
        // From the last call on: one of them is the commit of a compaction, which is done and not answered.
        let mut untold = 0;
        for calls in (1..=all).rev().take(40) {
            let world = filled(|_| {}).await;
            world.fuse.store(calls, SeqCst);
            let _ = world.compactor().compact_all().await;
            world.fuse.store(-1, SeqCst);
            let (listed, read) = (live(&world, 1).await, world.engine().block_ids(&tenant_of(1)));
            if listed.iter().map(|b| b.ulid).eq(read) {
                continue;
            }
            untold += 1;
            for hour in 0..3 {
                world.compactor().compact_all().await.unwrap();
                world.compactor().clean_all().await.unwrap();
                world.check(&format!("{calls} calls, {hour} hours later")).await;
                world.clock.advance(Duration::from_secs(3600));
            }
            break;
        }
        assert_eq!(untold, 1, "{all} calls");
    });
}

#[test]
fn whatever_another_process_does_a_store_follows_with_the_next_cleaning() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        let mut other = World::beside(&world).await;
        other.push_one(0, 1, 1, 1, START_NANOS, ProfileId::v7(0, 901 << 64), 77).await;
        other.engine().flush().await.unwrap();
        other.compactor().compact_all().await.unwrap();
        for _ in 0..3 {
            world.clock.advance(Duration::from_secs(3600));
            other.compactor().clean_all().await.unwrap();
            world.compactor().clean_all().await.unwrap();
            assert_eq!(world.answers().await, other.answers().await);
        }
        let count = |tenant| live(&world, tenant);
        assert_eq!((count(0).await.len(), count(1).await.len()), (1, 1));
    });
}

#[test]
fn a_tenant_in_which_nothing_happens_costs_few_requests() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        world.compactor().compact_all().await.unwrap();
        for _ in 0..3 {
            world.compactor().clean_all().await.unwrap();
            world.clock.advance(Duration::from_secs(3 * 3600));
        }
        let (lists, others) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = [lists.clone(), others.clone()];
        let rule = move |op: Op, _: &_| {
            counts[usize::from(op != Op::List)].fetch_add(1, SeqCst);
            Verdict::Pass
        };
        let bucket = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
        let engine = world.process.as_ref().unwrap().0.clone();
        let idle = compactor(&world.dir, &bucket, &world.clock, &world.struck, &world.setup, engine, None);
        idle.clean_all().await.unwrap();
        let asked = || (lists.swap(0, SeqCst), others.swap(0, SeqCst));
        assert_eq!(asked(), (1 + 2 * 4, 2 * 4), "a cleanup of two tenants");
        idle.compact_all().await.unwrap();
        assert_eq!(asked(), (1 + 2 * 3, 2 * 2), "a look for compactions");
    });
}
