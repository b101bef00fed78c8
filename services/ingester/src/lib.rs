//! The ingester: keeps profiles. The store itself is `flamestore-engine`; here it is made from the configuration and run.

pub mod settings;

use std::sync::Arc;

use flamestore_block::BlockCache;
use flamestore_clock::{Chance, Clock};
use flamestore_config::Config;
use flamestore_engine::{Engine, Observe, Parts, Replayed};
use flamestore_limits::Overrides;
use flamestore_model::Fault;
use flamestore_objstore::{Bucket, DiskCache};

/// Ingesters that share a tenant's series. One process is the only one.
const INGESTERS: usize = 1;

/// The things an ingester works with.
pub struct IngesterParts {
    pub overrides: Arc<Overrides>,
    pub bucket: Bucket,
    /// From [`disk_cache`].
    pub disk: Option<DiskCache>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub observer: Arc<dyn Observe>,
    pub wal_observer: Arc<dyn flamestore_wal::Observer>,
}

/// The cache on the local disk, where one is wanted and the bucket is not itself a local disk.
pub async fn disk_cache(config: &Config, bucket: &Bucket) -> Result<Option<DiskCache>, Fault> {
    let querier = &config.querier;
    if querier.disk_cache_bytes == 0 {
        return Ok(None);
    }
    if !bucket.is_remote() {
        tracing::info!("querier.disk_cache_bytes has no effect: blocks are in a local directory already");
        return Ok(None);
    }
    DiskCache::open(&querier.disk_cache_dir, querier.disk_cache_bytes).await.map(Some)
}

/// The store of this process, not started.
pub fn engine(config: &Config, parts: IngesterParts) -> Arc<Engine> {
    let IngesterParts { overrides, bucket, disk, clock, chance, observer, wal_observer } = parts;
    let cache = BlockCache::above(disk, config.querier.block_cache_bytes as u64);
    let engine =
        Engine::new(Parts { config: settings::engine(config), bucket, cache, clock, chance, observer, wal_observer });
    Arc::new(engine.with_max_series(Arc::new(move |tenant| overrides.of(tenant).max_series(INGESTERS))))
}

/// Reads the bucket and the log, and says in the log what was found.
pub async fn start(engine: &Engine) -> Result<Replayed, Fault> {
    let replayed = engine.start().await?;
    let stats = engine.stats();
    tracing::info!(
        blocks = stats.blocks,
        profiles = replayed.profiles,
        skipped = replayed.skipped,
        torn_bytes = replayed.torn_bytes,
        damaged = replayed.damaged,
        seconds = replayed.took.as_secs_f64(),
        "log replayed"
    );
    Ok(replayed)
}
