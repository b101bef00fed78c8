//! What `SELECTOR` may be: nothing, a service, `{…}`, or a profile type before any of them.

use flamestore_model::labels::names;
use flamestore_model::{Matcher, Selector};

use crate::failure::Failure;

/// For the help of every command that takes one.
pub(crate) const HELP: &str = "Which profiles: a service's name, or labels as {service_name=\"checkout\",pod=~\"a.*\"}; \
                               a type may stand before the brace, as cpu{…}. Default: all";

/// Colons in the full id of a profile type.
const TYPE_COLONS: usize = 4;

/// A selector, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// As the API takes it, in braces.
    pub(crate) labels: String,
    /// The profile type, as it was written.
    pub(crate) type_word: Option<String>,
}

/// Reads a selector and the profile type, which stands in it or in its own option.
pub(crate) fn read(text: Option<&str>, type_option: Option<&str>) -> Result<Wanted, Failure> {
    let text = text.unwrap_or("{}").trim();
    let (labels, word) = match text.find('{') {
        Some(brace) => {
            let (head, labels) = text.split_at(brace);
            (Selector::parse(labels).map_err(Failure::usage)?, Some(head.trim()).filter(|h| !h.is_empty()))
        }
        None if text.matches(':').count() >= TYPE_COLONS => (Selector::default(), Some(text)),
        None if text.is_empty() => (Selector::default(), None),
        None => (Selector::default().and(Matcher::equal(names::SERVICE_NAME, text)), None),
    };
    if let (Some(word), Some(option)) = (word, type_option) {
        return Err(Failure::usage(format!("the profile type is given twice: {word:?} and --type {option:?}")));
    }
    Ok(Wanted { labels: labels.to_string(), type_word: word.or(type_option).map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> (String, Option<String>) {
        let wanted = read(Some(text), None).unwrap();
        (wanted.labels, wanted.type_word)
    }

    #[test]
    fn a_selector_is_a_service_or_labels_with_or_without_a_type() {
        let id = "memory:inuse_space:bytes:space:bytes";
        assert_eq!(wanted("checkout"), (r#"{service_name="checkout"}"#.into(), None));
        assert_eq!(wanted(r#"{a="b",c!~"d"}"#), (r#"{a="b", c!~"d"}"#.into(), None));
        assert_eq!(wanted(r#"cpu{a="b"}"#), (r#"{a="b"}"#.into(), Some("cpu".into())));
        assert_eq!(wanted(id), ("{}".into(), Some(id.into())));
        assert_eq!(wanted(&format!("{id}{{}}")), ("{}".into(), Some(id.into())));
        assert_eq!(read(None, Some("wall")).unwrap(), Wanted { labels: "{}".into(), type_word: Some("wall".into()) });
    }

    #[test]
    fn what_cannot_be_read_is_refused_before_anything_is_sent() {
        assert!(read(Some("{a=b}"), None).unwrap_err().message.contains("cannot be read"));
        assert!(read(Some("cpu{}"), Some("wall")).unwrap_err().message.contains("twice"));
    }
}
