//! A block is there when its `meta.json` is, and a flush can be done again after anything.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_block::meta::meta_key;
use flamestore_block::upload::committed;
use flamestore_block::{Block, BlockCache, Meta, upload};
use flamestore_model::{Kind, TenantId};
use flamestore_objstore::{Bucket, Faulty, Op, Verdict};
use futures::FutureExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use crate::made::{self, Size};
use crate::written;

const SIZE: Size = Size { functions: 12, stacks: 40, pods: 2, profiles: 9, samples: 9, links: true };

#[tokio::test]
async fn a_flush_done_again_changes_nothing() {
    let tenant = TenantId::anonymous();
    let bucket = Bucket::in_memory();
    let first = written(&[made::dataset("a", 1, SIZE)]);
    assert!(upload(&bucket, &tenant, &first).await.unwrap().new);
    let again = upload(&bucket, &tenant, &first).await.unwrap();
    assert!(!again.new);
    assert_eq!(again.meta, first.meta);
    // Not even when it would have written something else.
    let other = written(&[made::dataset("a", 2, SIZE)]);
    assert_eq!(upload(&bucket, &tenant, &other).await.unwrap().meta, first.meta);
    for (name, content) in &first.files {
        assert_eq!(bucket.get(&first.meta.key(name)).await.unwrap(), content.bytes().unwrap());
    }
}

#[tokio::test]
async fn what_a_dead_flush_has_left_is_no_block_and_in_no_ones_way() {
    let tenant = TenantId::anonymous();
    let bucket = Bucket::in_memory();
    let block = written(&[made::dataset("a", 1, SIZE)]);
    let key = meta_key(&tenant, block.meta.ulid);
    bucket.put(&block.meta.key("samples.parquet"), block.files[2].1.bytes().unwrap()).await.unwrap();
    bucket.put(&block.meta.key("series.parquet"), Bytes::from_static(b"from another version")).await.unwrap();
    assert!(committed(&bucket, &key).await.unwrap().is_none());
    assert!(upload(&bucket, &tenant, &block).await.unwrap().new);
    assert_eq!(committed(&bucket, &key).await.unwrap().unwrap(), block.meta);
    for (name, content) in &block.files {
        assert_eq!(bucket.get(&block.meta.key(name)).await.unwrap(), content.bytes().unwrap());
    }
}

#[tokio::test]
async fn after_any_number_of_failures_one_attempt_succeeds() {
    let tenant = TenantId::anonymous();
    let block = written(&[made::dataset("a", 1, SIZE)]);
    for seed in 0..20 {
        let store = Arc::new(InMemory::new());
        let faulty = Bucket::new(Arc::new(Faulty::seeded(store.clone(), seed, 100, 100)), "").unwrap();
        let mut attempts = 0;
        let done = loop {
            attempts += 1;
            match upload(&faulty, &tenant, &block).await {
                Ok(done) => break done,
                Err(e) => assert_eq!(e.kind, Kind::Unavailable, "{e}"),
            }
            assert!(attempts < 1000);
        };
        assert_eq!(done.meta, block.meta);
        let healed = Bucket::new(store, "").unwrap();
        for (name, content) in &block.files {
            assert_eq!(healed.get(&block.meta.key(name)).await.unwrap(), content.bytes().unwrap(), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn what_is_swept_away_while_a_dead_flush_is_taken_up_again_is_put_back() {
    let tenant = TenantId::anonymous();
    let block = written(&[made::dataset("a", 1, SIZE)]);
    for swept in 0..block.files.len() {
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::new(store.clone(), "").unwrap();
        for (name, content) in &block.files {
            bucket.put(&block.meta.key(name), content.bytes().unwrap()).await.unwrap();
        }
        // Whoever sweeps has found old files and no meta.json, and comes to this one when all are written again.
        let victim = object_store::path::Path::from(block.meta.key(block.files[swept].0));
        let rule = move |op: Op, path: &object_store::path::Path| {
            if op == Op::PutCreate && path.filename() == Some("meta.json") {
                store.delete(&victim).now_or_never().unwrap().unwrap();
            }
            Verdict::Pass
        };
        let swept = bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
        assert!(upload(&swept, &tenant, &block).await.unwrap().new);
        for (name, content) in &block.files {
            assert_eq!(bucket.get(&block.meta.key(name)).await.unwrap(), content.bytes().unwrap());
        }
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_commit_counts_as_a_commit() {
    let tenant = TenantId::anonymous();
    let block = written(&[made::dataset("a", 1, SIZE)]);
    let rule = |op: Op, path: &object_store::path::Path| match op {
        Op::PutCreate if path.filename() == Some("meta.json") => Verdict::FailAfter,
        _ => Verdict::Pass,
    };
    let bucket = Bucket::new(Arc::new(Faulty::by_rule(Arc::new(InMemory::new()), rule)), "").unwrap();
    upload(&bucket, &tenant, &block).await.unwrap_err();
    let done = upload(&bucket, &tenant, &block).await.unwrap();
    assert!(!done.new);
    assert_eq!(done.meta, block.meta);
}

#[tokio::test]
async fn nobody_opens_or_writes_anothers_block() {
    let other = TenantId::parse("other").unwrap();
    let block = written(&[made::dataset("a", 1, SIZE)]);
    let bucket = Bucket::in_memory();
    upload(&bucket, &other, &block).await.unwrap_err();
    let open = Block::open(bucket, other, Arc::new(block.meta.clone()), BlockCache::new(1 << 20));
    assert_eq!(open.unwrap_err().kind, Kind::Internal);
}

#[test]
fn the_meta_round_trips_and_newer_versions_are_refused() {
    let meta = written(&[made::dataset("a", 1, SIZE)]).meta;
    let json = meta.to_json().unwrap();
    assert_eq!(Meta::from_json(&json).unwrap(), meta);
    let newer = String::from_utf8(json.clone()).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    assert!(Meta::from_json(newer.as_bytes()).unwrap_err().message.contains("version 2"));
    let text = String::from_utf8(json).unwrap();
    for bad in ["", "{}", "[]", &text[..text.len() / 2], &text.replace("\"piece_bytes\":65536", "\"piece_bytes\":0")] {
        assert_eq!(Meta::from_json(bad.as_bytes()).unwrap_err().kind, Kind::Corrupt);
    }
}
