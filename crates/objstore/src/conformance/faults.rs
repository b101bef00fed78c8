//! What the bucket makes of each way in which a store fails or lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use flamestore_model::{Fault, FaultId};
use futures::{FutureExt, TryStreamExt};

use crate::{Bucket, Faulty, Op, Put, Verdict};

pub(super) async fn run(bucket: &Bucket) {
    failed_calls_say_so_and_can_be_repeated(bucket).await;
    a_lost_answer_is_found_by_the_next_call(bucket).await;
    a_throttled_call_works_later(bucket).await;
    a_slow_store_is_only_slow(bucket).await;
    half_an_answer_is_never_taken_for_the_whole(bucket).await;
    a_flipped_bit_passes_for_the_readers_checksums_to_find(bucket).await;
    a_stale_listing_changes_nothing_else(bucket).await;
}

/// The bucket with `verdict` on calls of these kinds.
fn with(bucket: &Bucket, verdict: Verdict, ops: &'static [Op]) -> Bucket {
    let rule = move |op: Op, _: &_| if ops.contains(&op) { verdict } else { Verdict::Pass };
    bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)))
}

fn failing<T: std::fmt::Debug>(answer: Result<T, Fault>) {
    assert_eq!(answer.expect_err("a failure is told").id, FaultId::BucketFailing);
}

async fn failed_calls_say_so_and_can_be_repeated(bucket: &Bucket) {
    bucket.put("faults/there", Bytes::from_static(b"there")).await.expect("put");
    let broken = with(bucket, Verdict::FailBefore, &Op::ALL);
    failing(broken.put("faults/new", Bytes::new()).await);
    failing(broken.put_create("faults/new", Bytes::new()).await);
    failing(broken.get("faults/there").await);
    failing(broken.get_range("faults/there", 0..1).await);
    failing(broken.head("faults/there").await);
    failing(broken.list("faults").try_collect::<Vec<_>>().await);
    failing(broken.list_dirs("faults").await);
    failing(broken.delete("faults/there").await);
    assert_eq!(bucket.head("faults/new").await.expect("head"), None);
    assert_eq!(bucket.get("faults/there").await.expect("get"), "there");
}

async fn a_lost_answer_is_found_by_the_next_call(bucket: &Bucket) {
    let deaf = with(bucket, Verdict::FailAfter, &[Op::Put, Op::PutCreate, Op::Delete]);
    failing(deaf.put_create("faults/lost", Bytes::from_static(b"mine")).await);
    assert_eq!(bucket.put_create("faults/lost", Bytes::from_static(b"late")).await.expect("put"), Put::AlreadyExists);
    assert_eq!(bucket.get("faults/lost").await.expect("get"), "mine");
    failing(deaf.put("faults/lost", Bytes::from_static(b"over")).await);
    assert_eq!(bucket.get("faults/lost").await.expect("get"), "over");
    failing(deaf.delete("faults/lost").await);
    assert_eq!(bucket.head("faults/lost").await.expect("head"), None);
    bucket.delete("faults/lost").await.expect("the repetition");
}

async fn a_throttled_call_works_later(bucket: &Bucket) {
    let left = Arc::new(AtomicU32::new(3));
    let rule = move |_: Op, _: &_| match left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
        Ok(_) => Verdict::Throttle,
        Err(_) => Verdict::Pass,
    };
    let busy = bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
    for _ in 0..3 {
        failing(busy.put_create("faults/busy", Bytes::new()).await);
    }
    assert_eq!(busy.put_create("faults/busy", Bytes::new()).await.expect("put"), Put::Created);
}

async fn a_slow_store_is_only_slow(bucket: &Bucket) {
    let slow = bucket.clone().through(|store| {
        let delay = |_| tokio::time::sleep(Duration::from_millis(5)).boxed();
        Arc::new(Faulty::by_rule(store, |_, _| Verdict::Pass).delayed(delay))
    });
    assert_eq!(slow.put_create("faults/slow", Bytes::from_static(b"slow")).await.expect("put"), Put::Created);
    assert_eq!(slow.get_range("faults/slow", 1..3).await.expect("range"), "lo");
}

async fn half_an_answer_is_never_taken_for_the_whole(bucket: &Bucket) {
    let content: Bytes = (0..1_600_000u32).map(|i| (i % 253) as u8).collect::<Vec<_>>().into();
    bucket.put("faults/part", content).await.expect("put");
    let partial = with(bucket, Verdict::PartialRead, &[Op::Get, Op::GetRange]);
    failing(partial.get("faults/part").await);
    failing(partial.get_range("faults/part", 100..200).await);
    failing(partial.get_ranges("faults/part", &[0..10, 1_500_000..1_500_010]).await);
}

async fn a_flipped_bit_passes_for_the_readers_checksums_to_find(bucket: &Bucket) {
    let content: Bytes = (0..1000u32).map(|i| (i % 253) as u8).collect::<Vec<_>>().into();
    bucket.put("faults/bits", content.clone()).await.expect("put");
    let lying = with(bucket, Verdict::FlipBit, &[Op::Get, Op::GetRange]);
    let whole = lying.get("faults/bits").await.expect("get");
    let part = lying.get_range("faults/bits", 100..200).await.expect("range");
    for (got, sent) in [(whole, content.clone()), (part, content.slice(100..200))] {
        let wrong: u32 = got.iter().zip(&sent).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((got.len(), wrong), (sent.len(), 1));
    }
    assert_eq!(bucket.get("faults/bits").await.expect("get"), content);
}

async fn a_stale_listing_changes_nothing_else(bucket: &Bucket) {
    let keys = async |bucket: &Bucket| -> Vec<String> {
        let mut keys: Vec<_> = bucket.list("stale").map_ok(|o| o.key).try_collect().await.expect("list");
        keys.sort();
        keys
    };
    let fresh = Arc::new(AtomicU32::new(2));
    let rule = {
        let fresh = fresh.clone();
        move |op: Op, _: &_| match (
            op,
            fresh.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(u32::from(op == Op::List))),
        ) {
            (Op::List, Err(_)) => Verdict::StaleList,
            _ => Verdict::Pass,
        }
    };
    let stale = bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule)));
    stale.put("stale/a/old", Bytes::new()).await.expect("put");
    assert_eq!(
        (keys(&stale).await, stale.list_dirs("stale").await.expect("dirs").len()),
        (vec!["stale/a/old".into()], 1)
    );
    stale.put("stale/b/new", Bytes::from_static(b"new")).await.expect("put");
    stale.delete("stale/a/old").await.expect("delete");
    assert_eq!(keys(&stale).await, ["stale/a/old"]);
    assert_eq!(stale.list_dirs("stale").await.expect("dirs"), ["a"]);
    assert_eq!(stale.get("stale/b/new").await.expect("get"), "new");
    assert_eq!(stale.head("stale/a/old").await.expect("head"), None);
    fresh.store(2, SeqCst);
    assert_eq!(keys(&stale).await, ["stale/b/new"]);
    assert_eq!(stale.list_dirs("stale").await.expect("dirs"), ["b"]);
}
