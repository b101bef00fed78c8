//! From one normalised pprof to the series it becomes: a series for each label group and sample type.

use std::fmt::Write;

use flamestore_limits::Limits;
use flamestore_limits::relabel::relabel;
use flamestore_model::labels::names;
use flamestore_model::{Fault, StoredSeries};
use flamestore_pprof::Normalized;

use crate::labels::{self, SeriesLabels};

/// The series to store; empty when the tenant's rules dropped all of them.
pub fn into_series(
    normalized: &Normalized,
    series: &SeriesLabels,
    limits: &Limits,
) -> Result<Vec<StoredSeries>, Fault> {
    let profile = &normalized.profile;
    let mut out = Vec::with_capacity(normalized.groups.len() * profile.sample_types.len());
    for (group, samples) in (0u32..).zip(&normalized.groups) {
        let promoted = samples.labels.iter().map(|(name, value)| (profile.str(*name), profile.str(*value)));
        let Some(labels) = labels::relabelled(series.with_promoted(promoted), limits) else { continue };
        labels::validate(&labels, limits)?;
        for (column, of_type) in (0u32..).zip(&profile.sample_types) {
            let (kind, unit) = (profile.str(of_type.kind), profile.str(of_type.unit));
            let (period_kind, period_unit) =
                (profile.str(profile.period_type.kind), profile.str(profile.period_type.unit));
            let mut labels = labels.clone();
            labels.set(names::TYPE, kind).set(names::UNIT, unit);
            if !relabel(limits.sample_type_relabeling_rules.iter(), &mut labels) {
                continue;
            }
            let name = labels.get(names::PROFILE_NAME).unwrap_or("");
            let mut id = String::with_capacity(name.len() + kind.len() + unit.len() + 24);
            let _ = write!(id, "{name}:{kind}:{unit}:{period_kind}:{period_unit}");
            let service = labels.get(names::SERVICE_NAME).unwrap_or("").to_owned();
            labels
                .set(names::PROFILE_TYPE, &id)
                .set(names::PERIOD_TYPE, period_kind)
                .set(names::PERIOD_UNIT, period_unit)
                .set(names::SERVICE_NAME_PRIVATE, &service);
            out.push(StoredSeries { labels: labels.build(), group, column });
        }
    }
    Ok(out)
}
