//! Bytes a second by tenant: a token bucket each, in bounded memory.
//!
//! Hot: `benches/limits.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_model::{Fault, FaultId, TenantId};
use parking_lot::Mutex;

use crate::table::Limits;

/// Most tenants a limiter remembers; one that is forgotten starts again with a full bucket.
pub const MAX_TENANTS: usize = 65_536;
/// The longest wait that a refusal asks for, in seconds.
const MAX_AGAIN_AFTER_SECS: f64 = 3600.0;

/// Token buckets by tenant. The rate is given with each call, so that a reload needs no word to the limiter.
#[derive(Debug)]
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    max_tenants: usize,
    buckets: Mutex<HashMap<TenantId, Bucket, foldhash::fast::RandomState>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at_nanos: u64,
}

impl Bucket {
    fn refilled(self, now_nanos: u64, rate: f64, burst: f64) -> Bucket {
        let secs = now_nanos.saturating_sub(self.at_nanos) as f64 / 1e9;
        Bucket { tokens: (self.tokens + secs * rate.max(0.0)).min(burst), at_nanos: now_nanos }
    }
}

impl RateLimiter {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_max_tenants(clock, MAX_TENANTS)
    }

    /// A limiter that remembers fewer tenants.
    pub fn with_max_tenants(clock: Arc<dyn Clock>, max_tenants: usize) -> Self {
        RateLimiter { clock, max_tenants: max_tenants.max(1), buckets: Mutex::default() }
    }

    /// Takes `n` tokens from the tenant's bucket of size `burst`, filled at `rate` a second, or none and says false.
    pub fn allow_n(&self, tenant: &TenantId, n: f64, rate: f64, burst: f64) -> bool {
        self.take(tenant, n, rate, burst).is_ok()
    }

    /// Takes them, or says how many are missing.
    fn take(&self, tenant: &TenantId, n: f64, rate: f64, burst: f64) -> Result<(), f64> {
        let now_nanos = self.clock.monotonic_nanos();
        let mut buckets = self.buckets.lock();
        let full = Bucket { tokens: burst, at_nanos: now_nanos };
        if !buckets.contains_key(tenant) {
            if buckets.len() >= self.max_tenants {
                forget_the_longest_idle(&mut buckets);
            }
            buckets.insert(tenant.clone(), full);
        }
        let Some(bucket) = buckets.get_mut(tenant) else { return Err(n) };
        *bucket = bucket.refilled(now_nanos, rate, burst);
        if n > bucket.tokens {
            return Err(n - bucket.tokens);
        }
        bucket.tokens -= n;
        Ok(())
    }

    /// Lets a push of `bytes` pass, or says which limit it met. With several distributors each enforces its share.
    pub fn admit(&self, tenant: &TenantId, bytes: usize, limits: &Limits, distributors: usize) -> Result<(), Fault> {
        let rate = limits.ingestion_rate_bytes() / distributors.max(1) as f64;
        let Err(missing) = self.take(tenant, bytes as f64, rate, limits.ingestion_burst_bytes()) else {
            return Ok(());
        };
        let mib = |bytes: f64| bytes / 1_048_576.0;
        let said = format!(
            "push rate limit ({:.1} MiB/s, burst {:.1} MiB) exceeded while adding {:.1} MiB: push less, or raise \
             limits.ingestion_rate_mb or limits.ingestion_burst_size_mb of tenant {tenant}",
            mib(limits.ingestion_rate_bytes()),
            mib(limits.ingestion_burst_bytes()),
            mib(bytes as f64),
        );
        // A push larger than the bucket never passes: it is told no more than a full bucket takes to fill.
        let wait = missing.min(limits.ingestion_burst_bytes()) / rate;
        let secs = if wait.is_finite() { wait.ceil().clamp(1.0, MAX_AGAIN_AFTER_SECS) } else { MAX_AGAIN_AFTER_SECS };
        Err(Fault::of(FaultId::RateLimited, said).again_after(secs as u32))
    }

    /// Tenants remembered.
    pub fn tenants(&self) -> usize {
        self.buckets.lock().len()
    }
}

/// Frees an eighth of the table at once, so that a flood of names pays for the search only now and then.
fn forget_the_longest_idle(buckets: &mut HashMap<TenantId, Bucket, foldhash::fast::RandomState>) {
    let mut times: Vec<u64> = buckets.values().map(|b| b.at_nanos).collect();
    let keep_from = times.len() / 8;
    let (_, cut, _) = times.select_nth_unstable(keep_from);
    let cut = *cut;
    let mut left = keep_from + 1;
    buckets.retain(|_, b| {
        let goes = b.at_nanos <= cut && left > 0;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_clock::ManualClock;
    use flamestore_model::{Discard, Kind};
    use std::time::Duration;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills_with_time_and_never_over_its_size() {
        let clock = ManualClock::at_nanos(0);
        let limiter = RateLimiter::new(clock.clone());
        let t = tenant("a");
        assert!(limiter.allow_n(&t, 10.0, 2.0, 10.0));
        assert!(!limiter.allow_n(&t, 1.0, 2.0, 10.0));
        clock.advance(Duration::from_millis(500));
        assert!(limiter.allow_n(&t, 1.0, 2.0, 10.0));
        clock.advance(Duration::from_secs(3600));
        assert!(!limiter.allow_n(&t, 11.0, 2.0, 10.0));
        assert!(limiter.allow_n(&t, 10.0, 2.0, 10.0));
        assert!(limiter.allow_n(&tenant("b"), 10.0, 2.0, 10.0), "tenants do not share a bucket");
    }

    #[test]
    fn the_refusal_names_the_limit_and_the_size() {
        let limiter = RateLimiter::new(ManualClock::at_nanos(0));
        let limits = Limits::default();
        limiter.admit(&tenant("a"), 4 << 20, &limits, 1).unwrap();
        let fault = limiter.admit(&tenant("a"), 2 << 20, &limits, 1).unwrap_err();
        assert_eq!((fault.kind, fault.discard), (Kind::Limited, Some(Discard::RateLimited)));
        // 2 MiB are missing, and 4 MiB a second come.
        assert_eq!(fault.again_after_secs, Some(1));
        let slow = Limits { ingestion_rate_mb: 0.25, ..Limits::default() };
        assert_eq!(limiter.admit(&tenant("a"), 2 << 20, &slow, 1).unwrap_err().again_after_secs, Some(8));
        for word in ["4.0 MiB", "2.0 MiB", "ingestion_rate_mb"] {
            assert!(fault.message.contains(word), "{}", fault.message);
        }
    }

    #[test]
    fn a_flood_of_tenants_does_not_grow_the_table() {
        let clock = ManualClock::at_nanos(0);
        let limiter = RateLimiter::with_max_tenants(clock.clone(), 16);
        for i in 0..1000 {
            clock.advance(Duration::from_nanos(1));
            assert!(limiter.allow_n(&tenant(&format!("t{i}")), 1.0, 1.0, 1.0));
            assert!(limiter.tenants() <= 16);
        }
        assert!(!limiter.allow_n(&tenant("t999"), 1.0, 1.0, 1.0), "the newest are remembered");
    }
}
