//! What a query would read of a block.

use std::ops::Range;

use flamestore_model::{Cost, Fault, Filter, Select};

use crate::layout::Table;
use crate::read::Block;
use crate::read::rollup::Rolled;
use crate::read::series::SeriesRows;

impl Block {
    /// What answering would read. With `exact`, lists of series are looked through (and stay in the cache); without, nothing
    /// is read, and all of each service that can match counts.
    pub async fn cost(&self, select: &Select, exact: bool) -> Result<Cost, Fault> {
        let filter = &Filter::new(select);
        let found = self.each_dataset(filter, |dataset| async move {
            let known = self.dataset(dataset)?.rows;
            let mut cost = Cost {
                series: known.series.1,
                profiles: known.profiles.1,
                samples: known.samples.1,
                ..Cost::default()
            };
            let mut sample_bytes = None;
            if exact {
                let rows = self.series_of(dataset).await?;
                let picked = self.pick(dataset, &rows, filter, false).await?;
                cost.series = picked.series.len() as u64;
                cost.profiles = picked.counts().into_iter().map(|n| n as u64).sum();
                cost.samples = count(&picked.samples);
                sample_bytes = Some(self.sample_bytes(dataset, &rows, filter).await?);
            }
            if cost.profiles == 0 {
                return Ok(Cost::default());
            }
            cost.index_bytes = self.share(Table::Series, known.series.1)?;
            let raw = self.share(Table::Samples, cost.samples)?;
            cost.profile_bytes = self.share(Table::Profiles, cost.profiles)? + sample_bytes.unwrap_or(raw).min(raw);
            for (table, rows) in [
                (Table::Stacktraces, known.stacktraces),
                (Table::FnTree, known.fn_tree),
                (Table::Locations, known.locations),
                (Table::Functions, known.functions),
            ] {
                cost.symbol_bytes += self.share(table, rows.1)?;
            }
            Ok(cost)
        });
        let mut sum = Cost::default();
        for cost in found.await? {
            sum += cost;
        }
        sum.parts = u64::from(sum.profiles > 0);
        Ok(sum)
    }

    /// What a merge reads of samples and of the roll-ups in their place.
    async fn sample_bytes(&self, dataset: usize, rows: &SeriesRows, filter: &Filter<'_>) -> Result<u64, Fault> {
        let Rolled { taken, left } = self.roll_up(dataset, rows, filter, self.matching(dataset, rows, filter)?).await?;
        let picked = self.pick_from(rows, filter, left, false).await?;
        let mut bytes = self.share(Table::Samples, count(&picked.samples))?;
        for (resolution, sums) in taken {
            bytes += self.share(Table::RollUpSamples(resolution), count(&sums))?;
        }
        Ok(bytes)
    }

    /// The bytes of a file that so many of its rows take on average.
    fn share(&self, table: Table, rows: u64) -> Result<u64, Fault> {
        let all: u64 = self.meta.datasets.iter().map(|d| d.rows.of(table).1).fold(0, u64::saturating_add);
        let size = self.meta.file(table)?.size;
        let share = u128::from(size) * u128::from(rows) / u128::from(all.max(1));
        Ok(u64::try_from(share).unwrap_or(u64::MAX).min(size))
    }
}

fn count(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|rows| rows.end.saturating_sub(rows.start)).sum()
}
