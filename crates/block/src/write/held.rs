//! A dataset that is held in memory, put in canonical order. Hot; measured by `benches/block.rs`.

use flamestore_model::{Fault, Values};
use flamestore_symbols::tables::NO_MAPPING;

use crate::write::input::{DatasetInput, ProfileInput};
use crate::write::renumber::Renumbered;
use crate::write::stream::{DatasetStream, FnNodeRow, FunctionRow, LocationRow, MappingRow, Pass, Profiles, StackRow};

pub(crate) struct Held<'a> {
    input: &'a dyn DatasetInput,
    /// By stack id: whether a sample has it.
    used_stacks: Vec<bool>,
    /// There from the survey on, until the profiles are written.
    symbols: Option<Renumbered<'a>>,
}

impl<'a> Held<'a> {
    pub(crate) fn of(input: &'a dyn DatasetInput) -> Self {
        let used_stacks = vec![false; input.symbols().stacks.parent.len()];
        Held { input, used_stacks, symbols: None }
    }

    fn symbols(&mut self) -> Result<&Renumbered<'a>, Fault> {
        if self.symbols.is_none() {
            self.symbols = Some(Renumbered::of(self.input.symbols(), &self.used_stacks)?);
            self.used_stacks = Vec::new();
        }
        self.symbols.as_ref().ok_or_else(|| Fault::internal("block writer: a dataset has no symbols"))
    }

    fn survey(&mut self, to: &mut dyn Profiles) -> Result<(), Fault> {
        let service = self.input.service_name();
        let broken = || {
            Fault::internal(format!(
                "block input: the columns of a profile do not fit each other in service {service:?}"
            ))
        };
        for series in self.input.series() {
            to.series(series.labels, series.profile_type)?;
            for profile in series.profiles {
                let n = profile.stacks.len();
                let fits = |len: usize| len == n || len == 0;
                if profile.values.len() != n || !fits(profile.span_ids.len()) || !fits(profile.trace_ids.len()) {
                    return Err(broken());
                }
                for stack in profile.stacks {
                    *self.used_stacks.get_mut(*stack as usize).ok_or_else(broken)? = true;
                }
                to.profile(&profile)?;
            }
        }
        Ok(())
    }
}

impl DatasetStream for Held<'_> {
    fn service_name(&self) -> &str {
        self.input.service_name()
    }

    fn profiles(&mut self, pass: Pass, to: &mut dyn Profiles) -> Result<(), Fault> {
        if pass == Pass::Survey {
            return self.survey(to);
        }
        let input = self.input;
        let symbols = self.symbols()?;
        let mut sorted = Sorted::default();
        for series in input.series() {
            to.series(series.labels, series.profile_type)?;
            for profile in series.profiles {
                to.profile(&sorted.profile(&symbols.stacks.new, &profile))?;
            }
        }
        self.symbols = None;
        Ok(())
    }

    fn functions(&mut self, to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let r = self.symbols()?;
        let text = |id: u32| r.symbols.strings.get(id);
        r.functions.iter().try_for_each(|row| {
            let function = row.function.map(|f| {
                let f = &r.symbols.functions[f as usize];
                (text(f.system_name), text(f.filename), f.start_line)
            });
            to(FunctionRow { name: text(row.name), function })
        })
    }

    fn locations(&mut self, to: &mut dyn FnMut(LocationRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let r = self.symbols()?;
        let s = r.symbols;
        let mut lines = Vec::new();
        for old in &r.locations {
            let location = &s.locations[*old as usize];
            let mapping = (location.mapping != NO_MAPPING).then(|| {
                let m = &s.mappings[location.mapping as usize];
                MappingRow {
                    filename: s.strings.get(m.filename),
                    build_id: s.strings.get(m.build_id),
                    memory_start: m.memory_start,
                    memory_limit: m.memory_limit,
                    file_offset: m.file_offset,
                    flags: m.flags,
                }
            });
            lines.clear();
            lines.extend(s.lines_of(*old).iter().map(|line| flamestore_symbols::Line {
                function: r.function_ids[line.function as usize],
                line: line.line,
            }));
            let (address, is_folded) = (location.address, location.is_folded);
            to(LocationRow { mapping, address, is_folded, lines: &lines })?;
        }
        Ok(())
    }

    fn fn_nodes(&mut self, to: &mut dyn FnMut(FnNodeRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let r = self.symbols()?;
        let tree = &r.symbols.fn_tree;
        for (id, old) in (0u32..).zip(&r.fn_nodes.old).skip(1) {
            let old = *old as usize;
            to(FnNodeRow {
                parent_delta: id - r.fn_nodes.new[tree.parent[old] as usize],
                function: r.name_ids[tree.name[old] as usize],
            })?;
        }
        Ok(())
    }

    fn stacks(&mut self, to: &mut dyn FnMut(StackRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let r = self.symbols()?;
        let tree = &r.symbols.stacks;
        for (id, old) in (0u32..).zip(&r.stacks.old).skip(1) {
            let old = *old as usize;
            to(StackRow {
                parent_delta: id - r.stacks.new[tree.parent[old] as usize],
                location: r.location_ids[tree.location[old] as usize],
                fn_node: r.fn_nodes.new[tree.fn_node[old] as usize],
            })?;
        }
        Ok(())
    }
}

/// One profile's samples by new stack id: neighbouring profiles then look alike, which zstd notices.
#[derive(Default)]
struct Sorted {
    pairs: Vec<(u32, i64)>,
    linked: Vec<(u32, u64, u128, i64)>,
    stacks: Vec<u32>,
    values: Vec<i64>,
    spans: Vec<u64>,
    traces: Vec<u128>,
}

impl Sorted {
    fn profile<'s>(&'s mut self, new: &[u32], profile: &ProfileInput<'s>) -> ProfileInput<'s> {
        let id = |i: usize| new[profile.stacks[i] as usize];
        self.stacks.clear();
        self.values.clear();
        self.spans.clear();
        self.traces.clear();
        if profile.span_ids.is_empty() && profile.trace_ids.is_empty() {
            self.pairs.clear();
            profile.values.each(|i, value| self.pairs.push((id(i), value)));
            self.pairs.sort_unstable();
            for &(stack, value) in &self.pairs {
                self.stacks.push(stack);
                self.values.push(value);
            }
        } else {
            self.linked.clear();
            profile.values.each(|i, value| {
                let span = profile.span_ids.get(i).copied().unwrap_or(0);
                let trace = profile.trace_ids.get(i).copied().unwrap_or(0);
                self.linked.push((id(i), span, trace, value));
            });
            self.linked.sort_unstable();
            for &(stack, span, trace, value) in &self.linked {
                self.stacks.push(stack);
                self.values.push(value);
                self.spans.push(span);
                self.traces.push(trace);
            }
        }
        ProfileInput {
            time_nanos: profile.time_nanos,
            duration_nanos: profile.duration_nanos,
            profile_id: profile.profile_id,
            stacks: &self.stacks,
            values: Values::Wide(&self.values),
            span_ids: &self.spans,
            trace_ids: &self.traces,
            annotations: profile.annotations,
        }
    }
}
