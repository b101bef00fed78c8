//! How long a caller may take: to send a request's head, and to send the next piece of its body.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use crate::unread::Unread;

/// Requests of a connection that are being answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Serving(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicUsize,
    /// Told when one begins, and when one ends.
    changed: Notify,
}

impl Serving {
    pub(crate) fn one(&self) -> ServingOne {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        self.0.changed.notify_one();
        ServingOne(self.clone())
    }

    /// Comes back when no request was under way for that long. One at a time may wait for it.
    pub(crate) async fn none_for(&self, patience: Duration) {
        loop {
            let changed = self.0.changed.notified();
            if self.any() {
                changed.await;
            } else if timeout(patience, changed).await.is_err() {
                return;
            }
        }
    }

    fn any(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) > 0
    }
}

/// One of them, until dropped.
#[derive(Debug)]
pub(crate) struct ServingOne(Serving);

impl Drop for ServingOne {
    fn drop(&mut self) {
        let requests = &self.0.0;
        requests.under_way.fetch_sub(1, Ordering::Relaxed);
        requests.changed.notify_one();
    }
}

/// An HTTP/1.1 connection that gives up when a head, once begun, is not whole in time.
pub(crate) struct PatientStream {
    stream: Unread,
    serving: Serving,
    patience: Duration,
    /// When the head that has begun must be whole.
    deadline: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl PatientStream {
    pub(crate) fn new(stream: Unread, serving: Serving, patience: Duration) -> Self {
        PatientStream { stream, serving, patience, deadline: None, alarm: None }
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.serving.any() {
            (self.deadline, self.alarm) = (None, None);
            return read;
        }
        if read.is_ready() {
            if buf.filled().len() > before && self.deadline.is_none() {
                self.deadline = Some(Instant::now() + self.patience);
            }
            return read;
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request's head did not come in time")))
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Of a body that nobody wants to read, at most this much is taken in, so that the connection can go on.
const MAX_DRAINED_BYTES: u64 = 1 << 20;
/// And no longer than this.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// A request body that breaks off with `TimedOut` when nothing comes for a while. On HTTP/1.1, what is left unread of it
/// when it is dropped is taken in behind the answer, within bounds: callers who keep connections would lose this one else.
pub(crate) struct PatientBody {
    /// None once it is over.
    body: Option<Incoming>,
    patience: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    /// On HTTP/1.1, where the next request waits behind this body.
    queue: Option<Abandoned>,
}

/// Whether a body was left unread that is too large to be taken in: its connection ends with the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl PatientBody {
    pub(crate) fn new(body: Incoming, patience: Duration, queue: Option<Abandoned>) -> Self {
        PatientBody { body: Some(body), patience, alarm: None, queue }
    }
}

impl Drop for PatientBody {
    fn drop(&mut self) {
        let (Some(body), Some(abandoned)) = (self.body.take(), &self.queue) else { return };
        if body.is_end_stream() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if body.size_hint().lower() <= MAX_DRAINED_BYTES => {
                runtime.spawn(tokio::time::timeout(DRAIN_PATIENCE, drain(body)));
            }
            _ => abandoned.0.store(true, Ordering::Relaxed),
        }
    }
}

/// Reads and forgets, up to the bound. Dropped unfinished, a body ends its connection.
async fn drain(mut body: Incoming) {
    let mut left = MAX_DRAINED_BYTES;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(less) = left.checked_sub(size) else { return };
        left = less;
    }
}

impl Body for PatientBody {
    type Data = Bytes;
    type Error = tower::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.alarm = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => {
                (self.body, self.alarm) = (None, None);
                Poll::Ready(end.map(|e| e.map_err(Into::into)))
            }
            Poll::Pending => {
                let patience = self.patience;
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(alarm.as_mut().poll(cx));
                // Nobody waits for the rest of what has stopped coming.
                (self.body, self.alarm) = (None, None);
                let stalled = io::Error::new(io::ErrorKind::TimedOut, "the request's body stopped coming");
                Poll::Ready(Some(Err(stalled.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
