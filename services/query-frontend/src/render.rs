//! The answers of `/pyroscope/render` and `/pyroscope/render-diff`: flame graphs in the JSON of old clients and scripts.

use std::collections::BTreeMap;

use flamestore_flamegraph::series::{Aggregation, Grid, Series, SeriesOptions};
use flamestore_flamegraph::timeline::{Timeline, render_step_seconds};
use flamestore_flamegraph::{Diff, Flamegraph};
use flamestore_model::{Fault, ProfileType, QueryText, Select, StackFilter, TimeRange, TypeWanted};
use serde::Serialize;

use crate::frontend::{Asker, Frontend};
use crate::select::Wanted;
use crate::stacktraces::{Form, MergeRequest, Merged};
use crate::{metadata, range};

/// A query text over a range, as it came.
#[derive(Debug, Clone)]
pub struct Selection {
    pub query: String,
    pub from_ms: i64,
    pub until_ms: i64,
    pub max_nodes: Option<i64>,
}

/// One flame graph with its timeline, as it was asked for.
#[derive(Debug, Clone)]
pub struct RenderRequest {
    pub selection: Selection,
    /// A label whose values get timelines of their own.
    pub group_by: Option<String>,
    pub aggregation: Aggregation,
}

/// The JSON of both pages.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendered {
    version: u32,
    flamebearer: Flamebearer,
    metadata: Metadata,
    timeline: Option<TimelineJson>,
    groups: Option<BTreeMap<String, TimelineJson>>,
    /// Always null; clients look for the key.
    heatmap: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ticks: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    right_ticks: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Flamebearer {
    names: Vec<String>,
    levels: Vec<Vec<i64>>,
    num_ticks: i64,
    max_self: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    /// `single`: four numbers a node. `double`: seven.
    format: &'static str,
    spy_name: &'static str,
    sample_rate: u64,
    units: String,
    name: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimelineJson {
    /// Seconds since the epoch.
    start_time: i64,
    samples: Vec<u64>,
    /// Seconds.
    duration_delta: i64,
    watermarks: Option<()>,
}

impl Frontend {
    /// Answers `/pyroscope/render` in JSON.
    pub async fn render(&self, asker: &Asker, request: RenderRequest) -> Result<Rendered, Fault> {
        let merge = self.merge_request(asker, &request.selection, Form::Flamegraph).await?;
        self.drawn(asker, merge, request.group_by, request.aggregation).await
    }

    /// A flame graph with its timeline.
    pub(crate) async fn drawn(
        &self,
        asker: &Asker,
        merge: MergeRequest,
        group_by: Option<String>,
        aggregation: Aggregation,
    ) -> Result<Rendered, Fault> {
        let [from_ms, until_ms] = [merge.start_ms, merge.end_ms].map(|ms| ms.saturating_sub(merge.offset_ms));
        let step_seconds = render_step_seconds(from_ms, until_ms);
        let floor = |ms: i64| ms.div_euclid(step_seconds * 1000) * step_seconds * 1000;
        let grid = Grid { start_ms: floor(from_ms), end_ms: floor(until_ms), step_ms: step_seconds * 1000 };
        let options =
            SeriesOptions { group_by: group_by.iter().cloned().collect(), aggregation, ..SeriesOptions::default() };
        let (merged, series) = tokio::try_join!(
            self.select_merge_stacktraces(asker, merge.clone()),
            self.series_on(asker, &merge.wanted, grid, merge.offset_ms, options)
        )?;
        let Merged::Flamegraph(graph) = merged else {
            return Err(Fault::internal("a flame graph was asked for and something else came"));
        };
        let lay = |series: Option<&Series>| {
            let points = series.into_iter().flat_map(|s| s.points.iter().map(|p| (p.time_ms, p.value)));
            TimelineJson::from(Timeline::of(points, from_ms, until_ms, step_seconds))
        };
        let groups = group_by.as_ref().map(|_| {
            let key = |s: &Series| s.labels.first().map_or_else(|| "*".to_owned(), |(_, value)| value.to_string());
            series.iter().map(|s| (key(s), lay(Some(s)))).collect()
        });
        let shown = &merge.wanted.profile_type;
        // The timeline of all groups together has no place in this answer, as in the peer's.
        let whole = if series.len() == 1 { series.first() } else { None };
        Ok(Rendered {
            version: 1,
            metadata: Metadata::of(&shown.sample_type, &shown.sample_unit, "single"),
            flamebearer: graph.into(),
            timeline: Some(lay(whole)),
            groups,
            heatmap: None,
            left_ticks: None,
            right_ticks: None,
        })
    }

    /// Answers `/pyroscope/render` in DOT; empty when there is nothing.
    pub async fn render_dot(&self, asker: &Asker, selection: &Selection) -> Result<String, Fault> {
        let merge = self.merge_request(asker, selection, Form::Dot).await?;
        self.dot(asker, merge).await
    }

    pub(crate) async fn dot(&self, asker: &Asker, merge: MergeRequest) -> Result<String, Fault> {
        match self.select_merge_stacktraces(asker, merge).await? {
            Merged::Dot(text) => Ok(text.unwrap_or_default()),
            _ => Err(Fault::internal("DOT was asked for and something else came")),
        }
    }

    /// Answers `/pyroscope/render-diff`.
    pub async fn render_diff(&self, asker: &Asker, left: Selection, right: Selection) -> Result<Rendered, Fault> {
        let left = self.merge_request(asker, &left, Form::Flamegraph).await.map_err(|f| f.at("left"))?;
        let right = self.merge_request(asker, &right, Form::Flamegraph).await.map_err(|f| f.at("right"))?;
        self.compared(asker, left, right).await
    }

    /// Both sides of a comparison, which must be of one profile type.
    pub(crate) async fn compared(
        &self,
        asker: &Asker,
        left: MergeRequest,
        right: MergeRequest,
    ) -> Result<Rendered, Fault> {
        let profile_type = left.wanted.profile_type.clone();
        if profile_type != right.wanted.profile_type {
            return Err(Fault::invalid(format!(
                "profile types must match: left is {profile_type}, right is {}",
                right.wanted.profile_type
            )));
        }
        let diff = self.diff(asker, &left, &right, None).await?;
        Ok(Rendered::double(diff, Metadata::of(&profile_type.sample_type, &profile_type.sample_unit, "double")))
    }

    /// Reads the text; a short profile type is looked up among the types that the selector finds.
    async fn merge_request(&self, asker: &Asker, selection: &Selection, form: Form) -> Result<MergeRequest, Fault> {
        let query = QueryText::parse(&selection.query)?;
        let range = self.range_meant(asker, &query, selection)?;
        let profile_type = self.type_meant(asker, &query, range).await?;
        Ok(selection.merge_of(query, profile_type, form))
    }

    /// The range of a text, moved back by its offset.
    pub(crate) fn range_meant(
        &self,
        asker: &Asker,
        query: &QueryText,
        selection: &Selection,
    ) -> Result<Option<TimeRange>, Fault> {
        let (limits, now_ms) = (self.limits(asker), self.now_ms());
        let range = range::checked(selection.from_ms, selection.until_ms, &limits, now_ms)?;
        Ok(range.and_then(|range| range::moved_back(range, query.offset_ms, &limits, now_ms)))
    }

    pub(crate) async fn type_meant(
        &self,
        asker: &Asker,
        query: &QueryText,
        range: Option<TimeRange>,
    ) -> Result<ProfileType, Fault> {
        query.profile_type.among(&self.stored_types(asker, query, range).await?)
    }

    /// The types that are stored for what a text selects, if it needs to know them.
    pub(crate) async fn stored_types(
        &self,
        asker: &Asker,
        query: &QueryText,
        range: Option<TimeRange>,
    ) -> Result<Vec<ProfileType>, Fault> {
        let (TypeWanted::Short(_) | TypeWanted::Unsaid, Some(range)) = (&query.profile_type, range) else {
            return Ok(Vec::new());
        };
        let select = Select { selector: query.selector.clone(), ..Select::everything(range) };
        Ok(metadata::profile_types(&self.querier().series(&asker.tenants, &select).await?.value))
    }
}

impl Selection {
    pub(crate) fn merge_of(&self, query: QueryText, profile_type: ProfileType, form: Form) -> MergeRequest {
        let wanted = Wanted {
            profile_type,
            selector: query.selector,
            profile_ids: Vec::new(),
            span_ids: Vec::new(),
            trace_ids: Vec::new(),
            stacks: StackFilter::default(),
        };
        MergeRequest {
            wanted,
            start_ms: self.from_ms,
            end_ms: self.until_ms,
            offset_ms: query.offset_ms,
            max_nodes: self.max_nodes,
            form,
            go_pgo: None,
        }
    }
}

impl Rendered {
    /// A flame graph without a timeline.
    pub(crate) fn single(graph: Flamegraph, metadata: Metadata) -> Self {
        Rendered {
            version: 1,
            flamebearer: graph.into(),
            metadata,
            timeline: None,
            groups: None,
            heatmap: None,
            left_ticks: None,
            right_ticks: None,
        }
    }

    /// Two flame graphs side by side.
    pub(crate) fn double(diff: Diff, metadata: Metadata) -> Self {
        Rendered {
            left_ticks: Some(diff.left_ticks),
            right_ticks: Some(diff.right_ticks),
            version: 1,
            flamebearer: diff.into(),
            metadata,
            timeline: None,
            groups: None,
            heatmap: None,
        }
    }
}

impl Metadata {
    /// Of a file that says nothing but its name.
    pub(crate) fn of_file(name: &str, format: &'static str) -> Self {
        Metadata { format, spy_name: "unknown", sample_rate: 100, units: String::new(), name: name.to_owned() }
    }

    /// Of a flame graph that was shown before.
    pub(crate) fn as_shown(name: &str, units: &str, sample_rate: u64, format: &'static str) -> Self {
        Metadata { format, spy_name: "", sample_rate, units: units.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn of(name: &str, unit: &str, format: &'static str) -> Self {
        let units = match name {
            "inuse_objects" | "alloc_objects" | "goroutine" | "goroutines" | "samples" => "objects",
            "cpu" => "samples",
            _ => unit,
        };
        let sample_rate = if name == "cpu" { 1_000_000_000 } else { 100 };
        Metadata { format, spy_name: "", sample_rate, units: units.to_owned(), name: name.to_owned() }
    }
}

impl From<Flamegraph> for Flamebearer {
    fn from(graph: Flamegraph) -> Self {
        Flamebearer { names: graph.names, levels: graph.levels, num_ticks: graph.total, max_self: graph.max_self }
    }
}

impl From<Diff> for Flamebearer {
    fn from(diff: Diff) -> Self {
        Flamebearer { names: diff.names, levels: diff.levels, num_ticks: diff.total, max_self: diff.max_self }
    }
}

impl From<Timeline> for TimelineJson {
    fn from(line: Timeline) -> Self {
        TimelineJson {
            start_time: line.start_seconds,
            samples: line.samples,
            duration_delta: line.step_seconds,
            watermarks: None,
        }
    }
}
