//! Calls of which the message is taken as bytes, and read where there is room for it. Their answers are empty.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures::TryFutureExt;
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tower::Service;

use crate::push::Distributor;

/// Who takes the messages of a service with one method.
pub trait Take: Clone + Send + Sync + From<Arc<Distributor>> + 'static {
    const SERVICE: &'static str;
    /// Of its method.
    const PATH: &'static str;

    fn take(self, message: Request<Bytes>) -> BoxFuture<'static, Result<(), Status>>;
}

/// A service among those of tonic.
#[derive(Clone)]
pub struct Door<T> {
    taker: T,
    max_message_bytes: usize,
}

impl<T: Take> Door<T> {
    /// Messages larger than `max_message_bytes`, inflated, are refused whatever the tenant's limits are.
    pub fn new(distributor: Arc<Distributor>, max_message_bytes: usize) -> Self {
        Door { taker: distributor.into(), max_message_bytes }
    }
}

impl<T: Take> NamedService for Door<T> {
    const NAME: &'static str = T::SERVICE;
}

impl<T: Take> Service<http::Request<Body>> for Door<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Door { taker, max_message_bytes } = self.clone();
        Box::pin(async move {
            if request.uri().path() != T::PATH {
                return Ok(Status::new(Code::Unimplemented, "no such method here").into_http());
            }
            let mut grpc = Grpc::new(Raw)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(max_message_bytes);
            Ok(grpc.unary(Taking(taker), request).await)
        })
    }
}

struct Taking<T>(T);

impl<T: Take> UnaryService<Bytes> for Taking<T> {
    type Response = ();
    type Future = BoxFuture<'static, Result<Response<()>, Status>>;

    fn call(&mut self, message: Request<Bytes>) -> Self::Future {
        Box::pin(self.0.clone().take(message).map_ok(Response::new))
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
