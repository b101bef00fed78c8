//! The text language of queries: `{service="my-api", job="production"}`, `{…}{type="cpu"}`, `… vs …`, `offset=7d`.
//!
//! | text | means |
//! |---|---|
//! | `question` | `selection`, or `selection vs selection` |
//! | `selection` | a service name, `type{…}`, `{…}`, `{…}{…}`, `word{…}`, or a full type id |
//! | `{…}` | a [`Selector`]; `service` is `service_name` there, and `offset=7d`, not quoted, moves the time back |
//! | `{type="cpu"}` | the profile type by a short word, `{__profile_type__="…"}`, `{__name__="…"}` and `{"…"}` by its full id; none means CPU |
//!
//! In `type{…}` with a full type id the selector is taken as it stands, as in the query texts of other servers.

mod offset;
mod scan;

use crate::fault::Fault;
use crate::labels::names;
use crate::profile_type::ProfileType;
use crate::selector::{MatchOp, Matcher, Selector};
use scan::outside_quotes;

pub use offset::MAX_OFFSET_MS;
pub use scan::sides;

/// The longest text that is read, in bytes.
pub const MAX_QUERY_TEXT_BYTES: usize = 128 << 10;

/// What a text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    One(QueryText),
    /// Two selections to compare: the base, and what is held against it.
    Versus(QueryText, QueryText),
}

/// One selection, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryText {
    pub profile_type: TypeWanted,
    pub selector: Selector,
    /// How far back the time is moved, in milliseconds; at most [`MAX_OFFSET_MS`].
    pub offset_ms: i64,
}

/// Which profile type a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeWanted {
    Exact(ProfileType),
    /// A short word (`cpu`, `inuse_space`, …) that must be looked up among the types there are.
    Short(String),
    /// Nothing was said: CPU.
    Unsaid,
}

impl Question {
    /// Reads a text. In a comparison, a side that names no profile type has that of the other.
    ///
    /// # Errors
    /// `Invalid`, with what cannot be read.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let mut sides = sides(bounded(text)?).into_iter();
        match (sides.next(), sides.next(), sides.next()) {
            (Some(left), Some(right), None) => {
                let side = |text: &str, name: &str| {
                    if text.is_empty() {
                        return Err(Fault::invalid("a comparison needs a selection on both sides of \"vs\""));
                    }
                    QueryText::parse(text).map_err(|f| f.at(name))
                };
                let (mut left, mut right) = (side(left, "left of vs")?, side(right, "right of vs")?);
                match (&left.profile_type, &right.profile_type) {
                    (TypeWanted::Unsaid, _) => left.profile_type = right.profile_type.clone(),
                    (_, TypeWanted::Unsaid) => right.profile_type = left.profile_type.clone(),
                    _ => {}
                }
                Ok(Question::Versus(left, right))
            }
            (.., Some(_)) => Err(Fault::invalid("\"vs\" compares two selections, and this text has more")),
            _ => QueryText::parse(text).map(Question::One),
        }
    }
}

fn bounded(text: &str) -> Result<&str, Fault> {
    if text.len() > MAX_QUERY_TEXT_BYTES {
        return Err(Fault::invalid(format!(
            "the query text has {} bytes; at most {MAX_QUERY_TEXT_BYTES} are read",
            text.len()
        )));
    }
    Ok(text)
}

/// The short type of texts that name none.
const DEFAULT_TYPE: &str = "cpu";

