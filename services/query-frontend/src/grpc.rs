//! `querier.v1.QuerierService`: wire messages to requests, answers to wire messages.

mod functions;

use std::sync::Arc;

use flamestore_flamegraph::group::LabelList;
use flamestore_flamegraph::heatmap::{CellExemplar, Heatmap, HeatmapOptions, Slot};
use flamestore_flamegraph::series::{Aggregation, Exemplar, Series, SeriesOptions};
use flamestore_flamegraph::{Diff, Flamegraph, GoPgo};
use flamestore_model::{
    Annotation, Cost, Fault, FrameFilter, FramePatterns, Label, Select, Selector, SeriesInfo, StackFilter, TimeRange,
};
use flamestore_proto::google::v1::Profile;
use flamestore_proto::querier::v1 as wire;
use flamestore_proto::querier::v1::querier_service_server::QuerierService;
use flamestore_proto::types::v1 as types;
use flamestore_rpc::{Capabilities, Tenants, to_status};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::analyze::{Analysis, AnalyzeRequest};
use crate::diff::{Compared, DiffRequest};
use crate::frontend::{Asker, Frontend};
use crate::heatmap::{Counted, HeatmapRequest};
use crate::select::Fields;
use crate::series::SeriesRequest;
use crate::stacktraces::{Form, MergeRequest, Merged};
use crate::{metadata, range};

/// The gRPC face of a [`Frontend`]; the Connect layer speaks through it too.
#[derive(Clone)]
pub struct QuerierDoor(pub Arc<Frontend>);

type Answer<T> = Result<Response<T>, Status>;

fn asker<T>(request: &Request<T>) -> Result<Asker, Fault> {
    let tenants = Tenants::of(request.extensions())?.all().to_vec();
    let utf8_names = request.extensions().get::<Capabilities>().is_some_and(|c| c.allow_utf8_label_names);
    Ok(Asker { tenants, utf8_names })
}

fn done<T>(result: Result<T, Fault>) -> Answer<T> {
    result.map(Response::new).map_err(to_status)
}

impl QuerierDoor {
    /// The series that a label call speaks of; none where the range lies wholly in the past of the lookback.
    async fn series_of(
        &self,
        asker: &Asker,
        matchers: &[String],
        range: Option<TimeRange>,
    ) -> Result<Vec<SeriesInfo>, Fault> {
        let selector = Selector::parse_all(matchers)?;
        let Some(range) = range else { return Ok(Vec::new()) };
        let select = Select { selector, ..Select::everything(range) };
        Ok(self.0.querier().series(&asker.tenants, &select).await?.value)
    }

    fn checked(&self, asker: &Asker, start: i64, end: i64) -> Result<Option<TimeRange>, Fault> {
        range::checked(start, end, &self.0.limits(asker), self.0.now_ms())
    }
}

