//! The story of a push.

use std::sync::Arc;

use flamestore_api::{Ingester, PushedProfile};
use flamestore_clock::{Chance, Clock};
use flamestore_formats::{Notes, RawProfile};
use flamestore_limits::{HumanDuration, Limits, Overrides, RateLimiter};
use flamestore_model::labels::names;
use flamestore_model::{Discard, Fault, ProfileId, TenantId};
use flamestore_pprof::{Caps, NormalizeOptions, Profile, Spy, check, decode, normalize};

use crate::labels::{self, SeriesLabels};
use crate::observe::{Count, Observe};
use crate::split;

/// The largest inflated pprof that any configuration allows.
pub const MAX_INFLATED_BYTES: usize = 1 << 30;
/// Values of `pyroscope_spy` that profilers of other languages than Go send.
const OTHER_SPIES: [&str; 8] =
    ["dotnetspy", "grafana-agent.java", "javaspy", "nodespy", "phpspy", "pyroscope-rs", "pyspy", "rbspy"];
/// Distributors that share a tenant's rate. One process is the only one.
const DISTRIBUTORS: usize = 1;

/// The things a distributor works with.
pub struct Parts {
    pub ingester: Arc<dyn Ingester>,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub observer: Arc<dyn Observe>,
}

/// Takes uploads. Cheap to share: all state is in its parts.
pub struct Distributor {
    parts: Parts,
    rate: RateLimiter,
}

/// What became of a push that was accepted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// pprof files kept.
    pub profiles: u64,
    /// Samples thrown away although the push was accepted.
    pub dropped_samples: u64,
}

impl Distributor {
    pub fn new(parts: Parts) -> Self {
        Distributor { rate: RateLimiter::new(parts.clock.clone()), parts }
    }

