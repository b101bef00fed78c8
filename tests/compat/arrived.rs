//! What has arrived in a server, and whether it is about what was sent.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::client::Flame;
use serde_json::{Value, json};

use super::number;

/// Looks one hour back.
const RANGE_SECONDS: i64 = 3600;

fn now_seconds() -> i64 {
    SystemClock::default().now_nanos() / 1_000_000_000
}

/// The identifiers of all profile types.
pub(super) fn types(server: &Server) -> BTreeSet<String> {
    let now = now_seconds();
    let range = json!({"start": (now - RANGE_SECONDS) * 1000, "end": (now + 60) * 1000});
    let answer = server.client().call("querier.v1.QuerierService/ProfileTypes", &range);
    let types = answer["profileTypes"].as_array().into_iter().flatten();
    types.filter_map(|t| t["ID"].as_str()).map(str::to_owned).collect()
}

/// The flame graph of what `selector` finds of a type. Its self values must add up to its total.
pub(super) fn flame(server: &Server, profile_type: &str, selector: &str) -> Flame {
    let now = now_seconds();
    let flame = server.client().merged(profile_type, selector, now - RANGE_SECONDS, now + 60);
    assert_eq!(flame.self_values.values().sum::<i64>(), flame.total, "{profile_type} {selector}");
    flame
}

/// The value under the functions whose name contains `function`. Panics when it is not in `expected`.
pub(super) fn check(
    server: &Server,
    profile_type: &str,
    selector: &str,
    function: &str,
    expected: RangeInclusive<i64>,
) {
    let flame = flame(server, profile_type, selector);
    let found: i64 = flame.totals.iter().filter(|(name, _)| name.contains(function)).map(|(_, total)| total).sum();
    assert!(
        expected.contains(&found),
        "{profile_type} {selector}: {function} has {found} of {}, expected {expected:?}; types {:?}",
        flame.total,
        types(server),
    );
    assert!(flame.total >= found, "{profile_type}: a total of {} below {found}", flame.total);
}

/// CPU time by a profiler that looks who runs, or whom the kernel charges for whole ticks: waiting for a busy core counts too.
pub(super) fn running(did: &Value) -> RangeInclusive<i64> {
    let (low, high) = (about(number(did, "cpu_ns")), about(number(did, "wall_ns")));
    *low.start()..=*high.end()
}

/// What a sampling profiler may make of a true value: it misses its start and end, and waits are counted a little long.
pub(super) fn about(value: i64) -> RangeInclusive<i64> {
    value / 2..=value + value / 4
}
