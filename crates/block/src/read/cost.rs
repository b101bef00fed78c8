//! What a query would read of a block.

use flamestore_model::{Cost, Fault, Filter, Select};

use crate::layout::Table;
use crate::meta::DatasetRows;
use crate::read::Block;

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
            if exact {
                let rows = self.series_of(dataset).await?;
                let picked = self.pick(dataset, &rows, filter, false).await?;
                cost.series = picked.series.len() as u64;
                cost.profiles = picked.counts().into_iter().map(|n| n as u64).sum();
                cost.samples = picked.samples.iter().map(|rows| rows.end.saturating_sub(rows.start)).sum();
            }
            if cost.profiles == 0 {
                return Ok(Cost::default());
            }
            cost.index_bytes = self.share(Table::Series, known.series.1)?;
            cost.profile_bytes =
                self.share(Table::Profiles, cost.profiles)? + self.share(Table::Samples, cost.samples)?;
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

    /// The bytes of a file that so many of its rows take on average.
    fn share(&self, table: Table, rows: u64) -> Result<u64, Fault> {
        let all: u64 = self.meta.datasets.iter().map(|d| of_table(&d.rows, table)).fold(0, u64::saturating_add);
        let size = self.meta.file(table)?.size;
        let share = u128::from(size) * u128::from(rows) / u128::from(all.max(1));
        Ok(u64::try_from(share).unwrap_or(u64::MAX).min(size))
    }
}

fn of_table(rows: &DatasetRows, table: Table) -> u64 {
    let of = match table {
        Table::Series => rows.series,
        Table::Profiles => rows.profiles,
        Table::Samples => rows.samples,
        Table::Stacktraces => rows.stacktraces,
        Table::FnTree => rows.fn_tree,
        Table::Locations => rows.locations,
        Table::Functions => rows.functions,
    };
    of.1
}
