//! Flame graph levels.
use crate::tree::Tree;

/// Levels as the wire has them: groups of four numbers, x offset (delta), total, self, index in `names`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flamegraph {
    pub names: Vec<String>,
    pub levels: Vec<Vec<i64>>,
    pub total: i64,
    pub max_self: i64,
}
impl Tree {
    pub fn flamegraph(&self) -> Flamegraph { Flamegraph { names: vec![], levels: vec![], total: 0, max_self: 0 } }
}
