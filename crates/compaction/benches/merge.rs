//! Merging blocks of very many stacks, each with a sample: CPU time and memory.
//!
//! `cargo bench -p flamestore-compaction --bench merge -- <million stacks> <sources> <folder>`; 1, 8 and the system's folder
//! for temporary files unless said otherwise. Fifty million take 2 GB of disk for a while.

#[path = "../tests/shared/many.rs"]
mod many;

use std::collections::BTreeSet;
use std::sync::Arc;

use flamestore_block::{Block, BlockCache, BlockMeta, Origin, Spill, upload, write_streams};
use flamestore_compaction::{Room, merge};
use flamestore_model::TenantId;
use flamestore_objstore::Bucket;
use many::Many;

/// The default of `compactor.max_memory_bytes`.
const BUDGET: u64 = 512 << 20;

fn main() {
    // Cargo says `--bench` first.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |i: usize, default: u32| args.get(i).map_or(default, |arg| arg.parse().expect("a number"));
    let (millions, parts) = (number(0, 1), number(1, 8));
    let folder = args.get(2).map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(folder).expect("a folder");
    let wide = (f64::from(millions) * 10_000.0).sqrt().ceil() as u32;
    let many = Many { wide: [100, wide, wide], parts, part: 0, samples: 16_000 };

    let spill = Spill::new(dir.path().join("spill"));
    let bucket = Bucket::filesystem(dir.path().join("bucket")).expect("a bucket");
    let tenant = TenantId::anonymous();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let blocks: Vec<Block> = (0..parts)
        .map(|part| {
            let block = BlockMeta {
                ulid: flamestore_block::ulid::block_id(u64::from(part), &[b"bench"]),
                tenant: tenant.clone(),
                level: 0,
                origin: Origin { ingester: "i".into(), epoch: u64::from(part) },
                sources: vec![],
                origins: vec![],
            };
            let mut many = Many { part, ..many.clone() };
            let written = write_streams(&mut [&mut many], &block, Some(&spill), &mut |_| Ok(()));
            let written = written.expect("rows in order").expect("profiles");
            let meta = runtime.block_on(upload(&bucket, &tenant, &written)).expect("a stored block").meta;
            Block::open(bucket.clone(), tenant.clone(), Arc::new(meta), BlockCache::new(8 << 20)).expect("a block")
        })
        .collect();

    // From here on the peak counts anew; where that is not allowed it is that of everything.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = resident("VmRSS");
    let room = Room { max_bytes: BUDGET, spill };
    let merged = runtime.block_on(Box::pin(merge(&blocks, &tenant, 1, &BTreeSet::new(), &room))).expect("a merge");
    let cost = merged.cost;
    let meta = merged.written.expect("a block").meta;
    let stacks: u64 = meta.datasets.iter().map(|d| d.rows.stacktraces.1).sum();
    println!("{parts} sources of {} MB become {} MB", cost.source_bytes / 1_000_000, meta.stats.bytes / 1_000_000);
    println!("{stacks} stacks, {} samples", meta.stats.samples);
    println!("{:.1} s of CPU", cost.cpu.as_secs_f64());
    println!("at most {} resident (VmHWM), {before} before the merge", resident("VmHWM"));
    println!("{} MiB held as counted, {} MB spilled", cost.peak_bytes >> 20, cost.spilled_bytes / 1_000_000);
}

/// A line of what the system says of this process.
fn resident(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(": unknown");
    line.trim_start_matches(':').trim().to_owned()
}
