//! The story of a push.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_api::{Ingester, PushedProfile};
use flamestore_clock::{Chance, Clock};
use flamestore_limits::{Limits, Overrides};
use flamestore_model::{Discard, Fault, Kind, ProfileId, TenantId};
use flamestore_pprof::{Caps, NormalizeOptions, Profile, Spy, check, decode, normalize};
use flamestore_telemetry::Metrics;

use crate::admit::Admission;
use crate::labels;
use crate::metrics::Count;
use crate::split;

/// The things a distributor works with.
pub struct Parts {
    pub ingester: Arc<dyn Ingester>,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub metrics: Arc<Metrics>,
}

/// Takes uploads. Cheap to share: all state is in its parts.
pub struct Distributor {
    parts: Parts,
    admission: Admission,
}

/// Some pprof files with the labels that the client gave them.
#[derive(Debug, Clone)]
pub struct RawSeries {
    /// In the client's order; a name may come twice, which is refused later with the series.
    pub labels: Vec<(String, String)>,
    /// pprof files, gzip or plain.
    pub profiles: Vec<Bytes>,
    pub origin: Origin,
}

/// What the door knows about where a profile comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin {
    pub spy: Spy,
    /// Replaces profile times of the year 1970, in nanoseconds since the epoch.
    pub fallback_time_nanos: Option<i64>,
    /// A body that is no pprof is "unprocessable" (422) at the doors that say so, else plainly invalid (400).
    pub undecodable_is_unprocessable: bool,
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
        Distributor { admission: Admission::new(parts.clock.clone()), parts }
    }

    pub fn overrides(&self) -> &Arc<Overrides> {
        &self.parts.overrides
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// Takes some series. Each profile stands for itself: the good ones are kept even when the answer is the fault of
    /// a bad one. Answers when everything that was accepted is durable and readable.
    pub async fn push(&self, tenant: &TenantId, series: Vec<RawSeries>) -> Result<Receipt, Fault> {
        if series.iter().all(|s| s.profiles.is_empty()) {
            return Err(Fault::invalid("no profiles received: send at least one series with one sample"));
        }
        let limits = self.parts.overrides.of(tenant);
        let count = Count::new(&self.parts.metrics, tenant);
        let mut receipt = Receipt::default();
        let mut accepted = Vec::new();
        let mut first_fault = None;
        for (index, one) in series.into_iter().enumerate() {
            for raw in &one.profiles {
                match self.prepare(tenant, &limits, &one, raw.clone(), &count) {
                    Ok(prepared) => {
                        receipt.dropped_samples += prepared.dropped_samples;
                        accepted.extend(prepared.profile);
                    }
                    Err(fault) => {
                        count.discarded(&fault, raw.len());
                        first_fault.get_or_insert(fault.at(format_args!("series {index}")));
                    }
                }
            }
        }
        receipt.profiles = accepted.len() as u64;
        if !accepted.is_empty() {
            for result in self.parts.ingester.push(tenant, accepted).await {
                if let Err(fault) = result {
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
        series: &RawSeries,
        raw: Bytes,
        count: &Count<'_>,
    ) -> Result<Prepared, Fault> {
        let now = self.parts.clock.now_nanos();
        let labels = labels::of_series(&series.labels, limits)?;
        let profile = decode(&raw, limits.max_profile_size_bytes).map_err(|f| {
            if series.origin.undecodable_is_unprocessable && f.discard != Some(Discard::ProfileSizeLimit) {
                Fault { kind: Kind::Unprocessable, ..f }
            } else {
                f
            }
        })?;
        count.received(raw.len(), &profile);
        self.admission.rate(tenant, limits, profile.text.len() + labels.text_bytes())?;
        let time_nanos = mended_time(&profile, series.origin, now);
        check_window(time_nanos, now, limits)?;
        check(&profile, &caps(limits))?;

        let options = NormalizeOptions {
            max_depth: limits.max_profile_stacktrace_depth as u32,
            max_symbol_bytes: limits.max_profile_symbol_value_length as u32,
            max_inflated_bytes: limits.max_profile_size_bytes as u32,
            go: is_go(&profile),
            spy: series.origin.spy,
        };
        let samples = profile.samples.len();
        let normalized = normalize(profile, &options);
        let dropped = normalized.dropped;
        count.dropped(&dropped);
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
        count.kept(&normalized, &stored);
        if stored.is_empty() {
            return Ok(Prepared { profile: None, dropped_samples: dropped.broken() });
        }
        let profile_id = ProfileId::v7((now / 1_000_000).max(0) as u64, self.parts.chance.next_u128());
        let profile =
            PushedProfile { profile_id, time_nanos, raw, options, series: stored, decoded: Some(Box::new(normalized)) };
        Ok(Prepared { profile: Some(profile), dropped_samples: dropped.broken() })
    }
}

struct Prepared {
    /// Absent when rules or zeros left nothing to keep.
    profile: Option<PushedProfile>,
    dropped_samples: u64,
}

/// Whether the Go repairs apply. They look for stacks of depths at which only the Go runtime cuts, and would find them
/// by chance elsewhere.
fn is_go(profile: &Profile) -> bool {
    profile.functions.iter().any(|f| {
        profile.bytes_of(f.filename).ends_with(b".go") || profile.bytes_of(f.name).starts_with(b"runtime.")
    })
}

fn caps(limits: &Limits) -> Caps {
    Caps {
        max_samples: limits.max_profile_stacktrace_samples,
        max_sample_labels: limits.max_profile_stacktrace_sample_labels,
    }
}

/// A profile without a time gets the time of its arrival; one from 1970 (some clients count from their own start)
/// the time that the request names.
fn mended_time(profile: &Profile, origin: Origin, now: i64) -> i64 {
    const YEAR_1970_NANOS: i64 = 365 * 86_400 * 1_000_000_000;
    match (profile.time_nanos, origin.fallback_time_nanos) {
        (t, Some(fallback)) if (0..YEAR_1970_NANOS).contains(&t) => fallback,
        (0, None) => now,
        (t, _) => t,
    }
}

fn check_window(time_nanos: i64, now: i64, limits: &Limits) -> Result<(), Fault> {
    let age = i128::from(now) - i128::from(time_nanos);
    let nanos = |d: std::time::Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    let (old, new) = (limits.reject_older_than.into(), limits.reject_newer_than.into());
    let too_old = nanos(old) > 0 && age > nanos(old);
    let too_new = nanos(new) > 0 && -age > nanos(new);
    if !(too_old || too_new) {
        return Ok(());
    }
    let (word, limit, key) = if too_old {
        ("older", old, "validation.reject-older-than")
    } else {
        ("newer", new, "validation.reject-newer-than")
    };
    Err(Fault::invalid(format!(
        "profile time {time_nanos} ns is outside the ingestion window: more than {} s {word} than now ({now} ns); \
         mend the sender's clock or raise {key}",
        limit.as_secs()
    ))
    .discarding(Discard::NotInIngestionWindow))
}
