//! Truncation.
use crate::tree::Tree;
impl Tree {
    /// Cuts to about `max_nodes` nodes; 0: no limit.
    pub fn truncate(&mut self, _max_nodes: usize) {}
}
