//! From one OTLP profile to a pprof for each service that its samples name.

use std::borrow::Cow;

use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId};
use flamestore_pprof::Spy;
use flamestore_pprof::decode::MAX_SAMPLE_TYPES;
use flamestore_pprof::encode::{Label, Writer};
use hashbrown::HashMap;

use crate::arrival::Arrival;
use crate::caps::{or_unlimited, profile_too_large};
use crate::ingested::RawProfile;
use crate::otlp::dictionary::{Dictionary, at, too_long};
use crate::otlp::profile::{Head, Sample};
use crate::otlp::revision::Revision;
use crate::otlp::{Origin, Reader, broken, text_bytes};
use crate::protobuf::{Fields, Value};

/// How long a profile that does not say so is taken to be.
const DEFAULT_DURATION_NANOS: i64 = 10_000_000_000;
const BUILD_ID: &[u8] = b"process.executable.build_id.gnu";
/// What a sample takes besides its stack and labels.
const SAMPLE_BYTES: usize = 16;

impl Reader<'_> {
    /// Converts one profile. Nothing of it is kept when a part of it makes no sense.
    pub(super) fn profile<'a>(
        &mut self,
        message: &'a [u8],
        origin: &Origin<'a>,
        dictionary: &Dictionary<'a>,
    ) -> Result<(), Fault> {
        let head = Head::read(message, self.revision).map_err(broken)?;
        let types = Types::of(&head, dictionary)?;
        let mut by_service: Vec<(Cow<'a, str>, Builder<'_, 'a>)> = Vec::new();
        let mut index: HashMap<Cow<'a, str>, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut sample = Sample::default();
        let mut values = Vec::new();
        for message in head.samples() {
            head.sample(message, self.revision, dictionary, &mut sample)?;
            types.values(&sample, self.revision, &mut values)?;
            if sample.stack.is_empty() {
                self.export.ingested.notes.samples_dropped += 1;
                continue;
            }
            let service = self.service(&sample, origin, dictionary)?;
            let at = *index.entry(service).or_insert_with_key(|service| {
                by_service.push((service.clone(), Builder::new(dictionary, &types, &head)));
                by_service.len() - 1
            });
            if let Some((_, builder)) = by_service.get_mut(at) {
                let cost = builder.add(&mut sample, &values, self.caps.max_depth)?;
                self.spend(cost)?;
                if builder.bytes > or_unlimited(self.caps.max_profile_bytes) {
                    return Err(profile_too_large(self.caps));
                }
            }
        }
        let mut profiles = Vec::new();
        for (service, builder) in by_service {
            let pprof = builder.writer.finish();
            if pprof.len() > or_unlimited(self.caps.max_profile_bytes) {
                return Err(profile_too_large(self.caps));
            }
            self.spend(text_bytes(&origin.labels))?;
            let mut labels = vec![(names::PROFILE_NAME.to_owned(), types.name.clone())];
            labels.extend(origin.labels.iter().cloned());
            labels.push((names::SERVICE_NAME.to_owned(), service.into_owned()));
            profiles.push(RawProfile {
                labels: labels.into(),
                pprof: pprof.into(),
                spy: Spy::Other,
                arrival: Arrival::Otlp,
                decoded: None,
            });
        }
        self.export.ingested.profiles.extend(profiles);
        Ok(())
    }

    /// The sample's service, or else the resource's.
    fn service<'a>(
        &self,
        sample: &Sample,
        origin: &Origin<'a>,
        dictionary: &Dictionary<'a>,
    ) -> Result<Cow<'a, str>, Fault> {
        for index in &sample.attributes {
            if let Some(service) = dictionary.attribute(*index)?.as_service() {
                return Ok(service);
            }
        }
        Ok(origin.service.clone().unwrap_or_else(|| Cow::Owned(origin.fallback_service.clone())))
    }
}

/// What the values are, in pprof's terms.
struct Types {
    /// `__name__`.
    name: String,
    columns: Vec<(String, String)>,
    period_type: (String, String),
    period: i64,
    /// Column of sample counts that become time, by the period.
    timed: Option<usize>,
    /// Values of one sample are observations to be summed, whatever their number.
    summed: bool,
}

