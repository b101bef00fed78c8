//! One process over a bucket and a folder that outlive it, and the list of what it has acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use flamestore_api::{Ingester, PushedProfile, Reader};
use flamestore_block::{BlockCache, Meta};
use flamestore_clock::{Chance, Clock, ManualClock, SeededChance};
use flamestore_compaction::PlanConfig;
use flamestore_compactor::{Compactor, CompactorConfig, Disk, Observe, Parts, Space};
use flamestore_engine::{Engine, EngineConfig};
use flamestore_index::Why;
use flamestore_limits::{Limits, Overrides};
use flamestore_model::{
    Annotation, Fault, Labels, ProfileId, ProfileType, Select, StoredSeries, TenantId, TimeRange, TreeQuery,
};
use flamestore_objstore::{Bucket, Faulty, Op, Verdict};
use flamestore_pprof::NormalizeOptions;
use flamestore_pprof::encode::{Label, Writer};
use futures::{FutureExt, TryStreamExt};
use object_store::memory::InMemory;
use parking_lot::Mutex;

use crate::follows::StoreFollows;

pub(crate) const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// Far ahead of the machine's clock, by which objects are dated: all of them look old, so whatever may be swept is.
pub(crate) const START_NANOS: i64 = 4_102_444_800_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
pub(crate) const RETENTION_NANOS: i64 = 24 * HOUR;

/// What struck, over all seeds: a simulation in which nothing happens proves nothing.
#[derive(Default)]
pub(crate) struct Struck {
    pub(crate) compacted: AtomicU64,
    pub(crate) compactions_failed: AtomicU64,
    pub(crate) marked_old: AtomicU64,
    pub(crate) deleted: AtomicU64,
    pub(crate) compactions_started: AtomicU64,
    pub(crate) lease_conflicts: AtomicU64,
    pub(crate) leases_failed: AtomicU64,
    /// The bucket went away.
    pub(crate) faults: AtomicU64,
    /// In storms, by what was done to a call.
    pub(crate) failed_before: AtomicU64,
    pub(crate) failed_after: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) partial_reads: AtomicU64,
    pub(crate) flipped_bits: AtomicU64,
    pub(crate) delayed: AtomicU64,
    /// Listings that did not show what was there.
    pub(crate) stale_lists: Arc<AtomicU64>,
    pub(crate) starts_in_storms: AtomicU64,
    pub(crate) crashes: AtomicU64,
    pub(crate) restarts_with_log: AtomicU64,
    pub(crate) deletions: AtomicU64,
    /// Snapshots of an index that were damaged in the bucket.
    pub(crate) damaged: AtomicU64,
    /// Blocks of which somebody has deleted objects; of them, those that the index had given up when they came back.
    pub(crate) bereft: AtomicU64,
    pub(crate) given_up: AtomicU64,
    /// Another process worked on the bucket.
    pub(crate) visits: AtomicU64,
    /// Views that were made from the blocks.
    pub(crate) made_again: AtomicU64,
    pub(crate) rolled_up: AtomicU64,
    pub(crate) checks: AtomicU64,
    pub(crate) corrupt: Mutex<Vec<String>>,
}

impl Observe for Struck {
    fn compaction_started(&self) {
        self.compactions_started.fetch_add(1, SeqCst);
    }
    fn lease_conflict(&self, _: &TenantId) {
        self.lease_conflicts.fetch_add(1, SeqCst);
    }
    fn lease_failed(&self, _: &TenantId, _: &Fault) {
        self.leases_failed.fetch_add(1, SeqCst);
    }
    fn compacted(&self, _: &TenantId, made: &Meta, _: Duration) {
        self.compacted.fetch_add(1, SeqCst);
        let rolled_up = made.files.iter().any(|f| f.path.starts_with("rollup_1h"));
        self.rolled_up.fetch_add(u64::from(rolled_up), SeqCst);
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
    fn corrupt(&self, _: &TenantId, fault: &Fault) {
        self.made_again.fetch_add(u64::from(fault.to_string().contains("/index/")), SeqCst);
        self.corrupt.lock().push(fault.to_string());
    }
}

impl flamestore_engine::Observe for Struck {
    fn unreadable(&self, _: &TenantId, fault: &Fault) {
        self.corrupt.lock().push(fault.to_string());
    }
}

/// A time in which everything that a bucket can do wrong happens to some of its calls.
pub(crate) struct Storm {
    blows: AtomicBool,
    chance: SeededChance,
    flips_left: AtomicU64,
    /// Every call so far that writes, lists or fails, with what became of it.
    trace: Mutex<Vec<String>>,
    struck: Arc<Struck>,
}

impl Storm {
    pub(crate) fn begin(&self) {
        // A bit that flips again and again at the same place is damage, which is another test.
        self.flips_left.store(1, SeqCst);
        self.blows.store(true, SeqCst);
    }

