//! Which revision of opentelemetry-proto a request is written in, from its fields alone.
//!
//! Nothing in a request names its revision, and the package never changed its name. What changed, as far as it is read
//! here (1.4 has what 1.5 has, 1.8 what 1.9 has, 1.11 what 1.10 has):
//!
//! | | 1.5 | 1.6 | 1.7 | 1.9 | 1.10 |
//! |---|---|---|---|---|---|
//! | tables stand in | each profile | the request | its field 2 | its field 2 | its field 2 |
//! | attribute keys are | text | text | text | indexes | indexes |
//! | Profile, location indices | 5 | 3 | 3 | – | – |
//! | … time, duration, period type, period | 11 12 13 14 | 4 5 6 7 | 4 5 6 7 | 3 4 5 6 | 3 4 5 6 |
//! | Sample, stack | start 1, length 2 | start 1, length 2 | start 1, length 2 | index 1 | index 1 |
//! | … values, attributes, link, times | 3 4 5 6 | 3 4 5 6 | 3 4 5 6 | 2 3 4 5 | 4 2 3 5 |

use crate::protobuf::{Broken, Fields, Value, messages};

/// See the table above. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Revision {
    V1_5,
    V1_6,
    V1_7,
    V1_9,
    V1_10,
}

/// A request has one dictionary; protobuf allows it to come in pieces.
const MAX_DICTIONARIES: usize = 1 << 10;

/// What stands at the top of a request.
pub(super) struct Request<'a> {
    /// All of it, in which the resources are field 1.
    pub(super) body: &'a [u8],
    /// The messages that hold tables: one, or the request itself in 1.6.
    pub(super) dictionaries: Vec<&'a [u8]>,
    pub(super) has_own_tables: bool,
}

impl<'a> Request<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Broken> {
        let mut request = Request { body, dictionaries: Vec::new(), has_own_tables: false };
        for field in Fields::of(body) {
            match field? {
                (2, Value::Bytes(_)) if request.dictionaries.len() == MAX_DICTIONARIES => return Err(Broken),
                (2, Value::Bytes(message)) => request.dictionaries.push(message),
                (3..=8, Value::Bytes(_)) => request.has_own_tables = true,
                _ => {}
            }
        }
        if request.has_own_tables {
            request.dictionaries = vec![body];
        }
        Ok(request)
    }
}

impl Revision {
    /// Of a request. `None`: it has no tables at all, so that nothing in it has a meaning.
    pub(super) fn of(request: &Request<'_>) -> Result<Option<Revision>, Broken> {
        if request.has_own_tables {
            return Ok(Some(Revision::V1_6));
        }
        let mut evidence = Evidence::default();
        for message in messages(request.body, 1) {
            evidence.look_at_resource(message)?;
            if evidence.decided() {
                break;
            }
        }
        if request.dictionaries.is_empty() {
            return Ok(evidence.has_tables_in_profile.then_some(Revision::V1_5));
        }
        let is_old = match evidence.is_old {
            Some(is_old) => is_old,
            None => has_text_keys(&request.dictionaries)?,
        };
        Ok(Some(match (is_old, evidence.values_in_field_4) {
            (true, _) => Revision::V1_7,
            (false, Some(false)) => Revision::V1_9,
            (false, _) => Revision::V1_10,
        }))
    }

    pub(super) fn has_stack_table(self) -> bool {
        self >= Revision::V1_9
    }
}

#[derive(Default)]
struct Evidence {
    has_tables_in_profile: bool,
    /// Up to 1.7 or from 1.8.
    is_old: Option<bool>,
    /// Of what is from 1.8: is it from 1.10.
    values_in_field_4: Option<bool>,
}

impl Evidence {
    fn decided(&self) -> bool {
        self.has_tables_in_profile || self.is_old == Some(true) || self.values_in_field_4.is_some()
    }

    fn look_at_resource(&mut self, message: &[u8]) -> Result<(), Broken> {
        for field in Fields::of(message) {
            let (2, Value::Bytes(scope)) = field? else { continue };
            for field in Fields::of(scope) {
                let (2, Value::Bytes(profile)) = field? else { continue };
                self.look_at_profile(profile)?;
                if self.decided() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn look_at_profile(&mut self, message: &[u8]) -> Result<(), Broken> {
        for field in Fields::of(message) {
            match field? {
                (4, Value::Bytes(_)) => self.has_tables_in_profile = true,
                (3, Value::Fixed64(_)) | (5, Value::Bytes(_)) | (6, Value::Varint(_)) => self.is_old = Some(false),
                (3, _) | (5, Value::Varint(_)) | (6, Value::Bytes(_)) => self.is_old = self.is_old.or(Some(true)),
                _ => {}
            }
        }
        if self.has_tables_in_profile || self.is_old == Some(true) {
            return Ok(());
        }
        for field in Fields::of(message) {
            let (2, Value::Bytes(sample)) = field? else { continue };
            self.values_in_field_4 = values_in_field_4(sample)?;
            if self.values_in_field_4.is_some() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a sample from 1.8 on has its values where 1.10 has them, if it shows.
fn values_in_field_4(sample: &[u8]) -> Result<Option<bool>, Broken> {
    let (mut in_field_2, mut times) = (0, 0);
    for field in Fields::of(sample) {
        match field? {
            (4, Value::Bytes(_)) | (3, Value::Varint(_)) => return Ok(Some(true)),
            (4, Value::Varint(_)) | (3, Value::Bytes(_)) => return Ok(Some(false)),
            (2, value) => {
                let mut numbers = Vec::new();
                value.numbers(&mut numbers)?;
                in_field_2 += numbers.len();
            }
            (5, Value::Bytes(packed)) => times += packed.len() / 8,
            (5, _) => times += 1,
            _ => {}
        }
    }
    // Field 2 holds values then or attributes now. A sample has values or times, and as many of both if it has both.
    Ok(match (in_field_2, times) {
        (0, _) => None,
        (_, 0) => Some(false),
        (values, times) if values != times => Some(true),
        _ => None,
    })
}

/// Whether the attribute table has text for keys.
fn has_text_keys(dictionaries: &[&[u8]]) -> Result<bool, Broken> {
    for dictionary in dictionaries {
        for field in Fields::of(dictionary) {
            let (6, Value::Bytes(attribute)) = field? else { continue };
            for field in Fields::of(attribute) {
                if let (1, key) = field? {
                    return Ok(matches!(key, Value::Bytes(_)));
                }
            }
        }
    }
    Ok(false)
}
