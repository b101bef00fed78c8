//! A try of everything that the store's promises rest on, before anything is entrusted to a bucket.

use bytes::Bytes;
use flamestore_model::{Fault, Kind};
use futures::TryStreamExt;

use crate::{Bucket, Put};

/// The folder of the objects that are tried with; no tenant can have this name.
pub const FOLDER: &str = "self-test@flamestore";

const FIRST: Bytes = Bytes::from_static(b"written by the self-test of flamestore");
const SECOND: Bytes = Bytes::from_static(b"written over it");
const MIDDLE: std::ops::Range<u64> = 8..15;

/// What a store must let us do, in the words of those who grant it.
#[derive(Debug, Clone, Copy)]
enum Right {
    Write,
    Read,
    List,
    Delete,
}

impl Right {
    const fn named(self) -> &'static str {
        match self {
            Right::Write => "write objects (S3: s3:PutObject; GCS: storage.objects.create and storage.objects.delete)",
            Right::Read => "read objects (S3: s3:GetObject; GCS: storage.objects.get)",
            Right::List => "list objects (S3: s3:ListBucket on the bucket itself; GCS: storage.objects.list)",
            Right::Delete => "delete objects (S3: s3:DeleteObject; GCS: storage.objects.delete)",
        }
    }
}

/// Tries the bucket with objects of its own, whose names nobody else has when `unique` is used once. Says what is missing.
pub async fn run(bucket: &Bucket, unique: u128) -> Result<(), Fault> {
    let folder = format!("{FOLDER}/{unique:032x}");
    let key = format!("{folder}/object");
    let tried = attempt(bucket, &folder, &key).await;
    if tried.is_err() {
        // It may not have been written, or may not be deletable: the fault at hand says more.
        let _ = bucket.delete(&key).await;
    }
    tried
}

async fn attempt(bucket: &Bucket, folder: &str, key: &str) -> Result<(), Fault> {
    let first = match bucket.put_create(key, FIRST).await {
        Ok(first) => first,
        Err(e) => return Err(cannot_create(bucket, key, e).await),
    };
    let read = bucket.get(key).await.map_err(|e| needs(Right::Read, e))?;
    // A try that was repeated on the way meets its own object.
    if read != FIRST {
        return Err(broken(match first {
            Put::Created => "gives back other bytes than were written".to_owned(),
            Put::AlreadyExists => format!("refuses to create {key}, as if it were there"),
        }));
    }
    // Without the right to list, some stores forbid what is only missing.
    match bucket.get(&format!("{folder}/missing")).await {
        Err(e) if e.kind == Kind::NotFound => {}
        Err(e) => return Err(needs(Right::List, e)),
        Ok(_) => return Err(broken("has an object that nobody has written")),
    }
    let again = bucket.put_create(key, SECOND).await.map_err(|e| needs(Right::Write, e))?;
    let kept = bucket.get(key).await.map_err(|e| needs(Right::Read, e))? == FIRST;
    if again == Put::Created || !kept {
        return Err(broken(
            "wrote over an object that was to be created only if absent: it ignores If-None-Match: * (on GCS \
             x-goog-if-generation-match: 0), so two writers would destroy each other's data; use a store, or a version \
             of it, with conditional writes",
        ));
    }
    bucket.put(key, SECOND).await.map_err(|e| needs(Right::Write, e))?;
    if bucket.get(key).await.map_err(|e| needs(Right::Read, e))? != SECOND {
        return Err(broken("gives back old bytes after a write: reads must see the last write"));
    }
    ranges(bucket, key).await?;
    listing(bucket, folder, key).await?;
    bucket.delete(key).await.map_err(|e| needs(Right::Delete, e))?;
    if bucket.head(key).await.map_err(|e| needs(Right::Read, e))?.is_some() {
        return Err(broken("still has an object after it was deleted: retention would free nothing"));
    }
    Ok(())
}

async fn ranges(bucket: &Bucket, key: &str) -> Result<(), Fault> {
    let refused = |e: Fault| match e.kind {
        Kind::Internal => needs(Right::Read, e),
        _ => broken("cannot read a range of an object (the Range header)").caused_by(e),
    };
    let read = bucket.get_range(key, MIDDLE).await.map_err(refused)?;
    if read != SECOND.slice(MIDDLE.start as usize..MIDDLE.end as usize) {
        return Err(broken("gives back other bytes for a range than for the whole (the Range header)"));
    }
    Ok(())
}

async fn listing(bucket: &Bucket, folder: &str, key: &str) -> Result<(), Fault> {
    let objects: Vec<_> = bucket.list(folder).try_collect().await.map_err(|e| needs(Right::List, e))?;
    let folders = bucket.list_dirs(FOLDER).await.map_err(|e| needs(Right::List, e))?;
    let name = folder.rsplit('/').next().unwrap_or_default();
    match objects.as_slice() {
        [one] if one.key == key && one.bytes == SECOND.len() as u64 && folders.iter().any(|f| f == name) => Ok(()),
        _ => Err(broken("does not list what was just written: blocks would be overlooked")),
    }
}

/// Why nothing could be created: no such bucket, no right, or not in this way.
async fn cannot_create(bucket: &Bucket, key: &str, e: Fault) -> Fault {
    if e.kind == Kind::NotFound {
        let said = "the bucket's self-test: there is no such bucket or container: create it, or mend its name";
        return Fault::invalid(said).caused_by(e);
    }
    if e.kind == Kind::Internal || bucket.put(key, FIRST).await.is_err() {
        return needs(Right::Write, e);
    }
    broken(
        "can write an object but not create it only if absent (If-None-Match: *; on GCS x-goog-if-generation-match: 0), \
         without which two writers would destroy each other's data; use a store, or a version of it, with conditional \
         writes",
    )
    .caused_by(e)
}

/// The store failed a call that needs a right.
fn needs(right: Right, e: Fault) -> Fault {
    match e.kind {
        // Refused credentials.
        Kind::Internal => Fault::invalid(format!(
            "the bucket's self-test: the store refused us: check the credentials, and that they may {}; on Azure the role \
             Storage Blob Data Contributor has all that is needed",
            right.named()
        )),
        kind => Fault::new(kind, "the bucket's self-test: the store cannot be reached, or fails"),
    }
    .caused_by(e)
}

fn broken(how: impl std::fmt::Display) -> Fault {
    Fault::invalid(format!("the bucket's self-test: the store {how}"))
}
