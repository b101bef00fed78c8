//! The same questions, answered by looking at everything.

use std::collections::BTreeMap;

use flamestore_flamegraph::heatmap::Observed;
use flamestore_flamegraph::{PprofMeta, ProfileMerge, Tree};
use flamestore_model::labels::names;
use flamestore_model::{Labels, Point, ProfileType, Select, SeriesInfo, StackFilter, TimeRange, TreeQuery};
use flamestore_symbols::tables::ROOT;

use crate::held::{Dataset, Profile, Series};

/// Names from the root → value of exactly this stack. Stacks without a function are left out, as flame graphs do.
pub(crate) type Stacks = BTreeMap<Vec<String>, i64>;

fn matches(select: &Select, series: &Series, profile: &Profile) -> bool {
    let kind = series.labels.get(names::PROFILE_TYPE).unwrap_or("");
    select.profile_type.as_ref().is_none_or(|t: &ProfileType| t.to_string() == kind)
        && select.selector.matches(&series.labels)
        && select.range.contains(profile.time_nanos)
        && (select.profile_ids.is_empty() || select.profile_ids.contains(&profile.profile_id))
}

/// The matching samples of a profile, as (stack, value).
fn samples<'a>(select: &'a Select, p: &'a Profile) -> impl Iterator<Item = (u32, i64)> + 'a {
    chosen(select, p).map(|(_, stack, value)| (stack, value))
}

/// As [`samples`], with the position of each.
fn chosen<'a>(select: &'a Select, p: &'a Profile) -> impl Iterator<Item = (usize, u32, i64)> + 'a {
    (0..p.stacks.len())
        .filter(move |i| {
            let span = p.span_ids.get(*i).copied().unwrap_or(0);
            let trace = p.trace_ids.get(*i).copied().unwrap_or(0);
            (select.span_ids.is_empty() || (span != 0 && select.span_ids.contains(&span)))
                && (select.trace_ids.is_empty() || (trace != 0 && select.trace_ids.contains(&trace)))
        })
        .map(move |i| (i, p.stacks[i], p.values[i]))
}

fn names_of(dataset: &Dataset, stack: u32) -> Vec<String> {
    let s = &dataset.symbols;
    let mut node = s.stacks.fn_node[stack as usize];
    let mut names = Vec::new();
    while node != ROOT {
        names.push(s.strings.get(s.fn_tree.name[node as usize]).to_owned());
        node = s.fn_tree.parent[node as usize];
    }
    names.reverse();
    names
}

/// Whether a filter wants a stack, root first. Its expressions are plain words here.
fn wants(filter: &StackFilter, stack: &[String]) -> bool {
    let p = filter.frames.patterns();
    let any = |whole: &[String], parts: &[String]| {
        stack.iter().any(|name| whole.contains(name) || parts.iter().any(|part| name.contains(part)))
    };
    let all = p.include.is_empty() && p.include_regex.is_empty();
    stack.starts_with(&filter.call_site)
        && (all || any(&p.include, &p.include_regex))
        && !any(&p.exclude, &p.exclude_regex)
}

pub(crate) fn tree(datasets: &[Dataset], query: &TreeQuery) -> Stacks {
    let mut out = Stacks::new();
    for dataset in datasets {
        for series in &dataset.series {
            for profile in series.profiles.iter().filter(|p| matches(&query.select, series, p)) {
                for (stack, value) in samples(&query.select, profile) {
                    let names = names_of(dataset, stack);
                    if !names.is_empty() && wants(&query.stacks, &names) {
                        *out.entry(names).or_default() += value;
                    }
                }
            }
        }
    }
    out
}

pub(crate) fn points(datasets: &[Dataset], query: &TreeQuery) -> BTreeMap<Labels, Vec<Point>> {
    let mut out = BTreeMap::new();
    let filtered = query.select.filters_samples() || !query.stacks.wants_all();
    for (dataset, series) in datasets.iter().flat_map(|d| d.series.iter().map(move |s| (d, s))) {
        let point = |p: &Profile| {
            let wanted = |stack: u32| wants(&query.stacks, &names_of(dataset, stack));
            let values: Vec<i64> =
                samples(&query.select, p).filter(|(stack, _)| wanted(*stack)).map(|(_, v)| v).collect();
            let total = values.iter().fold(0i64, |sum, v| sum.saturating_add(*v));
            (!filtered || !values.is_empty()).then_some(Point {
                time_nanos: p.time_nanos,
                total,
                profile_id: p.profile_id,
            })
        };
        let found: Vec<Point> =
            series.profiles.iter().filter(|p| matches(&query.select, series, p)).filter_map(point).collect();
        if !found.is_empty() {
            out.insert(series.labels.clone(), found);
        }
    }
    out
}

