//! What an append costs, once the symbols are known and when all are new.

#[path = "go_like.rs"]
mod go_like;

use divan::Bencher;
use divan::counter::ItemsCount;
use flamestore_head::DatasetHead;
use flamestore_model::ProfileId;
use go_like::{Chance, SAMPLES, Service, series};

fn main() {
    divan::main();
}

/// Few enough to stay in a cache near by, as a profile is that was just decoded.
const PROFILES: usize = 16;

/// One profile of a service whose stacks have all been seen.
#[divan::bench(args = [(2_000, 2), (2_000, 4), (20_000, 2), (20_000, 4)])]
fn warm(bencher: Bencher<'_, '_>, (stacks, types): (usize, usize)) {
    let service = Service::new(stacks);
    let mut chance = Chance(1);
    let profiles: Vec<_> = (0..PROFILES).map(|_| service.profile(&mut chance, types)).collect();
    let stored = series(0, types);
    let some = &profiles[0].profile;
    let (locations, functions) = (some.locations.len(), some.functions.len());
    assert!(
        (400..800).contains(&locations) && (300..600).contains(&functions),
        "{locations} of {functions}: not Go-like"
    );
    let mut head = DatasetHead::new("checkout");
    for p in (0..stacks * 8 / SAMPLES).map(|_| service.profile(&mut chance, types)).chain(profiles.iter().cloned()) {
        head.append(&p, 0, ProfileId::default(), &stored).expect("there is room");
    }
    let mut next = 0;
    bencher.counter(ItemsCount::new(SAMPLES)).bench_local(|| {
        next += 1;
        head.append(&profiles[next % PROFILES], next as i64, ProfileId::default(), &stored).expect("there is room")
    });
}

/// The first profile of a service.
#[divan::bench(args = [2, 4])]
fn first(bencher: Bencher<'_, '_>, types: usize) {
    let profile = Service::new(2_000).profile(&mut Chance(1), types);
    let stored = series(0, types);
    bencher.counter(ItemsCount::new(SAMPLES)).with_inputs(|| DatasetHead::new("checkout")).bench_local_values(
        |mut head| {
            head.append(&profile, 0, ProfileId::default(), &stored).expect("there is room");
            head
        },
    );
}
