//! Quotas by period: what becomes of a push when the tenant, or a part of its data, has used up its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_model::{Fault, FaultId, TenantId};
use parking_lot::Mutex;

use crate::human_duration::HumanDuration;
use crate::rate::MAX_TENANTS;
use crate::structured::{IngestLimit, IngestSampling};

/// Lets a few pushes of tenants over their quota pass, as `sampling` says, and refuses the others.
///
/// Whether a quota is reached is decided outside and comes with the limits; nothing is measured here.
#[derive(Debug)]
pub struct QuotaGate {
    clock: Arc<dyn Clock>,
    passed: Mutex<HashMap<TenantId, Window, foldhash::fast::RandomState>>,
}

/// How many pushes have passed in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    number: u64,
    passed: u64,
}

impl QuotaGate {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        QuotaGate { clock, passed: Mutex::default() }
    }

    /// Whether one more push of a tenant over its quota may pass in this period.
    pub fn lets_pass(&self, tenant: &TenantId, sampling: &IngestSampling) -> bool {
        let Some(period) = sampling.period.enabled().filter(|_| sampling.num_requests > 0) else { return false };
        let number = u64::try_from(u128::from(self.clock.monotonic_nanos()) / period.as_nanos()).unwrap_or(u64::MAX);
        let mut passed = self.passed.lock();
        if passed.len() >= MAX_TENANTS && !passed.contains_key(tenant) {
            // Whoever is forgotten begins its period again.
            passed.clear();
        }
        let window = passed.entry(tenant.clone()).or_insert(Window { number, passed: 0 });
        if window.number != number {
            *window = Window { number, passed: 0 };
        }
        let free = window.passed < sampling.num_requests;
        window.passed += u64::from(free);
        free
    }
}

/// A quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached<'a> {
    pub limit_mb: u64,
    /// Empty: that of the whole tenant.
    pub usage_group: &'a str,
}

/// The quota that a push of these groups finds used up, if it does: the tenant's, else that of the first such group.
pub fn reached<'a>(quota: &IngestLimit, groups: &[&'a str]) -> Option<Reached<'a>> {
    if quota.limit_reached {
        return Some(Reached { limit_mb: quota.period_limit_mb, usage_group: "" });
    }
    groups.iter().find_map(|usage_group| {
        let group = quota.usage_groups.get(*usage_group).filter(|group| group.limit_reached)?;
        Some(Reached { limit_mb: group.period_limit_mb, usage_group })
    })
}

/// The fault of a push into a quota that is used up.
pub fn refusal(quota: &IngestLimit, reached: &Reached<'_>, now_nanos: i64) -> Fault {
    let Reached { limit_mb, usage_group } = *reached;
    let left_secs = quota.limit_reset_time.saturating_sub(now_nanos / 1_000_000_000);
    let left = u32::try_from(left_secs).ok().filter(|secs| *secs > 0);
    let of_group = if usage_group.is_empty() { String::new() } else { format!(" for usage group {usage_group}") };
    let fault = Fault::of(
        FaultId::QuotaReached,
        format!(
            "limit of {limit_mb} MiB/{} reached{of_group}{}: wait, or raise limits.ingestion_limit",
            if quota.period_type.is_empty() { "period" } else { &quota.period_type },
            Reset(left),
        ),
    );
    match left {
        Some(secs) => fault.again_after(secs),
        None => fault,
    }
}

/// Seconds until the quota begins anew, where that is known.
struct Reset(Option<u32>);

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(secs) => write!(f, ", next reset in {}", HumanDuration::from_secs(secs.into())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structured::IngestGroupLimit;
    use flamestore_clock::ManualClock;
    use std::time::Duration;

    const NOW: i64 = 1_000_000_000_000;

    #[test]
    fn a_quota_refuses_by_tenant_and_by_group_and_says_when_it_begins_anew() {
        let mut quota = IngestLimit { period_type: "hour".into(), period_limit_mb: 128, ..IngestLimit::default() };
        assert!(reached(&quota, &["dev"]).is_none());
        let over = IngestGroupLimit { period_limit_mb: 7, limit_reached: true };
        quota.usage_groups.insert("dev".into(), over);
        assert!(reached(&quota, &["prod"]).is_none());
        let fault = refusal(&quota, &reached(&quota, &["prod", "dev"]).unwrap(), NOW);
        assert!(fault.message.starts_with("limit of 7 MiB/hour reached for usage group dev: "), "{fault}");
        assert_eq!(fault.again_after_secs, None);
        quota.limit_reached = true;
        quota.limit_reset_time = 1090;
        let fault = refusal(&quota, &reached(&quota, &["dev"]).unwrap(), NOW);
        assert!(fault.message.starts_with("limit of 128 MiB/hour reached, next reset in 1m30s: "), "{fault}");
        assert_eq!((fault.id, fault.again_after_secs), (FaultId::QuotaReached, Some(90)));
    }

    #[test]
    fn so_many_pushes_pass_in_each_period_and_tenants_do_not_share_them() {
        let clock = ManualClock::at_nanos(0);
        let gate = QuotaGate::new(clock.clone());
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let sampling = IngestSampling { num_requests: 2, period: HumanDuration::from_secs(60) };
        let tries = |tenant| (0..4).filter(|_| gate.lets_pass(tenant, &sampling)).count();
        assert_eq!((tries(&a), tries(&b)), (2, 2));
        clock.advance(Duration::from_secs(60));
        assert_eq!(tries(&a), 2);
        assert!(!gate.lets_pass(&b, &IngestSampling::default()));
    }
}
