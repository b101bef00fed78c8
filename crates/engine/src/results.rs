//! Finished parts of answers: what one query has of a block, or of all blocks of a window of time together, kept while
//! there is room.
//!
//! Blocks never change, and what of them is hidden is part of the key, so nothing has to be made invalid.

use std::any::Any;
use std::fmt::Write;
use std::sync::Arc;

use flamestore_block::{Block, Ulid};
use flamestore_model::{Select, TenantId, TimeRange, TreeQuery};
use quick_cache::sync::{Cache, DefaultLifecycle, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What an entry costs beside its part, its blocks and its texts.
const ENTRY_BYTES: u64 = 256;
/// The bytes of a usual part, from which the cache sizes its table.
const USUAL_ENTRY_BYTES: u64 = 64 << 10;
/// A part that takes more than this share of the cache is not kept: others would have to go for it.
const LARGEST_SHARE: u64 = 4;

pub(crate) struct Results {
    parts: Option<Cache<Key, Kept, Bytes>>,
    max_part_bytes: u64,
}

/// Blocks, and what was asked of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    tenant: TenantId,
    blocks: Vec<Ulid>,
    /// The range of the query, cut to a block that does not lie wholly in it. `None`: all that the blocks have.
    cut: Option<TimeRange>,
    /// The rest of the query, in words that mean one thing only.
    asked: Arc<str>,
    /// What is hidden in the blocks, likewise.
    hidden: String,
}

#[derive(Clone)]
enum Kept {
    Part {
        part: Arc<dyn Any + Send + Sync>,
        bytes: usize,
    },
    /// There is no room for such a part.
    TooLarge,
}

/// What there is for a key.
pub(crate) enum Look<P> {
    AtHand(Arc<P>),
    /// There was no room for it when it was made.
    TooLarge,
    Nothing,
}

/// What there is for a key, or the right to make it.
pub(crate) enum Turn<'r, P> {
    AtHand(Arc<P>),
    /// Nothing, and whoever asks for it meanwhile waits.
    Make(Place<'r>),
    /// Nothing, as there is no room for it.
    TooLarge,
}

/// Where a part goes. Dropping it lets the next one who waits make the part.
pub(crate) struct Place<'r> {
    guard: PlaceholderGuard<'r, Key, Kept, Bytes, DefaultHashBuilder, DefaultLifecycle<Key, Kept>>,
    max_bytes: u64,
}

impl Results {
    /// 0: keeps nothing.
    pub(crate) fn new(max_bytes: u64) -> Self {
        let usual = usize::try_from(max_bytes / USUAL_ENTRY_BYTES).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            // Entries are few and large: they should share the room, and nobody holds the lock for long.
            .shards(1)
            .estimated_items_capacity(usual)
            .weight_capacity(max_bytes)
            .build()
            .ok()
            .filter(|_| max_bytes > 0);
        let parts = options.map(|options| {
            Cache::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
        });
        Results { parts, max_part_bytes: max_bytes / LARGEST_SHARE }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.as_ref().map_or(0, Cache::weight)
    }

    pub(crate) fn keeps(&self) -> bool {
        self.parts.is_some()
    }

    /// One kind of answer has one kind of parts.
    pub(crate) fn look<P: Send + Sync + 'static>(&self, key: &Key) -> Look<P> {
        match self.parts.as_ref().and_then(|parts| parts.get(key)) {
            None => Look::Nothing,
            Some(kept) => kept.part().map_or(Look::TooLarge, Look::AtHand),
        }
    }

    /// The part, or the place where it goes, for one at a time.
    pub(crate) async fn turn<P: Send + Sync + 'static>(&self, key: &Key) -> Turn<'_, P> {
        let Some(parts) = &self.parts else { return Turn::TooLarge };
        match parts.get_value_or_guard_async(key).await {
            Ok(kept) => kept.part().map_or(Turn::TooLarge, Turn::AtHand),
            Err(guard) => Turn::Make(Place { guard, max_bytes: self.max_part_bytes }),
        }
    }

    /// Makes room: what is part of a larger part that is kept need not be.
    pub(crate) fn forget(&self, key: &Key) {
        if let Some(parts) = &self.parts {
            parts.remove(key);
        }
    }
}

impl Kept {
    fn part<P: Send + Sync + 'static>(self) -> Option<Arc<P>> {
        match self {
            Kept::Part { part, .. } => part.downcast().ok(),
            Kept::TooLarge => None,
        }
    }
}

impl Place<'_> {
    /// Whether it was kept.
    pub(crate) fn keep<P: Send + Sync + 'static>(self, part: &Arc<P>, bytes: usize) -> bool {
        let fits = bytes as u64 <= self.max_bytes;
        let kept = if fits { Kept::Part { part: part.clone(), bytes } } else { Kept::TooLarge };
        // Refused only when somebody has emptied the cache meanwhile.
        self.guard.insert(kept).is_ok() && fits
    }
}

impl Key {
    /// Of blocks that lie wholly in the range of the query, or of one that may not.
    pub(crate) fn new(tenant: &TenantId, asked: Arc<str>, range: TimeRange, blocks: &[Arc<Block>]) -> Self {
        let mut hidden = String::new();
        for block in blocks {
            for part in block.hidden() {
                // Writing to a string does not fail.
                let _ = write!(hidden, "{} {:?} {:?} ", block.meta().ulid, part.selector.to_string(), part.range);
            }
        }
        let cut = blocks.iter().map(|block| block.meta().range()).find(|has| !range.covers(*has));
        let cut = cut.map(|has| TimeRange {
            from_nanos: range.from_nanos.max(has.from_nanos),
            to_nanos: range.to_nanos.min(has.to_nanos),
        });
        Key {
            tenant: tenant.clone(),
            blocks: blocks.iter().map(|block| block.meta().ulid).collect(),
            cut,
            asked,
            hidden,
        }
    }
}

/// What a query asks, without times, in words that mean one thing only; `kind` is that of the answer.
pub(crate) fn words(kind: &str, query: &TreeQuery) -> String {
    let Select { profile_type, selector, range: _, profile_ids, span_ids, trace_ids } = &query.select;
    let mut matchers: Vec<String> = selector.matchers.iter().map(ToString::to_string).collect();
    matchers.sort_unstable();
    matchers.dedup();
    let (mut profiles, mut spans, mut traces) = (profile_ids.clone(), span_ids.clone(), trace_ids.clone());
    profiles.sort_unstable();
    spans.sort_unstable();
    traces.sort_unstable();
    let profile_type = profile_type.as_ref().map(ToString::to_string);
    let (call_site, frames) = (&query.stacks.call_site, query.stacks.frames.patterns());
    format!("{kind} {profile_type:?} {matchers:?} {profiles:?} {spans:?} {traces:?} {call_site:?} {frames:?}")
}

/// Weighs entries in bytes of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes;

impl Weighter<Key, Kept> for Bytes {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let part = match kept {
            Kept::Part { bytes, .. } => *bytes,
            Kept::TooLarge => 0,
        };
        let texts = key.asked.len() + key.hidden.len() + key.blocks.len() * size_of::<Ulid>();
        ENTRY_BYTES + (texts + part) as u64
    }
}
