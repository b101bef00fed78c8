//! Whatever is done in whatever order, and wherever it breaks off: what was acknowledged and is not past retention is
//! answered, once. One seed is one trace; a failure names its seed, and `FLAMESTORE_SIM_SEED=n` runs it alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use flamestore_api::{Ingester, PushedProfile, Reader};
use flamestore_block::{BlockCache, Meta, Ulid};
use flamestore_clock::{Chance, Clock, ManualClock, SeededChance};
use flamestore_compaction::PlanConfig;
use flamestore_compactor::{Compactor, CompactorConfig, Disk, Follow, Observe, Parts, Space};
use flamestore_engine::{Engine, EngineConfig};
use flamestore_index::{Index, Why};
use flamestore_limits::{Limits, Overrides};
use flamestore_model::{Fault, Labels, ProfileId, ProfileType, Select, StoredSeries, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::{Bucket, Faulty, Verdict};
use flamestore_pprof::encode::Writer;
use flamestore_pprof::{NormalizeOptions, Spy};
use object_store::memory::InMemory;

const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// Far ahead of the machine's clock, by which objects are dated: all of them look old, so whatever may be swept is.
const START_NANOS: i64 = 4_102_444_800_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
const RETENTION_NANOS: i64 = 24 * HOUR;
const SEEDS: u64 = 200;
const STEPS: usize = 30;

/// What struck, over all seeds: a simulation in which nothing happens proves nothing.
#[derive(Default)]
struct Struck {
    compacted: AtomicU64,
    compactions_failed: AtomicU64,
    marked_old: AtomicU64,
    deleted: AtomicU64,
    faults: AtomicU64,
    crashes: AtomicU64,
    restarts_with_log: AtomicU64,
    checks: AtomicU64,
}

impl Observe for Struck {
    fn compacted(&self, _: &TenantId, _: &Meta, _: Duration) {
        self.compacted.fetch_add(1, SeqCst);
    }
    fn compaction_failed(&self, _: &TenantId, _: &Fault) {
        self.compactions_failed.fetch_add(1, SeqCst);
    }
    fn marked(&self, _: &TenantId, why: Why) {
        self.marked_old.fetch_add(u64::from(why == Why::Retention), SeqCst);
    }
    fn deleted(&self, _: &TenantId) {
        self.deleted.fetch_add(1, SeqCst);
    }
    fn corrupt(&self, tenant: &TenantId, fault: &Fault) {
        panic!("nothing here damages anything, but of tenant {tenant}: {fault}");
    }
}

struct StoreFollows(Arc<Engine>);

impl Follow for StoreFollows {
    fn replaced(&self, tenant: &TenantId, added: Vec<Meta>, removed: &[Ulid]) {
        self.0.replace_blocks(tenant, added, removed).unwrap();
    }
}

struct Roomy;

impl Disk for Roomy {
    fn space(&self, _: &std::path::Path) -> Result<Space, Fault> {
        Ok(Space { total: 1 << 40, free: 1 << 39 })
    }
}

/// One process over a bucket and a folder that outlive it.
struct World {
    dir: tempfile::TempDir,
    bucket: Bucket,
    /// Calls until the bucket is gone; the last one is done and not answered. Negative: it stays.
    fuse: Arc<AtomicI64>,
    clock: Arc<ManualClock>,
    chance: SeededChance,
    struck: Arc<Struck>,
    process: Option<(Arc<Engine>, Compactor)>,
    pushed: Vec<(u8, i64, ProfileId, i64)>,
}

impl World {
    async fn new(seed: u64, struck: Arc<Struck>) -> Self {
        let fuse = Arc::new(AtomicI64::new(-1));
        let (burns, counts) = (fuse.clone(), struck.clone());
        let faulty = Faulty::by_rule(Arc::new(InMemory::new()), move |_, _| {
            let verdict = match burns.load(SeqCst) {
                n if n < 0 => return Verdict::Pass,
                0 => Verdict::FailBefore,
                1 => Verdict::FailAfter,
                _ => Verdict::Pass,
            };
            let _ = burns.fetch_update(SeqCst, SeqCst, |n| (n > 0).then_some(n - 1));
            counts.faults.fetch_add(u64::from(verdict != Verdict::Pass), SeqCst);
            verdict
        });
        let bucket = Bucket::new(Arc::new(faulty), "").unwrap();
        let clock = ManualClock::at_nanos(START_NANOS);
        let dir = tempfile::tempdir().unwrap();
        let process = Some(start(&dir, &bucket, &clock, &struck).await);
        World { dir, bucket, fuse, clock, chance: SeededChance::new(seed), struck, process, pushed: vec![] }
    }

    fn engine(&self) -> &Engine {
        &self.process.as_ref().unwrap().0
    }

    fn compactor(&self) -> &Compactor {
        &self.process.as_ref().unwrap().1
    }

    fn below(&self, n: u64) -> u64 {
        self.chance.next_u64() % n
    }

    /// The process is gone in the middle of whatever it did; another one starts.
    async fn crash(&mut self) {
        self.fuse.store(-1, SeqCst);
        // The old one first: it holds the lock of its folder.
        drop(self.process.take());
        self.process = Some(start(&self.dir, &self.bucket, &self.clock, &self.struck).await);
        self.struck.crashes.fetch_add(1, SeqCst);
        self.struck.restarts_with_log.fetch_add(u64::from(self.engine().stats().memory_bytes > 0), SeqCst);
    }

    async fn push(&mut self) {
        let tenant = self.below(2) as u8;
        let (service, pod, stack) = (self.below(3), self.below(2), self.below(4));
        let time = self.clock.now_nanos() - self.below(40 * 60) as i64 * 1_000_000_000;
        let value = 1 + self.below(1000) as i64;
        let id = ProfileId::v7((time / 1_000_000) as u64, self.chance.next_u128());
        let mut w = Writer::new();
        w.sample_type("cpu", "nanoseconds");
        w.time_nanos(time);
        let frames = [w.frame(&format!("leaf{stack}")), w.frame(&format!("work{}", stack / 2)), w.frame("main")];
        w.sample(&frames, &[value], &[]);
        w.sample(&frames[1..], &[1], &[]);
        let labels = Labels::from_pairs([
            ("service_name", format!("svc-{service}")),
            ("pod", format!("p{pod}")),
            ("__profile_type__", TYPE.to_owned()),
        ]);
        let profile = PushedProfile {
            profile_id: id,
            time_nanos: time,
            raw: w.finish().into(),
            options: NormalizeOptions {
                max_depth: 0,
                max_symbol_bytes: 0,
                max_inflated_bytes: 0,
                go: false,
                spy: Spy::Other,
            },
            series: vec![StoredSeries { labels, group: 0, column: 0 }],
            decoded: None,
        };
        // The log is on a disk that does not fail here.
        self.engine().push(&tenant_of(tenant), vec![profile]).await.pop().unwrap().unwrap();
        self.pushed.push((tenant, time, id, value + 1));
    }

    async fn step(&mut self) {
        match self.below(12) {
            0..=3 => {
                for _ in 0..=self.below(3) {
                    self.push().await;
                }
            }
            4..=5 => self.engine().flush().await.unwrap(),
            6 => self.compactor().compact_all().await.unwrap(),
            7 => self.compactor().clean_all().await.unwrap(),
            8 => self.clock.advance(Duration::from_secs(600 + self.below(4 * 3600))),
            9 => self.crash().await,
            // The bucket goes away in the middle, and then the process.
            what => {
                self.fuse.store(1 + self.below(if what == 10 { 12 } else { 60 }) as i64, SeqCst);
                match self.below(4) {
                    0 => drop(self.engine().flush().await),
                    1 => drop(self.compactor().clean_all().await),
                    _ => {
                        let _ = self.engine().flush().await;
                        let _ = self.compactor().compact_all().await;
                    }
                }
                if self.below(2) == 0 {
                    self.crash().await;
                }
                self.fuse.store(-1, SeqCst);
            }
        }
    }

    /// By profile, what is answered and what must be.
    async fn check(&self, when: &str) {
        let now = self.clock.now_nanos();
        let range = TimeRange { from_nanos: now - RETENTION_NANOS, to_nanos: now };
        for t in 0..2 {
            let expected: BTreeMap<ProfileId, i64> = self
                .pushed
                .iter()
                .filter(|(tenant, time, ..)| *tenant == t && range.contains(*time))
                .map(|(_, _, id, value)| (*id, *value))
                .collect();
            let mut select = Select::everything(range);
            select.profile_type = Some(ProfileType::parse(TYPE).unwrap());
            let query = TreeQuery::whole(select);
            let tenant = tenant_of(t);
            let points = self.engine().points(&tenant, &query).await.unwrap();
            assert!(!points.partial, "{when}");
            let mut found = BTreeMap::new();
            for p in points.value.iter().flat_map(|s| &s.points) {
                assert!(found.insert(p.profile_id, p.total).is_none(), "{when}: a profile counts twice");
            }
            assert_eq!(found, expected, "{when}: tenant {t}");
            let tree = self.engine().tree(&tenant, &query).await.unwrap().value;
            assert_eq!(tree.total(), expected.values().sum::<i64>(), "{when}: tenant {t}");
        }
        self.struck.checks.fetch_add(1, SeqCst);
    }
}

fn tenant_of(n: u8) -> TenantId {
    TenantId::parse(&format!("tenant-{n}")).unwrap()
}

async fn start(
    dir: &tempfile::TempDir,
    bucket: &Bucket,
    clock: &Arc<ManualClock>,
    struck: &Arc<Struck>,
) -> (Arc<Engine>, Compactor) {
    let mut config = EngineConfig::in_dir(dir.path().join("data"));
    config.wal.segment_bytes = 2000;
    let engine = Arc::new(Engine::new(flamestore_engine::Parts {
        config,
        bucket: bucket.clone(),
        cache: BlockCache::new(16 << 20),
        clock: clock.clone(),
        chance: Arc::new(SeededChance::new(3)),
        observer: Arc::new(flamestore_engine::Silent),
        wal_observer: Arc::new(flamestore_wal::Silent),
    }));
    engine.start().await.unwrap();
    let mut limits = Limits::default();
    limits.set("retention_period", &serde_json::json!("24h")).unwrap();
    let compactor = Compactor::new(
        CompactorConfig {
            compaction_interval: Duration::from_secs(1),
            cleanup_interval: Duration::from_secs(1),
            enforcement_interval: Duration::from_secs(1),
            plan: PlanConfig {
                ranges: [1, 2, 8].map(|h| Duration::from_secs(3600 * h)).to_vec(),
                settle: Duration::from_secs(300),
                max_memory_bytes: 64 << 20,
            },
            concurrency: 2,
            max_time_on_tenant: None,
            deletion_delay: Duration::from_secs(1800),
            cleanup_enabled: true,
            max_tenant_bytes: None,
            disk: None,
            enabled_tenants: vec![],
            disabled_tenants: vec![],
            max_parallel_metas: 4,
        },
        Parts {
            bucket: bucket.clone(),
            overrides: Arc::new(Overrides::new(limits)),
            clock: clock.clone(),
            disk: Arc::new(Roomy),
            follower: Arc::new(StoreFollows(engine.clone())),
            observer: struck.clone(),
        },
    );
    (engine, compactor)
}

async fn simulate(seed: u64, struck: Arc<Struck>) {
    let mut world = World::new(seed, struck).await;
    for step in 0..STEPS {
        world.step().await;
        if step % 3 == 0 {
            world.check(&format!("seed {seed}, step {step}")).await;
        }
    }
    world.crash().await;
    world.check(&format!("seed {seed}, started again")).await;
    world.engine().flush().await.unwrap();
    // All windows end; then everything goes.
    world.clock.advance(Duration::from_secs(10 * 3600));
    world.compactor().compact_all().await.unwrap();
    world.check(&format!("seed {seed}, all compacted")).await;
    world.compactor().clean_all().await.unwrap();
    world.check(&format!("seed {seed}, cleaned")).await;
    world.clock.advance(Duration::from_secs(26 * 3600));
    world.compactor().clean_all().await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    world.compactor().clean_all().await.unwrap();
    for t in 0..2 {
        let index = Index::new(world.bucket.clone(), tenant_of(t), world.clock.clone());
        let view = index.view(4).await.unwrap();
        assert!(view.live.is_empty() && view.snapshot.dead.is_empty(), "seed {seed}: {view:?}");
        let folders = world.bucket.list_dirs(&format!("tenant-{t}/blocks")).await.unwrap();
        assert!(folders.is_empty(), "seed {seed}: bytes are left in {folders:?}");
    }
}

#[test]
fn no_order_of_steps_and_breaks_changes_what_is_answered() {
    let struck = Arc::new(Struck::default());
    let one = std::env::var("FLAMESTORE_SIM_SEED").ok().and_then(|s| s.parse::<u64>().ok());
    let seeds: Vec<u64> = one.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for seed in &seeds {
        runtime.block_on(simulate(*seed, struck.clone()));
    }
    let count = |counter: &AtomicU64| counter.load(SeqCst);
    println!(
        "{} seeds: {} checks, {} compactions, {} failed, {} faults, {} crashes ({} with a log), {} blocks too old, {} deleted",
        seeds.len(),
        count(&struck.checks),
        count(&struck.compacted),
        count(&struck.compactions_failed),
        count(&struck.faults),
        count(&struck.crashes),
        count(&struck.restarts_with_log),
        count(&struck.marked_old),
        count(&struck.deleted),
    );
    if one.is_none() {
        for (what, counter) in [
            ("compactions", &struck.compacted),
            ("failed compactions", &struck.compactions_failed),
            ("faults", &struck.faults),
            ("crashes", &struck.crashes),
            ("restarts with a log", &struck.restarts_with_log),
            ("blocks past retention", &struck.marked_old),
            ("deleted blocks", &struck.deleted),
        ] {
            assert!(count(counter) >= SEEDS / 10, "too few {what}: {}", count(counter));
        }
    }
}
