//! A head against a naive account of what was pushed.

#[path = "../benches/go_like.rs"]
mod go_like;

use std::collections::BTreeMap;

use flamestore_flamegraph::{Tree, TreeMerger};
use flamestore_head::DatasetHead;
use flamestore_model::{
    Annotation, FrameFilter, FramePatterns, Kind, Labels, Point, ProfileId, ProfileType, Select, Selector, SeriesInfo,
    StackFilter, StoredSeries, TimeRange, TreeQuery,
};
use flamestore_pprof::profile::{Function, Line, Location, NO_MAPPING, Sample, StrRef};
use flamestore_pprof::{Group, Normalized, Profile};
use go_like::{Chance, Service};
use proptest::prelude::*;

#[global_allocator]
static ALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One sample as a test writes it. Frames are function numbers, root first.
#[derive(Debug, Clone)]
struct Row {
    stack: Vec<u8>,
    values: [i64; 2],
    span: u64,
    trace: u128,
}

/// One pprof with two sample types; each group becomes two series of pod `pod + group`.
#[derive(Debug, Clone)]
struct Push {
    time_nanos: i64,
    id: u8,
    pod: u8,
    groups: Vec<Vec<Row>>,
}

fn id(n: u8) -> ProfileId {
    ProfileId([n; 16])
}

fn labels(pod: usize, column: usize) -> Labels {
    let kind = go_like::profile_type(column);
    Labels::from_pairs([("__profile_type__", kind), ("service_name", "checkout".into()), ("pod", format!("p{pod}"))])
}

impl Push {
    fn normalized(&self) -> Normalized {
        let mut p = Profile { duration_nanos: 10, ..Profile::default() };
        p.sample_types = vec![Default::default(); 2];
        for i in 0..=u8::MAX {
            let name = name_of(i);
            let name = {
                let offset = p.text.len() as u32;
                p.text.extend_from_slice(name.as_bytes());
                StrRef { offset, len: name.len() as u32 }
            };
            p.functions.push(Function { name, system_name: name, filename: StrRef::default(), start_line: 0 });
            p.lines.push(Line { function: u32::from(i), line: 1 });
            let at = u32::from(i);
            p.locations.push(Location {
                mapping: NO_MAPPING,
                address: u64::from(i),
                is_folded: false,
                first_line: at,
                end_line: at + 1,
            });
        }
        let mut groups = Vec::new();
        for rows in &self.groups {
            let mut group = Group::default();
            for row in rows {
                group.rows.push(p.samples.len() as u32);
                group.span_ids.push(row.span);
                group.trace_ids.push(row.trace);
                let first_location = p.sample_locations.len() as u32;
                p.sample_locations.extend(row.stack.iter().rev().map(|f| u32::from(*f)));
                let end_location = p.sample_locations.len() as u32;
                p.samples.push(Sample { first_location, end_location, first_label: 0, end_label: 0 });
                p.values.extend(row.values);
            }
            // As splitting leaves them: no column where nobody has an id.
            if group.span_ids.iter().all(|id| *id == 0) {
                group.span_ids.clear();
            }
            if group.trace_ids.iter().all(|id| *id == 0) {
                group.trace_ids.clear();
            }
            groups.push(group);
        }
        Normalized { profile: p, groups, ..Normalized::default() }
    }

    fn stored(&self) -> Vec<StoredSeries> {
        let of = |group: usize, column: usize| StoredSeries {
            labels: labels(self.pod as usize + group, column),
            group: group as u32,
            column: column as u32,
        };
        (0..2).flat_map(|column| (0..self.groups.len()).map(move |group| of(group, column))).collect()
    }

    fn append_to(&self, head: &mut DatasetHead) {
        let appended = head.append(&self.normalized(), self.time_nanos, id(self.id), &self.stored()).unwrap();
        let values = self.groups.iter().flatten().flat_map(|row| row.values);
        assert_eq!(appended.samples, values.filter(|v| *v != 0).count() as u64);
    }
}

fn name_of(function: u8) -> String {
    format!("fn{function}")
}

