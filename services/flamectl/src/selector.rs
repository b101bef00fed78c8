//! What `SELECTOR` may be: nothing, a service, or the text language of queries, with a word for the type before a brace.

use std::time::Duration;

use flamestore_model::query_text::{self, QueryText, TypeWanted};

use crate::failure::Failure;

/// For the help of every command that takes one.
pub(crate) const HELP: &str = "Which profiles: a service's name, or labels as {service_name=\"checkout\",pod=~\"a.*\"}; \
                               a type may stand before the brace, as cpu{…}, or in it, as {type=\"cpu\"}, and \
                               offset=7d, not quoted, looks so far back. Default: all";

/// A selector, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// As the API takes it, in braces.
    pub(crate) labels: String,
    /// The profile type, as it was written.
    pub(crate) type_word: Option<String>,
    /// By how much the time is moved back.
    pub(crate) back: Duration,
}

/// Reads a selector and the profile type, which stands in it or in its own option.
pub(crate) fn read(text: Option<&str>, type_option: Option<&str>) -> Result<Wanted, Failure> {
    let text = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("{}");
    if query_text::sides(text).len() > 1 {
        return Err(Failure::usage(format!("{text:?} compares two selections: that is what `flamectl diff` does")));
    }
    // Any word may stand for a type here; a full id is a part of the language.
    let (word, rest) = match text.find('{').and_then(|brace| text.split_at_checked(brace)) {
        Some((head, rest)) if !head.contains(':') => (Some(head.trim()).filter(|head| !head.is_empty()), rest),
        _ => (None, text),
    };
    let query = QueryText::parse(rest).map_err(Failure::usage)?;
    let inside = match query.profile_type {
        TypeWanted::Exact(id) => Some(id.to_string()),
        TypeWanted::Short(word) => Some(word),
        TypeWanted::Unsaid => None,
    };
    let option = type_option.map(|option| (option, format!("--type {option:?}")));
    let said = |word: &str| (word.to_owned(), format!("{word:?}"));
    let all = word.map(said).into_iter().chain(inside.as_deref().map(said));
    let mut all = all.chain(option.map(|(word, shown)| (word.to_owned(), shown)));
    let type_word = match (all.next(), all.next()) {
        (Some((_, first)), Some((_, second))) => {
            return Err(Failure::usage(format!("the profile type is given twice: {first} and {second}")));
        }
        (first, _) => first.map(|(word, _)| word),
    };
    let back = Duration::from_millis(u64::try_from(query.offset_ms).unwrap_or_default());
    Ok(Wanted { labels: query.selector.to_string(), type_word, back })
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
        let all = Wanted { labels: "{}".into(), type_word: Some("wall".into()), back: Duration::ZERO };
        assert_eq!(read(None, Some("wall")).unwrap(), all);
        assert_eq!(read(Some(" "), Some("wall")).unwrap(), all);
    }

    #[test]
    fn the_text_language_is_understood() {
        let checkout = || r#"{service_name="checkout"}"#.to_owned();
        assert_eq!(wanted(r#"{service="checkout"}{type="inuse_space"}"#), (checkout(), Some("inuse_space".into())));
        assert_eq!(wanted(r#"{service="checkout", type="cpu"}"#), (checkout(), Some("cpu".into())));
        assert_eq!(wanted(r#"live{service="checkout"}"#), (checkout(), Some("live".into())));
        let id = "memory:inuse_space:bytes:space:bytes";
        assert_eq!(wanted(&format!(r#"{{__profile_type__="{id}"}}"#)), ("{}".into(), Some(id.into())));
        let earlier = read(Some(r#"{service="checkout", offset=7d}"#), None).unwrap();
        assert_eq!((earlier.labels, earlier.back), (checkout(), Duration::from_secs(7 * 86_400)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_before_anything_is_sent() {
        assert!(read(Some("{a=b}"), None).unwrap_err().message.contains("cannot be read"));
        assert!(read(Some(r#"cpu{type="wall"}"#), None).unwrap_err().message.contains("twice"));
        assert!(read(Some(r#"{type="wall"}{type="cpu"}"#), None).unwrap_err().message.contains("two profile types"));
        assert!(read(Some("cpu{}"), Some("wall")).unwrap_err().message.contains("twice: \"cpu\" and --type \"wall\""));
        assert!(read(Some(r#"{type="wall"}"#), Some("cpu")).unwrap_err().message.contains("twice"));
        assert!(read(Some("a vs b"), None).unwrap_err().message.contains("flamectl diff"));
    }
}
