//! The story of a push.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flamestore_api::{Ingester, PushedProfile};
use flamestore_clock::{Chance, Clock};
use flamestore_formats::{Notes, RawProfile};
use flamestore_limits::quota::{reached, refusal};
use flamestore_limits::{HumanDuration, Limits, Overrides, QuotaGate, RateLimiter};
use flamestore_model::labels::names;
use flamestore_model::{Annotation, Discard, Fault, FaultId, Kind, ProfileId, TenantId};
use flamestore_pprof::{
    Caps, Dropped, NormalizeOptions, Normalized, Profile, Spy, check, decode, normalize, told_bytes,
};
use flamestore_rpc::{Part, Place, Told, Tried};

use crate::http::too_large;
use crate::labels::{self, SeriesLabels};
use crate::observe::{Count, Observe};
use crate::reading::DECODED;
use crate::sampling::{self, Verdict};
use crate::split::Split;
use crate::{annotations, split, stripped};

/// The largest inflated pprof that any configuration allows.
pub const MAX_INFLATED_BYTES: usize = 1 << 30;
/// Values of `pyroscope_spy` that profilers of other languages than Go send.
const OTHER_SPIES: [&str; 8] =
    ["dotnetspy", "grafana-agent.java", "javaspy", "nodespy", "phpspy", "pyroscope-rs", "pyspy", "rbspy"];
/// Memory that normalising takes for each byte that the decoded profile holds.
const NORMALIZED: usize = 2;
/// Memory of a series on its way, about.
const SERIES_BYTES: usize = 256;
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
    quota: QuotaGate,
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
        let (rate, quota) = (RateLimiter::new(parts.clock.clone()), QuotaGate::new(parts.clock.clone()));
        Distributor { parts, rate, quota }
    }

    pub fn overrides(&self) -> &Arc<Overrides> {
        &self.parts.overrides
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Counts an upload that was refused before it could be pushed.
    pub(crate) fn count_refused(&self, tenant: &TenantId, fault: &Fault, bytes: usize) {
        self.count(tenant).refused(fault, bytes);
    }

    fn count<'a>(&'a self, tenant: &'a TenantId) -> Count<'a> {
        Count { observer: &*self.parts.observer, tenant, groups: Vec::new(), accepted: None }
    }

    /// Counts profiles of an upload that were refused, the first of them with this fault.
    pub(crate) fn count_refused_profiles(&self, tenant: &TenantId, fault: &Fault, profiles: u64) {
        if let Some(reason) = fault.discard {
            self.count(tenant).dropped(reason, profiles);
        }
    }

    pub(crate) fn count_notes(&self, tenant: &TenantId, notes: &Notes) {
        if *notes != Notes::default() {
            self.parts.observer.passed_over(tenant, notes);
        }
    }

    /// Takes some profiles. Each stands for itself: the good ones are kept even when the answer is the fault of a bad
    /// one. Answers when everything that was accepted is durable and readable.
    ///
    /// A fault that invites to try again means that nothing of the push is kept: whoever sends it again sends all of it,
    /// and no profile may come in twice.
    pub async fn push(
        &self,
        tenant: &TenantId,
        uploads: impl IntoIterator<Item = RawProfile, IntoIter: Send>,
        place: &Place,
    ) -> Result<Receipt, Fault> {
        let started_nanos = self.parts.clock.monotonic_nanos();
        let limits = self.parts.overrides.of(tenant);
        let mut pushing = Pushing::new(self, tenant, &limits, place);
        let mut receipt = Receipt::default();
        // The room of what is accepted is held until it is in heads.
        let (mut accepted, mut counts, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut faults = Faults::default();
        for (index, upload) in uploads.into_iter().enumerate() {
            if index > 0 {
                // Many small profiles are work for seconds; others need the thread too.
                tokio::task::yield_now().await;
            }
            let mut count = self.count(tenant);
            let bytes = upload.pprof.len();
            match pushing.prepare(upload, &mut count).await {
                Ok(prepared) => {
                    receipt.dropped_samples += prepared.dropped_samples;
                    if let Some((profile, part)) = prepared.profile {
                        accepted.push(profile);
                        parts.push(part);
                        counts.push((count, bytes));
                    }
                }
                Err(fault) => {
                    count.refused(&fault, bytes);
                    if fault.kind == Kind::Unavailable {
                        // There was no room for it, and nothing of the push is kept yet: all of it may come again.
                        return Err(fault);
                    }
                    faults.add(fault.at(format_args!("profile {index} of the push")));
                }
            }
        }
        if !accepted.is_empty() {
            for (result, (count, bytes)) in self.parts.ingester.push(tenant, accepted).await.into_iter().zip(counts) {
                match result {
                    Ok(()) => {
                        count.kept();
                        receipt.profiles += 1;
                    }
                    Err(fault) => {
                        count.refused(&fault, bytes);
                        faults.add(fault);
                    }
                }
            }
        }
        match faults.told(receipt.profiles) {
            Some(fault) => Err(fault),
            None => {
                self.hold_back(started_nanos, limits.ingestion_artificial_delay).await;
                Ok(receipt)
            }
        }
    }

    /// Waits until an accepted push has taken as long as the tenant's pushes are to take.
    async fn hold_back(&self, started_nanos: u64, delay: HumanDuration) {
        let Some(delay) = delay.enabled() else { return };
        let taken = Duration::from_nanos(self.parts.clock.monotonic_nanos().saturating_sub(started_nanos));
        tokio::time::sleep(delay.saturating_sub(taken)).await;
    }
}

/// One push on its way through what can be decided without waiting.
struct Pushing<'a> {
    distributor: &'a Distributor,
    tenant: &'a TenantId,
    limits: &'a Arc<Limits>,
    place: &'a Place,
    /// Of a push over its quota: whether it is one of those that pass. Asked once for all of its profiles.
    passes_quota: Option<bool>,
    /// Whether the rate lets it in, which its first profile decides.
    let_in: bool,
    /// Inflated, of the profiles so far.
    bytes: usize,
    /// Why nothing more of it is looked at.
    refused: Option<Fault>,
}

