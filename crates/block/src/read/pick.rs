//! From a selection to profiles, and from those to rows of samples.

use std::ops::Range;

use flamestore_model::{Annotation, Fault, Filter, ProfileId, TimeRange};

use crate::layout::Table;
use crate::read::series::{SeriesRow, SeriesRows};
use crate::read::{Block, annotations, blocking, hidden};
use crate::refusal::corrupt;

/// What a selection found in a dataset.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    pub(crate) series: Vec<PickedSeries>,
    /// One after another in series order. Empty where only sample ranges were asked for.
    pub(crate) profiles: Vec<PickedProfile>,
    /// Where the samples are: one range for each profile, or larger ones where profiles were not asked for.
    pub(crate) samples: Vec<Range<u64>>,
}

#[derive(Debug)]
pub(crate) struct PickedSeries {
    /// In the dataset's series rows.
    pub(crate) row: usize,
    /// Matching profiles, samples aside.
    pub(crate) profiles: usize,
}

#[derive(Debug)]
pub(crate) struct PickedProfile {
    pub(crate) time_nanos: i64,
    pub(crate) total: i64,
    pub(crate) profile_id: ProfileId,
    pub(crate) annotations: Vec<Annotation>,
}

impl Picked {
    pub(crate) fn counts(&self) -> Vec<usize> {
        self.series.iter().map(|s| s.profiles).collect()
    }

    /// Splits what there is for each profile by series.
    pub(crate) fn group<T>(&self, each: impl Iterator<Item = T>) -> impl Iterator<Item = std::vec::IntoIter<T>> {
        let mut each = each;
        self.series.iter().map(move |s| each.by_ref().take(s.profiles).collect::<Vec<_>>().into_iter())
    }

    /// Neighbouring ranges joined.
    pub(crate) fn joined_samples(&self) -> Vec<Range<u64>> {
        let mut out: Vec<Range<u64>> = Vec::new();
        for r in &self.samples {
            match out.last_mut() {
                Some(last) if last.end == r.start => last.end = r.end,
                _ => out.push(r.clone()),
            }
        }
        out
    }
}

impl Block {
    /// The matching series with a profile in the range. With `profiles`, every matching profile is named.
    pub(crate) async fn pick(
        &self,
        dataset: usize,
        rows: &SeriesRows,
        filter: &Filter<'_>,
        profiles: bool,
    ) -> Result<Picked, Fault> {
        let known = self.dataset(dataset)?.rows;
        let admitted: Vec<usize> = (0..rows.len()).filter(|i| may_match(filter, &rows[*i])).collect();
        let deleted: Vec<Vec<TimeRange>> = admitted.iter().map(|i| hidden::times(&self.hidden, &rows[*i])).collect();
        // Only these need a look at their profiles.
        let looks =
            |i: usize, deleted: &[TimeRange]| profiles || !deleted.is_empty() || !filter.takes_all(rows[i].range);
        let looked_at: Vec<usize> =
            admitted.iter().zip(&deleted).filter(|(i, deleted)| looks(**i, deleted)).map(|(i, _)| *i).collect();
        let ranges: Vec<Range<u64>> = looked_at.iter().map(|i| profile_rows(&rows[*i])).collect();
        let inside = |r: &Range<u64>, all: Range<u64>| all.start <= r.start && r.end <= all.end;
        if ranges.iter().any(|r| !inside(r, known.profiles.range()))
            || admitted.iter().any(|i| !inside(&sample_rows(&rows[*i]), known.samples.range()))
        {
            return Err(corrupt(&self.meta.key(Table::Series.file()), "a series points outside its dataset"));
        }
        let mut look = if ranges.is_empty() { Looked::default() } else { self.look(ranges, filter, profiles).await? };

        let mut picked = Picked::default();
        let mut at = 0;
        for (i, deleted) in admitted.into_iter().zip(deleted) {
            let row = &rows[i];
            if looked_at.get(at) == Some(&i) {
                at += 1;
                let before = picked.samples.len();
                look.take(row, filter, &deleted, profiles, &mut picked)?;
                let n = picked.samples.len() - before;
                if n > 0 {
                    picked.series.push(PickedSeries { row: i, profiles: n });
                }
            } else {
                picked.samples.push(sample_rows(row));
                picked.series.push(PickedSeries { row: i, profiles: row.profiles as usize });
            }
        }
        Ok(picked)
    }

    /// Reads what decides about profiles, and with `points` what points are made of.
    async fn look(&self, ranges: Vec<Range<u64>>, filter: &Filter<'_>, points: bool) -> Result<Looked, Fault> {
        let ids = points || filter.looks_at_ids();
        let mut paths = vec!["time", "sample_count"];
        paths.extend(ids.then_some("profile_id"));
        paths.extend(points.then_some("total_value"));
        paths.extend(points.then_some(annotations::PATHS).into_iter().flatten());
        let columns = self.columns(Table::Profiles, &paths, &ranges).await?;
        blocking(move || {
            let columns = columns.check()?;
            let mut ids_of = Vec::new();
            if ids {
                for id in columns.fixed("profile_id", &ranges)? {
                    let id = <[u8; 16]>::try_from(id.data());
                    ids_of.push(ProfileId(id.map_err(|_| corrupt(columns.name(), "a profile id is too short"))?));
                }
            }
            Ok(Looked {
                times: columns.i64s("time", &ranges)?,
                samples: columns.u32s("sample_count", &ranges)?,
                ids: ids_of,
                totals: if points { columns.i64s("total_value", &ranges)? } else { Vec::new() },
                annotations: if points { annotations::of(&columns, &ranges)? } else { Vec::new() },
                next: 0,
            })
        })
        .await
    }
}

/// Columns of the profiles of some series, one series after another.
#[derive(Default)]
struct Looked {
    times: Vec<i64>,
    samples: Vec<i32>,
    ids: Vec<ProfileId>,
    totals: Vec<i64>,
    /// Empty where the file has none.
    annotations: Vec<Vec<Annotation>>,
    next: usize,
}

impl Looked {
    /// Moves the matching profiles of the next series to `picked`.
    fn take(
        &mut self,
        row: &SeriesRow,
        filter: &Filter<'_>,
        deleted: &[TimeRange],
        profiles: bool,
        picked: &mut Picked,
    ) -> Result<(), Fault> {
        let mine = self.next..self.next + row.profiles as usize;
        self.next = mine.end;
        let mut sample = row.first_sample;
        for i in mine {
            let end = sample + u64::from(self.samples[i] as u32);
            if end > row.first_sample + row.samples {
                return Err(Fault::corrupt("a block's profiles have more samples than their series"));
            }
            if filter.takes(self.times[i], self.ids.get(i)) && !hidden::is_in(deleted, self.times[i]) {
                picked.samples.push(sample..end);
                if profiles {
                    picked.profiles.push(PickedProfile {
                        time_nanos: self.times[i],
                        total: self.totals[i],
                        profile_id: self.ids[i],
                        annotations: self.annotations.get_mut(i).map(std::mem::take).unwrap_or_default(),
                    });
                }
            }
            sample = end;
        }
        Ok(())
    }
}

fn may_match(filter: &Filter<'_>, row: &SeriesRow) -> bool {
    filter.admits(row.range, &row.profile_type, &row.labels)
}

fn profile_rows(row: &SeriesRow) -> Range<u64> {
    row.first_profile..row.first_profile.saturating_add(row.profiles)
}

fn sample_rows(row: &SeriesRow) -> Range<u64> {
    row.first_sample..row.first_sample.saturating_add(row.samples)
}
