//! Profiles that are easy to sum by hand, stores that can be broken, and the naive model.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use flamestore_api::{Ingester, PushedProfile, Reader};
use flamestore_block::BlockCache;
use flamestore_clock::{ManualClock, SeededChance};
use flamestore_engine::{Engine, EngineConfig, Parts, Silent};
use flamestore_flamegraph::Tree;
use flamestore_model::{
    Fault, Labels, Matcher, ProfileId, ProfileType, Select, Selector, StoredSeries, TenantId, TimeRange, TreeQuery,
};
use flamestore_objstore::{Bucket, Faulty, Verdict};
use flamestore_pprof::NormalizeOptions;
use flamestore_pprof::encode::{Label, Writer};
use object_store::memory::InMemory;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Fail points are global: who sets one runs alone.
static POINTS: RwLock<()> = RwLock::new(());

pub(crate) fn together() -> RwLockReadGuard<'static, ()> {
    POINTS.read()
}

pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    POINTS.write()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) const TYPES: [&str; 2] = ["memory:alloc:count:space:bytes", "memory:inuse:bytes:space:bytes"];
pub(crate) const START_MS: i64 = 1_763_697_600_000;

/// One push: root-first stacks of function numbers, with a value for each type.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) tenant: u8,
    pub(crate) service: u8,
    pub(crate) pod: u8,
    /// Seconds after the start.
    pub(crate) second: i64,
    pub(crate) samples: Vec<(Vec<u8>, i64, i64)>,
}

impl Spec {
    pub(crate) fn simple(value: i64) -> Self {
        Spec { tenant: 0, service: 0, pod: 0, second: 0, samples: vec![(vec![1, 2], value, value)] }
    }

    pub(crate) fn time_nanos(&self) -> i64 {
        START_MS * 1_000_000 + self.second * 1_000_000_000
    }

    fn labels(&self, of_type: usize) -> Labels {
        Labels::from_pairs([
            ("service_name", service(self.service)),
            ("pod", format!("p{}", self.pod)),
            ("__profile_type__", TYPES[of_type].to_owned()),
        ])
    }

    pub(crate) fn pushed(&self, id: ProfileId) -> PushedProfile {
        let mut w = Writer::new();
        w.sample_type("alloc", "count");
        w.sample_type("inuse", "bytes");
        w.time_nanos(self.time_nanos());
        for (stack, a, b) in &self.samples {
            let locations: Vec<u64> = stack.iter().rev().map(|f| w.frame(&format!("f{f}"))).collect();
            let span = span_of(stack).map(|span| format!("{span:016x}"));
            let label = span.as_deref().map(|span| Label::Text { key: "span_id", text: span });
            w.sample(&locations, &[*a, *b], label.as_slice());
        }
        PushedProfile {
            profile_id: id,
            time_nanos: self.time_nanos(),
            raw: w.finish().into(),
            options: NormalizeOptions::default(),
            series: (0..2).map(|i| StoredSeries { labels: self.labels(i), group: 0, column: i as u32 }).collect(),
            annotations: Vec::new(),
            decoded: None,
        }
    }
}

/// Stacks that end in a function from 3 on ran within a span.
fn span_of(stack: &[u8]) -> Option<u64> {
    stack.last().filter(|leaf| **leaf >= 3).map(|leaf| 0xabc0 + u64::from(*leaf))
}

pub(crate) fn tenant(n: u8) -> TenantId {
    TenantId::parse(&format!("tenant-{n}")).unwrap()
}

pub(crate) fn service(n: u8) -> String {
    format!("svc-{n}")
}

pub(crate) fn everything() -> TimeRange {
    TimeRange { from_nanos: 0, to_nanos: i64::MAX }
}

pub(crate) fn query(service: Option<u8>, of_type: usize, range: TimeRange) -> TreeQuery {
    let mut select = Select::everything(range);
    select.profile_type = Some(ProfileType::parse(TYPES[of_type]).unwrap());
    if let Some(s) = service {
        select.selector = Selector::default().and(Matcher::equal("service_name", self::service(s)));
    }
    TreeQuery::whole(select)
}

/// Everything that survives a crash, and switches for what can break.
pub(crate) struct Disk {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) bucket: Bucket,
    pub(crate) bucket_down: Arc<AtomicBool>,
    /// Puts that still work, then one fails after it was done, then none works. Negative: no limit.
    pub(crate) puts_left: Arc<AtomicI64>,
    pub(crate) clock: Arc<ManualClock>,
    /// Whether finished parts of answers are kept.
    pub(crate) keeps_results: bool,
}

