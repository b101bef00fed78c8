//! Heatmaps of the values of profiles, or of spans.

use flamestore_flamegraph::heatmap::{Heatmap, HeatmapOptions, ObservedSeries, heatmap};
use flamestore_flamegraph::series::Grid;
use flamestore_model::Fault;

use crate::frontend::{Asker, Frontend, off_the_reactor};
use crate::range;
use crate::select::Wanted;
use crate::series::step_ms;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Profiles,
    Spans,
}

/// A heatmap request, as it came.
#[derive(Debug, Clone)]
pub struct HeatmapRequest {
    pub wanted: Wanted,
    pub start_ms: i64,
    pub end_ms: i64,
    pub step_seconds: f64,
    pub counted: Counted,
    pub options: HeatmapOptions,
}

impl Frontend {
    /// Answers `SelectHeatmap`.
    pub async fn select_heatmap(&self, asker: &Asker, request: HeatmapRequest) -> Result<Heatmap, Fault> {
        let limits = self.limits(asker);
        if request.start_ms == request.end_ms {
            return Err(Fault::invalid("a heatmap needs a start before its end: both are the same"));
        }
        let Some(range) = range::checked(request.start_ms, request.end_ms, &limits, self.now_ms())? else {
            return Ok(Heatmap::default());
        };
        let Some(step_ms) = step_ms(request.step_seconds)? else { return Ok(Heatmap::default()) };
        let grid = Grid { start_ms: range.from_nanos / 1_000_000, end_ms: range.to_nanos / 1_000_000, step_ms };
        let query = request.wanted.over(range::to_read(grid, 0, &limits, self.now_ms()));
        let observed = match request.counted {
            Counted::Profiles => {
                let points = self.querier().points(&asker.tenants, &query).await?.value;
                off_the_reactor(move || points.iter().map(ObservedSeries::from).collect()).await?
            }
            Counted::Spans => self.querier().spans(&asker.tenants, &query.select).await?.value,
        };
        off_the_reactor(move || heatmap(&observed, grid, &request.options)).await
    }
}
