//! Every backend keeps the bucket's promises, with and without faults around it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flamestore_clock::ManualClock;
use flamestore_model::Kind;
use flamestore_objstore::observe::Call;
use flamestore_objstore::{Bucket, Faulty, Observe, Op, Put, Verdict, conformance};
use futures::FutureExt;
use object_store::memory::InMemory;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_promises() {
    conformance::run(&Bucket::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_the_promises() {
    let dir = tempfile::tempdir().unwrap();
    conformance::run(&Bucket::filesystem(dir.path().join("made/on/the/way")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_store_under_a_prefix_keeps_the_promises() {
    let store = Arc::new(InMemory::new());
    let other = Bucket::new(store.clone(), "other").unwrap();
    other.put("t/1/x", Bytes::from_static(b"not yours")).await.unwrap();
    conformance::run(&Bucket::new(store, "a/b").unwrap()).await;
    assert_eq!(other.get("t/1/x").await.unwrap(), "not yours");
}

#[tokio::test]
async fn a_directory_keeps_its_objects_for_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    Bucket::filesystem(dir.path()).unwrap().put("t/blocks/x", Bytes::from_static(b"kept")).await.unwrap();
    assert_eq!(std::fs::read(dir.path().join("t/blocks/x")).unwrap(), b"kept");
    assert_eq!(Bucket::filesystem(dir.path()).unwrap().get("t/blocks/x").await.unwrap(), "kept");
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_found_by_the_next() {
    let rule = |op: Op, _: &object_store::path::Path| match op {
        Op::PutCreate => Verdict::FailAfter,
        Op::Delete => Verdict::FailBefore,
        _ => Verdict::Pass,
    };
    let store = Arc::new(InMemory::new());
    let bucket = Bucket::new(Arc::new(Faulty::by_rule(store.clone(), rule)), "").unwrap();
    assert_eq!(bucket.put_create("k", Bytes::from_static(b"1")).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(bucket.get("k").await.unwrap(), "1");
    assert_eq!(bucket.delete("k").await.unwrap_err().kind, Kind::Unavailable);
    let healed = Bucket::new(store, "").unwrap();
    assert_eq!(healed.put_create("k", Bytes::from_static(b"2")).await.unwrap(), Put::AlreadyExists);
    assert_eq!(healed.get("k").await.unwrap(), "1");
}

#[tokio::test]
async fn seeded_faults_repeat() {
    let run = async |seed| {
        let store = Faulty::seeded(Arc::new(InMemory::new()), seed, 200, 100).delayed(|_| async {}.boxed());
        let bucket = Bucket::new(Arc::new(store), "").unwrap();
        let mut outcome = Vec::new();
        for i in 0..100 {
            outcome.push(bucket.put(&format!("k{i}"), Bytes::new()).await.is_ok());
        }
        outcome
    };
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!((50..90).contains(&first.iter().filter(|ok| **ok).count()));
}

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(Op, u64, bool)>>);

impl Observe for Notes {
    fn observe(&self, call: Call) {
        self.0.lock().unwrap().push((call.op, call.bytes, call.failed));
    }
}

#[tokio::test]
async fn every_call_is_counted_once() {
    let notes = Arc::new(Notes::default());
    let bucket = Bucket::in_memory().observed(notes.clone(), ManualClock::at_nanos(0));
    bucket.put_create("k", Bytes::from_static(b"abc")).await.unwrap();
    bucket.put_create("k", Bytes::from_static(b"abcd")).await.unwrap();
    bucket.get("k").await.unwrap();
    bucket.get_range("k", 1..3).await.unwrap();
    bucket.get("none").await.unwrap_err();
    bucket.head("none").await.unwrap();
    drop(bucket.list(""));
    bucket.list_dirs("").await.unwrap();
    bucket.delete("k").await.unwrap();
    let expected = [
        (Op::PutCreate, 3),
        (Op::PutCreate, 4),
        (Op::Get, 3),
        (Op::GetRange, 2),
        (Op::Get, 0),
        (Op::Head, 0),
        (Op::List, 0),
        (Op::List, 0),
        (Op::Delete, 0),
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected.map(|(op, bytes)| (op, bytes, false)));
}