/// The word, the type it means where nothing is stored, and its spellings as (name, sample type).
type Short = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Short words, the profile type they mean when nothing is stored yet, and by which names the kinds of client store it.
const SHORT_TYPES: &[Short] = &[
    ("cpu", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", &[("process_cpu", "cpu"), ("process_cpu", "samples")]),
    ("wall", "wall:wall:nanoseconds:wall:nanoseconds", &[("wall", "wall")]),
    ("inuse_objects", "memory:inuse_objects:count:space:bytes", &[("memory", "inuse_objects")]),
    (
        "alloc_objects",
        "memory:alloc_objects:count:space:bytes",
        &[("memory", "alloc_objects"), ("memory", "alloc_in_new_tlab_objects")],
    ),
    ("inuse_space", "memory:inuse_space:bytes:space:bytes", &[("memory", "inuse_space")]),
    (
        "alloc_space",
        "memory:alloc_space:bytes:space:bytes",
        &[("memory", "alloc_space"), ("memory", "alloc_in_new_tlab_bytes")],
    ),
    (
        "memory",
        "memory:inuse_space:bytes:space:bytes",
        &[("memory", "inuse_space"), ("memory", "alloc_space"), ("memory", "alloc_in_new_tlab_bytes")],
    ),
    (
        "goroutines",
        "goroutines:goroutine:count:goroutine:count",
        &[("goroutines", "goroutine"), ("goroutine", "goroutine"), ("goroutine", "goroutines")],
    ),
    ("mutex", "mutex:delay:nanoseconds:contentions:count", &[("mutex", "delay"), ("mutex", "contentions")]),
    ("block", "block:delay:nanoseconds:contentions:count", &[("block", "delay"), ("block", "contentions")]),
];

impl QueryText {
    /// Reads one selection.
    ///
    /// # Errors
    /// `Invalid`, with what cannot be read.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = bounded(text.trim())?;
        if text.is_empty() {
            return Err(Fault::invalid(
                "\"query\" is required, e.g. process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name=\"checkout\"}",
            ));
        }
        let Some(brace) = text.find('{') else { return Self::bare(text) };
        let (head, rest) = (text[..brace].trim(), &text[brace..]);
        if head.contains(':') {
            let profile_type = TypeWanted::Exact(ProfileType::parse(head)?);
            let (rest, offset_ms) = offset::taken_from(rest)?;
            return Ok(QueryText { profile_type, selector: Selector::parse(&rest)?, offset_ms });
        }
        let mut query = Self::inside(rest)?;
        if !head.is_empty() {
            // A short word before the braces: `cpu{service_name="x"}`.
            query.says(TypeWanted::Short(known_short(head)?))?;
        }
        Ok(query)
    }

    /// No braces: a full type id means all of that type, anything else is a service, and its CPU profile is meant.
    fn bare(text: &str) -> Result<Self, Fault> {
        if text.matches(':').count() >= 4 {
            let profile_type = TypeWanted::Exact(ProfileType::parse(text)?);
            return Ok(QueryText { profile_type, selector: Selector::default(), offset_ms: 0 });
        }
        let selector = Selector::default().and(Matcher::equal(names::SERVICE_NAME, text));
        Ok(QueryText { profile_type: TypeWanted::Unsaid, selector, offset_ms: 0 })
    }

    /// One or more selectors in braces; the type is one of their matchers.
    fn inside(text: &str) -> Result<Self, Fault> {
        let (text, offset_ms) = offset::taken_from(text)?;
        let mut query = QueryText { profile_type: TypeWanted::Unsaid, selector: Selector::default(), offset_ms };
        for part in split_braces(&text) {
            for m in Selector::parse(part)?.matchers {
                match (m.name.as_str(), m.op) {
                    (names::PROFILE_TYPE, MatchOp::Equal) => {
                        query.says(TypeWanted::Exact(ProfileType::parse(&m.value)?))?;
                    }
                    // As the name of a metric, `type{…}` in other words.
                    (names::PROFILE_NAME, MatchOp::Equal) if m.value.contains(':') => {
                        query.says(TypeWanted::Exact(ProfileType::parse(&m.value)?))?;
                    }
                    ("type", MatchOp::Equal) => query.says(TypeWanted::Short(known_short(&m.value)?))?,
                    ("service", _) => query.selector.matchers.push(Matcher::new(names::SERVICE_NAME, m.op, m.value)?),
                    _ => query.selector.matchers.push(m),
                }
            }
        }
        Ok(query)
    }

    fn says(&mut self, profile_type: TypeWanted) -> Result<(), Fault> {
        if self.profile_type != TypeWanted::Unsaid && self.profile_type != profile_type {
            return Err(Fault::invalid("the query names two profile types, and values of two types do not add up"));
        }
        self.profile_type = profile_type;
        Ok(())
    }
}

