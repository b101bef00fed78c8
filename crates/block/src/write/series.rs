//! series.parquet and profiles.parquet.

use flamestore_model::Fault;
use parquet::data_type::ByteArray;

use crate::layout::Table;
use crate::write::Part;
use crate::write::runs::groups;
use crate::write::table::{Encoded, TableWriter};

pub(crate) fn series(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    let mut file = TableWriter::new(Table::Series)?;
    let (mut id, mut first_profile, mut first_sample) = (0u32, 0u32, 0u64);
    for group in groups(parts.iter().map(|p| p.survey.series.len() as u64)) {
        file.group(&[], |g| {
            for part in &parts[group] {
                let service = ByteArray::from(part.input.service_name());
                let mut surveys = part.survey.series.iter();
                for mut input in part.input.series() {
                    if input.profiles.next().is_none() {
                        continue;
                    }
                    let Some(survey) = surveys.next() else { return Err(changed()) };
                    g.text(0, &service);
                    g.text(1, &ByteArray::from(input.profile_type));
                    g.u32(2, id);
                    g.u64(3, input.labels.fingerprint().0);
                    g.map(4, 5, input.labels.iter().map(|l| (&*l.name, &*l.value)));
                    g.i64(6, survey.min_time);
                    g.i64(7, survey.max_time);
                    // No more than all profiles of the block, which fit.
                    g.u32(8, survey.profiles as u32);
                    g.u32(9, first_profile);
                    g.u64(10, survey.samples);
                    g.u64(11, first_sample);
                    g.i64(12, survey.total);
                    g.rows(1)?;
                    id += 1;
                    first_profile += survey.profiles as u32;
                    first_sample += survey.samples;
                }
            }
            Ok(())
        })?;
    }
    file.finish()
}

pub(crate) fn profiles(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    let mut file = TableWriter::new(Table::Profiles)?;
    let (mut id, mut row) = (0u32, 0u32);
    for group in groups(parts.iter().map(|p| p.survey.profiles)) {
        file.group(&[], |g| {
            for part in &parts[group] {
                let service = ByteArray::from(part.input.service_name());
                for input in part.input.series() {
                    let profile_type = ByteArray::from(input.profile_type);
                    let first = row;
                    for profile in input.profiles {
                        g.text(0, &service);
                        g.text(1, &profile_type);
                        g.u32(2, id);
                        g.u32(3, row);
                        g.i64(4, profile.time_nanos);
                        g.i64(5, profile.duration_nanos);
                        g.fixed(6, &profile.profile_id.0);
                        g.i64(7, profile.values.total());
                        g.u32(8, u32::try_from(profile.stacks.len()).map_err(|_| too_many_samples())?);
                        g.rows(1)?;
                        row = row.checked_add(1).ok_or_else(changed)?;
                    }
                    id += u32::from(row > first);
                }
            }
            Ok(())
        })?;
    }
    file.finish()
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
