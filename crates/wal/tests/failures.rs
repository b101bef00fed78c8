//! What the log does when the disk fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fail::FailScenario;
use flamestore_clock::{SeededChance, SystemClock};
use flamestore_model::Kind;
use flamestore_wal::{Recovered, Silent, Wal, WalOptions};

fn open(dir: &Path, revive_after: Duration) -> (Wal, Recovered) {
    let options = WalOptions { revive_after, segment_bytes: 200, ..WalOptions::default() };
    let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SeededChance::from_system()));
    Wal::open(dir, options, clock, chance, Arc::new(Silent)).unwrap()
}

async fn append(wal: &Wal, text: &'static str) -> Result<u64, flamestore_model::Fault> {
    wal.append(vec![vec![Bytes::from_static(text.as_bytes())]]).await.map(|c| c.first_lsn)
}

fn read(found: &Recovered) -> Vec<String> {
    let records = found.segments.iter().flat_map(|s| s.records().unwrap());
    records.map(|r| String::from_utf8(r.unwrap().payload.to_vec()).unwrap()).collect()
}

const POINTS: [&str; 3] = ["wal-before-write", "wal-after-write", "wal-after-sync"];
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    let scenario = FailScenario::setup();
    for point in POINTS {
        let dir = tempfile::tempdir().unwrap();
        let (wal, _) = open(dir.path(), NEVER);
        append(&wal, "kept").await.unwrap();
        fail::cfg(point, "return").unwrap();
        assert_eq!(append(&wal, "failed").await.unwrap_err().kind, Kind::Unavailable, "{point}");
        fail::remove(point);
        assert_eq!(append(&wal, "refused").await.unwrap_err().kind, Kind::Unavailable, "{point}");
        assert!(wal.ready().is_err());
        drop(wal);
        // The batch that failed may have reached the disk or not; what came after it has not.
        let found = read(&open(dir.path(), NEVER).1);
        assert!(found == ["kept"] || found == ["kept", "failed"], "{point}: {found:?}");
    }
    scenario.teardown();
}

#[tokio::test]
async fn the_log_heals_when_the_disk_does_and_never_reads_the_failed_batch_back() {
    let scenario = FailScenario::setup();
    for point in POINTS {
        let dir = tempfile::tempdir().unwrap();
        let (wal, _) = open(dir.path(), Duration::from_millis(1));
        append(&wal, "first").await.unwrap();
        fail::cfg("wal-create", "return").unwrap();
        fail::cfg(point, "return").unwrap();
        append(&wal, "failed").await.unwrap_err();
        append(&wal, "refused").await.unwrap_err();
        fail::remove(point);
        fail::remove("wal-create");
        while wal.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        append(&wal, "second").await.unwrap();
        drop(wal);
        let (wal, found) = open(dir.path(), NEVER);
        assert_eq!(read(&found), ["first", "second"], "{point}");
        append(&wal, "third").await.unwrap();
        drop(wal);
        assert_eq!(read(&open(dir.path(), NEVER).1), ["first", "second", "third"], "{point}");
    }
    scenario.teardown();
}

#[tokio::test]
async fn a_queue_that_stays_full_refuses() {
    let scenario = FailScenario::setup();
    let dir = tempfile::tempdir().unwrap();
    let options =
        WalOptions { max_queue_bytes: 100, max_queue_wait: Duration::from_millis(20), ..WalOptions::default() };
    let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SeededChance::new(1)));
    let (wal, _) = Wal::open(dir.path(), options, clock, chance, Arc::new(Silent)).unwrap();
    fail::cfg("wal-before-write", "pause").unwrap();
    let one = || wal.append(vec![vec![Bytes::from_static(&[0; 84])]]);
    let stuck = one();
    let refused = async {
        let fault = one().await.unwrap_err();
        fail::remove("wal-before-write");
        fault
    };
    let (stuck, refused) = tokio::join!(stuck, refused);
    assert_eq!(refused.kind, Kind::Unavailable);
    assert!(refused.message.contains("wal_queue_bytes"), "{refused}");
    stuck.unwrap();
    scenario.teardown();
}
