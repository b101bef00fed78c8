//! Requests to delete, each also as an object of its own: `<tenant>/deletions/<20 digits>.json`, by the number of the snapshot
//! that was the first to list it. So what a damaged snapshot has lost is asked for by name.
//!
//! Snapshots say how far a request is; the object says what was asked, so that no damaged snapshot loses it. It is written
//! after the snapshot that lists the request, before the request is answered, and goes before the receipt does. So one that
//! the index does not name is a request that was lost.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flamestore_block::{Meta, Ulid};
use flamestore_model::Fault;
use flamestore_objstore::{Put, sealed};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Deletion, Snapshot};
use crate::store::Index;

const VERSION: u32 = 1;
const SUFFIX: &str = ".json";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    version: u32,
    pub id: Ulid,
    /// Number of the first snapshot with it.
    listed_in: u64,
    selector: String,
    /// Closed.
    from_nanos: i64,
    until_nanos: i64,
    asked_ms: i64,
    /// In which the profiles stood.
    blocks: Vec<Ulid>,
    /// Flushes whose profiles those blocks hold, by ingester.
    origins: BTreeMap<String, BTreeSet<u64>>,
}

impl Request {
    /// As a list has it that has the blocks in which the profiles still stand.
    pub fn of(deletion: &Deletion, listed: &Snapshot) -> Self {
        let mut origins: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let of_lost =
            listed.lost.iter().filter(|lost| deletion.replaced.contains(&lost.ulid)).flat_map(|lost| &lost.origins);
        for origin in deletion.blocks.iter().filter_map(|id| listed.block(*id)).flat_map(Meta::origins).chain(of_lost) {
            origins.entry(origin.ingester.clone()).or_default().insert(origin.epoch);
        }
        Request {
            version: VERSION,
            id: deletion.id,
            listed_in: deletion.listed_in,
            selector: deletion.selector.clone(),
            from_nanos: deletion.from_nanos,
            until_nanos: deletion.until_nanos,
            asked_ms: deletion.asked_ms,
            blocks: deletion.blocks.iter().chain(&deletion.replaced).copied().collect(),
            origins,
        }
    }

    /// How far it is when these blocks count. Whatever holds profiles of the same flushes may hold what was deleted, unless it
    /// says that it was written without.
    pub fn over(self, live: &[Meta]) -> Deletion {
        let touches = |meta: &&Meta| {
            let of_it =
                |o: &flamestore_block::Origin| self.origins.get(&o.ingester).is_some_and(|e| e.contains(&o.epoch));
            !meta.deletions.contains(&self.id) && meta.origins().iter().any(of_it)
        };
        let blocks: Vec<Ulid> = live.iter().filter(touches).map(|meta| meta.ulid).collect();
        Deletion {
            id: self.id,
            listed_in: self.listed_in,
            selector: self.selector,
            from_nanos: self.from_nanos,
            until_nanos: self.until_nanos,
            asked_ms: self.asked_ms,
            replaced: self.blocks.into_iter().filter(|id| !blocks.contains(id)).collect(),
            blocks,
        }
    }
}

impl Index {
    fn requests_folder(&self) -> String {
        format!("{}/deletions", self.tenant())
    }

    fn request_key(&self, listed_in: u64) -> String {
        format!("{}/{listed_in:020}{SUFFIX}", self.requests_folder())
    }

    /// Writes a request down; one that is there stays as it is. Under its number another one can only be left from an index that
    /// somebody has taken away.
    pub async fn keep(&self, request: &Request) -> Result<(), Fault> {
        let json = serde_json::to_vec(request)
            .map_err(|e| Fault::internal("a request to delete cannot be written").caused_by(e))?;
        let (key, json) = (self.request_key(request.listed_in), Bytes::from(sealed::seal(json)));
        let is_there = self.bucket().put_create(&key, json.clone()).await? == Put::AlreadyExists;
        if is_there && self.request(request.listed_in).await?.is_none_or(|found| found.id != request.id) {
            self.bucket().put(&key, json).await?;
        }
        Ok(())
    }