fn head_of<'a>(pushes: impl IntoIterator<Item = &'a Push>) -> DatasetHead {
    let mut head = DatasetHead::new("checkout");
    pushes.into_iter().for_each(|push| push.append_to(&mut head));
    head
}

type Stacks = BTreeMap<Vec<String>, i64>;

/// Time, id and matching samples of a profile.
type Found = (i64, ProfileId, Vec<(Vec<String>, i64)>);

/// What a query should find: the profiles with a matching sample.
fn expected(pushes: &[Push], query: &TreeQuery) -> BTreeMap<Labels, Vec<Found>> {
    let s = &query.select;
    let mut out: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for push in pushes {
        for (g, column) in (0..push.groups.len()).flat_map(|g| [(g, 0), (g, 1)]) {
            let labels = labels(push.pod as usize + g, column);
            let wanted = s.profile_type.as_ref().is_none_or(|t| labels.get("__profile_type__") == Some(&t.to_string()))
                && s.selector.matches(&labels)
                && s.range.contains(push.time_nanos)
                && (s.profile_ids.is_empty() || s.profile_ids.contains(&id(push.id)));
            let samples: Vec<_> = push.groups[g]
                .iter()
                .filter(|row| row.values[column] != 0)
                .filter(|row| s.span_ids.is_empty() || row.span != 0 && s.span_ids.contains(&row.span))
                .filter(|row| s.trace_ids.is_empty() || row.trace != 0 && s.trace_ids.contains(&row.trace))
                .map(|row| (row.stack.iter().map(|f| name_of(*f)).collect::<Vec<_>>(), row.values[column]))
                .filter(|(stack, _)| wants(&query.stacks, stack))
                .collect();
            if wanted && !samples.is_empty() {
                out.entry(labels).or_default().push((push.time_nanos, id(push.id), samples));
            }
        }
    }
    out
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

fn points(head: &DatasetHead, query: &TreeQuery) -> BTreeMap<Labels, Vec<(i64, ProfileId, i64)>> {
    let of = |p: &Point| (p.time_nanos, p.profile_id, p.total);
    let mut out = BTreeMap::new();
    for series in head.points(query) {
        let mut points: Vec<_> = series.points.iter().map(of).collect();
        points.sort();
        assert!(out.insert(series.labels, points).is_none(), "each series comes once");
    }
    out
}

/// Sums by names, stacks without a value left away.
fn sums(head: &DatasetHead, select: &Select) -> Stacks {
    let s = head.symbols();
    let mut out = Stacks::new();
    for (stack, value) in head.sums(select).unwrap_or_default().into_iter().enumerate() {
        let (mut node, mut names) = (s.stacks.fn_node[stack], Vec::new());
        while node != 0 {
            names.push(s.strings.get(s.fn_tree.name[node as usize]).to_string());
            node = s.fn_tree.parent[node as usize];
        }
        names.reverse();
        let sum = out.entry(names).or_default();
        *sum = sum.saturating_add(value);
    }
    out.retain(|_, sum| *sum != 0);
    out
}

fn tree(head: &DatasetHead, query: &TreeQuery) -> Tree {
    let mut merger = TreeMerger::default();
    head.add_tree(query, &mut merger);
    merger.finish()
}

fn series(head: &DatasetHead, select: &Select) -> Vec<SeriesInfo> {
    let mut all = head.series(select);
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

fn all_time() -> TimeRange {
    TimeRange { from_nanos: i64::MIN, to_nanos: i64::MAX }
}

fn everything() -> TreeQuery {
    TreeQuery::whole(Select::everything(all_time()))
}

fn of_type(column: usize) -> Select {
    let profile_type = ProfileType::parse(&go_like::profile_type(column)).ok();
    Select { profile_type, ..Select::everything(all_time()) }
}

fn value() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 6 => 1..100i64, 1 => (1i64 << 32)..(1 << 40), 1 => Just(i64::MAX)]
}

prop_compose! {
    fn any_row()(stack in prop::collection::vec(0..4u8, 1..5), a in value(), b in value(), span in 0..4u64, trace in 0..3u128)
        -> Row {
        Row { stack, values: [a, b], span, trace }
    }
}

