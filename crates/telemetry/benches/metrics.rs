//! What a push and a request pay for being counted.

use divan::{Bencher, black_box};
use flamestore_telemetry::metrics::distributor::ReceivedProfile;
use flamestore_telemetry::{BuildInfo, Metrics};

fn main() {
    divan::main();
}

fn metrics() -> Metrics {
    Metrics::new(&BuildInfo { version: "", revision: "", branch: "", compiler: "" })
}

#[divan::bench]
fn count_a_profile(bencher: Bencher) {
    let m = metrics();
    let profile = ReceivedProfile { compressed_bytes: 20_000, samples: 300, ..ReceivedProfile::default() };
    bencher.bench_local(|| m.distributor.received(black_box("anonymous"), black_box("process_cpu")).observe(&profile));
}

#[divan::bench]
fn count_a_request(bencher: Bencher) {
    let m = metrics();
    bencher.bench_local(|| m.http.route("POST", black_box("ingest")).finished("200", 0.01, 1000, 10));
}

#[divan::bench]
fn scrape(bencher: Bencher) {
    let m = metrics();
    for i in 0..50 {
        m.distributor.received("anonymous", &format!("n{i}")).observe(&ReceivedProfile::default());
    }
    bencher.bench_local(|| m.expose(None).body.len());
}
