//! Decoding: one scanning pass over the wire bytes into columns, then one over the columns to resolve references.
//!
//! Hot: every upload passes here. Bench: `benches/decode.rs`.
//!
//! Fields may come in any order and repeated ones packed or not. While scanning, string references hold the string's
//! number and object references a slot of [`Ids`]; both are resolved when all tables are known. Nothing is allocated on
//! the word of a count in the file, so memory stays proportional to its size.

mod ids;

use flamestore_model::{Discard, Fault};

use crate::inflate::inflate;
use crate::profile::{
    Function, Line, Location, MISSING, Mapping, NO_MAPPING, Profile, Sample, SampleLabel, StrRef, ValueType,
};
use crate::wire::{Broken, Reader, Value};
use ids::Ids;

/// Sample types of one profile; each makes a series of its own. Known clients send at most a dozen.
pub const MAX_SAMPLE_TYPES: usize = 100;

/// Decodes a pprof file, gzip or plain.
///
/// `max_inflated` is the largest uncompressed size in bytes; 0: no limit but 2 GiB. A fault is of kind `Invalid` and
/// says whether the file was too large (`profile_size_limit`) or malformed (`malformed_profile`). References to
/// locations, functions and mappings that the file does not hold are no fault: they become [`MISSING`]. When two
/// objects share an id, the later one has it.
pub fn decode(raw: &[u8], max_inflated: usize) -> Result<Profile, Fault> {
    let text = inflate(raw, max_inflated)?;
    let mut scan = Scan::default();
    scan.profile(&text).map_err(|Broken(why)| malformed(format!("the profile is not a pprof message: {why}")))?;
    scan.resolve(text)
}

fn malformed(message: String) -> Fault {
    Fault::invalid(message).discarding(Discard::MalformedProfile)
}

const WRONG_TYPE: Broken = Broken("a field has the wrong wire type");

/// What one pass over the bytes finds.
#[derive(Default)]
struct Scan {
    profile: Profile,
    strings: Vec<StrRef>,
    locations: Ids,
    functions: Ids,
    mappings: Ids,
    functions_without_id: usize,
    location_without_id: bool,
    /// Values of the first sample; all must have as many.
    values_per_sample: Option<usize>,
    uneven: Option<Uneven>,
}

/// A sample with another number of values than the first.
#[derive(Clone, Copy)]
struct Uneven {
    sample: usize,
    values: usize,
}

/// A reference to a string, until the string table is known.
fn unresolved(string: u64) -> StrRef {
    // A number that does not fit is out of range for any table of less than 4 GiB, and so is this one.
    StrRef { offset: u32::try_from(string).unwrap_or(u32::MAX), len: 0 }
}

impl Value<'_> {
    #[inline]
    fn number(self) -> Result<u64, Broken> {
        match self {
            Value::Varint(v) => Ok(v),
            _ => Err(WRONG_TYPE),
        }
    }

    #[inline]
    fn string(self) -> Result<StrRef, Broken> {
        self.number().map(unresolved)
    }
}

