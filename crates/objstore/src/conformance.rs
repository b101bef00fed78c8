//! What every backend must do, as one suite to run over each of them. For tests: it panics where a promise is broken.

use bytes::Bytes;
use flamestore_model::Kind;
use futures::{StreamExt, TryStreamExt};

use crate::{Bucket, Put, self_test};

mod faults;

/// More objects than any store lists in one answer.
const MANY: usize = 1_050;
/// A block's largest file is of this order.
const LARGE_BYTES: usize = 24 << 20;

/// Runs all checks on an empty bucket, with and without faults around it, and leaves it empty.
pub async fn run(bucket: &Bucket) {
    objects_come_back_as_they_went(bucket).await;
    a_create_only_put_has_one_winner(bucket).await;
    ranges_come_in_the_order_asked(bucket).await;
    folders_list_their_own(bucket).await;
    what_is_not_there_is_said_to_be(bucket).await;
    keys_cannot_leave_the_bucket(bucket).await;
    many_objects_are_all_listed(bucket).await;
    a_large_object_comes_back(bucket).await;
    the_self_test_passes_and_leaves_nothing(bucket).await;
    faults::run(bucket).await;
    everything_can_be_deleted(bucket).await;
}

async fn objects_come_back_as_they_went(bucket: &Bucket) {
    for (key, len) in [("a/empty", 0usize), ("a/b/c/deep", 10), ("team-1_(x)!.*'/blocks/k", 100_000)] {
        let content: Bytes = (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
        bucket.put(key, content.clone()).await.expect(key);
        assert_eq!(bucket.get(key).await.expect(key), content, "{key}");
        assert_eq!(bucket.head(key).await.expect(key).expect(key).bytes, len as u64, "{key}");
    }
    bucket.put("a/empty", Bytes::from_static(b"full")).await.expect("a put overwrites");
    assert_eq!(bucket.get("a/empty").await.expect("get"), "full");
}

async fn a_create_only_put_has_one_winner(bucket: &Bucket) {
    let puts = (0..16).map(|i| {
        let bucket = bucket.clone();
        tokio::spawn(async move { (i, bucket.put_create("race/key", Bytes::from(format!("writer {i}"))).await) })
    });
    let mut winners = Vec::new();
    for put in futures::future::join_all(puts).await {
        let (i, put) = put.expect("no writer panics");
        if put.expect("no writer fails") == Put::Created {
            winners.push(i);
        }
    }
    assert_eq!(winners.len(), 1, "winners: {winners:?}");
    assert_eq!(bucket.get("race/key").await.expect("get"), format!("writer {}", winners[0]));
    assert_eq!(bucket.put_create("race/key", Bytes::new()).await.expect("late"), Put::AlreadyExists);
    assert_eq!(bucket.get("race/key").await.expect("get"), format!("writer {}", winners[0]));
}

async fn ranges_come_in_the_order_asked(bucket: &Bucket) {
    let content: Bytes =
        (0..2_000_000u32).flat_map(|i| (i as u8 ^ (i >> 8) as u8).to_le_bytes()).collect::<Vec<_>>().into();
    bucket.put("ranges", content.clone()).await.expect("put");
    let wanted = [1_999_990..2_000_000, 0..10, 5..7, 700_000..700_001, 3..3, 20..600_000];
    let got = bucket.get_ranges("ranges", &wanted).await.expect("ranges");
    for (w, g) in wanted.iter().zip(&got) {
        assert_eq!(*g, content.slice(w.start as usize..w.end as usize), "{w:?}");
    }
    assert_eq!(got.len(), wanted.len());
    assert_eq!(bucket.get_range("ranges", 1..4).await.expect("range"), content.slice(1..4));
    for behind in [1_999_999..2_000_001, 2_000_000..2_000_001, 9_000_000..9_000_001] {
        let refused = bucket.get_ranges("ranges", std::slice::from_ref(&behind)).await.expect_err("behind the end");
        assert_eq!(refused.kind, Kind::Corrupt, "{behind:?}: {refused}");
    }
    assert!(bucket.get_ranges("ranges", &[]).await.expect("no ranges").is_empty());
}

async fn folders_list_their_own(bucket: &Bucket) {
    for key in ["t/1/x", "t/1/y/z", "t/2/x", "t2/1/x"] {
        bucket.put(key, Bytes::from_static(b"12")).await.expect(key);
    }
    let mut all: Vec<_> = bucket.list("t").try_collect().await.expect("list");
    all.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(all.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["t/1/x", "t/1/y/z", "t/2/x"]);
    assert!(all.iter().all(|o| o.bytes == 2 && o.modified_ms > 1_500_000_000_000));
    assert_eq!(bucket.list_dirs("t").await.expect("dirs"), ["1", "2"]);
    assert!(bucket.list_dirs("").await.expect("dirs of the root").contains(&"t2".to_owned()));
    assert!(bucket.list_dirs("nowhere").await.expect("dirs of nothing").is_empty());
    assert!(bucket.list("nowhere").try_collect::<Vec<_>>().await.expect("list of nothing").is_empty());
}

async fn what_is_not_there_is_said_to_be(bucket: &Bucket) {
    let kind = |e: flamestore_model::Fault| {
        assert!(e.message.contains("missing/key"), "{e}");
        e.kind
    };
    assert_eq!(bucket.get("missing/key").await.map_err(kind), Err(Kind::NotFound));
    assert_eq!(bucket.get_range("missing/key", 0..1).await.map_err(kind), Err(Kind::NotFound));
    assert_eq!(bucket.head("missing/key").await.expect("head"), None);
    bucket.put("gone", Bytes::new()).await.expect("put");
    bucket.delete("gone").await.expect("delete");
    bucket.delete("gone").await.expect("a second delete");
    assert_eq!(bucket.head("gone").await.expect("head"), None);
    assert_eq!(bucket.put_create("gone", Bytes::new()).await.expect("anew"), Put::Created);
}

async fn keys_cannot_leave_the_bucket(bucket: &Bucket) {
    for key in ["../x", "a/../../x", "a//b", "./x"] {
        assert!(bucket.put(key, Bytes::new()).await.is_err(), "{key}");
    }
}

async fn many_objects_are_all_listed(bucket: &Bucket) {
    let key = |i: usize| format!("many/{i:05}/o");
    futures::stream::iter(0..MANY)
        .map(async |i| bucket.put_create(&key(i), Bytes::from_static(b"x")).await.expect("put"))
        .buffer_unordered(16)
        .for_each(|put| async move { assert_eq!(put, Put::Created) })
        .await;
    let mut all: Vec<_> = bucket.list("many").map_ok(|o| o.key).try_collect().await.expect("list");
    all.sort();
    assert_eq!(all, (0..MANY).map(key).collect::<Vec<_>>());
    let dirs = bucket.list_dirs("many").await.expect("dirs");
    assert_eq!(dirs, (0..MANY).map(|i| format!("{i:05}")).collect::<Vec<_>>());
}

async fn a_large_object_comes_back(bucket: &Bucket) {
    let content: Bytes = (0..LARGE_BYTES).map(|i| (i % 241) as u8).collect::<Vec<_>>().into();
    bucket.put("large", content.clone()).await.expect("put");
    assert!(bucket.get("large").await.expect("get") == content);
    // Far enough apart to be read side by side.
    let wanted: Vec<_> = (0..20u64).map(|i| i << 20..(i << 20) + 1000).rev().collect();
    for (w, got) in wanted.iter().zip(bucket.get_ranges("large", &wanted).await.expect("ranges")) {
        assert!(got == content.slice(w.start as usize..w.end as usize), "{w:?}");
    }
}

async fn the_self_test_passes_and_leaves_nothing(bucket: &Bucket) {
    self_test::run(bucket, 1).await.expect("the self-test");
    assert!(bucket.list(self_test::FOLDER).try_collect::<Vec<_>>().await.expect("list").is_empty());
}

async fn everything_can_be_deleted(bucket: &Bucket) {
    let keys: Vec<_> = bucket.list("").map_ok(|o| o.key).try_collect().await.expect("list");
    assert!(keys.len() > MANY, "{}", keys.len());
    futures::stream::iter(keys)
        .map(|key| async move { bucket.delete(&key).await.expect("delete") })
        .buffer_unordered(16)
        .for_each(|()| async {})
        .await;
    assert!(bucket.list("").try_collect::<Vec<_>>().await.expect("list").is_empty());
    assert!(bucket.list_dirs("").await.expect("dirs").is_empty());
}
