//! What readers leave out of each block.

use std::collections::HashMap;
use std::sync::Arc;

use flamestore_block::{Hidden, Ulid};
use flamestore_model::{Selector, TimeRange};

use crate::snapshot::Snapshot;

/// The deleted profiles that still stand in blocks, by block. A selector that cannot be read hides nothing; whoever took the
/// request has parsed it.
pub fn hidden(snapshot: &Snapshot) -> HashMap<Ulid, Arc<[Hidden]>> {
    let mut by_block: HashMap<Ulid, Vec<Hidden>> = HashMap::new();
    for deletion in &snapshot.deletions {
        let range = TimeRange { from_nanos: deletion.from_nanos, to_nanos: deletion.until_nanos };
        let Ok(selector) = Selector::parse(&deletion.selector) else { continue };
        for block in &deletion.blocks {
            by_block.entry(*block).or_default().push(Hidden { selector: selector.clone(), range });
        }
    }
    by_block.into_iter().map(|(block, hidden)| (block, hidden.into())).collect()
}
