//! What all read doors share.

use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_limits::{HumanDuration, Limits, Overrides};
use flamestore_model::{Fault, TenantId};
use flamestore_querier::Querier;

/// The things a frontend works with.
pub struct Parts {
    pub querier: Querier,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
}

/// The read doors. Keeps nothing between requests.
pub struct Frontend {
    pub(crate) parts: Parts,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// One tenant, or several of a federated read; never empty.
    pub tenants: Vec<TenantId>,
    /// Whether the client said that it can read label names outside the classic alphabet.
    pub utf8_names: bool,
}

impl Frontend {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Frontend { parts })
    }

    pub(crate) fn querier(&self) -> &Querier {
        &self.parts.querier
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.parts.clock.now_millis()
    }

    /// What the asker may ask: of several tenants, each limit is the smallest that any of them sets. Retention is the longest:
    /// what is past that of one of them is left out where that one is asked ([`flamestore_querier::Shown`]).
    pub(crate) fn limits(&self, asker: &Asker) -> Arc<Limits> {
        let overrides = &self.parts.overrides;
        let all = asker.tenants.iter().map(|t| overrides.of(t));
        all.reduce(|strict, other| Arc::new(strictest(&strict, &other))).unwrap_or_else(|| overrides.defaults().clone())
    }
}

fn strictest(a: &Limits, b: &Limits) -> Limits {
    /// Zero means "no limit".
    fn smaller<T: Copy + Ord + Default>(a: T, b: T) -> T {
        let none = T::default();
        if a == none || (b != none && b < a) { b } else { a }
    }
    let mut out = a.clone();
    out.max_flamegraph_nodes_default = smaller(a.max_flamegraph_nodes_default, b.max_flamegraph_nodes_default);
    out.max_flamegraph_nodes_max = smaller(a.max_flamegraph_nodes_max, b.max_flamegraph_nodes_max);
    out.max_query_length = HumanDuration(smaller(a.max_query_length.0, b.max_query_length.0));
    out.max_query_lookback = HumanDuration(smaller(a.max_query_lookback.0, b.max_query_lookback.0));
    if a.retention().is_some_and(|kept| b.retention().is_none_or(|longer| kept < longer)) {
        out.compactor_blocks_retention_period = b.compactor_blocks_retention_period;
        out.retention_period = b.retention_period;
    }
    out.query_analysis_enabled = a.query_analysis_enabled && b.query_analysis_enabled;
    out.query_analysis_series_enabled = a.query_analysis_series_enabled && b.query_analysis_series_enabled;
    out
}

/// Runs work of some milliseconds where it holds up no other request.
pub(crate) async fn off_the_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::internal("shaping the answer failed").caused_by(e))
}
