//! Leases on jobs, so that two compactors waste no work.
//!
//! A lease is a row of objects that are only ever created, `<tenant>/leases/<job>.<turn>.json`. Whoever creates the next turn of
//! a job has the job until the time that it names, and goes on having it by creating the turn after that. Nothing rests on
//! it: two who both believe to have a job do its work twice, and the index lets one of them count. So what is doubtful (a
//! clock that is wrong, a lease that cannot be read or written) is decided for working on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flamestore_block::Ulid;
use flamestore_compaction::Job;
use flamestore_model::{Fault, TenantId};
use flamestore_objstore::{Object, Put, sealed};
use futures::TryStreamExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::run::Compactor;

/// How long a turn lasts.
pub const LEASE_FOR: Duration = Duration::from_secs(300);
/// How often whoever works takes the next turn.
pub const RENEW_EVERY: Duration = Duration::from_secs(100);
/// How far two clocks may differ before work is done twice.
pub const SKEW: Duration = Duration::from_secs(120);
/// What has ended is kept for this long, so that nobody takes a turn again that was in use.
const KEEP_ENDED: Duration = Duration::from_secs(3600);
/// Leases of the future that are remembered; more, and all of them are watched from the beginning.
const MAX_WATCHED: usize = 1000;
/// Turns of one job: weeks of work.
const MAX_TURNS: u64 = 10_000;

const VERSION: u32 = 1;
const SUFFIX: &str = ".json";

/// One turn, as it stands in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    version: u32,
    job: Ulid,
    /// Who works on it.
    owner: String,
    written_ms: i64,
    /// By the owner's clock.
    expires_ms: i64,
    /// Nobody else needs to touch these meanwhile.
    sources: Vec<Ulid>,
}

/// What is known of leases beside the bucket.
pub(crate) struct Leases {
    /// Where no store beside us gives us a name.
    unnamed: String,
    /// When a turn that ends impossibly late was first seen, by our monotonic clock.
    watched: Mutex<HashMap<String, u64>>,
}

impl Leases {
    pub(crate) fn new(random: u128) -> Self {
        Leases { unnamed: format!("{random:032x}"), watched: Mutex::default() }
    }
}

/// The leases of a tenant.
#[derive(Default)]
pub(crate) struct Held {
    /// The turn after the last one of each job.
    next: BTreeMap<Ulid, u64>,
    /// Blocks that somebody else is working on.
    by_others: BTreeSet<Ulid>,
}

impl Held {
    pub(crate) fn is_free(&self, job: &Job) -> bool {
        job.sources.iter().all(|s| !self.by_others.contains(&s.ulid))
    }
}

/// A job that is ours, as far as anybody knows.
pub(crate) struct Lease {
    tenant: TenantId,
    job: Ulid,
    sources: Vec<Ulid>,
    first: u64,
    last: AtomicU64,
}

fn folder(tenant: &TenantId) -> String {
    format!("{tenant}/leases")
}

fn key(tenant: &TenantId, job: Ulid, turn: u64) -> String {
    format!("{}/{job}.{turn}{SUFFIX}", folder(tenant))
}

