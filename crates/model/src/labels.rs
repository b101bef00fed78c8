//! Label sets of series: sorted, unique names, cheap to clone, hashed by a fixed function.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh64::{Xxh64, xxh64};

/// Label sets up to this many bytes are hashed in one go.
const MAX_HASHED_AT_ONCE: usize = 1 << 10;

/// Names with a meaning on the wire.
pub mod names {
    pub const PROFILE_NAME: &str = "__name__";
    pub const PROFILE_TYPE: &str = "__profile_type__";
    pub const TYPE: &str = "__type__";
    pub const UNIT: &str = "__unit__";
    pub const PERIOD_TYPE: &str = "__period_type__";
    pub const PERIOD_UNIT: &str = "__period_unit__";
    pub const SERVICE_NAME: &str = "service_name";
    pub const SERVICE_NAME_PRIVATE: &str = "__service_name__";
    pub const SESSION_ID: &str = "__session_id__";
    pub const DELTA: &str = "__delta__";
    pub const ORDER: &str = "__order__";
    pub const OTEL: &str = "__otel__";
    /// `"true"` on what sampling dropped and was kept without its stacks.
    pub const SAMPLED: &str = "__sampled__";
    pub const NAME_REPLACED: &str = "__name_replaced__";
    pub const SPY: &str = "pyroscope_spy";
    pub const APP_NAME: &str = "app_name";
    pub const SPAN_ID: &str = "span_id";
    pub const TRACE_ID: &str = "trace_id";
    /// The old name of `span_id` on samples.
    pub const PROFILE_ID: &str = "profile_id";
}

/// One label. Names and values are any UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    pub name: Arc<str>,
    pub value: Arc<str>,
}

/// 64 bits that stand for a label set: XXH64, seed 0, over `name 0xFF value 0xFF` in name order.
///
/// Written to blocks and used for placement, so the function never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

/// The labels of a series: sorted by name, no name twice, no empty value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[Label]>);

impl Default for Labels {
    fn default() -> Self {
        Labels(Arc::from(Vec::new()))
    }
}

impl Labels {
    pub fn builder() -> LabelsBuilder {
        LabelsBuilder::default()
    }

    /// From pairs in any order; a name that comes twice keeps its last value, empty values are left out.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut b = LabelsBuilder::default();
        for (n, v) in pairs {
            b.set(n.as_ref(), v.as_ref());
        }
        b.build()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let i = self.0.binary_search_by(|l| (*l.name).cmp(name)).ok()?;
        Some(&self.0[i].value)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn fingerprint(&self) -> Fingerprint {
        // Feeding the hash piece by piece costs several times what hashing does.
        let mut all = [0; MAX_HASHED_AT_ONCE];
        if let Some(length) = self.write(&mut all) {
            return Fingerprint(xxh64(&all[..length], 0));
        }
        let mut h = Xxh64::new(0);
        for l in self.0.iter() {
            h.update(l.name.as_bytes());
            h.update(&[0xff]);
            h.update(l.value.as_bytes());
            h.update(&[0xff]);
        }
        Fingerprint(h.digest())
    }

    /// Writes what the fingerprint is taken of; how long it is, or `None` when it does not fit.
    fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        for text in self.0.iter().flat_map(|l| [&l.name, &l.value]) {
            let (into, end) = out.get_mut(at..)?.split_at_mut_checked(text.len())?;
            into.copy_from_slice(text.as_bytes());
            *end.first_mut()? = 0xff;
            at += text.len() + 1;
        }
        Some(at)
    }

    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { labels: self.0.to_vec() }
    }

    /// Bytes of text held, for size accounting.
    pub fn text_bytes(&self) -> usize {
        self.0.iter().map(|l| l.name.len() + l.value.len()).sum()
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = &'a Label;
    type IntoIter = std::slice::Iter<'a, Label>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, l) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}={:?}", l.name, l.value)?;
        }
        f.write_str("}")
    }
}

/// Collects labels; kept sorted, so that building is free of surprises.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    labels: Vec<Label>,
}

