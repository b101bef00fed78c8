//! Time series of profile totals.

use flamestore_flamegraph::series::{Grid, Series, SeriesOptions, select_series};
use flamestore_model::Fault;

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
    pub options: SeriesOptions,
}

impl Frontend {
    /// Answers `SelectSeries`.
    pub async fn select_series(&self, asker: &Asker, request: SeriesRequest) -> Result<Vec<Series>, Fault> {
        let limits = self.limits(asker);
        let Some(range) = range::checked(request.start_ms, request.end_ms, &limits, self.now_ms())? else {
            return Ok(Vec::new());
        };
        let Some(step_ms) = step_ms(request.step_seconds)? else { return Ok(Vec::new()) };
        let grid = Grid { start_ms: range.from_nanos / 1_000_000, end_ms: range.to_nanos / 1_000_000, step_ms };
        if (grid.end_ms - grid.start_ms) / step_ms > MAX_POINTS {
            return Err(Fault::invalid(format!(
                "step {step_ms} ms gives more than {MAX_POINTS} points: raise the step"
            )));
        }
        self.series_on(asker, &request.wanted, grid, 0, request.options).await
    }

    /// Totals on a grid whose length has been checked, and that was moved back by `offset_ms`.
    pub(crate) async fn series_on(
        &self,
        asker: &Asker,
        wanted: &Wanted,
        grid: Grid,
        offset_ms: i64,
        options: SeriesOptions,
    ) -> Result<Vec<Series>, Fault> {
        let range = range::to_read(grid, offset_ms, &self.limits(asker), self.now_ms());
        if range.from_nanos > range.to_nanos {
            return Ok(Vec::new());
        }
        let points = self.querier().points(&asker.tenants, &wanted.over(range)).await?.value;
        off_the_reactor(move || select_series(&points, grid, &options)).await
    }
}

/// `None`: the step is not a number, and an answer on no grid has no points.
pub(crate) fn step_ms(seconds: f64) -> Result<Option<i64>, Fault> {
    if seconds.is_nan() {
        return Ok(None);
    }
    if seconds < 0.001 {
        return Err(Fault::invalid(format!("step is {seconds} s but must be at least 1 ms")));
    }
    Ok(Some((seconds * 1000.0).min(i64::MAX as f64 / 4.0) as i64))
}
