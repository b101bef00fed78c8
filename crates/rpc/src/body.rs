//! Request bodies: read whole under a cap, or passed on behind the five bytes that gRPC puts before a message.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flamestore_model::{Fault, Kind};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tonic::Status;

use crate::encoding::{Encoding, Inside};
use crate::errors::to_status;
use crate::gzip::too_large;
use crate::workroom::Place;

/// The prefix of a gRPC message: whether it is compressed, and its size.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Room is made for at most this much before the first byte has come.
const MAX_TRUSTED_BYTES: usize = 1 << 20;

/// Memory for each byte of a message that was compressed: it is inflated, and copied on its way.
pub(crate) const MESSAGE: usize = 2;

/// The prefix of an uncompressed message.
pub(crate) fn prefix(size: usize, cap: usize) -> Result<[u8; PREFIX_BYTES], Fault> {
    let size = u32::try_from(size).ok().filter(|_| size <= cap).ok_or_else(|| too_large(cap))?;
    let [a, b, c, d] = size.to_be_bytes();
    Ok([0, a, b, c, d])
}

/// Fills the room for the prefix before a message.
pub(crate) fn framed(mut message: Vec<u8>, cap: usize) -> Result<Body, Fault> {
    let prefix = prefix(message.len().saturating_sub(PREFIX_BYTES), cap)?;
    if let Some(room) = message.first_chunk_mut() {
        *room = prefix;
    }
    Ok(Body::from(message))
}

/// What the caller says the body's size is.
pub(crate) fn told_size(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the body of a plain endpoint whole and inflates it as `Content-Encoding` says, where the request has its place.
///
/// # Errors
/// `TooLarge` when it is, or inflates to, over `cap` bytes; `Unimplemented` for other encodings; `Invalid` or `TimedOut`
/// when it breaks off; `Unavailable` when there is no room for it in time.
pub async fn read_body(headers: &HeaderMap, body: Body, cap: usize, place: &Place) -> Result<Bytes, Fault> {
    let encoding = Encoding::of(headers)?;
    let bytes = read_all(body, told_size(headers), cap).await?;
    if encoding == Encoding::Identity {
        return Ok(bytes);
    }
    let inside = Inside { room: 0, cap, memory_per_byte: MESSAGE };
    Ok(encoding.inflate_in(place, bytes, inside, Ok).await?.into())
}

/// Reads a whole body. One that comes in one piece is not copied.
///
/// # Errors
/// `TooLarge` as soon as that is known; `Invalid` or `TimedOut` when the body breaks off.
pub(crate) async fn read_all(mut body: Body, told: Option<usize>, cap: usize) -> Result<Bytes, Fault> {
    if told.is_some_and(|size| size > cap) {
        return Err(too_large(cap));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.reserve(told.unwrap_or(2 * first.len()).min(MAX_TRUSTED_BYTES));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        if first.len().max(all.len()) > cap {
            return Err(too_large(cap));
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The fault of ours that broke a body off, if it was one: there was no room for it.
pub fn fault_in(error: &(dyn Error + 'static)) -> Option<Fault> {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(fault) = e.downcast_ref::<Fault>() {
            return Some(fault.again());
        }
        cause = e.source();
    }
    None
}

/// Why a body broke off, in our words.
fn broken(error: axum::Error) -> Fault {
    if let Some(fault) = fault_in(&error) {
        return fault;
    }
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(e) = cause {
        if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut) {
            return Fault::new(Kind::TimedOut, "the request body stopped coming").caused_by(error);
        }
        cause = e.source();
    }
    Fault::invalid("the request body broke off").caused_by(error)
}

/// A message of known size as a gRPC body, without having read it.
pub(crate) struct Prefixed {
    prefix: Option<Bytes>,
    body: Body,
}

impl Prefixed {
    pub(crate) fn new(size: usize, body: Body, cap: usize) -> Result<Self, Fault> {
        Ok(Prefixed { prefix: Some(Bytes::copy_from_slice(&prefix(size, cap)?)), body })
    }
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|f| f.map_err(|e| to_status(broken(e)))))
    }
}

/// Why a body broke off, for whoever reads it through layers that pass no causes on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Why(Arc<Mutex<Option<Fault>>>);

impl Why {
    /// The body, which notes here why it breaks off.
    pub(crate) fn noted(&self, body: Body) -> Body {
        let why = self.clone();
        Body::new(body.map_err(move |error| {
            let fault = broken(error);
            *why.0.lock() = Some(fault.again());
            axum::Error::new(fault)
        }))
    }

    fn take(&self) -> Option<Fault> {
        self.0.lock().take()
    }
}

/// A gRPC body whose first message must not claim to be over the cap: tonic would call that `out_of_range`.
pub(crate) struct Capped {
    pub(crate) body: tonic::body::Body,
    pub(crate) seen: [u8; PREFIX_BYTES],
    pub(crate) filled: usize,
    pub(crate) cap: usize,
    /// Of a body that comes through gRPC-web, whose own faults are the caller's: it could not be read.
    pub(crate) web: Option<Why>,
}

impl Capped {
    fn fault(&self, error: &Status) -> Option<Fault> {
        match &self.web {
            None => fault_in(error),
            Some(why) => why.take().or_else(|| Some(Fault::invalid(error.message().to_owned()))),
        }
    }
}

impl http_body::Body for Capped {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(fault) = frame.as_ref().and_then(|f| f.as_ref().err()).and_then(|e| self.fault(e)) {
            return Poll::Ready(Some(Err(to_status(fault))));
        }
        if let Some(Ok(data)) = frame.as_ref().map(|f| f.as_ref().map(Frame::data_ref))
            && self.filled < PREFIX_BYTES
        {
            for byte in data.map_or(&[][..], |d| d) {
                let at = self.filled;
                let Some(place) = self.seen.get_mut(at) else { break };
                *place = *byte;
                self.filled += 1;
            }
            let [_, a, b, c, d] = self.seen;
            if self.filled == PREFIX_BYTES && u32::from_be_bytes([a, b, c, d]) as usize > self.cap {
                return Poll::Ready(Some(Err(to_status(too_large(self.cap)))));
            }
        }
        Poll::Ready(frame)
    }
}
