//! The one table of errors: every refusal by its stable id, with its kind, what it discards, and the keys it depends on.

use super::{Discard, Kind};

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Stable: scripts and alerts may depend on it. Never reused for something else.
    pub id: &'static str,
    pub kind: Kind,
    /// The reason under which what was thrown away is counted.
    pub discard: Option<Discard>,
    /// YAML paths of what decides, the most likely one first.
    pub keys: &'static [&'static str],
    /// What happened.
    pub meaning: &'static str,
    /// What the caller can do; completed by the keys to raise, where there are some.
    pub advice: &'static str,
}

macro_rules! table {
    ($( $name:ident = $id:literal, $kind:ident, $discard:expr, $keys:expr, $meaning:literal, $advice:literal; )*) => {
        /// The stable name of one way to be refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FaultId {
            $( #[doc = $meaning] $name, )*
        }

        impl FaultId {
            /// All, in the order of the table.
            pub const ALL: &'static [FaultId] = &[ $( FaultId::$name, )* ];

            /// The line of the table.
            pub const fn entry(self) -> Entry {
                match self {
                    $( FaultId::$name => Entry {
                        id: $id,
                        kind: Kind::$kind,
                        discard: $discard,
                        keys: &$keys,
                        meaning: $meaning,
                        advice: $advice,
                    }, )*
                }
            }
        }
    };
}

