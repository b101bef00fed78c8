//! Time series of profile totals.

use flamestore_flamegraph::{Aggregation, Grid, Series, SeriesOptions, select_series};
use flamestore_model::{Fault, TimeRange};

use crate::frontend::{Asker, Frontend, off_the_reactor};
use crate::range;
use crate::select::Wanted;

/// The most points that one series may have.
pub const MAX_POINTS: i64 = 1_000_000;

/// A series request, as it came.
#[derive(Debug, Clone)]
pub struct SeriesRequest {
    pub wanted: Wanted,
    pub start_ms: i64,
    pub end_ms: i64,
    pub step_seconds: f64,
    pub group_by: Vec<String>,
    pub aggregation: Aggregation,
    /// Most series to return; 0: all.
    pub limit: usize,
    pub exemplars: bool,
}

impl Frontend {
    /// Answers `SelectSeries`. The first point, at `start`, covers the step before it.
    pub async fn select_series(&self, asker: &Asker, request: SeriesRequest) -> Result<Vec<Series>, Fault> {
        let limits = self.limits(asker);
        let Some(range) = range::checked(request.start_ms, request.end_ms, &limits, self.now_ms())? else {
            return Ok(Vec::new());
        };
        let Some(step_ms) = step_ms(request.step_seconds)? else { return Ok(Vec::new()) };
        let grid = Grid { start_ms: range.from_nanos / 1_000_000, end_ms: range.to_nanos / 1_000_000, step_ms };
        if (grid.end_ms - grid.start_ms) / step_ms > MAX_POINTS {
            return Err(Fault::invalid(format!("step {step_ms} ms gives more than {MAX_POINTS} points: raise the step")));
        }
        let points = self.querier().points(&asker.tenants, &request.wanted.over(range)).await?.value;
        let options = SeriesOptions {
            group_by: request.group_by,
            aggregation: request.aggregation,
            limit: request.limit,
            exemplars: request.exemplars,
        };
        off_the_reactor(move || select_series(&points, grid, &options)).await
    }

    /// The values of a timeline: totals by step, gaps absent.
    pub(crate) async fn timeline(
        &self,
        asker: &Asker,
        wanted: &Wanted,
        range: TimeRange,
        grid: Grid,
        group_by: Vec<String>,
    ) -> Result<Vec<Series>, Fault> {
        let points = self.querier().points(&asker.tenants, &wanted.over(range)).await?.value;
        let options = SeriesOptions { group_by, ..SeriesOptions::default() };
        off_the_reactor(move || select_series(&points, grid, &options)).await
    }
}

/// `None`: the step is not a number, and an answer on no grid has no points.
pub(crate) fn step_ms(seconds: f64) -> Result<Option<i64>, Fault> {
    if seconds.is_nan() {
        return Ok(None);
    }
    if seconds < 0.001 {
        return Err(Fault::invalid("step must be >= 1ms"));
    }
    Ok(Some((seconds * 1000.0).min(i64::MAX as f64 / 4.0) as i64))
}
