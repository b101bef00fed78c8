//! What a block is made of, borrowed from whoever holds it.

use flamestore_model::{Annotation, Labels, ProfileId, Values};
use flamestore_symbols::Symbols;

/// The profiles of one service. Read several times over, in the same order each time.
pub trait DatasetInput {
    /// The label `service_name` of all its series; empty where they have none.
    fn service_name(&self) -> &str;
    /// What the stack ids mean.
    fn symbols(&self) -> &Symbols;
    /// Sorted by (profile type, labels), each once.
    fn series<'a>(&'a self) -> Box<dyn Iterator<Item = SeriesInput<'a>> + 'a>;
}

/// One series.
pub struct SeriesInput<'a> {
    pub labels: &'a Labels,
    /// As `ProfileType` writes it; the label `__profile_type__`.
    pub profile_type: &'a str,
    /// Sorted by (time, id). A series without profiles is left out.
    pub profiles: Box<dyn Iterator<Item = ProfileInput<'a>> + 'a>,
}

/// One profile. A stack may come more than once, with other spans.
#[derive(Debug, Clone, Copy)]
pub struct ProfileInput<'a> {
    pub time_nanos: i64,
    pub duration_nanos: i64,
    pub profile_id: ProfileId,
    /// In any order.
    pub stacks: &'a [u32],
    /// As long as `stacks`.
    pub values: Values<'a>,
    /// 0: none. As long as `stacks`, or empty.
    pub span_ids: &'a [u64],
    /// 0: none. As long as `stacks`, or empty.
    pub trace_ids: &'a [u128],
    pub annotations: &'a [Annotation],
}
