//! Whether a profile is among the share that is kept.

use flamestore_clock::Chance;
use flamestore_limits::Limits;

/// What becomes of a profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict<'a> {
    /// As all of its usage groups.
    Kept,
    /// It stands for others too: only this share of a usage group, less than 1, is kept.
    Sampled {
        usage_group: &'a str,
        probability: f64,
    },
    Dropped,
}

/// Decides by chance for one profile of these usage groups.
pub(crate) fn verdict<'a>(limits: &Limits, groups: &[&'a str], chance: &dyn Chance) -> Verdict<'a> {
    match limits.distributor_sampling.as_ref().and_then(|sampling| sampling.share_of(groups)) {
        Some((_, share)) if fraction(chance.next_u64()) >= share => Verdict::Dropped,
        Some((usage_group, probability)) if probability < 1.0 => Verdict::Sampled { usage_group, probability },
        _ => Verdict::Kept,
    }
}

/// Evenly from 0 to just below 1: as many bits as a fraction can hold.
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_clock::SeededChance;
    use serde_json::json;

    #[test]
    fn about_the_share_is_kept_and_nothing_of_none_and_all_of_one() {
        let chance = SeededChance::new(7);
        let kept_as = |group: &'static str, expected: Verdict<'static>| {
            let mut limits = Limits::default();
            let shares = json!({"usage_groups": {"none": {"probability": 0}, "third": {"probability": 0.3},
                "all": {"probability": 1}}});
            limits.set("distributor_sampling", &shares).unwrap();
            (0..10_000).filter(|_| verdict(&limits, &[group], &chance) == expected).count()
        };
        assert_eq!(kept_as("none", Verdict::Dropped), 10_000);
        assert_eq!((kept_as("all", Verdict::Kept), kept_as("unnamed", Verdict::Kept)), (10_000, 10_000));
        let third = kept_as("third", Verdict::Sampled { usage_group: "third", probability: 0.3 });
        assert!((2_800..3_200).contains(&third), "{third}");
    }
}