impl<'a> Value<'a> {
    #[inline]
    fn message(self) -> Result<Reader<'a>, Broken> {
        match self {
            Value::Bytes { offset, bytes } => Ok(Reader::new(bytes, offset)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// Numbers of a repeated field, packed or one at a time.
    #[inline]
    fn numbers(self, mut each: impl FnMut(u64)) -> Result<(), Broken> {
        match self {
            Value::Varint(v) => each(v),
            Value::Bytes { offset, bytes } => {
                let mut packed = Reader::new(bytes, offset);
                while !packed.is_done() {
                    each(packed.varint()?);
                }
            }
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }
}

/// Scanning. Field numbers are those of `profile.proto`.
impl Scan {
    fn profile(&mut self, text: &[u8]) -> Result<(), Broken> {
        let mut fields = Reader::new(text, 0);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => {
                    let mut found = ValueType::default();
                    value_type(value.message()?, &mut found)?;
                    self.profile.sample_types.push(found);
                }
                2 => self.sample(value.message()?)?,
                3 => self.mapping(value.message()?)?,
                4 => self.location(value.message()?)?,
                5 => self.function(value.message()?)?,
                6 => match value {
                    Value::Bytes { offset, bytes } => {
                        self.strings.push(StrRef { offset: offset as u32, len: bytes.len() as u32 });
                    }
                    _ => return Err(WRONG_TYPE),
                },
                9 => self.profile.time_nanos = value.number()? as i64,
                10 => self.profile.duration_nanos = value.number()? as i64,
                11 => value_type(value.message()?, &mut self.profile.period_type)?,
                12 => self.profile.period = value.number()? as i64,
                14 => self.profile.default_sample_type = value.string()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sample(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        let profile = &mut self.profile;
        let first_location = profile.sample_locations.len() as u32;
        let first_label = profile.labels.len() as u32;
        let first_value = profile.values.len();
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => {
                    let (out, ids) = (&mut profile.sample_locations, &mut self.locations);
                    value.numbers(|id| out.push(ids.slot(id)))?;
                }
                2 => value.numbers(|v| profile.values.push(v as i64))?,
                3 => profile.labels.push(sample_label(value.message()?)?),
                _ => {}
            }
        }
        let values = profile.values.len() - first_value;
        if *self.values_per_sample.get_or_insert(values) != values && self.uneven.is_none() {
            self.uneven = Some(Uneven { sample: profile.samples.len(), values });
        }
        profile.samples.push(Sample {
            first_location,
            end_location: profile.sample_locations.len() as u32,
            first_label,
            end_label: profile.labels.len() as u32,
        });
        Ok(())
    }

    fn mapping(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        let mut id = 0;
        let mut found = Mapping {
            memory_start: 0,
            memory_limit: 0,
            file_offset: 0,
            filename: StrRef::default(),
            build_id: StrRef::default(),
            flags: 0,
        };
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => id = value.number()?,
                2 => found.memory_start = value.number()?,
                3 => found.memory_limit = value.number()?,
                4 => found.file_offset = value.number()?,
                5 => found.filename = value.string()?,
                6 => found.build_id = value.string()?,
                7..=10 => {
                    let bit = 1u8 << (number - 7);
                    found.flags = if value.number()? == 0 { found.flags & !bit } else { found.flags | bit };
                }
                _ => {}
            }
        }
        self.mappings.define(id);
        self.profile.mappings.push(found);
        Ok(())
    }

    fn location(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        let mut id = 0;
        let first_line = self.profile.lines.len() as u32;
        let mut found = Location { mapping: 0, address: 0, is_folded: false, first_line, end_line: first_line };
        let mut mapping = 0;
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => id = value.number()?,
                2 => mapping = value.number()?,
                3 => found.address = value.number()?,
                4 => self.line(value.message()?)?,
                5 => found.is_folded = value.number()? != 0,
                _ => {}
            }
        }
        found.mapping = if mapping == 0 { NO_MAPPING } else { self.mappings.slot(mapping) };
        found.end_line = self.profile.lines.len() as u32;
        self.location_without_id |= id == 0;
        self.locations.define(id);
        self.profile.locations.push(found);
        Ok(())
    }

    fn line(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        let (mut function, mut line) = (0, 0);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => function = value.number()?,
                2 => line = value.number()? as i64,
                _ => {}
            }
        }
        self.profile.lines.push(Line { function: self.functions.slot(function), line });
        Ok(())
    }

    fn function(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        let mut id = 0;
        let mut found = Function {
            name: StrRef::default(),
            system_name: StrRef::default(),
            filename: StrRef::default(),
            start_line: 0,
        };
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => id = value.number()?,
                2 => found.name = value.string()?,
                3 => found.system_name = value.string()?,
                4 => found.filename = value.string()?,
                5 => found.start_line = value.number()? as i64,
                _ => {}
            }
        }
        self.functions_without_id += usize::from(id == 0);
        self.functions.define(id);
        self.profile.functions.push(found);
        Ok(())
    }
}

/// Reads into `found`, since a message field that comes twice is merged.
fn value_type(mut fields: Reader<'_>, found: &mut ValueType) -> Result<(), Broken> {
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => found.kind = value.string()?,
            2 => found.unit = value.string()?,
            _ => {}
        }
    }
    Ok(())
}

fn sample_label(mut fields: Reader<'_>) -> Result<SampleLabel, Broken> {
    let mut found =
        SampleLabel { key: StrRef::default(), text: StrRef::default(), num: 0, num_unit: StrRef::default() };
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => found.key = value.string()?,
            2 => found.text = value.string()?,
            3 => found.num = value.number()? as i64,
            4 => found.num_unit = value.string()?,
            _ => {}
        }
    }
    Ok(found)
}

