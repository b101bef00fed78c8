//! Two compactors on one bucket: leases keep them from doing the same work, and from nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use flamestore_clock::ManualClock;
use flamestore_compactor::Compactor;
use flamestore_compactor::lease::{LEASE_FOR, SKEW};
use flamestore_objstore::{Bucket, Faulty, Op, Verdict};
use futures::TryStreamExt;

use crate::same::{filled, live};
use crate::support::{World, compactor, runtime};

const JOBS: u64 = 2;

/// Another compactor, over the same store.
fn another(world: &World, bucket: &Bucket, clock: &Arc<ManualClock>, name: &str) -> Compactor {
    let engine = world.process.as_ref().unwrap().0.clone();
    compactor(&world.dir, bucket, clock, &world.struck, &world.setup, engine, Some(name))
}

async fn leases(world: &World) -> usize {
    let mut found = 0;
    for t in 0..2 {
        let objects: Vec<_> = world.bucket.list(&format!("tenant-{t}/leases")).try_collect().await.unwrap();
        found += objects.len();
    }
    found
}

/// Each tenant's six blocks are one.
async fn assert_compacted(world: &World) {
    for t in 0..2 {
        assert_eq!(live(world, t).await.len(), 1);
    }
}

fn both_clocks(world: &World, other: &ManualClock, by: Duration) {
    world.clock.advance(by);
    other.advance(by);
}

#[test]
fn two_compactors_do_each_job_once() {
    runtime().block_on(async {
        let mut conflicts = 0;
        for round in 0..8 {
            let world = filled(|_| {}).await;
            let before = world.answers().await;
            let elsewhere = another(&world, &world.bucket, &world.clock, "elsewhere");
            let (one, other) = futures::join!(world.compactor().compact_all(), elsewhere.compact_all());
            assert!(one.is_ok() && other.is_ok(), "round {round}: {one:?} {other:?}");
            assert_eq!(world.struck.compactions_started.load(SeqCst), JOBS, "round {round}: no work is done twice");
            conflicts += world.struck.lease_conflicts.load(SeqCst);
            assert_eq!(world.answers().await, before);
            assert_compacted(&world).await;
        }
        assert!(conflicts > 8, "both must have wanted most jobs: {conflicts}");
    });
}

#[test]
fn a_job_of_a_compactor_that_died_is_taken_over_when_its_lease_ends() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        // It dies when it has put the first file of each block.
        let rule = |op: Op, path: &_| match (op, format!("{path}")) {
            (Op::PutCreate, path) if path.contains("/blocks/") => Verdict::FailBefore,
            (Op::Delete, _) => Verdict::FailBefore,
            _ => Verdict::Pass,
        };
        let dying = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
        let elsewhere = another(&world, &dying, &world.clock, "elsewhere");
        elsewhere.compact_all().await.unwrap_err();
        drop(elsewhere);
        assert_eq!((world.struck.compactions_started.load(SeqCst), leases(&world).await), (2, 2));

        world.compactor().compact_all().await.unwrap();
        assert_eq!(world.struck.compactions_started.load(SeqCst), 2, "it may be at work still");
        world.clock.advance(LEASE_FOR);
        world.compactor().compact_all().await.unwrap();
        assert_eq!(world.struck.compactions_started.load(SeqCst), 2, "its clock may be behind");
        world.clock.advance(SKEW + Duration::from_secs(1));
        world.compactor().compact_all().await.unwrap();
        assert_eq!(world.struck.compactions_started.load(SeqCst), 4);
        assert_compacted(&world).await;
        assert_eq!(leases(&world).await, 4, "the next turn of each");

        world.clock.advance(Duration::from_secs(2 * 3600));
        world.compactor().clean_all().await.unwrap();
        assert_eq!(leases(&world).await, 0, "swept");
    });
}

#[test]
fn a_process_that_starts_again_goes_on_with_its_jobs_at_once() {
    runtime().block_on(async {
        let mut world = filled(|_| {}).await;
        // A listing of a tenant's folders, its blocks and its leases, and the lease; then the bucket is gone.
        let mut calls = 8;
        while leases(&world).await == 0 {
            world.fuse.store(calls, SeqCst);
            let _ = world.compactor().compact_all().await;
            world.crash().await;
            calls += 1;
        }
        assert!(live(&world, 0).await.len() + live(&world, 1).await.len() > 2, "it was not done");
        world.compactor().compact_all().await.unwrap();
        assert_eq!(world.struck.lease_conflicts.load(SeqCst), 0);
        assert_compacted(&world).await;
    });
}

