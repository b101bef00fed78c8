//! `push.v1.PusherService`: the door of SDKs and Alloy.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flamestore_formats::{Arrival, RawProfile};
use flamestore_model::{Fault, FaultId, TenantId};
use flamestore_pprof::Spy;
use flamestore_proto::push::v1::PushRequest;
use flamestore_rpc::{Place, Tenants, to_status};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Status};
use tower::Service;

use crate::http::too_large;
use crate::push::Distributor;
use crate::push_message;
use crate::raw::{self, Take};

/// The gRPC face of a [`Distributor`]; the Connect layer speaks through it too.
#[derive(Clone)]
pub struct PusherDoor {
    distributor: Arc<Distributor>,
    max_message_bytes: usize,
}

impl NamedService for PusherDoor {
    const NAME: &'static str = "push.v1.PusherService";
}

impl Service<http::Request<Body>> for PusherDoor {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        raw::answer(self.clone(), request)
    }
}

impl Take for PusherDoor {
    const PATH: &str = "/push.v1.PusherService/Push";

    fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    fn take(self, request: Request<Bytes>) -> BoxFuture<'static, Result<(), Status>> {
        Box::pin(async move { self.push(request).await })
    }
}

impl PusherDoor {
    /// Messages larger than `max_message_bytes`, inflated, are refused whatever the tenant's limits are.
    pub fn new(distributor: Arc<Distributor>, max_message_bytes: usize) -> Self {
        PusherDoor { distributor, max_message_bytes }
    }

    async fn push(&self, request: Request<Bytes>) -> Result<(), Status> {
        let tenant = Tenants::of_request(&request)?.single().cloned().map_err(to_status)?;
        let place = Place::of_request(&request);
        let request = push_message::read(request.into_inner(), &place).await?;
        self.check_size(&tenant, &request).map_err(to_status)?;
        let uploads = uploads(request).map_err(to_status)?;
        self.distributor.push(&tenant, uploads, &place).await.map_err(to_status)?;
        Ok(())
    }

    /// Refuses a push of more bytes than the tenant may send at once. What any tenant may send bounds the message before.
    fn check_size(&self, tenant: &TenantId, request: &PushRequest) -> Result<(), Fault> {
        let Some(max) = self.distributor.overrides().of(tenant).body_limit_bytes() else { return Ok(()) };
        let profiles = request.series.iter().flat_map(|s| &s.samples).map(|s| s.raw_profile.len()).sum::<usize>();
        let labels = request.series.iter().flat_map(|s| &s.labels).map(|l| l.name.len() + l.value.len()).sum::<usize>();
        if profiles + labels <= max {
            return Ok(());
        }
        let fault = too_large(max);
        self.distributor.count_refused(tenant, &fault, profiles + labels);
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
