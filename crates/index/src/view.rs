//! What is in the bucket now: the index, and what the listing adds to it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use flamestore_block::meta::meta_key;
use flamestore_block::{Meta, Origin, Ulid};
use flamestore_model::{Fault, Kind};
use futures::{StreamExt, TryStreamExt};

use crate::cover::cover;
use crate::request::Request;
use crate::snapshot::{Snapshot, Why};
use crate::store::{Index, KEEP_SNAPSHOTS, Latest};

/// Every block of a tenant, by what it is worth.
#[derive(Debug)]
pub struct View {
    /// The blocks that count. Sorted by id.
    pub live: Vec<Meta>,
    /// As `live`, with what is to be deleted: what an edit of a damaged index starts from.
    pub snapshot: Snapshot,
    /// Of the snapshot as it stands in the bucket.
    pub bytes: u64,
    /// Of `live`, those that the snapshot in the bucket does not list.
    pub unlisted: usize,
    /// In no list, and they count for nothing: of a compaction that did not come to its end, or flushed again by somebody who did
    /// not know that they had been.
    pub orphans: Vec<Meta>,
    /// Folders without a `meta.json`: never committed, or half deleted.
    pub partial: Vec<Ulid>,
    /// Blocks whose `meta.json` cannot be read. What they hold is missing in answers.
    pub unreadable: Vec<(Ulid, Fault)>,
    /// Blocks that the snapshot lists and the bucket does not have, sorted by id. Readers go on trying them, so that answers
    /// say what they lack.
    pub missing: Vec<Meta>,
    /// Blocks that the snapshot has as lost and that have a `meta.json` again.
    pub returned: Vec<Meta>,
    /// Why the index had to be made again from the blocks.
    pub damaged: Option<Fault>,
}

impl View {
    /// Origins whose profiles are in a block, or were in one that was deleted on purpose.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        let of_dead = self.snapshot.dead.iter().flat_map(|d| &d.origins);
        let of_lost = self.snapshot.lost.iter().flat_map(|l| &l.origins);
        self.listed().flat_map(Meta::origins).chain(of_dead).chain(of_lost)
    }

    /// The blocks that count, with those that the bucket does not have.
    pub fn listed(&self) -> impl Iterator<Item = &Meta> {
        self.live.iter().chain(&self.missing)
    }

    /// Lists in `snapshot` what was flushed since the one that was read.
    pub fn list_in(&self, snapshot: &mut Snapshot) {
        self.live.iter().for_each(|meta| snapshot.add(meta.clone()));
    }
}

impl Index {
    /// Reads the latest snapshot and lists the blocks; reads the `meta.json` of those that it does not know, `parallel` at
    /// a time. A block that is flushed meanwhile may be missing.
    pub async fn view(&self, parallel: usize) -> Result<View, Fault> {
        self.view_knowing([], parallel).await
    }

