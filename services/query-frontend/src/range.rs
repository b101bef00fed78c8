//! The time rules of queries: what is asked for, moved into what the tenant may ask.

use flamestore_limits::Limits;
use flamestore_model::{Fault, FaultId, TimeRange};

/// The range that profile type queries without one mean, in milliseconds.
const DEFAULT_TYPES_RANGE_MS: i64 = 3_600_000;

/// Checks `start..end` (milliseconds, closed) against the tenant's limits. `None`: it lies wholly before the lookback or
/// what is kept, so the answer is empty.
pub fn checked(start_ms: i64, end_ms: i64, limits: &Limits, now_ms: i64) -> Result<Option<TimeRange>, Fault> {
    if start_ms == 0 || end_ms == 0 {
        return Err(Fault::of(
            FaultId::TimeRangeMissing,
            "missing time range in the query: set start and end, in milliseconds since the epoch",
        ));
    }
    if start_ms > end_ms {
        return Err(Fault::of(
            FaultId::TimeRangeInvalid,
            format!("query start time {start_ms} is after end time {end_ms}"),
        ));
    }
    let (lookback, longest) =
        (limits.max_query_lookback.nanos() / 1_000_000, limits.max_query_length.nanos() / 1_000_000);
    let mut start_ms = start_ms;
    // What is past retention is not shown, even while its block holds younger profiles too.
    let kept = limits.retention().map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    for reach in [lookback, kept].into_iter().filter(|reach| *reach > 0) {
        let oldest = now_ms.saturating_sub(reach);
        if end_ms < oldest {
            return Ok(None);
        }
        start_ms = start_ms.max(oldest);
    }
    let length = end_ms.saturating_sub(start_ms);
    if longest > 0 && length > longest {
        return Err(Fault::over(
            FaultId::TimeRangeTooLong,
            format_args!("the query's time range of {} s exceeds the limit", length / 1000),
            format_args!("{} s", longest / 1000),
        ));
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
        Ok(0) | Err(_) => Err(Fault::of(
            FaultId::TooManyNodes,
            format!("max_nodes is {asked} but must be set (at most {max}: limits.max_flamegraph_nodes_max)"),
        )),
        Ok(n) if n as u64 > max => Err(Fault::over(FaultId::TooManyNodes, format_args!("max_nodes is {n}"), max)),
        Ok(n) => Ok(n),
    }
}
