//! Pushes that remember what was acknowledged, and the comparison with what is answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::{Client, folded};
use flamestore_tests::server::Server;
use flamestore_tests::until;

const PUSHERS: usize = 4;
/// Nanoseconds of CPU that one folded count stands for at 100 Hz.
const NANOS_PER_COUNT: i64 = 10_000_000;
/// Small heads and segments, so that kills strike flushes and new segments too; compaction and deletion all the time, so
/// that they strike those; and no limit on the load.
pub(super) const FLAGS: &[&str] = &[
    "-ingester.max-head-bytes=100000",
    "-ingester.wal-segment-bytes=50000",
    "-compactor.compaction-interval=50ms",
    "-compactor.cleanup-interval=50ms",
    // A query of ours takes a few milliseconds.
    "-compactor.deletion-delay=1s",
    "-distributor.ingestion-rate-limit-mb=1000",
    "-distributor.ingestion-burst-size-mb=1000",
];

/// What pushers know: each push has a function name of its own.
#[derive(Default)]
struct Sent {
    /// Function name → value; the server said 200.
    acknowledged: BTreeMap<String, i64>,
    /// No answer came, or that the log failed: kept or not, but never twice.
    unknown: BTreeMap<String, i64>,
}

/// Everything pushed to one server over all its starts.
pub(super) struct Load {
    sent: Arc<Mutex<Sent>>,
    serial: Arc<AtomicI64>,
    start: i64,
}

/// Pushers at work until [`Running::end`].
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    pushers: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn new() -> Load {
        Load { sent: Arc::default(), serial: Arc::new(AtomicI64::new(1)), start: now() }
    }

    pub(super) fn run(&self, server: &Server) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let pusher = |_| {
            let (client, sent, serial, stop) = (server.client(), self.sent.clone(), self.serial.clone(), stop.clone());
            thread::spawn(move || push_until(&client, &sent, &serial, &stop))
        };
        Running { pushers: (0..PUSHERS).map(pusher).collect(), stop }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.sent().acknowledged.len()
    }

    /// Waits until more pushes than these are acknowledged.
    pub(super) fn exceeds(&self, pushes: usize) {
        until("an acknowledged push", || (self.acknowledged() > pushes).then_some(()).ok_or_else(String::new));
    }

    /// Everything acknowledged is answered once; everything else once or not at all.
    pub(super) fn compare(&self, server: &Server, when: &str) {
        let sent = self.sent();
        let flame = server.client().cpu(r#"{service_name="crash"}"#, self.start - 1, now() + 1);
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

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().expect("no pusher failed")
    }
}

impl Running {
    /// Call it when the server is dead: a push under way then ends.
    pub(super) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for pusher in self.pushers {
            pusher.join().expect("a pusher");
        }
    }
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
        let mut sent = sent.lock().expect("no pusher failed");
        match reply {
            Ok((200, _)) => sent.acknowledged.insert(name, count * NANOS_PER_COUNT),
            Ok((503, _)) | Err(_) => sent.unknown.insert(name, count * NANOS_PER_COUNT),
            Ok(other) => panic!("push {n}: {other:?}"),
        };
    }
}
