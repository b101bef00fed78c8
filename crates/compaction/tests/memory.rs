//! What a merge of many stacks holds: no more than its budget, however many there are.
//!
//! A binary of its own, because the allocator counts for the whole process.

#[path = "shared/many.rs"]
mod many;

use std::collections::BTreeSet;
use std::sync::Arc;

use flamestore_block::{Block, BlockCache, BlockMeta, Origin, Spill, upload, write_streams};
use flamestore_compaction::{Room, merge};
use flamestore_model::TenantId;
use flamestore_objstore::Bucket;
use many::Many;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Held decoded, as symbols, indexes and tables of ids, these stacks would take several times the budget.
const STACKS: Many = Many { wide: [20, 200, 250], parts: 4, part: 0, samples: 10_000 };
const BUDGET: usize = 40 << 20;

#[test]
fn a_merge_of_very_many_stacks_stays_within_its_budget() {
    let dir = tempfile::tempdir().unwrap();
    let spill = Spill::new(dir.path().join("spill"));
    let tenant = TenantId::anonymous();
    let bucket = Bucket::filesystem(dir.path().join("bucket")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut blocks = Vec::new();
    for part in 0..STACKS.parts {
        let meta = BlockMeta {
            ulid: flamestore_block::ulid::block_id(u64::from(part), &[b"test"]),
            tenant: tenant.clone(),
            level: 0,
            origin: Origin { ingester: "i".into(), epoch: u64::from(part) },
            sources: vec![],
            origins: vec![],
        };
        let mut many = Many { part, ..STACKS };
        let written = write_streams(&mut [&mut many], &meta, Some(&spill), &mut |_| Ok(())).unwrap().unwrap();
        let meta = runtime.block_on(upload(&bucket, &tenant, &written)).unwrap().meta;
        blocks.push(Block::open(bucket.clone(), tenant.clone(), Arc::new(meta), BlockCache::new(1 << 20)).unwrap());
    }
    let room = Room { max_bytes: BUDGET as u64, spill };
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let merged = runtime.block_on(Box::pin(merge(&blocks, &tenant, 1, &BTreeSet::new(), &room))).unwrap();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    let written = merged.written.unwrap();
    println!("{} KiB held, {} KiB counted, {:?}", peak >> 10, merged.cost.peak_bytes >> 10, merged.cost);
    assert_eq!(written.meta.datasets[0].rows.stacktraces.1, 20 * 200 * 250 + 20 + 20 * 200);
    assert!(peak < BUDGET, "{peak} bytes");
    assert!(merged.cost.peak_bytes < BUDGET as u64 && merged.cost.spilled_bytes > 0, "{:?}", merged.cost);
}
