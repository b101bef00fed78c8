//! What a query would look at in a head.

use flamestore_model::{Cost, Filter, Select};

use crate::dataset::DatasetHead;

impl DatasetHead {
    /// What answering would look at; nothing where no profile matches, samples aside.
    pub fn cost(&self, select: &Select) -> Cost {
        let filter = Filter::new(select);
        let mut cost = Cost::default();
        for series in self.series.iter().filter(|series| series.may_match(&filter)) {
            let mut profiles = 0;
            for row in series.rows.iter().filter(|row| row.matches(&filter)) {
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