#[test]
fn a_clock_that_is_wrong_only_costs_work() {
    runtime().block_on(async {
        let day = 86_400_000_000_000;
        for ahead in [-day, day] {
            let world = filled(|_| {}).await;
            let before = world.answers().await;
            let now = flamestore_clock::Clock::now_nanos(&*world.clock);
            let clock = ManualClock::at_nanos(now + ahead);
            let rule = |op: Op, path: &_| match (op, format!("{path}")) {
                (Op::PutCreate, path) if path.contains("/blocks/") => Verdict::FailBefore,
                (Op::Delete, _) => Verdict::FailBefore,
                _ => Verdict::Pass,
            };
            let dying = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
            // A day behind, it does not know yet that anything is due.
            let elsewhere = another(&world, &dying, &clock, "elsewhere");
            if ahead > 0 {
                elsewhere.compact_all().await.unwrap_err();
                world.compactor().compact_all().await.unwrap();
                assert_eq!(world.struck.compactions_started.load(SeqCst), 2, "a lease of tomorrow counts for a while");
                both_clocks(&world, &clock, LEASE_FOR + SKEW + Duration::from_secs(1));
            } else {
                // Its leases are over before they begin.
                clock.advance(Duration::from_nanos(day as u64) - LEASE_FOR - SKEW - Duration::from_secs(1));
                elsewhere.compact_all().await.unwrap_err();
            }
            assert_eq!(leases(&world).await, 2);
            world.compactor().compact_all().await.unwrap();
            assert_eq!(world.struck.compactions_started.load(SeqCst), 4, "{ahead}");
            assert_eq!(world.answers().await, before);
            assert_compacted(&world).await;
        }
    });
}

#[test]
fn without_leases_compaction_goes_on() {
    runtime().block_on(async {
        for verdict in
            [Verdict::FailBefore, Verdict::FailAfter, Verdict::Throttle, Verdict::StaleList, Verdict::FlipBit]
        {
            let world = filled(|_| {}).await;
            let rule = move |_: Op, path: &_| match format!("{path}") {
                path if path.contains("/leases") => verdict,
                _ => Verdict::Pass,
            };
            let bucket = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
            for name in ["one", "other"] {
                another(&world, &bucket, &world.clock, name).compact_all().await.unwrap();
            }
            assert_compacted(&world).await;
            let failed = world.struck.leases_failed.load(SeqCst);
            let lies = matches!(verdict, Verdict::StaleList | Verdict::FlipBit);
            assert_eq!(failed > 0, !lies, "{verdict:?}: {failed}");
        }
    });
}

#[test]
fn a_damaged_lease_is_told_and_counts_for_nothing() {
    runtime().block_on(async {
        let world = filled(|_| {}).await;
        let rule = |op: Op, path: &_| match (op, format!("{path}")) {
            (Op::PutCreate, path) if path.contains("/blocks/") => Verdict::FailBefore,
            (Op::Delete, _) => Verdict::FailBefore,
            _ => Verdict::Pass,
        };
        let dying = world.bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
        another(&world, &dying, &world.clock, "elsewhere").compact_all().await.unwrap_err();
        let mut keys: Vec<String> = world.bucket.list("").map_ok(|o| o.key).try_collect().await.unwrap();
        keys.retain(|key| key.contains("/leases/"));
        assert_eq!(keys.len(), 2);
        for key in &keys {
            let mut bytes = world.bucket.get(key).await.unwrap().to_vec();
            let at = bytes.len() / 3;
            bytes[at] ^= 1;
            world.bucket.put(key, bytes.into()).await.unwrap();
        }
        world.compactor().compact_all().await.unwrap();
        assert_compacted(&world).await;
        let told = world.struck.corrupt.lock().clone();
        assert!(keys.iter().all(|key| told.iter().any(|t| t.contains(key.as_str()))), "{told:?}");
    });
}