    /// As [`Index::view`], and looks for these blocks too: a listing may be of long ago, or not have come to them yet.
    pub async fn view_knowing(&self, known: impl IntoIterator<Item = Ulid>, parallel: usize) -> Result<View, Fault> {
        let Latest { seq, bytes, snapshot } = self.latest().await?;
        let mut candidates: BTreeSet<Ulid> = known.into_iter().collect();
        let mut requests: BTreeMap<Ulid, Request> = BTreeMap::new();
        let (snapshot, damaged) = match snapshot {
            Ok(snapshot) => (snapshot, None),
            Err(fault) => {
                let mut made = Snapshot { seq, ..Snapshot::empty(self.tenant().as_str()) };
                let mut sound = None;
                if let Some(older) = self.older(seq).await? {
                    sound = Some(older.seq);
                    candidates.extend(older.blocks.iter().map(|b| b.ulid));
                    requests.extend(older.deletions.iter().map(|d| (d.id, Request::of(d, &older))));
                    // What was taken away on purpose does not come back. What was compacted may have to.
                    made.dead = older.dead.into_iter().filter(|d| d.why != Why::Compaction).collect();
                    made.quarantined = older.quarantined;
                    made.lost = older.lost;
                }
                // By name, as far as snapshots are kept: no listing is believed.
                let first = sound.unwrap_or_else(|| seq.saturating_sub(KEEP_SNAPSHOTS as u64));
                for number in (first + 1)..=seq {
                    requests.extend(self.request(number).await?.map(|request| (request.id, request)));
                }
                (made, Some(fault))
            }
        };
        let rebuild = damaged.is_some() || seq == 0;
        if rebuild {
            for number in self.kept().await? {
                requests.extend(self.request(number).await?.map(|request| (request.id, request)));
            }
        }
        let folders: BTreeSet<Ulid> = self
            .bucket()
            .list_dirs(&format!("{}/blocks", self.tenant()))
            .await?
            .iter()
            .filter_map(|name| Ulid::parse(name))
            .collect();
        candidates.extend(folders.iter().copied());
        let unknown = candidates.into_iter().filter(|id| snapshot.block(*id).is_none() && !snapshot.is_dead(*id));
        let found: Vec<(Ulid, Result<Option<Meta>, Fault>)> = futures::stream::iter(unknown)
            .map(|id| async move {
                match self.read_meta(id).await {
                    // The block is there and cannot be read, which is a fact about it.
                    Err(fault) if fault.kind != Kind::Corrupt => Err(fault),
                    read => Ok((id, read)),
                }
            })
            .buffered(parallel.max(1))
            .try_collect()
            .await?;
        // No listing proves that a block is gone.
        let unseen: Vec<Ulid> = snapshot.blocks.iter().map(|b| b.ulid).filter(|id| !folders.contains(id)).collect();
        let gone: BTreeSet<Ulid> = futures::stream::iter(unseen)
            .map(|id| async move {
                let there = self.bucket().head(&meta_key(self.tenant(), id)).await?.is_some();
                Ok::<_, Fault>((!there).then_some(id))
            })
            .buffered(parallel.max(1))
            .try_filter_map(async |gone| Ok(gone))
            .try_collect()
            .await?;

        let mut view = View {
            live: vec![],
            snapshot,
            bytes,
            unlisted: 0,
            orphans: vec![],
            partial: vec![],
            unreadable: vec![],
            missing: vec![],
            returned: vec![],
            damaged,
        };
        let mut unlisted = Vec::new();
        for (id, read) in found {
            match read {
                // The cleanup looks whether it is whole, and takes it back. What is left of it is left to it.
                Ok(Some(meta)) if !rebuild && view.snapshot.is_lost(id) => view.returned.push(meta),
                Ok(None) | Err(_) if view.snapshot.is_lost(id) => {}
                Ok(Some(meta)) => unlisted.push(meta),
                // One that was only hoped for is none.
                Ok(None) if !folders.contains(&id) => {}
                Ok(None) => view.partial.push(id),
                Err(fault) => view.unreadable.push((id, fault)),
            }
        }
        if rebuild {
            let (live, redundant) = cover(unlisted);
            view.unlisted = live.len();
            view.live = live;
            // A flushed block counts unless it is listed as dead: from the next edit on it would count beside the one that
            // holds its profiles.
            for meta in redundant {
                view.snapshot.add(meta.clone());
                view.snapshot.kill(meta.ulid, Why::Compaction, self.clock().now_millis());
            }
            view.snapshot.deletions = requests.into_values().map(|request| request.over(&view.live)).collect();
            view.snapshot.deletions.sort_by_key(|d| (d.asked_ms, d.id));
            view.snapshot.quarantined.retain(|q| view.live.iter().any(|meta| meta.ulid == q.ulid));
            let counted: HashSet<&Origin> = view.live.iter().flat_map(Meta::origins).collect();
            view.snapshot.lost.retain(|lost| lost.origins.iter().all(|origin| !counted.contains(origin)));
        } else {
            // A compacted block counts once it is listed; a flushed one at once, unless it came late and a listed one has its
            // profiles already.
            let listed: HashSet<&Origin> = view.snapshot.blocks.iter().flat_map(Meta::origins).collect();
            let dead = view.snapshot.dead.iter().flat_map(|d| &d.origins);
            let taken: HashSet<&Origin> = dead.chain(view.snapshot.lost.iter().flat_map(|l| &l.origins)).collect();
            let is_new = |m: &Meta| m.level == 0 && !listed.contains(&m.origin) && !taken.contains(&m.origin);
            let (flushed, orphans) = unlisted.into_iter().partition(is_new);
            view.live = flushed;
            view.unlisted = view.live.len();
            view.orphans = orphans;
            for listed in &view.snapshot.blocks {
                let side = if gone.contains(&listed.ulid) { &mut view.missing } else { &mut view.live };
                side.push(listed.clone());
            }
            view.live.sort_by_key(|m| m.ulid);
        }
        view.snapshot.blocks = view.listed().cloned().collect();
        view.snapshot.blocks.sort_by_key(|m| m.ulid);
        Ok(view)
    }

