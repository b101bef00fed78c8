//! Grouping series by some of their labels, and profiles by their id.

use std::collections::BTreeMap;

use flamestore_model::labels::names;
use flamestore_model::{Labels, ProfileId};

/// Labels of an answer, in the order in which they are shown.
pub type LabelList = Vec<(String, String)>;

/// The group of a series: the labels asked for that it has, in the order asked.
pub(crate) fn key_of(labels: &Labels, group_by: &[String]) -> LabelList {
    let pair = |name: &String| labels.get(name).map(|value| (name.clone(), value.to_owned()));
    group_by.iter().filter_map(pair).collect()
}

/// One profile within a group: the parts of it that lie in several series (its samples had labels) are one.
#[derive(Debug, Clone)]
pub(crate) struct WholeProfile {
    pub(crate) time_nanos: i64,
    pub(crate) value: i64,
    labels: Labels,
}

impl WholeProfile {
    /// What an exemplar shows: labels that all parts share and that the group does not already show.
    pub(crate) fn labels(&self, group_by: &[String]) -> LabelList {
        let first = [names::PROFILE_TYPE, names::SERVICE_NAME_PRIVATE];
        let shown = |name: &str| !group_by.iter().any(|g| g == name);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let head = first.iter().filter_map(|name| self.labels.get(name).map(|value| pair(name, value)));
        let tail = self.labels.iter().filter(|l| !first.contains(&&*l.name)).map(|l| pair(&l.name, &l.value));
        head.chain(tail).filter(|(name, _)| shown(name)).collect()
    }
}

/// Profiles by their place in the answer (a time slot, a span) and id.
#[derive(Debug, Default)]
pub(crate) struct Wholes<Place: Ord>(pub(crate) BTreeMap<(Place, ProfileId), WholeProfile>);

impl<Place: Ord> Wholes<Place> {
    pub(crate) fn add(&mut self, place: Place, id: ProfileId, time_nanos: i64, value: i64, labels: &Labels) {
        self.0
            .entry((place, id))
            .and_modify(|whole| {
                whole.value = whole.value.saturating_add(value);
                if whole.labels != *labels {
                    whole.labels = common(&whole.labels, labels);
                }
            })
            .or_insert_with(|| WholeProfile { time_nanos, value, labels: labels.clone() });
    }
}

fn common(a: &Labels, b: &Labels) -> Labels {
    Labels::from_pairs(a.iter().filter(|l| b.get(&l.name) == Some(&*l.value)).map(|l| (&*l.name, &*l.value)))
}
