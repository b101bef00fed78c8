//! OTLP profiles over gRPC. Messages are taken as bytes, because revisions of the protocol give the same field numbers
//! different meanings, and no one generated type reads them all.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use flamestore_model::TenantId;
use flamestore_rpc::{Tenants, to_status};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tower::Service;

use crate::otlp::{self, EXPORT_PATH};
use crate::push::Distributor;

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
        let door = self.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT_PATH {
                return Ok(Status::new(Code::Unimplemented, "no such method here").into_http());
            }
            let mut grpc = Grpc::new(Raw)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(door.max_message_bytes);
            Ok(grpc.unary(Export(door.distributor), request).await)
        })
    }
}

struct Export(Arc<Distributor>);

impl UnaryService<Bytes> for Export {
    type Response = ();
    type Future = BoxFuture<'static, Result<Response<()>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let distributor = self.0.clone();
        let tenant = Tenants::of(request.extensions()).and_then(|t| t.single().cloned());
        Box::pin(async move {
            let tenant: TenantId = tenant.map_err(to_status)?;
            otlp::export(&distributor, &tenant, request.into_inner()).await.map_err(to_status)?;
            Ok(Response::new(()))
        })
    }
}

/// Messages as they are; the response is always the empty one.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
