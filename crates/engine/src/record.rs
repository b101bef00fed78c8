//! What one accepted profile looks like in the log.
//!
//! | field | bytes | |
//! |---|---|---|
//! | version | 1 | 1, or 2 where there are annotations |
//! | epoch | 8 | |
//! | profile_id | 16 | |
//! | time_nanos | 8 | |
//! | max_depth, max_symbol_bytes, max_inflated_bytes | 3 × 4 | how it is normalised |
//! | go | 1 | 0 or 1 |
//! | spy | 1 | `pprof::Spy` |
//! | tenant | text | |
//! | annotations | varint n, n × (text, text) | key and value; only in version 2 |
//! | strings | varint n, n × text | each name and value of a label once |
//! | series | varint n, n × series | |
//! | raw | the rest | the pprof as it came |
//!
//! A series is: varint group, varint column, varint number of labels, and for each label two varints, indexes of the
//! strings that are its name and value. A text is a varint length and UTF-8. Fixed numbers are little-endian; varints are
//! LEB128 as in Protocol Buffers.
//!
//! Versions: 1, the first; 2 has annotations. A record without any is written in version 1.

use bytes::Bytes;
use flamestore_api::PushedProfile;
use flamestore_model::annotation::MAX_ANNOTATIONS;
use flamestore_model::{Annotation, Fault, Labels, ProfileId, StoredSeries, TenantId};
use flamestore_pprof::{NormalizeOptions, Spy};
use std::collections::HashMap;
use std::sync::Arc;

const VERSION: u8 = 1;
const ANNOTATED: u8 = 2;

/// Encodes a profile as the two parts of a log record: everything but the pprof, and the pprof itself, not copied.
pub(crate) fn encode(epoch: u64, tenant: &TenantId, profile: &PushedProfile) -> Vec<Bytes> {
    let mut out = Vec::with_capacity(512);
    out.push(if profile.annotations.is_empty() { VERSION } else { ANNOTATED });
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&profile.profile_id.0);
    out.extend_from_slice(&profile.time_nanos.to_le_bytes());
    let NormalizeOptions { max_depth, max_symbol_bytes, max_inflated_bytes, go, spy } = profile.options;
    for number in [max_depth, max_symbol_bytes, max_inflated_bytes] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&[u8::from(go), spy as u8]);
    put_text(&mut out, tenant.as_str());
    if !profile.annotations.is_empty() {
        put_varint(&mut out, profile.annotations.len() as u64);
        for annotation in &profile.annotations {
            put_text(&mut out, &annotation.key);
            put_text(&mut out, &annotation.value);
        }
    }

    // The series of one pprof share nearly all their labels, mostly also the memory of them: the last series knows those.
    let mut ids: HashMap<&str, u64> = HashMap::new();
    let mut strings: Vec<&str> = Vec::new();
    let mut series = Vec::with_capacity(256);
    let mut last: Vec<(&Arc<str>, u64)> = Vec::new();
    for s in &profile.series {
        put_varint(&mut series, s.group.into());
        put_varint(&mut series, s.column.into());
        put_varint(&mut series, s.labels.len() as u64);
        last.truncate(2 * s.labels.len());
        for (at, text) in s.labels.iter().flat_map(|l| [&l.name, &l.value]).enumerate() {
            let id = match last.get(at) {
                Some((same, id)) if Arc::ptr_eq(same, text) => *id,
                _ => *ids.entry(text).or_insert_with(|| {
                    strings.push(text);
                    strings.len() as u64 - 1
                }),
            };
            match last.get_mut(at) {
                Some(here) => *here = (text, id),
                None => last.push((text, id)),
            }
            put_varint(&mut series, id);
        }
    }
    put_varint(&mut out, strings.len() as u64);
    for text in strings {
        put_text(&mut out, text);
    }
    put_varint(&mut out, profile.series.len() as u64);
    out.extend_from_slice(&series);
    vec![out.into(), profile.raw.clone()]
}

fn put_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// A record read back. The labels are made only by [`Logged::into_profile`], after it is known that they are needed.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) epoch: u64,
    pub(crate) tenant: TenantId,
    profile_id: ProfileId,
    time_nanos: i64,
    options: NormalizeOptions,
    annotations: Vec<Annotation>,
    rest: Bytes,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A later program wrote it.
    Version(u8),
    /// The bytes are not those of a record.
    Malformed,
}