    pub(crate) fn end(&self) {
        self.blows.store(false, SeqCst);
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.lock().clone()
    }

    fn verdict(&self, op: Op) -> Verdict {
        if !self.blows.load(SeqCst) {
            return Verdict::Pass;
        }
        let struck = &self.struck;
        let reads = matches!(op, Op::Get | Op::GetRange);
        let (verdict, counter) = match self.chance.next_u64() % 100 {
            0 | 1 => (Verdict::FailBefore, &struck.failed_before),
            2 | 3 => (Verdict::FailAfter, &struck.failed_after),
            4 | 5 => (Verdict::Throttle, &struck.throttled),
            6..=8 if reads => (Verdict::PartialRead, &struck.partial_reads),
            9..=20 if reads && self.flips_left.swap(0, SeqCst) > 0 => (Verdict::FlipBit, &struck.flipped_bits),
            // Counted by the store, which knows whether it makes a difference.
            6..=59 if op == Op::List => return Verdict::StaleList,
            _ => return Verdict::Pass,
        };
        counter.fetch_add(1, SeqCst);
        verdict
    }

    /// A store that takes its time lets whatever else is under way go first.
    fn delay(&self) -> u64 {
        let delayed = self.blows.load(SeqCst) && self.chance.next_u64().is_multiple_of(4);
        self.struck.delayed.fetch_add(u64::from(delayed), SeqCst);
        if delayed { 1 + self.chance.next_u64() % 8 } else { 0 }
    }
}

/// As full as it is told to be.
pub(crate) struct FakeDisk(pub(crate) AtomicU64);

impl Disk for FakeDisk {
    fn space(&self, _: &std::path::Path) -> Result<Space, Fault> {
        Ok(Space { total: 1 << 30, free: self.0.load(SeqCst) })
    }
}

/// An acknowledged profile.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    pub(crate) tenant: u8,
    pub(crate) service: u64,
    pub(crate) time: i64,
    pub(crate) id: ProfileId,
    pub(crate) value: i64,
}

/// One process over a bucket and a folder that outlive it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) bucket: Bucket,
    /// Calls until the bucket is gone; the last one is done and not answered. Negative: it stays.
    pub(crate) fuse: Arc<AtomicI64>,
    pub(crate) storm: Arc<Storm>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) chance: SeededChance,
    pub(crate) struck: Arc<Struck>,
    pub(crate) setup: Setup,
    pub(crate) process: Option<(Arc<Engine>, Compactor)>,
    pub(crate) pushed: Vec<Pushed>,
}

impl World {
    pub(crate) async fn new(seed: u64, struck: Arc<Struck>) -> Self {
        Self::tuned(seed, struck, |_| {}).await
    }

    pub(crate) async fn tuned(seed: u64, struck: Arc<Struck>, tune: fn(&mut CompactorConfig)) -> Self {
        let setup = Setup { tune, disk: Arc::new(FakeDisk(AtomicU64::new(1 << 29))) };
        let fuse = Arc::new(AtomicI64::new(-1));
        let storm = Arc::new(Storm {
            blows: AtomicBool::new(false),
            chance: SeededChance::new(seed ^ 0x5707),
            flips_left: AtomicU64::new(0),
            trace: Mutex::default(),
            struck: struck.clone(),
        });
        let (burns, counts) = (fuse.clone(), struck.clone());
        let verdict = {
            let storm = storm.clone();
            move |op: Op| {
                let verdict = match burns.load(SeqCst) {
                    0 => Verdict::FailBefore,
                    1 => Verdict::FailAfter,
                    2.. => Verdict::Pass,
                    _ => return storm.verdict(op),
                };
                let _ = burns.fetch_update(SeqCst, SeqCst, |n| (n > 0).then_some(n - 1));
                counts.faults.fetch_add(u64::from(verdict != Verdict::Pass), SeqCst);
                verdict
            }
        };
        let told = storm.clone();
        let rule = move |op: Op, path: &_| {
            let verdict = verdict(op);
            // What queries read at the same time they read in any order.
            if matches!(op, Op::Get | Op::GetRange) && verdict == Verdict::Pass {
                return verdict;
            }
            told.trace.lock().push(format!("{} {path} {verdict:?}", op.as_str()));
            verdict
        };
        let delays = storm.clone();
        let delay = move |_| {
            let turns = delays.delay();
            async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            .boxed()
        };
        let faulty =
            Faulty::by_rule(Arc::new(InMemory::new()), rule).delayed(delay).counting_stale(struck.stale_lists.clone());
        let bucket = Bucket::new(Arc::new(faulty), "").unwrap();
        let clock = ManualClock::at_nanos(START_NANOS);
        let dir = tempfile::tempdir().unwrap();
        let process = Some(start(&dir, &bucket, &clock, &struck, &setup).await.unwrap());
        let chance = SeededChance::new(seed);
        World { dir, bucket, fuse, storm, clock, chance, struck, setup, process, pushed: vec![] }
    }

