//! Label names, label values, series and profile types, drawn from series.

use std::collections::BTreeSet;

use flamestore_model::labels::{is_legacy_name, names};
use flamestore_model::{Label, ProfileType, SeriesInfo};
use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// All label names, sorted; names outside the classic alphabet only for clients that say they can read them.
pub fn label_names(series: &[SeriesInfo], utf8_names: bool) -> Vec<String> {
    let shown = |name: &&str| utf8_names || is_legacy_name(name);
    each_once(series.iter().flat_map(|s| s.labels.iter()).map(|l| &*l.name)).filter(shown).map(str::to_owned).collect()
}

/// The values of one label, sorted.
pub fn label_values(series: &[SeriesInfo], name: &str) -> Vec<String> {
    each_once(series.iter().filter_map(|s| s.labels.get(name))).map(str::to_owned).collect()
}

/// Label sets cut down to the asked names (none: all labels), each once, sorted; sets without any asked label are
/// left out. A name that the client could not read counts as not asked for.
pub fn label_sets(series: &[SeriesInfo], asked: &[String], utf8_names: bool) -> Vec<Vec<Label>> {
    let shown = |name: &str| utf8_names || is_legacy_name(name);
    let asked: Vec<&str> = asked.iter().map(String::as_str).filter(|name| shown(name)).collect();
    let wanted = |l: &&Label| (asked.is_empty() || asked.contains(&&*l.name)) && shown(&l.name);
    let all: BTreeSet<Vec<&Label>> =
        series.iter().map(|s| s.labels.iter().filter(wanted).collect::<Vec<_>>()).filter(|s| !s.is_empty()).collect();
    all.into_iter().map(|set| set.into_iter().cloned().collect()).collect()
}

/// The profile types, sorted by id.
pub fn profile_types(series: &[SeriesInfo]) -> Vec<ProfileType> {
    let ids = each_once(series.iter().filter_map(|s| s.labels.get(names::PROFILE_TYPE)));
    ids.filter_map(|id| ProfileType::parse(id).ok()).collect()
}

/// Sorted. There are far fewer of them than times that they come.
fn each_once<'a>(all: impl Iterator<Item = &'a str>) -> std::vec::IntoIter<&'a str> {
    let seen: HashSet<&str, RandomState> = all.collect();
    let mut sorted: Vec<&str> = seen.into_iter().collect();
    sorted.sort_unstable();
    sorted.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_model::{Labels, TimeRange};

    fn series(pairs: &[(&str, &str)]) -> SeriesInfo {
        SeriesInfo {
            labels: Labels::from_pairs(pairs.iter().copied()),
            range: TimeRange { from_nanos: 0, to_nanos: 0 },
            profiles: 1,
        }
    }

    #[test]
    fn dotted_names_are_shown_only_to_who_can_read_them() {
        let all = [series(&[("a", "1"), ("k8s.pod", "x")]), series(&[("a", "2")])];
        assert_eq!(label_names(&all, false), ["a"]);
        assert_eq!(label_names(&all, true), ["a", "k8s.pod"]);
        assert_eq!(label_values(&all, "a"), ["1", "2"]);
        assert_eq!(label_values(&all, "nope"), Vec::<String>::new());
    }

    #[test]
    fn projected_label_sets_come_once_and_never_empty() {
        let all = [series(&[("a", "1"), ("b", "x")]), series(&[("a", "1"), ("b", "y")]), series(&[("c", "z")])];
        let sets = label_sets(&all, &["a".into()], false);
        assert_eq!(sets.len(), 1);
        assert_eq!(&*sets[0][0].value, "1");
        assert_eq!(label_sets(&all, &[], false).len(), 3);
        assert_eq!(label_sets(&all, &["nope".into()], false).len(), 0);
        assert_eq!(label_sets(&all, &["a".into(), "k8s.pod".into()], false), sets);
        assert_eq!(label_sets(&all, &["k8s.pod".into()], false), label_sets(&all, &[], false));
        assert_eq!(label_sets(&all, &["k8s.pod".into()], true).len(), 0);
    }
}
