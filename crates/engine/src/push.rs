//! The way of a push: admit memory, log, wait for the sync, apply to the heads, answer.

use std::sync::Arc;

use flamestore_api::PushedProfile;
use flamestore_model::{Fault, FaultId, Kind, TenantId};
use flamestore_pprof::{Normalized, decode, normalize};

use crate::epoch::{Epoch, Guard};
use crate::observe::CutReason;
use crate::record;
use crate::source_version;
use crate::store::Store;

/// Bytes of memory that a pprof needs while it is pushed, for each of its bytes as it came (mostly compressed).
const BYTES_PER_RAW_BYTE: usize = 8;

/// A push that needs no more memory than this, and waits for nobody, is applied by the thread that answers it: it takes
/// a fraction of a millisecond, and on a quiet server handing it to another thread and back costs as much again.
const MAX_BYTES_APPLIED_HERE: usize = 1 << 20;

type Results = Vec<Result<(), Fault>>;
type Decoded = Result<(PushedProfile, Box<Normalized>), Fault>;

impl Store {
    /// Goes on to its end when the caller goes away: a profile that is in the log must come into a head.
    pub(crate) async fn push(self: Arc<Self>, tenant: TenantId, profiles: Vec<PushedProfile>) -> Results {
        let results = self.push_to_the_end(&tenant, profiles).await;
        let refused = results.iter().filter(|r| r.is_err()).count();
        self.observer.pushed(&tenant, results.len() - refused, refused);
        results
    }

    async fn push_to_the_end(self: &Arc<Self>, tenant: &TenantId, profiles: Vec<PushedProfile>) -> Results {
        let count = profiles.len();
        if let Err(fault) = self.accepts() {
            return refuse_all(count, &fault);
        }
        let needs = profiles.iter().map(needed_bytes).sum();
        let all_decoded = profiles.iter().all(|p| p.decoded.is_some());
        let room = self.budget.admit(needs, self.config.max_push_wait, || self.cut_current(CutReason::Memory)).await;
        let _room = match room {
            Ok(room) => room,
            Err(fault) => return refuse_all(count, &fault),
        };

        // What came decoded needs no thread of its own.
        let decode_all = move || profiles.into_iter().map(decode_one).collect::<Vec<_>>();
        let mut decoded = if all_decoded {
            decode_all()
        } else {
            match blocking(decode_all).await {
                Ok(decoded) => decoded,
                Err(fault) => return refuse_all(count, &fault),
            }
        };
        let guard = self.enter();
        let max_series = (self.max_series)(tenant);
        for one in &mut decoded {
            let Ok((profile, _)) = one else { continue };
            if let Err(fault) = guard.0.admit(tenant, &profile.series, max_series) {
                *one = Err(fault);
            }
        }
        let records: Vec<_> = decoded
            .iter()
            .filter_map(|d| d.as_ref().ok())
            .map(|(profile, _)| record::encode(guard.0.number, tenant, profile))
            .collect();
        let log_bytes = records.iter().flatten().map(|part| part.len() as u64).sum();
        if !records.is_empty()
            && let Err(fault) = self.wal.append(records).await
        {
            decoded.iter_mut().filter(|d| d.is_ok()).for_each(|d| *d = Err(fault.again()));
        }

        let here = needs <= MAX_BYTES_APPLIED_HERE
            && decoded.iter().flatten().all(|(profile, _)| guard.0.is_free(tenant, profile));
        if here {
            return self.apply(tenant, decoded, &guard, log_bytes);
        }
        let (store, tenant) = (self.clone(), tenant.clone());
        let applied = blocking(move || store.apply(&tenant, decoded, &guard, log_bytes)).await;
        applied.unwrap_or_else(|fault| refuse_all(count, &fault))
    }

    /// Brings what is logged into the heads. Blocks while a query reads one of them.
    fn apply(&self, tenant: &TenantId, decoded: Vec<Decoded>, guard: &Guard, log_bytes: u64) -> Results {
        let mut full = false;
        let results = decoded
            .into_iter()
            .map(|d| {
                let (profile, normalized) = d?;
                let appended = guard.0.append(tenant, &profile, &normalized);
                full |= appended.as_ref().is_err_and(|f| f.kind == Kind::Unavailable);
                appended
            })
            .collect();
        guard.0.count_log_bytes(log_bytes);
        self.cut_if_due(&guard.0, full);
        results
    }

    fn cut_if_due(&self, epoch: &Epoch, full: bool) {
        if full {
            self.cut(epoch, CutReason::Full);
        } else if epoch.head_bytes() >= self.config.max_head_bytes || epoch.log_bytes() >= self.config.max_replay_bytes
        {
            self.cut(epoch, CutReason::Size);
        }
    }

    fn accepts(&self) -> Result<(), Fault> {
        if self.is_closing() {
            return Err(Fault::of(
                FaultId::Stopping,
                "this ingester is shutting down: push to another one, or again in a moment",
            ));
        }
        let max = self.config.max_log_bytes;
        if self.wal.bytes() > max {
            self.cut_current(CutReason::Size);
            return Err(Fault::of(
                FaultId::LogFull,
                format!(
                    "the log holds more than {max} bytes that are not flushed: the bucket is down or too slow; try again \
                     later"
                ),
            ));
        }
        self.wal.ready()
    }
}

/// Runs to its end off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Fault::internal("a part of the store broke off: this is a bug, see the log").caused_by(e))
}

fn decode_one(mut profile: PushedProfile) -> Decoded {
    let normalized = match profile.decoded.take() {
        Some(mut normalized) => {
            source_version::note(&mut normalized.profile, &profile.series);
            normalized
        }
        None => Box::new(decode_logged(&profile)?),
    };
    Ok((profile, normalized))
}

/// The samples of a profile, from its bytes and what was decided about it.
pub(crate) fn decode_logged(profile: &PushedProfile) -> Result<Normalized, Fault> {
    let decoded = decode(&profile.raw, profile.options.max_inflated_bytes as usize)?;
    let mut normalized = normalize(decoded, &profile.options);
    source_version::note(&mut normalized.profile, &profile.series);
    Ok(normalized)
}

fn needed_bytes(profile: &PushedProfile) -> usize {
    let decoded = profile.decoded.as_ref().map_or(0, |n| n.profile.text.len());
    profile.raw.len().saturating_mul(BYTES_PER_RAW_BYTE).max(profile.raw.len() + decoded)
}

pub(crate) fn refuse_all(count: usize, fault: &Fault) -> Results {
    (0..count).map(|_| Err(fault.again())).collect()
}
