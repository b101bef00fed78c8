//! The labels that the client's threads had on: what context ids in a recording mean.
//!
//! | message | fields |
//! |---|---|
//! | LabelsSnapshot | contexts 1: map of int64 to Context; strings 2: map of int64 to text |
//! | Context | labels 1: map of int64 to int64, indexes of strings |

use hashbrown::HashMap;

use crate::protobuf::{Broken, Fields, Value};

/// Labels of one context beyond these are not read. No limit allows a sample as many, so that these are refused for it.
const MAX_LABELS: usize = 256;

type Map<T> = HashMap<u64, T, foldhash::fast::RandomState>;

/// Texts by index, and labels by context.
#[derive(Debug, Default)]
pub(super) struct LabelsSnapshot {
    contexts: Map<Vec<(u64, u64)>>,
    strings: Map<String>,
}

impl LabelsSnapshot {
    pub(super) fn read(message: &[u8]) -> Result<Self, Broken> {
        let mut snapshot = LabelsSnapshot::default();
        for field in Fields::of(message) {
            let (number, Value::Bytes(entry)) = field? else { continue };
            let (key, value) = entry_of(entry)?;
            match (number, value) {
                (1, Value::Bytes(context)) => {
                    let mut labels = Vec::new();
                    for field in Fields::of(context) {
                        let (1, Value::Bytes(entry)) = field? else { continue };
                        let (key, value) = entry_of(entry)?;
                        if labels.len() < MAX_LABELS {
                            labels.push((key, value.number()));
                        }
                    }
                    snapshot.contexts.insert(key, labels);
                }
                (2, Value::Bytes(text)) => {
                    snapshot.strings.insert(key, String::from_utf8_lossy(text).into_owned());
                }
                _ => {}
            }
        }
        Ok(snapshot)
    }

    /// A text, unless there is none of that index or it is empty.
    pub(super) fn text(&self, index: i64) -> Option<&str> {
        self.strings.get(&(index as u64)).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The labels of a context, in the order of the snapshot.
    pub(super) fn labels(&self, context: i64) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.contexts.get(&(context as u64)).map_or(&[][..], Vec::as_slice);
        pairs.iter().filter_map(|(key, value)| Some((self.text(*key as i64)?, self.text(*value as i64)?)))
    }
}

/// Key and value of an entry of a map.
fn entry_of(message: &[u8]) -> Result<(u64, Value<'_>), Broken> {
    let (mut key, mut value) = (0, Value::Bytes(&[]));
    for field in Fields::of(message) {
        match field? {
            (1, k) => key = k.number(),
            (2, v) => value = v,
            _ => {}
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::write::{bytes, number};

    #[test]
    fn a_context_is_a_set_of_labels() {
        let entry = |key: u64, value: Vec<u8>| [number(1, key), value].concat();
        let context = bytes(1, entry(1, number(2, 2)));
        let message = [
            bytes(1, entry(7, bytes(2, context))),
            bytes(2, entry(1, bytes(2, "thread"))),
            bytes(2, entry(2, bytes(2, "main"))),
        ]
        .concat();
        let snapshot = LabelsSnapshot::read(&message).unwrap();
        assert_eq!(snapshot.labels(7).collect::<Vec<_>>(), [("thread", "main")]);
        assert_eq!(snapshot.labels(8).count(), 0);
        assert_eq!(snapshot.text(2), Some("main"));
        assert!(LabelsSnapshot::read(b"\x0a\x05").is_err());
    }
}