    pub fn overrides(&self) -> &Arc<Overrides> {
        &self.parts.overrides
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Counts an upload that was refused before it could be pushed.
    pub(crate) fn count_refused(&self, tenant: &TenantId, fault: &Fault, bytes: usize) {
        Count { observer: &*self.parts.observer, tenant }.refused(fault, bytes);
    }

    /// Counts profiles of an upload that were refused, the first of them with this fault.
    pub(crate) fn count_refused_profiles(&self, tenant: &TenantId, fault: &Fault, profiles: u64) {
        if let Some(reason) = fault.discard {
            Count { observer: &*self.parts.observer, tenant }.dropped(reason, profiles);
        }
    }

    pub(crate) fn count_notes(&self, tenant: &TenantId, notes: &Notes) {
        if *notes != Notes::default() {
            self.parts.observer.passed_over(tenant, notes);
        }
    }

    /// Takes some profiles. Each stands for itself: the good ones are kept even when the answer is the fault of a bad
    /// one. Answers when everything that was accepted is durable and readable.
    pub async fn push(&self, tenant: &TenantId, uploads: Vec<RawProfile>) -> Result<Receipt, Fault> {
        let limits = self.parts.overrides.of(tenant);
        let count = Count { observer: &*self.parts.observer, tenant };
        let mut receipt = Receipt::default();
        let mut accepted = Vec::with_capacity(uploads.len());
        let mut first_fault = None;
        for (index, upload) in uploads.into_iter().enumerate() {
            let bytes = upload.pprof.len();
            match self.prepare(tenant, &limits, upload, &count) {
                Ok(prepared) => {
                    receipt.dropped_samples += prepared.dropped_samples;
                    accepted.extend(prepared.profile);
                }
                Err(fault) => {
                    count.refused(&fault, bytes);
                    first_fault.get_or_insert_with(|| fault.at(format_args!("profile {index} of the push")));
                }
            }
        }
        receipt.profiles = accepted.len() as u64;
        if !accepted.is_empty() {
            for result in self.parts.ingester.push(tenant, accepted).await {
                if let Err(fault) = result {
                    count.refused(&fault, 0);
                    first_fault.get_or_insert(fault);
                }
            }
        }
        first_fault.map_or(Ok(receipt), Err)
    }

    /// Everything about one pprof that can be decided without waiting.
    fn prepare(
        &self,
        tenant: &TenantId,
        limits: &Limits,
        mut upload: RawProfile,
        count: &Count<'_>,
    ) -> Result<Prepared, Fault> {
        let now = self.parts.clock.now_nanos();
        let labels = labels::of_series(&upload.labels, limits)?;
        let profile = match upload.decoded.take() {
            Some(decoded) => *decoded,
            None => decode(&upload.pprof, max_inflated(limits))?,
        };
        count.received(labels.get(names::PROFILE_NAME).unwrap_or(""), upload.pprof.len(), &profile);
        self.rate.admit(tenant, profile.text.len() + labels.text_bytes(), limits, DISTRIBUTORS)?;
        let time_nanos = upload.time_nanos(profile.time_nanos, now);
        check_window(time_nanos, now, limits)?;
        check(&profile, &caps(limits, upload.spy))?;

        let options = NormalizeOptions {
            max_depth: clamped(limits.max_profile_stacktrace_depth),
            max_symbol_bytes: clamped(limits.max_profile_symbol_value_length),
            max_inflated_bytes: clamped(max_inflated(limits) as u64),
            go: is_go(&profile, &labels),
            spy: upload.spy,
        };
        let samples = profile.samples.len();
        let normalized = normalize(profile, &options);
        let dropped = normalized.dropped;
        count.dropped(Discard::MalformedProfile, dropped.broken());
        if normalized.groups.is_empty() {
            // Nothing but zeros is a quiet program; nothing but broken samples is a broken client.
            return match dropped.broken() {
                0 => Ok(Prepared { profile: None, dropped_samples: 0 }),
                broken => Err(Fault::invalid(format!(
                    "none of the profile's {samples} samples can be kept: {broken} are broken ({dropped}); \
                     send samples with known locations and no negative values"
                ))
                .discarding(Discard::MalformedProfile)),
            };
        }
        let stored = split::into_series(&normalized, &labels, limits)?;
        if stored.is_empty() {
            let samples = normalized.groups.iter().map(|g| g.rows.len() as u64).sum();
            count.dropped(Discard::DroppedByRelabelRules, samples);
            return Ok(Prepared { profile: None, dropped_samples: dropped.broken() });
        }
        count.kept(&normalized, stored.len());
        let profile_id = ProfileId::v7((now / 1_000_000).max(0) as u64, self.parts.chance.next_u128());
        let profile = PushedProfile {
            profile_id,
            time_nanos,
            raw: upload.pprof,
            options,
            series: stored,
            decoded: Some(Box::new(normalized)),
        };
        Ok(Prepared { profile: Some(profile), dropped_samples: dropped.broken() })
    }
}

struct Prepared {
    /// Absent when rules or zeros left nothing to keep.
    profile: Option<PushedProfile>,
    dropped_samples: u64,
}

/// Whether the Go repairs apply. They look for stacks of depths at which only the Go runtime cuts, and would find them
/// by chance elsewhere. What the client says of itself counts more than what its functions look like.
fn is_go(profile: &Profile, labels: &SeriesLabels) -> bool {
    match labels.get(names::SPY) {
        Some("gospy") => return true,
        Some(spy) if OTHER_SPIES.contains(&spy) => return false,
        _ => {}
    }
    profile
        .functions
        .iter()
        .any(|f| profile.bytes_of(f.filename).ends_with(b".go") || profile.bytes_of(f.name).starts_with(b"runtime."))
}

fn caps(limits: &Limits, spy: Spy) -> Caps {
    Caps {
        max_samples: limits.max_profile_stacktrace_samples as usize,
        max_sample_labels: limits.max_profile_stacktrace_sample_labels as usize,
        spy,
    }
}

/// The largest inflated pprof. Without a limit of its own, a profile is bounded by the largest body.
fn max_inflated(limits: &Limits) -> usize {
    match limits.max_profile_size_bytes {
        0 => limits.body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES).min(MAX_INFLATED_BYTES),
        n => usize::try_from(n).unwrap_or(MAX_INFLATED_BYTES).min(MAX_INFLATED_BYTES),
    }
}

fn clamped(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn check_window(time_nanos: i64, now: i64, limits: &Limits) -> Result<(), Fault> {
    let age = i128::from(now) - i128::from(time_nanos);
    let beyond =
        |distance: i128, limit: HumanDuration| limit.enabled().is_some() && distance > i128::from(limit.nanos());
    let (word, limit, key) = if beyond(age, limits.reject_older_than) {
        ("older", limits.reject_older_than, "validation.reject-older-than")
    } else if beyond(-age, limits.reject_newer_than) {
        ("newer", limits.reject_newer_than, "validation.reject-newer-than")
    } else {
        return Ok(());
    };
    Err(Fault::invalid(format!(
        "profile time {time_nanos} ns is outside the ingestion window: more than {} s {word} than now ({now} ns); \
         mend the sender's clock or raise {key}",
        limit.nanos() / 1_000_000_000
    ))
    .discarding(Discard::NotInIngestionWindow))
}