#[tonic::async_trait]
impl QuerierService for QuerierDoor {
    async fn profile_types(&self, request: Request<wire::ProfileTypesRequest>) -> Answer<wire::ProfileTypesResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let limits = self.0.limits(&asker);
            let r = request.get_ref();
            let range = range::checked_or_last_hour(r.start, r.end, &limits, self.0.now_ms())?;
            let series = self.series_of(&asker, &[], range).await?;
            let profile_types = metadata::profile_types(&series)
                .into_iter()
                .map(|t| types::ProfileType {
                    id: t.to_string(),
                    name: t.name,
                    sample_type: t.sample_type,
                    sample_unit: t.sample_unit,
                    period_type: t.period_type,
                    period_unit: t.period_unit,
                })
                .collect();
            Ok(wire::ProfileTypesResponse { profile_types })
        };
        done(answer.await)
    }

    async fn label_values(&self, request: Request<types::LabelValuesRequest>) -> Answer<types::LabelValuesResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.get_ref();
            if r.name.is_empty() {
                return Err(Fault::invalid("name is required: the label whose values are wanted"));
            }
            let range = self.checked(&asker, r.start, r.end)?;
            let series = self.series_of(&asker, &r.matchers, range).await?;
            Ok(types::LabelValuesResponse { names: metadata::label_values(&series, &r.name) })
        };
        done(answer.await)
    }

    async fn label_names(&self, request: Request<types::LabelNamesRequest>) -> Answer<types::LabelNamesResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.get_ref();
            let range = self.checked(&asker, r.start, r.end)?;
            let series = self.series_of(&asker, &r.matchers, range).await?;
            Ok(types::LabelNamesResponse { names: metadata::label_names(&series, asker.utf8_names) })
        };
        done(answer.await)
    }

    async fn series(&self, request: Request<wire::SeriesRequest>) -> Answer<wire::SeriesResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.get_ref();
            let range = self.checked(&asker, r.start, r.end)?;
            let series = self.series_of(&asker, &r.matchers, range).await?;
            let labels_set = metadata::label_sets(&series, &r.label_names, asker.utf8_names)
                .into_iter()
                .map(|set| types::Labels { labels: set.into_iter().map(pair_of).collect() })
                .collect();
            Ok(wire::SeriesResponse { labels_set })
        };
        done(answer.await)
    }

    async fn select_merge_stacktraces(
        &self,
        request: Request<wire::SelectMergeStacktracesRequest>,
    ) -> Answer<wire::SelectMergeStacktracesResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let merged = self.0.select_merge_stacktraces(&asker, merge_request(request.get_ref())?).await?;
            let mut out = wire::SelectMergeStacktracesResponse::default();
            match merged {
                Merged::Flamegraph(graph) => out.flamegraph = Some(flamegraph(graph)),
                Merged::Tree(bytes) => out.tree = bytes.into(),
                Merged::Functions(table) => out.functions = Some(functions::table(table)),
                Merged::Sandwich(sandwich) => out.sandwich = Some(functions::sandwich(sandwich)),
                Merged::Dot(text) => out.dot = text.unwrap_or_default(),
                Merged::Pprof(bytes) => {
                    out.pprof = Some(wire::PprofProfile { profile: Some(pprof(&bytes)?) });
                }
            }
            Ok(out)
        };
        done(answer.await)
    }

    async fn select_merge_span_profile(
        &self,
        request: Request<wire::SelectMergeSpanProfileRequest>,
    ) -> Answer<wire::SelectMergeSpanProfileResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.get_ref();
            let fields = Fields {
                profile_type_id: &r.profile_type_id,
                label_selector: &r.label_selector,
                span_ids: &r.span_selector,
                ..Fields::default()
            };
            let form = if r.format() == wire::ProfileFormat::Tree { Form::Tree } else { Form::Flamegraph };
            let merge = MergeRequest {
                wanted: fields.read()?,
                start_ms: r.start,
                end_ms: r.end,
                offset_ms: 0,
                max_nodes: r.max_nodes,
                form,
                go_pgo: None,
            };
            let mut out = wire::SelectMergeSpanProfileResponse::default();
            match self.0.select_merge_stacktraces(&asker, merge).await? {
                Merged::Tree(bytes) => out.tree = bytes.into(),
                Merged::Flamegraph(graph) => out.flamegraph = Some(flamegraph(graph)),
                Merged::Functions(_) | Merged::Sandwich(_) | Merged::Dot(_) | Merged::Pprof(_) => {}
            }
            Ok(out)
        };
        done(answer.await)
    }

    async fn select_merge_profile(&self, request: Request<wire::SelectMergeProfileRequest>) -> Answer<Profile> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.get_ref();
            let (stacks, go_pgo) = stack_selector(r.stack_trace_selector.as_ref())?;
            let fields = Fields {
                profile_type_id: &r.profile_type_id,
                label_selector: &r.label_selector,
                profile_ids: &r.profile_id_selector,
                trace_ids: &r.trace_id_selector,
                span_ids: &[],
                stacks,
            };
            let merge = MergeRequest {
                wanted: fields.read()?,
                start_ms: r.start,
                end_ms: r.end,
                offset_ms: 0,
                max_nodes: r.max_nodes,
                form: Form::Pprof,
                go_pgo,
            };
            pprof(&self.0.select_merge_profile(&asker, merge).await?)
        };
        done(answer.await)
    }

    async fn select_series(&self, request: Request<wire::SelectSeriesRequest>) -> Answer<wire::SelectSeriesResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.get_ref();
            let (stacks, _) = stack_selector(r.stack_trace_selector.as_ref())?;
            if r.exemplar_type() == types::ExemplarType::Span {
                return Err(Fault::invalid(
                    "exemplar_type of a series is none or individual: only heatmaps know spans",
                ));
            }
            let fields = Fields {
                profile_type_id: &r.profile_type_id,
                label_selector: &r.label_selector,
                stacks,
                ..Fields::default()
            };
            let options = SeriesOptions {
                group_by: r.group_by.clone(),
                aggregation: match r.aggregation() {
                    types::TimeSeriesAggregationType::Sum => Aggregation::Sum,
                    types::TimeSeriesAggregationType::Average => Aggregation::Average,
                },
                limit: r.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
                exemplars: r.exemplar_type() == types::ExemplarType::Individual,
            };
            let wanted = fields.read()?;
            let series = SeriesRequest { wanted, start_ms: r.start, end_ms: r.end, step_seconds: r.step, options };
            let series = self.0.select_series(&asker, series).await?;
            Ok(wire::SelectSeriesResponse { series: series.into_iter().map(series_of_wire).collect() })
        };
        done(answer.await)
    }

    async fn select_heatmap(
        &self,
        request: Request<wire::SelectHeatmapRequest>,
    ) -> Answer<wire::SelectHeatmapResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let map = self.0.select_heatmap(&asker, heatmap_request(request.get_ref())?).await?;
            Ok(wire::SelectHeatmapResponse { series: heatmap(map) })
        };
        done(answer.await)
    }

    async fn diff(&self, request: Request<wire::DiffRequest>) -> Answer<wire::DiffResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.into_inner();
            let side = |side: Option<wire::SelectMergeStacktracesRequest>, name: &'static str| {
                let side =
                    side.ok_or_else(|| Fault::invalid(format!("{name} is missing: a diff needs two selections")))?;
                merge_request(&side).map_err(|f| f.at(name))
            };
            let form = diff_form(&r)?;
            let (left, right) = (side(r.left, "left")?, side(r.right, "right")?);
            let compared = self.0.compare(&asker, DiffRequest { left, right, form, max_nodes: r.max_nodes }).await?;
            let mut out = wire::DiffResponse::default();
            match compared {
                Compared::Flamegraph(diff) => out.flamegraph = Some(flamegraph_diff(diff)),
                Compared::Functions(table) => out.functions = Some(functions::table_diff(table)),
                Compared::Sandwich(sides) => {
                    let [left, right] = sides.map(functions::sandwich);
                    out.sandwich = Some(wire::SandwichDiff { left: Some(left), right: Some(right) });
                }
            }
            Ok(out)
        };
        done(answer.await)
    }

    async fn get_profile_stats(
        &self,
        request: Request<types::GetProfileStatsRequest>,
    ) -> Answer<types::GetProfileStatsResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let [tenant] = asker.tenants.as_slice() else {
                return Err(Fault::invalid(format!("expected 1 tenant, got {}", asker.tenants.len())));
            };
            Ok(match self.0.querier().bounds(tenant).await? {
                None => types::GetProfileStatsResponse::default(),
                Some(range) => types::GetProfileStatsResponse {
                    data_ingested: true,
                    oldest_profile_time: range.from_nanos / 1_000_000,
                    newest_profile_time: range.to_nanos / 1_000_000,
                },
            })
        };
        done(answer.await)
    }

    async fn analyze_query(&self, request: Request<wire::AnalyzeQueryRequest>) -> Answer<wire::AnalyzeQueryResponse> {
        let answer = async {
            let asker = asker(&request)?;
            let r = request.into_inner();
            let request = AnalyzeRequest { query: r.query, start_ms: r.start, end_ms: r.end };
            let analysis = self.0.analyze(&asker, &request).await?;
            // Clients take the empty answer for "unknown".
            Ok(analysis.map(analysis_of_wire).unwrap_or_default())
        };
        done(answer.await)
    }
}