impl Types {
    fn of(head: &Head<'_>, dictionary: &Dictionary<'_>) -> Result<Types, Fault> {
        if head.sample_types.len() > MAX_SAMPLE_TYPES {
            return Err(too_long("sample_type of a profile", MAX_SAMPLE_TYPES));
        }
        let pair = |(kind, unit): (u64, u64)| -> Result<(String, String), Fault> {
            Ok((dictionary.text(kind)?.into_owned(), dictionary.text(unit)?.into_owned()))
        };
        let mut columns = head.sample_types.iter().map(|t| pair(*t)).collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() {
            return Err(Fault::of(
                FaultId::OtlpMalformed,
                "OTLP: a profile has no sample_type: nobody can know what its values count",
            ));
        }
        let period_type = match head.period_type {
            (0, 0) => Default::default(),
            indexes => pair(indexes)?,
        };
        let is = |pair: &(String, String), kind: &str, unit: &str| pair.0 == kind && pair.1 == unit;
        let has_period = head.period != 0 && !period_type.0.is_empty();
        let of_cpu = has_period && is(&period_type, "cpu", "nanoseconds");
        let has_time = columns.iter().any(|c| is(c, "cpu", "nanoseconds"));
        let timed = columns.iter().position(|c| of_cpu && !has_time && is(c, "samples", "count"));
        if let Some(column) = timed.and_then(|at| columns.get_mut(at)) {
            *column = ("cpu".to_owned(), "nanoseconds".to_owned());
        }
        let summed = matches!(&columns[..], [only] if is(only, "off_cpu", "nanoseconds")) && period_type.0.is_empty();
        let name = match &columns[..] {
            _ if timed.is_some() => "process_cpu".to_owned(),
            // Only up to 1.7 time and count stand beside each other.
            [_, _, ..] if of_cpu => "process_cpu".to_owned(),
            _ if summed => "off_cpu".to_owned(),
            _ if has_period => period_type.0.clone(),
            _ => {
                return Err(Fault::of(
                    FaultId::OtlpMalformed,
                    format!(
                        "OTLP: a profile of {:?} has no period_type with a period, which would give it its name: set both",
                        columns.first().map_or("", |c| c.0.as_str())
                    ),
                ));
            }
        };
        Ok(Types { name, columns, period_type, period: head.period, timed, summed })
    }

    /// The values of a sample, one a column.
    fn values(&self, sample: &Sample, revision: Revision, out: &mut Vec<i64>) -> Result<(), Fault> {
        out.clear();
        let given = sample.values.iter().map(|v| *v as i64);
        if revision.has_stack_table() {
            out.push(match (sample.values.len(), sample.times) {
                (0, 0) => return Err(Fault::of(FaultId::OtlpMalformed, "OTLP: a sample has neither values nor timestamps")),
                (0, times) => times as i64,
                (1, 0) => given.sum(),
                (values, times) if values == times || self.summed && times == 0 => given.fold(0, i64::saturating_add),
                (values, times) => {
                    return Err(Fault::of(FaultId::OtlpMalformed, format!(
                        "OTLP: a sample has {values} values and {times} timestamps: give each value its time, or one \
                         value alone"
                    )));
                }
            });
        } else {
            match (sample.values.len(), self.columns.len()) {
                (0, 1) if sample.times > 0 => out.push(sample.times as i64),
                (values, columns) if values == columns => out.extend(given),
                (values, columns) => {
                    return Err(Fault::of(
                        FaultId::OtlpMalformed,
                        format!("OTLP: a sample has {values} values, but the profile has {columns} sample types"),
                    ));
                }
            }
        }
        if let Some(value) = self.timed.and_then(|at| out.get_mut(at)) {
            *value = value.saturating_mul(self.period);
        }
        Ok(())
    }
}

type ById<T> = HashMap<u64, T, foldhash::fast::RandomState>;

/// The pprof of one service.
struct Builder<'d, 'a> {
    dictionary: &'d Dictionary<'a>,
    writer: Writer,
    /// Ids in the pprof by index in the dictionary.
    locations: ById<u64>,
    strings: ById<u32>,
    /// The labels that attributes become, by index in the dictionary. Their text is counted in `bytes`.
    attributes: ById<Option<Label<'static>>>,
    stack: Vec<u64>,
    labels: Vec<Label<'static>>,
    /// At least this many bytes will be in the file.
    bytes: usize,
}

