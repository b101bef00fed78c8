//! Storing a block: its files, then `meta.json`, whose create-only put is the commit.

use bytes::Bytes;
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::{Bucket, PART_BYTES, Put};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::meta::{Meta, meta_key};
use crate::refusal::corrupt;
use crate::write::{Content, Written};

/// Files of a block that are put at the same time.
pub const MAX_PARALLEL_PUTS: usize = 4;

/// A block that is in the bucket.
#[derive(Debug, Clone)]
pub struct Committed {
    /// As the bucket has it.
    pub meta: Meta,
    /// False when the block had been committed before.
    pub new: bool,
}

/// Puts a block. That it is there already counts as success, so a flush can be done again after any crash.
///
/// What an attempt that died has left is written again while there is no `meta.json`, so a block id must have one live
/// writer at a time, which the id's derivation from ingester and epoch gives. Whoever deletes old leftovers may do so at the
/// same time: it sees that they are young again, and what it has taken nevertheless is put back.
pub async fn upload(bucket: &Bucket, tenant: &TenantId, written: &Written) -> Result<Committed, Fault> {
    let meta_key = meta_key(tenant, written.meta.ulid);
    if written.meta.tenant != tenant.as_str() {
        return Err(Fault::internal(format!("block {meta_key} was written for tenant {:?}", written.meta.tenant)));
    }
    if let Some(meta) = committed(bucket, &meta_key).await? {
        if meta == written.meta {
            put_back(bucket, written).await?;
        }
        return Ok(Committed { meta, new: false });
    }
    // Made before anything is awaited: the compiler then sees that the whole can be sent to another thread.
    let puts: Vec<_> =
        written.files.iter().map(|(name, content)| put_file(bucket, written.meta.key(name), content.clone())).collect();
    let found: Vec<Put> = futures::stream::iter(puts).buffer_unordered(MAX_PARALLEL_PUTS).try_collect().await?;
    match bucket.put_create(&meta_key, written.meta.to_json()?.into()).await? {
        Put::Created => {
            if found.contains(&Put::AlreadyExists) {
                put_back(bucket, written).await?;
            }
            Ok(Committed { meta: written.meta.clone(), new: true })
        }
        // Our own put whose answer was lost, or another attempt's.
        Put::AlreadyExists => match committed(bucket, &meta_key).await? {
            Some(meta) => Ok(Committed { new: false, meta }),
            None => Err(Fault::unavailable(format!("{meta_key} was there and is gone; try again"))),
        },
    }
}

/// The `meta.json` of a block, if it is committed.
pub async fn committed(bucket: &Bucket, meta_key: &str) -> Result<Option<Meta>, Fault> {
    match bucket.get(meta_key).await {
        Ok(json) => Meta::from_json(&json).map(Some).map_err(|e| corrupt(meta_key, &e).caused_by(e)),
        Err(e) if e.kind == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether there was one before.
async fn put_file(bucket: &Bucket, key: String, content: Content) -> Result<Put, Fault> {
    match &content {
        Content::Held(bytes) => {
            let put = bucket.put_create(&key, bytes.clone()).await?;
            if put == Put::AlreadyExists {
                bucket.put(&key, bytes.clone()).await?;
            }
            Ok(put)
        }
        // Stores do not offer create-only for objects in parts.
        Content::Spilled(_) if same(bucket, &key, &content).await? => Ok(Put::AlreadyExists),
        Content::Spilled(file) => {
            bucket.put_parts(&key, file.len(), parts(content.clone())).await?;
            Ok(Put::Created)
        }
    }
}

/// Puts files that were taken away while the block was not committed: nobody does from now on.
async fn put_back(bucket: &Bucket, written: &Written) -> Result<(), Fault> {
    for (name, content) in &written.files {
        let key = written.meta.key(name);
        if bucket.head(&key).await?.is_none_or(|object| object.bytes != content.len()) {
            put_file(bucket, key, content.clone()).await?;
        }
    }
    Ok(())
}

/// Whether an object has this content.
async fn same(bucket: &Bucket, key: &str, content: &Content) -> Result<bool, Fault> {
    if bucket.head(key).await?.is_none_or(|object| object.bytes != content.len()) {
        return Ok(false);
    }
    let (mut at, mut parts) = (0, std::pin::pin!(parts(content.clone())));
    while let Some(part) = parts.next().await {
        let part = part?;
        let end = at + part.len() as u64;
        if bucket.get_range(key, at..end).await? != part {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
}

/// A file in parts that stores take.
fn parts(content: Content) -> impl Stream<Item = Result<Bytes, Fault>> + Send {
    let starts = (0..content.len()).step_by(PART_BYTES);
    futures::stream::iter(starts).then(move |start| {
        let content = content.clone();
        async move {
            let len = (content.len() - start).min(PART_BYTES as u64) as usize;
            match &content {
                Content::Held(_) => content.range(start, len),
                Content::Spilled(_) => match tokio::task::spawn_blocking(move || content.range(start, len)).await {
                    Ok(part) => part,
                    Err(e) => Err(Fault::internal("reading a block's file was broken off").caused_by(e)),
                },
            }
        }
    })
}
