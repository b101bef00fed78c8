//! How much of the bodies of requests is taken in at a time, over all requests: what comes beyond waits its turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flamestore_model::{Fault, FaultId};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So much of each body costs no room. Nearly all requests have less, and connections are counted anyway.
pub const FREE_BYTES: usize = 64 << 10;

/// Room for the bodies of all requests of a process.
#[derive(Debug)]
pub struct Intake {
    room: Arc<Semaphore>,
    max_bytes: usize,
    patience: Duration,
}

impl Intake {
    /// `max_bytes` are held at a time; a body that waits longer than `patience` for room is refused as unavailable. One
    /// larger than all the room is taken in alone.
    pub fn new(max_bytes: usize, patience: Duration) -> Arc<Self> {
        let max_bytes = max_bytes.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Intake { room: Arc::new(Semaphore::new(max_bytes)), max_bytes, patience })
    }

    /// The same body, and the room that it takes while it comes. The room is free again when that is dropped: then
    /// the request has been answered.
    pub(crate) fn measure(self: &Arc<Self>, body: Body) -> (Body, Room) {
        let room = Room::default();
        let measured = Measured { body, intake: self.clone(), room: room.clone(), free: FREE_BYTES, waiting: None };
        (Body::new(measured), room)
    }

    fn full(&self) -> Fault {
        Fault::of(
            FaultId::MemoryFull,
            format!(
                "the bodies of requests take up all of {} bytes (distributor.max_inflight_bytes), and no room came free in {:?}: \
                 send it again in a moment",
                self.max_bytes, self.patience
            ),
        )
    }
}

/// What one body has taken of the room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Room {
    fn bytes(&self) -> usize {
        self.0.lock().as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn add(&self, more: OwnedSemaphorePermit) {
        match &mut *self.0.lock() {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }
}

type Wait = BoxFuture<'static, Result<OwnedSemaphorePermit, Fault>>;

struct Measured {
    body: Body,
    intake: Arc<Intake>,
    room: Room,
    free: usize,
    /// A piece that has come, and the room that it waits for.
    waiting: Option<(Frame<Bytes>, Wait)>,
}

impl Measured {
    /// Takes room for a piece. `None`: there is none now, and the piece waits.
    fn admit(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let free = bytes.min(self.free);
        self.free -= free;
        // A body that has all the room needs no more.
        let bytes = (bytes - free).min(self.intake.max_bytes - self.room.bytes());
        let Some(permits) = u32::try_from(bytes).ok().filter(|n| *n > 0) else { return Some(frame) };
        let semaphore = &self.intake.room;
        if let Ok(permit) = semaphore.clone().try_acquire_many_owned(permits) {
            self.room.add(permit);
            return Some(frame);
        }
        let (semaphore, intake) = (semaphore.clone(), self.intake.clone());
        let room = async move {
            match tokio::time::timeout(intake.patience, semaphore.acquire_many_owned(permits)).await {
                Ok(Ok(permit)) => Ok(permit),
                _ => Err(intake.full()),
            }
        };
        self.waiting = Some((frame, room.boxed()));
        None
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if let Some((_, room)) = &mut self.waiting {
                let room = ready!(room.poll_unpin(cx));
                let frame = self.waiting.take().map(|(frame, _)| frame);
                return Poll::Ready(match room {
                    Ok(permit) => {
                        self.room.add(permit);
                        frame.map(Ok)
                    }
                    Err(fault) => Some(Err(axum::Error::new(fault))),
                });
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(frame) = self.admit(frame) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                end => return Poll::Ready(end),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.waiting {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    fn body(pieces: &[usize]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|n| Ok::<_, Fault>(Bytes::from(vec![0; *n]))).collect();
        Body::from_stream(futures::stream::iter(pieces))
    }

    async fn read(body: Body) -> Result<usize, Fault> {
        match body.collect().await {
            Ok(whole) => Ok(whole.to_bytes().len()),
            Err(e) => Err(crate::body::fault_in(&e).expect("a fault of ours")),
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_for_what_is_held_and_is_refused_in_the_end() {
        let intake = Intake::new(100, SOON);
        let (first, held) = intake.measure(body(&[FREE_BYTES, 60]));
        assert_eq!(read(first).await.unwrap(), FREE_BYTES + 60);
        assert_eq!(held.bytes(), 60);
        let (second, _) = intake.measure(body(&[FREE_BYTES + 20, 21]));
        let fault = read(second).await.unwrap_err();
        assert_eq!(fault.id, FaultId::MemoryFull);
        assert!(fault.message.contains("distributor.max_inflight_bytes"), "{fault}");
        let patient = Intake { patience: Duration::from_secs(60), room: intake.room.clone(), ..*intake };
        let (third, room) = Arc::new(patient).measure(body(&[FREE_BYTES + 41]));
        let (third, ()) = tokio::join!(read(third), async { drop(held) });
        assert_eq!((third.unwrap(), room.bytes()), (FREE_BYTES + 41, 41));
        drop(room);
        assert_eq!(intake.room.available_permits(), 100);
    }

    #[tokio::test]
    async fn what_is_larger_than_all_the_room_is_taken_in_alone_and_what_is_small_needs_none() {
        let intake = Intake::new(100, SOON);
        let (large, held) = intake.measure(body(&[FREE_BYTES + 70, 70, 70]));
        assert_eq!(read(large).await.unwrap(), FREE_BYTES + 210);
        assert_eq!(held.bytes(), 100);
        let (small, _) = intake.measure(body(&[FREE_BYTES / 2, FREE_BYTES / 2]));
        assert_eq!(read(small).await.unwrap(), FREE_BYTES);
    }
}
