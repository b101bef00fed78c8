//! Many at once: pushes, flushes, queries, callers that go away, bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use flamestore_model::{FaultId, Kind, ProfileId};

use crate::support::{Disk, Model, Spec, push, runtime, together, total};

#[test]
fn flushing_while_pushes_go_on_loses_and_doubles_nothing() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        let (begun, done) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let pushing = Arc::new(AtomicBool::new(true));
        let pushers: Vec<_> = (0..8u128)
            .map(|p| {
                let (engine, begun, done) = (engine.clone(), begun.clone(), done.clone());
                tokio::spawn(async move {
                    for i in 0..60u128 {
                        begun.fetch_add(3, Ordering::SeqCst);
                        let mut spec = Spec::simple(3);
                        spec.service = (i % 3) as u8;
                        push(&engine, &spec, ProfileId::v7(p as u64, i << 50)).await.unwrap();
                        done.fetch_add(3, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let flusher = {
            let (engine, pushing) = (engine.clone(), pushing.clone());
            tokio::spawn(async move {
                while pushing.load(Ordering::SeqCst) {
                    engine.flush().await.unwrap();
                }
            })
        };
        let asker = {
            let (engine, pushing, begun, done) = (engine.clone(), pushing.clone(), begun.clone(), done.clone());
            tokio::spawn(async move {
                while pushing.load(Ordering::SeqCst) {
                    let at_least = done.load(Ordering::SeqCst);
                    let found = total(&engine).await;
                    let at_most = begun.load(Ordering::SeqCst);
                    assert!((at_least..=at_most).contains(&found), "{at_least} <= {found} <= {at_most}");
                }
            })
        };
        for pusher in pushers {
            pusher.await.unwrap();
        }
        pushing.store(false, Ordering::SeqCst);
        flusher.await.unwrap();
        asker.await.unwrap();
        assert_eq!(total(&engine).await, 8 * 60 * 3);
        drop(engine);
        assert_eq!(total(&*disk.start().await).await, 8 * 60 * 3);
    });
}

#[test]
fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        for i in 0..50u128 {
            let push = {
                let engine = engine.clone();
                tokio::spawn(async move { push(&engine, &Spec::simple(1), ProfileId::v7(0, i << 50)).await })
            };
            tokio::time::sleep(Duration::from_micros(i as u64 * 20)).await;
            push.abort();
            let _ = push.await;
        }
        // What is under way has its epoch open, so a flush waits for it.
        engine.flush().await.unwrap();
        let found = total(&engine).await;
        drop(engine);
        assert_eq!(total(&*disk.start().await).await, found);
    });
}

#[test]
fn memory_is_bounded_while_the_bucket_is_down_and_pushes_go_on_when_it_is_back() {
    let _together = together();
    runtime().block_on(async {
        const MAX: usize = 1 << 20;
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| {
            config.max_memory_bytes = MAX;
            config.max_head_bytes = MAX / 4;
            config.max_push_wait = Duration::from_millis(20);
        });
        engine.start().await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = {
            let engine = engine.clone();
            tokio::spawn(async move { engine.run(async { drop(stopped.await) }).await })
        };
        disk.bucket_down.store(true, Ordering::SeqCst);
        let mut model = Model::default();
        let fault = loop {
            let n = model.pushed.len();
            let samples = (0..40).map(|i| (vec![(n % 200) as u8, (n / 200) as u8, i], 1, 1)).collect();
            let spec = Spec { samples, ..Spec::simple(1) };
            match model.push(&engine, spec).await {
                Ok(()) => assert!(engine.stats().memory_bytes <= MAX + MAX / 8),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.kind, Kind::Unavailable);
        assert!(fault.message.contains("ingester.max_head_bytes"), "{fault}");
        disk.heal();
        while model.push(&engine, Spec::simple(1)).await.is_err() {}
        model.check(&engine, "after the outage").await;
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert_eq!(engine.stats().memory_bytes, 0);
        let refused = model.push(&engine, Spec::simple(1)).await.unwrap_err();
        assert!(refused.message.contains("shutting down"), "{refused}");
    });
}

#[test]
fn a_log_that_cannot_be_given_back_stops_growing() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| config.max_log_bytes = 10_000);
        engine.start().await.unwrap();
        let mut model = Model::default();
        let fault = loop {
            if let Err(fault) = model.push(&engine, Spec::simple(1)).await {
                break fault;
            }
        };
        assert_eq!(fault.id, FaultId::LogFull);
        assert!(fault.message.contains("more than 10000 bytes that are not flushed"), "{fault}");
        engine.flush().await.unwrap();
        model.push(&engine, Spec::simple(1)).await.unwrap();
        model.check(&engine, "after the flush").await;
    });
}

#[test]
fn heads_are_cut_by_age_and_by_size() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| config.max_replay_bytes = 2000);
        engine.start().await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = {
            let engine = engine.clone();
            tokio::spawn(async move { engine.run(async { drop(stopped.await) }).await })
        };
        let mut model = Model::default();
        for _ in 0..20 {
            model.push(&engine, Spec::simple(1)).await.unwrap();
        }
        while engine.stats().blocks == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        model.push(&engine, Spec::simple(1)).await.unwrap();
        assert!(engine.stats().memory_bytes > 0);
        disk.clock.advance(Duration::from_secs(15 * 60));
        while engine.stats().memory_bytes > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        model.check(&engine, "after cuts").await;
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    });
}

#[test]
fn a_malformed_profile_is_refused_alone() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        let good = Spec::simple(5).pushed(ProfileId([1; 16]));
        let mut bad = Spec::simple(5).pushed(ProfileId([2; 16]));
        bad.raw = bytes::Bytes::from_static(b"\xff\xff\xff\xff not a pprof");
        let other = Spec::simple(7).pushed(ProfileId([3; 16]));
        let results =
            flamestore_api::Ingester::push(&*engine, &crate::support::tenant(0), vec![good, bad, other]).await;
        assert!(results[0].is_ok() && results[2].is_ok());
        assert_eq!(results[1].as_ref().unwrap_err().kind, Kind::Unprocessable);
        drop(engine);
        assert_eq!(total(&*disk.start().await).await, 12);
    });
}
