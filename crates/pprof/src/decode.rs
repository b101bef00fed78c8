//! Decoding: one scanning pass over the wire bytes into columns, then one over the columns to resolve references.
//!
//! Hot: every upload passes here. Bench: `benches/decode.rs`.
//!
//! Fields may come in any order and repeated ones packed or not. While scanning, string references hold the string's
//! number and object references a slot of [`Ids`]; both are resolved when all tables are known. Nothing is allocated on
//! the word of a count in the file, so memory stays proportional to its size.

mod ids;

use flamestore_model::{Fault, FaultId};

use crate::inflate::inflate;
use crate::profile::{
    Function, Line, Location, MISSING, Mapping, NO_MAPPING, Profile, Sample, SampleLabel, StrRef, ValueType,
};
use crate::wire::{BYTES, Broken, Reader, VARINT};
use ids::Ids;

/// Sample types of one profile; each makes a series of its own. Known clients send at most a dozen.
pub const MAX_SAMPLE_TYPES: usize = 100;
/// Mappings of one profile: the largest known programs have a few thousand.
pub const MAX_MAPPINGS: usize = 1 << 16;
/// What a function without an id and the location that goes with it take at least.
const MIN_BYTES_WITHOUT_ID: usize = 6;

/// Decodes a pprof file, gzip or plain.
///
/// `max_inflated` is the largest uncompressed size in bytes; 0: no limit but 2 GiB. A fault says
/// whether the file was too large (`profile_size_limit`) or malformed (`malformed_profile`). It is of kind `Invalid`, or
/// `Unprocessable` where the bytes are no pprof at all: no whole gzip file, or no such message. References to
/// locations, functions and mappings that the file does not hold are no fault: they become [`MISSING`]. When two
/// objects share an id, the later one has it.
pub fn decode(raw: &[u8], max_inflated: usize) -> Result<Profile, Fault> {
    let text = inflate(raw, max_inflated)?;
    let mut scan = Scan::default();
    scan.profile(&text).map_err(|Broken(why)| {
        Fault::of(FaultId::ProfileNotPprof, format!("the profile is not a pprof message: {why}"))
    })?;
    scan.resolve(text)
}

fn malformed(message: String) -> Fault {
    Fault::of(FaultId::ProfileMalformed, message)
}

/// What one pass over the bytes finds.
#[derive(Default)]
struct Scan {
    profile: Profile,
    strings: Vec<StrRef>,
    locations: Ids,
    functions: Ids,
    mappings: Ids,
    /// How many there are in the file; of too many only the number is kept.
    sample_types: usize,
    mappings_seen: usize,
    functions_without_id: usize,
    /// More than these cannot each have a location.
    max_functions_without_id: usize,
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
#[inline]
fn string(fields: &mut Reader<'_>) -> Result<StrRef, Broken> {
    // A number that does not fit is out of range for any table of less than 4 GiB, and so is this one.
    fields.varint().map(|number| StrRef { offset: u32::try_from(number).unwrap_or(u32::MAX), len: 0 })
}

/// The field numbers that a message knows, as a set of bits.
const fn known(numbers: &[u32]) -> u32 {
    let mut set = 0;
    let mut at = 0;
    while at < numbers.len() {
        set |= 1 << numbers[at];
        at += 1;
    }
    set
}

/// Scanning. Field numbers are those of `profile.proto`.
impl Scan {
    fn profile(&mut self, text: &[u8]) -> Result<(), Broken> {
        const KNOWN: u32 = known(&[1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 14]);
        self.max_functions_without_id = text.len() / MIN_BYTES_WITHOUT_ID;
        let mut fields = Reader::new(text);
        while !fields.is_done() {
            match fields.key()? {
                (2, BYTES) => {
                    let message = fields.message()?;
                    self.profile.sample_bytes += message.range().1;
                    self.sample(message)?;
                }
                (4, BYTES) => self.location(fields.message()?)?,
                (5, BYTES) => self.function(fields.message()?)?,
                (6, BYTES) => {
                    let (offset, len) = fields.message()?.range();
                    self.strings.push(StrRef { offset: offset as u32, len: len as u32 });
                }
                (3, BYTES) => self.mapping(fields.message()?)?,
                (1, BYTES) => {
                    let mut found = ValueType::default();
                    value_type(fields.message()?, &mut found)?;
                    self.sample_types += 1;
                    if self.sample_types <= MAX_SAMPLE_TYPES {
                        self.profile.sample_types.push(found);
                    }
                }
                (9, VARINT) => self.profile.time_nanos = fields.varint()? as i64,
                (10, VARINT) => self.profile.duration_nanos = fields.varint()? as i64,
                (11, BYTES) => value_type(fields.message()?, &mut self.profile.period_type)?,
                (12, VARINT) => self.profile.period = fields.varint()? as i64,
                (14, VARINT) => self.profile.default_sample_type = string(&mut fields)?,
                other => fields.skip(other, KNOWN)?,
            }
        }
        Ok(())
    }