prop_compose! {
    fn any_push()(
        time_nanos in 0..6i64, id in 0..5u8, pod in 0..3u8, linked in any::<bool>(),
        groups in prop::collection::vec(prop::collection::vec(any_row(), 0..6), 0..3),
    ) -> Push {
        let mut groups = groups;
        if !linked {
            groups.iter_mut().flatten().for_each(|row: &mut Row| (row.span, row.trace) = (0, 0));
        }
        Push { time_nanos, id, pod, groups }
    }
}

prop_compose! {
    fn any_filter()(
        call_site in prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(0..4u8, 1..3)],
        include in prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(0..4u8, 1..3)],
        exclude in prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(0..4u8, 1..3)],
        as_regex: bool,
    ) -> StackFilter {
        let names = |list: Vec<u8>| list.into_iter().map(name_of).collect::<Vec<_>>();
        let mut patterns = FramePatterns { include: names(include), exclude: names(exclude), ..FramePatterns::default() };
        if as_regex {
            std::mem::swap(&mut patterns.include, &mut patterns.include_regex);
            std::mem::swap(&mut patterns.exclude, &mut patterns.exclude_regex);
        }
        StackFilter { call_site: names(call_site), frames: FrameFilter::new(patterns).unwrap() }
    }
}

prop_compose! {
    fn any_query()(
        column in prop::option::of(0..2usize), from_nanos in -1..6i64, len in 0..7i64,
        selector in prop_oneof![Just("{}"), Just(r#"{pod="p1"}"#), Just(r#"{pod=~"p[12]"}"#), Just(r#"{x!=""}"#)],
        ids in prop_oneof![Just(vec![]), prop::collection::vec(0..6u8, 1..3)],
        span_ids in prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(0..5u64, 1..3)],
        trace_ids in prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(0..4u128, 1..3)],
        stacks in any_filter(),
    ) -> TreeQuery {
        let select = Select {
            profile_type: column.and_then(|c| ProfileType::parse(&go_like::profile_type(c)).ok()),
            selector: Selector::parse(selector).unwrap(),
            range: TimeRange { from_nanos, to_nanos: from_nanos + len },
            profile_ids: ids.into_iter().map(id).collect(),
            span_ids,
            trace_ids,
        };
        TreeQuery { select, stacks }
    }
}