table! {
    // Everything that has no better name: one id for each kind.
    InvalidRequest = "invalid-request", Invalid, None, [],
        "The request cannot be understood, or asks for something impossible.", "change the request as the message says";
    UnreadableUpload = "unreadable-upload", Unprocessable, Some(Discard::MalformedProfile), [],
        "The body of an upload is not what its format says.", "send a whole file of the format that is named";
    TooLarge = "too-large", TooLarge, None, [],
        "A message or a file is over a fixed bound.", "send less at a time";
    NoTenant = "no-tenant", Unauthenticated, None, ["multitenancy_enabled"],
        "The request names no tenant, several where one is needed, or one with an impossible name.",
        "send the header X-Scope-OrgID with one tenant of letters, digits and !-_.*'()";
    Forbidden = "forbidden", Forbidden, None, [], "The caller may not do this.", "ask who runs the server";
    NotFound = "not-found", NotFound, None, [], "There is no such thing.", "check the name or the id";
    Conflict = "conflict", Conflict, None, [],
        "Somebody else wrote first.", "read the newest version, and write again";
    Limited = "limited", Limited, None, [], "Over a limit for now.", "try again later, or ask for less";
    NotBuilt = "not-built", Unimplemented, None, [], "Understood, and not built.", "leave it out";
    Unavailable = "unavailable", Unavailable, None, [],
        "A part is down or overloaded.", "send the same request again in a moment";
    TimedOut = "timed-out", TimedOut, None, ["querier.timeout", "server.http_server_read_timeout"],
        "It took longer than it may, or the body stopped coming.", "ask for less, or send faster";
    Cancelled = "cancelled", Cancelled, None, [], "The caller went away.", "there is nothing to do";
    DataDamaged = "data-damaged", Corrupt, None, [],
        "Stored bytes are not what was written.", "restore the file that the server's log names";
    ServerBug = "server-bug", Internal, None, [],
        "A bug of the server; its log says where.", "report it with the lines of the log";

    // Uploads.
    NoProfiles = "no-profiles", Invalid, None, [],
        "A push without a single profile.", "send at least one series with one sample";
    BodyTooLarge = "body-too-large", TooLarge, Some(Discard::BodySizeLimitExceeded), ["limits.ingestion_body_limit_mb"],
        "The body of a push is larger than the tenant may send.", "send less at a time";
    UnfoldsTooLarge = "unfolds-too-large", TooLarge, Some(Discard::ProfileSizeLimit), ["limits.max_profile_size_bytes"],
        "An upload unfolds to more than 16 profiles of the largest size.", "send less at a time";
    UploadNameIllegal = "upload-name-illegal", Invalid, Some(Discard::InvalidLabels), [],
        "The name parameter of /ingest does not read as app.type{key=value}.", "write name=app.cpu{key=value}";
    OtlpMalformed = "otlp-malformed", Invalid, Some(Discard::MalformedProfile), [],
        "An OTLP request points outside its tables or lacks a part.", "mend or update the exporter";
    ProfileNotPprof = "profile-not-pprof", Unprocessable, Some(Discard::MalformedProfile), [],
        "The bytes of a profile are no pprof at all.", "send pprof, plain or in gzip";
    ProfileMalformed = "profile-malformed", Invalid, Some(Discard::MalformedProfile), [],
        "A pprof contradicts itself.", "mend or update the profiler";
    NoUsableSamples = "no-usable-samples", Invalid, Some(Discard::MalformedProfile), [],
        "Every sample of a profile is broken.", "send samples with known locations and no negative values";
    ProfileTooLarge = "profile-too-large", Invalid, Some(Discard::ProfileSizeLimit), ["limits.max_profile_size_bytes"],
        "A profile is too large, uncompressed.", "upload more often";
    TooManySamples = "too-many-samples", Invalid, Some(Discard::SamplesLimit),
        ["limits.max_profile_stacktrace_samples"],
        "A profile has too many samples.", "upload more often";
    TooManySampleLabels = "too-many-sample-labels", Invalid, Some(Discard::SampleLabelsLimit),
        ["limits.max_profile_stacktrace_sample_labels"],
        "A sample has too many labels.", "send fewer labels";
    ProfileTooOld = "profile-too-old", Invalid, Some(Discard::NotInIngestionWindow), ["limits.reject_older_than"],
        "The time of a profile lies too far back.", "mend the sender's clock";
    ProfileTooNew = "profile-too-new", Invalid, Some(Discard::NotInIngestionWindow), ["limits.reject_newer_than"],
        "The time of a profile lies too far ahead.", "mend the sender's clock";

    // Labels.
    NoProfileName = "no-profile-name", Invalid, Some(Discard::InvalidLabels), [],
        "A series has no label __name__.", "name the profile, for example process_cpu";
    NoServiceName = "no-service-name", Invalid, Some(Discard::MissingLabels), [],
        "The label service_name is empty.", "name the service";
    LabelNameEmpty = "label-name-empty", Invalid, Some(Discard::InvalidLabels), [],
        "A label has no name.", "name it or leave it out";
    LabelNameIllegal = "label-name-illegal", Invalid, Some(Discard::InvalidLabels),
        ["limits.disable_label_sanitization"],
        "A label name has other characters than the tenant may use.", "write it with letters, digits and _";
    LabelNamesCollide = "label-names-collide", Invalid, Some(Discard::DuplicateLabelNames),
        ["limits.disable_label_sanitization"],
        "Two label names are the same once dots are written as _, with different values.", "rename one of them";
    DuplicateLabel = "duplicate-label", Invalid, Some(Discard::DuplicateLabelNames), [],
        "A label name comes twice in one series.", "send each label once";
    TooManyLabels = "too-many-labels", Invalid, Some(Discard::MaxLabelNamesPerSeries),
        ["limits.max_label_names_per_series"],
        "A series has too many labels, those of its samples included.", "send fewer labels";
    LabelNameTooLong = "label-name-too-long", Invalid, Some(Discard::LabelNameTooLong),
        ["limits.max_label_name_length"],
        "A label name is too long.", "shorten it";
    LabelValueTooLong = "label-value-too-long", Invalid, Some(Discard::LabelValueTooLong),
        ["limits.max_label_value_length"],
        "The value of a label is too long.", "shorten it";

    // Rates and quotas of tenants.
    RateLimited = "rate-limited", Limited, Some(Discard::RateLimited),
        ["limits.ingestion_rate_mb", "limits.ingestion_burst_size_mb"],
        "The tenant pushes more bytes a second than it may.", "push less";
    QuotaReached = "quota-reached", Limited, Some(Discard::IngestLimitReached), ["limits.ingestion_limit"],
        "The tenant's quota for this period is used up.", "wait for the next period";
    TooManySeries = "too-many-series", Limited, Some(Discard::SeriesLimit),
        ["limits.max_global_series_per_tenant", "limits.max_local_series_per_tenant"],
        "A push would bring more live series than the tenant may have.", "send fewer different labels";
    TooManyRules = "too-many-rules", Limited, None, ["limits.max_recording_rules"],
        "The tenant has as many recording rules as it may.", "delete some first";

    // Overload and absence.
    Starting = "starting", Unavailable, None, [],
        "The server replays its log.", "send the same request again in a moment";
    Stopping = "stopping", Unavailable, None, ["server.graceful_shutdown_timeout"],
        "The server is stopping.", "send the same request again in a moment";
    MemoryFull = "memory-full", Unavailable, None,
        ["ingester.max_head_bytes", "distributor.max_inflight_bytes", "distributor.max_decoding_bytes"],
        "Memory for the bodies of requests, or for profiles that are not in blocks yet, is used up, and none came free in time.",
        "send the same request again in a moment";
    TooManyQueries = "too-many-queries", Unavailable, None, ["querier.max_queued", "frontend_worker.max_concurrent"],
        "As many queries wait as may.", "send the same query again in a moment";
    LogFull = "log-full", Unavailable, None, [],
        "The log holds as much as it may of what is not in blocks yet: the bucket is down or too slow.",
        "send the same request again in a moment";
    LogBusy = "log-busy", Unavailable, None, ["ingester.wal_queue_bytes", "distributor.pushtimeout"],
        "The disk of the log is too slow for what is pushed.", "send the same request again in a moment";
    LogFailing = "log-failing", Unavailable, None, [],
        "The log cannot be written: the disk is full or broken.", "free or mend the disk, and send again";
    BucketFailing = "bucket-failing", Unavailable, None, [],
        "The bucket does not answer as it should.", "send the same request again in a moment";

    // Queries.
    TimeRangeMissing = "time-range-missing", Invalid, Some(Discard::MissingTimeRange), [],
        "A query without start and end.", "set both, in milliseconds since the epoch";
    TimeRangeInvalid = "time-range-invalid", Invalid, Some(Discard::InvalidTimeRange), [],
        "A query starts after its end.", "swap start and end";
    TimeRangeTooLong = "time-range-too-long", Invalid, Some(Discard::QueryLimit), ["limits.max_query_length"],
        "The range of a query is too long.", "ask for less";
    TooManyNodes = "too-many-nodes", Invalid, Some(Discard::FlamegraphLimit), ["limits.max_flamegraph_nodes_max"],
        "A query asks for more flame graph nodes than the tenant may have, or for fewer than one.", "ask for fewer";
    MergeTooLarge = "merge-too-large", Invalid, Some(Discard::QueryLimit), ["querier.max_query_bytes"],
        "What a query adds up takes more memory than one query may have.",
        "ask for a shorter time or a narrower selector";
    AnswerTooLarge = "answer-too-large", Invalid, Some(Discard::QueryLimit), [],
        "A merged profile is too large for one message.",
        "get it from /api/v1/query with format=pprof, which has no such limit, or set max_nodes";
    SelectorMalformed = "selector-malformed", Invalid, None, [],
        "A label selector cannot be read.", "write for example {service_name=\"app\", env=~\"dev|prod\"}";
    ProfileTypeMalformed = "profile-type-malformed", Invalid, None, [],
        "A profile type is not of the form name:type:unit:period-type:period-unit.",
        "take one that ProfileTypes answers";
}