/// The names of the scopes are those that user interfaces know.
fn analysis_of_wire(analysis: Analysis) -> wire::AnalyzeQueryResponse {
    let Analysis { cost, readers, series } = analysis;
    let scope = |name: &str, cost: Cost| wire::QueryScope {
        component_type: name.to_owned(),
        component_count: readers,
        block_count: cost.parts,
        series_count: cost.series,
        profile_count: cost.profiles,
        sample_count: cost.samples,
        index_bytes: cost.index_bytes,
        profile_bytes: cost.profile_bytes,
        symbol_bytes: cost.symbol_bytes,
    };
    wire::AnalyzeQueryResponse {
        query_scopes: vec![scope("Short term", cost.heads), scope("Long term", cost.blocks)],
        query_impact: Some(wire::QueryImpact {
            total_bytes_in_time_range: cost.heads.bytes().saturating_add(cost.blocks.bytes()),
            total_queried_series: series,
            deduplication_needed: false,
        }),
    }
}

fn stack_selector(selector: Option<&types::StackTraceSelector>) -> Result<(StackFilter, Option<GoPgo>), Fault> {
    let Some(selector) = selector else { return Ok((StackFilter::default(), None)) };
    let go_pgo = selector
        .go_pgo
        .as_ref()
        .map(|p| GoPgo { keep_locations: p.keep_locations, aggregate_callees: p.aggregate_callees });
    let frames = match &selector.frame_filter {
        None => FrameFilter::default(),
        Some(filter) => FrameFilter::new(FramePatterns {
            include: filter.include.clone(),
            exclude: filter.exclude.clone(),
            include_regex: filter.include_regex.clone(),
            exclude_regex: filter.exclude_regex.clone(),
        })?,
    };
    let call_site = selector.call_site.iter().map(|l| l.name.clone()).collect();
    Ok((StackFilter { call_site, frames }, go_pgo))
}

