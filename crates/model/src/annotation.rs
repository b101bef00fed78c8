//! What the server notes on a profile that it kept although it dropped or refused others like it.

use std::sync::Arc;

/// On profiles of usage groups of which only a share is kept.
pub const SAMPLED: &str = "pyroscope.ingest.sampled";
/// On profiles that passed although a quota was reached.
pub const THROTTLED: &str = "pyroscope.ingest.throttled";

/// The most annotations of one profile. The server makes one of each kind.
pub const MAX_ANNOTATIONS: usize = 8;

/// One note: its kind, and JSON that says more. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Annotation {
    pub key: Arc<str>,
    pub value: Arc<str>,
}

impl Annotation {
    pub fn new(key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        Annotation { key: key.into(), value: value.into() }
    }

    /// Bytes of text held.
    pub fn text_bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// An annotation of one of the profiles of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of the profile.
    pub time_nanos: i64,
    pub annotation: Annotation,
}