impl FaultId {
    /// What a fault of this kind is called when nothing better is known.
    pub const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Invalid => FaultId::InvalidRequest,
            Kind::Unprocessable => FaultId::UnreadableUpload,
            Kind::TooLarge => FaultId::TooLarge,
            Kind::Unauthenticated => FaultId::NoTenant,
            Kind::Forbidden => FaultId::Forbidden,
            Kind::NotFound => FaultId::NotFound,
            Kind::Conflict => FaultId::Conflict,
            Kind::Limited => FaultId::Limited,
            Kind::Unimplemented => FaultId::NotBuilt,
            Kind::Unavailable => FaultId::Unavailable,
            Kind::TimedOut => FaultId::TimedOut,
            Kind::Cancelled => FaultId::Cancelled,
            Kind::Corrupt => FaultId::DataDamaged,
            Kind::Internal => FaultId::ServerBug,
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        self.entry().id
    }

    /// Whether it says no more than the kind does.
    pub fn is_general(self) -> bool {
        self == Self::of_kind(self.entry().kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_id_is_there_once_in_small_letters_and_dashes() {
        let mut seen = HashSet::new();
        for id in FaultId::ALL {
            let entry = id.entry();
            assert!(seen.insert(entry.id), "{} twice", entry.id);
            assert!(entry.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", entry.id);
            assert!(entry.meaning.ends_with('.') && !entry.advice.ends_with('.'), "{}", entry.id);
        }
    }

    #[test]
    fn each_kind_has_a_general_id_of_that_kind() {
        for id in FaultId::ALL {
            let kind = id.entry().kind;
            assert_eq!(FaultId::of_kind(kind).entry().kind, kind);
        }
        assert!(FaultId::ServerBug.is_general() && !FaultId::RateLimited.is_general());
    }
}
