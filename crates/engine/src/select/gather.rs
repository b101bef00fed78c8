//! From heads and blocks side by side to one answer. What is known of blocks is added up, the rest is read, and what may
//! be asked again is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flamestore_api::Answer;
use flamestore_block::Block;
use flamestore_flamegraph::budget;
use flamestore_model::labels::names;
use flamestore_model::{Fault, Kind, Select, TenantId, TimeRange};
use flamestore_objstore::Account;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::heads::TenantHeads;
use crate::missed::Missed;
use crate::observe::Observe;
use crate::push::blocking;
use crate::results::{Key, Look, Results, Turn};
use crate::select::Gather;
use crate::select::pieces::{Piece, pieces, singles};
use crate::store::Store;

impl Store {
    pub(super) async fn gather<G: Gather>(&self, tenant: &TenantId, query: &G::Query) -> Result<Answer<G>, Fault> {
        let snapshot = self.snapshot(tenant);
        let max_bytes = self.config.max_merge_bytes;
        let heads = gather_heads::<G>(snapshot.heads, query.clone(), max_bytes);
        let account = self.bucket.open_account();
        let reading = Arc::new(Reading::<G>::new(self, tenant, query, &snapshot.blocks.blocks, account.clone()));
        let gathered = futures::try_join!(heads, reading.all());
        let reads = account.reads();
        self.observer.read(tenant, &reads);
        let (of_heads, Sum { value, partial }) = gathered?;
        let value = match value {
            None => of_heads,
            Some(mut sum) => {
                let add = move || {
                    sum.add(Arc::new(of_heads.into_part()));
                    bounded(sum, max_bytes)
                };
                blocking(add).await??
            }
        };
        Ok(Answer { value, partial: partial || snapshot.blocks.partial, reads })
    }
}

/// One query of blocks.
struct Reading<G: Gather> {
    tenant: TenantId,
    query: G::Query,
    words: Option<Arc<str>>,
    /// By time, all that have what is asked for, at whatever time.
    blocks: Vec<Arc<Block>>,
    now_nanos: i64,
    account: Arc<Account>,
    results: Arc<Results>,
    observer: Arc<dyn Observe>,
    missed: Arc<Missed>,
    max_bytes: usize,
    parallel: usize,
    /// For blocks that are read at the same time.
    turns: Semaphore,
}

/// Several parts added up. `None`: there was none.
struct Sum<G> {
    value: Option<G>,
    /// A block is missing.
    partial: bool,
}

/// A piece of the answer.
struct Made<P> {
    /// `None`: nothing of it can be read.
    part: Option<Arc<P>>,
    partial: bool,
}

impl<G: Gather> Reading<G> {
    fn new(store: &Store, tenant: &TenantId, query: &G::Query, blocks: &[Arc<Block>], account: Arc<Account>) -> Self {
        let select = G::select(query);
        let profile_type = select.profile_type.as_ref().map(ToString::to_string);
        let asked = blocks.iter().filter(|block| has(block, select, None, profile_type.as_ref()));
        let mut blocks: Vec<Arc<Block>> = asked.map(|block| Arc::new(block.on(account.clone()))).collect();
        blocks.sort_unstable_by_key(|block| (block.meta().min_time_nanos, block.meta().ulid));
        let parallel = store.config.max_parallel_blocks.max(1);
        Reading {
            tenant: tenant.clone(),
            query: query.clone(),
            words: G::words(query).filter(|_| store.results.keeps()).map(Into::into),
            blocks,
            now_nanos: store.clock.now_nanos(),
            account,
            results: store.results.clone(),
            observer: store.observer.clone(),
            missed: store.missed.clone(),
            max_bytes: store.config.max_merge_bytes,
            parallel,
            turns: Semaphore::new(parallel),
        }
    }

    fn range(&self) -> TimeRange {
        G::select(&self.query).range
    }

