//! Blocks of which the bucket has lost something: somebody has deleted objects, or a rule of the bucket has.
//!
//! Such a block is left alone by compaction, like a damaged one, and queries over its time are told that their answer is
//! partial. When [`CONFIRMED`] cleanups in a row have found it gone, by asking for the objects themselves, it is taken off the
//! list as lost: queries then go on without it. Nothing of it is deleted. Whoever puts its objects back within
//! [`KEEP_LOST_MS`] has it back.

use std::collections::{BTreeMap, BTreeSet};

use flamestore_block::meta::meta_key;
use flamestore_block::{Meta, Ulid};
use flamestore_index::{Index, Quarantined, Snapshot, View};
use flamestore_model::{Fault, TenantId};
use futures::{StreamExt, TryStreamExt};

use crate::run::Compactor;

/// Cleanups in a row that must find a block gone before it counts as lost.
pub const CONFIRMED: u32 = 3;
/// A lost block is remembered, and taken back, for this long.
pub const KEEP_LOST_MS: i64 = 30 * 86_400_000;

/// What the bucket has of a block.
enum There {
    Whole,
    /// All but its `meta.json`, which the index has, too.
    AllButMeta,
    /// This object is gone.
    Without(String),
}

/// What becomes of a block that was looked at.
enum Verdict {
    Missed {
        fault: String,
        since_ms: i64,
        times: u32,
    },
    Lost {
        fault: String,
    },
    /// Compaction may try it again.
    Released,
}

impl Compactor {
    /// Looks at the blocks that something may be gone of, those that are left alone, and those that were lost.
    pub(crate) async fn watch(&self, index: &Index, view: &View) -> Result<(), Fault> {
        let now_ms = self.parts.clock.now_millis();
        let verdicts = self.verdicts(index, view, now_ms).await?;
        let mut back = Vec::new();
        for meta in &view.returned {
            if matches!(self.there(index.tenant(), meta).await?, There::Whole) {
                back.push(meta.clone());
            }
        }
        let old = |lost: &&flamestore_index::Lost| {
            lost.lost_ms < now_ms - KEEP_LOST_MS && back.iter().all(|meta| meta.ulid != lost.ulid)
        };
        let mut forgotten = BTreeSet::new();
        let mut last = Ok(());
        for lost in view.snapshot.lost.iter().filter(old) {
            // While the index names it, what is left of it cannot count.
            match self.delete_block(index.tenant(), lost.ulid).await {
                Ok(()) => _ = forgotten.insert(lost.ulid),
                Err(fault) => last = Err(fault),
            }
        }
        if verdicts.is_empty() && back.is_empty() && forgotten.is_empty() {
            return last;
        }
        let edit = |snapshot: &mut Snapshot| {
            for (block, verdict) in &verdicts {
                match verdict {
                    Verdict::Missed { fault, since_ms, times } => snapshot.miss(*block, fault, *since_ms, *times),
                    Verdict::Lost { fault } => _ = snapshot.lose(*block, fault, now_ms),
                    Verdict::Released => _ = snapshot.release(*block),
                }
            }
            for meta in &back {
                snapshot.take_back(meta.clone());
            }
            snapshot.lost.retain(|lost| !forgotten.contains(&lost.ulid));
            Ok(())
        };
        self.edit(index, view, edit).await?;
        verdicts.iter().for_each(|(block, verdict)| say(index.tenant(), *block, verdict));
        for meta in &back {
            tracing::info!(
                target: "compactor", tenant = %index.tenant(), block = %meta.ulid,
                "compactor: a lost block is whole again, and answers have it again"
            );
        }
        last
    }

