//! The registry: every key that may be set, one table a part. Flags, YAML, help and the reference page are made from it.

mod cluster;
mod dropped;
mod ingest;
mod not_yet;
mod process;
mod query;
mod server;
mod storage;

use std::collections::HashMap;
use std::sync::LazyLock;

use flamestore_limits::nearest::nearest;
use flamestore_limits::{Effect, SPECS};

use crate::key::{Key, Kind, Status, Subtree};

/// All keys with the ways to find them.
pub struct Registry {
    pub keys: Vec<Key>,
    pub subtrees: &'static [Subtree],
    by_path: HashMap<&'static str, usize>,
    by_flag: HashMap<&'static str, usize>,
}

/// The one registry: it only holds constants.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::build);
    &REGISTRY
}

impl Registry {
    fn build() -> Registry {
        let tables =
            [process::KEYS, server::KEYS, cluster::KEYS, storage::KEYS, ingest::KEYS, query::KEYS, dropped::KEYS];
        let mut keys: Vec<Key> = tables.concat();
        keys.extend(SPECS.iter().map(|spec| Key {
            path: limit_path(spec.name),
            flag: spec.flag.unwrap_or(""),
            kind: Kind::Limit(spec.kind),
            default: "",
            doc: spec.doc,
            status: match spec.effect {
                Effect::Enforced => Status::Active,
                Effect::None(why) => Status::NoEffect(why),
            },
            aliases: &[],
        }));
        for key in &mut keys {
            if let Some(why) = not_yet::why(key.path).filter(|_| key.status.holds_a_value()) {
                key.status = key.status.not_yet(why);
            }
        }
        let mut by_path = HashMap::new();
        let mut by_flag = HashMap::new();
        for (i, key) in keys.iter().enumerate() {
            for path in key.aliases.iter().chain([&key.path]).filter(|p| !p.is_empty()) {
                by_path.insert(*path, i);
            }
            if !key.flag.is_empty() {
                by_flag.insert(key.flag, i);
            }
        }
        Registry { keys, subtrees: dropped::SUBTREES, by_path, by_flag }
    }

    pub fn by_path(&self, path: &str) -> Option<&Key> {
        self.keys.get(*self.by_path.get(path)?)
    }

    pub fn by_flag(&self, flag: &str) -> Option<&Key> {
        self.keys.get(*self.by_flag.get(flag)?)
    }

    /// The part without effect that a YAML path lies in.
    pub fn subtree_of_path(&self, path: &str) -> Option<&Subtree> {
        self.subtrees.iter().find(|s| s.holds_path(path))
    }

    pub fn subtree_of_flag(&self, flag: &str) -> Option<&Subtree> {
        self.subtrees.iter().find(|s| s.holds_flag(flag))
    }

    /// Whether some key lies below this path, so that it must be a map.
    pub fn is_block(&self, path: &str) -> bool {
        let below = |p: &str| p.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.by_path.keys().any(|p| below(p)) || self.subtrees.iter().any(|s| below(s.path))
    }

    /// The key that a block sets by being there, and its value.
    pub(crate) fn meant_by(&self, block: &str) -> Option<(&Key, &'static str)> {
        let (_, path, value) = ingest::MEANT.iter().find(|(b, ..)| *b == block)?;
        Some((self.by_path(path)?, value))
    }

    /// The path most likely meant: the same name elsewhere first, then the fewest changed letters.
    pub fn nearest_path(&self, path: &str) -> Option<&'static str> {
        let name = |p: &'static str| p.rsplit('.').next().unwrap_or(p);
        let wanted = path.rsplit('.').next().unwrap_or(path);
        let paths = || self.by_path.keys().copied();
        let mut same: Vec<_> = paths().filter(|p| name(p) == wanted).collect();
        same.sort_unstable();
        let in_same_block = same.iter().copied().find(|p| p.split('.').next() == path.split('.').next());
        let spelt = nearest(path, paths());
        in_same_block.or(spelt).or(same.first().copied())
    }

    /// The flag most likely meant.
    pub fn nearest_flag(&self, flag: &str) -> Option<&'static str> {
        nearest(flag, self.by_flag.keys().copied())
    }
}

/// `limits.<name>` for every limit, made once.
fn limit_path(name: &str) -> &'static str {
    static PATHS: LazyLock<Vec<String>> =
        LazyLock::new(|| SPECS.iter().map(|s| format!("limits.{}", s.name)).collect());
    PATHS.iter().find(|p| p.strip_prefix("limits.") == Some(name)).map_or("", |p| p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_stands_for_two_keys() {
        let r = registry();
        let (mut paths, mut flags) = (HashSet::new(), HashSet::new());
        for key in &r.keys {
            for path in key.aliases.iter().chain([&key.path]).filter(|p| !p.is_empty()) {
                assert!(paths.insert(*path), "{path} twice");
                assert!(r.subtrees.iter().all(|s| s.path != *path), "{path} is a part without effect");
            }
            assert!(key.flag.is_empty() || flags.insert(key.flag), "-{} twice", key.flag);
            assert!(!key.path.is_empty() || !key.flag.is_empty());
        }
    }

    #[test]
    fn keys_with_a_value_have_a_sentence() {
        for key in &registry().keys {
            assert!(!key.status.holds_a_value() || key.doc.ends_with('.'), "{}", key.path);
        }
    }

    #[test]
    fn every_key_that_an_error_names_can_be_set() {
        for key in flamestore_model::FaultId::ALL.iter().flat_map(|id| id.entry().keys) {
            assert!(registry().by_path(key).is_some_and(|k| k.status.holds_a_value()), "{key}");
        }
    }

    #[test]
    fn every_rule_of_what_is_not_used_yet_is_about_some_key() {
        for rule in not_yet::rules() {
            let fits = |k: &&Key| not_yet::fits(rule, k.path) && matches!(k.status, Status::NotYet { .. });
            assert!(registry().keys.iter().any(|k| fits(&k)), "{rule}");
        }
    }
}