    /// `None`: the block was never committed. What cannot be read is read once more, since the damage may be on the way.
    async fn read_meta(&self, id: Ulid) -> Result<Option<Meta>, Fault> {
        match self.read_meta_once(id).await {
            Err(fault) if fault.kind == Kind::Corrupt => self.read_meta_once(id).await,
            read => read,
        }
    }

    async fn read_meta_once(&self, id: Ulid) -> Result<Option<Meta>, Fault> {
        let key = meta_key(self.tenant(), id);
        match self.bucket().get(&key).await {
            Err(fault) if fault.kind == Kind::NotFound => Ok(None),
            Err(fault) => Err(fault),
            Ok(bytes) => {
                let meta = Meta::from_json(&bytes).map_err(|fault| fault.at(&key))?;
                if meta.tenant != self.tenant().as_str() || meta.ulid != id {
                    return Err(Fault::corrupt(format!(
                        "{key} describes a block of another place: somebody has moved it"
                    )));
                }
                Ok(Some(meta))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use flamestore_clock::ManualClock;
    use flamestore_model::TenantId;
    use flamestore_objstore::Bucket;

    use super::*;
    use crate::snapshot::Deletion;
    use crate::store::tests::stale;

    /// A block of one flush.
    pub(crate) fn meta(id: u128, level: u32) -> Meta {
        Meta {
            version: 1,
            ulid: Ulid(id),
            tenant: "t".into(),
            min_time_nanos: id as i64,
            max_time_nanos: id as i64,
            level,
            origin: Origin { ingester: "i".into(), epoch: id as u64 },
            sources: vec![],
            origins: vec![],
            deletions: vec![],
            stats: Default::default(),
            datasets: vec![],
            files: vec![],
        }
    }

    pub(crate) fn deletion(id: u128, listed_in: u64, blocks: &[u128]) -> Deletion {
        Deletion {
            id: Ulid(id),
            listed_in,
            selector: "{a=\"b\"}".into(),
            from_nanos: 0,
            until_nanos: 5,
            asked_ms: id as i64,
            blocks: blocks.iter().map(|id| Ulid(*id)).collect(),
            replaced: vec![],
        }
    }

    #[tokio::test]
    async fn what_was_deleted_outlives_a_damaged_index_from_the_snapshot_before_and_from_its_own_object() {
        let w = World::new();
        w.commit(&meta(1, 0)).await;
        w.commit(&meta(2, 0)).await;
        let (bucket, stale) = stale(&w.bucket);
        let blind = Index::new(bucket, w.index.tenant().clone(), ManualClock::at_nanos(1));
        blind.view(4).await.unwrap();
        stale.store(true, SeqCst);
        let base = w.index.view(4).await.unwrap().snapshot;
        for (seq, asked) in [(1, deletion(8, 1, &[1])), (2, deletion(9, 2, &[1, 2]))] {
            let with_it = |s: &mut Snapshot| {
                s.deletions.push(asked.clone());
                Ok(())
            };
            let listed = w.index.edit(&base, with_it).await.unwrap();
            assert_eq!(listed.seq, seq);
            if seq == 2 {
                w.index.keep(&Request::of(&asked, &listed)).await.unwrap();
            }
        }
        // Committed by a compaction that knew of neither.
        w.commit(&compacted(10, 1, &[&meta(1, 0), &meta(2, 0)])).await;
        for seq in [2, 1] {
            w.bucket.put(&format!("t/index/{seq:020}.json.zst"), b"?".as_slice().into()).await.unwrap();
            let view = w.index.view(4).await.unwrap();
            assert!(view.damaged.is_some() && view.live.iter().map(|m| m.ulid.0).eq([10]));
            let hidden: Vec<_> = view.snapshot.deletions.iter().map(|d| (d.id.0, d.blocks.clone())).collect();
            let wanted = [(8, vec![Ulid(10)]), (9, vec![Ulid(10)])];
            assert_eq!(hidden, wanted[usize::from(seq == 1)..], "snapshot {seq} is damaged");
            let blindly = blind.view(4).await.unwrap().snapshot.deletions.into_iter().map(|d| d.id.0);
            assert!(blindly.eq(hidden.iter().map(|(id, _)| *id)), "no listing shows the object");
        }
        for key in [1, 2].map(|seq| format!("t/index/{seq:020}.json.zst")) {
            w.bucket.delete(&key).await.unwrap();
        }
        assert_eq!(w.index.view(4).await.unwrap().snapshot.deletions.len(), 1, "all of the index is gone");
    }

    pub(crate) fn compacted(id: u128, level: u32, sources: &[&Meta]) -> Meta {
        let mut origins: Vec<Origin> = sources.iter().flat_map(|s| s.origins().to_vec()).collect();
        origins.sort();
        Meta {
            origin: Origin::default(),
            sources: sources.iter().map(|s| s.ulid).collect(),
            origins,
            ..meta(id, level)
        }
    }

    struct World {
        bucket: Bucket,
        index: Index,
    }

    impl World {
        fn new() -> Self {
            let bucket = Bucket::in_memory();
            let index = Index::new(bucket.clone(), TenantId::parse("t").unwrap(), ManualClock::at_nanos(1));
            World { bucket, index }
        }

        async fn commit(&self, meta: &Meta) {
            self.bucket.put(&meta.key("series.parquet"), vec![1].into()).await.unwrap();
            self.bucket.put(&meta.key("meta.json"), meta.to_json().unwrap().into()).await.unwrap();
        }

        async fn live(&self) -> Vec<u128> {
            self.index.view(4).await.unwrap().live.iter().map(|m| m.ulid.0).collect()
        }
    }

    #[tokio::test]
    async fn flushed_blocks_count_at_once_and_compacted_ones_when_listed() {
        let w = World::new();
        let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
        for m in [&a, &b] {
            w.commit(m).await;
        }
        assert_eq!(w.live().await, [1, 2]);
        let view = w.index.view(4).await.unwrap();
        w.index
            .edit(&view.snapshot, |s| {
                view.list_in(s);
                Ok(())
            })
            .await
            .unwrap();
        w.commit(&c).await;
        let ab = compacted(10, 1, &[&a, &b]);
        w.commit(&ab).await;
        let view = w.index.view(4).await.unwrap();
        assert_eq!((w.live().await, view.orphans.len()), (vec![1, 2, 3], 1));
        // The same flush once more, under another name.
        let again = Meta { ulid: Ulid(4), ..a.clone() };
        w.commit(&again).await;
        assert_eq!((w.live().await, w.index.view(4).await.unwrap().orphans.len()), (vec![1, 2, 3], 2));
        w.bucket.delete(&again.key("meta.json")).await.unwrap();
        w.index
            .edit(&view.snapshot, |s| {
                assert!(s.kill(Ulid(1), Why::Compaction, 5) && s.kill(Ulid(2), Why::Compaction, 5));
                s.add(ab.clone());
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(w.live().await, [3, 10]);
        let view = w.index.view(4).await.unwrap();
        assert_eq!(view.origins().count(), 5, "those of the dead are known too");
    }

    #[tokio::test]
    async fn a_lost_index_is_made_again_from_the_blocks() {
        let w = World::new();
        let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
        let ab = compacted(10, 1, &[&a, &b]);
        for m in [&a, &b, &c, &ab] {
            w.commit(m).await;
        }
        assert_eq!(w.live().await, [3, 10]);
        w.bucket.put("t/index/00000000000000000004.json.zst", b"?".as_slice().into()).await.unwrap();
        assert_eq!(w.live().await, [3, 10]);
        assert!(w.index.view(4).await.unwrap().damaged.is_some());
    }

    #[tokio::test]
    async fn what_is_made_again_stays_so_with_the_next_edit() {
        for lost in [true, false] {
            let w = World::new();
            let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
            let ab = compacted(10, 1, &[&a, &b]);
            for m in [&a, &b, &c, &ab] {
                w.commit(m).await;
            }
            if !lost {
                w.bucket.put("t/index/00000000000000000004.json.zst", b"?".as_slice().into()).await.unwrap();
            }
            let view = w.index.view(4).await.unwrap();
            w.index.edit(&view.snapshot, |_| Ok(())).await.unwrap();
            let view = w.index.view(4).await.unwrap();
            assert!(view.damaged.is_none());
            assert_eq!((w.live().await, view.snapshot.dead.len(), view.unlisted), (vec![3, 10], 2, 0), "lost: {lost}");
        }
    }

    #[tokio::test]
    async fn folders_without_a_meta_and_with_a_broken_one_are_told() {
        let w = World::new();
        w.bucket.put(&meta(4, 0).key("series.parquet"), vec![1].into()).await.unwrap();
        w.bucket.put(&meta(5, 0).key("meta.json"), b"{".as_slice().into()).await.unwrap();
        let view = w.index.view(4).await.unwrap();
        assert_eq!((view.partial, view.unreadable.len(), view.live.len()), (vec![Ulid(4)], 1, 0));
    }

    #[tokio::test]
    async fn a_listing_of_long_ago_hides_no_block_that_is_listed_or_known() {
        let w = World::new();
        let (bucket, stale) = stale(&w.bucket);
        let index = Index::new(bucket, w.index.tenant().clone(), ManualClock::at_nanos(1));
        let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
        let ab = compacted(10, 1, &[&a, &b]);
        w.commit(&a).await;
        index.view(4).await.unwrap();
        stale.store(true, SeqCst);
        w.commit(&b).await;
        w.commit(&ab).await;
        let base = w.index.view(4).await.unwrap().snapshot;
        w.index.edit(&base, |_| Ok(())).await.unwrap();
        w.commit(&c).await;
        let ids = |view: View| view.live.iter().map(|m| m.ulid.0).collect::<Vec<_>>();
        assert_eq!(ids(index.view(4).await.unwrap()), [10], "the flush is not known yet");
        let known = [Ulid(3), Ulid(99)];
        let view = index.view_knowing(known, 4).await.unwrap();
        assert_eq!(view.partial, [], "what is nowhere is nothing");
        assert_eq!(ids(view), [3, 10]);
        // Also what is gone is believed of the object alone.
        w.bucket.delete(&meta_key(w.index.tenant(), Ulid(10))).await.unwrap();
        let view = index.view_knowing(known, 4).await.unwrap();
        assert_eq!(view.missing.iter().map(|m| m.ulid.0).collect::<Vec<_>>(), [10]);
        assert_eq!(ids(view), [3]);
    }

    #[tokio::test]
    async fn a_block_that_was_deleted_on_purpose_does_not_come_back_with_a_damaged_index() {
        let w = World::new();
        let (a, b) = (meta(1, 0), meta(2, 0));
        w.commit(&a).await;
        w.commit(&b).await;
        let base = w.index.view(4).await.unwrap().snapshot;
        for n in [1, 2] {
            let killing = |s: &mut Snapshot| {
                s.kill(a.ulid, Why::Deletion, 5);
                s.quarantine(Ulid(n), &Fault::corrupt(""), 5, None);
                Ok(())
            };
            w.index.edit(&base, killing).await.unwrap();
        }
        w.bucket.put("t/index/00000000000000000002.json.zst", b"?".as_slice().into()).await.unwrap();
        assert_eq!(w.live().await, [2]);
    }
}
