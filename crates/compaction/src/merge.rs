//! One block of several, as streams: symbols joined, profiles in order, each once.
//!
//! Blocks are in canonical order, and so is what becomes of them. So every table is made in one pass over the sources'
//! tables, holding a page of each column of each source; new ids climb with old ones, which makes the tables between them
//! small and leaves sorted samples sorted. What grows with the number of stacks is those tables, about a byte for each stack
//! of each source, and they go to disk when memory is short. Hot in the compactor; measured by `benches/merge.rs`.

mod bits;
mod cpu;
mod functions;
mod heap;
mod ids;
mod locations;
pub(crate) mod memory;
mod profiles;
mod tree;
mod used;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flamestore_block::meta::MAX_DELETIONS;
use flamestore_block::read::source::{DatasetSource, Source};
use flamestore_block::ulid::block_id;
use flamestore_block::write::stream::{DatasetStream, FnNodeRow, FunctionRow, LocationRow, Pass, Profiles, StackRow};
use flamestore_block::{Block, BlockMeta, Origin, REVISION, Spill, Ulid, VERSION, Written, write_streams};
use flamestore_model::{Fault, TenantId};

use functions::FunctionIds;
use ids::{Growing, Ids};
use memory::Memory;
use tree::{Branch, Node};
use used::Used;

/// What a merge may use.
#[derive(Debug, Clone)]
pub struct Room {
    /// Heap bytes. Sources are chosen so that reading them takes half of it at most ([`plan`](crate::plan)); what grows
    /// beyond goes to the folder.
    pub max_bytes: u64,
    /// Sources, tables and the new block's files while they are made.
    pub spill: Spill,
}

/// What a merge has made.
#[derive(Debug, Clone)]
pub struct Merged {
    /// `None`: nothing is left.
    pub written: Option<Written>,
    pub cost: Cost,
}

/// What a merge has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Zero where the system does not say.
    pub cpu: Duration,
    /// Bytes of the sources' files.
    pub source_bytes: u64,
    /// The most heap bytes held at a time, as counted.
    pub peak_bytes: u64,
    /// Bytes written to the folder.
    pub spilled_bytes: u64,
}

/// Makes the block that replaces `sources`. The same sources give the same id and the same bytes, whoever merges them and
/// whenever.
///
/// The sum of every query stays the same, but for one thing: a profile that stands in two blocks under one id, which a
/// push that was tried again leaves, is kept once. `deletions` names the requests whose profiles the sources hide: they are
/// left out for good, so what is made depends on them.
///
/// Fails as `Corrupt` when a source cannot be read, and names the file; as `Unavailable` when the folder is full.
pub async fn merge(
    sources: &[Block],
    tenant: &TenantId,
    level: u32,
    deletions: &BTreeSet<Ulid>,
    room: &Room,
) -> Result<Merged, Fault> {
    let spill = room.spill.apart();
    let memory = Memory::of(room.max_bytes);
    let _stop = Stop(memory.clone());
    let mut blocks: Vec<&Block> = sources.iter().collect();
    blocks.sort_by_key(|block| block.meta().ulid);
    let mut sources = Vec::with_capacity(blocks.len());
    let mut held = memory.hold(0);
    for block in &blocks {
        sources.push(Arc::new(Box::pin(block.source(&spill)).await?));
        held.set(sources.iter().map(|source: &Arc<Source>| source.held_bytes()).sum());
    }
    let meta = BlockMeta {
        ulid: id_of(&blocks, tenant, level, deletions),
        tenant: tenant.clone(),
        level,
        origin: Origin::default(),
        sources: blocks.iter().map(|b| b.meta().ulid).collect::<BTreeSet<_>>().into_iter().collect(),
        origins: blocks.iter().flat_map(|b| b.meta().origins().to_vec()).collect::<BTreeSet<_>>().into_iter().collect(),
    };
    let source_bytes = blocks.iter().map(|block| block.meta().stats.bytes).sum();
    let (counted, folder) = (memory.clone(), spill.clone());
    let left_out = left_out(&blocks, deletions);
    let (written, cpu) = blocking(move || {
        let start = cpu::of_this_thread();
        let mut written = write(&sources, &meta, &folder, &counted)?;
        if let Some(written) = &mut written {
            written.meta.deletions = left_out;
        }
        drop(held);
        Ok((written, cpu::of_this_thread().saturating_sub(start)))
    })
    .await?;
    let cost = Cost { cpu, source_bytes, peak_bytes: memory.peak(), spilled_bytes: spill.written_bytes() };
    Ok(Merged { written, cost })
}