    /// Another process on the same bucket, with a folder of its own.
    pub(crate) async fn beside(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let setup = world.setup.clone();
        let (bucket, clock, struck) = (world.bucket.clone(), world.clock.clone(), world.struck.clone());
        let process = Some(start_as(4, &dir, &bucket, &clock, &struck, &setup).await.unwrap());
        let (fuse, storm, chance) = (world.fuse.clone(), world.storm.clone(), SeededChance::new(4));
        World { dir, bucket, fuse, storm, clock, chance, struck, setup, process, pushed: vec![] }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.process.as_ref().unwrap().0
    }

    pub(crate) fn compactor(&self) -> &Compactor {
        &self.process.as_ref().unwrap().1
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        self.chance.next_u64() % n
    }

    /// The process is gone in the middle of whatever it did; another one starts. In a storm it may take some attempts.
    pub(crate) async fn crash(&mut self) {
        self.fuse.store(-1, SeqCst);
        // The old one first: it holds the lock of its folder.
        drop(self.process.take());
        let mut attempts = 0;
        while self.process.is_none() {
            let storms = self.storm.blows.load(SeqCst);
            match start(&self.dir, &self.bucket, &self.clock, &self.struck, &self.setup).await {
                Ok(process) => {
                    self.struck.starts_in_storms.fetch_add(u64::from(storms), SeqCst);
                    self.process = Some(process);
                }
                Err(fault) => assert!(storms, "the bucket is well: {fault}"),
            }
            attempts += 1;
            if attempts == 20 {
                self.storm.end();
            }
        }
        self.struck.crashes.fetch_add(1, SeqCst);
        self.struck.restarts_with_log.fetch_add(u64::from(self.engine().stats().memory_bytes > 0), SeqCst);
    }

    /// The newest snapshots of an index are not what was written, or all of them.
    pub(crate) async fn damage_index(&self, tenant: u8, many: usize) {
        let folder = format!("{}/index", tenant_of(tenant));
        let mut keys: Vec<String> = self.bucket.list(&folder).map_ok(|o| o.key).try_collect().await.unwrap();
        keys.retain(|key| key.ends_with(".json.zst"));
        keys.sort();
        for key in keys.iter().rev().take(many) {
            let mut bytes = self.bucket.get(key).await.unwrap().to_vec();
            let at = bytes.len() / 3;
            bytes[at] ^= 1;
            self.bucket.put(key, bytes.into()).await.unwrap();
            self.struck.damaged.fetch_add(1, SeqCst);
        }
    }

    /// A random profile of about now; a part of it ran within a span.
    pub(crate) async fn push(&mut self) {
        let tenant = self.below(2) as u8;
        let time = self.clock.now_nanos() - self.below(40 * 60) as i64 * 1_000_000_000;
        let id = ProfileId::v7((time / 1_000_000) as u64, self.chance.next_u128());
        let (service, pod, stack) = (self.below(3), self.below(2), self.below(4));
        let value = 350 + self.below(1000) as i64;
        self.push_one(tenant, service, pod, stack, time, id, value).await;
    }