    fn sample(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        const KNOWN: u32 = known(&[1, 2, 3]);
        let profile = &mut self.profile;
        let first_location = profile.sample_locations.len() as u32;
        let first_label = profile.labels.len() as u32;
        let first_value = profile.values.len();
        while !fields.is_done() {
            match fields.key()? {
                (1, BYTES) => {
                    let mut packed = fields.message()?;
                    while !packed.is_done() {
                        profile.sample_locations.push(self.locations.slot(packed.varint()?));
                    }
                }
                (2, BYTES) => {
                    let mut packed = fields.message()?;
                    while !packed.is_done() {
                        profile.values.push(packed.varint()? as i64);
                    }
                }
                (1, VARINT) => profile.sample_locations.push(self.locations.slot(fields.varint()?)),
                (2, VARINT) => profile.values.push(fields.varint()? as i64),
                (3, BYTES) => {
                    // An empty one says nothing, in two bytes.
                    let label = sample_label(fields.message()?)?;
                    let says = label.key.offset | label.text.offset | label.num_unit.offset;
                    profile.labels.extend((says != 0 || label.num != 0).then_some(label));
                }
                other => fields.skip(other, KNOWN)?,
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
        const KNOWN: u32 = known(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let mut id = 0;
        let mut found = Mapping {
            memory_start: 0,
            memory_limit: 0,
            file_offset: 0,
            filename: StrRef::default(),
            build_id: StrRef::default(),
            flags: 0,
        };
        while !fields.is_done() {
            match fields.key()? {
                (1, VARINT) => id = fields.varint()?,
                (2, VARINT) => found.memory_start = fields.varint()?,
                (3, VARINT) => found.memory_limit = fields.varint()?,
                (4, VARINT) => found.file_offset = fields.varint()?,
                (5, VARINT) => found.filename = string(&mut fields)?,
                (6, VARINT) => found.build_id = string(&mut fields)?,
                (number @ 7..=10, VARINT) => {
                    let bit = 1u8 << (number - 7);
                    found.flags = if fields.varint()? == 0 { found.flags & !bit } else { found.flags | bit };
                }
                other => fields.skip(other, KNOWN)?,
            }
        }
        self.mappings_seen += 1;
        if self.mappings_seen <= MAX_MAPPINGS {
            self.mappings.define(id);
            self.profile.mappings.push(found);
        }
        Ok(())
    }

    fn location(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        const KNOWN: u32 = known(&[1, 2, 3, 4, 5]);
        let (mut id, mut mapping) = (0, 0);
        let first_line = self.profile.lines.len() as u32;
        let mut found =
            Location { mapping: NO_MAPPING, address: 0, is_folded: false, first_line, end_line: first_line };
        while !fields.is_done() {
            match fields.key()? {
                (1, VARINT) => id = fields.varint()?,
                (2, VARINT) => mapping = fields.varint()?,
                (3, VARINT) => found.address = fields.varint()?,
                (4, BYTES) => self.line(fields.message()?)?,
                (5, VARINT) => found.is_folded = fields.varint()? != 0,
                other => fields.skip(other, KNOWN)?,
            }
        }
        if mapping != 0 {
            found.mapping = self.mappings.slot(mapping);
        }
        found.end_line = self.profile.lines.len() as u32;
        if id == 0 {
            self.location_without_id = true;
        } else {
            self.locations.define(id);
            self.profile.locations.push(found);
        }
        Ok(())
    }

    fn line(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        const KNOWN: u32 = known(&[1, 2]);
        let (mut function, mut line) = (0, 0);
        while !fields.is_done() {
            match fields.key()? {
                (1, VARINT) => function = fields.varint()?,
                (2, VARINT) => line = fields.varint()? as i64,
                other => fields.skip(other, KNOWN)?,
            }
        }
        self.profile.lines.push(Line { function: self.functions.slot(function), line });
        Ok(())
    }

    fn function(&mut self, mut fields: Reader<'_>) -> Result<(), Broken> {
        const KNOWN: u32 = known(&[1, 2, 3, 4, 5]);
        let mut id = 0;
        let mut found = Function {
            name: StrRef::default(),
            system_name: StrRef::default(),
            filename: StrRef::default(),
            start_line: 0,
        };
        while !fields.is_done() {
            match fields.key()? {
                (1, VARINT) => id = fields.varint()?,
                (2, VARINT) => found.name = string(&mut fields)?,
                (3, VARINT) => found.system_name = string(&mut fields)?,
                (4, VARINT) => found.filename = string(&mut fields)?,
                (5, VARINT) => found.start_line = fields.varint()? as i64,
                other => fields.skip(other, KNOWN)?,
            }
        }
        self.functions_without_id += usize::from(id == 0);
        if id != 0 || self.functions_without_id <= self.max_functions_without_id {
            self.functions.define(id);
            self.profile.functions.push(found);
        }
        Ok(())
    }
}

/// Reads into `found`, since a message field that comes twice is merged.
fn value_type(mut fields: Reader<'_>, found: &mut ValueType) -> Result<(), Broken> {
    const KNOWN: u32 = known(&[1, 2]);
    while !fields.is_done() {
        match fields.key()? {
            (1, VARINT) => found.kind = string(&mut fields)?,
            (2, VARINT) => found.unit = string(&mut fields)?,
            other => fields.skip(other, KNOWN)?,
        }
    }
    Ok(())
}

fn sample_label(mut fields: Reader<'_>) -> Result<SampleLabel, Broken> {
    const KNOWN: u32 = known(&[1, 2, 3, 4]);
    let mut found =
        SampleLabel { key: StrRef::default(), text: StrRef::default(), num: 0, num_unit: StrRef::default() };
    while !fields.is_done() {
        match fields.key()? {
            (1, VARINT) => found.key = string(&mut fields)?,
            (2, VARINT) => found.text = string(&mut fields)?,
            (3, VARINT) => found.num = fields.varint()? as i64,
            (4, VARINT) => found.num_unit = string(&mut fields)?,
            other => fields.skip(other, KNOWN)?,
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
        let types = self.sample_types;
        if types == 0 {
            return Err(malformed("empty profile: it has no sample types".into()));
        }
        if types > MAX_SAMPLE_TYPES {
            return Err(malformed(format!("the profile has {types} sample types; limit {MAX_SAMPLE_TYPES}")));
        }
        if self.mappings_seen > MAX_MAPPINGS {
            let mappings = self.mappings_seen;
            return Err(malformed(format!("the profile has {mappings} mappings; limit {MAX_MAPPINGS}")));
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
