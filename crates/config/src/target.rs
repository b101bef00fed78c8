//! What `-target` asks this process to be.

use std::collections::BTreeSet;

/// A part that has work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Distributor,
    Ingester,
    Querier,
    QueryFrontend,
    StoreGateway,
    Compactor,
}

impl Role {
    pub const ALL: [Role; 6] =
        [Role::Distributor, Role::Ingester, Role::Querier, Role::QueryFrontend, Role::StoreGateway, Role::Compactor];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Distributor => "distributor",
            Role::Ingester => "ingester",
            Role::Querier => "querier",
            Role::QueryFrontend => "query-frontend",
            Role::StoreGateway => "store-gateway",
            Role::Compactor => "compactor",
        }
    }
}

/// Names of the peer for which there is nothing to run: their work is done by the roles above, or not at all.
pub const IDLE: [&str; 15] = [
    "query-scheduler",
    "overrides-exporter",
    "tenant-settings",
    "ad-hoc-profiles",
    "admin",
    "usage-stats",
    "embedded-grafana",
    "feature-flags",
    "symbolizer",
    "metastore",
    "segment-writer",
    "query-backend",
    "compaction-worker",
    "vcs",
    "version",
];

/// The roles of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    roles: BTreeSet<Role>,
    idle: Vec<&'static str>,
}

impl Targets {
    /// From the words of `-target`; the error names the word that is none.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut targets = Targets::default();
        for word in words {
            if word == "all" {
                targets.roles.extend(Role::ALL);
            } else if let Some(role) = Role::ALL.into_iter().find(|r| r.as_str() == word) {
                targets.roles.insert(role);
            } else if let Some(idle) = IDLE.into_iter().find(|i| *i == word) {
                targets.idle.push(idle);
            } else {
                return Err(format!("{word:?} is not a part to run: -modules lists them"));
            }
        }
        if targets.roles.is_empty() && targets.idle.is_empty() {
            return Err("nothing to run: name a part, or all".into());
        }
        Ok(targets)
    }

    pub fn runs(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether everything runs in this process, so that the parts call each other directly.
    pub fn is_all(&self) -> bool {
        self.roles.len() == Role::ALL.len()
    }

    pub fn roles(&self) -> impl Iterator<Item = Role> + '_ {
        self.roles.iter().copied()
    }

    /// Parts asked for that have nothing to do here.
    pub fn idle(&self) -> &[&'static str] {
        &self.idle
    }
}

/// The text of `-modules`.
pub fn modules() -> String {
    let mut out = String::from("all *\n");
    for role in Role::ALL {
        out.push_str(role.as_str());
        out.push('\n');
    }
    for idle in IDLE {
        out.push_str(idle);
        out.push_str(" (accepted, nothing to run)\n");
    }
    out.push_str("\nModules marked with * run by default.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_words_with_commas_and_unknown_ones_are_refused() {
        assert!(Targets::parse(["all"]).unwrap().is_all());
        let some = Targets::parse(["distributor", "query-scheduler"]).unwrap();
        assert!(some.runs(Role::Distributor) && !some.runs(Role::Ingester) && !some.is_all());
        assert_eq!(some.idle(), ["query-scheduler"]);
        for bad in [vec!["distributer"], vec![]] {
            assert!(Targets::parse(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
