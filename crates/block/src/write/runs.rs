//! A first look at a dataset: what it uses, how much there is, and where row groups are cut.

use std::collections::BTreeMap;
use std::ops::Range;

use flamestore_model::Fault;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::write::Part;
use crate::write::input::{DatasetInput, ProfileInput};

/// Smaller row groups share one: each costs a few hundred bytes of footer.
pub(crate) const MIN_GROUP_ROWS: u64 = 64 << 10;
/// Samples of a row group after which the next profile opens another.
pub const MAX_GROUP_ROWS: u64 = 1 << 20;
/// A dictionary of values pays when they repeat this often on average …
const MIN_REPEATS: usize = 16;
/// … and are no more than these.
const MAX_DISTINCT: usize = 32 << 10;

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

#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) runs: Vec<Run>,
    /// Those with profiles.
    pub(crate) series: Vec<SeriesSurvey>,
    pub(crate) profiles: u64,
    pub(crate) samples: u64,
    /// By stack id: whether a sample has it.
    pub(crate) used_stacks: Vec<bool>,
    pub(crate) spans: bool,
    pub(crate) traces: bool,
    /// Label name → number of values.
    pub(crate) labels: BTreeMap<String, u64>,
}

impl Survey {
    /// Reads everything once, and checks the promises of the input.
    pub(crate) fn of(dataset: &dyn DatasetInput) -> Result<Self, Fault> {
        let broken =
            |what: &str| Fault::internal(format!("block input: {what} in service {:?}", dataset.service_name()));
        let mut survey = Survey { used_stacks: vec![false; dataset.symbols().stacks.parent.len()], ..Self::default() };
        let mut labels: HashMap<&str, HashSet<&str, RandomState>, RandomState> = HashMap::default();
        let mut distinct = Distinct::default();
        let mut last = None;
        for series in dataset.series() {
            if last.is_some_and(|last| last >= (series.profile_type, series.labels)) {
                return Err(broken("series are out of order"));
            }
            last = Some((series.profile_type, series.labels));
            let mut profiles = series.profiles.peekable();
            if profiles.peek().is_none() {
                continue;
            }
            let mut one = SeriesSurvey { profiles: 0, samples: 0, min_time: i64::MAX, max_time: i64::MIN, total: 0 };
            if let Some(run) = survey.runs.last_mut().filter(|run| run.profile_type != series.profile_type) {
                run.few_values = std::mem::take(&mut distinct).few(run.samples);
            }
            let mut at = None;
            for profile in profiles {
                if at.is_some_and(|at| at > (profile.time_nanos, profile.profile_id)) {
                    return Err(broken("profiles are out of order"));
                }
                at = Some((profile.time_nanos, profile.profile_id));
                survey.mark(&profile).ok_or_else(|| broken("the columns of a profile do not fit each other"))?;
                profile.values.each(|_, v| distinct.add(v));
                one.profiles += 1;
                one.samples += profile.stacks.len() as u64;
                one.min_time = one.min_time.min(profile.time_nanos);
                one.max_time = one.max_time.max(profile.time_nanos);
                one.total = one.total.wrapping_add(profile.values.total());
            }
            for label in series.labels {
                labels.entry(&label.name).or_default().insert(&label.value);
            }
            survey.add(series.profile_type, one);
        }
        if let Some(run) = survey.runs.last_mut() {
            run.few_values = distinct.few(run.samples);
        }
        survey.labels = labels.into_iter().map(|(name, values)| (name.to_owned(), values.len() as u64)).collect();
        Ok(survey)
    }

    fn mark(&mut self, profile: &ProfileInput<'_>) -> Option<()> {
        let n = profile.stacks.len();
        let fits = |len: usize| len == n || len == 0;
        if profile.values.len() != n || !fits(profile.span_ids.len()) || !fits(profile.trace_ids.len()) {
            return None;
        }
        for stack in profile.stacks {
            *self.used_stacks.get_mut(*stack as usize)? = true;
        }
        self.spans |= profile.span_ids.iter().any(|id| *id != 0);
        self.traces |= profile.trace_ids.iter().any(|id| *id != 0);
        Some(())
    }

    fn add(&mut self, profile_type: &str, one: SeriesSurvey) {
        if self.runs.last().is_none_or(|run| run.profile_type != profile_type) {
            let profile_type = profile_type.to_owned();
            self.runs.push(Run { profile_type, series: 0, profiles: 0, samples: 0, few_values: false });
        }
        if let Some(run) = self.runs.last_mut() {
            run.series += 1;
            run.profiles += one.profiles;
            run.samples += one.samples;
        }
        self.series.push(one);
        self.profiles += one.profiles;
        self.samples += one.samples;
    }
}

/// Different values of a run, counted up to [`MAX_DISTINCT`].
#[derive(Default)]
struct Distinct {
    seen: HashSet<i64, RandomState>,
    last: i64,
    many: bool,
}

impl Distinct {
    fn add(&mut self, value: i64) {
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

    fn few(&self, of: u64) -> bool {
        !self.many && self.seen.len() as u64 * MIN_REPEATS as u64 <= of
    }
}

/// Which neighbours share a row group, given the rows of each.
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
pub(crate) fn check_sizes(parts: &[Part<'_>]) -> Result<(), Fault> {
    let profiles: u64 = parts.iter().map(|p| p.survey.profiles).sum();
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
