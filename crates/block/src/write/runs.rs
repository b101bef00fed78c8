//! A first look at a dataset: what it uses, how much there is, and where row groups are cut.

use std::collections::BTreeMap;
use std::ops::Range;

use flamestore_model::{Fault, Labels, ProfileId};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::write::input::ProfileInput;
use crate::write::stream::{DatasetStream, Pass, Profiles};

/// Smaller row groups share one: each costs a few hundred bytes of footer.
pub(crate) const MIN_GROUP_ROWS: u64 = 64 << 10;
/// Rows of a row group after which the next one opens another; among samples, the next profile.
pub const MAX_GROUP_ROWS: u64 = 1 << 20;
/// A dictionary of values pays when they repeat this often on average …
const MIN_REPEATS: usize = 4;
/// … and are no more than these.
pub(crate) const MAX_DISTINCT: usize = 128 << 10;

/// One profile type of a dataset: rows that follow one another in each file.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) profile_type: String,
    pub(crate) series: usize,
    pub(crate) profiles: u64,
    pub(crate) samples: u64,
    /// Whether the values are few enough for a dictionary.
    pub(crate) few_values: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesSurvey {
    pub(crate) profiles: u64,
    pub(crate) samples: u64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) total: i64,
}

/// The survey of one dataset. Profiles are counted as they come.
#[derive(Default)]
pub(crate) struct Survey {
    service: String,
    pub(crate) runs: Vec<Run>,
    /// Those with profiles.
    pub(crate) series: Vec<SeriesSurvey>,
    pub(crate) profiles: u64,
    pub(crate) samples: u64,
    pub(crate) spans: bool,
    pub(crate) traces: bool,
    pub(crate) annotations: bool,
    /// Label name → number of values.
    pub(crate) labels: BTreeMap<String, u64>,
    seen: Seen,
}

/// What is only needed while profiles come.
#[derive(Default)]
struct Seen {
    labels: HashMap<String, HashSet<String, RandomState>, RandomState>,
    distinct: Distinct,
    series: Option<(String, Labels)>,
    /// Whether the series has a profile, and where the last one is.
    at: Option<(i64, ProfileId)>,
}

impl Survey {
    /// Reads all profiles once, and checks that they are in order.
    pub(crate) fn of(dataset: &mut dyn DatasetStream) -> Result<Self, Fault> {
        let mut survey = Survey { service: dataset.service_name().to_owned(), ..Survey::default() };
        dataset.profiles(Pass::Survey, &mut survey)?;
        let seen = std::mem::take(&mut survey.seen);
        if let Some(run) = survey.runs.last_mut() {
            run.few_values = seen.distinct.few(run.samples);
        }
        survey.labels = seen.labels.into_iter().map(|(name, values)| (name, values.len() as u64)).collect();
        Ok(survey)
    }

    fn broken(&self, what: &str) -> Fault {
        Fault::internal(format!("block input: {what} in service {:?}", self.service))
    }

    /// Begins a series with its first profile, and a run with its first series.
    fn begin(&mut self) -> Result<(), Fault> {
        let Some((profile_type, labels)) = &self.seen.series else {
            return Err(self.broken("a profile has no series"));
        };
        if self.runs.last().is_none_or(|run| run.profile_type != *profile_type) {
            let distinct = std::mem::take(&mut self.seen.distinct);
            if let Some(run) = self.runs.last_mut() {
                run.few_values = distinct.few(run.samples);
            }
            let profile_type = profile_type.clone();
            self.runs.push(Run { profile_type, series: 0, profiles: 0, samples: 0, few_values: false });
        }
        if let Some(run) = self.runs.last_mut() {
            run.series += 1;
        }
        for label in labels {
            let values = match self.seen.labels.get_mut(&*label.name) {
                Some(values) => values,
                None => self.seen.labels.entry(label.name.to_string()).or_default(),
            };
            if !values.contains(&*label.value) {
                values.insert(label.value.to_string());
            }
        }
        self.series.push(SeriesSurvey { profiles: 0, samples: 0, min_time: i64::MAX, max_time: i64::MIN, total: 0 });
        Ok(())
    }
}

