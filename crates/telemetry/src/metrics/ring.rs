//! Members of the cluster as this process sees them.

use prometheus_client::metrics::gauge::Gauge;

use super::family::GaugeBy;
use super::registrar::Registrar;

/// Rings and gossip.
#[derive(Debug)]
pub struct RingMetrics {
    pub members: GaugeBy<2>,
    pub tokens_total: GaugeBy<1>,
    pub cluster_members_count: Gauge,
    pub cluster_node_health_score: Gauge,
}

/// The states a member can be in.
const STATES: [&str; 5] = ["ACTIVE", "JOINING", "LEAVING", "PENDING", "Unhealthy"];

impl RingMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("ring");
        RingMetrics {
            members: r.gauge_by("pyroscope_ring_members", "Members of a ring by state", ["name", "state"]),
            tokens_total: r.gauge_by("pyroscope_ring_tokens_total", "Points on a ring", ["name"]),
            cluster_members_count: r
                .gauge("pyroscope_memberlist_client_cluster_members_count", "Processes that gossip knows to be alive"),
            cluster_node_health_score: r.gauge(
                "pyroscope_memberlist_client_cluster_node_health_score",
                "0 when gossip of this process is well, more when it is late",
            ),
        }
    }

    /// A cluster of one: this process is the only active member of its rings.
    pub fn alone(&self) {
        for name in ["ingester", "distributor"] {
            for state in STATES {
                self.members.with([name, state]).set(i64::from(state == "ACTIVE"));
            }
        }
        self.cluster_members_count.set(1);
    }
}
