//! The real server with its data in each kind of store: what was pushed is there for another process with nothing but
//! the bucket.

use flamestore_clock::{Clock, SystemClock};
use flamestore_objstore::{s3, self_test};
use flamestore_tests::Server;
use flamestore_tests::stores::{Azurite, Emulator, Habits, S3};

use super::promises::wait;

/// Pushes, stops, and asks a server that has never seen the first one's disk. `secret` may be shown nowhere.
fn outlives_its_server(flags: &[String], secret: Option<&str>) {
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("-storage.prefix=a/b");
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let selector = r#"{service_name="shop"}"#;
    let mut first = Server::start(&flags);
    for (back, stacks) in [(120, "main;serve;parse 3\nmain;serve 4\n"), (60, "main;serve;parse 11\nidle 7\n")] {
        let (status, body) = first.client().push_folded("shop", now - back, stacks).expect("an answer");
        assert_eq!(status, 200, "{body}");
    }
    let before = first.client().cpu(selector, now - 600, now + 60);
    assert_eq!(before.total, 25 * 10_000_000);
    if let Some(secret) = secret {
        let shown = first.client().get("/config").expect("the configuration");
        assert!(shown.contains("********") && !shown.contains(secret), "{shown}");
    }
    first.stop();
    let log = first.log();
    assert!(secret.is_none_or(|secret| !log.contains(secret)), "{log}");
    assert!(flamestore_tests::files(&first.bucket()).is_empty(), "nothing is in a directory");

    let second = Server::start(&flags);
    let after = second.client().cpu(selector, now - 600, now + 60);
    assert_eq!((after.total, &after.totals), (before.total, &before.totals));
    drop(second);

    // And for the first one again, with its own disk: nothing is counted twice.
    first.start_again();
    assert_eq!(first.client().cpu(selector, now - 600, now + 60).totals, before.totals);
    first.stop();
}

#[test]
fn profiles_in_s3_outlive_their_server() {
    let Some(store) = S3::start() else { return };
    outlives_its_server(&store.flags(), Some(S3::SECRET));
}

#[test]
fn https_is_spoken_to_a_store_whose_certificate_is_trusted() {
    let Some(store) = S3::start_with_tls() else { return };
    let certificate = store.certificate().expect("it has one").display().to_string();
    let flags = store.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = || Server::start_with(&flags, &[("SSL_CERT_FILE", &certificate)]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let mut first = start();
    let (status, body) = first.client().push_folded("shop", now - 60, "main;serve 4\n").expect("an answer");
    assert_eq!(status, 200, "{body}");
    first.stop();
    assert_eq!(start().client().cpu(r#"{service_name="shop"}"#, now - 600, now + 60).total, 4 * 10_000_000);

    let bucket = s3::open(&store.settings(), "", &|_| None).expect("a bucket");
    let refused = wait(self_test::run(&bucket, 1)).expect_err("this process does not trust it");
    assert!(format!("{refused:?}").contains("InvalidCertificate"), "{refused:?}");
}

#[test]
fn profiles_in_azure_outlive_their_server() {
    let Some(store) = Azurite::start() else { return };
    outlives_its_server(&store.flags(), Some(Azurite::SECRET));
}

#[test]
fn profiles_in_gcs_outlive_their_server() {
    let store = Emulator::start(Habits::default());
    outlives_its_server(&store.flags(), None);
    assert!(store.keys().iter().all(|key| key.starts_with("a/b/anonymous/")), "{:?}", store.keys());
}
