//! All metrics of a process, one struct a component, with names that published dashboards ask for.

mod bounded;
mod build;
pub mod compactor;
pub mod distributor;
pub mod expose;
pub mod family;
pub mod head;
pub mod http;
pub mod limits;
pub mod objstore;
mod process;
pub mod query;
mod reference;
mod registrar;
pub mod ring;
pub mod wal;

use std::fmt;

use prometheus_client::registry::Registry;

pub use build::BuildInfo;
pub use family::{CounterBy, GaugeBy, HistogramBy};
pub use reference::reference_markdown;

use registrar::{Described, Registrar};

/// Most tenants that have a label value of their own; the profiles of further ones count as `other`.
pub const MAX_TENANT_LABELS: usize = 500;
/// Most profile names that have a label value of their own.
pub const MAX_PROFILE_NAME_LABELS: usize = 64;
/// Most label sets of one family; further ones count as `other`.
pub const MAX_SERIES: usize = 1000;

/// The metrics of a process. Handles inside are cheap to clone and to use.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    pub http: http::HttpMetrics,
    pub distributor: distributor::DistributorMetrics,
    pub limits: limits::LimitMetrics,
    pub head: head::HeadMetrics,
    pub wal: wal::WalMetrics,
    pub query: query::QueryMetrics,
    pub compactor: compactor::CompactorMetrics,
    pub objstore: objstore::ObjstoreMetrics,
    pub ring: ring::RingMetrics,
}

impl Metrics {
    pub fn new(build: &BuildInfo) -> Self {
        let mut r = Registrar::default();
        build::register(&mut r, build);
        let http = http::HttpMetrics::register(&mut r);
        let distributor = distributor::DistributorMetrics::register(&mut r);
        let limits = limits::LimitMetrics::register(&mut r);
        let head = head::HeadMetrics::register(&mut r);
        let wal = wal::WalMetrics::register(&mut r);
        let query = query::QueryMetrics::register(&mut r);
        let compactor = compactor::CompactorMetrics::register(&mut r);
        let objstore = objstore::ObjstoreMetrics::register(&mut r);
        let ring = ring::RingMetrics::register(&mut r);
        process::register(&mut r);
        let (registry, described) = r.finish();
        Metrics { registry, described, http, distributor, limits, head, wal, query, compactor, objstore, ring }
    }

    /// The answer to a scrape, in the form its `Accept` header asks for.
    pub fn expose(&self, accept: Option<&str>) -> expose::Exposed {
        expose::expose(&self.registry, expose::negotiate(accept))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("families", &self.described.len()).finish_non_exhaustive()
    }
}
