//! Errors that answer "what should the caller do?": a closed kind, a sentence, and what was discarded.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

mod table;

pub use table::{Entry, FaultId};

/// What the caller should do about a fault. Each protocol maps a kind to its own codes in one place (`flamestore-rpc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong and will be wrong again: change it. HTTP 400.
    Invalid,
    /// The body of an `/ingest` upload cannot be read as the format it claims. HTTP 422 there, 400 elsewhere.
    Unprocessable,
    /// The body is over a size limit. HTTP 413, `resource_exhausted`.
    TooLarge,
    /// No usable tenant or credential. HTTP 401.
    Unauthenticated,
    /// Known, but not allowed. HTTP 403.
    Forbidden,
    /// There is no such thing. HTTP 404.
    NotFound,
    /// Somebody else wrote first. HTTP 409.
    Conflict,
    /// Over a rate or a quota: later, or less. HTTP 429.
    Limited,
    /// Understood and not built. HTTP 501.
    Unimplemented,
    /// A part is down or overloaded: try again. HTTP 503.
    Unavailable,
    /// Took longer than allowed. HTTP 504.
    TimedOut,
    /// The caller went away. HTTP 499.
    Cancelled,
    /// Stored bytes are not what was written. HTTP 500.
    Corrupt,
    /// A bug of ours. HTTP 500.
    Internal,
}

impl Kind {
    /// Whether the same request may succeed later.
    pub const fn invites_retry(self) -> bool {
        matches!(self, Kind::Limited | Kind::Unavailable)
    }
}

/// Why samples were thrown away: the `reason` label of `pyroscope_discarded_samples_total`.
///
/// The words are the peer's, so that its dashboards keep working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Discard {
    Unknown,
    InvalidLabels,
    MissingLabels,
    RateLimited,
    NotInIngestionWindow,
    MaxLabelNamesPerSeries,
    LabelNameTooLong,
    LabelValueTooLong,
    DuplicateLabelNames,
    SeriesLimit,
    SamplesLimit,
    ProfileSizeLimit,
    SampleLabelsLimit,
    MalformedProfile,
    BodySizeLimitExceeded,
    DroppedByRelabelRules,
    DroppedBySamplingRules,
    IngestLimitReached,
    QueryLimit,
    FlamegraphLimit,
    MissingTimeRange,
    InvalidTimeRange,
}

impl Discard {
    /// The word as it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Discard::Unknown => "unknown",
            Discard::InvalidLabels => "invalid_labels",
            Discard::MissingLabels => "missing_labels",
            Discard::RateLimited => "rate_limited",
            Discard::NotInIngestionWindow => "not_in_ingestion_window",
            Discard::MaxLabelNamesPerSeries => "max_label_names_per_series",
            Discard::LabelNameTooLong => "label_name_too_long",
            Discard::LabelValueTooLong => "label_value_too_long",
            Discard::DuplicateLabelNames => "duplicate_label_names",
            Discard::SeriesLimit => "series_limit",
            Discard::SamplesLimit => "samples_limit",
            Discard::ProfileSizeLimit => "profile_size_limit",
            Discard::SampleLabelsLimit => "sample_labels_limit",
            Discard::MalformedProfile => "malformed_profile",
            Discard::BodySizeLimitExceeded => "body_size_limit_exceeded",
            Discard::DroppedByRelabelRules => "dropped_by_relabel_rules",
            Discard::DroppedBySamplingRules => "dropped_by_sampling_rules",
            Discard::IngestLimitReached => "ingest_limit_reached",
            Discard::QueryLimit => "query_limit",
            Discard::FlamegraphLimit => "flamegraph_limit",
            Discard::MissingTimeRange => "missing_time_range",
            Discard::InvalidTimeRange => "invalid_time_range",
        }
    }
}

/// An error with its kind. `Display` is the sentence for the caller; the cause is in `source()`, never repeated in it.
#[derive(Debug)]
pub struct Fault {
    pub kind: Kind,
    /// Which way of being refused, from the one table of them.
    pub id: FaultId,
    /// Set where data was thrown away; counted once, at the door.
    pub discard: Option<Discard>,
    pub message: Cow<'static, str>,
    /// Seconds after which it makes sense to try again, where that is known.
    pub again_after_secs: Option<u32>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(FaultId::of_kind(kind), message)
    }

    /// A refusal of the table; its kind and what it discards are there.
    pub fn of(id: FaultId, message: impl Into<Cow<'static, str>>) -> Self {
        let Entry { kind, discard, .. } = id.entry();
        Fault { kind, id, discard, message: message.into(), again_after_secs: None, source: None }
    }

    /// Something is over a limit: `found` says what and by its value; the limit, the advice and the keys to raise follow.
    pub fn over(id: FaultId, found: impl fmt::Display, limit: impl fmt::Display) -> Self {
        let Entry { advice, keys, .. } = id.entry();
        let raise = if keys.is_empty() { "" } else { ", or raise " };
        Self::of(id, format!("{found}; limit {limit}: {advice}{raise}{}", keys.join(" or ")))
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub fn unprocessable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unprocessable, message)
    }

    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Internal, message)
    }

    pub fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    #[must_use]
    pub fn discarding(mut self, discard: Discard) -> Self {
        self.discard = Some(discard);
        self
    }

    /// The same refusal, told as another kind. One without a name of its own takes the general one of that kind.
    #[must_use]
    pub fn as_kind(mut self, kind: Kind) -> Self {
        if self.id == FaultId::of_kind(self.kind) {
            self.id = FaultId::of_kind(kind);
            self.discard = self.discard.or(self.id.entry().discard);
        }
        self.kind = kind;
        self
    }

    #[must_use]
    pub fn again_after(mut self, secs: u32) -> Self {
        self.again_after_secs = Some(secs);
        self
    }

    /// The same fault for another part of one request. The cause stays with the first.
    #[must_use]
    pub fn again(&self) -> Self {
        Fault {
            kind: self.kind,
            id: self.id,
            discard: self.discard,
            message: self.message.clone(),
            again_after_secs: self.again_after_secs,
            source: None,
        }
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same fault with words put before its sentence, to say which part of a batch it speaks of.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message).into();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_a_limit_says_the_value_the_limit_and_the_key() {
        let fault = Fault::over(FaultId::LabelNameTooLong, "a label name has 2000 bytes", 1024);
        assert_eq!((fault.kind, fault.discard), (Kind::Invalid, Some(Discard::LabelNameTooLong)));
        let said = "a label name has 2000 bytes; limit 1024: shorten it, or raise limits.max_label_name_length";
        assert_eq!(fault.to_string(), said);
    }

    #[test]
    fn another_kind_renames_only_what_had_no_name_of_its_own() {
        assert_eq!(Fault::invalid("x").as_kind(Kind::Unprocessable).id, FaultId::UnreadableUpload);
        let named = Fault::of(FaultId::ProfileMalformed, "x").as_kind(Kind::Unprocessable);
        assert_eq!((named.id, named.kind), (FaultId::ProfileMalformed, Kind::Unprocessable));
    }
}
