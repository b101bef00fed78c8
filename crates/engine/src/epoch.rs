//! The unit of cutting: everything pushed between two cuts is one epoch, and makes one block for each tenant.
//!
//! A push holds a [`Guard`] on its epoch from before its log record is made until it is in a head, so whoever flushes an
//! epoch that is no longer current waits for its guards and then has all of it: exactly the records that carry its number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use flamestore_api::PushedProfile;
use flamestore_model::{Fault, StoredSeries, TenantId};
use flamestore_pprof::Normalized;
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::budget::Budget;
use crate::heads::TenantHeads;

const NOT_YET: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Epoch {
    /// Grows from epoch to epoch, also over restarts. About the time when it was opened, in Unix milliseconds.
    pub(crate) number: u64,
    /// No record of this epoch has a smaller LSN.
    pub(crate) first_lsn: u64,
    /// Of the first push, by the clock that never goes back. [`NOT_YET`]: there was none.
    started_nanos: AtomicU64,
    heads: RwLock<HashMap<TenantId, Arc<TenantHeads>>>,
    budget: Arc<Budget>,
    head_bytes: AtomicUsize,
    log_bytes: AtomicU64,
    pushes: AtomicUsize,
    idle: Notify,
}

impl Epoch {
    pub(crate) fn new(number: u64, first_lsn: u64, budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Epoch {
            number,
            first_lsn,
            started_nanos: AtomicU64::new(NOT_YET),
            heads: RwLock::default(),
            budget,
            head_bytes: AtomicUsize::new(0),
            log_bytes: AtomicU64::new(0),
            pushes: AtomicUsize::new(0),
            idle: Notify::new(),
        })
    }

    /// Only while it is known to be current, under the lock that a cut takes.
    pub(crate) fn enter(self: &Arc<Self>, now_nanos: u64) -> Guard {
        self.pushes.fetch_add(1, Ordering::AcqRel);
        if self.started_nanos.load(Ordering::Relaxed) == NOT_YET {
            self.started_nanos.fetch_min(now_nanos, Ordering::Relaxed);
        }
        Guard(self.clone())
    }

    /// How long ago the first push began.
    pub(crate) fn age_nanos(&self, now_nanos: u64) -> u64 {
        now_nanos.saturating_sub(self.started_nanos.load(Ordering::Relaxed))
    }

    /// Until the last guard is gone.
    pub(crate) async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.pushes.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// The heads of a tenant; made if need be.
    fn heads_of(&self, tenant: &TenantId) -> Arc<TenantHeads> {
        if let Some(heads) = self.get(tenant) {
            return heads;
        }
        let new = || Arc::new(TenantHeads::new(self.budget.clone()));
        self.heads.write().entry(tenant.clone()).or_insert_with(new).clone()
    }

    pub(crate) fn get(&self, tenant: &TenantId) -> Option<Arc<TenantHeads>> {
        self.heads.read().get(tenant).cloned()
    }

    pub(crate) fn remove(&self, tenant: &TenantId) -> Option<Arc<TenantHeads>> {
        self.heads.write().remove(tenant)
    }

    /// Tenants with heads, sorted.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        let mut all: Vec<_> = self.heads.read().keys().cloned().collect();
        all.sort_unstable();
        all
    }

    /// Also when nothing was ever pushed.
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.read().is_empty()
    }

    /// Whether storing this profile would wait for nobody, as far as one can tell without waiting.
    pub(crate) fn is_free(&self, tenant: &TenantId, profile: &PushedProfile) -> bool {
        self.get(tenant).is_none_or(|heads| heads.is_free(profile))
    }

    /// Makes place for the series of a profile that is about to be logged, or refuses all of it.
    pub(crate) fn admit(&self, tenant: &TenantId, series: &[StoredSeries], max: Option<u64>) -> Result<(), Fault> {
        self.heads_of(tenant).admit(series, max)
    }

    /// Series of all tenants.
    pub(crate) fn series(&self) -> usize {
        self.heads.read().values().map(|heads| heads.series()).sum()
    }

    /// Stores one profile. Blocks while a query reads the same service.
    pub(crate) fn append(
        &self,
        tenant: &TenantId,
        profile: &PushedProfile,
        normalized: &Normalized,
    ) -> Result<(), Fault> {
        let (grown, result) = self.heads_of(tenant).append(profile, normalized);
        self.head_bytes.fetch_add(grown, Ordering::Relaxed);
        result
    }

    pub(crate) fn count_log_bytes(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn head_bytes(&self) -> usize {
        self.head_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }
}

/// A push under way.
#[derive(Debug)]
pub(crate) struct Guard(pub(crate) Arc<Epoch>);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.pushes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
