//! Who may come in: the rate limit of a tenant.

use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_limits::{Limits, RateLimiter};
use flamestore_model::{Discard, Fault, Kind, TenantId};

const MIB: f64 = 1024.0 * 1024.0;

/// Token buckets by tenant.
pub struct Admission {
    limiter: RateLimiter,
}

impl Admission {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Admission { limiter: RateLimiter::new(clock) }
    }

    /// Takes `bytes` (inflated pprof and label text) off the tenant's bucket. A profile larger than a whole bucket
    /// could never pass, so the text says that raising the burst is the way out.
    pub fn rate(&self, tenant: &TenantId, limits: &Limits, bytes: usize) -> Result<(), Fault> {
        let (rate, burst) = (limits.ingestion_rate_mb * MIB, limits.ingestion_burst_size_mb * MIB);
        if self.limiter.allow(tenant, rate, burst, bytes) {
            return Ok(());
        }
        let what_to_do = if bytes as f64 > burst {
            "the profile is larger than the whole burst: raise distributor.ingestion-burst-size-mb"
        } else {
            "send less, or raise distributor.ingestion-rate-limit-mb"
        };
        Err(Fault::new(
            Kind::Limited,
            format!(
                "push rate limit ({:.1} MiB/s, burst {:.1} MiB) exceeded while adding {:.1} MiB: {what_to_do}",
                limits.ingestion_rate_mb,
                limits.ingestion_burst_size_mb,
                bytes as f64 / MIB
            ),
        )
        .discarding(Discard::RateLimited))
    }
}
