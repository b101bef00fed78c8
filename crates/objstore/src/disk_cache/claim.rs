//! Whoever loads a page, while others wait for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{Id, Inner};

/// Nobody else loads this page while it exists. Dropped without having told anything, it lets others try.
pub(super) struct Claim {
    pub(super) cache: Arc<Inner>,
    pub(super) id: Id,
    /// The page's number in its object.
    pub(super) page: u64,
    pub(super) teller: watch::Sender<Option<Bytes>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.cache.loading.lock().remove(&self.id);
    }
}