    /// Adds up what the blocks have.
    async fn all(self: Arc<Self>) -> Result<Sum<G>, Fault> {
        let (mut at_hand, mut missing) = (Vec::new(), Vec::new());
        for piece in self.pieces() {
            self.account.blocks(piece.blocks.len() as u64);
            self.sort_out(piece, &mut at_hand, &mut missing);
        }
        let mut value = None;
        if !at_hand.is_empty() {
            // The largest is copied, the others are looked up in it.
            at_hand.sort_by_key(|part| std::cmp::Reverse(G::part_bytes(part)));
            let max_bytes = self.max_bytes;
            let add = move || at_hand.into_iter().try_fold(G::empty(), |sum, part| added(sum, part, max_bytes));
            value = Some(blocking(add).await??);
        }
        self.add_up(missing, value).await
    }

    /// What is taken together, of what the query wants.
    fn pieces(&self) -> Vec<Piece> {
        let select = G::select(&self.query);
        let profile_type = select.profile_type.as_ref().map(ToString::to_string);
        let mut found = if self.words.is_some() {
            let ranges: Vec<TimeRange> = self.blocks.iter().map(|block| block.meta().range()).collect();
            pieces(&ranges, select.range, self.now_nanos)
        } else {
            singles(0..self.blocks.len())
        };
        let wanted = |block: &Arc<Block>| has(block, select, Some(select.range), profile_type.as_ref());
        found.retain(|piece| self.of(piece).iter().any(wanted));
        found
    }

    fn sort_out(&self, piece: Piece, at_hand: &mut Vec<Arc<G::Part>>, missing: &mut Vec<Piece>) {
        match self.key(&piece).map(|key| self.results.look(&key)) {
            Some(Look::AtHand(part)) => {
                self.account.blocks_at_hand(piece.blocks.len() as u64);
                at_hand.push(part);
            }
            Some(Look::TooLarge) if !piece.parts.is_empty() => {
                piece.parts.into_iter().for_each(|part| self.sort_out(part, at_hand, missing));
            }
            _ => missing.push(piece),
        }
    }

    async fn add_up(self: Arc<Self>, pieces: Vec<Piece>, value: Option<G>) -> Result<Sum<G>, Fault> {
        let mut sum = Sum { value, partial: false };
        // A task each, so that they use more than one core; dropping the query ends them.
        let mut parts = futures::stream::iter(pieces)
            .map(|piece| OwnTask(tokio::spawn(self.clone().part(piece))))
            .map(OwnTask::finished)
            .buffer_unordered(self.parallel);
        while let Some(made) = parts.next().await {
            let Made { part, partial } = made?;
            sum.partial |= partial;
            if let Some(part) = part {
                let (value, max_bytes) = (sum.value.take().unwrap_or_else(G::empty), self.max_bytes);
                sum.value = Some(blocking(move || added(value, part, max_bytes)).await??);
            }
        }
        Ok(sum)
    }

