//! Registers metrics and writes down what was registered, so that the reference page cannot forget one.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig, exponential_buckets_range};
use prometheus_client::registry::Registry;

use super::bounded::BoundedNames;
use super::family::{By, CounterBy, CounterF64, GaugeBy, GaugeF64, GaugeF64By, HistogramBy, Series};
use super::{MAX_PROFILE_NAME_LABELS, MAX_TENANT_LABELS};

/// One family as the reference page shows it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub component: &'static str,
    pub name: &'static str,
    pub kind: &'static str,
    pub labels: Vec<&'static str>,
    pub help: &'static str,
}

/// Collects families while the components are made.
pub(super) struct Registrar {
    registry: Registry,
    described: Vec<Described>,
    component: &'static str,
    tenants: Arc<BoundedNames>,
    profile_names: Arc<BoundedNames>,
}

impl Default for Registrar {
    fn default() -> Self {
        Registrar {
            registry: Registry::default(),
            described: Vec::new(),
            component: "process",
            tenants: Arc::new(BoundedNames::new(MAX_TENANT_LABELS)),
            profile_names: Arc::new(BoundedNames::new(MAX_PROFILE_NAME_LABELS)),
        }
    }
}

impl Registrar {
    /// What follows belongs to this component.
    pub(super) fn component(&mut self, component: &'static str) -> &mut Self {
        self.component = component;
        self
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.add(name, "counter", &[], help, Counter::default())
    }

    pub(super) fn counter_f64(&mut self, name: &'static str, help: &'static str) -> CounterF64 {
        self.add(name, "counter", &[], help, CounterF64::default())
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add(name, "gauge", &[], help, Gauge::default())
    }

    pub(super) fn gauge_f64(&mut self, name: &'static str, help: &'static str) -> GaugeF64 {
        self.add(name, "gauge", &[], help, GaugeF64::default())
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str, make: fn() -> Histogram) -> Histogram {
        self.add(name, "histogram", &[], help, make())
    }

    pub(super) fn counter_by<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> CounterBy<N> {
        self.by(name, "counter", labels, help, Counter::default)
    }

    pub(super) fn gauge_by<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> GaugeBy<N> {
        self.by(name, "gauge", labels, help, Gauge::default)
    }

    pub(super) fn gauge_f64_by<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> GaugeF64By<N> {
        self.by(name, "gauge", labels, help, GaugeF64::default)
    }

    pub(super) fn histogram_by<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        make: fn() -> Histogram,
    ) -> HistogramBy<N> {
        self.by(name, "histogram", labels, help, make)
    }

    /// A collector that makes its values at each scrape; its families are described by hand.
    pub(super) fn collector(
        &mut self,
        collector: impl Collector,
        families: &[(&'static str, &'static str, &'static str)],
    ) {
        for (name, kind, help) in families {
            self.describe(name, kind, &[], help);
        }
        self.registry.register_collector(Box::new(collector));
    }

    pub(super) fn finish(self) -> (Registry, Vec<Described>) {
        (self.registry, self.described)
    }

    fn by<M, const N: usize>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: [&'static str; N],
        help: &'static str,
        make: fn() -> M,
    ) -> By<M, N>
    where
        M: Clone,
        Series<M, N>: EncodeMetric + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        let series = self.add(name, kind, &labels, help, Series::<M, N>::new_with_constructor(make));
        let bounds = labels.map(|label| match label {
            "tenant" | "user" => Some(Arc::clone(&self.tenants)),
            "type" if self.component == "distributor" => Some(Arc::clone(&self.profile_names)),
            "profile_name" => Some(Arc::clone(&self.profile_names)),
            _ => None,
        });
        By::new(labels, bounds, series)
    }

    fn add<M>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: &[&'static str],
        help: &'static str,
        metric: M,
    ) -> M
    where
        M: EncodeMetric + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        self.describe(name, kind, labels, help);
        // The exposition puts `_total` behind every counter by itself.
        let base = if kind == "counter" { name.strip_suffix("_total").unwrap_or(name) } else { name };
        self.registry.register(base, help, metric.clone());
        metric
    }

    fn describe(&mut self, name: &'static str, kind: &'static str, labels: &[&'static str], help: &'static str) {
        debug_assert!(kind != "counter" || name.ends_with("_total"), "{name}");
        debug_assert!(self.described.iter().all(|d| d.name != name), "{name} is registered twice");
        self.described.push(Described { component: self.component, name, kind, labels: labels.to_vec(), help });
    }
}

/// Classic buckets as given, and native ones beside them.
fn both(buckets: impl IntoIterator<Item = f64>) -> Histogram {
    let native =
        NativeHistogramConfig::new(1.1).max_buckets(50).min_reset_duration(std::time::Duration::from_secs(3600));
    Histogram::new_classic_and_native(buckets, native)
}

/// Seconds of requests: 5 ms to 100 s.
pub(super) fn request_seconds() -> Histogram {
    both([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0])
}

/// Seconds of things that should be quick: 100 µs to 10 s.
pub(super) fn quick_seconds() -> Histogram {
    both([0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// Seconds of background work: 50 ms to half an hour.
pub(super) fn work_seconds() -> Histogram {
    both([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0])
}

/// Seconds of time that a block covers: 5 minutes to a day.
pub(super) fn span_seconds() -> Histogram {
    both([300.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0])
}

/// Bytes of a profile: 30 steps from 10 KiB to 15 MiB.
pub(super) fn profile_bytes() -> Histogram {
    both(exponential_buckets_range(10.0 * 1024.0, 15.0 * 1024.0 * 1024.0, 30))
}

/// Bytes of messages: 1 MiB to 250 MiB.
pub(super) fn message_bytes() -> Histogram {
    both([1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0].map(|mib| mib * 1_048_576.0))
}

/// Bytes of blocks and objects: 64 KiB to 4 GiB.
pub(super) fn object_bytes() -> Histogram {
    both(exponential_buckets_range(65_536.0, 4_294_967_296.0, 17))
}

/// Numbers of things: 1 to about 4 million, by fours.
pub(super) fn numbers() -> Histogram {
    both((0..12).map(|i| f64::from(4_u32.pow(i))))
}
