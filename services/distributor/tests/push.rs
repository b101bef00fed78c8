//! Pushes of several profiles: what is kept of them, and what their senders are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flamestore_api::{Ingester, PushedProfile};
use flamestore_clock::{ManualClock, SeededChance};
use flamestore_distributor::observe::{Observe, Received};
use flamestore_distributor::{Distributor, Parts};
use flamestore_formats::{Arrival, Notes, RawProfile, TimeRepair};
use flamestore_limits::{Limits, Overrides};
use flamestore_model::{Discard, Fault, FaultId, Kind, TenantId};
use flamestore_pprof::Spy;
use flamestore_pprof::encode::Writer;
use flamestore_rpc::{Place, Workroom};
use parking_lot::Mutex;

const NOW_NANOS: i64 = 1_795_000_000_000_000_000;

/// Keeps as many profiles as it has room for, and refuses the others as over the limit of series.
struct Kept {
    room: usize,
    services: Mutex<Vec<String>>,
}

#[async_trait]
impl Ingester for Kept {
    async fn push(&self, _: &TenantId, profiles: Vec<PushedProfile>) -> Vec<Result<(), Fault>> {
        let mut services = self.services.lock();
        let keep = |profile: PushedProfile| {
            if services.len() == self.room {
                return Err(Fault::over(FaultId::TooManySeries, "one series more", self.room));
            }
            services.push(profile.series[0].labels.get("service_name").unwrap_or_default().to_owned());
            Ok(())
        };
        profiles.into_iter().map(keep).collect()
    }
}

/// Counts what is kept.
#[derive(Debug, Default)]
struct Counted(AtomicUsize);

impl Observe for Counted {
    fn kept(&self, _: &TenantId, _: &str, _: u64, series: u64) {
        self.0.fetch_add(series as usize, Ordering::Relaxed);
    }
    fn received(&self, _: &TenantId, _: &str, _: Received) {}
    fn discarded(&self, _: &TenantId, _: Discard, _: u64, _: u64) {}
    fn received_of_group(&self, _: &TenantId, _: &str, _: &str, _: u64) {}
    fn discarded_of_group(&self, _: &TenantId, _: Discard, _: &str, _: u64) {}
    fn time_repaired(&self, _: &TenantId, _: Arrival, _: TimeRepair) {}
    fn passed_over(&self, _: &TenantId, _: &Notes) {}
}

struct Bench {
    counted: Arc<Counted>,
    distributor: Distributor,
    kept: Arc<Kept>,
    clock: Arc<ManualClock>,
}

fn bench(room: usize, limits: Limits) -> Bench {
    let kept = Arc::new(Kept { room, services: Mutex::default() });
    let (clock, counted) = (ManualClock::at_nanos(NOW_NANOS), Arc::new(Counted::default()));
    let distributor = Distributor::new(Parts {
        ingester: kept.clone(),
        overrides: Arc::new(Overrides::new(limits)),
        clock: clock.clone(),
        chance: Arc::new(SeededChance::new(1)),
        observer: counted.clone(),
    });
    Bench { counted, distributor, kept, clock }
}

/// A profile of about `bytes` bytes.
fn profile(service: &str, bytes: usize) -> RawProfile {
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.time_nanos(NOW_NANOS);
    writer.string(&"p".repeat(bytes));
    let frame = writer.frame("main");
    writer.sample(&[frame], &[1], &[]);
    let labels = [("__name__", "process_cpu"), ("service_name", service)];
    RawProfile {
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        pprof: Bytes::from(writer.finish()),
        spy: Spy::Other,
        arrival: Arrival::Push,
        decoded: None,
    }
}

fn malformed() -> RawProfile {
    RawProfile { pprof: Bytes::from_static(b"no pprof"), ..profile("malformed", 0) }
}

impl Bench {
    async fn push(&self, uploads: Vec<RawProfile>) -> Result<u64, Fault> {
        let receipt = self.distributor.push(&TenantId::anonymous(), uploads, &Place::default()).await;
        receipt.map(|receipt| receipt.profiles)
    }

    fn services(&self) -> Vec<String> {
        self.kept.services.lock().clone()
    }
}

/// 1 KiB a second, and never more than 10 KiB at once.
fn slow() -> Limits {
    Limits {
        ingestion_rate_mb: 1.0 / 1024.0,
        ingestion_burst_size_mb: 10.0 / 1024.0,
        max_profile_size_bytes: 10 << 10,
        ..Limits::default()
    }
}

