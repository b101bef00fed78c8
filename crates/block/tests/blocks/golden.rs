//! Blocks of every version ever written stay readable. `tests/golden/v1` was written by the first.

use std::path::PathBuf;

use flamestore_block::Meta;
use flamestore_flamegraph::TreeMerger;
use flamestore_objstore::Bucket;

use crate::made::{self, Size};
use crate::{everything, held, naive, open, stored};

const SIZE: Size = Size { functions: 12, stacks: 30, pods: 2, profiles: 6, samples: 8, links: true };

/// Must never change: the golden block was made of it.
fn datasets() -> Vec<held::Dataset> {
    vec![made::dataset("checkout", 11, SIZE), made::dataset("payment", 12, SIZE)]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

#[tokio::test]
async fn a_block_of_version_1_is_read() {
    let meta = Meta::from_json(&std::fs::read(folder().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta.version, 1);
    let bucket = Bucket::in_memory();
    for file in &meta.files {
        bucket.put(&meta.key(&file.path), std::fs::read(folder().join(&file.path)).unwrap().into()).await.unwrap();
    }
    let block = open(&bucket, meta);
    let mut damages = Vec::new();
    block.verify(&mut damages, &|_| {}).await.unwrap();
    assert_eq!(damages, []);
    let mut tree = TreeMerger::default();
    block.add_tree(&everything(), &mut tree).await.unwrap();
    assert_eq!(naive::stacks_of(&tree.finish()), naive::tree(&datasets(), &everything()));
    let mut merge = Default::default();
    block.add_profile(&everything(), &mut merge).await.unwrap();
    let expected = naive::frames_of(&naive::profile(&datasets(), &everything()));
    assert_eq!(naive::frames_of(&merge), expected);
    let points = block.points(&everything()).await.unwrap();
    let points = points.into_iter().map(|s| (s.labels, s.points)).collect();
    assert_eq!(naive::points(&datasets(), &everything()), points);
}

#[tokio::test]
#[ignore = "makes the golden block anew; only for a new version, in a new folder"]
async fn write_the_golden_block() {
    let (bucket, block) = stored(&datasets()).await;
    std::fs::create_dir_all(folder()).unwrap();
    for file in block.meta().files.iter().map(|f| f.path.as_str()).chain(["meta.json"]) {
        std::fs::write(folder().join(file), bucket.get(&block.meta().key(file)).await.unwrap()).unwrap();
    }
}