impl TypeWanted {
    /// The type meant, given the types that are stored for what is selected: the first spelling of the word among them.
    pub fn among(&self, stored: &[ProfileType]) -> Result<ProfileType, Fault> {
        let word = match self {
            TypeWanted::Exact(t) => return Ok(t.clone()),
            TypeWanted::Short(word) => word,
            TypeWanted::Unsaid => DEFAULT_TYPE,
        };
        let (_, default, spellings) = short(word)?;
        for (name, sample_type) in *spellings {
            if let Some(t) = stored.iter().find(|t| t.name == *name && t.sample_type == *sample_type) {
                return Ok(t.clone());
            }
        }
        ProfileType::parse(default)
    }
}

fn known_short(word: &str) -> Result<String, Fault> {
    short(word).map(|(w, ..)| (*w).to_owned())
}

fn short(word: &str) -> Result<&'static Short, Fault> {
    SHORT_TYPES.iter().find(|(w, ..)| *w == word).ok_or_else(|| {
        let words: Vec<_> = SHORT_TYPES.iter().map(|(w, ..)| *w).collect();
        Fault::invalid(format!(
            "query must contain a profile-type selection: {word:?} is neither a full type id nor one of {}",
            words.join(", ")
        ))
    })
}

/// `{a}{b}` as `{a}` and `{b}`.
fn split_braces(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (end, _) in outside_quotes(text).filter(|(_, c)| *c == '}') {
        parts.push(text[start..=end].trim());
        start = end + 1;
    }
    if !text[start..].trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (TypeWanted, String) {
        let q = QueryText::parse(text).unwrap();
        (q.profile_type, q.selector.to_string())
    }

    fn exact(id: &str) -> TypeWanted {
        TypeWanted::Exact(ProfileType::parse(id).unwrap())
    }

    #[test]
    fn every_written_form_is_understood() {
        let cpu = || TypeWanted::Short("cpu".into());
        let id = "memory:inuse_space:bytes:space:bytes";
        assert_eq!(read(&format!(r#"{id}{{service_name="a"}}"#)), (exact(id), r#"{service_name="a"}"#.into()));
        assert_eq!(read(&format!(r#"{{__profile_type__="{id}", pod="p"}}"#)), (exact(id), r#"{pod="p"}"#.into()));
        assert_eq!(read(&format!(r#"{{__name__="{id}", pod="p"}}"#)), (exact(id), r#"{pod="p"}"#.into()));
        assert_eq!(read(&format!(r#"{{"{id}", pod="p"}}"#)), (exact(id), r#"{pod="p"}"#.into()));
        let named = (TypeWanted::Unsaid, r#"{__name__="memory"}"#.into());
        assert_eq!(read(r#"{__name__="memory"}"#), named);
        let bare = (TypeWanted::Unsaid, r#"{service_name="nemotron-backend"}"#.into());
        assert_eq!(read("nemotron-backend"), bare);
        let unsaid = (TypeWanted::Unsaid, r#"{service_name="my-api", job!="x"}"#.into());
        assert_eq!(read(r#"{service="my-api", job!="x"}"#), unsaid);
        assert_eq!(
            read(r#"{service="my-api"}{type="inuse_space"}"#),
            (TypeWanted::Short("inuse_space".into()), r#"{service_name="my-api"}"#.into())
        );
        assert_eq!(read(r#"{a="}"}{type="cpu"}"#), (cpu(), r#"{a="}"}"#.into()));
        assert_eq!(read(r#"cpu{a="b"}"#), (cpu(), r#"{a="b"}"#.into()));
        assert_eq!(read(id), (exact(id), "{}".into()));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "  ",
            r#"{a="b"#,
            r#"a:b{c="d"}"#,
            r#"{type="nope"}"#,
            "{a}",
            r#"{type="cpu"}{type="wall"}"#,
            r#"wall{type="cpu"}"#,
        ] {
            assert!(QueryText::parse(text).is_err(), "{text}");
        }
        let long = "x".repeat(MAX_QUERY_TEXT_BYTES + 1);
        assert!(Question::parse(&long).unwrap_err().message.contains("131072"));
    }

    const WEEK_MS: i64 = 7 * 86_400_000;

    #[test]
    fn an_offset_without_quotes_moves_the_time_and_one_with_quotes_is_a_label() {
        for text in [
            r#"{service="a", offset=7d}"#,
            r#"{offset=1w,service="a"}"#,
            r#"{service="a"}{offset = 6d24h}"#,
            r#"{service="a" , offset=604800s, }"#,
        ] {
            let query = QueryText::parse(text).unwrap();
            assert_eq!(
                (query.offset_ms, query.selector.to_string()),
                (WEEK_MS, r#"{service_name="a"}"#.into()),
                "{text}"
            );
        }
        let exact = QueryText::parse(r#"a:b:c:d:e{service="x, offset=1d", offset=7d}"#).unwrap();
        assert_eq!((exact.offset_ms, exact.selector.to_string()), (WEEK_MS, r#"{service="x, offset=1d"}"#.into()));
        let label = QueryText::parse(r#"{offset="7d"}"#).unwrap();
        assert_eq!((label.offset_ms, label.selector.to_string()), (0, r#"{offset="7d"}"#.into()));
        for text in
            ["{offset=}", "{offset=7}", "{offset=d}", "{offset=-7d}", "{offset=7d, offset=1d}", "{offset=999999y}"]
        {
            assert!(QueryText::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_comparison_has_two_sides() {
        let versus = |text: &str| match Question::parse(text).unwrap() {
            Question::Versus(left, right) => (left, right),
            Question::One(one) => panic!("{text} is {one:?}"),
        };
        let (left, right) = versus(r#"{service="my-api"} vs {service="my-api", offset=7d}"#);
        assert_eq!((left.offset_ms, right.offset_ms), (0, WEEK_MS));
        assert_eq!(left.selector, right.selector);
        let (left, right) = versus(r#"{service="api-v1"}{type="wall"}vs{service="api-v2"}"#);
        assert_eq!(left.profile_type, right.profile_type);
        assert_eq!(right.selector.to_string(), r#"{service_name="api-v2"}"#);
        let (left, right) = versus("it's-v1 vs it's-v2");
        assert_eq!(left.selector.to_string(), r#"{service_name="it's-v1"}"#);
        assert_eq!(right.selector.to_string(), r#"{service_name="it's-v2"}"#);
        for one in ["vs", "elvs", "vs-code", r#"{a=" vs "}"#] {
            assert!(matches!(Question::parse(one), Ok(Question::One(_))), "{one}");
        }
        for bad in ["a vs", "vs a", "a vs b vs c", "a vs {", r#"{type="nope"} vs a"#] {
            assert!(Question::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_word_means_the_first_spelling_that_is_stored() {
        let stored: Vec<ProfileType> = ["process_cpu:samples:count::", "memory:alloc_space:bytes:space:bytes"]
            .map(|id| ProfileType::parse(id).unwrap())
            .into();
        let id = |wanted: &TypeWanted| wanted.among(&stored).unwrap().to_string();
        assert_eq!(id(&TypeWanted::Unsaid), "process_cpu:samples:count::");
        assert_eq!(id(&TypeWanted::Short("memory".into())), "memory:alloc_space:bytes:space:bytes");
        assert_eq!(id(&TypeWanted::Short("wall".into())), "wall:wall:nanoseconds:wall:nanoseconds");
    }
}