impl<'a> Pushing<'a> {
    fn new(distributor: &'a Distributor, tenant: &'a TenantId, limits: &'a Arc<Limits>, place: &'a Place) -> Self {
        Pushing { distributor, tenant, limits, place, passes_quota: None, let_in: false, bytes: 0, refused: None }
    }

    /// Everything about one pprof that can be decided without waiting for anything but room to read it.
    async fn prepare(&mut self, mut upload: RawProfile, count: &mut Count<'a>) -> Result<Prepared, Fault> {
        if let Some(fault) = &self.refused {
            return Err(fault.again());
        }
        let parts = &self.distributor.parts;
        let limits = self.limits;
        let now = parts.clock.now_nanos();
        let labels = labels::of_series(&upload.labels, limits)?;
        let groups = limits.distributor_usage_groups.matching(|name| labels.get(name));
        count.groups.clone_from(&groups);
        let profile_name = labels.get(names::PROFILE_NAME).unwrap_or("");
        let (profile, parse_nanos, decoding) = match upload.decoded.take() {
            Some(decoded) => (*decoded, None, Part::default()),
            None => self.decoded(upload.pprof.clone()).await?,
        };
        count.received(profile_name, upload.pprof.len(), &profile, parse_nanos);
        let throttled = self.check_quota(&groups, now)?;
        self.admit(profile.text.len(), labels.text_bytes()).inspect_err(|fault| self.refused = Some(fault.again()))?;
        let (samples, bytes) = (profile.samples.len(), upload.pprof.len());
        let verdict = sampling::verdict(limits, &groups, &*parts.chance);
        let whole = verdict != Verdict::Dropped;
        if !whole && !limits.keep_stripped_profiles {
            count.discarded(Discard::DroppedBySamplingRules, samples as u64, bytes);
            return Ok(Prepared::nothing());
        }
        let (time_nanos, repair) = upload.arrival.time_nanos(profile.time_nanos, now);
        if let Some(why) = repair {
            parts.observer.time_repaired(self.tenant, upload.arrival, why);
        }
        check_window(time_nanos, now, limits)?;
        check(&profile, &caps(limits, upload.spy))?;

        let profile_name = profile_name.to_owned();
        let shaping = Shaping { limits: limits.clone(), profile, labels, raw: upload.pprof, spy: upload.spy, whole };
        let (shaped, part) = shaping.done_at(self.place).await?;
        drop(decoding);
        let dropped = shaped.dropped;
        count.dropped(Discard::MalformedProfile, dropped.broken());
        let Some((kept, mut split)) = shaped.kept? else {
            // Nothing but zeros is a quiet program; nothing but broken samples is a broken client.
            return match dropped.broken() {
                0 => Ok(Prepared::nothing()),
                broken => Err(Fault::of(
                    FaultId::NoUsableSamples,
                    format!(
                        "none of the profile's {samples} samples can be kept: {broken} are broken ({dropped}); \
                         send samples with known locations and no negative values"
                    ),
                )),
            };
        };
        if split.series.is_empty() {
            count.discarded(Discard::DroppedByRelabelRules, split.dropped_samples, bytes);
            return Ok(Prepared { profile: None, dropped_samples: dropped.broken() });
        }
        count.dropped(Discard::DroppedByRelabelRules, split.dropped_samples);
        if !whole {
            stripped::mark(&mut split.series);
            count.discarded(Discard::DroppedBySamplingRules, samples as u64, bytes);
        }
        count.accepted(profile_name, &kept.normalized, split.series.len());
        let sampled = match verdict {
            Verdict::Sampled { usage_group, probability } => Some(annotations::sampled(usage_group, probability)),
            Verdict::Kept | Verdict::Dropped => None,
        };
        let profile_id = ProfileId::v7((now / 1_000_000).max(0) as u64, parts.chance.next_u128());
        let profile = PushedProfile {
            profile_id,
            time_nanos,
            raw: kept.raw,
            options: kept.options,
            series: split.series,
            annotations: throttled.into_iter().chain(sampled).collect(),
            decoded: Some(Box::new(kept.normalized)),
        };
        Ok(Prepared { profile: Some((profile, part)), dropped_samples: dropped.broken() })
    }

