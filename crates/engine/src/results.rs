//! Finished parts of answers: the flame graph of one block for one query, kept while there is room.
//!
//! Blocks never change, and what of them is hidden is part of the key, so nothing has to be made invalid. The range of a
//! query is cut to that of the block: to a block that lies wholly in it, every such range is the same.

use std::fmt::Write;
use std::sync::Arc;

use flamestore_block::{Block, Ulid};
use flamestore_flamegraph::{Tree, TreeMerger};
use flamestore_model::{Fault, TimeRange, TreeQuery};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What an entry costs beside its tree and its texts.
const ENTRY_BYTES: u64 = 256;
/// The bytes of a usual tree, from which the cache sizes its table.
const USUAL_ENTRY_BYTES: u64 = 64 << 10;
/// The cache is split in parts, so that queries seldom wait for each other. A tree larger than a part is not kept.
const PARTS: usize = 4;

pub(crate) struct Results {
    trees: Option<Cache<Key, Arc<Tree>, Bytes>>,
}

/// One block, and what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: String,
    block: Ulid,
    /// Cut to the block.
    from_nanos: i64,
    to_nanos: i64,
    /// The rest of the query, and what is hidden in the block, in words that mean one thing only.
    asked: String,
}

impl Results {
    /// 0: keeps nothing.
    pub(crate) fn new(max_bytes: u64) -> Self {
        let usual = usize::try_from(max_bytes / USUAL_ENTRY_BYTES).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            .shards(PARTS)
            .estimated_items_capacity(usual)
            .weight_capacity(max_bytes)
            .build()
            .ok()
            .filter(|_| max_bytes > 0);
        let trees = options.map(|options| {
            Cache::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
        });
        Results { trees }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.trees.as_ref().map_or(0, Cache::weight)
    }

    /// The block's part of an answer, which `read` makes where it is not at hand, once for all who ask for it at the same
    /// time.
    pub(crate) async fn tree(
        &self,
        query: &TreeQuery,
        block: &Block,
        read: impl Future<Output = Result<TreeMerger, Fault>>,
    ) -> Result<TreeMerger, Fault> {
        let Some(trees) = &self.trees else { return read.await };
        let mut at_hand = true;
        let load = async {
            at_hand = false;
            read.await.map(|merger| Arc::new(merger.finish()))
        };
        let tree = trees.get_or_insert_async(&key(query, block), load).await?;
        if let Some(account) = block.account().filter(|_| at_hand) {
            account.block_at_hand();
        }
        Ok(Arc::unwrap_or_clone(tree).into())
    }
}

fn key(query: &TreeQuery, block: &Block) -> Key {
    let (meta, select) = (block.meta(), &query.select);
    let range = within(select.range, meta.range());
    let mut matchers: Vec<String> = select.selector.matchers.iter().map(ToString::to_string).collect();
    matchers.sort_unstable();
    matchers.dedup();
    let (mut profiles, mut spans, mut traces) =
        (select.profile_ids.clone(), select.span_ids.clone(), select.trace_ids.clone());
    profiles.sort_unstable();
    spans.sort_unstable();
    traces.sort_unstable();
    let profile_type = select.profile_type.as_ref().map(ToString::to_string);
    let (call_site, frames) = (&query.stacks.call_site, query.stacks.frames.patterns());
    let mut asked = format!("{profile_type:?} {matchers:?} {profiles:?} {spans:?} {traces:?} {call_site:?} {frames:?}");
    for hidden in block.hidden() {
        // Writing to a string does not fail.
        let _ = write!(asked, " {:?} {:?}", hidden.selector.to_string(), hidden.range);
    }
    Key { tenant: meta.tenant.clone(), block: meta.ulid, from_nanos: range.from_nanos, to_nanos: range.to_nanos, asked }
}

fn within(asked: TimeRange, has: TimeRange) -> TimeRange {
    TimeRange { from_nanos: asked.from_nanos.max(has.from_nanos), to_nanos: asked.to_nanos.min(has.to_nanos) }
}

/// Weighs entries in bytes of memory.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Weighter<Key, Arc<Tree>> for Bytes {
    fn weight(&self, key: &Key, tree: &Arc<Tree>) -> u64 {
        ENTRY_BYTES + (key.tenant.len() + key.asked.len() + tree.bytes()) as u64
    }
}
