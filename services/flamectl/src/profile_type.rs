//! Which of the stored profile types a word such as `cpu` means.

use flamestore_model::ProfileType;
use flamestore_model::labels::names;
use flamestore_proto::querier::v1::{SeriesRequest, SeriesResponse};

use crate::client::Client;
use crate::failure::Failure;
use crate::times::Range;

/// For the help of every command that takes one.
pub(crate) const HELP: &str = "What was measured: a word such as cpu, wall, alloc_space, memory or goroutine, \
                               or all five parts, as `flamectl types` lists them. Default: cpu, or the only one there is";

/// The type that is meant where none is named.
const DEFAULT: &str = "cpu";

/// Words that people say for a sample type that is called otherwise; the first that is stored is meant.
const SAYINGS: &[(&str, &[&str])] = &[
    ("memory", &["inuse_space", "alloc_space", "alloc_in_new_tlab_bytes"]),
    ("heap", &["inuse_space", "alloc_space", "alloc_in_new_tlab_bytes"]),
    ("alloc_space", &["alloc_in_new_tlab_bytes"]),
    ("alloc_objects", &["alloc_in_new_tlab_objects"]),
    ("goroutine", &["goroutines"]),
    ("goroutines", &["goroutine"]),
    ("mutex", &["delay", "contentions"]),
    ("block", &["delay", "contentions"]),
];

/// The profile type that a word means among those stored for a selector; a full id is taken as it is.
pub(crate) fn resolve(client: &Client, word: Option<&str>, labels: &str, range: Range) -> Result<ProfileType, Failure> {
    if let Some(id) = word.filter(|w| w.contains(':')) {
        return ProfileType::parse(id).map_err(Failure::usage);
    }
    let request = SeriesRequest {
        matchers: vec![labels.to_owned()],
        label_names: vec![names::PROFILE_TYPE.to_owned()],
        start: range.from_ms,
        end: range.until_ms,
    };
    let answer: SeriesResponse = client.call("querier.v1.QuerierService/Series", &request)?;
    let pairs = answer.labels_set.iter().flat_map(|set| &set.labels);
    let ids = pairs.filter(|pair| pair.name == names::PROFILE_TYPE).map(|pair| pair.value.as_str());
    let stored: Vec<ProfileType> = ids.filter_map(|id| ProfileType::parse(id).ok()).collect();
    match (word, stored.as_slice()) {
        (_, []) => Err(Failure::nothing(format!("there are no profiles of {labels} from {range}"))),
        (Some(word), stored) => choose(word, stored),
        (None, [one]) => Ok(one.clone()),
        (None, stored) => choose(DEFAULT, stored),
    }
}

/// The type called so: by its sample type, by a saying, or by its name where there is but one of that name.
fn choose(word: &str, stored: &[ProfileType]) -> Result<ProfileType, Failure> {
    let list = |types: &[&ProfileType]| types.iter().map(|t| format!("\n  {t}")).collect::<String>();
    let others = SAYINGS.iter().find(|(saying, _)| *saying == word).map_or(&[][..], |(_, others)| others);
    for sample_type in std::iter::once(&word).chain(others) {
        let called = |t: &&ProfileType| t.sample_type == *sample_type && (!is_lock(word) || t.name == word);
        let mut found: Vec<&ProfileType> = stored.iter().filter(called).collect();
        found.dedup();
        match found.as_slice() {
            [] => {}
            [one] => return Ok((*one).clone()),
            several => {
                return Err(Failure::usage(format!(
                    "{word:?} may mean several profile types; name one of them with --type:{}",
                    list(several)
                )));
            }
        }
    }
    let named: Vec<&ProfileType> = stored.iter().filter(|t| t.name == word).collect();
    match named.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::nothing(format!(
            "there is no profile type {word:?} here; choose another with --type:{}",
            list(&stored.iter().collect::<Vec<_>>())
        ))),
        several => Err(Failure::usage(format!("choose a profile type of {word:?} with --type:{}", list(several)))),
    }
}

/// Both kinds of waiting have sample types of the same names.
fn is_lock(word: &str) -> bool {
    matches!(word, "mutex" | "block")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn stored(ids: &[&str]) -> Vec<ProfileType> {
        ids.iter().map(|id| ProfileType::parse(id).unwrap()).collect()
    }

    #[test]
    fn a_word_means_the_stored_type_that_is_called_so() {
        let all = stored(&[
            "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            "process_cpu:samples:count:cpu:nanoseconds",
            "memory:inuse_space:bytes:space:bytes",
            "memory:alloc_space:bytes:space:bytes",
            "mutex:delay:nanoseconds:contentions:count",
            "block:delay:nanoseconds:contentions:count",
            "goroutines:goroutine:count:goroutine:count",
        ]);
        for (word, name, sample_type) in [
            ("cpu", "process_cpu", "cpu"),
            ("memory", "memory", "inuse_space"),
            ("alloc_space", "memory", "alloc_space"),
            ("mutex", "mutex", "delay"),
            ("block", "block", "delay"),
            ("goroutines", "goroutines", "goroutine"),
        ] {
            let found = choose(word, &all).unwrap();
            assert_eq!((&*found.name, &*found.sample_type), (name, sample_type), "{word}");
        }
    }

    #[test]
    fn a_word_that_means_none_or_several_lists_what_there_is() {
        let all = stored(&["mutex:delay:nanoseconds:contentions:count", "block:delay:nanoseconds:contentions:count"]);
        let several = choose("delay", &all).unwrap_err();
        assert_eq!(several.exit, Exit::Usage);
        assert!(several.message.contains("block:delay:nanoseconds:contentions:count"), "{several}");
        let none = choose("cpu", &all).unwrap_err();
        assert_eq!(none.exit, Exit::Nothing);
        assert!(none.message.contains("mutex:delay"), "{none}");
    }
}
