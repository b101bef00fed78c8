//! Blocks of which a query has found something gone: whoever cleans looks whether it is.

use std::collections::{BTreeMap, BTreeSet};

use flamestore_block::Ulid;
use flamestore_model::TenantId;
use parking_lot::Mutex;

/// Blocks that are remembered of a tenant. Of more, those that are asked for again come the next time.
const MAX_OF_TENANT: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Missed(Mutex<BTreeMap<TenantId, BTreeSet<Ulid>>>);

impl Missed {
    pub(crate) fn note(&self, tenant: &TenantId, block: Ulid) {
        let mut missed = self.0.lock();
        let of_tenant = missed.entry(tenant.clone()).or_default();
        if of_tenant.len() < MAX_OF_TENANT {
            of_tenant.insert(block);
        }
    }

    /// Those of a tenant since they were last asked for.
    pub(crate) fn take(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.0.lock().remove(tenant).unwrap_or_default().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_told_once_and_no_more_than_the_bound() {
        let missed = Missed::default();
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        (0..MAX_OF_TENANT as u128 + 5).for_each(|n| missed.note(&a, Ulid(n)));
        missed.note(&b, Ulid(7));
        missed.note(&b, Ulid(7));
        assert_eq!(missed.take(&b), [Ulid(7)]);
        assert_eq!((missed.take(&b), missed.take(&a).len()), (vec![], MAX_OF_TENANT));
    }
}