fn write(sources: &[Arc<Source>], meta: &BlockMeta, spill: &Spill, memory: &Memory) -> Result<Option<Written>, Fault> {
    let services: BTreeSet<&str> =
        sources.iter().flat_map(|s| &s.meta().datasets).map(|d| d.service_name.as_str()).collect();
    let mut datasets = Vec::with_capacity(services.len());
    for service in services {
        let mut parts = Vec::new();
        for source in sources {
            parts.extend(source.dataset(service)?);
        }
        datasets.push(Joined::of(service, parts, spill, memory));
    }
    let mut streams: Vec<&mut dyn DatasetStream> = datasets.iter_mut().map(|dataset| dataset as _).collect();
    let mut held = memory.hold(0);
    write_streams(&mut streams, meta, Some(spill), &mut |bytes| {
        held.set(bytes);
        memory.go_on()
    })
}

/// Stops the merge when whoever waits for it goes away: it runs on a thread of its own.
struct Stop(Memory);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The requests whose profiles no source shows any more.
fn left_out(sources: &[&Block], deletions: &BTreeSet<Ulid>) -> Vec<Ulid> {
    let before = sources.iter().flat_map(|block| &block.meta().deletions);
    let all: BTreeSet<Ulid> = before.chain(deletions).copied().collect();
    all.iter().skip(all.len().saturating_sub(MAX_DELETIONS)).copied().collect()
}

fn id_of(sources: &[&Block], tenant: &TenantId, level: u32, deletions: &BTreeSet<Ulid>) -> Ulid {
    let ids: BTreeSet<Ulid> = sources.iter().map(|b| b.meta().ulid).collect();
    let start = ids.first().map_or(0, |id| id.unix_ms());
    let bytes = |ids: &BTreeSet<Ulid>| ids.iter().flat_map(|id| id.0.to_be_bytes()).collect::<Vec<u8>>();
    block_id(
        start,
        &[
            b"compacted",
            tenant.as_str().as_bytes(),
            &level.to_le_bytes(),
            &VERSION.to_le_bytes(),
            &REVISION.to_le_bytes(),
            &bytes(&ids),
            &bytes(deletions),
        ],
    )
}

/// The rows of one service from several blocks. What stands by source is there from when it is made until it was needed.
struct Joined {
    service: String,
    sources: Vec<DatasetSource>,
    used: Vec<Used>,
    functions: Vec<FunctionIds>,
    locations: Vec<Ids>,
    fn_nodes: Vec<Ids>,
    stacks: Vec<Ids>,
    spill: Spill,
    memory: Memory,
}

impl Joined {
    fn of(service: &str, sources: Vec<DatasetSource>, spill: &Spill, memory: &Memory) -> Self {
        Joined {
            service: service.to_owned(),
            sources,
            used: Vec::new(),
            functions: Vec::new(),
            locations: Vec::new(),
            fn_nodes: Vec::new(),
            stacks: Vec::new(),
            spill: spill.clone(),
            memory: memory.clone(),
        }
    }

