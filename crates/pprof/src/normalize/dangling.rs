//! Which samples point to something that is not there.

use crate::profile::{Location, MISSING, Profile};

/// Per row whether its stack names a missing or useless location; empty when no row does.
///
/// A location is useless when one of its functions or its mapping is missing, or when it says neither an address nor a
/// line. Its stack is not kept without it: a stack with a hole tells something wrong.
pub(super) fn rows(profile: &Profile) -> Vec<bool> {
    let is_useless = |l: &Location| {
        let lines = profile.lines.get(l.first_line as usize..l.end_line as usize).unwrap_or_default();
        (lines.is_empty() && l.address == 0)
            || l.mapping == MISSING
            || lines.iter().any(|line| line.function == MISSING)
    };
    let useless: Vec<bool> = profile.locations.iter().map(is_useless).collect();
    if !useless.contains(&true) && !profile.sample_locations.contains(&MISSING) {
        return Vec::new();
    }
    let points_nowhere = |location: &u32| useless.get(*location as usize).copied().unwrap_or(true);
    profile.samples.iter().map(|s| profile.locations_of(s).iter().any(points_nowhere)).collect()
}
