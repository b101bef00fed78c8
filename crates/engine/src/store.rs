//! What a running store is made of, and its one lock: which epochs are in memory and which blocks are committed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flamestore_block::ulid::block_id;
use flamestore_block::{Block, BlockCache, Meta, Origin, Ulid};
use flamestore_clock::Clock;
use flamestore_index::hidden;
use flamestore_model::{Fault, TenantId};
use flamestore_objstore::Bucket;
use flamestore_wal::Wal;
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::budget::Budget;
use crate::config::EngineConfig;
use crate::epoch::{Epoch, Guard};
use crate::flushed;
use crate::heads::TenantHeads;
use crate::lately::Lately;
use crate::missed::Missed;
use crate::observe::{CutReason, Observe, Stats};
use crate::results::Results;

/// The most series a tenant may have between two cuts, asked at every push; `None` = no bound.
pub type MaxSeries = Arc<dyn Fn(&TenantId) -> Option<u64> + Send + Sync>;

pub(crate) struct Store {
    pub(crate) config: EngineConfig,
    pub(crate) bucket: Bucket,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) results: Arc<Results>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observe>,
    pub(crate) max_series: MaxSeries,
    /// This store's name.
    pub(crate) ingester: String,
    pub(crate) wal: Wal,
    pub(crate) lately: Lately,
    pub(crate) missed: Arc<Missed>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) state: RwLock<State>,
    /// Something was cut.
    pub(crate) wake_flusher: Notify,
    /// One flush at a time.
    pub(crate) flush_lock: tokio::sync::Mutex<()>,
    /// As the data folder has it.
    pub(crate) flushed_below: AtomicU64,
    pub(crate) closing: AtomicBool,
}

/// Changed only under the lock, so that whoever takes a snapshot finds every profile on exactly one side.
pub(crate) struct State {
    pub(crate) current: Arc<Epoch>,
    /// Cut; what is still in their heads is not in a block. Oldest first.
    pub(crate) flushing: Vec<Arc<Epoch>>,
    pub(crate) blocks: HashMap<TenantId, TenantBlocks>,
}

#[derive(Clone, Default)]
pub(crate) struct TenantBlocks {
    pub(crate) blocks: Arc<Vec<Arc<Block>>>,
    /// There are blocks that cannot be read.
    pub(crate) partial: bool,
}

/// Everything of a tenant, each profile once.
pub(crate) struct Snapshot {
    pub(crate) heads: Vec<Arc<TenantHeads>>,
    pub(crate) blocks: TenantBlocks,
}

