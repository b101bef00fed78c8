//! YAML as a tree that remembers where each value stands, so that errors can say it.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// Largest file that is read, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;

/// A value with the line its key stands on (from 1; 0 where it is not known).
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub line: u64,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Map(Vec<(String, Node)>),
    List(Vec<Content>),
    Scalar(Value),
}

impl Content {
    /// The same without places.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|(k, n)| (k.clone(), n.content.to_value())).collect::<Map<_, _>>())
            }
            Content::List(items) => Value::Array(items.iter().map(Content::to_value).collect()),
            Content::Scalar(value) => value.clone(),
        }
    }
}

/// Reads one document; an empty one is a null.
pub(crate) fn parse(text: &str) -> Result<Content, String> {
    if text.len() > MAX_FILE_BYTES {
        return Err(format!("the file has more than {MAX_FILE_BYTES} bytes"));
    }
    let blank = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    if text.lines().all(blank) {
        return Ok(Content::Scalar(Value::Null));
    }
    serde_saphyr::from_str(text).map_err(|e| e.to_string())
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a scalar")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let content = map.next_value::<Content>()?;
            entries.push((key.value, Node { line: key.referenced.line(), content }));
        }
        Ok(Content::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(v)))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(v)))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(v)))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Content, E> {
        Number::from_f64(v).map(|n| Content::Scalar(Value::Number(n))).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(v)))
    }

    fn visit_string<E: Error>(self, v: String) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(v)))
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Content, D::Error> {
        d.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_keep_their_kind_and_keys_their_line() {
        let Content::Map(entries) =
            parse("a: 5m\nb:\n  c: 0.05\n  d: [1, x]\ne: \"7\"\nf: true\ng:\nh: -3\ni: 720h").unwrap()
        else {
            panic!()
        };
        let lines: Vec<_> = entries.iter().map(|(k, n)| (k.as_str(), n.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 2), ("e", 5), ("f", 6), ("g", 7), ("h", 8), ("i", 9)]);
        assert_eq!(
            Content::Map(entries).to_value(),
            json!({"a": "5m", "b": {"c": 0.05, "d": [1, "x"]}, "e": "7", "f": true, "g": null, "h": -3, "i": "720h"})
        );
    }

    #[test]
    fn empty_files_are_null_and_broken_ones_are_errors() {
        for empty in ["", "\n", "# nothing\n---\n"] {
            assert!(matches!(parse(empty), Ok(Content::Scalar(Value::Null))), "{empty:?}");
        }
        for broken in ["a: [", "a: 1\na: 2\n", "a: b: c"] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }
}
