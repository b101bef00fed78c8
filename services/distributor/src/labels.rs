//! The labels of an upload, checked and put in order.

use std::collections::HashSet;

use flamestore_limits::Limits;
use flamestore_limits::relabel::relabel;
use flamestore_model::labels::{is_legacy_name, names};
use flamestore_model::{Fault, FaultId, Label, Labels, LabelsBuilder};

/// Labels that a client may give one series, before rules drop some of them and whatever the tenant's limit for what is
/// left: each is looked at several times.
pub const MAX_CLIENT_LABELS: usize = 1024;

/// The service of uploads that name none.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// The labels that a client gave a series: no name twice, a name and a service. Sample labels and rules come later.
#[derive(Debug, Clone)]
pub struct SeriesLabels(LabelsBuilder);

impl SeriesLabels {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    pub fn text_bytes(&self) -> usize {
        self.0.iter().map(|l| l.name.len() + l.value.len()).sum()
    }

    /// The labels of one group of samples: promoted sample labels never replace the series' own.
    pub fn with_promoted(&self, promoted: impl Iterator<Item = Label>) -> LabelsBuilder {
        let mut out = self.0.clone();
        for label in promoted {
            if out.get(&label.name).is_none() {
                out.put(label);
            }
        }
        out
    }
}

/// Reads the client's pairs: refuses more than [`MAX_CLIENT_LABELS`] and a name that comes twice, sanitises names where the
/// tenant wants that, and names the service of who named none.
pub fn of_series(pairs: &[(String, String)], limits: &Limits) -> Result<SeriesLabels, Fault> {
    if pairs.len() > MAX_CLIENT_LABELS {
        let count = pairs.len();
        return Err(Fault::of(
            FaultId::TooManyLabels,
            format!("a series comes with {count} labels; more than {MAX_CLIENT_LABELS} are not looked at: send fewer"),
        ));
    }
    let mut seen = HashSet::with_capacity(pairs.len());
    let mut out = LabelsBuilder::default();
    let mut service_named = false;
    for (name, value) in pairs {
        if !seen.insert(name.as_str()) {
            return Err(Fault::of(
                FaultId::DuplicateLabel,
                format!("duplicate label name {name:?}: send each label once"),
            ));
        }
        let name = sanitised(name, limits)?;
        if name == names::SERVICE_NAME {
            service_named = true;
            if value.trim().is_empty() {
                return Err(Fault::of(
                    FaultId::NoServiceName,
                    "service name is not provided: the label service_name is empty",
                ));
            }
        }
        if out.get(&name).is_some_and(|other| other != value) {
            return Err(Fault::of(
                FaultId::LabelNamesCollide,
                format!(
                    "label names collide: {name:?} has two values once '.' is written as '_' \
                     (limits.disable_label_sanitization is false)"
                ),
            ));
        }
        out.set(&name, value);
    }
    if !service_named {
        out.set(names::SERVICE_NAME, UNKNOWN_SERVICE);
    }
    if out.get(names::PROFILE_NAME).is_none() {
        return Err(Fault::of(
            FaultId::NoProfileName,
            "invalid metric name: the label __name__ is missing or empty; name the profile, e.g. process_cpu",
        ));
    }
    Ok(SeriesLabels(out))
}

fn sanitised(name: &str, limits: &Limits) -> Result<String, Fault> {
    if name.is_empty() {
        return Err(Fault::of(FaultId::LabelNameEmpty, "invalid labels: a label name is empty"));
    }
    if limits.disable_label_sanitization {
        return Ok(name.to_owned());
    }
    let name = name.replace('.', "_");
    if is_legacy_name(&name) {
        Ok(name)
    } else {
        Err(Fault::of(
            FaultId::LabelNameIllegal,
            format!(
                "invalid labels: the name {name:?} is outside [a-zA-Z_][a-zA-Z0-9_]*, which \
                 limits.disable_label_sanitization: false asks for"
            ),
        ))
    }
}

/// Applies the tenant's rules. `None`: a rule dropped the series.
pub fn relabelled(labels: LabelsBuilder, limits: &Limits) -> Option<LabelsBuilder> {
    let mut labels = labels;
    if !limits.series_rules().iter().all(|rules| relabel(*rules, &mut labels)) {
        return None;
    }
    // They tell the server what the client did; nothing is stored of them. What was sampled is for the server to say.
    labels.remove(names::DELTA).remove(names::ORDER).remove(names::SAMPLED);
    keep_session(&mut labels, limits.max_sessions_per_series);
    Some(labels)
}

