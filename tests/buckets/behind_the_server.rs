//! The real server with its data in each kind of store: what was pushed is there for another process with nothing but
//! the bucket.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::stores::{Azurite, Emulator, Habits, S3};

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
