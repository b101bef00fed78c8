//! Profiles as Go's profile-guided optimisation wants them: short, and without the lines of callees.

use flamestore_symbols::tables::ROOT;

use crate::profile_merge::index::Index;
use crate::profile_merge::{NONE, ProfileMerge};

/// What to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GoPgo {
    /// Locations kept of each stack, from the leaf up. 0: all.
    pub keep_locations: u32,
    /// Forget the line of the leaf, so that all samples in a callee add up.
    pub aggregate_callees: bool,
}

impl ProfileMerge {
    /// The same samples with shorter stacks; stacks that become equal add up.
    pub(super) fn for_go_pgo(&self, options: GoPgo) -> ProfileMerge {
        let mut tables = self.tables.clone();
        let parent = std::mem::replace(&mut tables.parent, vec![ROOT]);
        let location = std::mem::replace(&mut tables.location, vec![NONE]);
        let mut index = Index::of(&tables);
        let mut lineless = vec![NONE; tables.locations.len()];
        let mut values = vec![0i64];
        let mut stack = Vec::new();
        let keep = if options.keep_locations == 0 { usize::MAX } else { options.keep_locations as usize };
        for (leaf, value) in self.values.iter().enumerate().filter(|(_, value)| **value != 0) {
            stack.clear();
            let mut node = leaf;
            while node != ROOT as usize && stack.len() < keep {
                stack.push(location[node]);
                node = parent[node] as usize;
            }
            if let Some(first) = stack.first_mut().filter(|_| options.aggregate_callees) {
                let known = &mut lineless[*first as usize];
                if *known == NONE {
                    let mut row = tables.locations[*first as usize];
                    row.address = 0;
                    let lines = row.first_line as usize..row.end_line as usize;
                    row.first_line = tables.lines.len() as u32;
                    tables.lines.extend_from_within(lines);
                    if let Some(line) = tables.lines.get_mut(row.first_line as usize) {
                        line.line = 0;
                    }
                    row.end_line = tables.lines.len() as u32;
                    *known = index.location(&mut tables, row);
                }
                *first = *known;
            }
            let node = stack.iter().rev().fold(ROOT, |up, at| index.stack(&mut tables, up, *at));
            values.resize(tables.parent.len(), 0);
            let sum = &mut values[node as usize];
            *sum = sum.saturating_add(*value);
        }
        ProfileMerge { tables, values, index: None }
    }
}
