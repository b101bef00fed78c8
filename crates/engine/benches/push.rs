//! A store on a disk: latency of pushes and of the start. `cargo bench -p flamestore-engine`.
#![allow(clippy::disallowed_methods)] // It measures the machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flamestore_api::{Ingester, PushedProfile, Reader};
use flamestore_block::BlockCache;
use flamestore_clock::{SeededChance, SystemClock};
use flamestore_engine::{Engine, EngineConfig, Parts, Silent};
use flamestore_model::{Labels, ProfileId, ProfileType, Select, StoredSeries, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;
use flamestore_pprof::NormalizeOptions;
use flamestore_pprof::encode::Writer;

const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const START_NANOS: i64 = 1_763_697_600_000_000_000;

fn main() {
    // `cargo test --benches` runs this too, with an argument that says so.
    let is_bench = std::env::args().any(|a| a == "--bench");
    let (seconds, blocks) = if is_bench { (5, 1000) } else { (0, 2) };
    let folder = std::env::var("BENCH_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for pushers in [1, 8, 64] {
        let dir = tempfile::tempdir_in(&folder).expect("a folder");
        runtime.block_on(pushes(dir.path(), pushers, seconds));
    }
    let dir = tempfile::tempdir_in(&folder).expect("a folder");
    runtime.block_on(starts(dir.path(), blocks));
}

/// Pushes for some seconds, asks, starts again over the log.
async fn pushes(dir: &std::path::Path, pushers: u64, seconds: u64) {
    let engine = start(dir).await;
    // Made beforehand: only the store is measured.
    let bodies: Arc<Vec<bytes::Bytes>> = Arc::new((0..50).map(body).collect());
    let started = Instant::now();
    let tasks: Vec<_> = (0..pushers)
        .map(|p| {
            let (engine, bodies) = (engine.clone(), bodies.clone());
            tokio::spawn(async move {
                let mut nanos = Vec::new();
                while started.elapsed() < Duration::from_secs(seconds) {
                    let n = nanos.len() as u64;
                    let profile = profile(p, n, bodies[n as usize % bodies.len()].clone());
                    let at = Instant::now();
                    let results = engine.push(&TenantId::anonymous(), vec![profile]).await;
                    nanos.push(at.elapsed().as_nanos() as u64);
                    results.into_iter().for_each(|r| r.expect("a push"));
                }
                nanos
            })
        })
        .collect();
    let mut nanos = Vec::new();
    for task in tasks {
        nanos.extend(task.await.expect("a pusher"));
    }
    if nanos.is_empty() {
        return;
    }
    let elapsed = started.elapsed().as_secs_f64();
    nanos.sort_unstable();
    let us = |q: f64| nanos[((nanos.len() - 1) as f64 * q) as usize] / 1000;
    let raw = bodies[0].len();
    println!(
        "push: {pushers} pushers, {:.0} profiles/s of {raw} bytes, p50 {} us, p99 {} us, p999 {} us, head {} bytes/profile",
        nanos.len() as f64 / elapsed,
        us(0.5),
        us(0.99),
        us(0.999),
        engine.stats().memory_bytes / nanos.len(),
    );
    let at = Instant::now();
    let total = total(&engine).await;
    println!("  query over the heads: {:?}", at.elapsed());
    drop(engine);
    let at = Instant::now();
    let engine = start(dir).await;
    println!("  start with {} profiles in the log: {:?}", nanos.len(), at.elapsed());
    assert_eq!(self::total(&engine).await, total);
    let at = Instant::now();
    engine.flush().await.expect("a flush");
    println!("  flush: {:?}", at.elapsed());
    assert_eq!(self::total(&engine).await, total);
}

/// Starts over many blocks.
async fn starts(dir: &std::path::Path, blocks: u64) {
    let engine = start(dir).await;
    for i in 0..blocks {
        engine.push(&TenantId::anonymous(), vec![profile(0, i, body(i))]).await.pop().expect("one").expect("a push");
        engine.flush().await.expect("a flush");
    }
    let total = total(&engine).await;
    drop(engine);
    let at = Instant::now();
    let engine = start(dir).await;
    println!("start with {blocks} blocks: {:?}", at.elapsed());
    let at = Instant::now();
    assert_eq!(self::total(&engine).await, total);
    println!("  cold query over all of them: {:?}", at.elapsed());
}

async fn start(dir: &std::path::Path) -> Arc<Engine> {
    let engine = Engine::new(Parts {
        config: EngineConfig::in_dir(dir.join("data")),
        bucket: Bucket::filesystem(dir.join("bucket")).expect("a bucket"),
        cache: BlockCache::new(256 << 20),
        clock: Arc::new(SystemClock::default()),
        chance: Arc::new(SeededChance::from_system()),
        observer: Arc::new(Silent),
        wal_observer: Arc::new(flamestore_wal::Silent),
    });
    engine.start().await.expect("a start");
    Arc::new(engine)
}

async fn total(engine: &Engine) -> i64 {
    let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: i64::MAX });
    select.profile_type = ProfileType::parse(TYPE).ok();
    let query = TreeQuery::whole(select);
    engine.tree(&TenantId::anonymous(), &query).await.expect("an answer").value.total()
}

/// About 20 KB plain: 140 stacks of 20 frames out of 320 functions.
fn body(seed: u64) -> bytes::Bytes {
    let mut w = Writer::new();
    w.sample_type("cpu", "nanoseconds");
    let mut bits = seed;
    for _ in 0..140 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let path = bits >> 33;
        let frame = |depth: u32| format!("package/function.{}.{depth}", path >> (20 - depth) & 15);
        let stack: Vec<u64> = (0..20).rev().map(|depth| w.frame(&frame(depth))).collect();
        w.sample(&stack, &[10_000_000 + (path & 1023) as i64], &[]);
    }
    w.finish().into()
}

fn profile(pusher: u64, n: u64, raw: bytes::Bytes) -> PushedProfile {
    let labels = Labels::from_pairs([
        ("service_name", format!("service-{}", pusher % 4)),
        ("pod", format!("pod-{pusher}")),
        ("__profile_type__", TYPE.to_owned()),
    ]);
    PushedProfile {
        profile_id: ProfileId::v7(n, u128::from(pusher) << 60),
        time_nanos: START_NANOS + n as i64 * 15_000_000_000,
        raw,
        options: NormalizeOptions { go: true, ..NormalizeOptions::default() },
        series: vec![StoredSeries { labels, group: 0, column: 0 }],
        annotations: Vec::new(),
        decoded: None,
    }
}
