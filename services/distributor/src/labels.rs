//! The labels of an upload, checked and put in order.

use flamestore_limits::Limits;
use flamestore_limits::relabel::relabel;
use flamestore_model::labels::{is_legacy_name, names};
use flamestore_model::{Discard, Fault, Labels, LabelsBuilder};

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
    pub fn with_promoted<'a>(&self, promoted: impl Iterator<Item = (&'a str, &'a str)>) -> LabelsBuilder {
        let mut out = self.0.clone();
        for (name, value) in promoted {
            out.set_default(name, value);
        }
        out
    }
}

/// Reads the client's pairs: refuses a name that comes twice, sanitises names where the tenant wants that, and names
/// the service of who named none.
pub fn of_series(pairs: &[(String, String)], limits: &Limits) -> Result<SeriesLabels, Fault> {
    let mut out = LabelsBuilder::default();
    let mut service_named = false;
    for (index, (name, value)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(n, _)| n == name) {
            return Err(Fault::invalid(format!("duplicate label name {name:?}: send each label once"))
                .discarding(Discard::DuplicateLabelNames));
        }
        let name = sanitised(name, limits)?;
        if name == names::SERVICE_NAME {
            service_named = true;
            if value.trim().is_empty() {
                return Err(Fault::invalid("service name is not provided: the label service_name is empty")
                    .discarding(Discard::MissingLabels));
            }
        }
        if out.get(&name).is_some_and(|other| other != value) {
            return Err(Fault::invalid(format!(
                "label names collide: {name:?} has two values once '.' is written as '_' \
                 (validation.disable-label-sanitization is false)"
            ))
            .discarding(Discard::DuplicateLabelNames));
        }
        out.set(&name, value);
    }
    if !service_named {
        out.set(names::SERVICE_NAME, UNKNOWN_SERVICE);
    }
    if out.get(names::PROFILE_NAME).is_none() {
        return Err(Fault::invalid(
            "invalid metric name: the label __name__ is missing or empty; name the profile, e.g. process_cpu",
        )
        .discarding(Discard::InvalidLabels));
    }
    Ok(SeriesLabels(out))
}

fn sanitised(name: &str, limits: &Limits) -> Result<String, Fault> {
    if name.is_empty() {
        return Err(Fault::invalid("invalid labels: a label name is empty").discarding(Discard::InvalidLabels));
    }
    if limits.disable_label_sanitization {
        return Ok(name.to_owned());
    }
    let name = name.replace('.', "_");
    if is_legacy_name(&name) {
        Ok(name)
    } else {
        Err(Fault::invalid(format!("invalid labels: the name {name:?} is outside [a-zA-Z_][a-zA-Z0-9_]*"))
            .discarding(Discard::InvalidLabels))
    }
}

/// Applies the tenant's rules. `None`: a rule dropped the series.
pub fn relabelled(labels: LabelsBuilder, limits: &Limits) -> Option<LabelsBuilder> {
    let mut labels = labels;
    if !limits.series_rules().iter().all(|rules| relabel(*rules, &mut labels)) {
        return None;
    }
    // They tell the server what the client did; nothing is stored of them.
    labels.remove(names::DELTA).remove(names::ORDER);
    keep_session(&mut labels, limits.max_sessions_per_series);
    Some(labels)
}

/// Sessions multiply series, so their number is folded to `limit`; 0 drops the label.
fn keep_session(labels: &mut LabelsBuilder, limit: u64) {
    let Some(text) = labels.get(names::SESSION_ID) else { return };
    let folded = (limit > 0 && text.len() == 16)
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
        return Err(Fault::invalid(format!("service name is not provided: {} has no service_name", shown()))
            .discarding(Discard::MissingLabels));
    }
    if labels.get(names::PROFILE_NAME).is_none() {
        return Err(Fault::invalid(format!("invalid metric name: {} has no __name__", shown()))
            .discarding(Discard::InvalidLabels));
    }
    let (count, max) = (labels.len() as u64, limits.max_label_names_per_series);
    if max > 0 && count > max {
        return Err(Fault::invalid(format!(
            "series {} has {count} label names; limit {max} (validation.max-label-names-per-series)",
            clipped(&shown())
        ))
        .discarding(Discard::MaxLabelNamesPerSeries));
    }
    for label in labels.iter() {
        let (len, max) = (label.name.len() as u64, limits.max_label_name_length);
        if max > 0 && len > max {
            return Err(Fault::invalid(format!(
                "label name of {len} bytes is too long; limit {max} (validation.max-length-label-name)"
            ))
            .discarding(Discard::LabelNameTooLong));
        }
        let (len, max) = (label.value.len() as u64, limits.max_label_value_length);
        if max > 0 && len > max {
            return Err(Fault::invalid(format!(
                "value of label {:?} has {len} bytes, which is too long; limit {max} (validation.max-length-label-value)",
                label.name
            ))
            .discarding(Discard::LabelValueTooLong));
        }
    }
    Ok(())
}

/// Error texts name the series, but not all of a monster.
fn clipped(labels: &Labels) -> String {
    const MAX_SHOWN_CHARS: usize = 300;
    labels.to_string().chars().take(MAX_SHOWN_CHARS).collect()
}
