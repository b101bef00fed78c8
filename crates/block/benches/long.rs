//! Merging twelve hours of a service, 2 pods × 2880 profiles of about 140 samples, from roll-ups and from samples.

#[path = "../tests/blocks/held.rs"]
mod held;
#[path = "../tests/blocks/made.rs"]
mod made;

use std::sync::Arc;

use flamestore_block::{Block, BlockCache, BlockMeta, DatasetInput, Origin, upload, write_block};
use flamestore_flamegraph::TreeMerger;
use flamestore_model::{ProfileType, Select, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;

const SIZE: made::Size = made::Size { functions: 4000, stacks: 14_000, pods: 2, profiles: 0, samples: 1, links: false };
const HOUR: i64 = 3_600_000_000_000;
const HOURS: i64 = 12;
const START_NANOS: i64 = made::START_NANOS - made::START_NANOS % HOUR;

fn main() {
    divan::main();
}

/// Each pod mostly runs some of the stacks, and sometimes any.
fn dataset() -> held::Dataset {
    let mut chance = made::Chance(1);
    let mut dataset = made::dataset("checkout", 1, SIZE);
    dataset.series.retain(|s| s.profile_type == made::TYPES[1]);
    for series in &mut dataset.series {
        let first = chance.below(SIZE.stacks / 2);
        series.profiles = (0..HOURS * HOUR / made::STEP_NANOS)
            .map(|tick| {
                let time_nanos = START_NANOS + tick * made::STEP_NANOS;
                let mut profile = held::Profile { time_nanos, ..held::Profile::default() };
                for _ in 0..100 + chance.below(80) {
                    let common = first + chance.below(30) * chance.below(30);
                    let stack = if chance.once_in(100) { chance.below(SIZE.stacks / 2) } else { common };
                    profile.stacks.push(1 + stack as u32);
                    profile.values.push(10_000_000 * (1 + chance.below(5)) as i64);
                }
                profile
            })
            .collect();
    }
    dataset.sort();
    dataset
}

struct Opened {
    runtime: tokio::runtime::Runtime,
    block: Block,
    query: TreeQuery,
}

fn opened(hours: i64) -> Opened {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let dataset = dataset();
    let inputs: [&dyn DatasetInput; 1] = [&dataset];
    let tenant = TenantId::anonymous();
    let block_meta = BlockMeta {
        ulid: flamestore_block::ulid::block_id(1_763_697_600_000, &[b"bench"]),
        tenant: tenant.clone(),
        level: 1,
        origin: Origin::default(),
        sources: vec![],
        origins: vec![],
    };
    let written = write_block(&inputs, &block_meta).unwrap();
    let bucket = Bucket::in_memory();
    let meta = runtime.block_on(upload(&bucket, &tenant, &written)).unwrap().meta;
    let block = Block::open(bucket, tenant, Arc::new(meta), BlockCache::new(64 << 20)).unwrap();
    // Neither starts nor ends where a bucket does, but for the whole block.
    let from_nanos = START_NANOS + if hours < HOURS { 100_000_000_000 } else { 0 };
    let mut select = Select::everything(TimeRange { from_nanos, to_nanos: from_nanos + hours * HOUR });
    select.profile_type = Some(ProfileType::parse(made::TYPES[1]).unwrap());
    Opened { runtime, block, query: TreeQuery::whole(select) }
}

const LONG: [i64; 4] = [1, 3, 9, HOURS];

fn merge(bencher: divan::Bencher, Opened { runtime, query, .. }: &Opened, block: &Block) {
    bencher.bench_local(|| {
        let mut merger = TreeMerger::default();
        runtime.block_on(block.add_tree(query, &mut merger)).unwrap();
        merger
    });
}

#[divan::bench(args = LONG)]
fn rolled_up(bencher: divan::Bencher, hours: i64) {
    let opened = opened(hours);
    merge(bencher, &opened, &opened.block);
}

#[divan::bench(args = LONG)]
fn from_samples(bencher: divan::Bencher, hours: i64) {
    let opened = opened(hours);
    merge(bencher, &opened, &opened.block.without_roll_ups());
}
