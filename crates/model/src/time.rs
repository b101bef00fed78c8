//! Closed ranges of time, in nanoseconds since the epoch.

/// `from ≤ t ≤ to`. The peer's queries are closed on both sides at nanosecond precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    pub from_nanos: i64,
    pub to_nanos: i64,
}

impl TimeRange {
    pub fn from_millis(from_ms: i64, to_ms: i64) -> Self {
        TimeRange { from_nanos: from_ms.saturating_mul(1_000_000), to_nanos: to_ms.saturating_mul(1_000_000) }
    }

    /// The same length of time, `ms` milliseconds earlier.
    #[must_use]
    pub fn moved_back(&self, ms: i64) -> Self {
        let nanos = ms.saturating_mul(1_000_000);
        TimeRange { from_nanos: self.from_nanos.saturating_sub(nanos), to_nanos: self.to_nanos.saturating_sub(nanos) }
    }

    pub fn contains(&self, time_nanos: i64) -> bool {
        self.from_nanos <= time_nanos && time_nanos <= self.to_nanos
    }

    pub fn overlaps(&self, other: TimeRange) -> bool {
        self.from_nanos <= other.to_nanos && other.from_nanos <= self.to_nanos
    }

    pub fn covers(&self, other: TimeRange) -> bool {
        self.from_nanos <= other.from_nanos && other.to_nanos <= self.to_nanos
    }
}
