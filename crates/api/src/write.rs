//! From the distributor to an ingester.

use async_trait::async_trait;
use bytes::Bytes;
use flamestore_model::{Annotation, Fault, ProfileId, StoredSeries, TenantId};
use flamestore_pprof::{NormalizeOptions, Normalized};

/// One pprof that the distributor has accepted, with everything that was decided about it.
///
/// The bytes travel and are logged as the client compressed them: inflating is cheaper than compressing again.
/// Decoding and normalising them with `options` gives the same groups and columns every time, so a replay of the log
/// needs no decision made twice.
#[derive(Debug)]
pub struct PushedProfile {
    pub profile_id: ProfileId,
    /// The profile's time after repairs, in nanoseconds since the epoch.
    pub time_nanos: i64,
    /// The pprof file, gzip or plain.
    pub raw: Bytes,
    pub options: NormalizeOptions,
    /// What becomes a series; groups and columns that rules dropped are absent. Never empty.
    pub series: Vec<StoredSeries>,
    /// What queries tell of it; at most [`flamestore_model::annotation::MAX_ANNOTATIONS`].
    pub annotations: Vec<Annotation>,
    /// Already decoded, when both sides share a process.
    pub decoded: Option<Box<Normalized>>,
}

/// Keeps profiles: answers only when they would survive a crash.
#[async_trait]
pub trait Ingester: Send + Sync {
    /// One result for each profile, in order. `Ok` means: logged, synced and visible to queries.
    async fn push(&self, tenant: &TenantId, profiles: Vec<PushedProfile>) -> Vec<Result<(), Fault>>;
}
