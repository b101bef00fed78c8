//! What is kept for a tenant in one object of the bucket: JSON with a checksum, so that damage is told and never shown.

use flamestore_model::{Fault, Kind};
use flamestore_objstore::{Bucket, sealed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    version: u32,
    value: T,
}

/// `None`: there is no such object. `what` names it in faults.
pub(crate) async fn read<T: DeserializeOwned>(bucket: &Bucket, key: &str, what: &str) -> Result<Option<T>, Fault> {
    let json = match bucket.get(key).await {
        Ok(json) => json,
        Err(fault) if fault.kind == Kind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    of_json(&json).map(Some).map_err(|cause| {
        let fault = Fault::corrupt(format!("{what} in {key} cannot be read")).caused_by(cause);
        bucket.damaged(key, &fault);
        fault
    })
}

/// Before there were checksums, the value stood there by itself.
fn of_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Fault> {
    sealed::check(json)?;
    let refuse = |e| Fault::corrupt("it is no JSON of ours").caused_by(e);
    match serde_json::from_slice::<Stored<T>>(json) {
        Ok(stored) if stored.version <= VERSION => Ok(stored.value),
        Ok(stored) => {
            Err(Fault::corrupt(format!("it has version {}, and this program reads {VERSION}", stored.version)))
        }
        Err(_) => serde_json::from_slice(json).map_err(refuse),
    }
}

pub(crate) async fn write<T: Serialize>(bucket: &Bucket, key: &str, what: &str, value: &T) -> Result<(), Fault> {
    let json = serde_json::to_vec(&Stored { version: VERSION, value });
    let json = json.map_err(|e| Fault::internal(format!("{what} cannot be written as JSON")).caused_by(e))?;
    bucket.put(key, sealed::seal(json).into()).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Map = BTreeMap<String, String>;

    #[tokio::test]
    async fn every_flipped_byte_is_told_or_changes_nothing() {
        let bucket = Bucket::in_memory();
        let map = Map::from([("version".to_owned(), "x".to_owned()), ("value".to_owned(), "12".to_owned())]);
        assert_eq!(read::<Map>(&bucket, "t/k", "it").await.unwrap(), None);
        write(&bucket, "t/k", "it", &map).await.unwrap();
        assert_eq!(read(&bucket, "t/k", "it").await.unwrap(), Some(map.clone()));
        let bytes = bucket.get("t/k").await.unwrap();
        let mut told = 0;
        for at in 0..bytes.len() {
            let mut broken = bytes.to_vec();
            broken[at] ^= 1;
            bucket.put("t/k", broken.into()).await.unwrap();
            match read::<Map>(&bucket, "t/k", "it").await {
                Ok(read) => assert_eq!(read, Some(map.clone()), "byte {at}"),
                Err(fault) => {
                    assert!(fault.kind == Kind::Corrupt && fault.message.contains("t/k"), "{fault}");
                    told += 1;
                }
            }
        }
        assert!(told > bytes.len() - 20, "{told} of {}", bytes.len());
    }

    #[tokio::test]
    async fn what_was_written_without_a_checksum_is_read() {
        let bucket = Bucket::in_memory();
        let map = Map::from([("a".to_owned(), "b".to_owned())]);
        bucket.put("t/k", serde_json::to_vec(&map).unwrap().into()).await.unwrap();
        assert_eq!(read(&bucket, "t/k", "it").await.unwrap(), Some(map));
        bucket.put("t/k", b"[1,2]".as_slice().into()).await.unwrap();
        assert_eq!(read::<Vec<u32>>(&bucket, "t/k", "it").await.unwrap(), Some(vec![1, 2]));
    }
}
