//! `push.v1.PusherService`: the door of SDKs and Alloy.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_formats::{Arrival, RawProfile};
use flamestore_model::{Fault, FaultId, TenantId};
use flamestore_pprof::Spy;
use flamestore_proto::push::v1::PushRequest;
use flamestore_rpc::{Place, Tenants, to_status};
use futures::future::BoxFuture;
use tonic::{Request, Status};

use crate::http::too_large;
use crate::push::Distributor;
use crate::push_message;
use crate::raw::{Door, Take};

/// The gRPC face of a [`Distributor`]; the Connect layer speaks through it too.
pub type PusherDoor = Door<Pusher>;

#[derive(Clone)]
pub struct Pusher(Arc<Distributor>);

impl From<Arc<Distributor>> for Pusher {
    fn from(distributor: Arc<Distributor>) -> Self {
        Pusher(distributor)
    }
}

impl Take for Pusher {
    const SERVICE: &str = "push.v1.PusherService";
    const PATH: &str = "/push.v1.PusherService/Push";

    fn take(self, request: Request<Bytes>) -> BoxFuture<'static, Result<(), Status>> {
        Box::pin(async move { self.push(request).await })
    }
}

impl Pusher {
    async fn push(&self, request: Request<Bytes>) -> Result<(), Status> {
        let tenant = Tenants::of_request(&request)?.single().cloned().map_err(to_status)?;
        let place = Place::of_request(&request);
        let request = push_message::read(request.into_inner(), &place).await?;
        self.check_size(&tenant, &request).map_err(to_status)?;
        let uploads = uploads(request).map_err(to_status)?;
        self.0.push(&tenant, uploads, &place).await.map_err(to_status)?;
        Ok(())
    }

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
fn uploads(request: PushRequest) -> Result<impl Iterator<Item = RawProfile> + Send, Fault> {
    if request.series.iter().all(|series| series.samples.is_empty()) {
        return Err(Fault::of(FaultId::NoProfiles, "no profiles received: send at least one series with one sample"));
    }
    Ok(request.series.into_iter().flat_map(|series| {
        let labels: Arc<[_]> = series.labels.into_iter().map(|l| (l.name, l.value)).collect();
        series.samples.into_iter().map(move |sample| RawProfile {
            labels: labels.clone(),
            pprof: sample.raw_profile,
            spy: Spy::Other,
            arrival: Arrival::Push,
            decoded: None,
        })
    }))
}