    #[expect(clippy::too_many_arguments)]
    pub(crate) async fn push_one(
        &mut self,
        tenant: u8,
        service: u64,
        pod: u64,
        stack: u64,
        time: i64,
        id: ProfileId,
        value: i64,
    ) {
        let mut w = Writer::new();
        w.sample_type("cpu", "nanoseconds");
        w.time_nanos(time);
        let frames = [w.frame(&format!("leaf{stack}")), w.frame(&format!("work{}", stack / 2)), w.frame("main")];
        // In many parts, so that their sum is worth a roll-up.
        let parts = value.min(350);
        for part in 0..parts {
            let span = format!("{:016x}", 0xab00 + stack * 1000 + part as u64);
            let value = value / parts + i64::from(part < value % parts);
            w.sample(&frames, &[value], &[Label::Text { key: "span_id", text: &span }]);
        }
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
            options: NormalizeOptions::default(),
            series: vec![StoredSeries { labels, group: 0, column: 0 }],
            annotations: annotations_of(value + 1),
            decoded: None,
        };
        // The log is on a disk that does not fail here.
        self.engine().push(&tenant_of(tenant), vec![profile]).await.pop().unwrap().unwrap();
        self.pushed.push(Pushed { tenant, service, time, id, value: value + 1 });
    }

    /// Every kind of answer about everything, as text that does not depend on what order parts come in.
    pub(crate) async fn answers(&self) -> Vec<String> {
        let mut out = Vec::new();
        for t in 0..2 {
            let tenant = tenant_of(t);
            let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: i64::MAX });
            select.profile_type = Some(ProfileType::parse(TYPE).unwrap());
            let query = TreeQuery::whole(select);
            let mut lines = Vec::new();
            for mut s in self.engine().points(&tenant, &query).await.unwrap().value {
                s.points.sort_by_key(|p| (p.time_nanos, p.profile_id));
                s.notes.sort_by(|a, b| (a.time_nanos, &a.annotation).cmp(&(b.time_nanos, &b.annotation)));
                lines.push(format!("{s:?}"));
            }
            for mut s in self.engine().spans(&tenant, &query.select).await.unwrap().value {
                s.observed.sort_by_key(|o| (o.time_nanos, o.profile_id, o.span_id));
                lines.push(format!("{s:?}"));
            }
            for s in self.engine().series(&tenant, &query.select).await.unwrap().value {
                lines.push(format!("{:?} {}", s.labels, s.profiles));
            }
            let tree = self.engine().tree(&tenant, &query).await.unwrap().value;
            lines.push(format!("{:?}", tree.flamegraph()));
            let profile = self.engine().profile(&tenant, &query).await.unwrap().value;
            lines.push(format!("{}", profile.total()));
            lines.sort();
            out.extend(lines);
        }
        out
    }

    /// A time of the last hours, often the border of an hour or of five minutes, or next to it.
    fn border(range: TimeRange, chance: &SeededChance) -> i64 {
        let below = |n: u64| (chance.next_u64() % n) as i64;
        let at = range.to_nanos - below(300) * 60_000_000_000;
        let grid = [HOUR, HOUR / 12, 1][below(3) as usize];
        (at.div_euclid(grid) * grid + below(3) - 1).clamp(range.from_nanos, range.to_nanos)
    }

    /// By profile, what is answered of a tenant, each once; and whether that is said to be all.
    pub(crate) async fn answered(&self, t: u8, when: &str) -> (BTreeMap<ProfileId, i64>, bool) {
        let now = self.clock.now_nanos();
        let range = TimeRange { from_nanos: now - RETENTION_NANOS, to_nanos: now };
        let points = self.engine().points(&tenant_of(t), &all(range)).await.unwrap();
        let mut found = BTreeMap::new();
        for p in points.value.iter().flat_map(|s| &s.points) {
            assert!(found.insert(p.profile_id, p.total).is_none(), "{when}: a profile counts twice");
        }
        (found, !points.partial)
    }

    /// By profile, what is answered and what must be.
    pub(crate) async fn check(&self, when: &str) {
        let now = self.clock.now_nanos();
        let range = TimeRange { from_nanos: now - RETENTION_NANOS, to_nanos: now };
        for t in 0..2 {
            let expected: BTreeMap<ProfileId, i64> = self
                .pushed
                .iter()
                .filter(|p| p.tenant == t && range.contains(p.time))
                .map(|p| (p.id, p.value))
                .collect();
            let query = all(range);
            let tenant = tenant_of(t);
            let points = self.engine().points(&tenant, &query).await.unwrap();
            assert!(!points.partial, "{when}");
            let mut found = BTreeMap::new();
            for p in points.value.iter().flat_map(|s| &s.points) {
                assert!(found.insert(p.profile_id, p.total).is_none(), "{when}: a profile counts twice");
            }
            assert_eq!(found, expected, "{when}: tenant {t}");
            let notes = points.value.iter().flat_map(|s| &s.notes);
            let mut notes: Vec<_> = notes.map(|n| (n.time_nanos, n.annotation.clone())).collect();
            let of = |p: &Pushed| annotations_of(p.value).into_iter().map(|a| (p.time, a)).collect::<Vec<_>>();
            let mut noted: Vec<_> = self.pushed.iter().filter(|p| expected.contains_key(&p.id)).flat_map(of).collect();
            notes.sort();
            noted.sort();
            assert_eq!(notes, noted, "{when}: tenant {t}");
            let tree = self.engine().tree(&tenant, &query).await.unwrap().value;
            assert_eq!(tree.total(), expected.values().sum::<i64>(), "{when}: tenant {t}");
            // Through the middle of what is summed up, and along its borders.
            let chance = SeededChance::new(now as u64 ^ u64::from(t));
            let (a, b) = (Self::border(range, &chance), Self::border(range, &chance));
            let cut = TimeRange { from_nanos: a.min(b), to_nanos: a.max(b) };
            let inside = self.pushed.iter().filter(|p| p.tenant == t && range.contains(p.time) && cut.contains(p.time));
            let expected: i64 = inside.map(|p| p.value).sum();
            let query = TreeQuery::whole(Select { range: cut, ..query.select });
            let tree = self.engine().tree(&tenant, &query).await.unwrap().value;
            assert_eq!(tree.total(), expected, "{when}: tenant {t}, {cut:?}");
        }
        self.struck.checks.fetch_add(1, SeqCst);
    }
}

