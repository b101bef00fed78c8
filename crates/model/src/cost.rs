//! What answering a query takes, known before it is asked.

use std::ops::AddAssign;

/// What has to be looked at in one kind of place: in heads, or in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Heads (one for each service), or blocks.
    pub parts: u64,
    /// Once for each part that it lies in.
    pub series: u64,
    /// Sample types of one pprof count each.
    pub profiles: u64,
    pub samples: u64,
    /// Of the lists of series with their labels.
    pub index_bytes: u64,
    /// Of profiles and samples. In a block: compressed, in proportion to the samples.
    pub profile_bytes: u64,
    /// Of names, functions, locations and stacks.
    pub symbol_bytes: u64,
}

impl Cost {
    pub fn bytes(&self) -> u64 {
        self.index_bytes.saturating_add(self.profile_bytes).saturating_add(self.symbol_bytes)
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        for (mine, more) in [
            (&mut self.parts, other.parts),
            (&mut self.series, other.series),
            (&mut self.profiles, other.profiles),
            (&mut self.samples, other.samples),
            (&mut self.index_bytes, other.index_bytes),
            (&mut self.profile_bytes, other.profile_bytes),
            (&mut self.symbol_bytes, other.symbol_bytes),
        ] {
            *mine = mine.saturating_add(more);
        }
    }
}

/// The cost of a query by the kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryCost {
    pub heads: Cost,
    pub blocks: Cost,
}

impl AddAssign for QueryCost {
    fn add_assign(&mut self, other: QueryCost) {
        self.heads += other.heads;
        self.blocks += other.blocks;
    }
}