fn merge_request(r: &wire::SelectMergeStacktracesRequest) -> Result<MergeRequest, Fault> {
    let (stacks, go_pgo) = stack_selector(r.stack_trace_selector.as_ref())?;
    let fields = Fields {
        profile_type_id: &r.profile_type_id,
        label_selector: &r.label_selector,
        profile_ids: &r.profile_id_selector,
        span_ids: &r.span_selector,
        trace_ids: &r.trace_id_selector,
        stacks,
    };
    let form = form_of(r.format(), r.sandwich_function.as_deref())?;
    let wanted = fields.read()?;
    Ok(MergeRequest { wanted, start_ms: r.start, end_ms: r.end, offset_ms: 0, max_nodes: r.max_nodes, form, go_pgo })
}

/// A format that this server does not know was read as none.
fn form_of(format: wire::ProfileFormat, sandwich_function: Option<&str>) -> Result<Form, Fault> {
    Ok(match format {
        wire::ProfileFormat::Unspecified | wire::ProfileFormat::Flamegraph => Form::Flamegraph,
        wire::ProfileFormat::Tree => Form::Tree,
        wire::ProfileFormat::Dot => Form::Dot,
        wire::ProfileFormat::Pprof => Form::Pprof,
        wire::ProfileFormat::Functions => Form::Functions,
        wire::ProfileFormat::Sandwich => Form::Sandwich(
            sandwich_function
                .ok_or_else(|| {
                    Fault::invalid("PROFILE_FORMAT_SANDWICH needs sandwich_function: the function in the middle")
                })?
                .to_owned(),
        ),
    })
}

/// What a diff says itself goes before what its left side says.
fn diff_form(r: &wire::DiffRequest) -> Result<Form, Fault> {
    let of_left = r.left.as_ref();
    let format = match (r.format(), of_left) {
        (wire::ProfileFormat::Unspecified, Some(left)) => left.format(),
        (format, _) => format,
    };
    let of_left = of_left.and_then(|left| left.sandwich_function.as_deref());
    form_of(format, r.sandwich_function.as_deref().or(of_left))
}

fn heatmap_request(r: &wire::SelectHeatmapRequest) -> Result<HeatmapRequest, Fault> {
    let counted = match r.query_type() {
        wire::HeatmapQueryType::Individual => Counted::Profiles,
        wire::HeatmapQueryType::Span => Counted::Spans,
        wire::HeatmapQueryType::Unspecified => {
            return Err(Fault::invalid("query_type must be HEATMAP_QUERY_TYPE_INDIVIDUAL or HEATMAP_QUERY_TYPE_SPAN"));
        }
    };
    let exemplars = match (r.exemplar_type(), counted) {
        (types::ExemplarType::Unspecified | types::ExemplarType::None, _) => false,
        (types::ExemplarType::Individual, Counted::Profiles) | (types::ExemplarType::Span, Counted::Spans) => true,
        _ => return Err(Fault::invalid("exemplar_type must be none or the same as query_type")),
    };
    let limit = match r.limit {
        Some(n) if n < 0 => return Err(Fault::invalid(format!("limit is {n} but must not be negative"))),
        n => n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
    };
    let fields = Fields { profile_type_id: &r.profile_type_id, label_selector: &r.label_selector, ..Fields::default() };
    Ok(HeatmapRequest {
        wanted: fields.read()?,
        start_ms: r.start,
        end_ms: r.end,
        step_seconds: r.step,
        counted,
        options: HeatmapOptions { group_by: r.group_by.clone(), limit, exemplars },
    })
}

