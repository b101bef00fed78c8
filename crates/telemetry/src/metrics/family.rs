//! Metrics by labels, with a bound on how many label sets there can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::MAX_SERIES;
use super::bounded::{BoundedNames, OTHER};

/// A gauge of a fraction or of seconds.
pub type GaugeF64 = Gauge<f64, std::sync::atomic::AtomicU64>;

/// A counter of a fraction or of seconds.
pub type CounterF64 = Counter<f64, std::sync::atomic::AtomicU64>;

pub type CounterBy<const N: usize> = By<Counter, N>;
pub type GaugeBy<const N: usize> = By<Gauge, N>;
pub type GaugeF64By<const N: usize> = By<GaugeF64, N>;
pub type HistogramBy<const N: usize> = By<Histogram, N>;

pub(super) type Pairs<const N: usize> = [(&'static str, Arc<str>); N];
pub(super) type Series<M, const N: usize> = Family<Pairs<N>, M, fn() -> M>;

/// One metric for each set of `N` label values. Hot paths keep what [`By::with`] returns.
#[derive(Debug, Clone)]
pub struct By<M, const N: usize> {
    names: [&'static str; N],
    /// Labels whose values come from outside, with the set that bounds them.
    bounds: [Option<Arc<BoundedNames>>; N],
    series: Series<M, N>,
    count: Arc<AtomicUsize>,
}

impl<M: Clone, const N: usize> By<M, N> {
    pub(super) fn new(names: [&'static str; N], bounds: [Option<Arc<BoundedNames>>; N], series: Series<M, N>) -> Self {
        By { names, bounds, series, count: Arc::default() }
    }

    /// The metric of these label values, in the order of the label names.
    pub fn with(&self, values: [&str; N]) -> M {
        let pairs = self.pairs(values, false);
        if let Some(metric) = self.series.get(&pairs) {
            return metric.clone();
        }
        // Two threads may count one set twice: the bound only gets tighter.
        if self.count.fetch_add(1, Ordering::Relaxed) < MAX_SERIES {
            return self.series.get_or_create_owned(&pairs);
        }
        self.count.store(MAX_SERIES, Ordering::Relaxed);
        self.series.get_or_create_owned(&self.pairs(values, true))
    }

    /// Forgets every label set, before they are set anew.
    pub fn clear(&self) {
        self.series.clear();
        self.count.store(0, Ordering::Relaxed);
    }

    fn pairs(&self, values: [&str; N], full: bool) -> Pairs<N> {
        std::array::from_fn(|i| {
            let value = match &self.bounds[i] {
                Some(_) if full => OTHER.into(),
                Some(bound) => bound.admit(values[i]),
                None => values[i].into(),
            };
            (self.names[i], value)
        })
    }
}
