//! A day of pushes, flushes, compactions, retention and queries, by a clock that is moved: memory, open files and objects stay
//! what they were when the first profiles had gone. `FLAMESTORE_SOAK_HOURS=n` makes it longer.

#[path = "../shared/follows.rs"]
mod follows;

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flamestore_api::{Ingester, PushedProfile, Reader};
use flamestore_block::BlockCache;
use flamestore_clock::{Chance, Clock, ManualClock, SeededChance};
use flamestore_compaction::PlanConfig;
use flamestore_compactor::observe::Silent;
use flamestore_compactor::{Compactor, CompactorConfig, FileSystem, Parts};
use flamestore_engine::{Engine, EngineConfig};
use flamestore_limits::{Limits, Overrides};
use flamestore_model::{Labels, ProfileId, ProfileType, Select, StoredSeries, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;
use flamestore_pprof::NormalizeOptions;
use flamestore_pprof::encode::Writer;
use futures::TryStreamExt;

use follows::StoreFollows;

/// The server's: another one may keep, for each of its threads, what others could use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const HOURS: usize = 24;
const RETENTION_HOURS: i64 = 6;
const SERVICES: u64 = 3;
const PUSH_EVERY: Duration = Duration::from_secs(15);
const PUSHES_PER_FLUSH: usize = 60;
const FLUSHES_PER_HOUR: usize = 4;
const HOURS_PER_COMPACTION: usize = 2;
const NANOS_PER_HOUR: i64 = 3_600_000_000_000;
/// Far ahead of the machine's clock, by which objects are dated.
const START_NANOS: i64 = 4_102_444_800_000_000_000;
const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const VALUE: i64 = 1000;
/// Small, so that caches are full before the hours that are compared.
const CACHE_BYTES: u64 = 2 << 20;

/// What an hour has left behind.
#[derive(Debug, Clone, Copy)]
struct Sample {
    head_bytes: usize,
    /// Everything that is in use on the heap.
    allocated_bytes: usize,
    log_bytes: u64,
    blocks: usize,
    resident_bytes: u64,
    open_files: usize,
    objects: usize,
    snapshots: usize,
    snapshot_bytes: u64,
}

struct World {
    clock: Arc<ManualClock>,
    chance: SeededChance,
    bucket: Bucket,
    engine: Arc<Engine>,
    compactor: Compactor,
    tenant: TenantId,
}

impl World {
    async fn start(dir: &Path) -> World {
        let clock = ManualClock::at_nanos(START_NANOS);
        let bucket = Bucket::filesystem(dir.join("bucket")).unwrap();
        let mut config = EngineConfig::in_dir(dir.join("local"));
        config.wal.segment_bytes = 1 << 20;
        config.result_cache_bytes = CACHE_BYTES;
        let engine = Arc::new(Engine::new(flamestore_engine::Parts {
            config,
            bucket: bucket.clone(),
            cache: BlockCache::new(CACHE_BYTES),
            clock: clock.clone(),
            chance: Arc::new(SeededChance::new(1)),
            observer: Arc::new(flamestore_engine::Silent),
            wal_observer: Arc::new(flamestore_wal::Silent),
        }));
        engine.start().await.unwrap();
        let mut limits = Limits::default();
        limits.set("retention_period", &serde_json::json!(format!("{RETENTION_HOURS}h"))).unwrap();
        let config = CompactorConfig {
            compaction_interval: Duration::from_secs(1),
            cleanup_interval: Duration::from_secs(1),
            enforcement_interval: Duration::from_secs(1),
            plan: PlanConfig {
                ranges: [1, 2, 4].map(|h| Duration::from_secs(3600 * h)).to_vec(),
                settle: Duration::from_secs(300),
                max_memory_bytes: 64 << 20,
            },
            data_dir: dir.join("compactor"),
            concurrency: 1,
            max_time_on_tenant: None,
            deletion_delay: Duration::from_secs(3600),
            cleanup_enabled: true,
            max_tenant_bytes: None,
            disk: None,
            enabled_tenants: vec![],
            disabled_tenants: vec![],
            max_parallel_metas: 4,
        };
        let parts = Parts {
            bucket: bucket.clone(),
            overrides: Arc::new(Overrides::new(limits)),
            clock: clock.clone(),
            chance: Arc::new(SeededChance::new(2)),
            disk: Arc::new(FileSystem),
            flusher: Arc::new(StoreFollows { engine: engine.clone(), name: None }),
            follower: Arc::new(StoreFollows { engine: engine.clone(), name: None }),
            observer: Arc::new(Silent),
        };
        let compactor = Compactor::new(config, parts);
        let tenant = TenantId::parse("anonymous").unwrap();
        World { clock, chance: SeededChance::new(3), bucket, engine, compactor, tenant }
    }

    /// A profile of each service.
    async fn push(&self) {
        let now = self.clock.now_nanos();
        let profiles = (0..SERVICES).map(|service| {
            let mut w = Writer::new();
            w.sample_type("cpu", "nanoseconds");
            w.time_nanos(now);
            let root = w.frame("main");
            let mut left = VALUE;
            for n in 0..8 {
                let value = if n == 7 { left } else { 1 + (self.chance.next_u64() % 100) as i64 };
                left -= value;
                let frames =
                    [w.frame(&format!("leaf{service}_{}", self.chance.next_u64() % 50)), w.frame("work"), root];
                w.sample(&frames, &[value], &[]);
            }
            let labels = Labels::from_pairs([
                ("service_name", format!("svc-{service}")),
                ("pod", format!("p{}", self.chance.next_u64() % 4)),
                ("__profile_type__", TYPE.to_owned()),
            ]);
            PushedProfile {
                profile_id: ProfileId::v7((now / 1_000_000) as u64, self.chance.next_u128()),
                time_nanos: now,
                raw: w.finish().into(),
                options: NormalizeOptions::default(),
                series: vec![StoredSeries { labels, group: 0, column: 0 }],
                annotations: Vec::new(),
                decoded: None,
            }
        });
        for pushed in self.engine.push(&self.tenant, profiles.collect()).await {
            pushed.unwrap();
        }
    }

    async fn hour(&self, hour: usize) -> Sample {
        for _ in 0..FLUSHES_PER_HOUR {
            for _ in 0..PUSHES_PER_FLUSH {
                self.clock.advance(PUSH_EVERY);
                self.push().await;
            }
            self.engine.flush().await.unwrap();
            self.compactor.clean_all().await.unwrap();
        }
        if hour.is_multiple_of(HOURS_PER_COMPACTION) {
            self.compactor.compact_all().await.unwrap();
        }
        self.ask(hour).await;
        self.sample().await
    }

    /// Everything that must still be there is answered, once.
    async fn ask(&self, hour: usize) {
        let now = self.clock.now_nanos();
        for back in [1, RETENTION_HOURS - 1] {
            let range = TimeRange { from_nanos: now - back * NANOS_PER_HOUR + 1, to_nanos: now };
            let mut select = Select::everything(range);
            select.profile_type = Some(ProfileType::parse(TYPE).unwrap());
            let answer = self.engine.tree(&self.tenant, &TreeQuery::whole(select)).await.unwrap();
            let pushes = back.min(hour as i64) * (PUSHES_PER_FLUSH * FLUSHES_PER_HOUR) as i64;
            assert_eq!(answer.value.total(), pushes * SERVICES as i64 * VALUE, "hour {hour}, {back} hours back");
            assert!(!answer.partial, "hour {hour}");
        }
    }

    async fn sample(&self) -> Sample {
        let objects: Vec<_> = self.bucket.list("").try_collect().await.unwrap();
        let snapshots = || objects.iter().filter(|o| o.key.ends_with(".json.zst"));
        let stats = self.engine.stats();
        tikv_jemalloc_ctl::epoch::advance().unwrap();
        Sample {
            head_bytes: stats.memory_bytes,
            allocated_bytes: tikv_jemalloc_ctl::stats::allocated::read().unwrap(),
            log_bytes: stats.log_bytes,
            blocks: stats.blocks,
            resident_bytes: resident_bytes(),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            objects: objects.len(),
            snapshots: snapshots().count(),
            snapshot_bytes: snapshots().map(|o| o.bytes).max().unwrap_or(0),
        }
    }
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The highest value of some hours.
fn most(samples: &[Sample], hours: RangeInclusive<usize>, of: impl Fn(&Sample) -> u64) -> u64 {
    samples[hours.start() - 1..*hours.end()].iter().map(of).max().unwrap()
}

#[test]
fn a_day_leaves_memory_files_and_objects_as_they_were() {
    let hours = std::env::var("FLAMESTORE_SOAK_HOURS").ok().and_then(|n| n.parse().ok()).unwrap_or(HOURS);
    assert!(hours >= HOURS, "retention and the largest range need {HOURS} hours to come round");
    // In memory where that is to be had: this asks nothing of a disk, and syncs of a busy one would be most of the time.
    let shm = Path::new("/dev/shm");
    let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    let dir = dir.unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let samples: Vec<Sample> = runtime.block_on(async {
        let world = World::start(dir.path()).await;
        let mut samples = Vec::new();
        for hour in 1..=hours {
            let sample = world.hour(hour).await;
            println!("hour {hour}: {sample:?}");
            samples.push(sample);
        }
        samples
    });
    // By a third of the time the first profiles have gone and their bytes too. Then windows of equal length, each with
    // several turns of the largest range.
    let third = hours / 3;
    let (before, after) = (third + 1..=2 * third, 2 * third + 1..=hours);
    type Of = fn(&Sample) -> u64;
    let bounds: [(&str, Of, f64, u64); 8] = [
        ("bytes in heads", |s| s.head_bytes as u64, 1.1, 4096),
        // The compactor's cache of 8 MiB need not be full by then.
        ("bytes on the heap", |s| s.allocated_bytes as u64, 1.1, 8 << 20),
        ("bytes of the log", |s| s.log_bytes, 1.1, 1 << 20),
        ("blocks", |s| s.blocks as u64, 1.0, 1),
        // The allocator gives pages back by the machine's time, which is the one thing here that goes slowly.
        ("resident bytes", |s| s.resident_bytes, 1.25, 8 << 20),
        ("open files", |s| s.open_files as u64, 1.0, 4),
        ("objects", |s| s.objects as u64, 1.05, 10),
        ("bytes of the index", |s| s.snapshot_bytes, 1.1, 512),
    ];
    for (what, of, factor, slack) in bounds {
        let (was, is) = (most(&samples, before.clone(), of), most(&samples, after.clone(), of));
        println!("{what}: at most {was} in hours {before:?}, {is} in hours {after:?}");
        assert!(is as f64 <= was as f64 * factor + slack as f64, "{what} grow: {was}, then {is}");
    }
    assert!(most(&samples, before, |s| s.snapshots as u64) <= 16, "snapshots of the index are trimmed");
}