proptest! {
    #[test]
    fn answers_are_those_of_adding_up_by_hand(pushes in prop::collection::vec(any_push(), 0..12), query in any_query()) {
        let head = head_of(&pushes);
        let found = expected(&pushes, &query);

        let total = |samples: &[(Vec<String>, i64)]| samples.iter().fold(0i64, |sum, s| sum.saturating_add(s.1));
        let mut by_hand = BTreeMap::new();
        for (labels, profiles) in &found {
            let mut points: Vec<_> = profiles.iter().map(|(t, id, samples)| (*t, *id, total(samples))).collect();
            points.sort();
            by_hand.insert(labels.clone(), points);
        }
        prop_assert_eq!(points(&head, &query), by_hand);

        let whole = TreeQuery::whole(query.select.clone());
        let found = expected(&pushes, &whole);
        let mut by_hand = Stacks::new();
        for (stack, value) in found.values().flatten().flat_map(|(_, _, samples)| samples) {
            let sum = by_hand.entry(stack.clone()).or_default();
            *sum = sum.saturating_add(*value);
        }
        by_hand.retain(|_, sum| *sum != 0);
        prop_assert_eq!(sums(&head, &query.select), by_hand);

        let all = Select { span_ids: vec![], ..query.select.clone() };
        let spans = head.spans(&all);
        for span in 1..4 {
            let mut of_span: BTreeMap<Labels, BTreeMap<(i64, ProfileId), Vec<i64>>> = BTreeMap::new();
            for (labels, o) in spans.iter().flat_map(|s| s.observed.iter().map(move |o| (&s.labels, o))) {
                if o.span_id == span {
                    let profiles = of_span.entry(labels.clone()).or_default();
                    profiles.entry((o.time_nanos, o.profile_id)).or_default().push(o.value);
                }
            }
            let only = TreeQuery::whole(Select { span_ids: vec![span], ..all.clone() });
            let total = |values: &[i64]| values.iter().copied().fold(0, i64::saturating_add);
            let mut by_hand: BTreeMap<Labels, BTreeMap<(i64, ProfileId), i64>> = BTreeMap::new();
            for (labels, profiles) in expected(&pushes, &only) {
                for (time, id, samples) in profiles {
                    let values: Vec<i64> = samples.iter().map(|(_, value)| *value).collect();
                    let sum = by_hand.entry(labels.clone()).or_default().entry((time, id)).or_default();
                    *sum = sum.saturating_add(total(&values));
                }
            }
            let of_span: BTreeMap<_, BTreeMap<_, _>> = of_span
                .into_iter()
                .map(|(labels, profiles)| (labels, profiles.into_iter().map(|(p, v)| (p, total(&v))).collect()))
                .collect();
            prop_assert_eq!(of_span, by_hand);
        }

        let unlinked = Select { trace_ids: vec![], ..all };
        let cost = head.cost(&unlinked);
        let looked_at = expected(&pushes, &TreeQuery::whole(unlinked));
        let samples = looked_at.values().flatten().map(|(_, _, samples)| samples.len() as u64).sum::<u64>();
        prop_assert_eq!(cost.series, looked_at.len() as u64);
        prop_assert_eq!(cost.profiles, looked_at.values().map(|profiles| profiles.len() as u64).sum::<u64>());
        prop_assert_eq!(cost.samples, samples);
        prop_assert!(cost.profile_bytes >= samples * 8 && cost.bytes() as usize <= head.bytes() * 2);

        let counts: BTreeMap<_, _> = found.iter().map(|(labels, profiles)| (labels.clone(), profiles.len() as u64)).collect();
        let infos = head.series(&query.select);
        prop_assert_eq!(infos.len(), counts.len());
        for info in infos {
            prop_assert_eq!(Some(&info.profiles), counts.get(&info.labels));
        }
        let times = expected(&pushes, &everything()).into_values().flatten().map(|p| p.0).collect::<Vec<_>>();
        prop_assert_eq!(head.range().map(|r| (r.from_nanos, r.to_nanos)), times.iter().min().copied().zip(times.iter().max().copied()));
    }

    #[test]
    fn the_order_of_pushes_does_not_show(pushes in prop::collection::vec(any_push(), 0..12), query in any_query()) {
        let (ahead, behind) = (head_of(&pushes), head_of(pushes.iter().rev()));
        prop_assert_eq!(points(&ahead, &query), points(&behind, &query));
        prop_assert_eq!(sums(&ahead, &query.select), sums(&behind, &query.select));
        prop_assert_eq!(series(&ahead, &query.select), series(&behind, &query.select));
        prop_assert_eq!(ahead.range(), behind.range());
    }

    #[test]
    fn a_block_gets_every_sample_in_its_order(pushes in prop::collection::vec(any_push(), 0..12)) {
        let head = head_of(&pushes);
        let mut keys = Vec::new();
        let mut profiles = 0;
        for series in head.sorted_series() {
            keys.push((series.profile_type().to_string(), series.labels().clone()));
            prop_assert_eq!(series.fingerprint(), series.labels().fingerprint());
            let mut last = None;
            for p in series.profiles() {
                prop_assert!(last <= Some((p.time_nanos, p.profile_id)));
                prop_assert!(series.range().contains(p.time_nanos));
                last = Some((p.time_nanos, p.profile_id));
                profiles += 1;
                prop_assert_eq!(p.duration_nanos, 10);
                prop_assert_eq!(p.total, p.samples.values.iter().fold(0, i64::saturating_add));
                prop_assert!(p.samples.values.iter().all(|v| v != 0));
                prop_assert_eq!(p.samples.stacks.len(), p.samples.values.len());
                for links in [p.samples.span_ids.len(), p.samples.trace_ids.len()] {
                    prop_assert!(links == 0 || links == p.samples.stacks.len());
                }
            }
        }
        prop_assert!(keys.is_sorted());
        prop_assert_eq!(profiles, head.profiles());
        let by_hand: usize = expected(&pushes, &everything()).values().map(Vec::len).sum();
        prop_assert_eq!(profiles, by_hand as u64);
    }
}