    /// The numbers of requests that are written down, as a listing shows them.
    pub async fn kept(&self) -> Result<BTreeSet<u64>, Fault> {
        let mut numbers = BTreeSet::new();
        let mut listed = self.bucket().list(&self.requests_folder());
        while let Some(object) = listed.try_next().await? {
            let name = object.key.rsplit('/').next().and_then(|name| name.strip_suffix(SUFFIX));
            numbers.extend(name.filter(|name| name.len() == 20).and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(numbers)
    }

    /// `None`: it is not there, or cannot be read, which is told.
    pub async fn request(&self, listed_in: u64) -> Result<Option<Request>, Fault> {
        let key = self.request_key(listed_in);
        match self.bucket().understand(&key, sealed::open::<Request>).await? {
            Some(Ok(request)) => Ok(Some(request).filter(|r| r.listed_in == listed_in && r.version == VERSION)),
            Some(Err(fault)) => {
                self.bucket().damaged(&key, &fault.at(&key));
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Its receipt is about to go.
    pub async fn forget(&self, listed_in: u64) -> Result<(), Fault> {
        self.bucket().delete(&self.request_key(listed_in)).await
    }
}

#[cfg(test)]
mod tests {
    use flamestore_clock::ManualClock;
    use flamestore_model::TenantId;
    use flamestore_objstore::Bucket;

    use super::*;
    use crate::view::tests::{compacted, meta};

    fn deletion(blocks: &[&Meta]) -> (Deletion, Snapshot) {
        let mut listed = Snapshot::empty("t");
        blocks.iter().for_each(|meta| listed.add(Meta::clone(meta)));
        let deletion = Deletion {
            id: Ulid(99),
            listed_in: 7,
            selector: "{a=\"b\"}".into(),
            from_nanos: 1,
            until_nanos: 5,
            asked_ms: 7,
            blocks: blocks.iter().map(|meta| meta.ulid).collect(),
            replaced: vec![],
        };
        (deletion, listed)
    }

    #[test]
    fn it_finds_its_profiles_in_whatever_block_they_stand_now_and_not_where_they_were_left_out() {
        let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
        let (asked, listed) = deletion(&[&a, &b]);
        let request = Request::of(&asked, &listed);
        assert_eq!(request.clone().over(&[a.clone(), b.clone(), c.clone()]), asked);
        let ab = compacted(10, 1, &[&a, &b]);
        let unaware = request.clone().over(&[c.clone(), ab.clone()]);
        assert_eq!((unaware.blocks, unaware.replaced), (vec![Ulid(10)], vec![Ulid(1), Ulid(2)]));
        let without = Meta { deletions: vec![Ulid(99)], ..ab };
        assert_eq!(request.over(&[c, without]).blocks, []);
    }

    #[tokio::test]
    async fn what_is_kept_is_read_until_it_is_forgotten_and_damage_is_noticed() {
        let bucket = Bucket::in_memory();
        let index = Index::new(bucket.clone(), TenantId::parse("t").unwrap(), ManualClock::at_nanos(1));
        let (asked, listed) = deletion(&[&meta(1, 0)]);
        let request = Request::of(&asked, &listed);
        for _ in 0..2 {
            index.keep(&request).await.unwrap();
        }
        assert_eq!(index.kept().await.unwrap(), BTreeSet::from([7]));
        assert_eq!(index.request(7).await.unwrap(), Some(request));
        let key = index.request_key(7);
        let mut bytes = bucket.get(&key).await.unwrap().to_vec();
        bytes[20] ^= 1;
        bucket.put(&key, bytes.into()).await.unwrap();
        assert_eq!(index.request(7).await.unwrap(), None);
        index.forget(7).await.unwrap();
        assert_eq!((index.kept().await.unwrap().len(), index.request(7).await.unwrap()), (0, None));
    }
}