fn pprof(bytes: &[u8]) -> Result<Profile, Fault> {
    Profile::decode(bytes).map_err(|e| Fault::internal("the merged profile cannot be encoded").caused_by(e))
}

fn flamegraph(graph: Flamegraph) -> wire::FlameGraph {
    wire::FlameGraph { names: graph.names, levels: levels(graph.levels), total: graph.total, max_self: graph.max_self }
}

fn flamegraph_diff(diff: Diff) -> wire::FlameGraphDiff {
    wire::FlameGraphDiff {
        names: diff.names,
        levels: levels(diff.levels),
        total: diff.total,
        max_self: diff.max_self,
        left_ticks: diff.left_ticks,
        right_ticks: diff.right_ticks,
    }
}

fn levels(levels: Vec<Vec<i64>>) -> Vec<wire::Level> {
    levels.into_iter().map(|values| wire::Level { values }).collect()
}

fn pair_of(label: Label) -> types::LabelPair {
    types::LabelPair { name: label.name.to_string(), value: label.value.to_string() }
}

fn pairs(labels: LabelList) -> Vec<types::LabelPair> {
    labels
        .into_iter()
        .map(|(name, value)| types::LabelPair { name: name.to_string(), value: value.to_string() })
        .collect()
}

fn series_of_wire(series: Series) -> types::Series {
    let points = series
        .points
        .into_iter()
        .map(|p| types::Point {
            value: p.value,
            timestamp: p.time_ms,
            annotations: p.annotations.into_iter().map(annotation).collect(),
            exemplars: p.exemplar.into_iter().map(exemplar).collect(),
        })
        .collect();
    types::Series { labels: pairs(series.labels), points }
}

fn annotation(a: Annotation) -> types::ProfileAnnotation {
    types::ProfileAnnotation { key: a.key.to_string(), value: a.value.to_string() }
}

fn exemplar(e: Exemplar) -> types::Exemplar {
    types::Exemplar {
        timestamp: e.time_ms,
        profile_id: e.profile_id.to_string(),
        value: e.value,
        labels: pairs(e.labels),
        ..types::Exemplar::default()
    }
}

fn heatmap(map: Heatmap) -> Vec<types::HeatmapSeries> {
    let y_min: Vec<f64> = map.y_min.iter().map(|y| *y as f64).collect();
    map.series
        .into_iter()
        .map(|series| types::HeatmapSeries {
            labels: pairs(series.labels),
            slots: series.slots.into_iter().map(|slot| heatmap_slot(slot, &y_min)).collect(),
        })
        .collect()
}

fn heatmap_slot(slot: Slot, y_min: &[f64]) -> types::HeatmapSlot {
    types::HeatmapSlot {
        timestamp: slot.time_ms,
        y_min: y_min.to_vec(),
        counts: slot.counts.iter().map(|n| i32::try_from(*n).unwrap_or(i32::MAX)).collect(),
        exemplars: slot.exemplars.into_iter().map(cell_exemplar).collect(),
    }
}

/// A span names itself and its trace; its profile is found through them.
fn cell_exemplar(e: CellExemplar) -> types::Exemplar {
    let of_profile = e.span_id == 0;
    types::Exemplar {
        timestamp: e.time_ms,
        profile_id: if of_profile { e.profile_id.to_string() } else { String::new() },
        span_id: if of_profile { String::new() } else { format!("{:016x}", e.span_id) },
        trace_id: if e.trace_id == 0 { String::new() } else { format!("{:032x}", e.trace_id) },
        value: e.value,
        labels: pairs(e.labels),
    }
}
