//! One profile and its samples, as the revision lays them out.

use flamestore_model::{Fault, FaultId};
use flamestore_pprof::decode::MAX_SAMPLE_TYPES;

use crate::otlp::broken;
use crate::otlp::dictionary::{Dictionary, at};
use crate::otlp::revision::Revision;
use crate::protobuf::{Broken, Fields, Value, messages, numbers_of_field_1};

/// The fields of a profile that say something about all of its samples.
#[derive(Default)]
pub(super) struct Head<'a> {
    /// String indexes of type and unit. From 1.8 on exactly one.
    pub(super) sample_types: Vec<(u64, u64)>,
    pub(super) period_type: (u64, u64),
    pub(super) period: i64,
    pub(super) time_nanos: i64,
    pub(super) duration_nanos: i64,
    /// The profile itself, in which samples are field 2.
    message: &'a [u8],
    /// Up to 1.7: what samples give ranges of.
    location_indices: Vec<u64>,
}

/// One sample, its buffers used again for the next.
#[derive(Default)]
pub(super) struct Sample {
    /// Indexes of locations, leaf first.
    pub(super) stack: Vec<u64>,
    pub(super) values: Vec<u64>,
    pub(super) attributes: Vec<u64>,
    pub(super) link: Option<u64>,
    /// Number of timestamps.
    pub(super) times: usize,
}

impl<'a> Head<'a> {
    pub(super) fn read(message: &'a [u8], revision: Revision) -> Result<Self, Broken> {
        let mut head = Head { message, ..Head::default() };
        let [locations, time, duration, period_type, period] = match revision {
            Revision::V1_5 => [5, 11, 12, 13, 14],
            Revision::V1_6 | Revision::V1_7 => [3, 4, 5, 6, 7],
            Revision::V1_9 | Revision::V1_10 => [u32::MAX, 3, 4, 5, 6],
        };
        for field in Fields::of(message) {
            match field? {
                // One more than allowed is enough to know.
                (1, Value::Bytes(_)) if head.sample_types.len() > MAX_SAMPLE_TYPES => {}
                (1, Value::Bytes(value_type)) => head.sample_types.push(read_type(value_type)?),
                (n, value) if n == locations => value.numbers(&mut head.location_indices)?,
                (n, value) if n == time => head.time_nanos = i64::try_from(value.number()).unwrap_or(i64::MAX),
                (n, value) if n == duration => head.duration_nanos = value.number() as i64,
                (n, Value::Bytes(value_type)) if n == period_type => head.period_type = read_type(value_type)?,
                (n, value) if n == period => head.period = value.number() as i64,
                _ => {}
            }
        }
        Ok(head)
    }

    /// The samples, not read yet.
    pub(super) fn samples(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        messages(self.message, 2)
    }

    /// Reads a sample into `out`.
    pub(super) fn sample(
        &self,
        message: &[u8],
        revision: Revision,
        dictionary: &Dictionary<'_>,
        out: &mut Sample,
    ) -> Result<(), Fault> {
        out.clear();
        let [values, attributes, link, times] = match revision {
            Revision::V1_5 | Revision::V1_6 | Revision::V1_7 => [3, 4, 5, 6],
            Revision::V1_9 => [2, 3, 4, 5],
            Revision::V1_10 => [4, 2, 3, 5],
        };
        let (mut first, mut second) = (0, 0);
        for field in Fields::of(message) {
            let (number, value) = field.map_err(broken)?;
            match (number, value) {
                (1, value) => first = value.number(),
                (n, value) if n == values => value.numbers(&mut out.values).map_err(broken)?,
                (n, value) if n == attributes => value.numbers(&mut out.attributes).map_err(broken)?,
                (n, value) if n == link => out.link = Some(value.number()),
                // Fixed numbers from 1.8 on, varints before; of either only the number of them counts.
                (n, Value::Bytes(packed)) if n == times && revision.has_stack_table() => out.times += packed.len() / 8,
                (n, Value::Bytes(packed)) if n == times => {
                    out.times += packed.iter().filter(|byte| **byte & 0x80 == 0).count();
                }
                (n, _) if n == times => out.times += 1,
                (2, value) => second = value.number(),
                _ => {}
            }
        }
        if revision.has_stack_table() {
            // Where there is no link, the index is 0 or absent.
            out.link = out.link.filter(|link| *link != 0);
            let stack = at(&dictionary.stacks, first, "stack_table")?;
            return numbers_of_field_1(stack, &mut out.stack).map_err(broken);
        }
        let range =
            usize::try_from(first).ok().zip(first.checked_add(second).and_then(|end| usize::try_from(end).ok()));
        let stack = range.and_then(|(start, end)| self.location_indices.get(start..end)).ok_or_else(|| {
            Fault::of(
                FaultId::OtlpMalformed,
                format!(
                    "OTLP: a sample's stack is at {first}, {second} long, but the profile has {} location indices",
                    self.location_indices.len()
                ),
            )
        })?;
        out.stack.extend_from_slice(stack);
        Ok(())
    }
}

impl Sample {
    fn clear(&mut self) {
        self.stack.clear();
        self.values.clear();
        self.attributes.clear();
        self.link = None;
        self.times = 0;
    }
}

fn read_type(message: &[u8]) -> Result<(u64, u64), Broken> {
    let (mut kind, mut unit) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, index) => kind = index.number(),
            (2, index) => unit = index.number(),
            _ => {}
        }
    }
    Ok((kind, unit))
}
