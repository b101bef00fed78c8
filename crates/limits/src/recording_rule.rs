//! Rules that turn profiles into metrics: what a rule says, and when it is a good one.

use std::collections::HashSet;
use std::ops::Deref;

use flamestore_model::labels::{is_legacy_name, names};
use flamestore_model::{MatchOp, Selector};
use serde::{Deserialize, Serialize};

/// What every metric of a rule is called first.
pub const METRIC_PREFIX: &str = "profiles_recorded_";
/// Letters of an id that the server makes.
pub const MADE_ID_LETTERS: usize = 10;
/// The longest id.
pub const MAX_ID_BYTES: usize = 100;
/// The most entries of each list of a rule.
pub const MAX_LIST: usize = 100;

/// One rule. Fields have the names of the API; in files, those of JSON are understood too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingRule {
    /// Letters; empty while the server has not made one.
    pub id: String,
    #[serde(alias = "metricName")]
    pub metric_name: String,
    /// Selectors that must all hold; one of them names the profile type.
    pub matchers: Vec<String>,
    #[serde(alias = "groupBy")]
    pub group_by: Vec<String>,
    #[serde(alias = "externalLabels")]
    pub external_labels: Vec<ExternalLabel>,
    /// Grows with every change.
    pub generation: i64,
    #[serde(alias = "stacktraceFilter", skip_serializing_if = "Option::is_none")]
    pub stacktrace_filter: Option<StacktraceFilter>,
}

/// A label that every series of the metric gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalLabel {
    pub name: String,
    pub value: String,
}

/// Which stacks count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StacktraceFilter {
    #[serde(alias = "functionName", skip_serializing_if = "Option::is_none")]
    pub function_name: Option<FunctionFilter>,
}

/// Stacks that hold a function.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionFilter {
    #[serde(alias = "functionName")]
    pub function_name: String,
    #[serde(alias = "metricType")]
    pub metric_type: MetricType,
}

/// What of a function is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MetricType {
    #[default]
    #[serde(rename = "TOTAL", alias = "total")]
    Total,
}

impl RecordingRule {
    /// The profile type that the matchers name. `None`: none, or more than one.
    pub fn profile_type(&self) -> Option<String> {
        let selectors = self.matchers.iter().filter_map(|m| Selector::parse(m).ok());
        let mut types = selectors
            .flat_map(|s| s.matchers)
            .filter(|m| m.name == names::PROFILE_TYPE && m.op == MatchOp::Equal)
            .map(|m| m.value);
        let found = types.next();
        if types.next().is_some() { None } else { found }
    }

    /// Everything that is wrong with the rule, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        if !self.id.is_empty() && !is_id(&self.id) {
            wrong.push(format!("id {:?} is not made of letters", self.id));
        }
        if !is_metric_name(&self.metric_name) {
            wrong.push(format!(
                "metric_name {:?} does not begin with {METRIC_PREFIX} and go on in letters, digits, _ and :",
                self.metric_name
            ));
        }
        for matcher in self.matchers.iter().take(MAX_LIST) {
            if let Err(fault) = Selector::parse(matcher) {
                wrong.push(fault.message.into_owned());
            }
        }
        if self.profile_type().is_none() {
            wrong.push(format!("matchers must name exactly one profile type, as {{{}=\"…\"}}", names::PROFILE_TYPE));
        }
        let labels = self.group_by.iter().map(|name| ("group_by", name));
        let labels = labels.chain(self.external_labels.iter().map(|l| ("external_labels", &l.name)));
        for (field, name) in labels.filter(|(_, name)| !is_legacy_name(name)) {
            wrong.push(format!("{field}: {name:?} is no label name of letters, digits and _"));
        }
        let lists = [
            ("matchers", self.matchers.len()),
            ("group_by", self.group_by.len()),
            ("external_labels", self.external_labels.len()),
        ];
        for (field, len) in lists.into_iter().filter(|(_, len)| *len > MAX_LIST) {
            wrong.push(format!("{field} has {len} entries; at most {MAX_LIST}"));
        }
        if self.generation < 0 {
            wrong.push(format!("generation is {} but cannot be negative", self.generation));
        }
        if let Some(StacktraceFilter { function_name: Some(filter) }) = &self.stacktrace_filter
            && filter.function_name.is_empty()
        {
            wrong.push("stacktrace_filter names no function".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

/// Whether an id can be one of a rule.
pub fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphabetic())
}