/// Sessions multiply series, so their number is folded to `limit`; 0 drops the label.
fn keep_session(labels: &mut LabelsBuilder, limit: u64) {
    let Some(text) = labels.get(names::SESSION_ID) else { return };
    let folded = (limit > 0 && text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        // The label holds the id's bytes, lowest first.
        .map(|id| format!("{:016x}", (id.swap_bytes() % limit).swap_bytes()));
    labels.set(names::SESSION_ID, folded.as_deref().unwrap_or(""));
}

/// Checks what is about to be stored against the tenant's limits.
pub fn validate(labels: &LabelsBuilder, limits: &Limits) -> Result<(), Fault> {
    let shown = || labels.clone().build();
    if labels.get(names::SERVICE_NAME).is_none_or(|s| s.trim().is_empty()) {
        return Err(Fault::of(
            FaultId::NoServiceName,
            format!("service name is not provided: {} has no service_name", clipped(&shown())),
        ));
    }
    if labels.get(names::PROFILE_NAME).is_none() {
        return Err(Fault::of(
            FaultId::NoProfileName,
            format!("invalid metric name: {} has no __name__", clipped(&shown())),
        ));
    }
    let (count, max) = (labels.len() as u64, limits.max_label_names_per_series);
    if max > 0 && count > max {
        return Err(Fault::over(
            FaultId::TooManyLabels,
            format_args!("series {} has {count} label names", clipped(&shown())),
            max,
        ));
    }
    for label in labels.iter() {
        let (len, max) = (label.name.len() as u64, limits.max_label_name_length);
        if max > 0 && len > max {
            return Err(Fault::over(
                FaultId::LabelNameTooLong,
                format_args!("label name of {len} bytes is too long"),
                max,
            ));
        }
        let (len, max) = (label.value.len() as u64, limits.max_label_value_length);
        if max > 0 && len > max {
            return Err(Fault::over(
                FaultId::LabelValueTooLong,
                format_args!("value of label {:?} has {len} bytes, which is too long", label.name),
                max,
            ));
        }
    }
    Ok(())
}

/// Error texts name the series, but not all of a monster.
fn clipped(labels: &Labels) -> String {
    const MAX_SHOWN_CHARS: usize = 300;
    labels.to_string().chars().take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn limits(settings: &[(&str, Value)]) -> Limits {
        let mut limits = Limits::default();
        for (name, value) in settings {
            limits.set(name, value).unwrap();
        }
        limits
    }

    fn series(pairs: &[(&str, &str)], limits: &Limits) -> Result<String, FaultId> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let labels = of_series(&pairs, limits).map_err(|fault| fault.id)?;
        Ok(relabelled(labels.with_promoted(std::iter::empty()), limits).unwrap_or_default().build().to_string())
    }

    #[test]
    fn who_names_no_service_is_an_unknown_one_and_who_names_an_empty_one_is_refused() {
        let limits = Limits::default();
        let named = series(&[("__name__", "cpu")], &limits).unwrap();
        assert!(named.contains("service_name=\"unknown_service\""), "{named}");
        let empty = series(&[("__name__", "cpu"), ("service_name", " ")], &limits);
        assert_eq!(empty.unwrap_err(), FaultId::NoServiceName);
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_and_so_are_more_labels_than_anybody_needs() {
        let twice = [("__name__", "cpu"), ("a", "x"), ("a", "x")];
        assert_eq!(series(&twice, &Limits::default()).unwrap_err(), FaultId::DuplicateLabel);
        // As many as this are refused for being the same, more for being so many: looking at each would take minutes.
        let many = |count| series(&vec![("a", "x"); count], &Limits::default()).unwrap_err();
        assert_eq!(many(MAX_CLIENT_LABELS), FaultId::DuplicateLabel);
        assert_eq!((many(MAX_CLIENT_LABELS + 1), many(1_000_000)), (FaultId::TooManyLabels, FaultId::TooManyLabels));
    }

    #[test]
    fn sanitising_writes_dots_as_underscores_and_refuses_other_signs() {
        let limits = limits(&[("disable_label_sanitization", json!(false))]);
        let with =
            |extra: &[(&str, &str)]| series(&[&[("__name__", "cpu"), ("service_name", "s")], extra].concat(), &limits);
        assert!(with(&[("a.b", "x")]).unwrap().contains("a_b=\"x\""));
        assert!(with(&[("a.b", "x"), ("a_b", "x")]).is_ok());
        assert_eq!(with(&[("a.b", "x"), ("a_b", "y")]).unwrap_err(), FaultId::LabelNamesCollide);
        assert_eq!(with(&[("a-b", "x")]).unwrap_err(), FaultId::LabelNameIllegal);
    }

    #[test]
    fn sessions_are_folded_by_the_bytes_of_their_ids_lowest_first() {
        let session = |id: &str, max: u64| {
            let limits = limits(&[("max_sessions_per_series", json!(max))]);
            series(&[("__name__", "cpu"), ("service_name", "s"), ("__session_id__", id)], &limits).unwrap()
        };
        // 0x0500_0000_0000_0000 lowest byte first is 5, and 5 mod 3 is 2.
        assert!(session("0500000000000000", 3).contains("__session_id__=\"0200000000000000\""));
        for gone in [session("0500000000000000", 0), session("not hex at all!!", 3), session("+500000000000000", 3)] {
            assert!(!gone.contains("__session_id__"), "{gone}");
        }
    }
}
