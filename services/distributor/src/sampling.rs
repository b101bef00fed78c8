//! Whether a profile is among the share that is kept.

use flamestore_clock::Chance;
use flamestore_limits::Limits;

/// Decides by chance for one profile of these usage groups.
pub(crate) fn keeps(limits: &Limits, groups: &[&str], chance: &dyn Chance) -> bool {
    match limits.distributor_sampling.as_ref().and_then(|sampling| sampling.share_of(groups)) {
        None => true,
        Some(share) => fraction(chance.next_u64()) < share,
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
        let kept = |group: &str| {
            let mut limits = Limits::default();
            let shares = json!({"usage_groups": {"none": {"probability": 0}, "third": {"probability": 0.3},
                "all": {"probability": 1}}});
            limits.set("distributor_sampling", &shares).unwrap();
            (0..10_000).filter(|_| keeps(&limits, &[group], &chance)).count()
        };
        assert_eq!((kept("none"), kept("all"), kept("unnamed")), (0, 10_000, 10_000));
        assert!((2_800..3_200).contains(&kept("third")), "{}", kept("third"));
    }
}
