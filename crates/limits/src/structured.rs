//! Limits that are more than one number: quotas, sampling, usage groups, rule lists.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::human_duration::HumanDuration;
use crate::limit_value::{LimitKind, LimitValue};
use crate::recording_rule::ProvisionedRules;
use crate::relabel::{DefaultRules, RelabelRule};
use crate::usage_groups::UsageGroups;

/// A quota by hour, day or month, usually set from outside by whoever bills.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestLimit {
    /// `hour`, `day` or `month`, as it is named in the answer.
    pub period_type: String,
    pub period_limit_mb: u64,
    /// Unix seconds; until then `Retry-After` asks callers to wait.
    pub limit_reset_time: i64,
    /// While true, pushes are refused (or thinned by `sampling`).
    pub limit_reached: bool,
    pub sampling: IngestSampling,
    pub usage_groups: BTreeMap<String, IngestGroupLimit>,
}

/// While a quota is reached, this many requests in each period still pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSampling {
    pub num_requests: u64,
    pub period: HumanDuration,
}

/// The quota of one usage group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestGroupLimit {
    pub period_limit_mb: u64,
    pub limit_reached: bool,
}

/// How much of each usage group is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistributorSampling {
    pub usage_groups: BTreeMap<String, SamplingShare>,
}

/// The share kept, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingShare {
    #[serde(deserialize_with = "share")]
    pub probability: f64,
}

fn share<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    let given = f64::deserialize(d)?;
    if (0.0..=1.0).contains(&given) {
        Ok(given)
    } else {
        Err(serde::de::Error::custom(format!("the probability {given} does not lie between 0 and 1")))
    }
}

impl DistributorSampling {
    /// The group that decides about a profile of these, and the share of it that is kept: of several groups, the smallest.
    /// `None`: all of it.
    pub fn share_of<'a>(&self, groups: &[&'a str]) -> Option<(&'a str, f64)> {
        let shares = groups.iter().filter_map(|name| Some((*name, self.usage_groups.get(*name)?.probability)));
        shares.min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Symbolising of native frames on the server. Accepted for the peer's sake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Symbolizer {
    pub enabled: bool,
    pub symbol_ref_trees_enabled: bool,
    pub max_unresolved_locations: u64,
    #[serde(rename = "MaxSymbolSizeBytes", alias = "max_symbol_size_bytes")]
    pub max_symbol_size_bytes: u64,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Symbolizer {
            enabled: false,
            symbol_ref_trees_enabled: false,
            max_unresolved_locations: 1_000_000,
            max_symbol_size_bytes: 512 << 20,
        }
    }
}

/// Rules that only keep or drop: what a list of sample types can be asked to do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<RelabelRule>", into = "Vec<RelabelRule>")]
pub struct KeepOrDropRules(Vec<RelabelRule>);

impl Deref for KeepOrDropRules {
    type Target = [RelabelRule];
    fn deref(&self) -> &[RelabelRule] {
        &self.0
    }
}

impl TryFrom<Vec<RelabelRule>> for KeepOrDropRules {
    type Error = String;
    fn try_from(rules: Vec<RelabelRule>) -> Result<Self, String> {
        match rules.iter().find(|r| !r.only_keeps_or_drops()) {
            Some(rule) => Err(format!("action {:?}: only keep and drop are possible for sample types", rule.action())),
            None => Ok(KeepOrDropRules(rules)),
        }
    }
}

impl From<KeepOrDropRules> for Vec<RelabelRule> {
    fn from(rules: KeepOrDropRules) -> Self {
        rules.0
    }
}

/// Gives a serde type the reading of maps and lists, and of JSON text where it comes from a flag.
macro_rules! structured {
    ($($type:ty),* $(,)?) => {$(
        impl LimitValue for $type {
            const KIND: LimitKind = LimitKind::Structured;
            fn read(value: &Value) -> Result<Self, String> {
                read_structured(value)
            }
            fn show(&self) -> Value {
                serde_json::to_value(self).unwrap_or(Value::Null)
            }
        }
    )*};
}

structured!(
    Option<IngestLimit>,
    Option<DistributorSampling>,
    Symbolizer,
    UsageGroups,
    Vec<RelabelRule>,
    KeepOrDropRules,
    DefaultRules,
    ProvisionedRules,
);

fn read_structured<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    // A flag brings JSON in a string; a plain word stays a word.
    let parsed = match value {
        Value::String(text) if text.starts_with(['{', '[']) => serde_json::from_str(text).map_err(|e| e.to_string())?,
        other => other.clone(),
    };
    serde_json::from_value(parsed).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_smallest_share_of_several_groups_holds() {
        let text = json!({"usage_groups": {"a": {"probability": 0.5}, "b": {"probability": 0.1}}});
        let sampling: DistributorSampling = serde_json::from_value(text).unwrap();
        assert_eq!(sampling.share_of(&["a", "b", "c"]), Some(("b", 0.1)));
        assert_eq!(sampling.share_of(&["c"]), None);
        let bad = json!({"usage_groups": {"a": {"probability": 1.5}}});
        assert!(serde_json::from_value::<DistributorSampling>(bad).unwrap_err().to_string().contains("1.5"));
    }
}
