//! Looking for damage finds all of it, and none where there is none.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flamestore_block::Meta;
use flamestore_block::read::Damage;
use flamestore_objstore::Bucket;

use crate::made::{self, Chance, Size};
use crate::{open, rolled, stored};

const SIZE: Size = Size { functions: 300, stacks: 900, pods: 3, profiles: 60, samples: 90, links: true };

async fn damages(bucket: &Bucket, meta: &Meta) -> Vec<Damage> {
    let (mut found, read) = (Vec::new(), AtomicU64::new(0));
    let progress = |bytes| {
        read.fetch_add(bytes, Relaxed);
    };
    open(bucket, meta.clone()).verify(&mut found, &progress).await.unwrap();
    assert_eq!(read.into_inner(), meta.files.iter().map(|f| f.size).sum::<u64>());
    found
}

#[tokio::test]
async fn a_sound_block_has_no_damage() {
    for links in [true, false] {
        let size = Size { links, ..SIZE };
        let datasets = [("a", 1), ("b", 2), ("c", 3)].map(|(name, seed)| made::dataset(name, seed, size));
        let (bucket, block) = stored(&datasets).await;
        assert_eq!(damages(&bucket, block.meta()).await, []);
    }
}

#[tokio::test]
async fn every_damaged_byte_is_named_with_its_place() {
    let (bucket, block) = stored(&[made::dataset("a", 1, SIZE)]).await;
    let good = block.meta();
    let mut chance = Chance(7);
    let mut places = Vec::new();
    for file in &good.files {
        let (key, at) = (good.key(&file.path), chance.below(file.size));
        let mut damaged = bucket.get(&key).await.unwrap().to_vec();
        damaged[at as usize] ^= 1 << chance.below(8);
        bucket.put(&key, damaged.into()).await.unwrap();
        places.push((key, at));
    }
    let found = damages(&bucket, good).await;
    assert_eq!(found.len(), good.files.len(), "{found:?}");
    for (key, at) in places {
        let damage = found.iter().find(|d| d.object == key).expect("its damage");
        let piece = good.files.iter().find(|f| key.ends_with(&f.path)).unwrap().piece_bytes;
        let bytes = damage.bytes.clone().expect("its bytes");
        assert!(bytes.contains(&at) && bytes.end - bytes.start <= piece, "{damage:?}, byte {at}");
    }
}

#[tokio::test]
async fn missing_and_shortened_files_are_named_and_the_others_still_looked_at() {
    let (bucket, block) = stored(&[made::dataset("a", 1, SIZE)]).await;
    let key = |name: &str| block.meta().key(name);
    bucket.delete(&key("series.parquet")).await.unwrap();
    let samples = bucket.get(&key("samples.parquet")).await.unwrap();
    bucket.put(&key("samples.parquet"), samples.slice(..samples.len() / 2)).await.unwrap();
    let mut functions = bucket.get(&key("functions.parquet")).await.unwrap().to_vec();
    functions[3] ^= 1;
    bucket.put(&key("functions.parquet"), functions.into()).await.unwrap();
    let found: Vec<_> = damages(&bucket, block.meta()).await.into_iter().map(|d| (d.object, d.what)).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    for (name, what) in
        [("series.parquet", "is missing"), ("samples.parquet", "were written"), ("functions.parquet", "checksum")]
    {
        assert!(found.iter().any(|(object, said)| *object == key(name) && said.contains(what)), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn tables_that_do_not_agree_are_noticed_though_their_checksums_are_right() {
    let (others, other) = stored(&[made::dataset("a", 2, SIZE)]).await;
    for theirs in &other.meta().files {
        let (bucket, good) = stored(&[made::dataset("a", 1, SIZE)]).await;
        let mut meta = Meta::clone(good.meta());
        *meta.files.iter_mut().find(|f| f.path == theirs.path).unwrap() = theirs.clone();
        let bytes = others.get(&other.meta().key(&theirs.path)).await.unwrap();
        bucket.put(&meta.key(&theirs.path), bytes).await.unwrap();
        assert_ne!(damages(&bucket, &meta).await, [], "{} of another block", theirs.path);
    }
    let (bucket, good) = stored(&[made::dataset("a", 1, SIZE)]).await;
    let mut meta = Meta::clone(good.meta());
    meta.stats.samples += 1;
    let found = damages(&bucket, &meta).await;
    assert!(found.len() == 1 && found[0].what.contains("samples"), "{found:?}");
    let mut meta = Meta::clone(good.meta());
    meta.files[0].crc32c ^= 1;
    let found = damages(&bucket, &meta).await;
    assert!(found.len() == 1 && found[0].what.contains("all of it"), "{found:?}");
}

#[tokio::test]
async fn sums_that_are_not_those_of_the_samples_are_noticed_though_their_checksums_are_right() {
    let mut noticed = 0;
    for seed in 0..3 {
        let truth = [rolled::dataset("a", seed, false), rolled::dataset("b", seed + 50, seed % 2 == 0)];
        let (bucket, good) = rolled::stored(&truth).await;
        assert_eq!(damages(&bucket, good.meta()).await, [], "seed {seed}");
        // The same profiles, but that one stack of one of them has one more.
        let mut lies = truth;
        let Some(value) = lies[0].series.iter_mut().flat_map(|s| &mut s.profiles).find_map(|p| p.values.last_mut())
        else {
            continue;
        };
        *value = value.wrapping_add(1);
        let (others, other) = rolled::stored(&lies).await;
        let roll_ups = other.meta().files.iter().filter(|f| rolled::FILES.contains(&f.path.as_str()));
        for theirs in roll_ups.filter(|f| !good.meta().files.contains(f)) {
            let mut meta = Meta::clone(good.meta());
            *meta.files.iter_mut().find(|f| f.path == theirs.path).unwrap() = theirs.clone();
            meta.stats.bytes = meta.files.iter().map(|f| f.size).sum();
            let key = meta.key(&theirs.path);
            let own = bucket.get(&key).await.unwrap();
            bucket.put(&key, others.get(&other.meta().key(&theirs.path)).await.unwrap()).await.unwrap();
            let found = damages(&bucket, &meta).await;
            let buckets = theirs.path.replace("_samples", "");
            assert!(found.len() == 1 && found[0].what.contains(&buckets), "{}: {found:?}", theirs.path);
            bucket.put(&key, own).await.unwrap();
            noticed += 1;
        }
    }
    assert!(noticed > 5, "{noticed}");
}
