//! Profiles merged by location stacks.

use flamestore_model::ProfileType;
use flamestore_symbols::Symbols;

/// How Go's profile-guided optimisation wants its pprof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GoPgo {
    /// Leaf-side locations kept of each stack. 0: all.
    pub keep_locations: u32,
    /// Ignore the line of the leaf, so that samples of one callee add up.
    pub aggregate_callees: bool,
}

/// What the written pprof says about itself.
#[derive(Debug, Clone, Default)]
pub struct PprofMeta {
    pub profile_type: ProfileType,
    /// End of the query's range, nanoseconds since the epoch.
    pub end_nanos: i64,
    pub go_pgo: Option<GoPgo>,
}

/// Samples of any number of datasets, merged by their stacks of locations.
#[derive(Debug, Clone, Default)]
pub struct ProfileMerge {}

impl ProfileMerge {
    /// Adds one dataset: `stack_values[i]` is the value of stack `i` of `symbols.stacks`.
    pub fn add(&mut self, _symbols: &Symbols, _stack_values: &[i64], _call_site: &[String]) {}
    pub fn merge(&mut self, _other: ProfileMerge) {}
    pub fn truncate(&mut self, _max_nodes: usize) {}
    pub fn is_empty(&self) -> bool { true }
    pub fn total(&self) -> i64 { 0 }
    pub fn to_pprof(&self, _meta: &PprofMeta) -> Vec<u8> { Vec::new() }
    /// Empty when there is no data.
    pub fn dot(&self, _meta: &PprofMeta, _max_nodes: usize) -> String { String::new() }
}
