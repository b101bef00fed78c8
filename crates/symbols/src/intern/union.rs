//! Joining the tables of several datasets into one.

use flamestore_model::Fault;

use super::Bounds;
use super::index::Index;
use crate::tables::{Line, Mapping, NO_MAPPING, ROOT, Symbols};

/// Not brought over yet.
const UNSEEN: u32 = u32::MAX;

/// Tables that grow by whole tables: what is alike stands in them once.
#[derive(Debug, Default)]
pub struct Union {
    index: Index,
}

impl Union {
    pub fn with_bounds(bounds: Bounds) -> Self {
        Union { index: Index::with_bounds(bounds) }
    }

    /// Adds everything of `other`; `result[stack]` is the id here of a stack there.
    ///
    /// Fails as `Unavailable` when a table is full and as `Internal` when the ids of `other` do not fit each other.
    pub fn add(&mut self, other: &Symbols) -> Result<Vec<u32>, Fault> {
        let mut from = From { other, index: &mut self.index, strings: vec![UNSEEN; other.strings.len()] };
        let mut functions = Vec::with_capacity(other.functions.len());
        for f in &other.functions {
            let function = crate::Function {
                name: from.string(f.name)?,
                system_name: from.string(f.system_name)?,
                filename: from.string(f.filename)?,
                start_line: f.start_line,
            };
            functions.push(from.index.function(function)?);
        }
        let mut mappings = Vec::with_capacity(other.mappings.len());
        for m in &other.mappings {
            let (filename, build_id) = (from.string(m.filename)?, from.string(m.build_id)?);
            mappings.push(from.index.mapping(Mapping { filename, build_id, ..*m })?);
        }
        let mut locations = Vec::with_capacity(other.locations.len());
        let mut lines = Vec::new();
        for l in &other.locations {
            lines.clear();
            let range = l.first_line as usize..l.end_line as usize;
            for line in other.lines.get(range).ok_or_else(|| broken("lines"))? {
                lines.push(Line { function: at(&functions, line.function, "a function")?, line: line.line });
            }
            let mapping = if l.mapping == NO_MAPPING { NO_MAPPING } else { at(&mappings, l.mapping, "a mapping")? };
            locations.push(from.index.location(mapping, l.address, l.is_folded, &lines)?);
        }
        let tree = &other.stacks;
        let mut stacks = Vec::with_capacity(tree.parent.len());
        stacks.push(ROOT);
        for (parent, location) in tree.parent.iter().zip(&tree.location).skip(1) {
            let parent = at(&stacks, *parent, "a parent")?;
            stacks.push(from.index.stack_child(parent, at(&locations, *location, "a location")?)?);
        }
        Ok(stacks)
    }

    pub fn symbols(&self) -> &Symbols {
        &self.index.symbols
    }

    /// Gives the indexes back, which only growing needs.
    pub fn into_symbols(self) -> Symbols {
        self.index.symbols
    }
}

struct From<'a> {
    other: &'a Symbols,
    index: &'a mut Index,
    strings: Vec<u32>,
}

impl From<'_> {
    fn string(&mut self, id: u32) -> Result<u32, Fault> {
        let known = self.strings.get_mut(id as usize).ok_or_else(|| broken("a string"))?;
        if *known == UNSEEN {
            *known = self.index.string(self.other.strings.get(id).as_bytes())?;
        }
        Ok(*known)
    }
}

fn at(ids: &[u32], id: u32, what: &str) -> Result<u32, Fault> {
    ids.get(id as usize).copied().ok_or_else(|| broken(what))
}

#[cold]
fn broken(what: &str) -> Fault {
    Fault::internal(format!("tables of symbols refer to {what} that they do not have"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{Function, Location};

    /// A chain of calls, the root first.
    fn chain(names: &[&str]) -> Symbols {
        let mut s = Symbols::default();
        let mut parent = ROOT;
        for (i, name) in (0u32..).zip(names) {
            let name = s.strings.push(name);
            s.functions.push(Function { name, system_name: name, filename: 0, start_line: 0 });
            s.lines.push(Line { function: i, line: 7 });
            s.locations.push(Location {
                mapping: NO_MAPPING,
                address: 0,
                is_folded: false,
                first_line: i,
                end_line: i + 1,
            });
            s.stacks.parent.push(parent);
            s.stacks.location.push(i);
            s.stacks.fn_node.push(ROOT);
            parent = i + 1;
        }
        s
    }

    fn names(s: &Symbols, mut stack: u32) -> Vec<&str> {
        let mut out = Vec::new();
        while stack != ROOT {
            let line = s.lines_of(s.stacks.location[stack as usize])[0];
            out.insert(0, s.strings.get(s.functions[line.function as usize].name));
            stack = s.stacks.parent[stack as usize];
        }
        out
    }

    #[test]
    fn stacks_keep_their_meaning_and_equal_ones_become_one() {
        let mut union = Union::default();
        let a = union.add(&chain(&["main", "work", "leaf"])).unwrap();
        let b = union.add(&chain(&["main", "work", "other"])).unwrap();
        assert_eq!(names(union.symbols(), a[3]), ["main", "work", "leaf"]);
        assert_eq!(names(union.symbols(), b[3]), ["main", "work", "other"]);
        assert_eq!(a[..3], b[..3]);
        assert_eq!(union.symbols().stacks.parent.len(), 5);
        assert_eq!(union.symbols().fn_tree.parent.len(), 5);
        assert_eq!(union.add(&chain(&["main", "work", "leaf"])).unwrap(), a);
    }

    #[test]
    fn tables_that_do_not_fit_are_a_fault() {
        let mut broken = chain(&["main"]);
        broken.stacks.location[1] = 9;
        assert!(Union::default().add(&broken).is_err());
        let mut broken = chain(&["main"]);
        broken.lines[0].function = 9;
        assert!(Union::default().add(&broken).is_err());
    }
}
