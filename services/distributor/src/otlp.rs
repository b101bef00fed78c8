//! What both OTLP doors do with a request, once it is protobuf and inflated.

use bytes::Bytes;
use flamestore_formats::{Caps, otlp};
use flamestore_model::{Fault, TenantId};
use flamestore_rpc::Place;

use crate::http::{caps, too_large};
use crate::push::{Distributor, MAX_INFLATED_BYTES};
use crate::reading;

/// The service that exporters call. Its HTTP form is served on the same path too.
pub const SERVICE: &str = "opentelemetry.proto.collector.profiles.v1development.ProfilesService";
/// The path of its only method.
pub(crate) const EXPORT_PATH: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// Keeps what is good in a request. Answers the first fault, if there is one: the rest of the request is kept all the
/// same, and counted.
pub(crate) async fn export(
    distributor: &Distributor,
    tenant: &TenantId,
    message: Bytes,
    place: &Place,
) -> Result<(), Fault> {
    let limits = distributor.overrides().of(tenant);
    let max = limits.body_limit_bytes().unwrap_or(MAX_INFLATED_BYTES);
    let bytes = message.len();
    let read = async {
        if bytes > max {
            return Err(too_large(max));
        }
        let read = move |caps: Caps| {
            let export = otlp::read(&message, &caps)?;
            let held = export.ingested.held_bytes();
            Ok((export, held))
        };
        reading::within(place, caps(&limits), bytes, read).await
    };
    let (export, _part) = read.await.inspect_err(|fault| distributor.count_refused(tenant, fault, bytes))?;
    distributor.count_notes(tenant, &export.ingested.notes);
    if let Some(fault) = &export.first_fault {
        distributor.count_refused_profiles(tenant, fault, export.refused);
    }
    let pushed = match export.ingested.profiles {
        none if none.is_empty() => Ok(()),
        profiles => distributor.push(tenant, profiles, place).await.map(drop),
    };
    told(pushed, export.first_fault)
}

/// The answer: what may be over in a while comes first, since then nothing is kept, and exporters send again only what they
/// are invited to.
fn told(pushed: Result<(), Fault>, refused: Option<Fault>) -> Result<(), Fault> {
    match (pushed, refused) {
        (Err(fault), _) if fault.kind.invites_retry() => Err(fault),
        (_, Some(fault)) => Err(fault),
        (pushed, None) => pushed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_model::Kind;

    #[test]
    fn a_bad_profile_hides_no_invitation_to_send_the_good_ones_again() {
        let refused = || Some(Fault::invalid("a profile without types"));
        let kind = |pushed, refused| told(pushed, refused).map_err(|fault| fault.kind);
        assert_eq!(kind(Err(Fault::new(Kind::Unavailable, "starting")), refused()), Err(Kind::Unavailable));
        assert_eq!(kind(Err(Fault::new(Kind::Unprocessable, "no pprof")), refused()), Err(Kind::Invalid));
        assert_eq!(kind(Ok(()), refused()), Err(Kind::Invalid), "what was kept is not to be sent again");
        assert_eq!(kind(Ok(()), None), Ok(()));
    }
}
