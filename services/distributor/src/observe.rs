//! What a distributor tells of itself. Metrics are made of it elsewhere.

use std::fmt;

use flamestore_formats::{Arrival, Notes, TimeRepair};
use flamestore_model::{Discard, Fault, TenantId};
use flamestore_pprof::{Normalized, Profile};

/// Told of everything that comes in, is kept, and is thrown away.
pub trait Observe: Send + Sync + fmt::Debug {
    /// A pprof was decoded.
    fn received(&self, tenant: &TenantId, profile_name: &str, received: Received);
    /// A profile is kept, as `series` series.
    fn kept(&self, tenant: &TenantId, profile_name: &str, samples: u64, series: u64);
    /// Data was thrown away.
    fn discarded(&self, tenant: &TenantId, reason: Discard, samples: u64, bytes: u64);
    /// Of what was received, the part of one usage group, in uncompressed bytes.
    fn received_of_group(&self, tenant: &TenantId, profile_name: &str, group: &str, bytes: u64);
    /// Of what was thrown away, the part of one usage group.
    fn discarded_of_group(&self, tenant: &TenantId, reason: Discard, group: &str, bytes: u64);
    /// A profile's own time could not be right: that of its request stands in for it.
    fn time_repaired(&self, tenant: &TenantId, arrival: Arrival, why: TimeRepair);
    /// Something in an upload had no meaning and was passed over.
    fn passed_over(&self, tenant: &TenantId, notes: &Notes);
}

/// Sizes of one pprof as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub compressed_bytes: u64,
    pub inflated_bytes: u64,
    pub samples: u64,
    /// What the samples take of the inflated bytes; the rest is symbols.
    pub samples_bytes: u64,
    /// How long it took to decode it; `None`: choosing its labels needed that already.
    pub parse_nanos: Option<u64>,
}

/// An observer with the tenant that a push is of, and the usage groups of one profile in it.
pub(crate) struct Count<'a> {
    pub(crate) observer: &'a dyn Observe,
    pub(crate) tenant: &'a TenantId,
    /// Empty until they are known.
    pub(crate) groups: Vec<&'a str>,
    /// What is counted once it is kept.
    pub(crate) accepted: Option<Accepted>,
}

pub(crate) struct Accepted {
    profile_name: String,
    samples: u64,
    series: u64,
}

impl Count<'_> {
    pub(crate) fn received(
        &self,
        profile_name: &str,
        compressed_bytes: usize,
        profile: &Profile,
        parse_nanos: Option<u64>,
    ) {
        let received = Received {
            compressed_bytes: compressed_bytes as u64,
            inflated_bytes: profile.text.len() as u64,
            samples: profile.samples.len() as u64,
            samples_bytes: profile.sample_bytes as u64,
            parse_nanos,
        };
        self.observer.received(self.tenant, profile_name, received);
        for group in &self.groups {
            self.observer.received_of_group(self.tenant, profile_name, group, received.inflated_bytes);
        }
    }

    pub(crate) fn accepted(&mut self, profile_name: String, normalized: &Normalized, series: usize) {
        let samples: usize = normalized.groups.iter().map(|g| g.rows.len()).sum();
        self.accepted = Some(Accepted { profile_name, samples: samples as u64, series: series as u64 });
    }

    /// What was accepted is durable.
    pub(crate) fn kept(&self) {
        if let Some(Accepted { profile_name, samples, series }) = &self.accepted {
            self.observer.kept(self.tenant, profile_name, *samples, *series);
        }
    }

    /// A refused upload of so many bytes.
    pub(crate) fn refused(&self, fault: &Fault, bytes: usize) {
        if let Some(reason) = fault.discard {
            self.discarded(reason, 1, bytes);
        }
    }

    pub(crate) fn discarded(&self, reason: Discard, samples: u64, bytes: usize) {
        self.observer.discarded(self.tenant, reason, samples, bytes as u64);
        for group in &self.groups {
            self.observer.discarded_of_group(self.tenant, reason, group, bytes as u64);
        }
    }

    pub(crate) fn dropped(&self, reason: Discard, samples: u64) {
        if samples > 0 {
            self.observer.discarded(self.tenant, reason, samples, 0);
        }
    }
}

/// Listens to nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Unobserved;

impl Observe for Unobserved {
    fn received(&self, _: &TenantId, _: &str, _: Received) {}
    fn kept(&self, _: &TenantId, _: &str, _: u64, _: u64) {}
    fn discarded(&self, _: &TenantId, _: Discard, _: u64, _: u64) {}
    fn received_of_group(&self, _: &TenantId, _: &str, _: &str, _: u64) {}
    fn discarded_of_group(&self, _: &TenantId, _: Discard, _: &str, _: u64) {}
    fn time_repaired(&self, _: &TenantId, _: Arrival, _: TimeRepair) {}
    fn passed_over(&self, _: &TenantId, _: &Notes) {}
}
