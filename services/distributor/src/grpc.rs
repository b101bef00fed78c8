//! `push.v1.PusherService`: the door of SDKs and Alloy.

use std::sync::Arc;

use flamestore_formats::{Arrival, RawProfile};
use flamestore_model::{Fault, FaultId, TenantId};
use flamestore_pprof::Spy;
use flamestore_proto::push::v1::pusher_service_server::PusherService;
use flamestore_proto::push::v1::{PushRequest, PushResponse};
use flamestore_rpc::{Tenants, to_status};
use tonic::{Request, Response, Status};

use crate::http::too_large;
use crate::push::Distributor;

/// The gRPC face of a [`Distributor`]; the Connect layer speaks through it too.
#[derive(Clone)]
pub struct PusherDoor(pub Arc<Distributor>);

#[tonic::async_trait]
impl PusherService for PusherDoor {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let tenant = Tenants::of(request.extensions()).and_then(|t| t.single().cloned()).map_err(to_status)?;
        let request = request.into_inner();
        self.check_size(&tenant, &request).map_err(to_status)?;
        let uploads = uploads(request).map_err(to_status)?;
        self.0.push(&tenant, uploads).await.map_err(to_status)?;
        Ok(Response::new(PushResponse {}))
    }
}

impl PusherDoor {
    /// Refuses a push of more bytes than the tenant may send at once. What any tenant may send bounds the message before.
    fn check_size(&self, tenant: &TenantId, request: &PushRequest) -> Result<(), Fault> {
        let Some(max) = self.0.overrides().of(tenant).body_limit_bytes() else { return Ok(()) };
        let profiles = request.series.iter().flat_map(|s| &s.samples).map(|s| s.raw_profile.len()).sum::<usize>();
        let labels = request.series.iter().flat_map(|s| &s.labels).map(|l| l.name.len() + l.value.len()).sum::<usize>();
        if profiles + labels <= max {
            return Ok(());
        }
        let fault = too_large(max);
        self.0.count_refused(tenant, &fault, profiles + labels);
        Err(fault)
    }
}

/// One upload for each sample. Ids and annotations that clients send are not kept: ids are made here, so that they are
/// unique.
fn uploads(request: PushRequest) -> Result<Vec<RawProfile>, Fault> {
    let mut out = Vec::with_capacity(request.series.len());
    for series in request.series {
        let labels: Vec<_> = series.labels.into_iter().map(|l| (l.name, l.value)).collect();
        for sample in series.samples {
            out.push(RawProfile {
                labels: labels.clone(),
                pprof: sample.raw_profile,
                spy: Spy::Other,
                arrival: Arrival::Push,
                decoded: None,
            });
        }
    }
    if out.is_empty() {
        return Err(Fault::of(FaultId::NoProfiles, "no profiles received: send at least one series with one sample"));
    }
    Ok(out)
}