    /// A piece, from where it is kept if it can be. Whoever makes one waits only for what it is made of, so nobody waits in a
    /// circle.
    fn part(self: Arc<Self>, piece: Piece) -> BoxFuture<'static, Result<Made<G::Part>, Fault>> {
        let part = async move {
            let Some(key) = self.key(&piece) else { return self.clone().make(piece).await };
            match self.results.turn(&key).await {
                Turn::AtHand(part) => {
                    self.account.blocks_at_hand(piece.blocks.len() as u64);
                    Ok(Made { part: Some(part), partial: false })
                }
                Turn::TooLarge => self.clone().make(piece).await,
                Turn::Make(place) => {
                    let parts: Vec<Key> = piece.parts.iter().filter_map(|part| self.key(part)).collect();
                    let made = self.clone().make(piece).await?;
                    if let Some(part) = made.part.as_ref().filter(|_| !made.partial)
                        && place.keep(part, G::part_bytes(part))
                    {
                        parts.iter().for_each(|part| self.results.forget(part));
                    }
                    Ok(made)
                }
            }
        };
        Box::pin(part)
    }

    async fn make(self: Arc<Self>, piece: Piece) -> Result<Made<G::Part>, Fault> {
        let Sum { value, partial } = match self.of(&piece) {
            [block] if piece.parts.is_empty() => self.read(block).await?,
            _ => self.clone().add_up(piece.parts, None).await?,
        };
        let part = match value {
            None => None,
            Some(value) => Some(Arc::new(blocking(move || value.into_part()).await?)),
        };
        Ok(Made { part, partial })
    }

    async fn read(&self, block: &Block) -> Result<Sum<G>, Fault> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|e| Fault::internal("a query has been closed while it runs").caused_by(e))?;
        // Boxed: it is large, and a task is moved about before it runs.
        let read = match Box::pin(G::of_block(&self.query, block)).await {
            // Sums are there to save time: without them the samples answer.
            Err(fault) if costs_only_its_block(&fault) && block.has_roll_ups() => {
                let part = Box::pin(G::of_block(&self.query, &block.without_roll_ups())).await;
                if part.is_ok() {
                    let tenant = &self.tenant;
                    tracing::error!(%tenant, %fault, "a roll-up cannot be read: its samples are read instead");
                    self.observer.unreadable(tenant, &fault);
                }
                part
            }
            read => read,
        };
        match read {
            Ok(value) => Ok(Sum { value: Some(bounded(value, self.max_bytes)?), partial: false }),
            Err(fault) if costs_only_its_block(&fault) => {
                let tenant = &self.tenant;
                tracing::error!(%tenant, %fault, "a block cannot be read: the answer is partial");
                self.observer.unreadable(tenant, &fault);
                if fault.kind == Kind::NotFound {
                    self.missed.note(tenant, block.meta().ulid);
                }
                Ok(Sum { value: None, partial: true })
            }
            Err(fault) => Err(fault),
        }
    }

    fn of(&self, piece: &Piece) -> &[Arc<Block>] {
        self.blocks.get(piece.blocks.clone()).unwrap_or_default()
    }

    /// What the part is kept under. `None`: it is not.
    fn key(&self, piece: &Piece) -> Option<Key> {
        let words = self.words.clone()?;
        Some(Key::new(&self.tenant, words, self.range(), self.of(piece)))
    }
}

/// Damaged bytes, and files that somebody has taken away: the rest can be answered, marked as partial.
fn costs_only_its_block(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::Corrupt | Kind::NotFound)
}

fn added<G: Gather>(mut sum: G, part: Arc<G::Part>, max_bytes: usize) -> Result<G, Fault> {
    sum.add(part);
    bounded(sum, max_bytes)
}

fn bounded<G: Gather>(sum: G, max_bytes: usize) -> Result<G, Fault> {
    budget::within(sum.bytes(), max_bytes)?;
    Ok(sum)
}

/// Whether a block has a service and a profile type that are asked for, in the time if one is given.
fn has(block: &Block, select: &Select, time: Option<TimeRange>, profile_type: Option<&String>) -> bool {
    let (meta, within) = (block.meta(), |range: TimeRange| time.is_none_or(|time| range.overlaps(time)));
    within(meta.range())
        && meta.datasets.iter().any(|dataset| {
            within(dataset.range())
                && select.selector.admits(names::SERVICE_NAME, &dataset.service_name)
                && profile_type.is_none_or(|wanted| dataset.profile_types.contains(wanted))
        })
}

async fn gather_heads<G: Gather>(heads: Vec<Arc<TenantHeads>>, query: G::Query, max_bytes: usize) -> Result<G, Fault> {
    let cancelled = CancelOnDrop::default();
    let flag = cancelled.0.clone();
    let gathered = blocking(move || {
        let mut sum = G::empty();
        for dataset in heads.iter().flat_map(|heads| heads.matching(G::select(&query))) {
            if flag.load(Ordering::Relaxed) {
                break;
            }
            sum.add_head(&query, &dataset.read());
            budget::within(sum.bytes(), max_bytes)?;
        }
        Ok(sum)
    });
    gathered.await?
}

/// Tells work that cannot be aborted that nobody waits any more.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task that ends with whoever waits for it.
struct OwnTask<T>(tokio::task::JoinHandle<Result<T, Fault>>);

impl<T> OwnTask<T> {
    async fn finished(mut self) -> Result<T, Fault> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(e) => Err(Fault::internal("reading a block broke off: this is a bug, see the log").caused_by(e)),
        }
    }
}

impl<T> Drop for OwnTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