    /// A pprof decoded, how long that took, and the room that it holds.
    async fn decoded(&self, raw: Bytes) -> Result<(Profile, Option<u64>, Part), Fault> {
        let most = max_inflated(self.limits);
        let told = Told { bytes: told_bytes(&raw), most, memory_per_byte: DECODED };
        let clock = self.distributor.parts.clock.clone();
        let read = move |cap| {
            let started_nanos = clock.monotonic_nanos();
            let decoded = decode(&raw, cap).map(|profile| {
                let (nanos, held) = (clock.monotonic_nanos().saturating_sub(started_nanos), profile.held_bytes());
                ((profile, Some(nanos)), held)
            });
            Tried::of(decoded, |fault| cap != most && fault.id == FaultId::ProfileTooLarge)
        };
        let ((profile, parse_nanos), part) = self.place.read(told, read).await?;
        Ok((profile, parse_nanos, part))
    }

    /// Charges the tenant for one profile. The push is let in, or refused, as a whole, and so is held in memory no more of it
    /// than a body may be long.
    fn admit(&mut self, profile_bytes: usize, label_bytes: usize) -> Result<(), Fault> {
        let (rate, charge) = (&self.distributor.rate, profile_bytes + label_bytes);
        self.bytes = self.bytes.saturating_add(profile_bytes);
        if !self.let_in {
            rate.admit(self.tenant, charge, self.limits, DISTRIBUTORS)?;
            self.let_in = true;
            return Ok(());
        }
        let max = self.limits.body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES);
        if self.bytes > max {
            return Err(too_large(max).at("the profiles of the push, inflated"));
        }
        rate.owe(self.tenant, charge, self.limits, DISTRIBUTORS);
        Ok(())
    }

    /// Refuses what goes into a quota that is used up, but for the few pushes that may pass, which get a note of it.
    fn check_quota(&mut self, groups: &[&str], now_nanos: i64) -> Result<Option<Annotation>, Fault> {
        let Some(quota) = &self.limits.ingestion_limit else { return Ok(None) };
        let Some(reached) = reached(quota, groups) else { return Ok(None) };
        let passes = || self.distributor.quota.lets_pass(self.tenant, &quota.sampling);
        match self.passes_quota.get_or_insert_with(passes) {
            true => Ok(Some(annotations::throttled(quota, &reached))),
            false => Err(refusal(quota, &reached, now_nanos)),
        }
    }
}