/// The job and the turn that a key names.
fn parse(key: &str) -> Option<(Ulid, u64)> {
    let (job, turn) = key.rsplit('/').next()?.strip_suffix(SUFFIX)?.split_once('.')?;
    Some((Ulid::parse(job)?, turn.parse().ok().filter(|turn| *turn < MAX_TURNS)?))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Compactor {
    fn owner(&self) -> String {
        self.parts.flusher.name().unwrap_or_else(|| self.leases.unnamed.clone())
    }

    /// Who works on what. When that cannot be found out, nobody does.
    pub(crate) async fn held(&self, tenant: &TenantId) -> Held {
        self.look(tenant).await.unwrap_or_else(|fault| {
            self.lease_failed(tenant, &fault);
            Held::default()
        })
    }

    async fn look(&self, tenant: &TenantId) -> Result<Held, Fault> {
        let mut held = Held::default();
        for (job, turn) in last_turns(&self.lease_objects(tenant).await?) {
            held.next.insert(job, turn + 1);
            let found = self.turn(tenant, job, turn).await?;
            if let Some(found) = found.filter(|f| f.owner != self.owner() && self.lasts(tenant, turn, f)) {
                held.by_others.extend(found.sources);
            }
        }
        Ok(held)
    }

    /// `None`: somebody else has it.
    pub(crate) async fn lease(&self, tenant: &TenantId, job: &Job, held: &Held) -> Option<Lease> {
        let (id, sources) = (job.id(), job.sources.iter().map(|s| s.ulid).collect::<Vec<_>>());
        let mut turn = held.next.get(&id).copied().unwrap_or(0);
        loop {
            let ours =
                Lease { tenant: tenant.clone(), job: id, sources: sources.clone(), first: turn, last: turn.into() };
            match self.take(&ours, turn).await {
                Ok(true) => return Some(ours),
                Ok(false) => match self.turn(tenant, id, turn).await {
                    // Our own put, whose answer was lost; or that of the process before this one.
                    Ok(Some(found)) if found.owner == self.owner() => return Some(ours),
                    Ok(Some(found)) if self.lasts(tenant, turn, &found) => return None,
                    // A listing of long ago has shown less.
                    Ok(_) if turn + 1 < MAX_TURNS => turn += 1,
                    Ok(_) => return Some(ours),
                    Err(fault) => {
                        self.lease_failed(tenant, &fault);
                        return Some(ours);
                    }
                },
                Err(fault) => {
                    self.lease_failed(tenant, &fault);
                    return Some(ours);
                }
            }
        }
    }

    /// Creates a turn; false: there is one of that number.
    async fn take(&self, lease: &Lease, turn: u64) -> Result<bool, Fault> {
        let now_ms = self.parts.clock.now_millis();
        let written = Turn {
            version: VERSION,
            job: lease.job,
            owner: self.owner(),
            written_ms: now_ms,
            expires_ms: now_ms.saturating_add(millis(LEASE_FOR)),
            sources: lease.sources.clone(),
        };
        let json =
            serde_json::to_vec(&written).map_err(|e| Fault::internal("a lease cannot be written").caused_by(e))?;
        let put = self.parts.bucket.put_create(&key(&lease.tenant, lease.job, turn), sealed::seal(json).into()).await?;
        Ok(put == Put::Created)
    }

    /// Takes turn after turn. Ends when somebody else has taken one: then the work is done twice, and goes on.
    pub(crate) async fn renew(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if !self.renew_once(lease).await {
                return;
            }
        }
    }

    async fn renew_once(&self, lease: &Lease) -> bool {
        let next = lease.last.load(Ordering::Relaxed) + 1;
        match self.take(lease, next).await {
            Ok(true) => lease.last.store(next, Ordering::Relaxed),
            Ok(false) => {
                let found = self.turn(&lease.tenant, lease.job, next).await;
                if !matches!(found, Ok(Some(found)) if found.owner == self.owner()) {
                    let (tenant, job) = (&lease.tenant, lease.job);
                    tracing::info!(target: "compactor", %tenant, %job, "compactor: somebody else has taken over a job that is under way here");
                    self.parts.observer.lease_conflict(tenant);
                    return false;
                }
                lease.last.store(next, Ordering::Relaxed);
            }
            // There is time for another attempt.
            Err(fault) => self.lease_failed(&lease.tenant, &fault),
        }
        true
    }

    /// The work failed: whoever wants it can have it. The last turn goes first, so that what a crash leaves over ends before it
    /// does. After work that is done the lease stays until it is swept: others may not have seen yet that it is.
    pub(crate) async fn release(&self, lease: &Lease) {
        for turn in (lease.first..=lease.last.load(Ordering::Relaxed)).rev() {
            if let Err(fault) = self.parts.bucket.delete(&key(&lease.tenant, lease.job, turn)).await {
                self.lease_failed(&lease.tenant, &fault);
                return;
            }
        }
    }

    /// Deletes what owners that died have left. Returns how many.
    pub(crate) async fn sweep_leases(&self, tenant: &TenantId) -> Result<usize, Fault> {
        let mut gone = 0;
        for object in self.lease_objects(tenant).await? {
            let over = match parse(&object.key) {
                None => false,
                Some((job, turn)) => match self.turn(tenant, job, turn).await? {
                    None => true,
                    Some(found) => {
                        let long_ago =
                            found.expires_ms.saturating_add(millis(KEEP_ENDED)) < self.parts.clock.now_millis();
                        (long_ago || self.is_impossible(&found)) && !self.lasts(tenant, turn, &found)
                    }
                },
            };
            if over {
                self.parts.bucket.delete(&object.key).await?;
                self.leases.watched.lock().remove(&object.key);
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Whether a turn has not ended yet.
    fn lasts(&self, tenant: &TenantId, turn: u64, found: &Turn) -> bool {
        if !self.is_impossible(found) {
            return self.parts.clock.now_millis() <= found.expires_ms.saturating_add(millis(SKEW));
        }
        // By a clock far ahead of ours: it lasts for as long as one of ours would from when we first saw it.
        let now = self.parts.clock.monotonic_nanos();
        let mut watched = self.leases.watched.lock();
        if watched.len() >= MAX_WATCHED {
            watched.clear();
        }
        let since = *watched.entry(key(tenant, found.job, turn)).or_insert(now);
        Duration::from_nanos(now.saturating_sub(since)) <= LEASE_FOR + SKEW
    }

    /// Whether it ends later than anybody could have written whose clock is right.
    fn is_impossible(&self, found: &Turn) -> bool {
        found.expires_ms > self.parts.clock.now_millis().saturating_add(millis(LEASE_FOR + SKEW))
    }

    /// `None`: it is not there, or cannot be read, which is told.
    async fn turn(&self, tenant: &TenantId, job: Ulid, turn: u64) -> Result<Option<Turn>, Fault> {
        let key = key(tenant, job, turn);
        match self.parts.bucket.understand(&key, sealed::open::<Turn>).await? {
            Some(Ok(found)) => Ok(Some(found).filter(|f| f.job == job && f.version == VERSION)),
            Some(Err(fault)) => {
                let fault = fault.at(&key);
                tracing::error!(
                    target: "compactor", %tenant, %fault, "compactor: a lease is damaged, and counts for nothing"
                );
                self.parts.observer.corrupt(tenant, &fault);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    async fn lease_objects(&self, tenant: &TenantId) -> Result<Vec<Object>, Fault> {
        self.parts.bucket.list(&folder(tenant)).try_collect().await
    }

    fn lease_failed(&self, tenant: &TenantId, fault: &Fault) {
        tracing::warn!(
            target: "compactor", %tenant, %fault,
            "compactor: leases cannot be used: another compactor may do the same work at the same time"
        );
        self.parts.observer.lease_failed(tenant, fault);
    }
}

fn last_turns(objects: &[Object]) -> BTreeMap<Ulid, u64> {
    let mut last: BTreeMap<Ulid, u64> = BTreeMap::new();
    for (job, turn) in objects.iter().filter_map(|object| parse(&object.key)) {
        let known = last.entry(job).or_default();
        *known = turn.max(*known);
    }
    last
}