#[tokio::test]
async fn the_rate_lets_a_push_in_whole_or_not_at_all_so_that_sending_it_again_doubles_nothing() {
    let bench = bench(100, slow());
    let push = || (0..6).map(|i| profile(&format!("s{i}"), 4 << 10)).collect::<Vec<_>>();
    assert_eq!(bench.push(push()).await.unwrap(), 6, "more than the bucket holds, and yet it can pass");
    let fault = bench.push(push()).await.unwrap_err();
    assert_eq!((fault.id, fault.kind), (FaultId::RateLimited, Kind::Limited));
    assert_eq!(bench.services().len(), 6, "nothing of a push that is to be sent again is kept");
    // 24 KiB were pushed out of 10: 14 are owed, and the next profile takes 4.
    bench.clock.advance(Duration::from_secs(fault.again_after_secs.unwrap().into()));
    assert_eq!(bench.push(push()).await.unwrap(), 6);
    assert!((18..22).contains(&fault.again_after_secs.unwrap()), "{fault:?}");
}

#[tokio::test]
async fn a_push_of_which_something_is_kept_is_never_told_to_come_again() {
    let bench = bench(2, Limits::default());
    let fault = bench.push(vec![profile("a", 0), profile("b", 0), profile("c", 0)]).await.unwrap_err();
    assert_eq!((fault.id, fault.kind), (FaultId::TooManySeries, Kind::Invalid));
    assert!(fault.message.starts_with("2 other profiles of the push are kept, do not send them again: "), "{fault}");
    assert_eq!(bench.services(), ["a", "b"]);
    assert_eq!(bench.counted.0.load(Ordering::Relaxed), 2, "what was not kept is not counted as such");
    let fault = bench.push(vec![malformed(), profile("d", 0)]).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Limited, "nothing was kept, and one of both may be kept later");
}

#[tokio::test]
async fn a_push_with_a_profile_for_which_there_is_no_room_just_now_comes_again_as_a_whole() {
    let bench = bench(100, Limits::default());
    let room = Workroom::new(64 << 20, 1, Duration::from_millis(10));
    // Somebody has all the room, and what is beyond it too, for which the second profile of a push may wait.
    let other = room.place();
    let work = async || other.work(1 << 30, || ((), 1 << 30)).await.unwrap().1;
    let taken = [work().await, work().await];
    let push = async || {
        let uploads = vec![profile("a", 0), profile("b", 1 << 20)];
        bench.distributor.push(&TenantId::anonymous(), uploads, &room.place()).await
    };
    let fault = push().await.unwrap_err();
    assert_eq!((fault.id, fault.kind), (FaultId::MemoryFull, Kind::Unavailable));
    assert!(bench.services().is_empty());
    drop((taken, other));
    assert_eq!(push().await.unwrap().profiles, 2);
    assert_eq!(bench.services(), ["a", "b"]);
}

#[tokio::test]
async fn a_bad_profile_takes_no_good_one_with_it() {
    let bench = bench(100, Limits::default());
    let fault = bench.push(vec![profile("a", 0), malformed(), profile("b", 0)]).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Unprocessable);
    assert!(fault.message.starts_with("profile 1 of the push: "), "{fault}");
    assert_eq!(bench.services(), ["a", "b"]);
}

#[tokio::test]
async fn profiles_that_inflate_to_more_than_a_body_may_have_are_refused() {
    let bench = bench(100, Limits { ingestion_body_limit_mb: 0.01, ..Limits::default() });
    let fault = bench.push((0..4).map(|_| profile("a", 4 << 10)).collect()).await.unwrap_err();
    assert_eq!((fault.id, fault.kind), (FaultId::BodyTooLarge, Kind::Invalid));
    assert!(fault.message.starts_with("2 other profiles of the push are kept"), "{fault}");
    assert_eq!(bench.services().len(), 2);
}

#[tokio::test]
async fn a_large_push_lets_others_work_between_its_profiles() {
    let bench = bench(100, Limits::default());
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    bench.push((0..20).map(|_| profile("a", 0)).collect()).await.unwrap();
    other.abort();
    assert!(turns.load(Ordering::Relaxed) >= 19, "{turns:?}");
}

#[tokio::test]
async fn a_large_profile_is_read_beside_the_thread_that_answers() {
    let bench = bench(100, Limits { ingestion_burst_size_mb: 100.0, ingestion_rate_mb: 100.0, ..Limits::default() });
    let large = profile("a", 3 << 20);
    let push = bench.push(vec![large, malformed(), profile("b", 0)]);
    tokio::pin!(push);
    // Nobody else is on this thread: what is not ready at once is done on another one.
    assert!(futures::poll!(push.as_mut()).is_pending());
    let fault = push.await.unwrap_err();
    assert!(fault.message.starts_with("profile 1 of the push: "), "{fault}");
    assert_eq!(bench.services(), ["a", "b"], "the order stays");
}
