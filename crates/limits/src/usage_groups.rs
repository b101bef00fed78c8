//! Named parts of a tenant's data: which of them a series belongs to.

use std::collections::BTreeMap;

use flamestore_model::Selector;
use serde::{Deserialize, Serialize};

/// Most usage groups of a tenant: every push is matched against each, and each has metrics of its own.
pub const MAX_USAGE_GROUPS: usize = 50;

/// What stands for data in none of a tenant's groups.
pub const NO_GROUP: &str = "other";

/// Usage groups by name, each with its selector, such as `{namespace="dev"}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct UsageGroups(Vec<Group>);

#[derive(Debug, Clone, PartialEq)]
struct Group {
    name: String,
    selector: Selector,
    /// As it was written.
    text: String,
}

impl UsageGroups {
    pub const fn none() -> Self {
        UsageGroups(Vec::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The groups of a series whose labels `get` answers; [`NO_GROUP`] alone when there are groups and none fits.
    pub fn matching<'l>(&self, get: impl Fn(&str) -> Option<&'l str>) -> Vec<&str> {
        let fits = |group: &&Group| group.selector.matchers.iter().all(|m| m.matches_value(get(&m.name).unwrap_or("")));
        let found: Vec<&str> = self.0.iter().filter(fits).map(|group| group.name.as_str()).collect();
        if found.is_empty() && !self.is_empty() { vec![NO_GROUP] } else { found }
    }
}

impl TryFrom<BTreeMap<String, String>> for UsageGroups {
    type Error = String;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, String> {
        if texts.len() > MAX_USAGE_GROUPS {
            return Err(format!("{} usage groups are more than {MAX_USAGE_GROUPS}", texts.len()));
        }
        let group = |(name, text): (String, String)| match name.as_str() {
            "" | NO_GROUP => Err(format!("a usage group cannot be called {name:?}")),
            _ => match Selector::parse(&text) {
                Ok(selector) => Ok(Group { name, selector, text }),
                Err(fault) => Err(format!("usage group {name}: {fault}")),
            },
        };
        texts.into_iter().map(group).collect::<Result<Vec<_>, _>>().map(UsageGroups)
    }
}

impl From<UsageGroups> for BTreeMap<String, String> {
    fn from(groups: UsageGroups) -> Self {
        groups.0.into_iter().map(|group| (group.name, group.text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pairs: &[(&str, &str)]) -> Result<UsageGroups, String> {
        pairs.iter().map(|(n, s)| (n.to_string(), s.to_string())).collect::<BTreeMap<_, _>>().try_into()
    }

    #[test]
    fn a_series_is_in_every_group_that_fits_or_in_the_rest() {
        let groups =
            groups(&[("dev", "{ns=\"dev\"}"), ("cart", "{service_name=~\"cart-.*\"}"), ("all", "{}")]).unwrap();
        let of = |pairs: &'static [(&str, &str)]| {
            groups.matching(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
        };
        assert_eq!(of(&[("ns", "dev"), ("service_name", "cart-eu")]), ["all", "cart", "dev"]);
        assert_eq!(of(&[]), ["all"]);
        assert!(UsageGroups::none().matching(|_| None).is_empty());
    }

    #[test]
    fn what_is_in_no_group_is_in_the_rest() {
        let groups = groups(&[("dev", "{ns=\"dev\"}")]).unwrap();
        assert_eq!(groups.matching(|_| None), [NO_GROUP]);
    }

    #[test]
    fn bad_groups_are_refused_by_name() {
        assert!(groups(&[("dev", "{ns=")]).unwrap_err().contains("usage group dev"));
        assert!(groups(&[("other", "{}")]).unwrap_err().contains("other"));
        let many: BTreeMap<_, _> = (0..=MAX_USAGE_GROUPS).map(|i| (i.to_string(), "{}".to_owned())).collect();
        assert!(UsageGroups::try_from(many).unwrap_err().contains("50"));
    }
}
