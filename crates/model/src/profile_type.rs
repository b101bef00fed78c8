//! `name:sample_type:sample_unit:period_type:period_unit`, the id of what a profile counts.

use std::fmt;

use crate::fault::{Fault, FaultId};
use crate::labels::{Labels, names};

/// What one value column of a pprof counts, e.g. `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ProfileType {
    pub name: String,
    pub sample_type: String,
    pub sample_unit: String,
    pub period_type: String,
    pub period_unit: String,
}

impl ProfileType {
    /// Reads five parts separated by `:`, or six: the last one (historically `delta`) is ignored.
    pub fn parse(id: &str) -> Result<Self, Fault> {
        let parts: Vec<&str> = id.split(':').collect();
        if !matches!(parts.len(), 5 | 6) {
            return Err(Fault::of(
                FaultId::ProfileTypeMalformed,
                format!(
                    "profile type {id:?} must be of the form <name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>, \
                 but it has {} parts",
                    parts.len()
                ),
            ));
        }
        Ok(ProfileType {
            name: parts[0].into(),
            sample_type: parts[1].into(),
            sample_unit: parts[2].into(),
            period_type: parts[3].into(),
            period_unit: parts[4].into(),
        })
    }

    /// The type of a series, from its private labels.
    pub fn of(labels: &Labels) -> Option<Self> {
        labels.get(names::PROFILE_TYPE).and_then(|id| Self::parse(id).ok())
    }
}

impl fmt::Display for ProfileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}:{}", self.name, self.sample_type, self.sample_unit, self.period_type, self.period_unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_or_six_parts() {
        let id = "memory:inuse_space:bytes:space:bytes";
        assert_eq!(ProfileType::parse(id).unwrap().to_string(), id);
        assert_eq!(ProfileType::parse(&format!("{id}:delta")).unwrap().to_string(), id);
        assert_eq!(ProfileType::parse("exceptions:exc:count::").unwrap().period_type, "");
        assert!(ProfileType::parse("a:b").is_err());
        assert!(ProfileType::parse("").is_err());
    }
}
