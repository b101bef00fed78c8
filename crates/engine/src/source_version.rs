//! Which source a profile was built from: said by labels of its series, kept with its mappings, where user interfaces
//! look for it to link to the code.

use flamestore_model::StoredSeries;
use flamestore_pprof::profile::NO_MAPPING;
use flamestore_pprof::{Mapping, Profile, StrRef};
use serde::Serialize;

/// What stands in a mapping's build id then, as JSON.
#[derive(Debug, Serialize)]
struct SourceVersion<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    repository: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    git_ref: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    build_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    root_path: &'a str,
}

/// Writes the labels `service_repository`, `service_git_ref` and `service_root_path` into the build ids of the
/// profile's mappings. A push and its replay see the same labels and so write the same.
pub(crate) fn note(profile: &mut Profile, series: &[StoredSeries]) {
    let find = |name: &str| series.first().and_then(|s| s.labels.get(name)).unwrap_or("");
    let (repository, git_ref, root_path) =
        (find("service_repository"), find("service_git_ref"), find("service_root_path"));
    if repository.is_empty() && git_ref.is_empty() && root_path.is_empty() {
        return;
    }
    stand_in(profile);
    for at in 0..profile.mappings.len() {
        let build_id = profile.str(profile.mappings[at].build_id);
        let version = SourceVersion { repository, git_ref, build_id, root_path };
        let Ok(text) = serde_json::to_string(&version) else { return };
        let (Ok(offset), Ok(len)) = (u32::try_from(profile.text.len()), u32::try_from(text.len())) else { return };
        if offset.checked_add(len).is_none() {
            return;
        }
        profile.text.extend_from_slice(text.as_bytes());
        profile.mappings[at].build_id = StrRef { offset, len };
    }
}

/// Gives locations without a mapping one that says nothing, so that they too have a build id.
fn stand_in(profile: &mut Profile) {
    let Ok(new) = u32::try_from(profile.mappings.len()) else { return };
    let mut lacking = profile.locations.iter_mut().filter(|l| l.mapping == NO_MAPPING).peekable();
    if lacking.peek().is_some() {
        lacking.for_each(|location| location.mapping = new);
        profile.mappings.push(Mapping {
            memory_start: 0,
            memory_limit: 0,
            file_offset: 0,
            filename: StrRef::default(),
            build_id: StrRef::default(),
            flags: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_model::Labels;

    fn noted(pairs: &[(&str, &str)]) -> Vec<String> {
        let mapping = |build_id: StrRef| Mapping {
            memory_start: 0,
            memory_limit: 0,
            file_offset: 0,
            filename: StrRef::default(),
            build_id,
            flags: 0,
        };
        let mut profile = Profile {
            text: b"abc".to_vec(),
            mappings: vec![mapping(StrRef { offset: 0, len: 3 }), mapping(StrRef::default())],
            ..Profile::default()
        };
        let labels = Labels::from_pairs(pairs.iter().copied());
        note(&mut profile, &[StoredSeries { labels, group: 0, column: 0 }]);
        profile.mappings.iter().map(|m| profile.str(m.build_id).to_owned()).collect()
    }

    #[test]
    fn build_ids_carry_the_source_when_labels_name_it() {
        assert_eq!(noted(&[("service_name", "s")]), ["abc", ""]);
        assert_eq!(
            noted(&[("service_git_ref", "main"), ("service_repository", "r\"x")]),
            [r#"{"repository":"r\"x","git_ref":"main","build_id":"abc"}"#, r#"{"repository":"r\"x","git_ref":"main"}"#]
        );
    }
}
