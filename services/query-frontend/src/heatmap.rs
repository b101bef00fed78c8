//! Heatmaps of profile values.

use flamestore_flamegraph::heatmap::{Heatmap, HeatmapOptions, ObservedSeries, heatmap};
use flamestore_flamegraph::series::Grid;
use flamestore_model::{Fault, Kind};

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
        if request.counted == Counted::Spans {
            return Err(Fault::new(
                Kind::Unimplemented,
                "heatmaps of spans are not built yet: ask for HEATMAP_QUERY_TYPE_INDIVIDUAL",
            ));
        }
        let grid = Grid { start_ms: range.from_nanos / 1_000_000, end_ms: range.to_nanos / 1_000_000, step_ms };
        let query = request.wanted.over(grid.read_range());
        let points = self.querier().points(&asker.tenants, &query).await?.value;
        off_the_reactor(move || {
            let observed: Vec<ObservedSeries> = points.iter().map(ObservedSeries::from).collect();
            heatmap(&observed, grid, &request.options)
        })
        .await
    }
}
