//! series.parquet and profiles.parquet.

use flamestore_model::{Fault, Labels};
use parquet::data_type::ByteArray;

use crate::layout::{Optional, Table};
use crate::write::input::ProfileInput;
use crate::write::runs::SeriesSurvey;
use crate::write::table::{Encoded, Manner, TableWriter};

pub(crate) struct Series {
    table: TableWriter,
    next_id: u32,
    first_profile: u32,
    first_sample: u64,
}

impl Series {
    pub(crate) fn new(manner: &Manner) -> Result<Self, Fault> {
        let table = TableWriter::new(Table::Series, manner)?;
        Ok(Series { table, next_id: 0, first_profile: 0, first_sample: 0 })
    }

    pub(crate) fn dataset(&mut self) -> Result<(), Fault> {
        self.table.dataset()
    }

    /// Returns its id.
    pub(crate) fn series(
        &mut self,
        service: &ByteArray,
        profile_type: &ByteArray,
        labels: &Labels,
        survey: &SeriesSurvey,
    ) -> Result<u32, Fault> {
        let id = self.next_id;
        let g = self.table.next_row()?;
        g.text(0, service);
        g.text(1, profile_type);
        g.u32(2, id);
        g.u64(3, labels.fingerprint().0);
        g.map(4, 5, labels.iter().map(|l| (&*l.name, &*l.value)));
        g.i64(6, survey.min_time);
        g.i64(7, survey.max_time);
        // No more than all profiles of the block, which fit.
        g.u32(8, survey.profiles as u32);
        g.u32(9, self.first_profile);
        g.u64(10, survey.samples);
        g.u64(11, self.first_sample);
        g.i64(12, survey.total);
        g.rows(1)?;
        self.next_id = id.checked_add(1).ok_or_else(changed)?;
        self.first_profile = self.first_profile.checked_add(survey.profiles as u32).ok_or_else(changed)?;
        self.first_sample += survey.samples;
        Ok(id)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    pub(crate) fn finish(self) -> Result<Encoded, Fault> {
        self.table.finish()
    }
}

pub(crate) struct ProfileRows {
    table: TableWriter,
    annotations: bool,
    next_row: u32,
}

impl ProfileRows {
    /// `annotations`: whether some profile has one.
    pub(crate) fn new(manner: &Manner, annotations: bool) -> Result<Self, Fault> {
        let table = TableWriter::with(Table::Profiles, manner, Optional { annotations, ..Optional::default() })?;
        Ok(ProfileRows { table, annotations, next_row: 0 })
    }

    pub(crate) fn dataset(&mut self) -> Result<(), Fault> {
        self.table.dataset()
    }

    /// Returns its row.
    pub(crate) fn profile(
        &mut self,
        service: &ByteArray,
        profile_type: &ByteArray,
        series: u32,
        profile: &ProfileInput<'_>,
    ) -> Result<u32, Fault> {
        let row = self.next_row;
        let g = self.table.next_row()?;
        g.text(0, service);
        g.text(1, profile_type);
        g.u32(2, series);
        g.u32(3, row);
        g.i64(4, profile.time_nanos);
        g.i64(5, profile.duration_nanos);
        g.fixed(6, &profile.profile_id.0);
        g.i64(7, profile.values.total());
        g.u32(8, u32::try_from(profile.stacks.len()).map_err(|_| too_many_samples())?);
        if self.annotations {
            g.map(9, 10, profile.annotations.iter().map(|a| (&*a.key, &*a.value)));
        }
        g.rows(1)?;
        self.next_row = row.checked_add(1).ok_or_else(changed)?;
        Ok(row)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    pub(crate) fn finish(self) -> Result<Encoded, Fault> {
        self.table.finish()
    }
}

#[cold]
fn too_many_samples() -> Fault {
    Fault::internal("block input: a profile has more than 4294967295 samples")
}

/// The input gave other profiles than the first time.
#[cold]
pub(crate) fn changed() -> Fault {
    Fault::internal("block input: it changed while it was written")
}
