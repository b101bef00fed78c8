//! What all read doors share.

use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_limits::{Limits, Overrides};
use flamestore_model::{Fault, TenantId};
use flamestore_querier::Querier;
use flamestore_telemetry::Metrics;

/// The things a frontend works with.
pub struct Parts {
    pub querier: Querier,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
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

    /// What the asker may ask: of several tenants, each limit is the smallest that any of them sets.
    pub(crate) fn limits(&self, asker: &Asker) -> Arc<Limits> {
        let mut all = asker.tenants.iter().map(|t| self.parts.overrides.of(t));
        let Some(first) = all.next() else { return self.parts.overrides.defaults() };
        all.fold(first, |strict, other| {
            let mut limits = (*strict).clone();
            let smaller = |a: usize, b: usize| if a == 0 || (b != 0 && b < a) { b } else { a };
            limits.max_flamegraph_nodes_default = smaller(limits.max_flamegraph_nodes_default, other.max_flamegraph_nodes_default);
            limits.max_flamegraph_nodes_max = smaller(limits.max_flamegraph_nodes_max, other.max_flamegraph_nodes_max);
            let shorter = |a: std::time::Duration, b: std::time::Duration| {
                if a.is_zero() || (!b.is_zero() && b < a) { b } else { a }
            };
            limits.max_query_length = shorter(limits.max_query_length.into(), other.max_query_length.into()).into();
            limits.max_query_lookback = shorter(limits.max_query_lookback.into(), other.max_query_lookback.into()).into();
            Arc::new(limits)
        })
    }
}

/// Runs work of some milliseconds where it holds up no other request.
pub(crate) async fn off_the_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Fault::internal("shaping the answer failed").caused_by(e))
}