/// Series, profiles and samples that a query has to look at, whatever spans and traces it asks for.
pub(crate) fn cost(datasets: &[Dataset], select: &Select) -> (u64, u64, u64) {
    let mut sum = (0, 0, 0);
    for series in datasets.iter().flat_map(|d| &d.series) {
        let samples: Vec<usize> =
            series.profiles.iter().filter(|p| matches(select, series, p)).map(|p| p.stacks.len()).collect();
        sum.0 += u64::from(!samples.is_empty());
        sum.1 += samples.len() as u64;
        sum.2 += samples.iter().sum::<usize>() as u64;
    }
    sum
}

/// By series: what each span of each profile sums up to.
pub(crate) fn spans(datasets: &[Dataset], select: &Select) -> BTreeMap<Labels, Vec<Observed>> {
    let mut out = BTreeMap::new();
    for series in datasets.iter().flat_map(|d| &d.series) {
        let mut found = Vec::new();
        for p in series.profiles.iter().filter(|p| matches(select, series, p)) {
            let mut sums: BTreeMap<(u64, u128), i64> = BTreeMap::new();
            for (i, _, value) in chosen(select, p) {
                let span = p.span_ids.get(i).copied().unwrap_or(0);
                if span != 0 {
                    *sums.entry((span, p.trace_ids.get(i).copied().unwrap_or(0))).or_default() += value;
                }
            }
            let (time_nanos, profile_id) = (p.time_nanos, p.profile_id);
            found.extend(sums.into_iter().map(|((span_id, trace_id), value)| Observed {
                time_nanos,
                value,
                profile_id,
                span_id,
                trace_id,
            }));
        }
        if !found.is_empty() {
            out.insert(series.labels.clone(), found);
        }
    }
    out
}

pub(crate) fn series(datasets: &[Dataset], select: &Select) -> BTreeMap<Labels, SeriesInfo> {
    let mut out = BTreeMap::new();
    for series in datasets.iter().flat_map(|d| &d.series) {
        let matching = |p: &&Profile| {
            matches(select, series, p) && (!select.filters_samples() || samples(select, p).next().is_some())
        };
        let profiles = series.profiles.iter().filter(matching).count() as u64;
        if profiles > 0 {
            let times = || series.profiles.iter().map(|p| p.time_nanos);
            let range = TimeRange { from_nanos: times().min().unwrap_or(0), to_nanos: times().max().unwrap_or(0) };
            let labels = series.labels.clone();
            out.insert(labels.clone(), SeriesInfo { labels, range, profiles });
        }
    }
    out
}

pub(crate) fn profile(datasets: &[Dataset], query: &TreeQuery) -> ProfileMerge {
    let mut merge = ProfileMerge::default();
    for dataset in datasets {
        let mut sums = vec![0i64; dataset.symbols.stacks.parent.len()];
        for series in &dataset.series {
            for profile in series.profiles.iter().filter(|p| matches(&query.select, series, p)) {
                for (stack, value) in samples(&query.select, profile) {
                    sums[stack as usize] += value;
                }
            }
        }
        merge.add(&dataset.symbols, &sums, &query.stacks);
    }
    merge
}

/// A merged tree as [`tree`] gives it.
pub(crate) fn stacks_of(tree: &Tree) -> Stacks {
    let mut out = Stacks::new();
    for (node, value) in tree.self_values().iter().enumerate() {
        let mut at = node as u32;
        let mut names = Vec::new();
        while at != ROOT {
            names.push(tree.name_of(at).to_owned());
            at = tree.parents()[at as usize];
        }
        names.reverse();
        if *value != 0 {
            assert_eq!(out.insert(names, *value), None, "a stack stands twice in a tree");
        }
    }
    out
}

/// Everything a pprof says of its samples: frames leaf first, as text → value.
pub(crate) fn frames_of(merge: &ProfileMerge) -> BTreeMap<Vec<String>, i64> {
    if merge.is_empty() {
        return BTreeMap::new();
    }
    let raw = merge.to_pprof(&PprofMeta::default());
    let p = flamestore_pprof::decode(&raw, 1 << 30).expect("our own pprof");
    let mut out = BTreeMap::new();
    for (row, sample) in p.samples.iter().enumerate() {
        let frames = p
            .locations_of(sample)
            .iter()
            .map(|l| {
                let l = &p.locations[*l as usize];
                let mapping = p.mappings.get(l.mapping as usize).map(|m| {
                    let (file, build) = (p.str(m.filename), p.str(m.build_id));
                    format!("{file} {build} {:x} {:x} {:x} {}", m.memory_start, m.memory_limit, m.file_offset, m.flags)
                });
                let lines = p.lines[l.first_line as usize..l.end_line as usize].iter().map(|line| {
                    let f = &p.functions[line.function as usize];
                    let (name, system, file) = (p.str(f.name), p.str(f.system_name), p.str(f.filename));
                    format!("{name} {system} {file}:{} +{}", f.start_line, line.line)
                });
                let lines: Vec<_> = lines.collect();
                format!("{mapping:?} {:x} {} {lines:?}", l.address, l.is_folded)
            })
            .collect::<Vec<_>>();
        *out.entry(frames).or_default() += p.values_of(row)[0];
    }
    out
}
