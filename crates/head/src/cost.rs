//! What a query would look at in a head.

use flamestore_model::{Cost, Select};

use crate::dataset::DatasetHead;
use crate::filter::Filter;

impl DatasetHead {
    /// What answering would look at; nothing where no profile matches, samples aside.
    pub fn cost(&self, select: &Select) -> Cost {
        let filter = Filter::new(select);
        let mut cost = Cost::default();
        for series in self.series.iter().filter(|series| filter.admits(series)) {
            let mut profiles = 0;
            for row in series.rows.iter().filter(|row| filter.takes(row)) {
                profiles += 1;
                let (samples, bytes) = self.samples.size_of(&row.samples);
                cost.samples += samples;
                cost.profile_bytes += bytes;
            }
            if profiles > 0 {
                cost.series += 1;
                cost.profiles += profiles;
                cost.index_bytes += series.bytes() as u64;
            }
        }
        if cost.profiles > 0 {
            cost.parts = 1;
            cost.symbol_bytes = self.symbols().bytes() as u64;
        }
        cost
    }
}
