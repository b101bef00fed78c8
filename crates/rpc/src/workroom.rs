//! Room to read uploads in: how much memory inflating and decoding may take over all requests, and how many of the large ones
//! are read at a time. Reading what is large keeps a thread busy for milliseconds, so it happens off the threads that answer
//! everybody.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flamestore_model::{Fault, FaultId};
use http::Extensions;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Work that takes no more memory than this is done by the thread that asks for it: it takes a millisecond or two, and handing
/// it over would cost as much as it does.
pub const HERE_BYTES: usize = 2 << 20;
/// What an upload says of its size is not doubted below this, so that nothing small is read twice.
const UNDOUBTED_BYTES: usize = 64 << 10;
/// How much more is tried each time when an upload has said too little of itself.
const NEXT_TRY: usize = 4;
/// The part of all the room that is for work done here alone, so that small pushes pass while large ones wait.
const SMALL_SHARE: usize = 4;
/// Room is counted in pieces of so many bytes.
const PIECE_BYTES: usize = 1 << 10;

/// The room of a process.
#[derive(Debug)]
pub struct Workroom {
    small: Lane,
    large: Lane,
    hands: Arc<Semaphore>,
    /// Who has some room and needs more waits for this as well as for room. Its holder goes beyond the bound, so that those who
    /// hold parts never wait for each other in a circle.
    beyond: Arc<Semaphore>,
    max_bytes: usize,
    patience: Duration,
}

#[derive(Debug)]
struct Lane {
    room: Arc<Semaphore>,
    pieces: u32,
}

impl Lane {
    fn new(bytes: usize) -> Self {
        let pieces = u32::try_from(bytes / PIECE_BYTES).unwrap_or(u32::MAX).max(1);
        Lane { room: Arc::new(Semaphore::new(pieces as usize)), pieces }
    }

    /// What can never fit takes everything, and so is alone.
    fn pieces(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX).min(self.pieces)
    }
}

impl Workroom {
    /// Reading takes `max_bytes` of memory at a time, of which one request may take more when nothing else would let it go on;
    /// `max_large` large pieces of work are done at a time. Who waits longer than `patience` is refused as unavailable.
    pub fn new(max_bytes: usize, max_large: usize, patience: Duration) -> Arc<Self> {
        let small = max_bytes / SMALL_SHARE;
        Arc::new(Workroom {
            small: Lane::new(small),
            large: Lane::new(max_bytes - small),
            hands: Arc::new(Semaphore::new(max_large.clamp(1, Semaphore::MAX_PERMITS))),
            beyond: Arc::new(Semaphore::new(1)),
            max_bytes,
            patience,
        })
    }

    /// A place in it for one request.
    pub fn place(self: &Arc<Self>) -> Place {
        Place(Some(Arc::new(OfRequest {
            room: self.clone(),
            parts: Arc::default(),
            beyond: Mutex::default(),
            kept: Mutex::default(),
        })))
    }

    fn full(&self) -> Fault {
        Fault::of(
            FaultId::MemoryFull,
            format!(
                "reading what other requests sent takes up all of {} bytes (distributor.max_decoding_bytes), and no room came \
                 free in {:?}: send it again in a moment",
                self.max_bytes, self.patience
            ),
        )
    }
}

/// The place of one request in a [`Workroom`]. Without one, as in tests, nothing is bounded. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Place(Option<Arc<OfRequest>>);

struct OfRequest {
    room: Arc<Workroom>,
    /// How many parts it has.
    parts: Arc<AtomicUsize>,
    /// Held when the request may go beyond the bound.
    beyond: Mutex<Option<OwnedSemaphorePermit>>,
    kept: Mutex<Vec<Part>>,
}

impl fmt::Debug for OfRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfRequest").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// Room that a piece of work has taken, free again when this is dropped.
#[derive(Debug, Default)]
pub struct Part {
    permit: Option<OwnedSemaphorePermit>,
    parts: Option<Arc<AtomicUsize>>,
}

impl Part {
    /// Gives back what is more than so many bytes.
    fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            drop(permit.split(permit.num_permits().saturating_sub(bytes.div_ceil(PIECE_BYTES))));
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(parts) = &self.parts {
            parts.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What is known of an upload before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The size that it says it has once it is inflated. It is tried with this first; what has more is read again.
    pub bytes: usize,
    /// The size that it may have.
    pub most: usize,
    /// Memory that reading takes for each byte of that size.
    pub memory_per_byte: usize,
}

/// What became of reading an upload within some size.
#[derive(Debug)]
pub enum Tried<T> {
    /// It was read, and holds so many bytes.
    Read(T, usize),
    /// It is larger.
    TooSmall,
    Refused(Fault),
}

impl<T> Tried<T> {
    /// Of what was read, with the bytes that it holds, or of a fault, which may mean that the size was too small.
    pub fn of(read: Result<(T, usize), Fault>, too_small: impl FnOnce(&Fault) -> bool) -> Self {
        match read {
            Ok((read, held)) => Tried::Read(read, held),
            Err(fault) if too_small(&fault) => Tried::TooSmall,
            Err(fault) => Tried::Refused(fault),
        }
    }
}

impl Place {
    /// What the router left with the request.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Place>().cloned().unwrap_or_default()
    }

