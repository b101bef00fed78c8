//! What of a source is still used once deleted profiles and duplicates are left out.

use flamestore_block::read::source::DatasetSource;
use flamestore_model::Fault;

use crate::merge::bits::Bits;
use crate::merge::memory::{Held, Memory};
use crate::merge::tree::{Node, Path};

/// Marks on the tables of one dataset of one source.
pub(crate) struct Used {
    pub(crate) stacks: Bits,
    pub(crate) fn_nodes: Bits,
    pub(crate) locations: Bits,
    /// Functions of lines.
    pub(crate) functions: Bits,
    /// Functions that function nodes are called after.
    pub(crate) names: Bits,
    _held: Held,
}

impl Used {
    pub(crate) fn none(source: &DatasetSource, memory: &Memory) -> Self {
        let rows = source.rows();
        let stacks = Bits::none(rows.stacktraces.1 + 1);
        let fn_nodes = Bits::none(rows.fn_tree.1 + 1);
        let locations = Bits::none(rows.locations.1);
        let (functions, names) = (Bits::none(rows.functions.1), Bits::none(rows.functions.1));
        let bytes = [&stacks, &fn_nodes, &locations, &functions, &names].iter().map(|bits| bits.bytes()).sum();
        Used { stacks, fn_nodes, locations, functions, names, _held: memory.hold(bytes) }
    }

    /// From the stacks that samples have to everything that they need.
    pub(crate) fn complete(&mut self, source: &DatasetSource) -> Result<(), Fault> {
        let mut stacks = source.stacks()?;
        let mut path = Path::<(u32, u32, bool)>::root();
        while let Some(row) = stacks.advance()? {
            let node = Node { parent_delta: row.parent_delta, key: row.location, payload: row.fn_node };
            let id = path.enter(node, (row.location, row.fn_node, false));
            if self.stacks.get(id.ok_or_else(|| source.out_of_order("stacks"))?) {
                for (id, (location, fn_node, seen)) in path.upwards() {
                    if std::mem::replace(seen, true) {
                        break;
                    }
                    self.stacks.set(id);
                    self.locations.set(*location);
                    self.fn_nodes.set(*fn_node);
                }
            }
        }
        let mut nodes = source.fn_nodes()?;
        let mut path = Path::<(u32, bool)>::root();
        while let Some(row) = nodes.advance()? {
            let node = Node { parent_delta: row.parent_delta, key: row.function, payload: 0 };
            let id = path.enter(node, (row.function, false));
            if self.fn_nodes.get(id.ok_or_else(|| source.out_of_order("function nodes"))?) {
                for (id, (function, seen)) in path.upwards() {
                    if std::mem::replace(seen, true) {
                        break;
                    }
                    self.fn_nodes.set(id);
                    self.names.set(*function);
                }
            }
        }
        let mut locations = source.locations()?;
        let mut id = 0;
        while locations.advance()? {
            if self.locations.get(id) {
                locations.location().lines.iter().for_each(|line| self.functions.set(line.function));
            }
            id += 1;
        }
        Ok(())
    }
}