impl LabelsBuilder {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(name).map(|value| &**value)
    }

    /// As [`LabelsBuilder::get`], to be shared.
    pub fn value(&self, name: &str) -> Option<&Arc<str>> {
        let i = self.labels.binary_search_by(|l| (*l.name).cmp(name)).ok()?;
        Some(&self.labels[i].value)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.labels.binary_search_by(|l| (*l.name).cmp(name)) {
            Ok(i) if value.is_empty() => {
                self.labels.remove(i);
            }
            Ok(i) => self.labels[i].value = value.into(),
            Err(_) if value.is_empty() => {}
            Err(i) => self.labels.insert(i, Label { name: name.into(), value: value.into() }),
        }
        self
    }

    /// As [`LabelsBuilder::set`], without copying the text.
    pub fn put(&mut self, label: Label) -> &mut Self {
        match self.labels.binary_search_by(|l| l.name.cmp(&label.name)) {
            Ok(i) if label.value.is_empty() => {
                self.labels.remove(i);
            }
            Ok(i) => self.labels[i].value = label.value,
            Err(_) if label.value.is_empty() => {}
            Err(i) => self.labels.insert(i, label),
        }
        self
    }

    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// Sets a label only where there is none of that name.
    pub fn set_default(&mut self, name: &str, value: &str) -> &mut Self {
        if self.get(name).is_none() {
            self.set(name, value);
        }
        self
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.labels.iter()
    }

    pub fn retain(&mut self, keep: impl FnMut(&Label) -> bool) -> &mut Self {
        self.labels.retain(keep);
        self
    }

    pub fn build(self) -> Labels {
        Labels(self.labels.into())
    }

    /// The labels with those of `over` set, which are sorted by name, no name twice. Texts are shared.
    pub fn build_with(&self, over: &[Label]) -> Labels {
        let mut all = Vec::with_capacity(self.labels.len() + over.len());
        let mut rest = self.labels.as_slice();
        for label in over {
            while let Some((first, others)) = rest.split_first() {
                match first.name.cmp(&label.name) {
                    Ordering::Less => all.push(first.clone()),
                    Ordering::Equal => {}
                    Ordering::Greater => break,
                }
                rest = others;
            }
            if !label.value.is_empty() {
                all.push(label.clone());
            }
        }
        all.extend_from_slice(rest);
        Labels(all.into())
    }
}

/// Whether a name is legal in the classic Prometheus alphabet, `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && bytes.all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_setting_does_not_matter() {
        let a = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]);
        let b = Labels::from_pairs([("a", "1"), ("b", "2")]);
        assert_eq!(a, b);
        assert_eq!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.get("b"), Some("2"));
        assert_eq!(a.get("c"), None);
    }

    #[test]
    fn labels_built_over_others_are_those_that_setting_one_by_one_gives() {
        let base = Labels::from_pairs([("a", "1"), ("c", "3"), ("e", "5"), ("g", "7")]).to_builder();
        let pairs =
            [[("b", "2"), ("c", "x")], [("a", ""), ("h", "8")], [("e", ""), ("f", "")], [("g", "y"), ("h", "")]];
        for pairs in pairs {
            let over = pairs.map(|(name, value)| Label { name: name.into(), value: value.into() });
            let (mut set, mut put) = (base.clone(), base.clone());
            for label in &over {
                set.set(&label.name, &label.value);
                put.put(label.clone());
            }
            assert_eq!(base.build_with(&over), set.clone().build(), "{over:?}");
            assert_eq!(put.build(), set.build(), "{over:?}");
        }
    }

    #[test]
    fn fingerprints_of_long_label_sets_are_taken_of_the_same_bytes() {
        for length in [MAX_HASHED_AT_ONCE - 4, MAX_HASHED_AT_ONCE - 3, MAX_HASHED_AT_ONCE - 2, 5000] {
            let value = "x".repeat(length);
            let l = Labels::from_pairs([("n", &value)]);
            let plain = format!("n {value} ").into_bytes();
            let bytes: Vec<u8> = plain.iter().map(|b| if *b == b' ' { 0xff } else { *b }).collect();
            assert_eq!(l.fingerprint(), Fingerprint(xxh64(&bytes, 0)), "{length}");
        }
    }

    #[test]
    fn fingerprint_is_fixed_for_ever() {
        let l = Labels::from_pairs([("service_name", "checkout"), ("pod", "p-0")]);
        assert_eq!(
            l.fingerprint(),
            Fingerprint(xxhash_rust::xxh64::xxh64(b"pod\xffp-0\xffservice_name\xffcheckout\xff", 0))
        );
    }
}
