//! A set of label values that stops growing.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;

/// What stands for every value that came after the set was full.
pub(super) const OTHER: &str = "other";

/// The first `max` different values pass as they are, the others become [`OTHER`].
#[derive(Debug)]
pub(super) struct BoundedNames {
    max: usize,
    seen: RwLock<HashSet<Arc<str>, foldhash::fast::RandomState>>,
    other: Arc<str>,
}

impl BoundedNames {
    pub(super) fn new(max: usize) -> Self {
        BoundedNames { max, seen: RwLock::default(), other: OTHER.into() }
    }

    pub(super) fn admit(&self, name: &str) -> Arc<str> {
        if let Some(known) = self.seen.read().get(name) {
            return Arc::clone(known);
        }
        let mut seen = self.seen.write();
        if seen.len() >= self.max && !seen.contains(name) {
            return Arc::clone(&self.other);
        }
        let name: Arc<str> = name.into();
        seen.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_the_bound_become_other_and_known_ones_stay() {
        let names = BoundedNames::new(2);
        let admitted: Vec<_> = ["a", "b", "c", "a", "d"].iter().map(|n| names.admit(n).to_string()).collect();
        assert_eq!(admitted, ["a", "b", "other", "a", "other"]);
    }
}
