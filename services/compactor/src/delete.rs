//! Deleting on request: hidden at once, gone when the blocks are written again and the delay is over.
//!
//! Everything acknowledged before the request is flushed first, so a request speaks of blocks alone, and names them: what is
//! pushed later stays, also when it looks alike. Until a block is written again, every reader leaves its deleted profiles
//! out.

use flamestore_block::Ulid;
use flamestore_block::ulid::block_id;
use flamestore_index::{Deletion, Index, Request, Snapshot, View};
use flamestore_model::{Fault, FaultId, Selector, TenantId, TimeRange};
use serde::Serialize;

use crate::run::Compactor;

/// Requests of a tenant that are not done; each is looked at in every query.
pub const MAX_OPEN_DELETIONS: usize = 100;
/// Receipts of what is done are kept for this long.
const KEEP_RECEIPTS_MS: i64 = 30 * 86_400_000;

/// How far a request is. Times are Unix milliseconds, closed ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub id: String,
    pub selector: String,
    pub from_ms: i64,
    pub until_ms: i64,
    pub asked_at_ms: i64,
    pub state: State,
    /// Blocks in which the profiles still stand, hidden.
    pub blocks_to_rewrite: usize,
    /// Blocks written again whose old bytes are still there.
    pub blocks_to_delete: usize,
}

/// How far the bytes are. Queries show nothing of it in any state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Still in blocks that count.
    Hidden,
    /// In no block that counts; old bytes wait for `deletion_delay`.
    Rewritten,
    /// Gone from the bucket.
    Done,
}

impl Receipt {
    fn of(deletion: &Deletion, snapshot: &Snapshot) -> Self {
        let to_delete = deletion.replaced.iter().filter(|b| snapshot.is_dead(**b)).count();
        let state = match (deletion.blocks.len(), to_delete) {
            (0, 0) => State::Done,
            (0, _) => State::Rewritten,
            _ => State::Hidden,
        };
        Receipt {
            id: deletion.id.to_string(),
            selector: deletion.selector.clone(),
            from_ms: deletion.from_nanos / 1_000_000,
            until_ms: deletion.until_nanos / 1_000_000,
            asked_at_ms: deletion.asked_ms,
            state,
            blocks_to_rewrite: deletion.blocks.len(),
            blocks_to_delete: to_delete,
        }
    }
}

