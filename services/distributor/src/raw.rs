//! Calls of which the message is taken as bytes, and read where there is room for it. Their answers are empty.

use std::convert::Infallible;

use bytes::{Buf, Bytes};
use futures::TryFutureExt;
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Request, Response, Status};

/// Who takes the messages.
pub(crate) trait Take: Clone + Send + 'static {
    /// The path of the only method.
    const PATH: &str;

    /// The largest message, inflated.
    fn max_message_bytes(&self) -> usize;
    fn take(self, message: Request<Bytes>) -> BoxFuture<'static, Result<(), Status>>;
}

/// Answers a call.
pub(crate) fn answer<T: Take>(
    taker: T,
    request: http::Request<Body>,
) -> BoxFuture<'static, Result<http::Response<Body>, Infallible>> {
    Box::pin(async move {
        if request.uri().path() != T::PATH {
            return Ok(Status::new(Code::Unimplemented, "no such method here").into_http());
        }
        let mut grpc = Grpc::new(Raw)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(taker.max_message_bytes());
        Ok(grpc.unary(Taking(taker), request).await)
    })
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