    /// As [`Place::of`], for the handlers of RPCs.
    pub fn of_request<T>(request: &tonic::Request<T>) -> Self {
        Self::of(request.extensions())
    }

    /// Does work that takes so many bytes of memory, here if that is little. The work answers its result and the bytes that
    /// this holds; the part that comes with it is the room of those.
    ///
    /// # Errors
    /// `Unavailable` when there is no room in time.
    pub async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> (T, usize) + Send + 'static,
    ) -> Result<(T, Part), Fault> {
        let here = bytes <= HERE_BYTES;
        let (mut part, hand) = match &self.0 {
            Some(request) => request.admitted(bytes, here).await?,
            None => (Part::default(), None),
        };
        let place = self.clone();
        let work = move || {
            let (done, held) = work();
            part.shrink(held);
            drop((hand, place));
            (done, part)
        };
        if here {
            return Ok(work());
        }
        tokio::task::spawn_blocking(work).await.map_err(|e| match e.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(e) => Fault::of(FaultId::Stopping, "the server is stopping: send it again in a moment").caused_by(e),
        })
    }

    /// Reads an upload within the size that it says it has, and if that was too small, within a larger one. `read` takes the
    /// size, and within the largest never finds that too small.
    ///
    /// # Errors
    /// Those of `read`, and `Unavailable` when there is no room in time.
    pub async fn read<T: Send + 'static>(
        &self,
        told: Told,
        read: impl Fn(usize) -> Tried<T> + Send + Sync + 'static,
    ) -> Result<(T, Part), Fault> {
        let read = Arc::new(read);
        let mut cap = told.bytes.max(UNDOUBTED_BYTES).min(told.most);
        loop {
            let reading = read.clone();
            let work = move || match reading(cap) {
                Tried::Read(read, held) => (Ok(read), held),
                Tried::TooSmall => (Err(None), 0),
                Tried::Refused(fault) => (Err(Some(fault)), 0),
            };
            match self.work(cap.saturating_mul(told.memory_per_byte), work).await? {
                (Ok(read), part) => return Ok((read, part)),
                (Err(Some(fault)), _) => return Err(fault),
                (Err(None), _) if cap == told.most => {
                    return Err(Fault::internal("an upload is larger than it may be, and yet was not refused"));
                }
                (Err(None), _) => cap = cap.saturating_mul(NEXT_TRY).min(told.most),
            }
        }
    }

    /// Holds a part until the request has been answered.
    pub fn keep(&self, part: Part) {
        if let Some(request) = &self.0 {
            request.kept.lock().push(part);
        }
    }
}

impl OfRequest {
    /// Room, and of what is large one of the hands too. Hands wait for nothing, so whoever has room comes to an end.
    async fn admitted(&self, bytes: usize, here: bool) -> Result<(Part, Option<OwnedSemaphorePermit>), Fault> {
        let lane = if here { &self.room.small } else { &self.room.large };
        let pieces = lane.pieces(bytes);
        if here && let Ok(permit) = lane.room.clone().try_acquire_many_owned(pieces) {
            return Ok((self.part(Some(permit)), None));
        }
        let waiting = async {
            let part = self.part(self.room_of(lane, pieces).await?);
            let hand = if here { None } else { Some(self.room.hands.clone().acquire_owned().await.ok()?) };
            Some((part, hand))
        };
        tokio::time::timeout(self.room.patience, waiting).await.ok().flatten().ok_or_else(|| self.room.full())
    }

    /// Waits for room; `Some(None)` is a way without any.
    async fn room_of(&self, lane: &Lane, pieces: u32) -> Option<Option<OwnedSemaphorePermit>> {
        if self.beyond.lock().is_some() {
            return Some(None);
        }
        let growing = self.parts.load(Ordering::Relaxed) > 0;
        tokio::select! {
            biased;
            permit = lane.room.clone().acquire_many_owned(pieces) => Some(Some(permit.ok()?)),
            permit = self.room.beyond.clone().acquire_owned(), if growing => {
                *self.beyond.lock() = Some(permit.ok()?);
                Some(None)
            }
        }
    }