/// An id of letters, from chance or from what it shall stand for.
pub fn id_of(mut number: u128) -> String {
    let letter = |_| {
        let digit = (number % 52) as u8;
        number /= 52;
        char::from(if digit < 26 { b'a' + digit } else { b'A' + digit - 26 })
    };
    (0..MADE_ID_LETTERS).map(letter).collect()
}

fn is_metric_name(name: &str) -> bool {
    name.len() > METRIC_PREFIX.len()
        && name.starts_with(METRIC_PREFIX)
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b':')
}

/// Rules that come from the configuration: all good, each with an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<RecordingRule>", into = "Vec<RecordingRule>")]
pub struct ProvisionedRules(Vec<RecordingRule>);

impl Deref for ProvisionedRules {
    type Target = [RecordingRule];
    fn deref(&self) -> &[RecordingRule] {
        &self.0
    }
}

impl TryFrom<Vec<RecordingRule>> for ProvisionedRules {
    type Error = String;

    fn try_from(mut rules: Vec<RecordingRule>) -> Result<Self, String> {
        for rule in &mut rules {
            rule.check()?;
            if rule.id.is_empty() {
                rule.id = id_of(digest(rule));
            }
        }
        let mut ids = HashSet::new();
        match rules.iter().find(|rule| !ids.insert(&rule.id)) {
            Some(twice) => Err(format!("the id {:?} stands at two rules", twice.id)),
            None => Ok(ProvisionedRules(rules)),
        }
    }
}

impl From<ProvisionedRules> for Vec<RecordingRule> {
    fn from(rules: ProvisionedRules) -> Self {
        rules.0
    }
}

/// FNV-1a of what tells a rule apart: the same after every start.
fn digest(rule: &RecordingRule) -> u128 {
    let parts = std::iter::once(&rule.metric_name).chain(&rule.matchers).chain(&rule.group_by);
    parts.flat_map(|text| text.bytes().chain([0])).fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> RecordingRule {
        RecordingRule {
            metric_name: "profiles_recorded_cpu".into(),
            matchers: vec!["{__profile_type__=\"process_cpu:cpu:nanoseconds:cpu:nanoseconds\"}".into()],
            group_by: vec!["service_name".into()],
            ..RecordingRule::default()
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        assert_eq!(good().check(), Ok(()));
        assert_eq!(good().profile_type().as_deref(), Some("process_cpu:cpu:nanoseconds:cpu:nanoseconds"));
        let bad = RecordingRule {
            id: "a1".into(),
            metric_name: "cpu".into(),
            matchers: vec!["{".into()],
            group_by: vec!["a.b".into()],
            external_labels: vec![ExternalLabel { name: "x-y".into(), value: "1".into() }],
            generation: -1,
            stacktrace_filter: None,
        };
        let wrong = bad.check().unwrap_err();
        for part in
            ["id \"a1\"", "metric_name", "byte 1", "__profile_type__", "group_by", "external_labels", "generation"]
        {
            assert!(wrong.contains(part), "{part} in {wrong}");
        }
        let twice = RecordingRule { matchers: [good().matchers, good().matchers].concat(), ..good() };
        assert!(twice.check().unwrap_err().contains("exactly one"));
    }

    #[test]
    fn provisioned_rules_have_ids_that_stay() {
        let rules = json!([{ "metricName": "profiles_recorded_x", "matchers": good().matchers, "groupBy": ["a"] }]);
        let read = |rules: &serde_json::Value| serde_json::from_value::<ProvisionedRules>(rules.clone());
        let (one, again) = (read(&rules).unwrap(), read(&rules).unwrap());
        assert!(is_id(&one[0].id) && one == again);
        let both = json!([rules[0], rules[0]]);
        assert!(read(&both).unwrap_err().to_string().contains("two rules"));
        assert!(read(&json!([{ "metric_name": "x" }])).is_err());
    }
}