impl<'d, 'a> Builder<'d, 'a> {
    fn new(dictionary: &'d Dictionary<'a>, types: &Types, head: &Head<'_>) -> Self {
        let mut writer = Writer::new();
        types.columns.iter().for_each(|(kind, unit)| writer.sample_type(kind, unit));
        if !types.period_type.0.is_empty() {
            writer.period(&types.period_type.0, &types.period_type.1, types.period);
        }
        writer.time_nanos(head.time_nanos);
        writer.duration_nanos(if head.duration_nanos > 0 { head.duration_nanos } else { DEFAULT_DURATION_NANOS });
        Builder {
            dictionary,
            writer,
            locations: ById::default(),
            strings: ById::default(),
            attributes: ById::default(),
            stack: Vec::new(),
            labels: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds a sample; the cost of that in bytes looked at and made. Of a stack deeper than `max_depth` the root side is
    /// kept.
    fn add(&mut self, sample: &mut Sample, values: &[i64], max_depth: usize) -> Result<usize, Fault> {
        let cut = sample.stack.len().saturating_sub(or_unlimited(max_depth));
        let before = self.bytes;
        self.stack.clear();
        for index in sample.stack.get(cut..).unwrap_or_default() {
            let id = match self.locations.get(index) {
                Some(id) => *id,
                None => {
                    let id = self.location(*index)?;
                    self.locations.insert(*index, id);
                    id
                }
            };
            self.stack.push(id);
        }
        // An attribute may be named more than once; pprof has no use for that.
        sample.attributes.sort_unstable();
        sample.attributes.dedup();
        self.labels.clear();
        for index in &sample.attributes {
            let label = match self.attributes.get(index) {
                Some(label) => *label,
                None => self.label(*index)?,
            };
            self.labels.extend(label);
        }
        if let Some(link) = sample.link {
            let (trace_id, span_id) = self.link(link)?;
            for (key, hex) in [(names::TRACE_ID, trace_id), (names::SPAN_ID, span_id)] {
                let Some(text) = hex.map(|hex| self.writer.string(&hex)) else { continue };
                self.labels.push(Label::Interned { key: self.writer.string(key), text });
            }
        }
        self.writer.sample(&self.stack, values, &self.labels);
        self.bytes += SAMPLE_BYTES + self.stack.len() + 8 * self.labels.len();
        Ok(self.bytes - before + cut)
    }

    /// What an attribute becomes. The service does not become a label: it is the series' already.
    fn label(&mut self, index: u64) -> Result<Option<Label<'static>>, Fault> {
        let attribute = self.dictionary.attribute(index)?;
        let value = attribute.value.text().filter(|_| attribute.as_service().is_none());
        let label = value.map(|value| {
            self.bytes += attribute.key.len() + value.len();
            let key = self.writer.string(&String::from_utf8_lossy(attribute.key));
            Label::Interned { key, text: self.writer.string(&value) }
        });
        self.attributes.insert(index, label);
        Ok(label)
    }

    /// Trace and span id in hex, where they are not zero.
    fn link(&self, index: u64) -> Result<(Option<String>, Option<String>), Fault> {
        let (mut trace_id, mut span_id) = (None, None);
        for field in Fields::of(at(&self.dictionary.links, index, "link_table")?) {
            match field.map_err(broken)? {
                (1, Value::Bytes(id)) => trace_id = hex(id, 16),
                (2, Value::Bytes(id)) => span_id = hex(id, 8),
                _ => {}
            }
        }
        Ok((trace_id, span_id))
    }

    fn location(&mut self, index: u64) -> Result<u64, Fault> {
        let location = self.dictionary.location(index)?;
        let mapping = self.mapping(location.mapping)?;
        let mut lines = Vec::with_capacity(location.lines.len());
        for (function, line) in &location.lines {
            lines.push((self.function(*function)?, *line));
        }
        self.bytes += 4 + 2 * lines.len();
        Ok(self.writer.location(mapping, location.address, &lines, location.is_folded))
    }

    fn function(&mut self, index: u64) -> Result<u64, Fault> {
        let (mut name, mut system_name, mut filename, mut start_line) = (0, 0, 0, 0);
        for field in Fields::of(at(&self.dictionary.functions, index, "function_table")?) {
            match field.map_err(broken)? {
                (1, value) => name = value.number(),
                (2, value) => system_name = value.number(),
                (3, value) => filename = value.number(),
                (4, value) => start_line = value.number() as i64,
                _ => {}
            }
        }
        let [name, system_name, filename] = [self.string(name)?, self.string(system_name)?, self.string(filename)?];
        Ok(self.writer.function(name, system_name, filename, start_line))
    }

    /// 0 where there is no mapping, or an empty one.
    fn mapping(&mut self, index: u64) -> Result<u64, Fault> {
        let entry = match at(&self.dictionary.mappings, index, "mapping_table") {
            Ok(entry) if !entry.is_empty() => entry,
            Ok(_) => return Ok(0),
            // Up to 1.7 a location need not have one.
            Err(_) if index == 0 => return Ok(0),
            Err(fault) => return Err(fault),
        };
        let mut attributes = Vec::new();
        let (mut memory_start, mut memory_limit, mut file_offset, mut filename) = (0, 0, 0, 0);
        for field in Fields::of(entry) {
            match field.map_err(broken)? {
                (1, value) => memory_start = value.number(),
                (2, value) => memory_limit = value.number(),
                (3, value) => file_offset = value.number(),
                (4, value) => filename = value.number(),
                (5, value) => value.numbers(&mut attributes).map_err(broken)?,
                _ => {}
            }
        }
        let mut build_id = Cow::Borrowed("");
        for index in attributes {
            let attribute = self.dictionary.attribute(index)?;
            if attribute.key == BUILD_ID {
                build_id = attribute.value.text().unwrap_or_default();
            }
        }
        let (filename, build_id) = (self.string(filename)?, self.writer.string(&build_id));
        let mapping = flamestore_pprof::Mapping {
            memory_start,
            memory_limit,
            file_offset,
            filename: Default::default(),
            build_id: Default::default(),
            flags: u8::from(!self.dictionary.lacks_functions(index)),
        };
        Ok(self.writer.mapping(&mapping, filename, build_id))
    }

    fn string(&mut self, index: u64) -> Result<u32, Fault> {
        if let Some(id) = self.strings.get(&index) {
            return Ok(*id);
        }
        let text = self.dictionary.text(index)?;
        let id = self.writer.string(&text);
        self.strings.insert(index, id);
        self.bytes += text.len();
        Ok(id)
    }
}

/// An id of `length` bytes in hex; `None` when it has another length or is zero.
fn hex(id: &[u8], length: usize) -> Option<String> {
    (id.len() == length && id.iter().any(|b| *b != 0)).then(|| id.iter().map(|b| format!("{b:02x}")).collect())
}
