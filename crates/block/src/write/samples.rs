//! samples.parquet. Hot; measured by `benches/block.rs`.

use flamestore_model::Fault;
use parquet::data_type::ByteArray;

use crate::layout::Table;
use crate::write::Part;
use crate::write::input::ProfileInput;
use crate::write::runs::{MAX_GROUP_ROWS, groups};
use crate::write::series::changed;
use crate::write::table::{Encoded, Group, TableWriter};

const VALUE: usize = 3;

/// One sample under its new stack id.
type Sample = (u32, i64, u64, u128);

pub(crate) fn samples(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    let spans = parts.iter().any(|p| p.survey.spans);
    let traces = parts.iter().any(|p| p.survey.traces);
    let mut file = TableWriter::with_links(Table::Samples, spans, traces)?;
    let mut rows = Rows { spans, traces, next_profile: 0, buffer: Vec::new() };

    let runs: Vec<_> = parts.iter().flat_map(|p| p.survey.runs.iter().map(move |run| (p, run))).collect();
    let groups = groups(runs.iter().map(|(_, run)| run.samples));
    let mut profiles = Profiles::of(parts);
    for group in groups {
        let dictionary = if runs[group.clone()].iter().all(|(_, run)| run.few_values) { &[VALUE][..] } else { &[] };
        let mut left: u64 = runs[group].iter().map(|(_, run)| run.profiles).sum();
        // A run that is too large for one row group is cut between profiles.
        while left > 0 {
            file.group(dictionary, |g| {
                let mut written = 0;
                while left > 0 && written < MAX_GROUP_ROWS {
                    let (part, service, profile) = profiles.next().ok_or_else(changed)?;
                    rows.write(g, part, service, &profile)?;
                    written += profile.stacks.len() as u64;
                    left -= 1;
                }
                Ok(())
            })?;
        }
    }
    file.finish()
}

/// All profiles of the block, one after another.
struct Profiles<'a> {
    parts: std::slice::Iter<'a, Part<'a>>,
    part: Option<(&'a Part<'a>, ByteArray)>,
    series: Option<Box<dyn Iterator<Item = crate::write::SeriesInput<'a>> + 'a>>,
    profiles: Option<Box<dyn Iterator<Item = ProfileInput<'a>> + 'a>>,
}

impl<'a> Profiles<'a> {
    fn of(parts: &'a [Part<'a>]) -> Self {
        Profiles { parts: parts.iter(), part: None, series: None, profiles: None }
    }

    fn next(&mut self) -> Option<(&'a Part<'a>, &ByteArray, ProfileInput<'a>)> {
        loop {
            if let Some(profile) = self.profiles.as_mut().and_then(Iterator::next) {
                let (part, service) = self.part.as_ref()?;
                return Some((part, service, profile));
            }
            match self.series.as_mut().and_then(Iterator::next) {
                Some(series) => self.profiles = Some(series.profiles),
                None => {
                    let part = self.parts.next()?;
                    self.part = Some((part, ByteArray::from(part.input.service_name())));
                    self.series = Some(part.input.series());
                }
            }
        }
    }
}

struct Rows {
    spans: bool,
    traces: bool,
    next_profile: u32,
    buffer: Vec<Sample>,
}

impl Rows {
    fn write(
        &mut self,
        g: &mut Group<'_>,
        part: &Part<'_>,
        service: &ByteArray,
        profile: &ProfileInput<'_>,
    ) -> Result<(), Fault> {
        let new = &part.symbols.stacks.new;
        self.buffer.clear();
        profile.values.each(|i, value| {
            let span = profile.span_ids.get(i).copied().unwrap_or(0);
            let trace = profile.trace_ids.get(i).copied().unwrap_or(0);
            self.buffer.push((new[profile.stacks[i] as usize], value, span, trace));
        });
        // By stack id: neighbouring profiles then look alike, which zstd notices.
        self.buffer.sort_unstable_by_key(|&(stack, value, span, trace)| (stack, span, trace, value));
        for &(stack, value, span, trace) in &self.buffer {
            g.text(0, service);
            g.u32(1, self.next_profile);
            g.u32(2, stack);
            g.i64(VALUE, value);
            if self.spans {
                g.there(4, span != 0);
                if span != 0 {
                    g.fixed(4, &span.to_be_bytes());
                }
            }
            if self.traces {
                let column = 4 + usize::from(self.spans);
                g.there(column, trace != 0);
                if trace != 0 {
                    g.fixed(column, &trace.to_be_bytes());
                }
            }
        }
        self.next_profile = self.next_profile.checked_add(1).ok_or_else(changed)?;
        g.rows(self.buffer.len())
    }
}
