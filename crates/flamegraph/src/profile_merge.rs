//! Profiles merged by location stacks: what becomes a pprof or a call graph.
//!
//! Keeps tables of its own into which the used part of every source is copied. As long as there is one source, nothing
//! is looked up: what was distinct there stays distinct.

mod cut;
mod index;
mod pgo;
mod pprof;
mod tables;

use flamestore_model::StackFilter;
use flamestore_symbols::tables::{NO_MAPPING, ROOT};
use flamestore_symbols::{Location, Symbols};
use hashbrown::HashSet;

pub use pgo::GoPgo;
pub use pprof::{PIECE_BYTES, Pieces, PprofMeta};

use crate::profile_merge::index::{Index, MapKey};
use crate::profile_merge::tables::View;
pub(crate) use crate::profile_merge::tables::{NONE, Tables};
use crate::tree::sum_up;

/// Samples of any number of datasets, merged by their stacks of locations.
#[derive(Debug, Clone, Default)]
pub struct ProfileMerge {
    pub(crate) tables: Tables,
    /// By stack node: the value of samples with exactly this stack.
    pub(crate) values: Vec<i64>,
    /// Finds what `tables` hold; made when the second source comes.
    index: Option<Box<Index>>,
}

impl ProfileMerge {
    /// Adds one dataset: `stack_values[i]` is the value of stack `i` of `symbols.stacks`. The value of the empty stack
    /// is left out; so are values beyond the stacks. Needs all tables but `fn_tree`.
    ///
    /// Only the stacks that the filter wants count.
    pub fn add(&mut self, symbols: &Symbols, stack_values: &[i64], filter: &StackFilter) {
        let view = View::from(symbols);
        let mut values = stack_values.to_vec();
        if !filter.wants_all() {
            view.keep(filter, &mut values);
        }
        self.absorb(view, values);
    }

    /// Adds merged profiles.
    pub fn merge(&mut self, other: ProfileMerge) {
        if self.is_empty() {
            *self = other;
        } else {
            self.absorb(View::from(&other.tables), other.values);
        }
    }

    /// The same, of merged profiles that are kept.
    pub fn merge_copy(&mut self, other: &ProfileMerge) {
        if self.is_empty() {
            *self = other.clone();
        } else {
            self.absorb(View::from(&other.tables), other.values.clone());
        }
    }

    /// Gives memory back that only adding needs: for merged profiles that stay.
    pub fn shrink_to_fit(&mut self) {
        self.index = None;
        self.tables.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(|v| *v == 0)
    }

    /// Sum of all samples.
    pub fn total(&self) -> i64 {
        self.values.iter().fold(0i64, |sum, v| sum.saturating_add(*v))
    }

    /// Heap bytes held, for budgets; the index is counted as large as what it finds.
    pub fn bytes(&self) -> usize {
        let tables = self.tables.bytes() + self.values.capacity() * 8;
        if self.index.is_some() { tables * 2 } else { tables }
    }

    fn absorb(&mut self, source: View<'_>, mut values: Vec<i64>) {
        values.resize(source.parent.len(), 0);
        if let Some(empty_stack) = values.first_mut() {
            *empty_stack = 0;
        }
        let totals = sum_up(source.parent, values.clone());
        if totals.first().is_none_or(|total| *total == 0) {
            return;
        }
        let alone = self.values.len() <= 1 && !source.has_equal_mappings();
        if !alone && self.index.is_none() {
            self.index = Some(Box::new(Index::of(&self.tables)));
        }
        let mut copy = Copy::new(source, &mut self.tables, self.index.as_deref_mut());
        let mut places = vec![NONE; totals.len()];
        places[ROOT as usize] = ROOT;
        for node in 1..totals.len() {
            let up = places[source.parent[node] as usize];
            if totals[node] == 0 || up == NONE {
                continue;
            }
            let location = copy.location(source.location[node]);
            places[node] = copy.stack(up, location);
        }
        self.values.resize(self.tables.parent.len(), 0);
        for (place, value) in places.into_iter().zip(values) {
            if let Some(sum) = self.values.get_mut(place as usize) {
                *sum = sum.saturating_add(value);
            }
        }
    }
}

