//! From one normalised pprof to the series it becomes: a series for each label group and sample type.

use std::fmt::Write;

use flamestore_limits::Limits;
use flamestore_limits::relabel::relabel;
use flamestore_model::labels::names;
use flamestore_model::{Fault, StoredSeries};
use flamestore_pprof::Normalized;

use crate::labels::{self, SeriesLabels};

/// What becomes of a profile.
#[derive(Debug, Default)]
pub struct Split {
    /// Empty when the tenant's rules dropped everything.
    pub series: Vec<StoredSeries>,
    /// Samples of which no value is stored because of the rules.
    pub dropped_samples: u64,
}

/// The series to store. Rules on sample types see the series as the client named it, with the type and unit of one value
/// column; then the rules on series see each group of samples with its own labels.
pub fn into_series(normalized: &Normalized, series: &SeriesLabels, limits: &Limits) -> Result<Split, Fault> {
    let profile = &normalized.profile;
    let columns: Vec<u32> = (0u32..)
        .zip(&profile.sample_types)
        .filter(|(_, of_type)| {
            let mut labels = series.with_promoted(std::iter::empty());
            labels.set(names::TYPE, profile.str(of_type.kind)).set(names::UNIT, profile.str(of_type.unit));
            relabel(limits.sample_type_relabeling_rules.iter(), &mut labels)
        })
        .map(|(column, _)| column)
        .collect();
    let mut out = Split { series: Vec::with_capacity(normalized.groups.len() * columns.len()), dropped_samples: 0 };
    let (period_kind, period_unit) = (profile.str(profile.period_type.kind), profile.str(profile.period_type.unit));
    for (group, samples) in (0u32..).zip(&normalized.groups) {
        let promoted = samples.labels.iter().map(|(name, value)| (profile.str(*name), profile.str(*value)));
        let kept = labels::relabelled(series.with_promoted(promoted), limits).filter(|_| !columns.is_empty());
        let Some(labels) = kept else {
            out.dropped_samples += samples.rows.len() as u64;
            continue;
        };
        labels::validate(&labels, limits)?;
        for &column in &columns {
            let Some(of_type) = profile.sample_types.get(column as usize) else { continue };
            let (kind, unit) = (profile.str(of_type.kind), profile.str(of_type.unit));
            let mut labels = labels.clone();
            let name = labels.get(names::PROFILE_NAME).unwrap_or("");
            let mut id = String::with_capacity(name.len() + kind.len() + unit.len() + 24);
            let _ = write!(id, "{name}:{kind}:{unit}:{period_kind}:{period_unit}");
            let service = labels.get(names::SERVICE_NAME).unwrap_or("").to_owned();
            labels
                .set(names::TYPE, kind)
                .set(names::UNIT, unit)
                .set(names::PROFILE_TYPE, &id)
                .set(names::PERIOD_TYPE, period_kind)
                .set(names::PERIOD_UNIT, period_unit)
                .set(names::SERVICE_NAME_PRIVATE, &service);
            out.series.push(StoredSeries { labels: labels.build(), group, column });
        }
    }
    Ok(out)
}