impl Disk {
    pub(crate) fn in_memory() -> Self {
        let bucket_down = Arc::new(AtomicBool::new(false));
        let puts_left = Arc::new(AtomicI64::new(i64::MIN));
        let (down, left) = (bucket_down.clone(), puts_left.clone());
        let faulty = Faulty::by_rule(Arc::new(InMemory::new()), move |op, _| {
            use flamestore_objstore::Op;
            if down.load(Ordering::SeqCst) {
                return Verdict::FailBefore;
            }
            if !matches!(op, Op::Put | Op::PutCreate) || left.load(Ordering::SeqCst) == i64::MIN {
                return Verdict::Pass;
            }
            match left.fetch_sub(1, Ordering::SeqCst) {
                n if n > 0 => Verdict::Pass,
                0 => Verdict::FailAfter,
                _ => Verdict::FailBefore,
            }
        });
        Disk::over(Bucket::new(Arc::new(faulty), "").unwrap(), bucket_down, puts_left)
    }

    pub(crate) fn on_files() -> Self {
        let mut disk = Disk::in_memory();
        disk.bucket = Bucket::filesystem(disk.dir.path().join("bucket")).unwrap();
        disk
    }

    fn over(bucket: Bucket, bucket_down: Arc<AtomicBool>, puts_left: Arc<AtomicI64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Disk {
            dir,
            bucket,
            bucket_down,
            puts_left,
            clock: ManualClock::at_nanos(START_MS * 1_000_000),
            keeps_results: true,
        }
    }

    pub(crate) fn heal(&self) {
        self.bucket_down.store(false, Ordering::SeqCst);
        self.puts_left.store(i64::MIN, Ordering::SeqCst);
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn engine_with(&self, change: impl FnOnce(&mut EngineConfig)) -> Arc<Engine> {
        let mut config = EngineConfig::in_dir(self.dir.path().join("data"));
        config.wal.segment_bytes = 2000;
        config.flush_retry = Duration::from_millis(5);
        if !self.keeps_results {
            config.result_cache_bytes = 0;
        }
        change(&mut config);
        Arc::new(Engine::new(Parts {
            config,
            bucket: self.bucket.clone(),
            cache: BlockCache::new(16 << 20),
            clock: self.clock.clone(),
            chance: Arc::new(SeededChance::from_system()),
            observer: Arc::new(Silent),
            wal_observer: Arc::new(flamestore_wal::Silent),
        }))
    }

    pub(crate) async fn start(&self) -> Arc<Engine> {
        let engine = self.engine_with(|_| {});
        engine.start().await.unwrap();
        engine
    }
}

type Points = BTreeMap<String, Vec<(i64, i64, ProfileId)>>;
/// By series and profile: span and value.
type Spans = BTreeMap<(String, ProfileId, u64), i64>;

/// Everything acknowledged, in a list.
#[derive(Default, Clone, Debug)]
pub(crate) struct Model {
    pub(crate) pushed: Vec<(Spec, ProfileId)>,
}

impl Model {
    pub(crate) async fn push(&mut self, engine: &Engine, spec: Spec) -> Result<(), Fault> {
        let id = ProfileId::v7(0, (self.pushed.len() as u128) << 50 | 7);
        push(engine, &spec, id).await?;
        self.pushed.push((spec, id));
        Ok(())
    }

    fn matching(&self, t: u8, service: Option<u8>, range: TimeRange) -> impl Iterator<Item = &(Spec, ProfileId)> {
        self.pushed.iter().filter(move |(spec, _)| {
            spec.tenant == t && service.is_none_or(|s| s == spec.service) && range.contains(spec.time_nanos())
        })
    }

    pub(crate) fn tree(
        &self,
        t: u8,
        service: Option<u8>,
        of_type: usize,
        range: TimeRange,
    ) -> BTreeMap<Vec<String>, i64> {
        let mut sum = BTreeMap::new();
        for (stack, a, b) in self.matching(t, service, range).flat_map(|(spec, _)| &spec.samples) {
            *sum.entry(stack.iter().map(|f| format!("f{f}")).collect()).or_insert(0) += [a, b][of_type];
        }
        sum
    }

    pub(crate) fn points(&self, t: u8, service: Option<u8>, of_type: usize, range: TimeRange) -> Points {
        let mut out = Points::new();
        for (spec, id) in self.matching(t, service, range) {
            let total = spec.samples.iter().map(|(_, a, b)| [a, b][of_type]).sum();
            out.entry(format!("{:?}", spec.labels(of_type))).or_default().push((spec.time_nanos(), total, *id));
        }
        out.values_mut().for_each(|points| points.sort());
        out
    }

    pub(crate) fn spans(&self, t: u8, service: Option<u8>, of_type: usize, range: TimeRange) -> Spans {
        let mut out = Spans::new();
        for (spec, id) in self.matching(t, service, range) {
            let labels = format!("{:?}", spec.labels(of_type));
            for (stack, a, b) in &spec.samples {
                if let Some(span) = span_of(stack) {
                    *out.entry((labels.clone(), *id, span)).or_default() += [a, b][of_type];
                }
            }
        }
        out
    }