fn row(stack: &[u8], values: [i64; 2]) -> Row {
    Row { stack: stack.to_vec(), values, span: 0, trace: 0 }
}

fn one(rows: Vec<Row>) -> Push {
    Push { time_nanos: 5, id: 1, pod: 0, groups: vec![rows] }
}

#[test]
fn equal_profiles_count_each_time() {
    let push = one(vec![row(&[1, 2], [3, 4])]);
    let head = head_of([&push, &push, &Push { id: 2, ..push.clone() }]);
    assert_eq!(tree(&head, &TreeQuery::whole(of_type(0))).total(), 9);
    assert_eq!(series(&head, &of_type(1))[0].profiles, 3);
}

#[test]
fn zeros_are_dropped_and_a_series_of_zeros_is_none() {
    let head = head_of([&one(vec![row(&[1], [0, 4]), row(&[2], [0, 0])])]);
    assert_eq!(series(&head, &of_type(0)), []);
    assert_eq!(series(&head, &of_type(1)).len(), 1);
    assert_eq!(head.profiles(), 1);
    let stored: Vec<_> = head.sorted_series().flat_map(|s| s.profiles()).map(|p| p.samples.stacks.len()).collect();
    assert_eq!(stored, [1]);
    let empty = head_of([&one(vec![row(&[2], [0, 0])]), &one(vec![])]);
    assert_eq!((empty.range(), empty.profiles()), (None, 0));
    assert!(empty.sums(&Select::everything(all_time())).is_none());
}

#[test]
fn a_span_keeps_only_its_samples() {
    let mut rows = vec![row(&[1], [1, 1]), row(&[1], [10, 1]), row(&[2], [100, 1])];
    (rows[0].span, rows[2].span) = (7, 8);
    let head = head_of([&one(rows), &one(vec![row(&[1], [1000, 1])])]);
    let select = |span_ids: &[u64]| Select { span_ids: span_ids.to_vec(), ..of_type(0) };
    let total = |span_ids: &[u64]| tree(&head, &TreeQuery::whole(select(span_ids))).total();
    assert_eq!((total(&[]), total(&[7]), total(&[7, 8]), total(&[9]), total(&[0])), (1111, 1, 101, 0, 0));
    assert_eq!(head.series(&select(&[8]))[0].profiles, 1);
    assert_eq!(head.points(&TreeQuery::whole(select(&[9]))).len(), 0);
}

#[test]
fn a_tree_has_the_sums_and_honours_the_call_site() {
    let head = head_of([&one(vec![row(&[1, 2], [3, 0]), row(&[1, 3], [4, 0]), row(&[2, 1], [5, 0])])]);
    let total = |call_site: &[u8]| {
        let call_site = call_site.iter().map(|f| name_of(*f)).collect();
        tree(&head, &TreeQuery { select: of_type(0), stacks: StackFilter::at(call_site) }).total()
    };
    assert_eq!((total(&[]), total(&[1]), total(&[1, 3]), total(&[3])), (12, 7, 4, 0));
}

#[test]
fn groups_that_come_to_the_same_labels_make_one_profile() {
    let mut linked = row(&[2], [4, 0]);
    linked.span = 9;
    let push = Push { groups: vec![vec![row(&[1], [3, 0])], vec![linked]], ..one(vec![]) };
    let mut stored = push.stored();
    stored.iter_mut().for_each(|s| s.labels = labels(0, s.column as usize));
    let mut head = DatasetHead::new("checkout");
    head.append(&push.normalized(), 5, id(1), &stored).unwrap();
    assert_eq!(head.points(&everything()).iter().map(|s| s.points.len()).collect::<Vec<_>>(), [1]);
    let profile = head.sorted_series().next().unwrap().profiles().next().unwrap();
    assert_eq!((profile.total, profile.samples.span_ids), (7, [0, 9].as_slice()));
}

