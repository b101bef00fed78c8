//! The store of one process: push, query, flush, from the first start to the last.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use flamestore_api::{Answer, Ingester, PushedProfile, Reader};
use flamestore_block::{BlockCache, Ulid};
use flamestore_clock::{Chance, Clock};
use flamestore_flamegraph::heatmap::ObservedSeries;
use flamestore_flamegraph::{ProfileMerge, Tree};
use flamestore_index::Snapshot;
use flamestore_model::{Fault, FaultId, QueryCost, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;
use flamestore_wal::Wal;
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::budget::Budget;
use crate::config::EngineConfig;
use crate::epoch::Epoch;
use crate::observe::{Observe, Replayed, Stats};
use crate::push::{blocking, refuse_all};
use crate::replay::Flushed;
use crate::results::Results;
use crate::store::{MaxSeries, State, Store, next_number};
use crate::{catalog, flushed, identity, lately, replay};

/// How often the age of the heads is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The things a store works with.
#[derive(Clone)]
pub struct Parts {
    pub config: EngineConfig,
    pub bucket: Bucket,
    pub cache: Arc<BlockCache>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub observer: Arc<dyn Observe>,
    pub wal_observer: Arc<dyn flamestore_wal::Observer>,
}

/// Keeps profiles: logged, then in heads, then in blocks, and answers from all of them, each profile once.
///
/// [`Engine::new`], then [`Engine::start`] (reads the bucket and the log), then [`Engine::run`] until told to stop. Before
/// it has started, everything is refused as unavailable. Dropping it at any moment loses nothing that was acknowledged.
pub struct Engine {
    parts: Parts,
    max_series: MaxSeries,
    store: OnceLock<Arc<Store>>,
}

impl Engine {
    /// Does no IO.
    pub fn new(parts: Parts) -> Self {
        Engine { parts, max_series: Arc::new(|_| None), store: OnceLock::new() }
    }

    /// Refuses profiles that would bring a tenant more series than this between two cuts.
    #[must_use]
    pub fn with_max_series(mut self, max_series: MaxSeries) -> Self {
        self.max_series = max_series;
        self
    }

    /// Loads the list of blocks and replays the log. Call it once.
    pub async fn start(&self) -> Result<Replayed, Fault> {
        let Parts { config, bucket, cache, clock, chance, observer, wal_observer } = self.parts.clone();
        let started = clock.monotonic_nanos();
        let (wal, log, ingester, flushed_below, lately) = {
            let (config, clock, chance) = (config.clone(), clock.clone(), chance.clone());
            blocking(move || {
                // The log's lock keeps a second process away from all of the folder.
                let dir = config.data_dir.join("wal");
                let (wal, log) = Wal::open(&dir, config.wal, clock, chance.clone(), wal_observer)?;
                let ingester = identity::load_or_make(&config.data_dir, &*chance)?;
                let flushed_below = flushed::load(&config.data_dir)?;
                let lately = lately::load(&config.data_dir)?;
                Ok::<_, Fault>((wal, log, ingester, flushed_below, lately))
            })
            .await??
        };
        let found =
            catalog::load(&bucket, &cache, &clock, &ingester, lately, &*observer, config.max_parallel_metas).await?;
        let budget = Budget::new(config.max_memory_bytes);
        let last_epoch = found.last_epoch.max(flushed_below);
        let flushed = Flushed { committed: found.committed, below: flushed_below };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let replayed = {
            let budget = budget.clone();
            blocking(move || replay::replay(&log, &flushed, &budget, threads)).await??
        };
        let number = next_number(replayed.last.max(last_epoch), clock.now_millis());
        let current = Epoch::new(number, wal.next_lsn(), budget.clone());
        let state = State { current, flushing: replayed.epochs, blocks: found.blocks };
        let took = Duration::from_nanos(clock.monotonic_nanos().saturating_sub(started));
        let results = Results::new(config.result_cache_bytes);
        let store = Store {
            config,
            bucket,
            cache,
            results: Arc::new(results),
            clock,
            observer,
            max_series: self.max_series.clone(),
            ingester,
            wal,
            lately: found.lately,
            missed: Arc::default(),
            budget,
            state: RwLock::new(state),
            wake_flusher: Notify::new(),
            flush_lock: tokio::sync::Mutex::new(()),
            flushed_below: flushed_below.into(),
            closing: false.into(),
        };
        let replayed = Replayed { took, ..replayed.found };
        store.observer.replayed(&replayed);
        if replayed.damaged == 0 {
            // What was skipped is no longer needed. Damage stays for whoever wants to look at it, until the next flush.
            store.trim()?;
        }
        if self.store.set(Arc::new(store)).is_err() {
            return Err(Fault::internal("the store was started twice"));
        }
        Ok(replayed)
    }

    /// Cuts and flushes as needed until `stop`; then refuses pushes, flushes everything and returns. An error says what
    /// could not be flushed in time: the log still has it.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<(), Fault> {
        let store = self.started()?;
        let working = async {
            loop {
                store.cut_if_old();
                let rest = match store.flush_all().await {
                    Ok(()) => TICK,
                    Err(_) => store.config.flush_retry,
                };
                // A timer beside the wake-up: time passes unasked.
                let _ = tokio::time::timeout(rest, store.wake_flusher.notified()).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = working => {}
        }
        store.close().await
    }

    /// Cuts now and waits until everything pushed so far is in the bucket.
    pub async fn flush(&self) -> Result<(), Fault> {
        self.started()?.flush_now().await
    }

    /// Which blocks count now, and what of them was deleted on request: queries that start from now on read these and what
    /// was flushed since, those under way go on with what they have.
    ///
    /// Snapshots must come in the order in which they were written.
    pub fn follow(&self, tenant: &TenantId, now: &Snapshot) -> Result<(), Fault> {
        self.started()?.follow(tenant, now)
    }

    /// The blocks of a tenant that queries read.
    pub fn block_ids(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.store.get().map(|store| store.block_ids(tenant)).unwrap_or_default()
    }

    /// The blocks of a tenant of which queries have found something gone since this was last asked.
    pub fn missed_blocks(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.store.get().map(|store| store.missed.take(tenant)).unwrap_or_default()
    }

    /// The blocks of a tenant that are being written, or may be: what the log has and no block yet.
    pub fn blocks_to_come(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.store.get().map(|store| store.to_come(tenant)).unwrap_or_default()
    }

    /// What this store is called, as long as its data folder lives. `None` before the start.
    pub fn name(&self) -> Option<&str> {
        self.store.get().map(|store| store.ingester.as_str())
    }

    /// `Ok` while pushes and queries are served.
    pub fn ready(&self) -> Result<(), Fault> {
        let store = self.started()?;
        if store.is_closing() {
            return Err(Fault::of(FaultId::Stopping, "the server is stopping: send it again in a moment"));
        }
        store.wal.ready()
    }

    /// All zeros before the start.
    pub fn stats(&self) -> Stats {
        self.store.get().map(|store| store.stats()).unwrap_or_default()
    }

    fn started(&self) -> Result<&Arc<Store>, Fault> {
        self.store.get().ok_or_else(|| {
            Fault::of(FaultId::Starting, "the store is starting: it replays its log; try again in a moment")
        })
    }
}

#[async_trait]
impl Ingester for Engine {
    async fn push(&self, tenant: &TenantId, profiles: Vec<PushedProfile>) -> Vec<Result<(), Fault>> {
        let count = profiles.len();
        let store = match self.started() {
            Ok(store) => store.clone(),
            Err(fault) => return refuse_all(count, &fault),
        };
        // A task of its own: it goes on when the caller goes away.
        match tokio::spawn(store.push(tenant.clone(), profiles)).await {
            Ok(results) => results,
            Err(_) => refuse_all(count, &Fault::internal("a push broke off: this is a bug, see the log")),
        }
    }
}

#[async_trait]
impl Reader for Engine {
    async fn series(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<SeriesInfo>>, Fault> {
        self.started()?.series(tenant, select).await
    }

    async fn points(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Vec<SeriesPoints>>, Fault> {
        self.started()?.points(tenant, query).await
    }

    async fn spans(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<ObservedSeries>>, Fault> {
        self.started()?.spans(tenant, select).await
    }

    async fn tree(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Tree>, Fault> {
        self.started()?.tree(tenant, query).await
    }

    async fn profile(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<ProfileMerge>, Fault> {
        self.started()?.profile(tenant, query).await
    }

    async fn cost(&self, tenant: &TenantId, select: &Select, exact: bool) -> Result<Answer<QueryCost>, Fault> {
        self.started()?.cost(tenant, select, exact).await
    }

    async fn bounds(&self, tenant: &TenantId) -> Result<Answer<Option<TimeRange>>, Fault> {
        self.started()?.bounds(tenant).await
    }
}
