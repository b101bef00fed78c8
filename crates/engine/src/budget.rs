//! How much memory profiles may take, in heads and on their way there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flamestore_model::{Fault, FaultId};
use tokio::sync::Notify;

/// Bytes in use against a bound.
#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Budget {
    pub(crate) fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Budget { max_bytes, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes bytes that are in use already, whatever the bound.
    pub(crate) fn grow(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn shrink(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Reserves bytes, or waits for them. `full` is called once, when there are too few.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        bytes: usize,
        max_wait: Duration,
        full: impl FnOnce(),
    ) -> Result<Reserved, Fault> {
        // What could never fit is let in when it is alone, so that no bound makes a push wait for ever.
        let bytes = bytes.min(self.max_bytes);
        if let Some(reserved) = self.try_admit(bytes) {
            return Ok(reserved);
        }
        full();
        let waiting = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                // Registered before looking, so that nothing freed in between is missed.
                freed.as_mut().enable();
                if let Some(reserved) = self.try_admit(bytes) {
                    return reserved;
                }
                freed.await;
            }
        };
        tokio::time::timeout(max_wait, waiting).await.map_err(|_| {
            Fault::of(
                FaultId::MemoryFull,
                format!(
                    "profiles that are not in blocks yet hold {} of {} bytes of memory, and no room came free in \
                     {max_wait:?}: the bucket is slow or down, or ingester.max_head_bytes is too small for what is pushed; \
                     try again later",
                    self.used(),
                    self.max_bytes
                ),
            )
        })
    }

    fn try_admit(self: &Arc<Self>, bytes: usize) -> Option<Reserved> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Reserved { budget: self.clone(), bytes })
    }
}

/// Bytes reserved for a push under way; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn over_the_bound_it_waits_and_then_refuses_with_the_name_of_the_bound() {
        let budget = Budget::new(100);
        budget.grow(60);
        let held = budget.admit(40, SOON, || panic!("there is room")).await.unwrap();
        let fault = budget.admit(1, SOON, || {}).await.unwrap_err();
        assert!(fault.message.contains("ingester.max_head_bytes"), "{fault}");
        let (admitted, ()) = tokio::join!(budget.admit(40, Duration::from_secs(60), || {}), async { drop(held) });
        assert_eq!(budget.used(), 100);
        drop(admitted);
        assert_eq!(budget.used(), 60);
    }

    #[tokio::test]
    async fn what_can_never_fit_is_let_in_alone() {
        let budget = Budget::new(100);
        let alone = budget.admit(1000, SOON, || {}).await.unwrap();
        assert!(budget.admit(1, SOON, || {}).await.is_err());
        drop(alone);
        assert_eq!(budget.used(), 0);
    }
}
