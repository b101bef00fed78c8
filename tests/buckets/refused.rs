//! Stores that would lose data, or that do not let us do our work, are refused with what is missing.

use std::process::Command;
use std::time::Duration;

use flamestore_model::{Fault, Kind};
use flamestore_objstore::{gcs, s3, self_test};
use flamestore_tests::server::binary;
use flamestore_tests::stores::emulator::Right;
use flamestore_tests::stores::{BUCKET, Emulator, Habits};

use super::promises::wait;

/// The fault with its causes, by the self-test over a store with these habits.
fn refused(habits: Habits) -> (Fault, String) {
    let server = Emulator::start(habits);
    let bucket = s3::open(&server.s3(), "p", &|_| None).expect("a bucket");
    let fault = wait(self_test::run(&bucket, 1)).expect_err("this store is not to be trusted");
    let told = format!("{fault} {fault:?}");
    if habits.forbids != Some(Right::Delete) && !habits.deletes_nothing {
        assert!(server.keys().is_empty(), "{:?} is left over after {fault}", server.keys());
    }
    (fault, told)
}

#[test]
fn a_store_that_would_lose_data_is_refused_by_what_it_lacks() {
    let normal = Habits::default();
    for (habits, words) in [
        (Habits { ignores_conditions: true, ..normal }, "If-None-Match"),
        (Habits { refuses_conditions: true, ..normal }, "If-None-Match"),
        (Habits { ignores_ranges: true, ..normal }, "Range header"),
        (Habits { lists_nothing: true, ..normal }, "does not list what was just written"),
        (Habits { deletes_nothing: true, ..normal }, "after it was deleted"),
        (Habits { keeps_the_first: true, ..normal }, "reads must see the last write"),
    ] {
        let (fault, told) = refused(habits);
        assert!(told.contains(words), "{habits:?}: {told}");
        assert_eq!(fault.kind, Kind::Invalid, "{habits:?}: {told}");
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    for (right, words) in [
        (Right::Write, "s3:PutObject"),
        (Right::Read, "s3:GetObject"),
        (Right::List, "s3:ListBucket"),
        (Right::Delete, "s3:DeleteObject"),
    ] {
        let (fault, told) = refused(Habits { forbids: Some(right), ..Habits::default() });
        assert!(fault.message.contains(words), "{right:?}: {told}");
        assert_eq!(fault.kind, Kind::Invalid, "{right:?}: {told}");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_told_so() {
    let server = Emulator::start(Habits::default());
    let settings = gcs::Settings { bucket: "elsewhere".into(), ..server.gcs() };
    let bucket = gcs::open(&settings, "", &|_| None).expect("a bucket");
    let fault = wait(self_test::run(&bucket, 1)).expect_err("there is none");
    assert!(fault.message.contains("no such bucket"), "{fault}");
}

#[test]
fn the_server_ends_with_a_sentence_and_without_secrets() {
    let server = Emulator::start(Habits { ignores_conditions: true, ..Habits::default() });
    let dir = tempfile::tempdir().expect("a directory");
    let run = |flags: &[String]| {
        let mut command = Command::new(binary());
        command.arg("-server.http-listen-port=0").arg("-server.grpc-listen-port=0");
        command.arg(format!("-pyroscopedb.data-path={}", dir.path().display()));
        let ran = command.args(flags).output().expect("it runs");
        assert!(!ran.status.success());
        String::from_utf8_lossy(&ran.stderr).into_owned()
    };
    let said = run(&server.flags());
    assert!(said.contains("x-goog-if-generation-match"), "{said}");

    let secret = "hunter2hunter2";
    let s3 = |more: &[&str]| {
        let mut flags = vec![
            "-storage.backend=s3".to_owned(),
            format!("-storage.s3.bucket-name={BUCKET}"),
            format!("-storage.s3.secret-access-key={secret}"),
        ];
        flags.extend(more.iter().map(|f| (*f).to_owned()));
        let said = run(&flags);
        assert!(!said.contains(secret), "{said}");
        said
    };
    assert!(s3(&[]).contains("storage.s3.access_key_id"));
    assert!(s3(&["-storage.s3.sse.type=SSE-C"]).contains("SSE-KMS"));
    let both = ["-storage.s3.force-path-style=true", "-storage.s3.bucket-lookup-type=virtual-hosted"];
    assert!(s3(&both).contains("storage.s3.force_path_style"));
}

#[test]
fn a_store_that_cannot_be_reached_is_told_with_the_reason() {
    // Bound, so that nobody else gets the port, and not listening.
    let bound = tokio::net::TcpSocket::new_v4().expect("a socket");
    bound.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let nobody = bound.local_addr().expect("its address");
    let server = Emulator::start(Habits::default());
    let settings = s3::Settings { endpoint: nobody.to_string(), ..server.s3() };
    let bucket = s3::open(&settings, "", &|_| None).expect("a bucket");
    let tried = wait(async { tokio::time::timeout(Duration::from_secs(60), self_test::run(&bucket, 1)).await });
    let fault = tried.expect("attempts are bounded").expect_err("nobody listens");
    assert_eq!(fault.kind, Kind::Unavailable, "{fault}");
    assert!(format!("{fault:?}").contains(&nobody.port().to_string()), "{fault:?}");
}