impl From<Unreadable> for Fault {
    fn from(why: Unreadable) -> Fault {
        match why {
            Unreadable::Version(v) => Fault::corrupt(format!(
                "the log has records of version {v}, this program reads up to {ANNOTATED}: start the program that wrote \
                 them, or a later one"
            )),
            Unreadable::Malformed => Fault::corrupt("a record of the log passes its checksum but cannot be read"),
        }
    }
}

impl Logged {
    pub(crate) fn decode(payload: Bytes) -> Result<Self, Unreadable> {
        let mut from = Reader { bytes: &payload };
        let malformed = Unreadable::Malformed;
        let annotated = match from.take::<1>().ok_or(malformed)?[0] {
            VERSION => false,
            ANNOTATED => true,
            other => return Err(Unreadable::Version(other)),
        };
        let read = |from: &mut Reader<'_>| {
            let epoch = u64::from_le_bytes(from.take()?);
            let profile_id = ProfileId(from.take()?);
            let time_nanos = i64::from_le_bytes(from.take()?);
            let mut number = || from.take().map(u32::from_le_bytes);
            let (max_depth, max_symbol_bytes, max_inflated_bytes) = (number()?, number()?, number()?);
            let [go, spy] = from.take()?;
            let spy = spy_of(spy)?;
            let options = NormalizeOptions { max_depth, max_symbol_bytes, max_inflated_bytes, go: go != 0, spy };
            let tenant = TenantId::parse(from.text()?).ok()?;
            let annotations = if annotated { read_annotations(from)? } else { Vec::new() };
            Some((epoch, profile_id, time_nanos, options, tenant, annotations))
        };
        let (epoch, profile_id, time_nanos, options, tenant, annotations) = read(&mut from).ok_or(malformed)?;
        let rest = payload.slice_ref(from.bytes);
        Ok(Logged { epoch, tenant, profile_id, time_nanos, options, annotations, rest })
    }

    /// The profile as it was pushed.
    pub(crate) fn into_profile(self) -> Result<PushedProfile, Unreadable> {
        let Logged { profile_id, time_nanos, options, annotations, rest, .. } = self;
        let mut from = Reader { bytes: &rest };
        let series = read_series(&mut from).ok_or(Unreadable::Malformed)?;
        let raw = rest.slice_ref(from.bytes);
        Ok(PushedProfile { profile_id, time_nanos, raw, options, series, annotations, decoded: None })
    }
}

fn read_annotations(from: &mut Reader<'_>) -> Option<Vec<Annotation>> {
    let annotations = from.many(|from| Some(Annotation::new(from.text()?, from.text()?)))?;
    (annotations.len() <= MAX_ANNOTATIONS).then_some(annotations)
}

fn read_series(from: &mut Reader<'_>) -> Option<Vec<StoredSeries>> {
    let strings = from.many(|from| from.text())?;
    from.many(|from| {
        let group = u32::try_from(from.varint()?).ok()?;
        let column = u32::try_from(from.varint()?).ok()?;
        let text = |from: &mut Reader<'_>| strings.get(usize::try_from(from.varint()?).ok()?).copied();
        let labels = from.many(|from| Some((text(from)?, text(from)?)))?;
        Some(StoredSeries { labels: Labels::from_pairs(labels), group, column })
    })
}

fn spy_of(byte: u8) -> Option<Spy> {
    [Spy::Other, Spy::Pyspy, Spy::Rbspy, Spy::Scripting, Spy::Dotnet].into_iter().find(|spy| *spy as u8 == byte)
}

