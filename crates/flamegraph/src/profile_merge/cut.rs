//! Truncation of merged profiles: light frames become a location whose function is `other`.

use flamestore_symbols::tables::ROOT;
use flamestore_symbols::{Function, Line, Location};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::profile_merge::ProfileMerge;
use crate::profile_merge::tables::{EMPTY_MAPPING, NONE, Tables};
use crate::tree::{OTHER, sum_up};
use crate::truncate::smallest_kept;

/// Marks a key of [`Functions`] as a location without lines; other keys are ids of names.
const UNSYMBOLIZED: u32 = 1 << 31;

impl ProfileMerge {
    /// Keeps the frames of about `max_nodes` function nodes, found like the first cut of [`crate::Tree::truncate`]; 0
    /// keeps all. The rest of every stack is replaced by one location with the function `other`. Sums are the same
    /// before and after.
    pub fn truncate(&mut self, max_nodes: usize) {
        if max_nodes == 0 || self.tables.parent.len() <= 1 {
            return;
        }
        let functions = Functions::of(&self.tables);
        let mut own = vec![0i64; functions.parent.len()];
        for (node, value) in functions.of_stack.iter().zip(&self.values) {
            own[*node as usize] = own[*node as usize].saturating_add(*value);
        }
        let fn_totals = sum_up(&functions.parent, own);
        let min = smallest_kept(fn_totals[1..].to_vec(), max_nodes);
        if min == 0 {
            return;
        }

        let totals = sum_up(&self.tables.parent, self.values.clone());
        let parent = std::mem::replace(&mut self.tables.parent, vec![ROOT]);
        let location = std::mem::replace(&mut self.tables.location, vec![NONE]);
        let mut values = vec![0i64];
        let mut cut_below = vec![0i64];
        let mut places = vec![NONE; parent.len()];
        places[ROOT as usize] = ROOT;
        let mut shortened: HashMap<(u32, u32), u32, RandomState> = HashMap::default();
        for stack in 1..parent.len() {
            let up = places[parent[stack] as usize];
            if up == NONE {
                continue;
            }
            let at = location[stack];
            let calls = self.tables.lines_of(at).len().max(1) as u32;
            let light = functions.light_calls(stack, calls, &fn_totals, min);
            let mut owner = up;
            if light < calls {
                let kept = match light {
                    0 => at,
                    _ => *shortened.entry((at, light)).or_insert_with(|| without_inner(&mut self.tables, at, light)),
                };
                owner = self.tables.push_stack(up, kept);
                values.push(0);
                cut_below.push(0);
            }
            if light == 0 {
                places[stack] = owner;
                values[owner as usize] = self.values[stack];
            } else {
                cut_below[owner as usize] = cut_below[owner as usize].saturating_add(totals[stack]);
            }
        }
        let mut other = NONE;
        for (stack, value) in cut_below.into_iter().enumerate().filter(|(_, value)| *value != 0) {
            if other == NONE {
                other = other_location(&mut self.tables);
            }
            self.tables.push_stack(stack as u32, other);
            values.push(value);
        }
        self.values = values;
        self.index = None;
    }
}

/// The stacks folded by function name.
struct Functions {
    parent: Vec<u32>,
    /// By stack: the node of its innermost call.
    of_stack: Vec<u32>,
}

impl Functions {
    fn of(tables: &Tables) -> Functions {
        let mut nodes: HashMap<(u32, u32), u32, RandomState> = HashMap::default();
        let mut parent = vec![ROOT];
        let mut of_stack = vec![ROOT; tables.parent.len()];
        for stack in 1..of_stack.len() {
            let mut node = of_stack[tables.parent[stack] as usize];
            let mut step = |key: u32| {
                node = *nodes.entry((node, key)).or_insert_with(|| {
                    parent.push(node);
                    parent.len() as u32 - 1
                });
            };
            let lines = tables.lines_of(tables.location[stack]);
            if lines.is_empty() {
                step(UNSYMBOLIZED | tables.location[stack]);
            }
            for line in lines.iter().rev() {
                step(tables.functions[line.function as usize].name);
            }
            of_stack[stack] = node;
        }
        Functions { parent, of_stack }
    }

    /// How many of the calls of a stack's last location are lighter than `min`; those are its innermost.
    fn light_calls(&self, stack: usize, calls: u32, totals: &[i64], min: i64) -> u32 {
        let mut node = self.of_stack[stack];
        for light in 0..calls {
            if totals[node as usize] >= min {
                return light;
            }
            node = self.parent[node as usize];
        }
        calls
    }
}

/// The location without its `inner` innermost calls. Shares the lines.
fn without_inner(tables: &mut Tables, location: u32, inner: u32) -> u32 {
    let row = tables.locations[location as usize];
    tables.push_location(Location { first_line: row.first_line + inner, ..row })
}

fn other_location(tables: &mut Tables) -> u32 {
    let name = tables.strings.push(OTHER);
    let function = tables.push_function(Function { name, system_name: name, filename: 0, start_line: 0 });
    let empty = tables.mappings.iter().position(|m| *m == EMPTY_MAPPING);
    let mapping = empty.map_or_else(|| tables.push_mapping(EMPTY_MAPPING), |id| id as u32);
    let first_line = tables.lines.len() as u32;
    tables.lines.push(Line { function, line: 0 });
    tables.push_location(Location { mapping, address: 0, is_folded: false, first_line, end_line: first_line + 1 })
}
