//! Whether a decoded profile may come in: a tenant's limits, and names that queries could not say.

use flamestore_model::{Fault, FaultId};

use crate::profile::{Profile, Spy};

/// Limits of one profile. 0: no limit. What is merely cut to size stands in `NormalizeOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// Samples, before any is dropped or merged.
    pub max_samples: usize,
    /// Labels of one sample, numeric ones too.
    pub max_sample_labels: usize,
    /// Whose slips are to be forgiven because normalising mends them.
    pub spy: Spy,
}

/// Refuses profiles over `caps` (`samples_limit`, `sample_labels_limit`) and those whose sample types contain `-`
/// (`malformed_profile`), all of kind `Invalid`.
pub fn check(profile: &Profile, caps: &Caps) -> Result<(), Fault> {
    let (samples, max) = (profile.samples.len(), caps.max_samples);
    if max != 0 && samples > max {
        return Err(Fault::over(FaultId::TooManySamples, format_args!("the profile has {samples} samples"), max));
    }
    let most_labels = profile.samples.iter().map(|s| profile.labels_of(s).len()).max().unwrap_or(0);
    if caps.max_sample_labels != 0 && most_labels > caps.max_sample_labels {
        return Err(Fault::over(
            FaultId::TooManySampleLabels,
            format_args!("a sample has {most_labels} labels"),
            caps.max_sample_labels,
        ));
    }
    if caps.spy == Spy::Dotnet {
        return Ok(());
    }
    if profile.functions_lack_ids {
        return Err(Fault::of(FaultId::ProfileMalformed, "a function has id 0: number functions from 1"));
    }
    match profile.sample_types.iter().map(|t| profile.str(t.kind)).find(|kind| kind.contains('-')) {
        Some(kind) => {
            Err(Fault::of(FaultId::ProfileMalformed, format!("sample type {kind:?} contains '-': write '_' instead")))
        }
        None => Ok(()),
    }
}
