//! What a push pays for its limits: looking them up, and taking tokens.

use std::sync::Arc;

use divan::{Bencher, black_box};
use flamestore_clock::SystemClock;
use flamestore_limits::relabel::{default_rules, relabel};
use flamestore_limits::{Limits, Overrides, RateLimiter};
use flamestore_model::{Labels, TenantId};

fn main() {
    divan::main();
}

fn tenants(n: usize) -> Vec<TenantId> {
    (0..n).filter_map(|i| TenantId::parse(&format!("tenant-{i}")).ok()).collect()
}

#[divan::bench(args = [1, 20_000])]
fn look_up(bencher: Bencher, n: usize) {
    let tenants = tenants(n);
    let overrides = Overrides::new(Limits::default());
    overrides.replace(tenants.iter().map(|t| (t.clone(), Limits::default())));
    let mut i = 0;
    bencher.bench_local(|| {
        i = (i + 1) % tenants.len();
        overrides.of(black_box(&tenants[i]))
    });
}

#[divan::bench(args = [1, 20_000])]
fn take_tokens(bencher: Bencher, n: usize) {
    let tenants = tenants(n);
    let limiter = RateLimiter::new(Arc::new(SystemClock::default()));
    let limits = Limits { ingestion_rate_mb: 1e9, ingestion_burst_size_mb: 1e9, ..Limits::default() };
    let mut i = 0;
    bencher.bench_local(|| {
        i = (i + 1) % tenants.len();
        limiter.admit(black_box(&tenants[i]), 1, &limits, 1).is_ok()
    });
}

#[divan::bench]
fn relabel_by_the_default_rules(bencher: Bencher) {
    let labels = Labels::from_pairs([("__name__", "process_cpu"), ("pod", "p-0"), ("service_name", "checkout")]);
    bencher.bench_local(|| {
        let mut builder = labels.to_builder();
        (relabel(default_rules(), &mut builder), builder)
    });
}