/// What went wrong in one push: the first fault that lasts, and the first that may be over in a while.
#[derive(Default)]
struct Faults {
    lasting: Option<Fault>,
    passing: Option<Fault>,
}

impl Faults {
    fn add(&mut self, fault: Fault) {
        // In gRPC, too large is called as too many are, and so is sent again.
        let passing = fault.kind.invites_retry() || fault.kind == Kind::TooLarge;
        let kept = if passing { &mut self.passing } else { &mut self.lasting };
        kept.get_or_insert(fault);
    }

    /// The answer to a push of which so many profiles are kept. Only with none may the caller be invited to send it again.
    fn told(self, kept: u64) -> Option<Fault> {
        if kept == 0 {
            return self.passing.or(self.lasting);
        }
        let kept = format_args!("{kept} other profiles of the push are kept, do not send them again");
        self.lasting.or_else(|| self.passing.map(|fault| fault.as_kind(Kind::Invalid).at(kept)))
    }
}

/// One pprof on its way to what is stored of it.
struct Shaping {
    limits: Arc<Limits>,
    profile: Profile,
    labels: SeriesLabels,
    raw: Bytes,
    spy: Spy,
    /// Whether its stacks are kept.
    whole: bool,
}

/// What became of it.
struct Shaped {
    dropped: Dropped,
    /// `None`: there was nothing in it.
    kept: Result<Option<(Kept, Split)>, Fault>,
}

impl Shaping {
    /// Does the work, and answers the room that its result holds.
    async fn done_at(self, place: &Place) -> Result<(Shaped, Part), Fault> {
        let bytes = self.profile.held_bytes().saturating_mul(NORMALIZED);
        place
            .work(bytes, || {
                let shaped = self.shaped();
                let held = match &shaped.kept {
                    Ok(Some((kept, split))) => kept.normalized.held_bytes() + split.series.len() * SERIES_BYTES,
                    _ => 0,
                };
                (shaped, held)
            })
            .await
    }

    fn shaped(self) -> Shaped {
        let Shaping { limits, profile, labels, raw, spy, whole } = self;
        let options = NormalizeOptions {
            max_depth: clamped(limits.max_profile_stacktrace_depth),
            max_symbol_bytes: clamped(limits.max_profile_symbol_value_length),
            max_inflated_bytes: clamped(max_inflated(&limits) as u64),
            go: is_go(&profile, &labels),
            spy,
        };
        let normalized = normalize(profile, &options);
        let dropped = normalized.dropped;
        if normalized.groups.is_empty() {
            return Shaped { dropped, kept: Ok(None) };
        }
        let kept = if whole { Ok(Kept { raw, options, normalized }) } else { Kept::stripped(&normalized, options) };
        let kept = kept.and_then(|kept| {
            let split = split::into_series(&kept.normalized, &labels, &limits)?;
            Ok(Some((kept, split)))
        });
        Shaped { dropped, kept }
    }
}

/// What is stored of one pprof.
struct Kept {
    raw: Bytes,
    options: NormalizeOptions,
    normalized: Normalized,
}

impl Kept {
    fn stripped(whole: &Normalized, options: NormalizeOptions) -> Result<Self, Fault> {
        let (raw, options) = (Bytes::from(stripped::strip(whole)), stripped::options(options));
        let normalized = normalize(decode(&raw, options.max_inflated_bytes as usize)?, &options);
        Ok(Kept { raw, options, normalized })
    }
}

struct Prepared {
    /// Absent when rules or zeros left nothing to keep.
    profile: Option<(PushedProfile, Part)>,
    dropped_samples: u64,
}

impl Prepared {
    fn nothing() -> Self {
        Prepared { profile: None, dropped_samples: 0 }
    }
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
    let (id, word, limit, distance) = if beyond(age, limits.reject_older_than) {
        (FaultId::ProfileTooOld, "older", limits.reject_older_than, age)
    } else if beyond(-age, limits.reject_newer_than) {
        (FaultId::ProfileTooNew, "newer", limits.reject_newer_than, -age)
    } else {
        return Ok(());
    };
    let secs = distance / 1_000_000_000;
    Err(Fault::over(
        id,
        format_args!("the profile is outside of the ingestion window: {secs} s {word} than now"),
        limit,
    ))
}