impl Profiles for Survey {
    fn series(&mut self, labels: &Labels, profile_type: &str) -> Result<(), Fault> {
        if self.seen.series.as_ref().is_some_and(|(t, l)| (&**t, l) >= (profile_type, labels)) {
            return Err(self.broken("series are out of order"));
        }
        self.seen.series = Some((profile_type.to_owned(), labels.clone()));
        self.seen.at = None;
        Ok(())
    }

    fn profile(&mut self, profile: &ProfileInput<'_>) -> Result<(), Fault> {
        let at = (profile.time_nanos, profile.profile_id);
        match self.seen.at.replace(at) {
            None => self.begin()?,
            Some(last) if last > at => return Err(self.broken("profiles are out of order")),
            Some(_) => {}
        }
        let mut total = 0i64;
        profile.values.each(|_, v| {
            total = total.saturating_add(v);
            self.seen.distinct.add(v);
        });
        let samples = profile.stacks.len() as u64;
        if let Some(one) = self.series.last_mut() {
            one.profiles += 1;
            one.samples += samples;
            one.min_time = one.min_time.min(profile.time_nanos);
            one.max_time = one.max_time.max(profile.time_nanos);
            one.total = one.total.saturating_add(total);
        }
        if let Some(run) = self.runs.last_mut() {
            run.profiles += 1;
            run.samples += samples;
        }
        self.profiles += 1;
        self.samples += samples;
        self.spans |= profile.span_ids.iter().any(|id| *id != 0);
        self.traces |= profile.trace_ids.iter().any(|id| *id != 0);
        self.annotations |= !profile.annotations.is_empty();
        Ok(())
    }
}

/// Different values of a run, counted up to [`MAX_DISTINCT`].
#[derive(Default)]
pub(crate) struct Distinct {
    seen: HashSet<i64, RandomState>,
    last: i64,
    many: bool,
}

impl Distinct {
    pub(crate) fn add(&mut self, value: i64) {
        if self.many || (value == self.last && !self.seen.is_empty()) {
            return;
        }
        self.last = value;
        self.seen.insert(value);
        if self.seen.len() > MAX_DISTINCT {
            self.many = true;
            self.seen = HashSet::default();
        }
    }

    pub(crate) fn few(&self, of: u64) -> bool {
        !self.many && self.seen.len() as u64 * MIN_REPEATS as u64 <= of
    }
}

/// Which neighbours share a row group of samples, given the rows of each.
pub(crate) fn groups(rows: impl Iterator<Item = u64>) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut open = 0u64;
    for (i, n) in rows.enumerate() {
        match groups.last_mut() {
            Some(group) if open < MIN_GROUP_ROWS && open + n <= MAX_GROUP_ROWS => {
                group.end = i + 1;
                open += n;
            }
            _ => {
                groups.push(i..i + 1);
                open = n;
            }
        }
    }
    groups
}

/// Row numbers in the files have 32 bits, those of samples 64.
pub(crate) fn check_sizes(surveys: &[Survey]) -> Result<(), Fault> {
    let profiles: u64 = surveys.iter().map(|s| s.profiles).sum();
    if profiles > u64::from(u32::MAX) {
        return Err(Fault::internal(format!(
            "a block holds at most 4294967295 profiles, not {profiles}: cut it earlier"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_neighbours_share_a_row_group_and_large_ones_do_not() {
        let m = MIN_GROUP_ROWS;
        assert_eq!(groups([1, 2, m, 1, m, m].into_iter()), [0..3, 3..5, 5..6]);
        assert_eq!(groups([1, MAX_GROUP_ROWS, 1].into_iter()), [0..1, 1..2, 2..3]);
        assert_eq!(groups(std::iter::empty()), Vec::<Range<usize>>::new());
    }
}
