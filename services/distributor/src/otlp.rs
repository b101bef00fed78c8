//! What both OTLP doors do with a request, once it is protobuf and inflated.

use bytes::Bytes;
use flamestore_formats::otlp;
use flamestore_model::{Fault, TenantId};

use crate::http::{caps, too_large};
use crate::push::{Distributor, MAX_INFLATED_BYTES};

/// The service that exporters call. Its HTTP form is served on the same path too.
pub const SERVICE: &str = "opentelemetry.proto.collector.profiles.v1development.ProfilesService";
/// The path of its only method.
pub(crate) const EXPORT_PATH: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// Keeps what is good in a request. Answers the first fault, if there is one: the rest of the request is kept all the
/// same, and counted.
pub(crate) async fn export(distributor: &Distributor, tenant: &TenantId, message: Bytes) -> Result<(), Fault> {
    let limits = distributor.overrides().of(tenant);
    let max = limits.body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES);
    let read = if message.len() > max { Err(too_large(max)) } else { otlp::read(&message, &caps(&limits)) };
    let export = read.inspect_err(|fault| distributor.count_refused(tenant, fault, message.len()))?;
    distributor.count_notes(tenant, &export.ingested.notes);
    if let Some(fault) = &export.first_fault {
        distributor.count_refused_profiles(tenant, fault, export.refused);
    }
    let pushed = match export.ingested.profiles {
        none if none.is_empty() => Ok(()),
        profiles => distributor.push(tenant, profiles).await.map(drop),
    };
    export.first_fault.map_or(pushed, Err)
}
