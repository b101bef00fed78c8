//! A dataset in canonical order, given row by row: what the writer reads.

use flamestore_model::{Fault, Labels};
use flamestore_symbols::Line;

use crate::write::input::ProfileInput;

/// The rows of one service, in the order of the format. Nothing of it needs to be in memory as a whole.
///
/// The writer asks for the profiles of all datasets first ([`Pass::Survey`]); then, dataset by dataset, for functions,
/// locations, function nodes, stacks and the profiles again, each once and in this order.
pub trait DatasetStream {
    /// The label `service_name` of all its series; empty where they have none.
    fn service_name(&self) -> &str;

    /// Gives every series and its profiles: the same each time, but for stack ids, which only count in [`Pass::Write`].
    fn profiles(&mut self, pass: Pass, to: &mut dyn Profiles) -> Result<(), Fault>;

    /// By content; ids count from 0. Only what the locations and function nodes use.
    fn functions(&mut self, to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>) -> Result<(), Fault>;

    /// By content; ids count from 0. Only what the stacks use.
    fn locations(&mut self, to: &mut dyn FnMut(LocationRow<'_>) -> Result<(), Fault>) -> Result<(), Fault>;

    /// In pre-order, siblings by name; ids count from 1, below the root. Only what the stacks use.
    fn fn_nodes(&mut self, to: &mut dyn FnMut(FnNodeRow) -> Result<(), Fault>) -> Result<(), Fault>;

    /// In pre-order, siblings by location; ids count from 1, below the root. Only what the profiles use.
    fn stacks(&mut self, to: &mut dyn FnMut(StackRow) -> Result<(), Fault>) -> Result<(), Fault>;
}

/// What the profiles are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// To see how much there is. Stack ids may be any.
    Survey,
    /// To write them. Stack ids are those of the rows that [`DatasetStream::stacks`] gave, and climb within a profile; where
    /// they are equal span, trace and value do.
    Write,
}

/// Takes the profiles of a dataset.
pub trait Profiles {
    /// The profiles from here on are of this series. Series come by (profile type, labels), each once; one without
    /// profiles is left out.
    fn series(&mut self, labels: &Labels, profile_type: &str) -> Result<(), Fault>;

    /// By (time, id).
    fn profile(&mut self, profile: &ProfileInput<'_>) -> Result<(), Fault>;
}

/// A function, or a name that only stands in the function tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionRow<'a> {
    pub name: &'a str,
    /// System name, file name and first line; `None`: only a name.
    pub function: Option<(&'a str, &'a str, i64)>,
}

#[derive(Debug, Clone, Copy)]
pub struct LocationRow<'a> {
    pub mapping: Option<MappingRow<'a>>,
    pub address: u64,
    pub is_folded: bool,
    /// Innermost first; functions by new id.
    pub lines: &'a [Line],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappingRow<'a> {
    pub filename: &'a str,
    pub build_id: &'a str,
    pub memory_start: u64,
    pub memory_limit: u64,
    pub file_offset: u64,
    /// As [`flamestore_symbols::Mapping::flags`].
    pub flags: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FnNodeRow {
    /// How far before this row its parent is.
    pub parent_delta: u32,
    /// The first function of its name.
    pub function: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackRow {
    /// How far before this row its parent is.
    pub parent_delta: u32,
    pub location: u32,
    /// The node of the function tree that it folds into.
    pub fn_node: u32,
}
