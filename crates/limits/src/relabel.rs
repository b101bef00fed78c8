//! Relabelling in Prometheus' form: reading and checking rules, and applying them to a label set. Pure.
//!
//! Source: the `relabel_config` section of the Prometheus configuration documentation.

mod md5;

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use flamestore_model::{LabelsBuilder, re2};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Largest compiled regular expression of a rule, in bytes.
pub const MAX_REGEX_BYTES: usize = 1 << 20;

/// Where the built-in rules stand among a tenant's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultRules {
    #[default]
    First,
    Last,
    Disabled,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    #[default]
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

/// A rule as it stands in YAML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RuleText {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    source_labels: Vec<String>,
    separator: String,
    regex: String,
    #[serde(skip_serializing_if = "is_zero")]
    modulus: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    target_label: String,
    replacement: String,
    action: Action,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Default for RuleText {
    fn default() -> Self {
        RuleText {
            source_labels: Vec::new(),
            separator: ";".into(),
            regex: "(.*)".into(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".into(),
            action: Action::Replace,
        }
    }
}

/// One checked rule with its expression compiled.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "RuleText", into = "RuleText")]
pub struct RelabelRule {
    text: RuleText,
    regex: Regex,
}

impl PartialEq for RelabelRule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for RelabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl From<RelabelRule> for RuleText {
    fn from(rule: RelabelRule) -> Self {
        rule.text
    }
}

impl TryFrom<RuleText> for RelabelRule {
    type Error = String;

    fn try_from(text: RuleText) -> Result<Self, String> {
        use Action::*;
        let action = text.action;
        let name = format!("{action:?}").to_lowercase();
        match action {
            Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual if text.target_label.is_empty() => {
                return Err(format!("relabel action {name} needs target_label"));
            }
            HashMod if text.modulus == 0 => return Err("relabel action hashmod needs a modulus above 0".into()),
            LabelDrop | LabelKeep if !text.source_labels.is_empty() || !text.target_label.is_empty() => {
                return Err(format!("relabel action {name} takes a regex and nothing else"));
            }
            _ => {}
        }
        let refused = |why: String| format!("relabel regex {:?}: {why}", text.regex);
        let expression = re2::translated(&text.regex).map_err(refused)?;
        let regex = RegexBuilder::new(&format!("^(?s:{expression})$"))
            .size_limit(MAX_REGEX_BYTES)
            .build()
            .map_err(|e| refused(e.to_string()))?;
        Ok(RelabelRule { text, regex })
    }
}

impl RelabelRule {
    pub fn action(&self) -> Action {
        self.text.action
    }

    /// Whether the rule cannot change a label, only refuse a set.
    pub fn only_keeps_or_drops(&self) -> bool {
        matches!(self.text.action, Action::Keep | Action::Drop)
    }

    /// Applies this rule. False means the series is to be dropped.
    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let t = &self.text;
        match t.action {
            Action::Keep => return self.regex.is_match(&self.source(labels)),
            Action::Drop => return !self.regex.is_match(&self.source(labels)),
            Action::KeepEqual => return labels.get(&t.target_label).unwrap_or("") == self.source(labels),
            Action::DropEqual => return labels.get(&t.target_label).unwrap_or("") != self.source(labels),
            Action::Replace => self.replace(labels),
            Action::Lowercase => {
                let value = self.source(labels).to_lowercase();
                labels.set(&t.target_label, &value);
            }
            Action::Uppercase => {
                let value = self.source(labels).to_uppercase();
                labels.set(&t.target_label, &value);
            }
            Action::HashMod => {
                // The last eight bytes of the MD5 sum, big-endian: what Prometheus shards by.
                let bucket = md5::last_eight(self.source(labels).as_bytes()) % t.modulus.max(1);
                labels.set(&t.target_label, &bucket.to_string());
            }
            Action::LabelMap => {
                let mapped: Vec<_> = labels
                    .iter()
                    .filter_map(|l| Some((self.expand(&l.name, &t.replacement)?, l.value.clone())))
                    .collect();
                for (name, value) in mapped {
                    if !name.is_empty() {
                        labels.set(&name, &value);
                    }
                }
            }
            Action::LabelDrop => {
                labels.retain(|l| !self.regex.is_match(&l.name));
            }
            Action::LabelKeep => {
                labels.retain(|l| self.regex.is_match(&l.name));
            }
        }
        true
    }

    fn replace(&self, labels: &mut LabelsBuilder) {
        let source = self.source(labels);
        // Most do not match, and to learn that costs less than to look for groups.
        if !self.regex.is_match(&source) {
            return;
        }
        let Some(target) = self.expand(&source, &self.text.target_label) else { return };
        let Some(value) = self.expand(&source, &self.text.replacement) else { return };
        if !target.is_empty() {
            labels.set(&target, &value);
        }
    }

    /// The template with the groups of a match put in; `None` where the expression does not match.
    fn expand(&self, source: &str, template: &str) -> Option<String> {
        let groups = self.regex.captures(source)?;
        let mut out = String::new();
        groups.expand(template, &mut out);
        Some(out)
    }

    fn source<'a>(&self, labels: &'a LabelsBuilder) -> Cow<'a, str> {
        let value = |name: &String| labels.get(name).unwrap_or("");
        match self.text.source_labels.as_slice() {
            [one] => value(one).into(),
            several => several.iter().map(value).collect::<Vec<_>>().join(&self.text.separator).into(),
        }
    }
}

/// Applies rules in order. False means the series is to be dropped, and the labels are then of no use.
#[must_use]
pub fn relabel<'a>(rules: impl IntoIterator<Item = &'a RelabelRule>, labels: &mut LabelsBuilder) -> bool {
    rules.into_iter().all(|rule| rule.apply(labels))
}

