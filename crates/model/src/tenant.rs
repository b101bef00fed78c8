//! The owner of data.

use std::fmt;
use std::sync::Arc;

use crate::fault::{Fault, Kind};

/// A tenant's name, checked: 1–150 of letters, digits and `!-_.*'()`, and neither `.` nor `..`.
///
/// It becomes a folder in the bucket, so nothing may make one without the check.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// The longest tenant name in bytes.
pub const MAX_TENANT_BYTES: usize = 150;
/// The most tenants of one read.
pub const MAX_TENANTS: usize = 256;

impl TenantId {
    /// The tenant of everything while multi-tenancy is off.
    pub fn anonymous() -> Self {
        TenantId("anonymous".into())
    }

    pub fn parse(text: &str) -> Result<Self, Fault> {
        let refuse = |why: String| Err(Fault::new(Kind::Unauthenticated, why));
        if text.is_empty() {
            return refuse("no org id: send the header X-Scope-OrgID".into());
        }
        if text.len() > MAX_TENANT_BYTES {
            return refuse(format!("tenant id is too long: at most {MAX_TENANT_BYTES} bytes"));
        }
        if text == "." || text == ".." {
            return refuse("tenant id is '.' or '..'".into());
        }
        match text.bytes().find(|c| !(c.is_ascii_alphanumeric() || b"!-_.*'()".contains(c))) {
            Some(c) => refuse(format!("tenant id {text:?} contains the unsupported character {:?}", c as char)),
            None => Ok(TenantId(text.into())),
        }
    }

    /// The tenants of a read, `a|b`: checked, sorted, each once, no more than [`MAX_TENANTS`]. A `|` too many is forgiven.
    pub fn parse_many(text: &str) -> Result<Vec<Self>, Fault> {
        let mut names = text.split('|').filter(|name| !name.is_empty()).peekable();
        if names.peek().is_none() {
            return Self::parse("").map(|tenant| vec![tenant]);
        }
        let mut all = names.map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        all.sort();
        all.dedup();
        if all.len() > MAX_TENANTS {
            return Err(Fault::invalid(format!(
                "the header X-Scope-OrgID names more than {MAX_TENANTS} tenants: ask for fewer at a time"
            )));
        }
        Ok(all)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\\b", "ü", "a b", &"a".repeat(151)] {
            assert!(TenantId::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TenantId::parse("team-1_(x)!.*'").unwrap().as_str(), "team-1_(x)!.*'");
    }

    #[test]
    fn federated_reads_name_each_tenant_once() {
        let many = TenantId::parse_many("b|a|b").unwrap();
        assert_eq!(many.iter().map(TenantId::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(TenantId::parse_many("a|").unwrap().len(), 1);
        for bad in ["", "|", "a|b/c"] {
            assert!(TenantId::parse_many(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_read_has_no_more_tenants_than_the_bound() {
        let names = |n: usize| (0..n).map(|i| format!("t{i}|t0")).collect::<Vec<_>>().join("|");
        assert_eq!(TenantId::parse_many(&names(MAX_TENANTS)).unwrap().len(), MAX_TENANTS);
        assert_eq!(TenantId::parse_many(&names(MAX_TENANTS + 1)).unwrap_err().kind, Kind::Invalid);
    }
}
