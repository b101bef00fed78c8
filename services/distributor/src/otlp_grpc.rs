//! OTLP profiles over gRPC. Messages are taken as bytes, because revisions of the protocol give the same field numbers
//! different meanings, and no one generated type reads them all.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_rpc::{Place, Tenants, to_status};
use futures::future::BoxFuture;
use tonic::{Request, Status};

use crate::otlp::{self, EXPORT_PATH};
use crate::push::Distributor;
use crate::raw::{Door, Take};

/// The gRPC face of a [`Distributor`] for OTLP exporters.
pub type ProfilesDoor = Door<Profiles>;

#[derive(Clone)]
pub struct Profiles(Arc<Distributor>);

impl From<Arc<Distributor>> for Profiles {
    fn from(distributor: Arc<Distributor>) -> Self {
        Profiles(distributor)
    }
}

impl Take for Profiles {
    const SERVICE: &str = otlp::SERVICE;
    const PATH: &str = EXPORT_PATH;

    fn take(self, request: Request<Bytes>) -> BoxFuture<'static, Result<(), Status>> {
        Box::pin(async move {
            let tenant = Tenants::of_request(&request)?.single().cloned().map_err(to_status)?;
            let place = Place::of_request(&request);
            otlp::export(&self.0, &tenant, request.into_inner(), &place).await.map_err(to_status)
        })
    }
}