/// Takes bytes from the front; `None` when there are too few.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*front)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (front, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        std::str::from_utf8(front).ok()
    }

    /// A count and that many things of at least one byte each, so that a lying count cannot reserve memory.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let n = usize::try_from(self.varint()?).ok().filter(|n| *n <= self.bytes.len())?;
        let mut out = Vec::with_capacity(n.min(1024));
        for _ in 0..n {
            out.push(one(self)?);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(series: Vec<StoredSeries>, raw: &[u8]) -> PushedProfile {
        PushedProfile {
            profile_id: ProfileId([7; 16]),
            time_nanos: -5,
            raw: Bytes::copy_from_slice(raw),
            options: NormalizeOptions {
                max_depth: 1,
                max_symbol_bytes: 2,
                max_inflated_bytes: 3,
                go: true,
                spy: Spy::Rbspy,
            },
            series,
            annotations: Vec::new(),
            decoded: None,
        }
    }

    fn payload(parts: Vec<Bytes>) -> Vec<u8> {
        parts.concat()
    }

    fn example() -> Vec<u8> {
        let labels = |unit| Labels::from_pairs([("service_name", "a"), ("__unit__", unit)]);
        let series = vec![
            StoredSeries { labels: labels("bytes"), group: 0, column: 1 },
            StoredSeries { labels: labels("count"), group: 300, column: 0 },
        ];
        let annotations = vec![Annotation::new("kind", "{\"body\":{}}")];
        payload(encode(9, &TenantId::anonymous(), &PushedProfile { annotations, ..profile(series, b"raw") }))
    }

    #[test]
    fn the_pprof_is_not_copied() {
        let p = profile(vec![], b"raw");
        let parts = encode(1, &TenantId::anonymous(), &p);
        assert_eq!(parts[1].as_ptr(), p.raw.as_ptr());
    }

    #[test]
    fn a_later_version_is_told_from_a_malformed_record() {
        let mut bytes = example();
        bytes[0] = 3;
        assert_eq!(Logged::decode(bytes.into()).unwrap_err(), Unreadable::Version(3));
        assert_eq!(Logged::decode(Bytes::new()).unwrap_err(), Unreadable::Malformed);
    }

    #[test]
    fn a_record_cut_anywhere_never_panics() {
        let bytes = Bytes::from(example());
        for cut in 0..bytes.len() {
            if let Ok(logged) = Logged::decode(bytes.slice(..cut)) {
                // Only the pprof, of unknown length, can be cut unnoticed: the log's checksum guards it.
                assert_eq!(logged.into_profile().is_ok(), cut >= bytes.len() - 3);
            }
        }
    }

    #[test]
    fn a_record_without_annotations_is_one_of_version_1_as_before_there_were_any() {
        let p = profile(vec![], b"raw");
        let tenant = TenantId::anonymous();
        let before = payload(encode(1, &tenant, &p));
        assert_eq!(before[0], 1);
        let logged = Logged::decode(before.into()).unwrap().into_profile().unwrap();
        assert_eq!((logged.annotations, &logged.raw[..]), (vec![], &b"raw"[..]));
        let one = || Annotation::new("k", "v");
        let with = |annotations| payload(encode(1, &tenant, &PushedProfile { annotations, ..profile(vec![], b"raw") }));
        assert_eq!(with(vec![one()])[0], 2);
        let too_many = with(vec![one(); MAX_ANNOTATIONS + 1]);
        assert_eq!(Logged::decode(too_many.into()).unwrap_err(), Unreadable::Malformed);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            series in prop::collection::vec((any::<u32>(), any::<u32>(),
                prop::collection::vec(("[a-z_]{1,8}", "\\PC{0,12}"), 0..6)), 0..6),
            raw in prop::collection::vec(any::<u8>(), 0..100),
            annotations in prop::collection::vec(("[a-z.]{0,8}", "\\PC{0,20}"), 0..=MAX_ANNOTATIONS),
            epoch in any::<u64>(),
        ) {
            let series: Vec<_> = series
                .into_iter()
                .map(|(group, column, labels)| StoredSeries { labels: Labels::from_pairs(labels), group, column })
                .collect();
            let annotations = annotations.into_iter().map(|(key, value)| Annotation::new(key, value)).collect();
            let p = PushedProfile { annotations, ..profile(series, &raw) };
            let tenant = TenantId::parse("team-a").unwrap();
            let logged = Logged::decode(payload(encode(epoch, &tenant, &p)).into()).unwrap();
            prop_assert_eq!((logged.epoch, &logged.tenant), (epoch, &tenant));
            let back = logged.into_profile().unwrap();
            prop_assert_eq!((back.profile_id, back.time_nanos, back.options), (p.profile_id, p.time_nanos, p.options));
            prop_assert_eq!((&back.raw, &back.annotations), (&p.raw, &p.annotations));
            let flat = |p: &PushedProfile| {
                p.series.iter().map(|s| (s.group, s.column, s.labels.clone())).collect::<Vec<_>>()
            };
            prop_assert_eq!(flat(&back), flat(&p));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..80, to in any::<u8>()) {
            if let Ok(logged) = Logged::decode(bytes.clone().into()) {
                let _ = logged.into_profile();
            }
            bytes = example();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(logged) = Logged::decode(bytes.into()) {
                let _ = logged.into_profile();
            }
        }
    }
}
