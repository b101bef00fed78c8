//! What a query costs for each sample it sums.

#[path = "go_like.rs"]
mod go_like;

use divan::Bencher;
use divan::counter::ItemsCount;
use flamestore_flamegraph::TreeMerger;
use flamestore_head::DatasetHead;
use flamestore_model::{ProfileId, ProfileType, Select, TimeRange, TreeQuery};
use go_like::{Chance, Service, profile_type, series};

fn main() {
    divan::main();
}

const PROFILES: usize = 2_000;
const PODS: usize = 20;

fn head(stacks: usize) -> (DatasetHead, u64) {
    let service = Service::new(stacks);
    let mut chance = Chance(1);
    let mut head = DatasetHead::new("checkout");
    let mut samples = 0;
    for i in 0..PROFILES {
        let profile = service.profile(&mut chance, 2);
        let stored = series(i % PODS, 2);
        head.append(&profile, i as i64, ProfileId::default(), &stored[1..]).expect("there is room");
        samples += head.append(&profile, i as i64, ProfileId::default(), &stored[..1]).expect("there is room").samples;
    }
    (head, samples)
}

fn query() -> TreeQuery {
    let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: i64::MAX });
    select.profile_type = ProfileType::parse(&profile_type(0)).ok();
    TreeQuery::whole(select)
}

/// Values by stack id: the part that grows with the samples.
#[divan::bench(args = [2_000, 20_000])]
fn sums(bencher: Bencher<'_, '_>, stacks: usize) {
    let (head, samples) = head(stacks);
    let query = query();
    bencher.counter(ItemsCount::new(samples)).bench_local(|| head.sums(&query.select));
}

/// The whole answer; what it adds grows with the distinct stacks.
#[divan::bench(args = [2_000, 20_000])]
fn tree(bencher: Bencher<'_, '_>, stacks: usize) {
    let (head, samples) = head(stacks);
    let query = query();
    bencher.counter(ItemsCount::new(samples)).bench_local(|| {
        let mut merger = TreeMerger::default();
        head.add_tree(&query, &mut merger);
        merger.finish()
    });
}

/// Totals need no samples.
#[divan::bench]
fn points(bencher: Bencher<'_, '_>) {
    let (head, _) = head(2_000);
    let query = query();
    bencher.counter(ItemsCount::new(PROFILES)).bench_local(|| head.points(&query));
}