/// Copies rows of a source into the tables, each once, and knows where they went.
struct Copy<'a> {
    source: View<'a>,
    tables: &'a mut Tables,
    /// `None`: every row of the source is new.
    index: Option<&'a mut Index>,
    strings: Vec<u32>,
    functions: Vec<u32>,
    mappings: Vec<u32>,
    locations: Vec<u32>,
    /// The empty mapping, which locations without one get.
    no_mapping: u32,
}

impl<'a> Copy<'a> {
    fn new(source: View<'a>, tables: &'a mut Tables, index: Option<&'a mut Index>) -> Self {
        let mut strings = vec![NONE; source.strings.len()];
        strings[0] = 0;
        Copy {
            strings,
            functions: vec![NONE; source.functions.len()],
            mappings: vec![NONE; source.mappings.len()],
            locations: vec![NONE; source.locations.len()],
            no_mapping: NONE,
            source,
            tables,
            index,
        }
    }

    fn string(&mut self, id: u32) -> u32 {
        let known = self.strings[id as usize];
        if known != NONE {
            return known;
        }
        let text = self.source.strings.get(id);
        let new = match &mut self.index {
            Some(index) => index.string(self.tables, text),
            None => self.tables.strings.push(text),
        };
        self.strings[id as usize] = new;
        new
    }

    fn function(&mut self, id: u32) -> u32 {
        let known = self.functions[id as usize];
        if known != NONE {
            return known;
        }
        let mut row = self.source.functions[id as usize];
        row.name = self.string(row.name);
        row.system_name = self.string(row.system_name);
        row.filename = self.string(row.filename);
        let new = match &mut self.index {
            Some(index) => index.function(self.tables, row),
            None => self.tables.push_function(row),
        };
        self.functions[id as usize] = new;
        new
    }

    fn mapping(&mut self, id: u32) -> u32 {
        let known = if id == NO_MAPPING { self.no_mapping } else { self.mappings[id as usize] };
        if known != NONE {
            return known;
        }
        let mut row = if id == NO_MAPPING { tables::EMPTY_MAPPING } else { self.source.mappings[id as usize] };
        row.filename = self.string(row.filename);
        row.build_id = self.string(row.build_id);
        let new = match &mut self.index {
            Some(index) => index.mapping(self.tables, row),
            None => self.tables.push_mapping(row),
        };
        match id {
            NO_MAPPING => self.no_mapping = new,
            id => self.mappings[id as usize] = new,
        }
        new
    }

    fn location(&mut self, id: u32) -> u32 {
        let known = self.locations[id as usize];
        if known != NONE {
            return known;
        }
        let from = self.source.locations[id as usize];
        let mapping = self.mapping(from.mapping);
        // The same code lies elsewhere in every process: addresses move with the mapping.
        let moved = match self.source.mappings.get(from.mapping as usize) {
            Some(m) => self.tables.mappings[mapping as usize].memory_start.wrapping_sub(m.memory_start),
            None => 0,
        };
        let address = if from.address == 0 { 0 } else { from.address.wrapping_add(moved) };
        let first_line = self.tables.lines.len() as u32;
        for i in from.first_line..from.end_line {
            let mut line = self.source.lines[i as usize];
            line.function = self.function(line.function);
            self.tables.lines.push(line);
        }
        let end_line = self.tables.lines.len() as u32;
        let row = Location { mapping, address, is_folded: from.is_folded, first_line, end_line };
        let new = match &mut self.index {
            Some(index) => index.location(self.tables, row),
            None => self.tables.push_location(row),
        };
        self.locations[id as usize] = new;
        new
    }

    fn stack(&mut self, parent: u32, location: u32) -> u32 {
        match &mut self.index {
            Some(index) => index.stack(self.tables, parent, location),
            None => self.tables.push_stack(parent, location),
        }
    }
}

impl View<'_> {
    /// Whether two mappings would become one, so that locations and stacks could become equal, too.
    fn has_equal_mappings(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.mappings.len() + 1);
        if self.locations.iter().any(|l| l.mapping == NO_MAPPING) {
            seen.insert(MapKey::of(&tables::EMPTY_MAPPING));
        }
        !self.mappings.iter().all(|row| seen.insert(MapKey::of(row)))
    }
}
