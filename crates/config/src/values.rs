//! The values of all keys: every default, overlaid by what file and flags set.

use std::collections::{BTreeMap, BTreeSet};

use flamestore_limits::Limits;
use serde_json::Value;

use crate::key::{Key, Kind, Status};
use crate::keys::registry;

/// Values by YAML path, in normal form; limits apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    by_path: BTreeMap<&'static str, Value>,
    /// Paths that a file or a flag set.
    given: BTreeSet<&'static str>,
    pub limits: Limits,
}

impl Default for Values {
    /// All defaults. A default that does not read as its kind is a bug that a test finds.
    fn default() -> Self {
        let own = |k: &&Key| k.status.holds_a_value() && !matches!(k.kind, Kind::Limit(_));
        let read = |k: &Key| Some((k.path, k.kind.read(&Value::from(k.default)).ok()?));
        Values {
            by_path: registry().keys.iter().filter(own).filter_map(read).collect(),
            given: BTreeSet::new(),
            limits: Limits::default(),
        }
    }
}

impl Values {
    /// Sets a key from YAML or from the text of a flag. The error does not name the key.
    pub(crate) fn set(&mut self, key: &Key, value: &Value) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        match (key.kind, key.status) {
            (Kind::Limit(_), _) => {
                let name = key.path.strip_prefix("limits.").unwrap_or(key.path);
                self.limits.set(name, value).map_err(|e| e.to_string())?;
            }
            (kind, Status::Refused(why)) => {
                let unset = kind.read(&Value::from(key.default)).ok();
                if kind.read(value).ok() != unset {
                    return Err(why.to_owned());
                }
            }
            (_, Status::NoEffect(_)) => {}
            (kind, Status::Active | Status::Ours | Status::NotYet { .. }) => {
                self.by_path.insert(key.path, kind.read(value)?);
            }
        }
        self.given.insert(key.path);
        Ok(())
    }

    /// Adds to a list instead of replacing it: a flag given once more.
    pub(crate) fn extend(&mut self, key: &Key, value: &Value) -> Result<(), String> {
        let Value::Array(more) = key.kind.read(value)? else { return self.set(key, value) };
        match self.by_path.get_mut(key.path) {
            Some(Value::Array(items)) => items.extend(more),
            _ => self.set(key, value)?,
        }
        Ok(())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path)
    }

    /// Whether file or flags set this key.
    pub fn is_given(&self, path: &str) -> bool {
        self.given.contains(path)
    }

    /// All paths with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.by_path.iter().map(|(p, v)| (*p, v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_reads_as_its_kind() {
        for key in &registry().keys {
            let own = key.status.holds_a_value() && !matches!(key.kind, Kind::Limit(_));
            if own {
                key.kind.read(&Value::from(key.default)).unwrap_or_else(|e| panic!("{}: {e}", key.path));
            }
        }
    }
}
