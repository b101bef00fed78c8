//! Latency and rate of appends: `cargo bench -p flamestore-wal`. Prints one line for each number of callers.

#![allow(clippy::disallowed_methods)] // It measures the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flamestore_clock::{SeededChance, SystemClock};
use flamestore_wal::{Batch, Observer, Wal, WalOptions};

#[derive(Default)]
struct Syncs {
    syncs: AtomicU64,
    nanos: AtomicU64,
}

impl Observer for Syncs {
    fn committed(&self, batch: Batch) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(batch.sync_nanos, Ordering::Relaxed);
    }
}

fn main() {
    // `cargo test --benches` runs this too, with an argument that says so.
    let seconds = if std::env::args().any(|a| a == "--bench") { 3 } else { 0 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = std::env::var("BENCH_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    println!(
        "{:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "callers", "appends/s", "MiB/s", "p50 us", "p99 us", "p999 us", "batch", "sync us"
    );
    for callers in [1, 8, 64, 256] {
        let dir = tempfile::tempdir_in(&folder).expect("a folder");
        let seen = Arc::new(Syncs::default());
        let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SeededChance::new(1)));
        let (wal, _) = Wal::open(dir.path(), WalOptions::default(), clock, chance, seen.clone()).expect("a log");
        let wal = Arc::new(wal);
        let started = Instant::now();
        let mut nanos: Vec<u64> = runtime.block_on(async {
            let tasks: Vec<_> = (0..callers)
                .map(|_| {
                    let wal = wal.clone();
                    tokio::spawn(async move {
                        let (head, body) = (Bytes::from(vec![1; 200]), Bytes::from(vec![2; 20 << 10]));
                        let mut nanos = Vec::new();
                        while started.elapsed() < Duration::from_secs(seconds) {
                            let at = Instant::now();
                            wal.append(vec![vec![head.clone(), body.clone()]]).await.expect("an append");
                            nanos.push(at.elapsed().as_nanos() as u64);
                        }
                        nanos
                    })
                })
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.expect("a caller"));
            }
            all
        });
        if nanos.is_empty() {
            continue;
        }
        nanos.sort_unstable();
        let us = |q: f64| nanos[((nanos.len() - 1) as f64 * q) as usize] / 1000;
        let rate = nanos.len() as f64 / started.elapsed().as_secs_f64();
        let syncs = seen.syncs.load(Ordering::Relaxed).max(1);
        println!(
            "{callers:>7} {rate:>9.0} {:>9.1} {:>9} {:>9} {:>9} {:>9.1} {:>9}",
            rate * 20.2 / 1024.0,
            us(0.5),
            us(0.99),
            us(0.999),
            nanos.len() as f64 / syncs as f64,
            seen.nanos.load(Ordering::Relaxed) / syncs / 1000
        );
    }
}