impl Store {
    pub(crate) fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        let state = self.state.read();
        let epochs = state.flushing.iter().chain([&state.current]);
        Snapshot {
            heads: epochs.filter_map(|epoch| epoch.get(tenant)).collect(),
            blocks: state.blocks.get(tenant).cloned().unwrap_or_default(),
        }
    }

    /// Keeps the current epoch open for a push.
    pub(crate) fn enter(&self) -> Guard {
        // Under the lock that a cut takes: afterwards nobody can enter an epoch that has been cut.
        self.state.read().current.enter(self.clock.monotonic_nanos())
    }

    /// Ends an epoch if it is the current one, and opens the next. An epoch in which nothing was pushed goes on.
    pub(crate) fn cut(&self, epoch: &Epoch, reason: CutReason) {
        {
            let mut state = self.state.write();
            if state.current.number != epoch.number || state.current.is_empty() {
                return;
            }
            let next = self.next_epoch(state.current.number);
            let old = std::mem::replace(&mut state.current, next);
            state.flushing.push(old);
        }
        self.observer.cut(reason);
        self.wake_flusher.notify_one();
    }

    pub(crate) fn cut_current(&self, reason: CutReason) {
        let current = self.state.read().current.clone();
        self.cut(&current, reason);
    }

    pub(crate) fn next_epoch(&self, last: u64) -> Arc<Epoch> {
        let number = next_number(last, self.clock.now_millis());
        Epoch::new(number, self.wal.next_lsn(), self.budget.clone())
    }

    /// From the heads of an epoch to a block: one step for whoever takes a snapshot. Without a block, nothing was in them.
    pub(crate) fn swap(&self, epoch: &Epoch, tenant: &TenantId, block: Option<Arc<Block>>) {
        let heads = {
            let mut state = self.state.write();
            let heads = epoch.remove(tenant);
            // Without heads the index was faster: it has shown this block, or the one that holds it now.
            if let Some(block) = block.filter(|_| heads.is_some()) {
                self.lately.add(tenant, block.meta().ulid);
                let of_tenant = state.blocks.entry(tenant.clone()).or_default();
                Arc::make_mut(&mut of_tenant.blocks).push(block);
            }
            heads
        };
        // Freeing a head takes time: not under the lock.
        drop(heads);
    }

    /// Reads what the index lists from now on, and what was flushed since: one step for whoever takes a snapshot.
    ///
    /// Heads whose block the index knows go too: it was committed, though this store was never told so, and may be part of
    /// a larger one by now.
    pub(crate) fn follow(&self, tenant: &TenantId, now: &flamestore_index::Snapshot) -> Result<(), Fault> {
        let hidden = hidden(now);
        let open =
            |meta: &Meta| Block::open(self.bucket.clone(), tenant.clone(), meta.clone().into(), self.cache.clone());
        let taken = now.dead.iter().flat_map(|d| &d.origins).chain(now.lost.iter().flat_map(|l| &l.origins));
        let origins: HashSet<&Origin> = now.blocks.iter().flat_map(Meta::origins).chain(taken).collect();
        let counts = |meta: &Meta| {
            let flushed_since = meta.level == 0 && !now.is_dead(meta.ulid) && !origins.contains(&meta.origin);
            flushed_since || now.block(meta.ulid).is_some()
        };
        let (mut removed, mut known, mut blocks) = (Vec::new(), HashSet::new(), Vec::with_capacity(now.blocks.len()));
        let heads: Vec<_> = {
            let mut state = self.state.write();
            let before = state.blocks.get(tenant).cloned().unwrap_or_default();
            for block in before.blocks.iter() {
                let meta = block.meta();
                if counts(meta) {
                    known.insert(meta.ulid);
                    blocks.push(block.clone());
                } else {
                    removed.push(meta.ulid);
                }
            }
            for meta in now.blocks.iter().filter(|meta| !known.contains(&meta.ulid)) {
                blocks.push(Arc::new(open(meta)?));
            }
            for block in &mut blocks {
                let hidden = hidden.get(&block.meta().ulid).cloned().unwrap_or_default();
                *block = Arc::new(block.hiding(hidden));
            }
            if !blocks.is_empty() || !before.blocks.is_empty() {
                state.blocks.insert(tenant.clone(), TenantBlocks { blocks: Arc::new(blocks), ..before });
            }
            let flushed = |epoch: &&Arc<Epoch>| {
                origins.contains(&Origin { ingester: self.ingester.clone(), epoch: epoch.number })
            };
            state.flushing.iter().filter(flushed).filter_map(|epoch| epoch.remove(tenant)).collect()
        };
        self.lately.forget(tenant, &removed);
        drop(heads);
        Ok(())
    }

    pub(crate) fn block_ids(&self, tenant: &TenantId) -> Vec<Ulid> {
        let state = self.state.read();
        state.blocks.get(tenant).map(|b| b.blocks.iter().map(|b| b.meta().ulid).collect()).unwrap_or_default()
    }

    /// The blocks that heads will become, or are about to.
    pub(crate) fn to_come(&self, tenant: &TenantId) -> Vec<Ulid> {
        let state = self.state.read();
        state.flushing.iter().chain([&state.current]).map(|epoch| self.block_of(epoch, tenant)).collect()
    }

    /// The same at each attempt.
    pub(crate) fn block_of(&self, epoch: &Epoch, tenant: &TenantId) -> Ulid {
        block_id(epoch.number, &[self.ingester.as_bytes(), &epoch.number.to_le_bytes(), tenant.as_str().as_bytes()])
    }

    /// Forgets an epoch that is in blocks altogether.
    pub(crate) fn forget(&self, epoch: &Epoch) {
        self.state.write().flushing.retain(|e| e.number != epoch.number);
    }

    /// Gives the log back as far as no epoch in memory needs it.
    pub(crate) fn trim(&self) -> Result<(), Fault> {
        let (needed, flushed_below) = {
            let state = self.state.read();
            let epochs = || state.flushing.iter().chain([&state.current]);
            (epochs().map(|e| e.first_lsn).min().unwrap_or(0), epochs().map(|e| e.number).min().unwrap_or(0))
        };
        fail::fail_point!("engine-before-trim", |_| Err(Fault::unavailable("injected")));
        self.lately.save(&self.config.data_dir, self.clock.now_millis())?;
        if flushed_below > self.flushed_below.load(Ordering::Acquire) {
            flushed::store(&self.config.data_dir, flushed_below)?;
            self.flushed_below.store(flushed_below, Ordering::Release);
        }
        fail::fail_point!("engine-after-mark", |_| Err(Fault::unavailable("injected")));
        self.wal.trim(needed)?;
        fail::fail_point!("engine-after-trim", |_| Err(Fault::unavailable("injected")));
        Ok(())
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.state.read();
        Stats {
            memory_bytes: self.budget.used(),
            head_bytes: state.current.head_bytes(),
            series: state.current.series(),
            epochs_flushing: state.flushing.len(),
            log_bytes: self.wal.bytes(),
            log_segments: self.wal.segments(),
            blocks: state.blocks.values().map(|b| b.blocks.len()).sum(),
            tenants: state.blocks.len(),
            table_cache_bytes: self.cache.bytes(),
            result_cache_bytes: self.results.bytes(),
            disk_cache_bytes: self.cache.disk_bytes(),
        }
    }
}

/// Epochs are numbered by the time they open at, and never twice alike: not when two open in one millisecond, not when
/// the clock goes back.
pub(crate) fn next_number(last: u64, now_ms: i64) -> u64 {
    u64::try_from(now_ms).unwrap_or(0).max(last.saturating_add(1))
}