    async fn verdicts(&self, index: &Index, view: &View, now_ms: i64) -> Result<BTreeMap<Ulid, Verdict>, Fault> {
        let tenant = index.tenant();
        let known: BTreeMap<Ulid, &Quarantined> = view.snapshot.quarantined.iter().map(|q| (q.ulid, q)).collect();
        let mut looked_at: BTreeSet<Ulid> = self.parts.flusher.missed(tenant).into_iter().collect();
        looked_at.extend(known.keys().copied().chain(view.missing.iter().map(|meta| meta.ulid)));
        let looked_at: Vec<Meta> = view.listed().filter(|meta| looked_at.contains(&meta.ulid)).cloned().collect();
        let found: Vec<(Meta, There)> = futures::stream::iter(looked_at)
            .map(|meta| async move {
                let there = self.there(tenant, &meta).await?;
                Ok::<_, Fault>((meta, there))
            })
            .buffered(self.config.max_parallel_metas.max(1))
            .try_collect()
            .await?;
        let mut verdicts = BTreeMap::new();
        for (meta, there) in found {
            let known = known.get(&meta.ulid);
            let (times, since_ms) = known.filter(|q| q.gone > 0).map_or((1, now_ms), |q| (q.gone + 1, q.since_ms));
            let long = i64::try_from(self.config.cleanup_interval.as_millis()).unwrap_or(i64::MAX);
            let spent = now_ms.saturating_sub(since_ms);
            // Several processes that clean one bucket count together: what decides then is the time.
            let confirmed = times >= CONFIRMED && spent >= long.saturating_mul(i64::from(CONFIRMED) - 1);
            let verdict = match there {
                There::Without(key) if confirmed => Verdict::Lost { fault: gone(&key) },
                There::Without(key) => Verdict::Missed { fault: gone(&key), since_ms, times },
                There::AllButMeta if confirmed => {
                    let key = meta_key(tenant, meta.ulid);
                    self.parts.bucket.put_create(&key, meta.to_json()?.into()).await?;
                    Verdict::Released
                }
                There::AllButMeta => Verdict::Missed { fault: gone(&meta_key(tenant, meta.ulid)), since_ms, times },
                There::Whole => match known {
                    Some(known) if known.gone > 0 || self.has_changed(tenant, known).await? => Verdict::Released,
                    _ => continue,
                },
            };
            verdicts.insert(meta.ulid, verdict);
        }
        Ok(verdicts)
    }

    /// Compaction has met a source of which something is gone: it is left alone from now on, and holds up no other.
    pub(crate) async fn leave_missing(
        &self,
        index: &Index,
        view: &View,
        sources: &[Meta],
        fault: Fault,
    ) -> Result<(), Fault> {
        let mut missed = Vec::new();
        for meta in sources {
            if let There::Without(key) = self.there(index.tenant(), meta).await? {
                missed.push((meta, gone(&key)));
            }
        }
        if missed.is_empty() {
            return Err(fault);
        }
        let now_ms = self.parts.clock.now_millis();
        let edit = |snapshot: &mut Snapshot| {
            for (meta, fault) in &missed {
                // One that is no longer listed was removed meanwhile, and lacks nothing.
                if !snapshot.is_quarantined(meta.ulid) {
                    snapshot.miss(meta.ulid, fault, now_ms, 1);
                }
            }
            Ok(())
        };
        let edited = self.edit(index, view, edit).await?;
        for (meta, fault) in missed.into_iter().filter(|(meta, _)| edited.is_quarantined(meta.ulid)) {
            say(index.tenant(), meta.ulid, &Verdict::Missed { fault, since_ms: now_ms, times: 1 });
        }
        Ok(())
    }

    /// Asks for each object that reading the block needs. What the store does not answer clearly is an error.
    async fn there(&self, tenant: &TenantId, meta: &Meta) -> Result<There, Fault> {
        for key in meta.needed_keys() {
            if self.parts.bucket.head(&key).await?.is_none() {
                return Ok(There::Without(key));
            }
        }
        let has_meta = self.parts.bucket.head(&meta_key(tenant, meta.ulid)).await?.is_some();
        Ok(if has_meta { There::Whole } else { There::AllButMeta })
    }

    /// Whether something of a damaged block was written since that was found.
    async fn has_changed(&self, tenant: &TenantId, known: &Quarantined) -> Result<bool, Fault> {
        let before = known.written_ms.unwrap_or(known.since_ms);
        Ok(self.last_written(tenant, known.ulid).await?.is_some_and(|now| now > before))
    }
}

fn gone(key: &str) -> String {
    format!("{key} is gone from the bucket")
}

fn say(tenant: &TenantId, block: Ulid, verdict: &Verdict) {
    match verdict {
        Verdict::Missed { fault, times, .. } => tracing::error!(
            target: "compactor", %tenant, %block, fault, times,
            "compactor: something of a block is gone: answers over its time are partial; restore it from a copy, or \
             answers go on without it after {CONFIRMED} cleanups"
        ),
        Verdict::Lost { fault } => tracing::error!(
            target: "compactor", %tenant, %block, fault,
            "compactor: a block is lost: answers go on without it; restored from a copy it counts again"
        ),
        Verdict::Released => tracing::info!(
            target: "compactor", %tenant, %block,
            "compactor: a block that was left alone has changed: compaction tries it again"
        ),
    }
}
