//! What an upload turns into.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_model::labels::names;
use flamestore_pprof::{Profile, Spy};

use crate::arrival::Arrival;

/// One pprof and the series labels that the upload gives it.
#[derive(Debug, Clone)]
pub struct RawProfile {
    /// In the order they were made, not checked and not made unique: validation must be able to see a name twice.
    pub labels: Arc<[(String, String)]>,
    /// The file as the client sent it (gzip or plain) where it sent pprof, otherwise built here and plain.
    pub pprof: Bytes,
    /// Whose mistakes normalising has to repair.
    pub spy: Spy,
    /// What decides the time of a file that has none, or one that cannot be right.
    pub arrival: Arrival,
    /// `pprof` decoded, where choosing the labels already needed that.
    pub decoded: Option<Box<Profile>>,
}

impl RawProfile {
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
    /// Samples that the profiler itself says it failed to take.
    pub samples_lost: u64,
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

impl Ingested {
    /// What it holds of memory, in bytes.
    pub fn held_bytes(&self) -> usize {
        let of_pair = |(name, value): &(String, String)| size_of::<(String, String)>() + name.len() + value.len();
        let of_profile = |profile: &RawProfile| {
            let decoded = profile.decoded.as_ref().map_or(0, |decoded| decoded.held_bytes());
            let labels = profile.labels.iter().map(of_pair).sum::<usize>();
            size_of::<RawProfile>() + labels + profile.pprof.len() + decoded
        };
        self.profiles.iter().map(of_profile).sum()
    }
}