#[test]
fn after_a_fault_nothing_is_visible() {
    let push = one(vec![row(&[1], [3, 4])]);
    let good = push.stored();
    let mut head = DatasetHead::new("checkout");
    for (group, column) in [(1, 0), (0, 2)] {
        let bad = StoredSeries { group, column, ..good[0].clone() };
        let fault = head.append(&push.normalized(), 5, id(1), &[good[0].clone(), bad]).unwrap_err();
        assert_eq!(fault.kind, Kind::Internal);
    }
    let mut foreign = push.normalized();
    foreign.profile.sample_locations[0] = 256;
    assert!(head.append(&foreign, 5, id(1), &good).is_err());
    assert_eq!((head.range(), head.profiles(), series(&head, &of_type(0))), (None, 0, vec![]));
    push.append_to(&mut head);
    assert_eq!(tree(&head, &TreeQuery::whole(of_type(0))).total(), 3);
}

/// Bytes that this thread holds, as the allocator rounds them.
fn allocated() -> u64 {
    use tikv_jemalloc_ctl::thread;
    thread::allocatedp::read().unwrap().get() - thread::deallocatedp::read().unwrap().get()
}

#[test]
fn bytes_are_those_of_the_allocator() {
    let service = Service::new(3_000);
    let mut chance = Chance(3);
    let profiles: Vec<_> = (0..600).map(|_| service.profile(&mut chance, 4)).collect();
    let stored: Vec<_> = (0..40).map(|pod| go_like::series(pod, 4)).collect();
    let before = allocated();
    // The labels are cloned here as a push would bring them: so that nobody shares them.
    let mut head = DatasetHead::new("checkout");
    for (i, profile) in profiles.iter().enumerate() {
        let own: Vec<_> = stored[i % 40]
            .iter()
            .map(|s| StoredSeries { labels: Labels::from_pairs(s.labels.iter().map(|l| (&l.name, &l.value))), ..*s })
            .collect();
        head.append(profile, i as i64, ProfileId::default(), &own).unwrap();
        if i % 50 == 49 {
            let (said, held) = (head.bytes() as f64, (allocated() - before) as f64);
            assert!((0.92..1.01).contains(&(said / held)), "said {said}, held {held} after {i} profiles");
        }
    }
}

#[test]
fn annotations_come_back_with_the_points_and_in_the_order_of_a_block() {
    let noted = |n: u8| vec![Annotation::new("sampled", format!("{n}")), Annotation::new("throttled", "{}")];
    let mut head = DatasetHead::new("checkout");
    for n in 0..6u8 {
        let push = Push { time_nanos: i64::from(n), id: n, ..one(vec![row(&[1], [3, 0])]) };
        let annotations = if n % 3 == 0 { noted(n % 2) } else { Vec::new() };
        let (time, profile_id) = (push.time_nanos, id(push.id));
        head.append_annotated(&push.normalized(), time, profile_id, &push.stored(), &annotations).unwrap();
    }
    let found = head.points(&TreeQuery::whole(of_type(0)));
    let notes: Vec<_> =
        found[0].notes.iter().map(|n| (n.time_nanos, &*n.annotation.key, &*n.annotation.value)).collect();
    assert_eq!(notes, [(0, "sampled", "0"), (0, "throttled", "{}"), (3, "sampled", "1"), (3, "throttled", "{}")]);
    let mut early = of_type(0);
    early.range = TimeRange { from_nanos: 1, to_nanos: 3 };
    assert_eq!(head.points(&TreeQuery::whole(early))[0].notes.len(), 2, "those of the profiles in the range");

    let sorted: Vec<_> =
        head.sorted_series().flat_map(|s| s.profiles().map(|p| p.annotations.to_vec()).collect::<Vec<_>>()).collect();
    assert_eq!(sorted, [noted(0), vec![], vec![], noted(1), vec![], vec![]]);
}
