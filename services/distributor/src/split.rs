//! From one normalised pprof to the series it becomes: a series for each label group and sample type.

use std::sync::Arc;

use flamestore_limits::Limits;
use flamestore_limits::relabel::relabel;
use flamestore_model::labels::names;
use flamestore_model::{Fault, Label, Labels, LabelsBuilder, StoredSeries};
use flamestore_pprof::{Normalized, Profile, StrRef};

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
    let (mut promoted, mut derived) = (Promoted::default(), Derived::default());
    for (group, samples) in (0u32..).zip(&normalized.groups) {
        let labels = series.with_promoted(promoted.labels(profile, &samples.labels));
        let Some(labels) = labels::relabelled(labels, limits).filter(|_| !columns.is_empty()) else {
            out.dropped_samples += samples.rows.len() as u64;
            continue;
        };
        labels::validate(&labels, limits)?;
        for (column, labels) in columns.iter().zip(derived.build(profile, &columns, &labels)) {
            out.series.push(StoredSeries { labels, group, column: *column });
        }
    }
    Ok(out)
}

/// The names of the last group's promoted labels: mostly those of the next too, which then shares them.
#[derive(Default)]
struct Promoted {
    names: Vec<(StrRef, Arc<str>)>,
}

impl Promoted {
    fn labels(&mut self, profile: &Profile, pairs: &[(StrRef, StrRef)]) -> impl Iterator<Item = Label> {
        self.names.truncate(pairs.len());
        pairs.iter().enumerate().map(|(at, (name, value))| {
            let name = match self.names.get(at) {
                Some((known, text)) if known == name => text.clone(),
                _ => {
                    let text: Arc<str> = profile.str(*name).into();
                    self.names.truncate(at);
                    self.names.push((*name, text.clone()));
                    text
                }
            };
            Label { name, value: profile.str(*value).into() }
        })
    }
}

/// The labels that follow from a sample type and from the name and service of a series. These hardly ever differ from
/// group to group, which then share them.
#[derive(Default)]
struct Derived {
    name: Arc<str>,
    service: Arc<str>,
    /// Of each column, sorted by name.
    of_columns: Vec<[Label; 6]>,
}

impl Derived {
    /// The finished labels of each column.
    fn build(&mut self, profile: &Profile, columns: &[u32], labels: &LabelsBuilder) -> impl Iterator<Item = Labels> {
        let value = |name| labels.value(name).cloned().unwrap_or_default();
        let (name, service) = (value(names::PROFILE_NAME), value(names::SERVICE_NAME));
        if self.of_columns.is_empty() || self.name != name || self.service != service {
            let of = |column: &u32| of_column(profile, *column, &name, &service);
            self.of_columns = columns.iter().map(of).collect();
            (self.name, self.service) = (name, service);
        }
        self.of_columns.iter().map(|over| labels.build_with(over))
    }
}

fn of_column(profile: &Profile, column: u32, name: &str, service: &Arc<str>) -> [Label; 6] {
    let of_type = profile.sample_types.get(column as usize).copied().unwrap_or_default();
    let (kind, unit) = (profile.str(of_type.kind), profile.str(of_type.unit));
    let (period_kind, period_unit) = (profile.str(profile.period_type.kind), profile.str(profile.period_type.unit));
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    [
        label(names::PERIOD_TYPE, period_kind),
        label(names::PERIOD_UNIT, period_unit),
        label(names::PROFILE_TYPE, &format!("{name}:{kind}:{unit}:{period_kind}:{period_unit}")),
        Label { name: names::SERVICE_NAME_PRIVATE.into(), value: service.clone() },
        label(names::TYPE, kind),
        label(names::UNIT, unit),
    ]
}
