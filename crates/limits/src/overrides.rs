//! The limits of each tenant: a snapshot that a reload swaps and every request reads.
//!
//! Hot: `benches/limits.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use flamestore_model::TenantId;

use crate::table::Limits;

type Table = HashMap<TenantId, Arc<Limits>, foldhash::fast::RandomState>;

/// Limits by tenant. Reading takes no lock; a reload replaces everything at once or nothing.
#[derive(Debug)]
pub struct Overrides {
    defaults: Arc<Limits>,
    tenants: ArcSwap<Table>,
}

impl Overrides {
    /// Everybody has `defaults` until the first [`Overrides::replace`].
    pub fn new(defaults: Limits) -> Self {
        Overrides { defaults: Arc::new(defaults), tenants: ArcSwap::default() }
    }

    /// The limits of a tenant, now.
    pub fn of(&self, tenant: &TenantId) -> Arc<Limits> {
        let tenants = self.tenants.load();
        Arc::clone(tenants.get(tenant).unwrap_or(&self.defaults))
    }

    /// What holds for tenants without overrides.
    pub fn defaults(&self) -> &Arc<Limits> {
        &self.defaults
    }

    /// Puts the whole limits of each tenant in place of what was there. Tenants not named fall back to the defaults.
    pub fn replace(&self, tenants: impl IntoIterator<Item = (TenantId, Limits)>) {
        let table: Table = tenants.into_iter().map(|(t, l)| (t, Arc::new(l))).collect();
        self.tenants.store(Arc::new(table));
    }

    /// Tenants with overrides, by name.
    pub fn tenants(&self) -> Vec<(TenantId, Arc<Limits>)> {
        let mut all: Vec<_> = self.tenants.load().iter().map(|(t, l)| (t.clone(), Arc::clone(l))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_replaces_every_tenants_limits_at_once() {
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let overrides = Overrides::new(Limits::default());
        let high = Limits { max_label_names_per_series: 99, ..Limits::default() };
        overrides.replace([(a.clone(), high.clone())]);
        assert_eq!(overrides.of(&a).max_label_names_per_series, 99);
        assert_eq!(overrides.of(&b).max_label_names_per_series, 30);
        overrides.replace([(b.clone(), high)]);
        assert_eq!(overrides.of(&a).max_label_names_per_series, 30);
        assert_eq!(overrides.tenants().len(), 1);
    }
}
