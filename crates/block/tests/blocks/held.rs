//! Profiles held in plain vectors, as input for the writer and as the truth to compare with.

use flamestore_block::{DatasetInput, ProfileInput, SeriesInput};
use flamestore_model::{Annotation, Labels, ProfileId, Values};
use flamestore_symbols::Symbols;
use flamestore_symbols::tables::{NO_MAPPING, ROOT};

#[derive(Debug, Clone)]
pub(crate) struct Dataset {
    pub(crate) service: String,
    pub(crate) symbols: Symbols,
    /// Sorted by (profile type, labels) once [`Dataset::sort`] has run.
    pub(crate) series: Vec<Series>,
}

#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) profile_type: String,
    pub(crate) profiles: Vec<Profile>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    pub(crate) time_nanos: i64,
    pub(crate) duration_nanos: i64,
    pub(crate) profile_id: ProfileId,
    pub(crate) stacks: Vec<u32>,
    pub(crate) values: Vec<i64>,
    pub(crate) narrow: Option<Vec<u32>>,
    pub(crate) span_ids: Vec<u64>,
    pub(crate) trace_ids: Vec<u128>,
    pub(crate) annotations: Vec<Annotation>,
}

impl Dataset {
    pub(crate) fn sort(&mut self) {
        self.series.sort_by(|a, b| (&a.profile_type, &a.labels).cmp(&(&b.profile_type, &b.labels)));
        for series in &mut self.series {
            series.profiles.sort_by_key(|p| (p.time_nanos, p.profile_id));
        }
    }
}

impl DatasetInput for Dataset {
    fn service_name(&self) -> &str {
        &self.service
    }

    fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    fn series<'a>(&'a self) -> Box<dyn Iterator<Item = SeriesInput<'a>> + 'a> {
        Box::new(self.series.iter().map(|s| SeriesInput {
            labels: &s.labels,
            profile_type: &s.profile_type,
            profiles: Box::new(s.profiles.iter().map(|p| ProfileInput {
                time_nanos: p.time_nanos,
                duration_nanos: p.duration_nanos,
                profile_id: p.profile_id,
                stacks: &p.stacks,
                values: p.narrow.as_ref().map_or(Values::Wide(&p.values), |n| Values::Narrow(n)),
                span_ids: &p.span_ids,
                trace_ids: &p.trace_ids,
                annotations: &p.annotations,
            })),
        }))
    }
}

/// Builds `fn_tree` and `stacks.fn_node` from the other tables.
pub(crate) fn fold_by_name(symbols: &mut Symbols) {
    use std::collections::HashMap;
    let mut nodes: HashMap<(u32, u32), u32> = HashMap::new();
    let mut named: HashMap<String, u32> = HashMap::new();
    symbols.fn_tree = Default::default();
    symbols.stacks.fn_node = vec![ROOT];
    for stack in 1..symbols.stacks.parent.len() {
        let mut at = symbols.stacks.fn_node[symbols.stacks.parent[stack] as usize];
        let location = symbols.stacks.location[stack];
        let mut names: Vec<u32> =
            symbols.lines_of(location).iter().rev().map(|l| symbols.functions[l.function as usize].name).collect();
        if names.is_empty() {
            let l = symbols.locations[location as usize];
            let binary = match l.mapping {
                NO_MAPPING => "unknown",
                m => symbols.strings.get(symbols.mappings[m as usize].filename),
            };
            let name = format!("{binary}+0x{:x}", l.address);
            let strings = &mut symbols.strings;
            names.push(*named.entry(name.clone()).or_insert_with(|| strings.push(&name)));
        }
        for name in names {
            let tree = &mut symbols.fn_tree;
            at = *nodes.entry((at, name)).or_insert_with(|| {
                tree.parent.push(at);
                tree.name.push(name);
                tree.parent.len() as u32 - 1
            });
        }
        symbols.stacks.fn_node.push(at);
    }
}
