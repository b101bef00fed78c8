//! Storing a block: its files, then `meta.json`, whose create-only put is the commit.

use bytes::Bytes;
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::{Bucket, Put};
use futures::{StreamExt, TryStreamExt};

use crate::meta::{Meta, meta_key};
use crate::refusal::corrupt;
use crate::write::Written;

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
/// The writer is deterministic: what an attempt that died has left are mostly the same bytes. Files that differ (from
/// another version of the program) are overwritten while there is no `meta.json`; so a block id must have one live
/// writer at a time, which the id's derivation from ingester and epoch gives.
pub async fn upload(bucket: &Bucket, tenant: &TenantId, written: &Written) -> Result<Committed, Fault> {
    let meta_key = meta_key(tenant, written.meta.ulid);
    if written.meta.tenant != tenant.as_str() {
        return Err(Fault::internal(format!("block {meta_key} was written for tenant {:?}", written.meta.tenant)));
    }
    if let Some(meta) = committed(bucket, &meta_key).await? {
        return Ok(Committed { meta, new: false });
    }
    // Made before anything is awaited: the compiler then sees that the whole can be sent to another thread.
    let puts: Vec<_> =
        written.files.iter().map(|(name, bytes)| put_file(bucket, written.meta.key(name), bytes.clone())).collect();
    futures::stream::iter(puts).buffer_unordered(MAX_PARALLEL_PUTS).try_collect::<()>().await?;
    match bucket.put_create(&meta_key, written.meta.to_json()?.into()).await? {
        Put::Created => Ok(Committed { meta: written.meta.clone(), new: true }),
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

async fn put_file(bucket: &Bucket, key: String, bytes: Bytes) -> Result<(), Fault> {
    if bucket.put_create(&key, bytes.clone()).await? == Put::Created {
        return Ok(());
    }
    let there = bucket.head(&key).await?;
    let same = match there {
        Some(object) if object.bytes == bytes.len() as u64 => bucket.get(&key).await? == bytes,
        _ => false,
    };
    if same { Ok(()) } else { bucket.put(&key, bytes).await }
}