fn all(range: TimeRange) -> TreeQuery {
    let mut select = Select::everything(range);
    select.profile_type = Some(ProfileType::parse(TYPE).unwrap());
    TreeQuery::whole(select)
}

/// Every third profile has some, by its total.
fn annotations_of(total: i64) -> Vec<Annotation> {
    if total % 3 == 0 { vec![Annotation::new("sampled", format!("{{\"body\":{}}}", total % 2))] } else { Vec::new() }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn tenant_of(n: u8) -> TenantId {
    TenantId::parse(&format!("tenant-{n}")).unwrap()
}

/// What differs between worlds.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) tune: fn(&mut CompactorConfig),
    pub(crate) disk: Arc<FakeDisk>,
}

async fn start(
    dir: &tempfile::TempDir,
    bucket: &Bucket,
    clock: &Arc<ManualClock>,
    struck: &Arc<Struck>,
    setup: &Setup,
) -> Result<(Arc<Engine>, Compactor), Fault> {
    start_as(3, dir, bucket, clock, struck, setup).await
}

/// `seed`: its name is made of it.
async fn start_as(
    seed: u64,
    dir: &tempfile::TempDir,
    bucket: &Bucket,
    clock: &Arc<ManualClock>,
    struck: &Arc<Struck>,
    setup: &Setup,
) -> Result<(Arc<Engine>, Compactor), Fault> {
    let mut config = EngineConfig::in_dir(dir.path().join("data"));
    config.wal.segment_bytes = 40_000;
    let engine = Arc::new(Engine::new(flamestore_engine::Parts {
        config,
        bucket: bucket.clone(),
        cache: BlockCache::new(16 << 20),
        clock: clock.clone(),
        chance: Arc::new(SeededChance::new(seed)),
        observer: struck.clone(),
        wal_observer: Arc::new(flamestore_wal::Silent),
    }));
    engine.start().await?;
    let compactor = compactor(dir, bucket, clock, struck, setup, engine.clone(), None);
    Ok((engine, compactor))
}

/// `name`: of a compactor elsewhere; by itself it has that of the store.
pub(crate) fn compactor(
    dir: &tempfile::TempDir,
    bucket: &Bucket,
    clock: &Arc<ManualClock>,
    struck: &Arc<Struck>,
    setup: &Setup,
    engine: Arc<Engine>,
    name: Option<&str>,
) -> Compactor {
    let mut limits = Limits::default();
    limits.set("retention_period", &serde_json::json!("24h")).unwrap();
    let mut config = CompactorConfig {
        compaction_interval: Duration::from_secs(1),
        cleanup_interval: Duration::from_secs(1),
        enforcement_interval: Duration::from_secs(1),
        plan: PlanConfig {
            ranges: [1, 2, 8].map(|h| Duration::from_secs(3600 * h)).to_vec(),
            settle: Duration::from_secs(300),
            max_memory_bytes: 64 << 20,
        },
        data_dir: dir.path().join("compactor"),
        concurrency: 2,
        max_time_on_tenant: None,
        deletion_delay: Duration::from_secs(1800),
        cleanup_enabled: true,
        max_tenant_bytes: None,
        disk: None,
        enabled_tenants: vec![],
        disabled_tenants: vec![],
        max_parallel_metas: 4,
    };
    (setup.tune)(&mut config);
    Compactor::new(
        config,
        Parts {
            bucket: bucket.clone(),
            overrides: Arc::new(Overrides::new(limits)),
            clock: clock.clone(),
            disk: setup.disk.clone(),
            chance: Arc::new(SeededChance::new(11)),
            flusher: Arc::new(StoreFollows { engine: engine.clone(), name: name.map(str::to_owned) }),
            follower: Arc::new(StoreFollows { engine, name: None }),
            observer: struck.clone(),
        },
    )
}