impl Compactor {
    /// Deletes everything acknowledged so far that matches, in a closed range of Unix milliseconds. When this answers, no
    /// query shows it any more.
    pub async fn delete(
        &self,
        tenant: &TenantId,
        selector: &str,
        from_ms: i64,
        until_ms: i64,
    ) -> Result<Receipt, Fault> {
        let parsed = Selector::parse(selector)?;
        if parsed.matchers.is_empty() {
            return Err(Fault::invalid(
                "query: an empty selector would delete everything: say so with {service_name=~\".+\"}",
            ));
        }
        if from_ms > until_ms {
            return Err(Fault::of(
                FaultId::TimeRangeInvalid,
                format!("from ({from_ms}) is after until ({until_ms}): give both, in milliseconds since the epoch"),
            ));
        }
        let range = TimeRange::from_millis(from_ms, until_ms);
        self.parts.flusher.flush().await?;
        let index = self.index(tenant);
        let view = self.view(&index).await?;
        let touched: Vec<Ulid> = view.listed().filter(|b| b.range().overlaps(range)).map(|b| b.ulid).collect();
        let asked_ms = self.parts.clock.now_millis();
        let numbers = [from_ms.to_le_bytes(), until_ms.to_le_bytes(), self.parts.chance.next_u64().to_le_bytes()];
        let blocks: Vec<u8> = touched.iter().flat_map(|b| b.0.to_le_bytes()).collect();
        let made_of = [b"deletion".as_slice(), numbers.as_flattened(), selector.as_bytes(), &blocks];
        let mut deletion = Deletion {
            id: block_id(u64::try_from(asked_ms).unwrap_or(0), &made_of),
            listed_in: 0,
            selector: selector.to_owned(),
            from_nanos: range.from_nanos,
            until_nanos: range.to_nanos,
            asked_ms,
            blocks: touched,
            replaced: Vec::new(),
        };
        let edited = self
            .edit(&index, &view, |snapshot| {
                if snapshot.deletions.iter().any(|d| d.id == deletion.id) {
                    return Ok(());
                }
                if snapshot.deletions.iter().filter(|d| !d.blocks.is_empty()).count() >= MAX_OPEN_DELETIONS {
                    return Err(Fault::new(
                        flamestore_model::Kind::Limited,
                        format!(
                            "{MAX_OPEN_DELETIONS} deletions of this tenant are under way: wait until compaction has \
                             done some, or delete with fewer requests"
                        ),
                    ));
                }
                view.list_in(snapshot);
                if let Some(gone) = deletion.blocks.iter().find(|b| snapshot.block(**b).is_none()) {
                    return Err(Fault::unavailable(format!(
                        "block {gone} was compacted meanwhile: send the request again"
                    )));
                }
                // Should one of them come back, nothing of it that was deleted does.
                let lost = snapshot.lost.iter().filter(|lost| lost.range().overlaps(range));
                deletion.replaced = lost.map(|lost| lost.ulid).collect();
                deletion.listed_in = snapshot.seq + 1;
                snapshot.deletions.push(deletion.clone());
                Ok(())
            })
            .await?;
        index.keep(&Request::of(&deletion, &edited)).await?;
        tracing::info!(
            target: "compactor", %tenant, deletion = %deletion.id, selector, blocks = deletion.blocks.len(),
            "compactor: deletion on request: hidden from queries"
        );
        Ok(Receipt::of(&deletion, &edited))
    }

    /// Each request stands in the index and in an object of its own: what one of them has lost is in the other.
    pub(crate) async fn keep_requests(&self, index: &Index, view: &View) -> Result<(), Fault> {
        let kept = index.kept().await?;
        let listed = &view.snapshot;
        for deletion in listed.deletions.iter().filter(|d| d.listed_in > 0 && !kept.contains(&d.listed_in)) {
            index.keep(&Request::of(deletion, listed)).await?;
        }
        let mut lost = Vec::new();
        for number in kept.into_iter().filter(|number| listed.deletions.iter().all(|d| d.listed_in != *number)) {
            lost.extend(index.request(number).await?);
        }
        if lost.is_empty() {
            return Ok(());
        }
        let edit = |snapshot: &mut Snapshot| {
            view.list_in(snapshot);
            for request in &lost {
                if snapshot.deletions.iter().all(|d| d.id != request.id) {
                    snapshot.deletions.push(request.clone().over(&snapshot.blocks));
                }
            }
            snapshot.deletions.sort_by_key(|d| (d.asked_ms, d.id));
            Ok(())
        };
        self.edit(index, view, edit).await.map(drop)
    }

    /// The requests of a tenant, the newest first.
    pub async fn deletions(&self, tenant: &TenantId) -> Result<Vec<Receipt>, Fault> {
        let snapshot = self.view(&self.index(tenant)).await?.snapshot;
        Ok(snapshot.deletions.iter().rev().map(|d| Receipt::of(d, &snapshot)).collect())
    }
}

/// Receipts that nobody will ask for any more.
pub(crate) fn old(snapshot: &Snapshot, now_ms: i64) -> Vec<(Ulid, u64)> {
    // What was deleted of a lost block is hidden again when it comes back.
    let needed = |d: &Deletion| d.replaced.iter().any(|b| snapshot.is_lost(*b));
    let old = |d: &&Deletion| {
        d.asked_ms < now_ms - KEEP_RECEIPTS_MS && Receipt::of(d, snapshot).state == State::Done && !needed(d)
    };
    snapshot.deletions.iter().filter(old).map(|d| (d.id, d.listed_in)).collect()
}
