//! A query has a budget of memory, and is refused when what it adds up does not fit.

use flamestore_api::Reader;
use flamestore_model::FaultId;

use crate::support::{Disk, Model, Spec, everything, query, runtime, tenant, together};

#[test]
fn a_merge_over_its_budget_is_refused_from_heads_and_from_blocks_and_says_so() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| config.max_merge_bytes = 4000);
        engine.start().await.unwrap();
        let mut model = Model::default();
        let (small, all) = (query(Some(0), 0, everything()), query(Some(1), 0, everything()));
        let many: Vec<_> = (0..20u8).flat_map(|a| (0..30u8).map(move |b| (vec![a, 50 + b], 1, 1))).collect();
        model.push(&engine, Spec::simple(3)).await.unwrap();
        for second in 0..3 {
            let spec = Spec { service: 1, second, samples: many.clone(), ..Spec::simple(1) };
            model.push(&engine, spec).await.unwrap();
        }
        for place in ["heads", "blocks"] {
            assert_eq!(engine.tree(&tenant(0), &small).await.unwrap().value.total(), 3, "{place}");
            let tree = engine.tree(&tenant(0), &all).await.unwrap_err();
            let profile = engine.profile(&tenant(0), &all).await.unwrap_err();
            for fault in [tree, profile] {
                assert_eq!(fault.id, FaultId::MergeTooLarge, "{place}: {fault}");
                assert!(fault.message.contains("limit 4000 bytes"), "{place}: {fault}");
            }
            let spans = engine.spans(&tenant(0), &all.select).await.unwrap_err();
            assert_eq!(spans.id, FaultId::MergeTooLarge, "{place}: {spans}");
            engine.flush().await.unwrap();
        }
    });
}
