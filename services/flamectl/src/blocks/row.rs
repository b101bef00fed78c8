//! A block as a line of a list, whoever told of it.

use flamestore_block::{Meta, Ulid};
use flamestore_index::{Dead, Lost, Snapshot};
use flamestore_model::Fault;
use serde::{Deserialize, Serialize};

use crate::blocks::store::told;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// What a block is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Queries read it.
    #[default]
    Live,
    /// No query reads it, and its files will be deleted.
    Dead,
    /// Compacted, and in no list: a compaction that did not come to its end.
    Orphan,
    /// Without a meta.json: a flush that did not come to its end, or half deleted.
    Partial,
    /// Its meta.json cannot be read.
    Unreadable,
    /// The index lists it, and the bucket does not have it: answers over its time are partial.
    Missing,
    /// The bucket has lost it for good: answers go on without it.
    Lost,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Dead => "dead",
            State::Orphan => "orphan",
            State::Partial => "partial",
            State::Unreadable => "unreadable",
            State::Missing => "missing",
            State::Lost => "lost",
        }
    }
}

/// Times are Unix milliseconds. What is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Row {
    pub(crate) tenant: String,
    pub(crate) block: String,
    pub(crate) state: State,
    /// Of a block that is not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Why compaction leaves it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quarantined: Option<String>,
    /// Requests to delete whose profiles still stand in it, hidden from queries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) deletions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_time_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_time_ms: Option<i64>,
    pub(crate) services: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) profile_types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) series: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profiles: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<String>,
}

impl Row {
    pub(crate) fn of(meta: &Meta, state: State, snapshot: &Snapshot) -> Row {
        let mut profile_types: Vec<String> =
            meta.datasets.iter().flat_map(|d| d.profile_types.iter().cloned()).collect();
        profile_types.sort();
        profile_types.dedup();
        Row {
            tenant: meta.tenant.clone(),
            block: meta.ulid.to_string(),
            state,
            why: None,
            quarantined: snapshot.quarantined.iter().find(|q| q.ulid == meta.ulid).map(|q| q.fault.clone()),
            deletions: snapshot.deletions_of(meta.ulid).map(|d| d.id.to_string()).collect(),
            level: Some(meta.level),
            min_time_ms: Some(meta.min_time_nanos.div_euclid(NANOS_PER_MILLI)),
            max_time_ms: Some(meta.max_time_nanos.div_euclid(NANOS_PER_MILLI)),
            services: meta.datasets.iter().map(|d| d.service_name.clone()).collect(),
            profile_types,
            series: Some(meta.stats.series),
            profiles: Some(meta.stats.profiles),
            samples: Some(meta.stats.samples),
            bytes: Some(meta.stats.bytes),
            sources: meta.sources.iter().map(ToString::to_string).collect(),
        }
    }

    pub(crate) fn of_dead(tenant: &str, dead: &Dead) -> Row {
        Row {
            bytes: Some(dead.bytes),
            why: Some(dead.why.as_str().to_owned()),
            ..Row::bare(tenant, dead.ulid, State::Dead)
        }
    }

    pub(crate) fn of_lost(tenant: &str, lost: &Lost) -> Row {
        Row {
            why: Some(lost.fault.clone()),
            level: Some(lost.level),
            min_time_ms: Some(lost.min_time_nanos.div_euclid(NANOS_PER_MILLI)),
            max_time_ms: Some(lost.max_time_nanos.div_euclid(NANOS_PER_MILLI)),
            profiles: Some(lost.profiles),
            bytes: Some(lost.bytes),
            ..Row::bare(tenant, lost.ulid, State::Lost)
        }
    }

    pub(crate) fn of_unreadable(tenant: &str, ulid: Ulid, fault: &Fault) -> Row {
        Row { why: Some(told(fault)), ..Row::bare(tenant, ulid, State::Unreadable) }
    }

    pub(crate) fn bare(tenant: &str, ulid: Ulid, state: State) -> Row {
        Row { tenant: tenant.to_owned(), block: ulid.to_string(), state, ..Row::default() }
    }
}
