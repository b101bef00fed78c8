//! No interleaving of pushes, flushes, outages, restarts and crashes changes an answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;

use crate::support::{Disk, Model, Spec, runtime, together};

#[derive(Debug, Clone)]
enum Step {
    Push(Spec),
    Flush,
    BucketDown,
    BucketUp,
    /// Flushes everything and starts again.
    Restart,
    /// Starts again without having flushed.
    Crash,
    Wait,
}

fn spec() -> impl Strategy<Value = Spec> {
    let samples = prop::collection::vec((prop::collection::vec(0u8..5, 1..5), 1i64..100, 1i64..9), 1..5);
    (0u8..2, 0u8..3, 0u8..2, 0i64..10, samples).prop_map(|(tenant, service, pod, second, samples)| Spec {
        tenant,
        service,
        pod,
        second,
        samples,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => spec().prop_map(Step::Push),
        3 => Just(Step::Flush),
        1 => Just(Step::BucketDown),
        2 => Just(Step::BucketUp),
        1 => Just(Step::Restart),
        2 => Just(Step::Crash),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn answers_do_not_depend_on_flush_restart_crash_or_outage(
        steps in prop::collection::vec(step(), 1..25),
        on_files in any::<bool>(),
        keeps_results in any::<bool>(),
    ) {
        let _together = together();
        runtime().block_on(async {
            let mut disk = if on_files { Disk::on_files() } else { Disk::in_memory() };
            disk.keeps_results = keeps_results;
            let mut model = Model::default();
            let mut engine = disk.start().await;
            for (i, step) in steps.iter().enumerate() {
                match step {
                    Step::Push(spec) => model.push(&engine, spec.clone()).await.unwrap(),
                    Step::Flush => {
                        let down = disk.bucket_down.load(Ordering::SeqCst) && !on_files && engine.stats().memory_bytes > 0;
                        assert_eq!(engine.flush().await.is_err(), down);
                    }
                    Step::BucketDown => disk.bucket_down.store(true, Ordering::SeqCst),
                    Step::BucketUp => disk.heal(),
                    Step::Restart => {
                        disk.heal();
                        engine.run(async {}).await.unwrap();
                        drop(engine);
                        engine = disk.start().await;
                        assert_eq!(engine.stats().memory_bytes, 0);
                    }
                    Step::Crash => {
                        disk.heal();
                        drop(engine);
                        engine = disk.start().await;
                    }
                    Step::Wait => disk.clock.advance(Duration::from_secs(1)),
                }
                // Blocks cannot be read while the bucket is down.
                if !disk.bucket_down.load(Ordering::SeqCst) || on_files {
                    model.check(&engine, &format!("after step {i}")).await;
                }
            }
            disk.heal();
            engine.flush().await.unwrap();
            model.check(&engine, "at the end").await;
            prop_assert_eq!(engine.stats().memory_bytes, 0);
            Ok(())
        })?;
    }
}