    /// Counts what reading a table of all sources holds, while it is read.
    fn reading(&self) -> memory::Held {
        let bytes: u64 = self.sources.iter().map(|source| memory::reader_bytes(source.rows())).sum();
        self.memory.hold(usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

impl DatasetStream for Joined {
    fn service_name(&self) -> &str {
        &self.service
    }

    fn profiles(&mut self, pass: Pass, to: &mut dyn Profiles) -> Result<(), Fault> {
        let _reading = self.reading();
        match pass {
            Pass::Survey => {
                self.used = self.sources.iter().map(|source| Used::none(source, &self.memory)).collect();
                let used = &mut self.used;
                let mut mark = |source: usize, old: &[u32], new: &mut Vec<u32>| {
                    old.iter().for_each(|stack| used[source].stacks.set(*stack));
                    new.extend_from_slice(old);
                    Ok(())
                };
                profiles::walk(&self.sources, &self.memory, &mut mark, to)
            }
            Pass::Write => {
                let ids = &mut self.stacks;
                let mut translate = |source: usize, old: &[u32], new: &mut Vec<u32>| {
                    let ids = &mut ids[source];
                    old.iter().try_for_each(|stack| ids.get(*stack).map(|id| new.push(id)))
                };
                profiles::walk(&self.sources, &self.memory, &mut translate, to)?;
                self.stacks = Vec::new();
                Ok(())
            }
        }
    }

    fn functions(&mut self, to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let _reading = self.reading();
        for (source, used) in self.sources.iter().zip(&mut self.used) {
            self.memory.go_on()?;
            used.complete(source)?;
        }
        let growing = || Growing::new(&self.spill, &self.memory);
        self.functions = functions::merge(&self.sources, &self.used, growing, to)?;
        Ok(())
    }

    fn locations(&mut self, to: &mut dyn FnMut(LocationRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let _reading = self.reading();
        let growing = || Growing::new(&self.spill, &self.memory);
        let functions = self.functions.iter_mut().map(|ids| &mut ids.functions);
        self.locations = locations::merge(&self.sources, &self.used, functions, growing, to)?;
        Ok(())
    }

    fn fn_nodes(&mut self, to: &mut dyn FnMut(FnNodeRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let _reading = self.reading();
        let mut branches = Vec::with_capacity(self.sources.len());
        for ((source, used), ids) in self.sources.iter().zip(&self.used).zip(&mut self.functions) {
            let mut rows = source.fn_nodes()?;
            branches.push(Branch {
                source,
                what: "function nodes",
                read: Box::new(move || {
                    let row = rows.advance()?;
                    Ok(row.map(|row| Node { parent_delta: row.parent_delta, key: row.function, payload: 0 }))
                }),
                translate: Box::new(move |node| Ok((ids.names.get(node.key)?, 0))),
                used: &used.fn_nodes,
                ids: Growing::new(&self.spill, &self.memory),
            });
        }
        self.fn_nodes =
            tree::merge(branches, &mut |parent_delta, function, _| to(FnNodeRow { parent_delta, function }))?;
        self.functions = Vec::new();
        Ok(())
    }

    fn stacks(&mut self, to: &mut dyn FnMut(StackRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let _reading = self.reading();
        let mut branches = Vec::with_capacity(self.sources.len());
        let ids = self.locations.iter_mut().zip(&mut self.fn_nodes);
        for ((source, used), (locations, fn_nodes)) in self.sources.iter().zip(&self.used).zip(ids) {
            let mut rows = source.stacks()?;
            branches.push(Branch {
                source,
                what: "stacks",
                read: Box::new(move || {
                    let row = rows.advance()?;
                    Ok(row.map(|row| Node { parent_delta: row.parent_delta, key: row.location, payload: row.fn_node }))
                }),
                translate: Box::new(move |node| Ok((locations.get(node.key)?, fn_nodes.get(node.payload)?))),
                used: &used.stacks,
                ids: Growing::new(&self.spill, &self.memory),
            });
        }
        let memory = &self.memory;
        let mut given = 0u64;
        self.stacks = tree::merge(branches, &mut |parent_delta, location, fn_node| {
            given += 1;
            if given.is_multiple_of(1 << 16) {
                memory.go_on()?;
            }
            to(StackRow { parent_delta, location, fn_node })
        })?;
        self.used = Vec::new();
        self.locations = Vec::new();
        self.fn_nodes = Vec::new();
        Ok(())
    }
}

/// Runs what computes for long away from the threads that wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Fault::internal("a compaction broke off: this is a bug, see the log").caused_by(e)),
    }
}
