//! What every backend must do, as one suite to run over each of them. For tests: it panics where a promise is broken.

use bytes::Bytes;
use flamestore_model::Kind;
use futures::TryStreamExt;

use crate::{Bucket, Put};

/// Runs all checks on an empty bucket.
pub async fn run(bucket: &Bucket) {
    objects_come_back_as_they_went(bucket).await;
    a_create_only_put_has_one_winner(bucket).await;
    ranges_come_in_the_order_asked(bucket).await;
    folders_list_their_own(bucket).await;
    what_is_not_there_is_said_to_be(bucket).await;
    keys_cannot_leave_the_bucket(bucket).await;
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
