//! From the operator's words to the bounds of the compactor.

use std::path::PathBuf;
use std::time::Duration;

use flamestore_compaction::PlanConfig;
use flamestore_config::Config;
use flamestore_config::config::Backend;
use flamestore_model::TenantId;

/// Blocks of a window come this long after its end at the latest: the longest that a head waits, and the flush.
const SETTLE_BEYOND_HEAD: Duration = Duration::from_secs(300);

/// How often, how large, and when bytes go.
#[derive(Debug, Clone)]
pub struct CompactorConfig {
    pub compaction_interval: Duration,
    pub cleanup_interval: Duration,
    pub enforcement_interval: Duration,
    pub plan: PlanConfig,
    /// Where sources, tables and new blocks are while they are merged. Of this process alone.
    pub data_dir: PathBuf,
    /// Jobs at a time.
    pub concurrency: usize,
    /// Longest time spent on one tenant in a row. `None`: no bound.
    pub max_time_on_tenant: Option<Duration>,
    pub deletion_delay: Duration,
    /// False: nothing is ever marked or deleted.
    pub cleanup_enabled: bool,
    /// Total bytes of a tenant's blocks. `None`: no bound.
    pub max_tenant_bytes: Option<u64>,
    /// `None`: the disk is not looked at.
    pub disk: Option<DiskRules>,
    /// Tenants to compact; none: all.
    pub enabled_tenants: Vec<String>,
    pub disabled_tenants: Vec<String>,
    /// Descriptions of blocks that are read at the same time.
    pub max_parallel_metas: usize,
}

/// Room that is kept on a disk. Blocks go only when both are missed: a share alone would keep much of a large disk empty,
/// and bytes alone a small one.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskRules {
    pub dir: PathBuf,
    pub min_free_bytes: u64,
    /// 0 to 1.
    pub min_free_share: f64,
}

impl CompactorConfig {
    pub fn of(config: &Config) -> Self {
        let (compactor, db) = (&config.compactor, &config.pyroscopedb);
        let local = config.storage.backend == Backend::Filesystem && !db.disable_enforcement;
        CompactorConfig {
            compaction_interval: compactor.compaction_interval,
            cleanup_interval: compactor.cleanup_interval,
            enforcement_interval: db.enforcement_interval,
            plan: PlanConfig {
                ranges: compactor.block_ranges.clone(),
                settle: db.max_block_duration.min(config.ingester.max_head_age) + SETTLE_BEYOND_HEAD,
                max_memory_bytes: compactor.max_memory_bytes,
            },
            data_dir: compactor.data_dir.clone(),
            concurrency: compactor.compaction_concurrency,
            max_time_on_tenant: compactor.max_compaction_time,
            deletion_delay: compactor.deletion_delay,
            cleanup_enabled: compactor.block_cleanup_enabled,
            max_tenant_bytes: Some(compactor.max_tenant_bytes).filter(|n| *n > 0),
            disk: local.then(|| DiskRules {
                dir: config.storage.filesystem_dir.clone(),
                min_free_bytes: db.min_free_disk_gb.saturating_mul(1 << 30),
                min_free_share: db.min_disk_available_share,
            }),
            enabled_tenants: compactor.enabled_tenants.clone(),
            disabled_tenants: compactor.disabled_tenants.clone(),
            max_parallel_metas: 16,
        }
    }

    pub(crate) fn compacts(&self, tenant: &TenantId) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == tenant.as_str());
        (self.enabled_tenants.is_empty() || named(&self.enabled_tenants)) && !named(&self.disabled_tenants)
    }
}
