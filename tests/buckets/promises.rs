//! Every store keeps the bucket's promises, with and without faults around it.

use flamestore_model::Kind;
use flamestore_objstore::remote::MAX_RETRIES;
use flamestore_objstore::{Bucket, Put, azure, conformance, gcs, s3, self_test};
use flamestore_tests::stores::{Azurite, BUCKET, Emulator, Habits, S3};

const NOTHING: flamestore_objstore::Environment<'static> = &|_| None;
const PREFIX: &str = "profiles/of us";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_server_keeps_the_promises() {
    let Some(server) = S3::start() else { return };
    conformance::run(&s3::open(&server.settings(), PREFIX, NOTHING).expect("a bucket")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_azure_server_keeps_the_promises() {
    let Some(server) = Azurite::start() else { return };
    let settings = azure::Settings {
        connection_string: server.connection_string(),
        container: BUCKET.into(),
        max_retries: MAX_RETRIES,
        ..azure::Settings::default()
    };
    conformance::run(&azure::open(&settings, PREFIX, NOTHING).expect("a bucket")).await;
}

#[test]
fn a_gcs_server_keeps_the_promises() {
    let server = Emulator::start(Habits::default());
    let bucket = gcs::open(&server.gcs(), PREFIX, NOTHING).expect("a bucket");
    wait(conformance::run(&bucket));
    assert!(server.keys().is_empty());
}

#[test]
fn a_bucket_without_a_prefix_keeps_the_promises_too() {
    let server = Emulator::start(Habits::default());
    wait(conformance::run(&s3::open(&server.s3(), "", NOTHING).expect("a bucket")));
}

#[test]
fn a_store_that_asks_for_fewer_requests_is_asked_again() {
    let server = Emulator::start(Habits { throttles: 2, ..Habits::default() });
    let bucket = gcs::open(&server.gcs(), "", NOTHING).expect("a bucket");
    assert_eq!(wait(bucket.put_create("k", "v".into())).expect("a put"), Put::Created);
}

#[test]
fn a_conflict_is_no_proof_that_the_object_is_there() {
    let server = Emulator::start(Habits { conflicts: 1, ..Habits::default() });
    let bucket = s3::open(&server.s3(), "", NOTHING).expect("a bucket");
    let refused = wait(bucket.put_create("k", "v".into())).expect_err("nothing was written");
    assert_eq!(refused.kind, Kind::Unavailable, "{refused}");
    assert_eq!(wait(bucket.put_create("k", "v".into())).expect("a put"), Put::Created);
    assert_eq!(wait(bucket.put_create("k", "w".into())).expect("a put"), Put::AlreadyExists);
}

#[test]
fn a_create_whose_answer_was_lost_meets_its_own_object() {
    let server = Emulator::start(Habits { loses_answers: 1, ..Habits::default() });
    let bucket = s3::open(&server.s3(), "", NOTHING).expect("a bucket");
    wait(self_test::run(&bucket, 7)).expect("the self-test is not misled");
    let server = Emulator::start(Habits { loses_answers: 1, ..Habits::default() });
    let bucket = s3::open(&server.s3(), "", NOTHING).expect("a bucket");
    assert_eq!(wait(bucket.put_create("k", "v".into())).expect("a put"), Put::AlreadyExists);
    assert_eq!(wait(bucket.get("k")).expect("a get"), "v");
}

#[test]
fn many_calls_at_once_wait_for_their_turns() {
    let server = Emulator::start(Habits::default());
    let bucket = gcs::open(&server.gcs(), "", NOTHING).expect("a bucket");
    wait(async {
        let puts = (0..500).map(|i| {
            let bucket: Bucket = bucket.clone();
            tokio::spawn(async move { bucket.put_create(&format!("k/{i}"), "v".into()).await })
        });
        for put in puts.collect::<Vec<_>>() {
            assert_eq!(put.await.expect("no panic").expect("a put"), Put::Created);
        }
    });
    assert_eq!(server.keys().len(), 500);
}

/// The emulator has a runtime of its own, which must not be dropped inside another.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}
