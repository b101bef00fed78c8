//! Writing and reading a block of 2 services × 4 pods × 3 types × up to 100 profiles of about 140 samples.

#[path = "../tests/blocks/held.rs"]
mod held;
#[path = "../tests/blocks/made.rs"]
mod made;

use std::sync::Arc;

use flamestore_block::{Block, BlockCache, BlockMeta, DatasetInput, Origin, upload, write_block};
use flamestore_flamegraph::{ProfileMerge, TreeMerger};
use flamestore_model::{ProfileType, Select, Selector, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;

const SIZE: made::Size =
    made::Size { functions: 4000, stacks: 14_000, pods: 4, profiles: 100, samples: 280, links: false };

fn main() {
    divan::main();
}

fn datasets() -> Vec<held::Dataset> {
    vec![made::dataset("checkout", 1, SIZE), made::dataset("payment", 2, SIZE)]
}

fn block_meta() -> BlockMeta {
    BlockMeta {
        ulid: flamestore_block::ulid::block_id(1_763_697_600_000, &[b"bench"]),
        tenant: TenantId::anonymous(),
        level: 0,
        origin: Origin::default(),
        sources: vec![],
        origins: vec![],
    }
}

#[divan::bench]
fn write(bencher: divan::Bencher) {
    let datasets = datasets();
    let inputs: Vec<&dyn DatasetInput> = datasets.iter().map(|d| d as _).collect();
    let profiles = datasets.iter().flat_map(|d| &d.series).map(|s| s.profiles.len()).sum::<usize>();
    bencher
        .counter(divan::counter::ItemsCount::new(profiles))
        .bench_local(|| write_block(&inputs, &block_meta()).unwrap());
}

struct Opened {
    runtime: tokio::runtime::Runtime,
    block: Block,
    query: TreeQuery,
}

fn opened(selector: &str) -> Opened {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let datasets = datasets();
    let inputs: Vec<&dyn DatasetInput> = datasets.iter().map(|d| d as _).collect();
    let written = write_block(&inputs, &block_meta()).unwrap();
    let bucket = Bucket::in_memory();
    let tenant = TenantId::anonymous();
    let meta = runtime.block_on(upload(&bucket, &tenant, &written)).unwrap().meta;
    let block = Block::open(bucket, tenant, Arc::new(meta), BlockCache::new(64 << 20)).unwrap();
    let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: i64::MAX });
    select.profile_type = Some(ProfileType::parse(made::TYPES[1]).unwrap());
    select.selector = Selector::parse(selector).unwrap();
    Opened { runtime, block, query: TreeQuery::whole(select) }
}

const SELECTORS: [&str; 2] = ["{}", "{pod=\"payment-1\"}"];

#[divan::bench(args = SELECTORS)]
fn tree(bencher: divan::Bencher, selector: &str) {
    let Opened { runtime, block, query } = opened(selector);
    bencher.bench(|| {
        let mut merger = TreeMerger::default();
        runtime.block_on(block.add_tree(&query, &mut merger)).unwrap();
        merger
    });
}

#[divan::bench(args = SELECTORS)]
fn profile(bencher: divan::Bencher, selector: &str) {
    let Opened { runtime, block, query } = opened(selector);
    bencher.bench(|| {
        let mut merge = ProfileMerge::default();
        runtime.block_on(block.add_profile(&query, &mut merge)).unwrap();
        merge
    });
}

#[divan::bench(args = SELECTORS)]
fn points(bencher: divan::Bencher, selector: &str) {
    let Opened { runtime, block, query } = opened(selector);
    bencher.bench(|| runtime.block_on(block.points(&query)).unwrap());
}
