//! A damaged byte is noticed and its file named, or it was not read.

use bytes::Bytes;
use flamestore_block::Block;
use flamestore_flamegraph::{ProfileMerge, TreeMerger};
use flamestore_model::{Fault, Kind};

use crate::made::{self, Chance, Size};
use crate::{everything, naive, open, written};
use flamestore_objstore::Bucket;

/// Some files are fetched whole, some in parts.
const SIZE: Size = Size { functions: 2000, stacks: 9000, pods: 2, profiles: 150, samples: 200, links: true };

async fn ask(block: &Block) -> Result<(naive::Stacks, usize), Fault> {
    let mut query = everything();
    query.select.span_ids = vec![1, 2, 3];
    let (mut tree, mut merge) = (TreeMerger::default(), ProfileMerge::default());
    block.add_tree(&query, &mut tree).await?;
    block.add_profile(&query, &mut merge).await?;
    let points = block.points(&query).await?.len() + block.series(&query.select).await?.len();
    Ok((naive::stacks_of(&tree.finish()), points))
}

#[tokio::test]
async fn a_damaged_byte_is_named() {
    let good = written(&[made::dataset("a", 1, SIZE)]);
    let bucket = Bucket::in_memory();
    for (name, content) in &good.files {
        bucket.put(&good.meta.key(name), content.bytes().unwrap()).await.unwrap();
    }
    let truth = ask(&open(&bucket, good.meta.clone())).await.unwrap();
    let mut chance = Chance(1);
    let mut noticed = 0;
    for (name, content) in &good.files {
        let bytes = content.bytes().unwrap();
        let key = good.meta.key(name);
        for _ in 0..6 {
            let at = chance.below(bytes.len() as u64) as usize;
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1 << chance.below(8);
            bucket.put(&key, damaged.into()).await.unwrap();
            match ask(&open(&bucket, good.meta.clone())).await {
                Ok(answer) => assert_eq!(answer, truth, "{name} with a wrong byte {at}"),
                Err(e) => {
                    assert_eq!(e.kind, Kind::Corrupt, "{name} with a wrong byte {at}: {e}");
                    assert!(e.message.contains(&key), "{name} with a wrong byte {at}: {e}");
                    noticed += 1;
                }
            }
        }
        bucket.put(&key, bytes.slice(..bytes.len() / 2)).await.unwrap();
        let e = ask(&open(&bucket, good.meta.clone())).await.unwrap_err();
        assert_eq!(e.kind, Kind::Corrupt, "{name} cut short: {e}");
        assert!(e.message.contains(name), "{name} cut short: {e}");
        bucket.put(&key, Bytes::new()).await.unwrap();
        assert_eq!(ask(&open(&bucket, good.meta.clone())).await.unwrap_err().kind, Kind::Corrupt, "{name} empty");
        bucket.delete(&key).await.unwrap();
        let e = ask(&open(&bucket, good.meta.clone())).await.unwrap_err();
        assert_eq!(e.kind, Kind::NotFound, "{name} gone: {e}");
        assert!(e.message.contains(&key), "{e}");
        bucket.put(&key, bytes.clone()).await.unwrap();
    }
    assert!(noticed > 30, "only {noticed} of 42 damaged bytes were noticed");
}
