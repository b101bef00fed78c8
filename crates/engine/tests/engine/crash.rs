//! A crash at any step loses nothing that was acknowledged and counts nothing twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fail::FailScenario;
use flamestore_model::Kind;

use crate::support::{Disk, Model, Spec, alone, runtime, together, total};

/// Every step of a push and a flush that touches a disk.
const POINTS: [&str; 12] = [
    "wal-create",
    "wal-before-write",
    "wal-after-write",
    "wal-after-sync",
    "engine-before-block",
    "engine-before-upload",
    "engine-after-commit",
    "engine-after-swap",
    "engine-before-trim",
    "engine-after-mark",
    "engine-after-trim",
    "none",
];

fn spec(tenant: u8, value: i64) -> Spec {
    Spec {
        tenant,
        service: value as u8 % 3,
        pod: 0,
        second: value % 10,
        samples: vec![(vec![1, 2], value, 1), (vec![1], 2, 1)],
    }
}

#[test]
fn at_every_point_of_push_and_flush() {
    let _alone = alone();
    let scenario = FailScenario::setup();
    for point in POINTS {
        runtime().block_on(async {
            let disk = Disk::in_memory();
            let mut model = Model::default();
            let engine = disk.start().await;
            for i in 0..6 {
                model.push(&engine, spec(i % 2, 100 + i64::from(i))).await.unwrap();
            }
            engine.flush().await.unwrap();
            for i in 0..6 {
                model.push(&engine, spec(i % 2, 200 + i64::from(i))).await.unwrap();
            }
            fail::cfg(point, "return").unwrap();
            // May be refused; then it may be found after the crash or not.
            let mut with_more = model.clone();
            let refused = with_more.push(&engine, spec(0, 5000)).await.is_err();
            let _ = engine.flush().await;
            drop(engine);
            fail::remove(point);

            let engine = disk.start().await;
            if refused {
                let id = with_more.pushed.len() as u128;
                with_more.pushed.push((spec(0, 5000), flamestore_model::ProfileId::v7(0, id << 50 | 7)));
            }
            let found_more = total(&engine).await > 5000;
            assert!(found_more || refused, "{point}: an acknowledged push is lost");
            let model = if found_more { with_more } else { model };
            model.check(&engine, &format!("{point}: after the crash")).await;
            engine.flush().await.unwrap();
            model.check(&engine, &format!("{point}: flushed after the crash")).await;
            drop(engine);
            let engine = disk.start().await;
            model.check(&engine, &format!("{point}: started once more")).await;
            assert_eq!(engine.stats().memory_bytes, 0, "{point}: everything is in blocks");
        });
    }
    scenario.teardown();
}

#[test]
fn at_every_put_of_a_flush() {
    let _together = together();
    for puts in 0..20 {
        runtime().block_on(async {
            let disk = Disk::in_memory();
            let mut model = Model::default();
            let engine = disk.start().await;
            for i in 0..4 {
                model.push(&engine, spec(i % 2, 100 + i64::from(i))).await.unwrap();
            }
            disk.puts_left.store(puts, Ordering::SeqCst);
            let failed = engine.flush().await.is_err();
            assert_eq!(failed, puts < 16, "two blocks of eight files");
            // Without a crash, trying again is enough.
            disk.heal();
            if puts % 2 == 0 {
                model.check(&engine, &format!("put {puts}: before the retry")).await;
                engine.flush().await.unwrap();
                model.check(&engine, &format!("put {puts}: after the retry")).await;
            }
            drop(engine);
            let engine = disk.start().await;
            model.check(&engine, &format!("put {puts}: after the crash")).await;
            model.push(&engine, spec(0, 300)).await.unwrap();
            engine.flush().await.unwrap();
            model.check(&engine, &format!("put {puts}: flushed after the crash")).await;
        });
    }
}

#[test]
fn the_log_is_given_back_after_a_flush() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        let mut model = Model::default();
        for i in 0..40 {
            model.push(&engine, spec(0, i)).await.unwrap();
        }
        assert!(engine.stats().log_segments > 3);
        engine.flush().await.unwrap();
        assert_eq!(engine.stats().log_segments, 1);
        model.check(&engine, "after the trim").await;
    });
}

#[test]
fn a_damaged_log_is_told_and_everything_else_is_served() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| config.wal.segment_bytes = 1);
        engine.start().await.unwrap();
        let mut model = Model::default();
        for i in 0..5 {
            model.push(&engine, spec(0, 100 + i)).await.unwrap();
        }
        drop(engine);
        let mut files: Vec<_> =
            std::fs::read_dir(disk.data_dir().join("data/wal")).unwrap().map(|f| f.unwrap().path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "wal"));
        files.sort();
        let mut bytes = std::fs::read(&files[2]).unwrap();
        let at = bytes.len() - 10;
        bytes[at] ^= 4;
        std::fs::write(&files[2], bytes).unwrap();

        let engine = disk.engine_with(|_| {});
        let replayed = engine.start().await.unwrap();
        assert_eq!((replayed.damaged, replayed.profiles), (1, 4));
        model.pushed.remove(2);
        model.check(&engine, "without the damaged record").await;
    });
}

#[test]
fn a_damaged_block_makes_answers_partial() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        let mut model = Model::default();
        model.push(&engine, spec(0, 100)).await.unwrap();
        engine.flush().await.unwrap();
        drop(engine);
        let key = "tenant-0/blocks/01KAHV8N00000000000000000Z/meta.json";
        disk.bucket.put(key, "{}".into()).await.unwrap();
        let engine = disk.start().await;
        let q = crate::support::query(None, 0, crate::support::everything());
        let answer = engine_tree(&engine, &q).await;
        assert!(answer.partial);
        assert_eq!(answer.value.total(), 102);
    });
}

async fn engine_tree(
    engine: &flamestore_engine::Engine,
    q: &flamestore_model::TreeQuery,
) -> flamestore_api::Answer<flamestore_flamegraph::Tree> {
    flamestore_api::Reader::tree(engine, &crate::support::tenant(0), q).await.unwrap()
}

#[test]
fn two_stores_cannot_share_a_folder() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let first = disk.start().await;
        let second = disk.engine_with(|_| {});
        let fault = second.start().await.unwrap_err();
        assert!(fault.message.contains("in use by another process"), "{fault}");
        drop(first);
        second.start().await.unwrap();
    });
}

#[test]
fn a_log_that_cannot_be_written_refuses_pushes_and_heals() {
    let _alone = alone();
    let scenario = FailScenario::setup();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| config.wal.revive_after = Duration::from_millis(1));
        engine.start().await.unwrap();
        let mut model = Model::default();
        model.push(&engine, spec(0, 100)).await.unwrap();
        fail::cfg("wal-after-write", "return").unwrap();
        assert_eq!(model.push(&engine, spec(0, 200)).await.unwrap_err().kind, Kind::Unavailable);
        model.check(&engine, "while the log is broken").await;
        fail::remove("wal-after-write");
        while engine.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        model.push(&engine, spec(0, 300)).await.unwrap();
        drop(engine);
        let engine = disk.start().await;
        model.check(&engine, "after a restart").await;
    });
    scenario.teardown();
}
