//! Time series of profile totals.
use flamestore_model::{Labels, SeriesPoints, ProfileId};

/// Points of a query: `start_ms + k * step_ms` up to `end_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid { pub start_ms: i64, pub end_ms: i64, pub step_ms: i64 }

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregation { #[default] Sum, Average }

/// How profiles become series.
#[derive(Debug, Clone, Default)]
pub struct SeriesOptions {
    pub group_by: Vec<String>,
    pub aggregation: Aggregation,
    /// Most series answered, the largest first; 0: all.
    pub limit: usize,
    pub exemplars: bool,
}

/// The profile with the highest value of a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar { pub time_ms: i64, pub profile_id: ProfileId, pub value: i64, pub labels: Vec<(String, String)> }

#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoint { pub time_ms: i64, pub value: f64, pub exemplar: Option<Exemplar> }

#[derive(Debug, Clone, PartialEq)]
pub struct Series { pub labels: Vec<(String, String)>, pub points: Vec<SeriesPoint> }

/// Groups the profiles onto the grid.
pub fn select_series(_series: &[SeriesPoints], _grid: Grid, _options: &SeriesOptions) -> Vec<Series> { let _ = Labels::default(); Vec::new() }