/// The rules every tenant starts with: they give the profiles of godeltaprof the names their whole forms have.
pub fn default_rules() -> &'static [RelabelRule] {
    static RULES: LazyLock<Vec<RelabelRule>> = LazyLock::new(|| {
        let rule = |source: &str, regex: &str, target: &str, replacement: &str| {
            RelabelRule::try_from(RuleText {
                source_labels: vec![source.into()],
                regex: regex.into(),
                target_label: target.into(),
                replacement: replacement.into(),
                ..RuleText::default()
            })
        };
        [
            rule("__name__", "godeltaprof_.+", "__name_replaced__", "$0"),
            rule("__name_replaced__", "godeltaprof_.+", "__delta__", "false"),
            rule("__name_replaced__", "godeltaprof_(.+)", "__name__", "$1"),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
    &RULES
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_model::Labels;
    use serde_json::json;

    fn apply(rules: serde_json::Value, pairs: &[(&str, &str)]) -> Option<String> {
        let rules: Vec<RelabelRule> = serde_json::from_value(rules).unwrap();
        let mut labels = Labels::from_pairs(pairs.iter().copied()).to_builder();
        relabel(&rules, &mut labels).then(|| labels.build().to_string())
    }

    #[test]
    fn each_action_does_what_prometheus_documents() {
        let abc: &[(&str, &str)] = &[("a", "foo"), ("b", "bar"), ("c", "baz")];
        for (rules, pairs, expected) in [
            (
                json!([{"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch${1}-ch${1}"}]),
                abc,
                Some(r#"{a="foo", b="bar", c="baz", d="choo-choo"}"#),
            ),
            (
                json!([{"source_labels": ["a", "b"], "regex": "foo;bar", "target_label": "a", "replacement": ""}]),
                abc,
                Some(r#"{b="bar", c="baz"}"#),
            ),
            (
                json!([{"source_labels": ["a"], "regex": "o", "target_label": "d"}]),
                abc,
                Some(r#"{a="foo", b="bar", c="baz"}"#),
            ),
            (
                json!([{"source_labels": ["a"], "regex": "(f).*", "target_label": "${1}x", "replacement": "v"}]),
                abc,
                Some(r#"{a="foo", b="bar", c="baz", fx="v"}"#),
            ),
            (json!([{"source_labels": ["a"], "regex": "foo", "action": "drop"}]), abc, None),
            (
                json!([{"source_labels": ["a"], "regex": "fo", "action": "drop"}]),
                abc,
                Some(r#"{a="foo", b="bar", c="baz"}"#),
            ),
            (json!([{"source_labels": ["a"], "regex": "x", "action": "keep"}]), abc, None),
            (json!([{"source_labels": ["a"], "target_label": "b", "action": "keepequal"}]), abc, None),
            (
                json!([{"source_labels": ["a"], "target_label": "b", "action": "dropequal"}]),
                abc,
                Some(r#"{a="foo", b="bar", c="baz"}"#),
            ),
            (json!([{"regex": "[bc]", "action": "labeldrop"}]), abc, Some(r#"{a="foo"}"#)),
            (json!([{"regex": "[bc]", "action": "labelkeep"}]), abc, Some(r#"{b="bar", c="baz"}"#)),
            (
                json!([{"regex": "([ab])", "replacement": "pod_$1", "action": "labelmap"}]),
                &[("a", "1"), ("z", "2")],
                Some(r#"{a="1", pod_a="1", z="2"}"#),
            ),
            (
                json!([{"source_labels": ["a"], "target_label": "a", "action": "uppercase"}]),
                &[("a", "Foo")],
                Some(r#"{a="FOO"}"#),
            ),
            (
                json!([{"source_labels": ["a"], "target_label": "a", "action": "lowercase"}]),
                &[("a", "Foo")],
                Some(r#"{a="foo"}"#),
            ),
            (
                json!([{"source_labels": ["c"], "target_label": "d", "modulus": 1000, "action": "hashmod"}]),
                abc,
                Some(r#"{a="foo", b="bar", c="baz", d="976"}"#),
            ),
        ] {
            assert_eq!(apply(rules.clone(), pairs).as_deref(), expected, "{rules}");
        }
    }

    #[test]
    fn rules_that_cannot_work_are_refused_when_they_are_read() {
        for (rule, says) in [
            (json!({"action": "replace"}), "target_label"),
            (json!({"action": "hashmod", "target_label": "a"}), "modulus"),
            (json!({"action": "labeldrop", "source_labels": ["a"]}), "regex and nothing else"),
            (json!({"action": "explode"}), "unknown variant"),
            (json!({"regex": "(", "target_label": "a"}), "regex"),
            (json!({"regexp": "a", "target_label": "a"}), "unknown field"),
        ] {
            let said = serde_json::from_value::<RelabelRule>(rule.clone()).unwrap_err().to_string();
            assert!(said.contains(says), "{rule}: {said}");
        }
    }

    #[test]
    fn profiles_of_godeltaprof_get_the_names_of_their_whole_forms() {
        let mut labels = Labels::from_pairs([("__name__", "godeltaprof_memory"), ("x", "y")]).to_builder();
        assert!(relabel(default_rules(), &mut labels));
        assert_eq!(
            labels.build().to_string(),
            r#"{__delta__="false", __name__="memory", __name_replaced__="godeltaprof_memory", x="y"}"#
        );
        let mut plain = Labels::from_pairs([("__name__", "memory")]).to_builder();
        assert!(relabel(default_rules(), &mut plain));
        assert_eq!(plain.build().to_string(), r#"{__name__="memory"}"#);
    }
}