/// Resolving, and the checks that need the whole file.
impl Scan {
    fn resolve(mut self, text: Vec<u8>) -> Result<Profile, Fault> {
        self.check_shape()?;
        self.check_strings(&text)?;
        self.resolve_strings()?;
        self.resolve_ids()?;
        self.profile.text = text;
        Ok(self.profile)
    }

    fn check_shape(&self) -> Result<(), Fault> {
        let types = self.profile.sample_types.len();
        if types == 0 {
            return Err(malformed("empty profile: it has no sample types".into()));
        }
        if types > MAX_SAMPLE_TYPES {
            return Err(malformed(format!("the profile has {types} sample types; limit {MAX_SAMPLE_TYPES}")));
        }
        if self.location_without_id {
            return Err(malformed("a location has id 0: number locations from 1".into()));
        }
        let wrong = match (self.uneven, self.values_per_sample) {
            (_, Some(values)) if values != types => Some(Uneven { sample: 0, values }),
            (uneven, _) => uneven,
        };
        match wrong {
            Some(Uneven { sample, values }) => Err(malformed(format!(
                "sample {sample} has {values} values, but the profile has {types} sample types: send one value for each"
            ))),
            None => Ok(()),
        }
    }

    fn check_strings(&self, text: &[u8]) -> Result<(), Fault> {
        if self.strings.first().is_none_or(|s| s.len != 0) {
            return Err(malformed("string 0 of the string table must be there and be empty".into()));
        }
        for (number, s) in self.strings.iter().enumerate() {
            let start = s.offset as usize;
            let valid = text.get(start..start + s.len as usize).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok());
            if !valid {
                return Err(malformed(format!("string {number} of the string table is not UTF-8")));
            }
        }
        Ok(())
    }

    fn resolve_strings(&mut self) -> Result<(), Fault> {
        let strings = &self.strings;
        let profile = &mut self.profile;
        let resolve = |what: &'static str, s: &mut StrRef| match strings.get(s.offset as usize) {
            // The empty string has one form, so that references can be compared.
            Some(found) if found.len == 0 => {
                *s = StrRef::default();
                Ok(())
            }
            Some(found) => {
                *s = *found;
                Ok(())
            }
            None => Err(malformed(format!(
                "a {what} names string {}, but the string table has {} strings",
                s.offset,
                strings.len()
            ))),
        };
        for t in profile.sample_types.iter_mut().chain([&mut profile.period_type]) {
            resolve("sample or period type", &mut t.kind)?;
            resolve("sample or period unit", &mut t.unit)?;
        }
        resolve("default sample type", &mut profile.default_sample_type)?;
        for l in &mut profile.labels {
            resolve("sample label key", &mut l.key)?;
            resolve("sample label", &mut l.text)?;
            resolve("sample label unit", &mut l.num_unit)?;
        }
        for m in &mut profile.mappings {
            resolve("mapping file name", &mut m.filename)?;
            resolve("mapping build id", &mut m.build_id)?;
        }
        for f in &mut profile.functions {
            resolve("function name", &mut f.name)?;
            resolve("function system name", &mut f.system_name)?;
            resolve("function file name", &mut f.filename)?;
        }
        Ok(())
    }

    fn resolve_ids(&mut self) -> Result<(), Fault> {
        let profile = &mut self.profile;
        let lack_ids = self.functions_without_id > 0;
        if lack_ids
            && (self.functions_without_id != profile.functions.len()
                || profile.functions.len() != profile.locations.len())
        {
            return Err(malformed("a function has id 0: number functions from 1".into()));
        }
        profile.functions_lack_ids = lack_ids;
        if lack_ids {
            self.functions.define_as(&self.locations);
        }
        let functions = self.functions.lookup();
        for line in &mut profile.lines {
            line.function = functions.index_of(line.function).unwrap_or(MISSING);
        }
        let mappings = self.mappings.lookup();
        for location in profile.locations.iter_mut().filter(|l| l.mapping != NO_MAPPING) {
            location.mapping = mappings.index_of(location.mapping).unwrap_or(MISSING);
        }
        let locations = self.locations.lookup();
        for location in &mut profile.sample_locations {
            *location = locations.index_of(*location).unwrap_or(MISSING);
        }
        Ok(())
    }
}