    /// Profiles and samples, heads and blocks together.
    pub(crate) fn cost(&self, t: u8, service: Option<u8>, of_type: usize, range: TimeRange) -> (u64, u64) {
        // Equal stacks are one sample, and a value of zero is none.
        let samples = |spec: &Spec| {
            let mut sums: BTreeMap<&[u8], i64> = BTreeMap::new();
            for (stack, a, b) in &spec.samples {
                *sums.entry(stack).or_default() += [a, b][of_type];
            }
            sums.values().filter(|sum| **sum != 0).count() as u64
        };
        self.matching(t, service, range).fold((0, 0), |sum, (spec, _)| (sum.0 + 1, sum.1 + samples(spec)))
    }

    /// Asks for everything there is in several ways, and compares.
    pub(crate) async fn check(&self, engine: &Engine, when: &str) {
        let at = |s: i64| START_MS * 1_000_000 + s * 1_000_000_000;
        for t in 0..2 {
            let id = tenant(t);
            for range in [everything(), TimeRange { from_nanos: at(3), to_nanos: at(7) }] {
                for (service, of_type) in [(None, 0), (Some(0), 1), (Some(1), 0)] {
                    let q = query(service, of_type, range);
                    let what = format!("{when}: tenant {t}, service {service:?}, type {of_type}, {range:?}");
                    let tree = engine.tree(&id, &q).await.unwrap();
                    assert!(!tree.partial, "{what}");
                    assert_eq!(paths(&tree.value), self.tree(t, service, of_type, range), "{what}");
                    let found = engine.points(&id, &q).await.unwrap().value;
                    let mut points = Points::new();
                    for series in found {
                        let of_series = series.points.iter().map(|p| (p.time_nanos, p.total, p.profile_id)).collect();
                        let twice = points.insert(format!("{:?}", series.labels), of_series);
                        assert!(twice.is_none(), "{what}: a series comes twice");
                    }
                    points.values_mut().for_each(|points: &mut Vec<_>| points.sort());
                    assert_eq!(points, self.points(t, service, of_type, range), "{what}");
                    let mut spans = Spans::new();
                    for series in engine.spans(&id, &q.select).await.unwrap().value {
                        for o in &series.observed {
                            let twice =
                                spans.insert((format!("{:?}", series.labels), o.profile_id, o.span_id), o.value);
                            assert!(twice.is_none(), "{what}: a span comes twice");
                        }
                    }
                    assert_eq!(spans, self.spans(t, service, of_type, range), "{what}");
                    let series = engine.series(&id, &q.select).await.unwrap().value;
                    let counts: BTreeMap<_, _> =
                        series.iter().map(|s| (format!("{:?}", s.labels), s.profiles as usize)).collect();
                    assert_eq!(counts.len(), series.len(), "{what}: a series comes twice");
                    let expected: BTreeMap<_, _> = points.into_iter().map(|(l, p)| (l, p.len())).collect();
                    assert_eq!(counts, expected, "{what}");
                    let cost = engine.cost(&id, &q.select, true).await.unwrap().value;
                    let (profiles, samples) = self.cost(t, service, of_type, range);
                    assert_eq!(cost.heads.profiles + cost.blocks.profiles, profiles, "{what}");
                    assert_eq!(cost.heads.samples + cost.blocks.samples, samples, "{what}");
                    let profile = engine.profile(&id, &q).await.unwrap().value;
                    assert_eq!(profile.total(), tree.value.total(), "{what}");
                }
            }
            let bounds = engine.bounds(&id).await.unwrap().value;
            let times = || self.matching(t, None, everything()).map(|(spec, _)| spec.time_nanos());
            let expected = times().min().zip(times().max());
            assert_eq!(bounds.map(|b| (b.from_nanos, b.to_nanos)), expected, "{when}: tenant {t}");
        }
    }
}

pub(crate) async fn push(engine: &Engine, spec: &Spec, id: ProfileId) -> Result<(), Fault> {
    engine.push(&tenant(spec.tenant), vec![spec.pushed(id)]).await.pop().unwrap()
}

pub(crate) async fn total(engine: &Engine) -> i64 {
    engine.tree(&tenant(0), &query(None, 0, everything())).await.unwrap().value.total()
}

/// Self values by path from the root.
pub(crate) fn paths(tree: &Tree) -> BTreeMap<Vec<String>, i64> {
    let mut out = BTreeMap::new();
    for (node, value) in tree.self_values().iter().enumerate().filter(|(_, v)| **v != 0) {
        let mut path = Vec::new();
        let mut at = node as u32;
        while at != 0 {
            path.push(tree.name_of(at).to_owned());
            at = tree.parents()[at as usize];
        }
        path.reverse();
        let twice = out.insert(path, *value);
        assert!(twice.is_none(), "a path comes twice");
    }
    out
}
