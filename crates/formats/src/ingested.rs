//! What an upload turns into.

use bytes::Bytes;
use flamestore_model::labels::names;
use flamestore_pprof::{Profile, Spy};

/// Nanoseconds of 1971-01-01T00:00:00Z: an earlier time is a client without a clock, or none set.
const YEAR_1971_NANOS: i64 = 365 * 24 * 3600 * 1_000_000_000;

/// One pprof and the series labels that the upload gives it.
#[derive(Debug, Clone)]
pub struct RawProfile {
    /// In the order they were made, not checked and not made unique: validation must be able to see a name twice.
    pub labels: Vec<(String, String)>,
    /// The file as the client sent it (gzip or plain) where it sent pprof, otherwise built here and plain.
    pub pprof: Bytes,
    /// Whose mistakes normalising has to repair.
    pub spy: Spy,
    /// The request's time, in nanoseconds since the epoch, for files that have none. See [`RawProfile::time_nanos`].
    pub from_nanos: Option<i64>,
    /// `pprof` decoded, where choosing the labels already needed that.
    pub decoded: Option<Box<Profile>>,
}

impl RawProfile {
    /// The profile's time, given the one in the file: a time in 1970 is replaced by the request's `from`, a zero that
    /// is left by `now_nanos`.
    pub fn time_nanos(&self, in_file_nanos: i64, now_nanos: i64) -> i64 {
        let time = match self.from_nanos {
            Some(from) if (0..YEAR_1971_NANOS).contains(&in_file_nanos) => from,
            _ => in_file_nanos,
        };
        if time == 0 { now_nanos } else { time }
    }

    /// The first label of that name.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// `__name__`, for messages.
    pub fn name(&self) -> &str {
        self.label(names::PROFILE_NAME).unwrap_or("")
    }
}

/// What was left out or mended on the way: nothing is lost without being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// Lines of folded text without a count.
    pub lines_without_count: u64,
    /// Form parts taken by their name although they have no filename.
    pub parts_without_filename: u64,
    /// Form parts that no format reads.
    pub parts_ignored: u64,
    /// Samples without a stack or with a value that counts for nothing.
    pub samples_dropped: u64,
    /// Events of a recording that could not be read; the rest of the recording was.
    pub events_unreadable: u64,
    /// Attributes that cannot be a label (lists, maps, floats, bytes).
    pub attributes_dropped: u64,
}

/// An upload, decoded. No profile at all is a success: there was nothing in it.
#[derive(Debug, Clone, Default)]
pub struct Ingested {
    pub profiles: Vec<RawProfile>,
    pub notes: Notes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(from_nanos: Option<i64>) -> RawProfile {
        RawProfile { labels: Vec::new(), pprof: Bytes::new(), spy: Spy::Other, from_nanos, decoded: None }
    }

    #[test]
    fn a_time_in_1970_is_replaced_by_from_and_others_are_kept() {
        let from = 1_795_000_205_000_000_000;
        assert_eq!(raw(Some(from)).time_nanos(0, 9), from);
        assert_eq!(raw(Some(from)).time_nanos(12_345, 9), from);
        assert_eq!(raw(Some(from)).time_nanos(from - 5, 9), from - 5);
        assert_eq!(raw(None).time_nanos(12_345, 9), 12_345);
        assert_eq!(raw(None).time_nanos(0, 9), 9);
    }
}
