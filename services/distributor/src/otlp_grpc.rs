//! OTLP profiles over gRPC. Messages are taken as bytes, because revisions of the protocol give the same field numbers
//! different meanings, and no one generated type reads them all.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flamestore_rpc::{Place, Tenants, to_status};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Status};
use tower::Service;

use crate::otlp::{self, EXPORT_PATH};
use crate::push::Distributor;
use crate::raw::{self, Take};

/// The gRPC face of a [`Distributor`] for OTLP exporters.
#[derive(Clone)]
pub struct ProfilesDoor {
    distributor: Arc<Distributor>,
    max_message_bytes: usize,
}

impl ProfilesDoor {
    /// Messages larger than `max_message_bytes`, inflated, are refused whatever the tenant's limits are.
    pub fn new(distributor: Arc<Distributor>, max_message_bytes: usize) -> Self {
        ProfilesDoor { distributor, max_message_bytes }
    }
}

impl NamedService for ProfilesDoor {
    const NAME: &'static str = otlp::SERVICE;
}

impl Service<http::Request<Body>> for ProfilesDoor {
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

impl Take for ProfilesDoor {
    const PATH: &str = EXPORT_PATH;

    fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    fn take(self, request: Request<Bytes>) -> BoxFuture<'static, Result<(), Status>> {
        Box::pin(async move {
            let tenant = Tenants::of_request(&request)?.single().cloned().map_err(to_status)?;
            let place = Place::of_request(&request);
            otlp::export(&self.distributor, &tenant, request.into_inner(), &place).await.map_err(to_status)
        })
    }
}
