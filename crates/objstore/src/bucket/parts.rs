//! Large objects, sent part by part.

use bytes::Bytes;
use flamestore_model::Fault;
use futures::{Stream, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::Bucket;
use crate::observe::Op;
use crate::refusal;

/// Bytes of a part, but for the last one. Stores ask for 5 MiB at least, and take 10,000 parts.
pub const PART_BYTES: usize = 8 << 20;

impl Bucket {
    /// Writes an object of `bytes` part by part, over an older one if there is one. Holds one part at a time. Readers see
    /// all of it from the moment on that this has answered, and nothing before.
    ///
    /// Each part has [`PART_BYTES`], but for the last one. When a part is a fault, or a call fails, what was sent is taken
    /// back; a process that dies leaves parts in the store that nobody sees, which the store's own rule removes.
    pub async fn put_parts(
        &self,
        key: &str,
        bytes: u64,
        parts: impl Stream<Item = Result<Bytes, Fault>> + Send,
    ) -> Result<(), Fault> {
        let path = self.path(key)?;
        let watch = self.watch(Op::Put, bytes as _);
        let put = self.send_parts(&path, key, parts).await;
        let put = self.settled(put, &path, key).await;
        watch.done(put.is_err());
        put
    }

    async fn send_parts(
        &self,
        path: &Path,
        key: &str,
        parts: impl Stream<Item = Result<Bytes, Fault>> + Send,
    ) -> Result<(), Fault> {
        let mut upload = {
            let _turn = self.turn().await;
            self.store.put_multipart(path).await.map_err(|e| refusal::of(e, "put", key))?
        };
        let send = async {
            let mut parts = std::pin::pin!(parts);
            while let Some(part) = parts.next().await {
                let part = part?;
                let _turn = self.turn().await;
                upload.put_part(part.into()).await.map_err(|e| refusal::of(e, "put a part of", key))?;
            }
            let _turn = self.turn().await;
            upload.complete().await.map_err(|e| refusal::of(e, "put", key)).map(drop)
        };
        let sent = send.await;
        if sent.is_err() {
            // The fault that counts is the first one.
            let _ = upload.abort().await;
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::{Faulty, Verdict};

    fn parts(last: Result<Bytes, Fault>) -> impl Stream<Item = Result<Bytes, Fault>> + Send {
        futures::stream::iter([Ok(Bytes::from(vec![7; PART_BYTES])), last])
    }

    #[tokio::test]
    async fn an_object_sent_in_parts_is_there_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        for bucket in [Bucket::in_memory(), Bucket::filesystem(dir.path()).unwrap()] {
            let broken = bucket.put_parts("a/b", 9 << 20, parts(Err(Fault::unavailable("gone")))).await;
            assert_eq!(broken.unwrap_err().message, "gone");
            assert_eq!(bucket.head("a/b").await.unwrap(), None);
            for tail in [&b"end"[..], b"another end"] {
                let bytes = (PART_BYTES + tail.len()) as u64;
                bucket.put_parts("a/b", bytes, parts(Ok(Bytes::from_static(tail)))).await.unwrap();
                let got = bucket.get("a/b").await.unwrap();
                assert!(got.len() as u64 == bytes && got.ends_with(tail));
            }
        }
        let left: Vec<_> = std::fs::read_dir(dir.path().join("a")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["b"], "no unfinished files are left");
    }

    #[tokio::test]
    async fn a_store_that_fails_says_so() {
        let faulty = Faulty::by_rule(Arc::new(InMemory::new()), |_, _| Verdict::FailBefore);
        let bucket = Bucket::new(Arc::new(faulty), "").unwrap();
        let refused = bucket.put_parts("a", 3, parts(Ok(Bytes::from_static(b"end")))).await;
        assert_eq!(refused.unwrap_err().kind, flamestore_model::Kind::Unavailable);
    }
}
