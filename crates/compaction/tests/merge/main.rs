//! Merging blocks gives, byte for byte, the block that all their profiles would have made at once.

#[path = "../../../block/tests/blocks/held.rs"]
mod held;
#[path = "../../../block/tests/blocks/made.rs"]
mod made;
#[path = "../shared/many.rs"]
mod many;
mod order;
mod same;
#[path = "../../../block/tests/blocks/shuffled.rs"]
mod shuffled;

use std::collections::BTreeSet;
use std::sync::Arc;

use flamestore_block::{Block, BlockCache, BlockMeta, Hidden, Meta, Origin, Spill, Ulid, Written, upload};
use flamestore_compaction::{Merged, Room, merge};
use flamestore_model::{Fault, TenantId};
use flamestore_objstore::Bucket;

fn block_meta(number: u64) -> BlockMeta {
    BlockMeta {
        ulid: flamestore_block::ulid::block_id(number, &[b"test"]),
        tenant: TenantId::anonymous(),
        level: 0,
        origin: Origin { ingester: "i".into(), epoch: number },
        sources: vec![],
        origins: vec![],
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

async fn stored(bucket: &Bucket, written: &Written) -> Meta {
    upload(bucket, &TenantId::anonymous(), written).await.unwrap().meta
}

fn open(bucket: &Bucket, meta: Meta, hidden: Vec<Hidden>) -> Block {
    let block = Block::open(bucket.clone(), TenantId::anonymous(), Arc::new(meta), BlockCache::new(1 << 20)).unwrap();
    block.hiding(hidden.into())
}

async fn merged(sources: &[Block], spill: &Spill, max_bytes: u64) -> Result<Merged, Fault> {
    let room = Room { max_bytes, spill: spill.clone() };
    Box::pin(merge(sources, &TenantId::anonymous(), 1, &BTreeSet::<Ulid>::new(), &room)).await
}

fn files(written: &Written) -> Vec<(&'static str, Vec<u8>)> {
    written.files.iter().map(|(name, content)| (*name, content.bytes().unwrap().to_vec())).collect()
}
