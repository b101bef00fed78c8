//! Diff.
use crate::tree::Tree;
/// Two trees side by side: groups of seven numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub names: Vec<String>,
    pub levels: Vec<Vec<i64>>,
    pub total: i64,
    pub max_self: i64,
    pub left_ticks: i64,
    pub right_ticks: i64,
}
impl Diff {
    /// Lays two trees side by side and cuts the union; `max_nodes` 0: no limit.
    pub fn new(_left: &Tree, _right: &Tree, _max_nodes: usize) -> Diff { unimplemented!() }
}
