//! A dataset of very many stacks that is made as it is asked for, so that it needs no memory.

use flamestore_block::ProfileInput;
use flamestore_block::write::stream::{DatasetStream, FnNodeRow, FunctionRow, LocationRow, Pass, Profiles, StackRow};
use flamestore_model::{Fault, Labels, ProfileId, Values};
use flamestore_symbols::Line;

pub(crate) const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// A tree of three levels; every leaf is a stack with one sample. Each of `parts` has every `parts`-th leaf, and every
/// 64th of all.
#[derive(Debug, Clone)]
pub(crate) struct Many {
    /// Children of the root, of each of those, and of each of those.
    pub(crate) wide: [u32; 3],
    pub(crate) parts: u32,
    pub(crate) part: u32,
    /// Samples of a profile.
    pub(crate) samples: usize,
}

impl Many {
    fn has(&self, leaf: u64) -> bool {
        leaf % u64::from(self.parts) == u64::from(self.part) || leaf.is_multiple_of(64)
    }

    /// Calls `to` with parent delta and position among siblings of each node, and whether it is a leaf; in pre-order.
    fn nodes(&self, to: &mut dyn FnMut(u32, u32, bool) -> Result<(), Fault>) -> Result<(), Fault> {
        let [a, b, c] = self.wide;
        let mut id = 0u32;
        let mut leaf = 0u64;
        for i in 0..a {
            id += 1;
            let first = id;
            to(first, i, false)?;
            for j in 0..b {
                id += 1;
                let second = id;
                to(second - first, j, false)?;
                for k in 0..c {
                    if self.has(leaf) {
                        id += 1;
                        to(id - second, k, true)?;
                    }
                    leaf += 1;
                }
            }
        }
        Ok(())
    }
}

impl DatasetStream for Many {
    fn service_name(&self) -> &str {
        "many"
    }

    fn profiles(&mut self, _: Pass, to: &mut dyn Profiles) -> Result<(), Fault> {
        let labels = [("__profile_type__", TYPE), ("service_name", "many")];
        to.series(&Labels::from_pairs(labels), TYPE)?;
        let (mut stacks, mut id, mut number) = (Vec::new(), 0u32, 0i64);
        let part = self.part;
        let mut one = |stacks: &mut Vec<u32>, number: &mut i64| {
            *number += 1;
            let values = vec![10_000_000; stacks.len()];
            let sent = to.profile(&ProfileInput {
                time_nanos: 1_763_697_600_000_000_000 + *number * 1_000_000,
                duration_nanos: 0,
                profile_id: ProfileId((u128::from(part) << 64 | *number as u128).to_be_bytes()),
                stacks,
                values: Values::Wide(&values),
                span_ids: &[],
                trace_ids: &[],
                annotations: &[],
            });
            stacks.clear();
            sent
        };
        self.nodes(&mut |_, _, is_leaf| {
            id += 1;
            if is_leaf {
                stacks.push(id);
            }
            if stacks.len() == self.samples { one(&mut stacks, &mut number) } else { Ok(()) }
        })?;
        if stacks.is_empty() { Ok(()) } else { one(&mut stacks, &mut number) }
    }

    fn functions(&mut self, to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        (0..self.wide.iter().copied().max().unwrap_or(0)).try_for_each(|i| {
            let name = format!("function {i:08}");
            to(FunctionRow { name: &name, function: Some((&name, "main.go", 7)) })
        })
    }

    fn locations(&mut self, to: &mut dyn FnMut(LocationRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        (0..self.wide.iter().copied().max().unwrap_or(0)).try_for_each(|function| {
            let lines = [Line { function, line: 9 }];
            to(LocationRow { mapping: None, address: 0, is_folded: false, lines: &lines })
        })
    }

    fn fn_nodes(&mut self, to: &mut dyn FnMut(FnNodeRow) -> Result<(), Fault>) -> Result<(), Fault> {
        self.nodes(&mut |parent_delta, function, _| to(FnNodeRow { parent_delta, function }))
    }

    fn stacks(&mut self, to: &mut dyn FnMut(StackRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut fn_node = 0;
        self.nodes(&mut |parent_delta, location, _| {
            fn_node += 1;
            to(StackRow { parent_delta, location, fn_node })
        })
    }
}
