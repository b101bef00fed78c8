//! SIGKILL at random moments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flamestore_clock::{Chance, Clock, SeededChance, SystemClock};
use flamestore_tests::client::{Client, folded};
use flamestore_tests::server::Server;

const KILLS: usize = 50;
const PUSHERS: usize = 4;
/// The load runs between these many milliseconds before each kill.
const LOAD_MS: std::ops::Range<u64> = 20..400;
/// Nanoseconds of CPU that one folded count stands for at 100 Hz.
const NANOS_PER_COUNT: i64 = 10_000_000;

/// What pushers know: each push has a function name of its own.
#[derive(Default)]
struct Sent {
    /// Function name → value; the server said 200.
    acknowledged: BTreeMap<String, i64>,
    /// No answer came: kept or not, but never twice.
    unknown: BTreeMap<String, i64>,
}

#[test]
fn what_was_acknowledged_is_answered_once_after_every_sigkill() {
    let seed = SystemClock::default().now_nanos() as u64;
    println!("seed {seed}");
    let chance = SeededChance::new(seed);
    // Small heads and short epochs, so that kills strike flushes too.
    let mut server = Server::start(&[
        "-ingester.max-head-bytes=200000",
        "-distributor.ingestion-rate-limit-mb=1000",
        "-distributor.ingestion-burst-size-mb=1000",
    ]);
    let sent = Arc::new(Mutex::new(Sent::default()));
    let serial = Arc::new(AtomicI64::new(1));
    let start = now();
    for kill in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|_| {
                let (client, sent, serial, stop) = (server.client(), sent.clone(), serial.clone(), stop.clone());
                thread::spawn(move || push_until(&client, &sent, &serial, &stop))
            })
            .collect();
        let load = LOAD_MS.start + chance.next_u64() % (LOAD_MS.end - LOAD_MS.start);
        thread::sleep(Duration::from_millis(load));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for pusher in pushers {
            pusher.join().expect("a pusher");
        }
        server.start_again();
        compare(&server.client(), &sent.lock().expect("sent"), start, &format!("kill {kill}, seed {seed}"));
    }
    let blocks = walk(&server.bucket()).filter(|p| p.ends_with("meta.json")).count();
    let pushes = sent.lock().expect("sent").acknowledged.len();
    println!("{pushes} pushes acknowledged over {KILLS} kills, {blocks} blocks");
    assert!(pushes > KILLS, "the load must be real: only {pushes} pushes");
    assert!(blocks > 3, "kills must have struck flushes: only {blocks} blocks");
    // And after a clean stop, from blocks alone.
    server.stop();
    server.start_again();
    compare(&server.client(), &sent.lock().expect("sent"), start, "clean stop");
}

fn now() -> i64 {
    SystemClock::default().now_nanos() / 1_000_000_000
}

fn push_until(client: &Client, sent: &Mutex<Sent>, serial: &AtomicI64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let n = serial.fetch_add(1, Ordering::Relaxed);
        let name = format!("fn{n}");
        let count = n % 97 + 1;
        // Every push has the same labels and often the same second: nothing may collapse.
        let reply = client.push_folded("crash", now(), &folded(&["main", "work", &name], count));
        let mut sent = sent.lock().expect("sent");
        match reply {
            Ok((200, _)) => sent.acknowledged.insert(name, count * NANOS_PER_COUNT),
            Ok((503, _)) | Err(_) => sent.unknown.insert(name, count * NANOS_PER_COUNT),
            Ok(other) => panic!("push {n}: {other:?}"),
        };
    }
}

fn compare(client: &Client, sent: &Sent, start: i64, when: &str) {
    let flame = client.cpu(r#"{service_name="crash"}"#, start - 1, now() + 1);
    let mut expected = sent.acknowledged.clone();
    for (name, value) in &sent.unknown {
        if let Some(answered) = flame.self_values.get(name) {
            assert_eq!(answered, value, "{when}: unanswered push {name} counts more than once");
            expected.insert(name.clone(), *value);
        }
    }
    for (name, value) in &expected {
        assert_eq!(flame.self_values.get(name), Some(value), "{when}: push {name} was acknowledged");
    }
    assert_eq!(flame.total, expected.values().sum::<i64>(), "{when}");
    assert_eq!(flame.self_values.len(), expected.len(), "{when}");
}

fn walk(dir: &std::path::Path) -> impl Iterator<Item = std::path::PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.into_iter()
}
