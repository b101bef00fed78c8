//! Blocks against a naive account of what was put in.

mod annotated;
mod cold;
mod commit;
mod corruption;
mod golden;
mod held;
mod made;
mod naive;
mod revision;
mod rolled;
mod round_trip;
mod shuffled;
mod verified;

use std::sync::Arc;

use flamestore_block::{Block, BlockCache, BlockMeta, DatasetInput, Origin, Written, upload, write_block};
use flamestore_model::{Select, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;

fn block_meta() -> BlockMeta {
    BlockMeta {
        ulid: flamestore_block::ulid::block_id(1_763_697_600_000, &[b"test"]),
        tenant: TenantId::anonymous(),
        level: 0,
        origin: Origin { ingester: "ingester-0".into(), epoch: 7 },
        sources: vec![],
        origins: vec![],
    }
}

fn written(datasets: &[held::Dataset]) -> Written {
    let inputs: Vec<&dyn DatasetInput> = datasets.iter().map(|d| d as _).collect();
    write_block(&inputs, &block_meta()).unwrap()
}

/// The datasets as a block in a bucket of its own.
async fn stored(datasets: &[held::Dataset]) -> (Bucket, Block) {
    let bucket = Bucket::in_memory();
    let committed = upload(&bucket, &TenantId::anonymous(), &written(datasets)).await.unwrap();
    assert!(committed.new);
    let block = open(&bucket, committed.meta);
    (bucket, block)
}

fn open(bucket: &Bucket, meta: flamestore_block::Meta) -> Block {
    Block::open(bucket.clone(), TenantId::anonymous(), Arc::new(meta), BlockCache::new(64 << 20)).unwrap()
}

fn everything() -> TreeQuery {
    let range = TimeRange { from_nanos: i64::MIN, to_nanos: i64::MAX };
    TreeQuery::whole(Select::everything(range))
}
