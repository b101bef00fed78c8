//! The merged tables, and the same shape over borrowed ones.

use std::fmt::Write;

use flamestore_model::{FrameFilter, FrameVerdict, StackFilter};
use flamestore_symbols::tables::{NO_MAPPING, ROOT};
use flamestore_symbols::{Function, Line, Location, Mapping, Strings, Symbols};

/// No row (yet).
pub(crate) const NONE: u32 = u32::MAX;

/// Stands for the mapping of locations that have none.
pub(crate) const EMPTY_MAPPING: Mapping =
    Mapping { memory_start: 0, memory_limit: 0, file_offset: 0, filename: 0, build_id: 0, flags: 0 };

/// Rows as in [`flamestore_symbols::tables`]; stack node 0 is the root.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) strings: Strings,
    pub(crate) functions: Vec<Function>,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) locations: Vec<Location>,
    pub(crate) lines: Vec<Line>,
    /// By stack node.
    pub(crate) parent: Vec<u32>,
    /// By stack node.
    pub(crate) location: Vec<u32>,
}

impl Default for Tables {
    fn default() -> Self {
        Tables {
            strings: Strings::default(),
            functions: Vec::new(),
            mappings: Vec::new(),
            locations: Vec::new(),
            lines: Vec::new(),
            parent: vec![ROOT],
            location: vec![NONE],
        }
    }
}

impl Tables {
    pub(crate) fn lines_of(&self, location: u32) -> &[Line] {
        let l = &self.locations[location as usize];
        &self.lines[l.first_line as usize..l.end_line as usize]
    }

    pub(crate) fn unsymbolized_name(&self, location: u32) -> String {
        View::from(self).unsymbolized_name(location)
    }

    pub(crate) fn push_function(&mut self, row: Function) -> u32 {
        self.functions.push(row);
        self.functions.len() as u32 - 1
    }

    pub(crate) fn push_mapping(&mut self, row: Mapping) -> u32 {
        self.mappings.push(row);
        self.mappings.len() as u32 - 1
    }

    pub(crate) fn push_location(&mut self, row: Location) -> u32 {
        self.locations.push(row);
        self.locations.len() as u32 - 1
    }

    pub(crate) fn push_stack(&mut self, parent: u32, location: u32) -> u32 {
        self.parent.push(parent);
        self.location.push(location);
        self.parent.len() as u32 - 1
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.strings.shrink_to_fit();
        self.functions.shrink_to_fit();
        self.mappings.shrink_to_fit();
        self.locations.shrink_to_fit();
        self.lines.shrink_to_fit();
        self.parent.shrink_to_fit();
        self.location.shrink_to_fit();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.strings.bytes()
            + self.functions.capacity() * size_of::<Function>()
            + self.mappings.capacity() * size_of::<Mapping>()
            + self.locations.capacity() * size_of::<Location>()
            + self.lines.capacity() * size_of::<Line>()
            + (self.parent.capacity() + self.location.capacity()) * 4
    }
}

/// Borrowed tables: of a dataset or of another merge.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) strings: &'a Strings,
    pub(crate) functions: &'a [Function],
    pub(crate) mappings: &'a [Mapping],
    pub(crate) locations: &'a [Location],
    pub(crate) lines: &'a [Line],
    pub(crate) parent: &'a [u32],
    pub(crate) location: &'a [u32],
}

impl<'a> From<&'a Symbols> for View<'a> {
    fn from(s: &'a Symbols) -> Self {
        View {
            strings: &s.strings,
            functions: &s.functions,
            mappings: &s.mappings,
            locations: &s.locations,
            lines: &s.lines,
            parent: &s.stacks.parent,
            location: &s.stacks.location,
        }
    }
}

impl<'a> From<&'a Tables> for View<'a> {
    fn from(t: &'a Tables) -> Self {
        View {
            strings: &t.strings,
            functions: &t.functions,
            mappings: &t.mappings,
            locations: &t.locations,
            lines: &t.lines,
            parent: &t.parent,
            location: &t.location,
        }
    }
}

impl View<'_> {
    /// Sets to zero what the filter does not want.
    pub(crate) fn keep(&self, filter: &StackFilter, values: &mut [i64]) {
        if !filter.call_site.is_empty() {
            self.keep_below(&filter.call_site, values);
        }
        if !filter.frames.wants_all() {
            self.keep_with(&filter.frames, values);
        }
    }

    /// Sets to zero what does not lie at or below the call site.
    fn keep_below(&self, call_site: &[String], values: &mut [i64]) {
        // By stack: how many names of the call site its path has matched so far, or NONE off the path.
        let mut matched = vec![NONE; self.parent.len()];
        matched[ROOT as usize] = 0;
        for node in 1..matched.len() {
            matched[node] = self.descend(matched[self.parent[node] as usize], self.location[node], call_site);
        }
        for (value, matched) in values.iter_mut().zip(matched) {
            if matched as usize != call_site.len() {
                *value = 0;
            }
        }
    }

    /// Sets to zero the stacks whose frames do not pass.
    fn keep_with(&self, filter: &FrameFilter, values: &mut [i64]) {
        // Each location is on many stacks, and judged once.
        let mut of_location: Vec<Option<FrameVerdict>> = vec![None; self.locations.len()];
        let mut verdicts = vec![FrameVerdict::NONE; self.parent.len()];
        for node in 1..verdicts.len() {
            let location = self.location[node];
            let own = *of_location[location as usize].get_or_insert_with(|| self.judge(filter, location));
            verdicts[node] = verdicts[self.parent[node] as usize].and(own);
        }
        for (value, verdict) in values.iter_mut().zip(verdicts) {
            if !verdict.wanted() {
                *value = 0;
            }
        }
    }

    fn judge(&self, filter: &FrameFilter, location: u32) -> FrameVerdict {
        let row = &self.locations[location as usize];
        let lines = &self.lines[row.first_line as usize..row.end_line as usize];
        if lines.is_empty() {
            return filter.judge(&self.unsymbolized_name(location));
        }
        let name = |line: &Line| self.strings.get(self.functions[line.function as usize].name);
        lines.iter().fold(FrameVerdict::NONE, |all, line| all.and(filter.judge(name(line))))
    }

    /// Goes through the calls of one location, the outermost first.
    fn descend(&self, mut matched: u32, location: u32, call_site: &[String]) -> u32 {
        let row = &self.locations[location as usize];
        let lines = &self.lines[row.first_line as usize..row.end_line as usize];
        let goes_on = |matched: u32, name: &str| match call_site.get(matched as usize) {
            Some(wanted) if wanted == name => matched + 1,
            Some(_) => NONE,
            None => matched,
        };
        let open = |matched: u32| (matched as usize) < call_site.len();
        if lines.is_empty() && open(matched) {
            return goes_on(matched, &self.unsymbolized_name(location));
        }
        for line in lines.iter().rev() {
            if !open(matched) {
                break;
            }
            matched = goes_on(matched, self.strings.get(self.functions[line.function as usize].name));
        }
        matched
    }

    /// What a location without lines is called in trees: `binary+0xaddress`.
    pub(crate) fn unsymbolized_name(&self, location: u32) -> String {
        let row = &self.locations[location as usize];
        let path = match row.mapping {
            NO_MAPPING => "",
            some => self.strings.get(self.mappings[some as usize].filename),
        };
        let binary = path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        let mut name = binary.to_owned();
        // Writing to a string cannot fail.
        let _ = write!(name, "+0x{:x}", row.address);
        name
    }
}
