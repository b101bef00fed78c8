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

    /// Takes them, or says how many are missing. More than the bucket holds are taken of a full one, and owed.
    fn take(&self, tenant: &TenantId, n: f64, rate: f64, burst: f64) -> Result<(), f64> {
        self.with_bucket(tenant, rate, burst, |bucket| {
            let missing = n.min(burst) - bucket.tokens;
            if missing > 0.0 {
                return Err(missing);
            }
            bucket.tokens -= n;
            Ok(())
        })
    }

    /// Works on the tenant's bucket as it stands now.
    fn with_bucket<T>(&self, tenant: &TenantId, rate: f64, burst: f64, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let now_nanos = self.clock.monotonic_nanos();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= self.max_tenants && !buckets.contains_key(tenant) {
            forget_the_longest_idle(&mut buckets);
        }
        let bucket = buckets.entry(tenant.clone()).or_insert(Bucket { tokens: burst, at_nanos: now_nanos });
        *bucket = bucket.refilled(now_nanos, rate, burst);
        work(bucket)
    }

    /// Lets a push pass whose first profile has `bytes`, or says which limit it met. With several distributors each
    /// enforces its share. One that is larger than the bucket waits for a full one, and owes the rest.
    pub fn admit(&self, tenant: &TenantId, bytes: usize, limits: &Limits, distributors: usize) -> Result<(), Fault> {
        let (rate, burst) = (rate_of(limits, distributors), limits.ingestion_burst_bytes());
        let Err(missing) = self.take(tenant, bytes as f64, rate, burst) else {
            return Ok(());
        };
        let mib = |bytes: f64| bytes / 1_048_576.0;
        let said = format!(
            "push rate limit ({:.1} MiB/s, burst {:.1} MiB) exceeded while adding {:.1} MiB: push less, or raise \
             limits.ingestion_rate_mb or limits.ingestion_burst_size_mb of tenant {tenant}",
            mib(limits.ingestion_rate_bytes()),
            mib(burst),
            mib(bytes as f64),
        );
        let wait = missing / rate;
        let secs = if wait.is_finite() { wait.ceil().clamp(1.0, MAX_AGAIN_AFTER_SECS) } else { MAX_AGAIN_AFTER_SECS };
        Err(Fault::of(FaultId::RateLimited, said).again_after(secs as u32))
    }

    /// Charges a further profile of a push that was let in. It passes in any case and is owed: half of a push could only be
    /// sent again together with the half that is stored.
    pub fn owe(&self, tenant: &TenantId, bytes: usize, limits: &Limits, distributors: usize) {
        let (rate, burst) = (rate_of(limits, distributors), limits.ingestion_burst_bytes());
        self.with_bucket(tenant, rate, burst, |bucket| bucket.tokens -= bytes as f64);
    }

    /// Tenants remembered.
    pub fn tenants(&self) -> usize {
        self.buckets.lock().len()
    }
}

/// Bytes a second that this distributor lets through.
fn rate_of(limits: &Limits, distributors: usize) -> f64 {
    limits.ingestion_rate_bytes() / distributors.max(1) as f64
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
        let take = |name: &str, n| limiter.take(&tenant(name), n, 2.0, 10.0).is_ok();
        assert!(take("a", 10.0));
        assert!(!take("a", 1.0));
        clock.advance(Duration::from_millis(500));
        assert!(take("a", 1.0));
        clock.advance(Duration::from_secs(3600));
        assert!(take("a", 10.0));
        assert!(!take("a", 1.0));
        assert!(take("b", 10.0), "tenants do not share a bucket");
    }

    #[test]
    fn what_is_larger_than_the_bucket_waits_for_a_full_one_and_owes_the_rest() {
        let clock = ManualClock::at_nanos(0);
        let limiter = RateLimiter::new(clock.clone());
        let t = tenant("a");
        limiter.take(&t, 1.0, 2.0, 10.0).unwrap();
        assert_eq!(limiter.take(&t, 16.0, 2.0, 10.0), Err(1.0));
        clock.advance(Duration::from_millis(500));
        limiter.take(&t, 16.0, 2.0, 10.0).unwrap();
        assert_eq!(limiter.take(&t, 2.0, 2.0, 10.0), Err(8.0), "6 are owed");
    }

    #[test]
    fn what_follows_in_a_push_that_was_let_in_is_owed() {
        let limiter = RateLimiter::new(ManualClock::at_nanos(0));
        let limits = Limits::default();
        let t = tenant("a");
        limiter.admit(&t, 3 << 20, &limits, 1).unwrap();
        limiter.owe(&t, 6 << 20, &limits, 1);
        // 5 MiB are owed, 1 more is wanted, and 4 MiB a second come.
        assert_eq!(limiter.admit(&t, 1 << 20, &limits, 1).unwrap_err().again_after_secs, Some(2));
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
            assert!(limiter.take(&tenant(&format!("t{i}")), 1.0, 1.0, 1.0).is_ok());
            assert!(limiter.tenants() <= 16);
        }
        assert!(limiter.take(&tenant("t999"), 1.0, 1.0, 1.0).is_err(), "the newest are remembered");
    }
}
