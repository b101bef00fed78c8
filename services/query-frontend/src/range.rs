//! The time rules of queries: what is asked for, moved into what the tenant may ask.

use flamestore_limits::Limits;
use flamestore_model::{Discard, Fault, TimeRange};

/// The range that profile type queries without one mean, in milliseconds.
const DEFAULT_TYPES_RANGE_MS: i64 = 3_600_000;

/// Checks `start..end` (milliseconds, closed) against the tenant's limits. `None`: it lies wholly before the lookback,
/// so the answer is empty.
pub fn checked(start_ms: i64, end_ms: i64, limits: &Limits, now_ms: i64) -> Result<Option<TimeRange>, Fault> {
    if start_ms == 0 || end_ms == 0 {
        return Err(Fault::invalid(
            "missing time range in the query: set start and end, in milliseconds since the epoch",
        )
        .discarding(Discard::MissingTimeRange));
    }
    if start_ms > end_ms {
        return Err(Fault::invalid(format!("query start time {start_ms} is after end time {end_ms}"))
            .discarding(Discard::InvalidTimeRange));
    }
    let (lookback, longest) =
        (limits.max_query_lookback.nanos() / 1_000_000, limits.max_query_length.nanos() / 1_000_000);
    let mut start_ms = start_ms;
    if lookback > 0 {
        let oldest = now_ms.saturating_sub(lookback);
        if end_ms < oldest {
            return Ok(None);
        }
        start_ms = start_ms.max(oldest);
    }
    let length = end_ms.saturating_sub(start_ms);
    if longest > 0 && length > longest {
        return Err(Fault::invalid(format!(
            "the query's time range of {} s exceeds the limit of {} s: ask for less, or raise querier.max-query-length",
            length / 1000,
            longest / 1000
        ))
        .discarding(Discard::QueryLimit));
    }
    Ok(Some(TimeRange::from_millis(start_ms, end_ms)))
}

/// As [`checked`], but no range at all means the last hour.
pub fn checked_or_last_hour(
    start_ms: i64,
    end_ms: i64,
    limits: &Limits,
    now_ms: i64,
) -> Result<Option<TimeRange>, Fault> {
    if start_ms == 0 && end_ms == 0 {
        checked(now_ms - DEFAULT_TYPES_RANGE_MS, now_ms, limits, now_ms)
    } else {
        checked(start_ms, end_ms, limits, now_ms)
    }
}

/// How many flame graph nodes may be shown. `Ok(0)`: as many as there are.
pub fn max_nodes(asked: Option<i64>, limits: &Limits) -> Result<usize, Fault> {
    let (default, max) = (limits.max_flamegraph_nodes_default, limits.max_flamegraph_nodes_max);
    let asked = match asked {
        None | Some(0) => i64::try_from(default).unwrap_or(i64::MAX),
        Some(n) => n,
    };
    if max == 0 {
        return Ok(usize::try_from(asked).unwrap_or(0));
    }
    match usize::try_from(asked) {
        Ok(0) | Err(_) => Err(Fault::invalid(format!(
            "max_nodes is {asked} but must be set (at most {max}: querier.max-flamegraph-nodes-max)"
        ))
        .discarding(Discard::FlamegraphLimit)),
        Ok(n) if n as u64 > max => {
            Err(Fault::invalid(format!("max_nodes {n} is over the limit of {max} (querier.max-flamegraph-nodes-max)"))
                .discarding(Discard::FlamegraphLimit))
        }
        Ok(n) => Ok(n),
    }
}
