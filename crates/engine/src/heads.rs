//! The newest profiles of one tenant in one epoch: a head for each service.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flamestore_api::PushedProfile;
use flamestore_head::DatasetHead;
use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId, Fingerprint, Labels, Select, StoredSeries, TimeRange};
use flamestore_pprof::Normalized;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

use crate::budget::Budget;

/// When a refused series may try again: place comes only with the next cut, so not at once.
const AGAIN_AFTER_SECS: u32 = 60;

/// Gives its bytes back to the budget when the last query has let go of it.
#[derive(Debug)]
pub(crate) struct TenantHeads {
    datasets: RwLock<HashMap<Box<str>, Arc<Dataset>>>,
    /// The series of all services, also those of profiles that are being logged. Two that share a fingerprint by accident
    /// count as one.
    series: Mutex<HashSet<Fingerprint, RandomState>>,
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

/// Readers share it; an append waits for them.
pub(crate) type Dataset = RwLock<DatasetHead>;

impl TenantHeads {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        TenantHeads { datasets: RwLock::default(), series: Mutex::default(), budget, bytes: AtomicUsize::new(0) }
    }

    /// Makes place for the series of one profile, all of them or none.
    ///
    /// # Errors
    /// `Limited` when there would be more than `max` series.
    pub(crate) fn admit(&self, stored: &[StoredSeries], max: Option<u64>) -> Result<(), Fault> {
        let mut all: Vec<Fingerprint> = stored.iter().map(|s| s.labels.fingerprint()).collect();
        let mut known = self.series.lock();
        all.retain(|f| !known.contains(f));
        if let Some(max) = max {
            all.sort_unstable();
            all.dedup();
            let new = all.len();
            if new > 0 && (known.len() + new) as u64 > max {
                let have = known.len();
                return Err(Fault::over(
                    FaultId::TooManySeries,
                    format_args!("maximum active series: there are {have}, and the profile brings {new} more"),
                    max,
                )
                .again_after(AGAIN_AFTER_SECS));
            }
        }
        known.extend(all);
        Ok(())
    }

    pub(crate) fn series(&self) -> usize {
        self.series.lock().len()
    }

    /// Stores one profile; says by how many bytes the heads have grown. Blocks while a query reads the same service.
    pub(crate) fn append(&self, profile: &PushedProfile, normalized: &Normalized) -> (usize, Result<(), Fault>) {
        let mut grown = 0;
        let mut append = |service: &str, series: &[StoredSeries]| {
            let dataset = self.dataset(service);
            let mut head = dataset.write();
            let before = head.bytes();
            let result =
                head.append_annotated(normalized, profile.time_nanos, profile.profile_id, series, &profile.annotations);
            // A refused profile, too, can have left symbols behind.
            grown += head.bytes().saturating_sub(before);
            result.map(drop)
        };
        let first = profile.series.first().map_or("", |s| service_of(&s.labels));
        let result = if profile.series.iter().all(|s| service_of(&s.labels) == first) {
            append(first, &profile.series)
        } else {
            by_service(&profile.series).into_iter().try_for_each(|(service, series)| append(service, &series))
        };
        self.bytes.fetch_add(grown, Ordering::Relaxed);
        self.budget.grow(grown);
        (grown, result)
    }

    /// Whether nobody reads or writes the services of a profile at this moment.
    pub(crate) fn is_free(&self, profile: &PushedProfile) -> bool {
        let datasets = self.datasets.read();
        let free = |service| datasets.get(service).is_none_or(|dataset| !dataset.is_locked());
        // Nearly always there is one.
        profile
            .series
            .chunk_by(|a, b| service_of(&a.labels) == service_of(&b.labels))
            .all(|same| same.first().is_none_or(|s| free(service_of(&s.labels))))
    }

    fn dataset(&self, service: &str) -> Arc<Dataset> {
        if let Some(known) = self.datasets.read().get(service) {
            return known.clone();
        }
        self.datasets
            .write()
            .entry(service.into())
            .or_insert_with(|| Arc::new(RwLock::new(DatasetHead::new(service))))
            .clone()
    }

    /// The heads of services that could have something, sorted by service.
    pub(crate) fn matching(&self, select: &Select) -> Vec<Arc<Dataset>> {
        let datasets = self.datasets.read();
        let mut found: Vec<_> =
            datasets.iter().filter(|(service, _)| select.selector.admits(names::SERVICE_NAME, service)).collect();
        found.sort_unstable_by(|a, b| a.0.cmp(b.0));
        found.into_iter().map(|(_, dataset)| dataset.clone()).collect()
    }

    /// All heads, sorted by service.
    pub(crate) fn all(&self) -> Vec<Arc<Dataset>> {
        let datasets = self.datasets.read();
        let mut all: Vec<_> = datasets.iter().collect();
        all.sort_unstable_by(|a, b| a.0.cmp(b.0));
        all.into_iter().map(|(_, dataset)| dataset.clone()).collect()
    }

    pub(crate) fn range(&self) -> Option<TimeRange> {
        self.all().iter().filter_map(|dataset| dataset.read().range()).reduce(span)
    }
}

impl Drop for TenantHeads {
    fn drop(&mut self) {
        self.budget.shrink(*self.bytes.get_mut());
    }
}

/// The smallest range with both in it.
pub(crate) fn span(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange { from_nanos: a.from_nanos.min(b.from_nanos), to_nanos: a.to_nanos.max(b.to_nanos) }
}

fn service_of(labels: &Labels) -> &str {
    labels.get(names::SERVICE_NAME).unwrap_or("")
}

/// A sample label may have named another service.
fn by_service(series: &[StoredSeries]) -> Vec<(&str, Vec<StoredSeries>)> {
    let mut out: Vec<(&str, Vec<StoredSeries>)> = Vec::new();
    for s in series {
        let service = service_of(&s.labels);
        match out.iter_mut().find(|(name, _)| *name == service) {
            Some((_, members)) => members.push(s.clone()),
            None => out.push((service, vec![s.clone()])),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(names: &[&str]) -> Vec<StoredSeries> {
        let one = |name: &&str| StoredSeries { labels: Labels::from_pairs([("a", *name)]), group: 0, column: 0 };
        names.iter().map(one).collect()
    }

    #[test]
    fn a_profile_gets_place_for_all_of_its_series_or_for_none() {
        let heads = TenantHeads::new(Budget::new(1 << 20));
        heads.admit(&series(&["x", "y", "x"]), Some(3)).unwrap();
        let fault = heads.admit(&series(&["x", "z", "w"]), Some(3)).unwrap_err();
        assert_eq!(fault.id, FaultId::TooManySeries);
        assert!(fault.message.contains("there are 2, and the profile brings 2 more; limit 3"), "{fault}");
        assert_eq!(heads.series(), 2);
        heads.admit(&series(&["z"]), Some(3)).unwrap();
        heads.admit(&series(&["x", "y", "z"]), Some(1)).unwrap();
        heads.admit(&series(&["v"]), None).unwrap();
        assert_eq!(heads.series(), 4);
    }
}
