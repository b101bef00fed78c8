//! The query texts of the render pages: `type{selector}`, `{selector}` with a type inside, and the short forms that
//! dashboards and scripts use: a bare service name, `{service="x"}`, and `{…}{type="cpu"}`.

use flamestore_model::labels::names;
use flamestore_model::{Fault, MatchOp, Matcher, ProfileType, Selector, SeriesInfo};

/// A query text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryText {
    pub profile_type: TypeWanted,
    pub selector: Selector,
}

/// Which profile type a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeWanted {
    Exact(ProfileType),
    /// A short word (`cpu`, `inuse_space`, …) that must be looked up among the types there are.
    Short(String),
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
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Fault::invalid(
                "\"query\" is required, e.g. process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name=\"checkout\"}",
            ));
        }
        let Some(brace) = text.find('{') else { return Self::bare(text) };
        let (head, rest) = (text[..brace].trim(), &text[brace..]);
        if head.contains(':') {
            return Ok(QueryText {
                profile_type: TypeWanted::Exact(ProfileType::parse(head)?),
                selector: Selector::parse(rest)?,
            });
        }
        if !head.is_empty() {
            // A short word before the braces: `cpu{service_name="x"}`.
            let mut query = Self::inside(rest)?;
            query.profile_type = TypeWanted::Short(known_short(head)?);
            return Ok(query);
        }
        Self::inside(rest)
    }

    /// No braces: a full type id means all of that type, anything else is a service, and its CPU profile is meant.
    fn bare(text: &str) -> Result<Self, Fault> {
        if text.matches(':').count() >= 4 {
            return Ok(QueryText {
                profile_type: TypeWanted::Exact(ProfileType::parse(text)?),
                selector: Selector::default(),
            });
        }
        Ok(QueryText {
            profile_type: TypeWanted::Short(DEFAULT_TYPE.into()),
            selector: Selector::default().and(Matcher::equal(names::SERVICE_NAME, text)),
        })
    }

    /// One or more selectors in braces; the type is one of their matchers, or the CPU profile is meant.
    fn inside(text: &str) -> Result<Self, Fault> {
        let mut all = Vec::new();
        for part in split_braces(text) {
            all.extend(Selector::parse(part)?.matchers);
        }
        let mut profile_type = None;
        let mut selector = Selector::default();
        for m in all {
            match (m.name.as_str(), m.op) {
                (names::PROFILE_TYPE, MatchOp::Equal) if profile_type.is_none() => {
                    profile_type = Some(TypeWanted::Exact(ProfileType::parse(&m.value)?));
                }
                ("type", MatchOp::Equal) if profile_type.is_none() => {
                    profile_type = Some(TypeWanted::Short(known_short(&m.value)?));
                }
                ("service", _) => selector.matchers.push(Matcher::new(names::SERVICE_NAME, m.op, m.value)?),
                _ => selector.matchers.push(m),
            }
        }
        let profile_type = profile_type.unwrap_or_else(|| TypeWanted::Short(DEFAULT_TYPE.into()));
        Ok(QueryText { profile_type, selector })
    }
}

impl TypeWanted {
    /// The type meant, given the series that the selector matches: the first spelling of the word that is stored.
    pub fn among(&self, series: &[SeriesInfo]) -> Result<ProfileType, Fault> {
        let word = match self {
            TypeWanted::Exact(t) => return Ok(t.clone()),
            TypeWanted::Short(word) => word,
        };
        let (_, default, spellings) = short(word)?;
        let stored = crate::metadata::profile_types(series);
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

/// `{a}{b}` as `{a}` and `{b}`; braces inside quotes do not count.
fn split_braces(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    for (i, c) in text.char_indices() {
        match quote {
            Some(q) => {
                if c == q && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped && q != '`';
            }
            None if matches!(c, '"' | '\'' | '`') => (quote, escaped) = (Some(c), false),
            None if c == '}' => {
                parts.push(text[start..=i].trim());
                start = i + 1;
            }
            None => {}
        }
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
        assert_eq!(read("nemotron-backend"), (cpu(), r#"{service_name="nemotron-backend"}"#.into()));
        assert_eq!(read(r#"{service="my-api", job!="x"}"#), (cpu(), r#"{service_name="my-api", job!="x"}"#.into()));
        assert_eq!(
            read(r#"{service="my-api"}{type="inuse_space"}"#),
            (TypeWanted::Short("inuse_space".into()), r#"{service_name="my-api"}"#.into())
        );
        assert_eq!(read(r#"{a="}"}{type="cpu"}"#), (cpu(), r#"{a="}"}"#.into()));
        assert_eq!(read(id), (exact(id), "{}".into()));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["", "  ", r#"{a="b"#, r#"a:b{c="d"}"#, r#"{type="nope"}"#, "{a}"] {
            assert!(QueryText::parse(text).is_err(), "{text}");
        }
    }
}