    fn part(&self, permit: Option<OwnedSemaphorePermit>) -> Part {
        self.parts.fetch_add(1, Ordering::Relaxed);
        Part { permit, parts: Some(self.parts.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(60);
    const LARGE: usize = HERE_BYTES + 1;

    fn free(lane: &Lane) -> u32 {
        lane.room.available_permits() as u32
    }

    #[tokio::test]
    async fn what_is_large_is_done_elsewhere_and_only_so_many_at_a_time() {
        let room = Workroom::new(64 << 20, 2, LATE);
        let here = std::thread::current().id();
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // Two are certain to meet, and a third would have time to.
        let pair = Arc::new(std::sync::Barrier::new(2));
        let large = || {
            let (place, at_once, most, pair) = (room.place(), at_once.clone(), most.clone(), pair.clone());
            tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    pair.wait();
                    std::thread::sleep(Duration::from_millis(5));
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    (std::thread::current().id(), 0)
                };
                place.work(LARGE, work).await.unwrap().0
            })
        };
        let all: Vec<_> = (0..8).map(|_| large()).collect();
        for one in all {
            assert_ne!(one.await.unwrap(), here);
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        let (small, _) = room.place().work(HERE_BYTES, || (std::thread::current().id(), 0)).await.unwrap();
        assert_eq!(small, here);
    }

    #[tokio::test]
    async fn room_is_held_for_what_is_left_and_who_finds_none_in_time_is_refused() {
        let room = Workroom::new(16 << 20, 2, SOON);
        let (place, other) = (room.place(), room.place());
        let (_, part) = place.work(12 << 20, || ((), 1 << 20)).await.unwrap();
        assert_eq!(free(&room.large), room.large.pieces - 1024);
        assert_eq!(room.place().work(12 << 20, || ((), 0)).await.unwrap_err().id, FaultId::MemoryFull);
        let small = other.work(1000, || ((), 0)).await;
        assert!(small.is_ok(), "what is small has room of its own");
        drop(part);
        let (_, all) = other.work(usize::MAX, || ((), usize::MAX)).await.unwrap();
        assert_eq!(free(&room.large), 0, "what never fits is alone");
        let fault = place.work(LARGE, || ((), 0)).await.unwrap_err();
        assert!(fault.message.contains("distributor.max_decoding_bytes"), "{fault}");
        place.keep(all);
        drop(place);
        assert_eq!(free(&room.large), room.large.pieces, "what was kept goes with the request");
    }

    #[tokio::test]
    async fn of_those_who_hold_parts_and_need_more_one_at_a_time_goes_on() {
        let room = Workroom::new(16 << 20, 1, LATE);
        let gate = Arc::new(tokio::sync::Barrier::new(4));
        let request = |place: Place| {
            let gate = gate.clone();
            tokio::spawn(async move {
                let mut parts = vec![place.work(LARGE, || ((), LARGE)).await.unwrap().1];
                gate.wait().await;
                // Together they need far more than there is.
                for _ in 0..6 {
                    parts.push(place.work(LARGE, || ((), LARGE)).await.unwrap().1);
                }
            })
        };
        let all: Vec<_> = (0..4).map(|_| request(room.place())).collect();
        for one in all {
            one.await.unwrap();
        }
        assert_eq!((free(&room.large), room.beyond.available_permits()), (room.large.pieces, 1));
    }

    #[tokio::test]
    async fn what_says_too_little_of_itself_is_read_again_within_more_up_to_the_limit() {
        let room = Workroom::new(64 << 20, 1, SOON);
        let tried = Arc::new(Mutex::new(Vec::new()));
        let told = Told { bytes: 1, most: 1 << 20, memory_per_byte: 2 };
        let read = |size: usize| {
            let (place, tried) = (room.place(), tried.clone());
            async move {
                let read = move |cap| {
                    tried.lock().push(cap);
                    let fault = || Fault::over(FaultId::ProfileTooLarge, "too large", cap);
                    let read = if size > cap { Err(fault()) } else { Ok((size, 0)) };
                    Tried::of(read, |_| cap < told.most)
                };
                place.read(told, read).await.map(|(size, _)| size)
            }
        };
        assert_eq!(read(1 << 20).await.unwrap(), 1 << 20);
        assert_eq!(std::mem::take(&mut *tried.lock()), [64 << 10, 256 << 10, 1 << 20]);
        let fault = read(2 << 20).await.unwrap_err();
        assert!(fault.message.contains("1048576"), "the limit is told, not what was tried: {fault}");
        assert_eq!(free(&room.small), room.small.pieces);
    }

    #[tokio::test]
    #[should_panic(expected = "a bug")]
    async fn a_panic_comes_back_to_who_asked() {
        drop(Place::default().work::<()>(LARGE, || panic!("a bug")).await);
    }
}
