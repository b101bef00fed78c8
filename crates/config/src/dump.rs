//! The configuration in effect as YAML, for the status pages. Secrets are masked.

use flamestore_limits::{Limits, SPECS};
use serde_json::{Map, Value};

use crate::key::Kind;
use crate::keys::registry;
use crate::values::Values;

/// What stands for a secret that is set.
const MASK: &str = "********";

/// Everything that has an effect, with the values in force: `/api/v1/status/config`.
pub fn effective(values: &Values) -> String {
    to_yaml(&tree(values, |_, _| true, |_, _| true))
}

/// Only what differs from the defaults: `/api/v1/status/config/diff`.
pub fn diff(values: &Values) -> String {
    let defaults = Values::default();
    let limits = Limits::default();
    to_yaml(&tree(
        values,
        |path, value| defaults.get(path) != Some(value),
        |name, value| limits.get(name).as_ref() != Some(value),
    ))
}

/// The defaults: `/api/v1/status/config/default`.
pub fn default() -> String {
    effective(&Values::default())
}

fn tree(values: &Values, shown: impl Fn(&str, &Value) -> bool, limit_shown: impl Fn(&str, &Value) -> bool) -> Value {
    let mut root = Map::new();
    for (path, value) in values.iter().filter(|(path, value)| shown(path, value)) {
        let secret = registry().by_path(path).is_some_and(|k| k.kind == Kind::Secret);
        let masked = secret && value.as_str() != Some("");
        insert(&mut root, path, if masked { Value::from(MASK) } else { value.clone() });
    }
    for spec in SPECS {
        if let Some(value) = values.limits.get(spec.name).filter(|v| limit_shown(spec.name, v)) {
            insert(&mut root, &format!("limits.{}", spec.name), value);
        }
    }
    Value::Object(root)
}

fn insert(map: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((block, rest)) => {
            if let Value::Object(inner) = map.entry(block).or_insert_with(|| Value::Object(Map::new())) {
                insert(inner, rest, value);
            }
        }
    }
}

/// A tree as YAML text.
pub(crate) fn to_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|e| format!("# cannot be written as YAML: {e}\n"))
}
