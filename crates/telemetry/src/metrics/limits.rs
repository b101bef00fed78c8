//! What limits threw away, and what the limits are.

use flamestore_model::Discard;
use prometheus_client::metrics::gauge::Gauge;

use super::family::{CounterBy, GaugeBy, GaugeF64By};
use super::registrar::Registrar;

/// Discards by reason, and limits by name.
#[derive(Debug)]
pub struct LimitMetrics {
    pub discarded_samples_total: CounterBy<2>,
    pub discarded_bytes_total: CounterBy<2>,
    pub defaults: GaugeF64By<1>,
    pub overrides: GaugeF64By<2>,
    pub last_reload_successful: Gauge,
    pub runtime_config_hash: GaugeBy<1>,
}

impl LimitMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("limits");
        LimitMetrics {
            discarded_samples_total: r.counter_by(
                "pyroscope_discarded_samples_total",
                "Samples that were thrown away",
                ["reason", "tenant"],
            ),
            discarded_bytes_total: r.counter_by(
                "pyroscope_discarded_bytes_total",
                "Bytes of profiles that were thrown away",
                ["reason", "tenant"],
            ),
            defaults: r.gauge_f64_by(
                "pyroscope_limits_defaults",
                "Limits of tenants without overrides",
                ["limit_name"],
            ),
            overrides: r.gauge_f64_by(
                "pyroscope_limits_overrides",
                "Limits that differ for a tenant",
                ["limit_name", "tenant"],
            ),
            last_reload_successful: r.gauge(
                "runtime_config_last_reload_successful",
                "1 when the runtime files in force are the ones on disk, and when there are none",
            ),
            runtime_config_hash: r.gauge_by(
                "runtime_config_hash",
                "Always 1; the label tells versions of the runtime files apart",
                ["hash"],
            ),
        }
    }

    /// Counts what was thrown away, once, at the door.
    pub fn discarded(&self, reason: Discard, tenant: &str, samples: u64, bytes: u64) {
        self.discarded_samples_total.with([reason.as_str(), tenant]).inc_by(samples);
        self.discarded_bytes_total.with([reason.as_str(), tenant]).inc_by(bytes);
    }

    /// The limits of tenants without overrides, each with its name.
    pub fn set_defaults(&self, limits: impl IntoIterator<Item = (&'static str, f64)>) {
        for (name, value) in limits {
            self.defaults.with([name]).set(value);
        }
    }

    /// The runtime files cannot be used as they are; what was in force stays.
    pub fn reload_failed(&self) {
        self.last_reload_successful.set(0);
    }

    /// What is in force is what is on disk: the same as before, or nothing.
    pub fn in_step(&self) {
        self.last_reload_successful.set(1);
    }

    /// The runtime files were read well: their hash and the limits that differ by tenant.
    pub fn reloaded<'a>(&self, hash: u64, overrides: impl IntoIterator<Item = (&'a str, &'a str, f64)>) {
        self.last_reload_successful.set(1);
        self.runtime_config_hash.clear();
        self.runtime_config_hash.with([&format!("{hash:016x}")]).set(1);
        self.overrides.clear();
        for (tenant, limit, value) in overrides {
            self.overrides.with([limit, tenant]).set(value);
        }
    }
}
