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
}

/// Profiles of one series that follow each other, and their samples.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The series, in the dataset's series rows.
    pub(crate) row: usize,
    pub(crate) profiles: Range<u64>,
    pub(crate) samples: Range<u64>,
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
        let pieces = self.matching(dataset, rows, filter)?;
        self.pick_from(rows, filter, pieces, profiles).await
    }

    /// Every series that can have matching profiles, from end to end.
    pub(crate) fn matching(&self, dataset: usize, rows: &SeriesRows, filter: &Filter<'_>) -> Result<Vec<Piece>, Fault> {
        let known = self.dataset(dataset)?.rows;
        let inside = |r: &Range<u64>, all: Range<u64>| all.start <= r.start && r.end <= all.end;
        let admitted = rows.iter().enumerate().filter(|(_, row)| may_match(filter, row));
        let pieces: Vec<Piece> =
            admitted.map(|(i, row)| Piece { row: i, profiles: profile_rows(row), samples: sample_rows(row) }).collect();
        let outside = |piece: &Piece| {
            !inside(&piece.profiles, known.profiles.range()) || !inside(&piece.samples, known.samples.range())
        };
        if pieces.iter().any(outside) {
            return Err(corrupt(&self.meta.key(Table::Series.file()), "a series points outside its dataset"));
        }
        Ok(pieces)
    }

    /// The matching ones of some profiles, in the order of their rows.
    pub(crate) async fn pick_from(
        &self,
        rows: &SeriesRows,
        filter: &Filter<'_>,
        pieces: Vec<Piece>,
        profiles: bool,
    ) -> Result<Picked, Fault> {
        let mut looked_at = Vec::new();
        let pieces: Vec<(Piece, Option<Vec<TimeRange>>)> = pieces
            .into_iter()
            .map(|piece| {
                let row = &rows[piece.row];
                let deleted = hidden::times(&self.hidden, row);
                // Only these need a look at their profiles.
                let looks = profiles || !deleted.is_empty() || !filter.takes_all(row.range);
                looked_at.extend(looks.then(|| piece.profiles.clone()));
                (piece, looks.then_some(deleted))
            })
            .collect();
        let mut look =
            if looked_at.is_empty() { Looked::default() } else { self.look(looked_at, filter, profiles).await? };

        let mut picked = Picked::default();
        for (piece, deleted) in pieces {
            if let Some(deleted) = deleted {
                let before = picked.samples.len();
                look.take(&piece, filter, &deleted, profiles, &mut picked)?;
                let n = picked.samples.len() - before;
                if n > 0 {
                    picked.series.push(PickedSeries { row: piece.row, profiles: n });
                }
            } else {
                let n = piece.profiles.end - piece.profiles.start;
                picked.samples.push(piece.samples);
                picked.series.push(PickedSeries { row: piece.row, profiles: n as usize });
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
        piece: &Piece,
        filter: &Filter<'_>,
        deleted: &[TimeRange],
        profiles: bool,
        picked: &mut Picked,
    ) -> Result<(), Fault> {
        let mine = self.next..self.next + (piece.profiles.end - piece.profiles.start) as usize;
        self.next = mine.end;
        let mut sample = piece.samples.start;
        for i in mine {
            let end = sample + u64::from(self.samples[i] as u32);
            if end > piece.samples.end {
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
