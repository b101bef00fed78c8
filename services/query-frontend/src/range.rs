//! The time rules of queries: what is asked for, moved into what the tenant may ask.

use flamestore_flamegraph::series::Grid;
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
    let longest = limits.max_query_length.nanos() / 1_000_000;
    let oldest_ms = oldest_ms(limits, now_ms, 0);
    if end_ms < oldest_ms {
        return Ok(None);
    }
    let start_ms = start_ms.max(oldest_ms);
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

/// The same range an offset earlier, as far as profiles of that age are shown.
pub(crate) fn moved_back(range: TimeRange, offset_ms: i64, limits: &Limits, now_ms: i64) -> Option<TimeRange> {
    let TimeRange { from_nanos, to_nanos } = range.moved_back(offset_ms);
    let oldest_nanos = oldest_ms(limits, now_ms, offset_ms).saturating_mul(1_000_000);
    (to_nanos >= oldest_nanos).then(|| TimeRange { from_nanos: from_nanos.max(oldest_nanos), to_nanos })
}

/// What is read for all points of a grid. The first one reaches back by a step, but not further than a query may be long,
/// nor to what is not shown.
pub(crate) fn to_read(grid: Grid, offset_ms: i64, limits: &Limits, now_ms: i64) -> TimeRange {
    let longest = Some(limits.max_query_length.nanos() / 1_000_000).filter(|ms| *ms > 0).unwrap_or(i64::MAX);
    let from_ms = grid.start_ms.saturating_sub(grid.step_ms.min(longest));
    TimeRange::from_millis(from_ms.max(oldest_ms(limits, now_ms, offset_ms)), grid.end_ms)
}

/// The oldest time that the tenant may see: a query moved back by an offset looks back so much further, but never to what is
/// past retention, which is not shown even while its block holds younger profiles too.
fn oldest_ms(limits: &Limits, now_ms: i64, offset_ms: i64) -> i64 {
    let lookback = Some(limits.max_query_lookback.nanos() / 1_000_000).filter(|ms| *ms > 0);
    let reach = lookback.map_or(i64::MIN, |ms| now_ms.saturating_sub(ms.saturating_add(offset_ms)));
    reach.max(limits.kept_from_nanos(now_ms.saturating_mul(1_000_000)) / 1_000_000)
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
