//! Events, counted by series, stack and labels.

use std::borrow::Cow;

use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId};
use flamestore_pprof::encode::{Label, Writer};
use flamestore_pprof::{Mapping, Spy};
use hashbrown::HashMap;

use crate::arrival::Arrival;
use crate::caps::{Caps, or_unlimited, profile_too_large};
use crate::ingest::Upload;
use crate::ingested::{Ingested, Notes, RawProfile};
use crate::jfr::chunk::{Broken, Chunk};
use crate::jfr::labels::LabelsSnapshot;
use crate::jfr::metadata::{Record, Slot, Types};
use crate::jfr::names::fold;
use crate::jfr::pools::Pools;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// What things take besides their texts, about, for the cap.
const SERIES_BYTES: usize = 4096;
const SAMPLE_BYTES: usize = 160;
const STACK_BYTES: usize = 96;
const LOCATION_BYTES: usize = 128;
const NAME_BYTES: usize = 96;
const KNOWN_BYTES: usize = 32;
/// A longer name of what is sampled is not believed.
const MAX_ACTIVE_EVENT_BYTES: usize = 1024;
const SPAN_NAME: &str = "span_name";
const JFR_EVENT: &str = "jfr_event";
/// From JDK 25 on. Where it is recorded, it is what CPU time is told by.
const CPU_TIME_SAMPLE: &str = "jdk.CPUTimeSample";

/// What a kind of event is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    Cpu,
    Wall,
    AllocInNewTlab,
    AllocOutsideTlab,
    AllocSample,
    MonitorEnter,
    ThreadPark,
    Live,
    Malloc,
}

/// What a kind is called.
struct Shape {
    /// `__name__`.
    name: &'static str,
    /// Type and unit, one or two.
    columns: &'static [(&'static str, &'static str)],
    period_type: (&'static str, &'static str),
}

impl Counted {
    fn shape(self) -> Shape {
        type Columns = &'static [(&'static str, &'static str)];
        let (name, columns, period_type): (_, Columns, _) = match self {
            Counted::Cpu => ("process_cpu", &[("cpu", "nanoseconds")], ("cpu", "nanoseconds")),
            Counted::Wall => ("wall", &[("wall", "nanoseconds")], ("wall", "nanoseconds")),
            Counted::AllocInNewTlab => (
                "memory",
                &[("alloc_in_new_tlab_objects", "count"), ("alloc_in_new_tlab_bytes", "bytes")],
                ("space", "bytes"),
            ),
            Counted::AllocOutsideTlab => (
                "memory",
                &[("alloc_outside_tlab_objects", "count"), ("alloc_outside_tlab_bytes", "bytes")],
                ("space", "bytes"),
            ),
            Counted::AllocSample => {
                ("memory", &[("alloc_sample_objects", "count"), ("alloc_sample_bytes", "bytes")], ("space", "bytes"))
            }
            Counted::MonitorEnter => {
                ("mutex", &[("contentions", "count"), ("delay", "nanoseconds")], ("mutex", "count"))
            }
            Counted::ThreadPark => ("block", &[("contentions", "count"), ("delay", "nanoseconds")], ("block", "count")),
            Counted::Live => ("memory", &[("live", "count")], ("objects", "count")),
            Counted::Malloc => ("memory", &[("malloc_objects", "count"), ("malloc_bytes", "bytes")], ("", "")),
        };
        Shape { name, columns, period_type }
    }
}

/// An event that is read.
#[derive(Debug, Clone, Copy)]
enum Event {
    ExecutionSample,
    /// A sample that says for how much CPU time it stands.
    CpuTimeSample,
    CpuTimeSamplesLost,
    WallClockSample,
    ActiveSetting,
    /// One, and the amount in a slot.
    Amount(Counted, Slot),
    /// One, and how long it took in ticks.
    Lasting(Counted),
    /// One.
    Single(Counted),
}

impl Event {
    fn of(name: &str) -> Option<Event> {
        Some(match name {
            "jdk.ExecutionSample" => Event::ExecutionSample,
            CPU_TIME_SAMPLE => Event::CpuTimeSample,
            "jdk.CPUTimeSamplesLost" => Event::CpuTimeSamplesLost,
            "profiler.WallClockSample" => Event::WallClockSample,
            "jdk.ActiveSetting" => Event::ActiveSetting,
            "jdk.ObjectAllocationInNewTLAB" => Event::Amount(Counted::AllocInNewTlab, Slot::TlabSize),
            "jdk.ObjectAllocationOutsideTLAB" => Event::Amount(Counted::AllocOutsideTlab, Slot::AllocationSize),
            "jdk.ObjectAllocationSample" => Event::Amount(Counted::AllocSample, Slot::Weight),
            "profiler.Malloc" => Event::Amount(Counted::Malloc, Slot::Size),
            "jdk.JavaMonitorEnter" => Event::Lasting(Counted::MonitorEnter),
            "jdk.ThreadPark" => Event::Lasting(Counted::ThreadPark),
            "profiler.LiveObject" => Event::Single(Counted::Live),
            _ => return None,
        })
    }
}

/// What tells samples with the same stack apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Correlation {
    context: i64,
    span_id: i64,
    span_name: i64,
    trace_id: (i64, i64),
}

/// All chunks of a recording.
pub(super) struct Recording<'c> {
    caps: &'c Caps,
    /// Nanoseconds that one sample of CPU or wall time stands for. 0: the client does not know.
    period: i64,
    /// What the profiler was told to sample, as far as settings have been read.
    active_event: String,
    series: Vec<Series>,
    by_key: Map<(Counted, String), usize>,
    /// Frame names of all chunks.
    names: Vec<String>,
    by_name: Map<String, u32>,
    bytes: usize,
}

impl<'c> Recording<'c> {
    pub(super) fn new(sample_rate: u32, caps: &'c Caps) -> Self {
        Recording {
            caps,
            period: if sample_rate == 0 { 0 } else { NANOS_PER_SECOND / i64::from(sample_rate) },
            active_event: String::new(),
            series: Vec::new(),
            by_key: Map::default(),
            names: Vec::new(),
            by_name: Map::default(),
            bytes: 0,
        }
    }

    /// Counts the events of a chunk, and in the notes those that could not be read, and samples that have no stack or
    /// were never taken.
    pub(super) fn chunk<'a>(&mut self, chunk: Chunk<'a>, notes: &mut Notes) -> Result<(), Broken> {
        let mut types = Types::read(&chunk)?;
        let pools = Pools::read(&chunk, &mut types)?;
        let mut kinds: Map<i64, Option<Event>> = Map::default();
        // Names and stacks of this chunk, by their keys.
        let mut known = Known {
            pools: &pools,
            ticks_per_second: chunk.ticks_per_second,
            has_cpu_time: has_event(&chunk, &types, CPU_TIME_SAMPLE),
            methods: Map::default(),
            stacks: Map::default(),
        };
        let mut record = Record::default();
        for event in chunk.events() {
            let (id, mut cursor) = event?;
            let kind = match kinds.get(&id) {
                Some(kind) => *kind,
                None => {
                    // Ids without a type are not remembered: there may be as many as there are events.
                    let Some(name) = types.name(id) else { continue };
                    *kinds.entry(id).or_insert(Event::of(name))
                }
            };
            let Some(kind) = kind else { continue };
            let counted = types
                .value(id, &mut cursor, &mut record)
                .and_then(|()| self.event(kind, &mut known, &mut record, notes));
            match counted {
                Ok(()) => {}
                Err(Broken::Because(_)) => notes.events_unreadable += 1,
                Err(refused) => return Err(refused),
            }
        }
        Ok(())
    }

    fn event<'a>(
        &mut self,
        kind: Event,
        known: &mut Known<'_, 'a>,
        record: &mut Record<'a>,
        notes: &mut Notes,
    ) -> Result<(), Broken> {
        match kind {
            Event::ActiveSetting => {
                let name = known.pools.resolve(record.text(Slot::Name));
                if name.as_deref() == Some("event") {
                    let value = known.pools.resolve(record.text(Slot::Value)).unwrap_or_default();
                    if value.len() <= MAX_ACTIVE_EVENT_BYTES {
                        self.active_event = value.into_owned();
                    }
                }
            }
            Event::ExecutionSample => {
                let state = known.pools.state(record.number(Slot::State));
                // The same time must not be counted twice.
                if state != "STATE_SLEEPING" && !known.has_cpu_time {
                    self.count(Counted::Cpu, [self.period, 0], known, record)?;
                }
                if self.active_event == "wall" {
                    self.count(Counted::Wall, [self.period, 0], known, record)?;
                }
            }
            Event::CpuTimeSample if record.number(Slot::Failed) != 0 => notes.samples_dropped += 1,
            Event::CpuTimeSample => {
                let time = known.nanos(record.number(Slot::SamplingPeriod));
                self.count(Counted::Cpu, [time, 0], known, record)?;
            }
            Event::CpuTimeSamplesLost => {
                notes.samples_lost += u64::try_from(record.number(Slot::LostSamples)).unwrap_or_default();
            }
            Event::WallClockSample => {
                let time = record.number(Slot::Samples).saturating_mul(self.period);
                self.count(Counted::Wall, [time, 0], known, record)?;
                let state = known.pools.state(record.number(Slot::State));
                if state == "STATE_RUNNABLE" && self.active_event == "wall" {
                    self.count(Counted::Cpu, [time, 0], known, record)?;
                }
            }
            Event::Amount(counted, slot) => self.count(counted, [1, record.number(slot)], known, record)?,
            Event::Lasting(counted) => {
                let time = known.nanos(record.number(Slot::Duration));
                self.count(counted, [1, time], known, record)?;
            }
            Event::Single(counted) => self.count(counted, [1, 0], known, record)?,
        }
        Ok(())
    }

    fn count(
        &mut self,
        counted: Counted,
        values: [i64; 2],
        known: &mut Known<'_, '_>,
        record: &Record<'_>,
    ) -> Result<(), Broken> {
        if values == [0, 0] {
            return Ok(());
        }
        let series = self.series(counted)?;
        let stack = self.stack(series, record.number(Slot::StackTrace), known)?;
        let correlation = Correlation {
            context: record.number(Slot::ContextId),
            span_id: record.number(Slot::SpanId),
            span_name: record.number(Slot::SpanName),
            trace_id: (record.number(Slot::TraceIdHi), record.number(Slot::TraceIdLo)),
        };
        let mut is_new = false;
        if let Some(series) = self.series.get_mut(series) {
            let samples = &mut series.samples;
            let at = *series.by_stack.entry((stack, correlation)).or_insert_with(|| {
                is_new = true;
                samples.push(Counts { stack, correlation, values: [0, 0] });
                samples.len() - 1
            });
            if let Some(counts) = samples.get_mut(at) {
                for (sum, value) in counts.values.iter_mut().zip(values) {
                    *sum = sum.saturating_add(value);
                }
            }
        }
        if is_new { self.spend(SAMPLE_BYTES) } else { Ok(()) }
    }

    /// The series of a kind under the active event.
    fn series(&mut self, counted: Counted) -> Result<usize, Broken> {
        // Most events follow one of the same series.
        let is_it = |s: &Series| s.counted == counted && s.event == self.active_event;
        if let Some(at) = self.series.iter().rev().take(4).position(is_it) {
            return Ok(self.series.len() - 1 - at);
        }
        if let Some(at) = self.by_key.get(&(counted, self.active_event.clone())) {
            return Ok(*at);
        }
        self.spend(SERIES_BYTES + self.active_event.len())?;
        let at = self.series.len();
        self.by_key.insert((counted, self.active_event.clone()), at);
        self.series.push(Series::new(counted, self.active_event.clone(), self.period));
        Ok(at)
    }

    /// The index of a chunk's stack in a series.
    fn stack(&mut self, series: usize, key: i64, known: &mut Known<'_, '_>) -> Result<u32, Broken> {
        if let Some(stack) = known.stacks.get(&(series, key)) {
            return Ok(*stack);
        }
        let frames = known.pools.stack(key);
        // The root stands last, and its side is the one that is kept.
        let cut = frames.len().saturating_sub(or_unlimited(self.caps.max_depth));
        let mut locations = Vec::with_capacity(frames.len() - cut);
        for (method, line) in frames.get(cut..).unwrap_or_default() {
            let name = match known.methods.get(method) {
                Some(name) => *name,
                None => {
                    let name = match known.pools.method(*method) {
                        Some((class, method)) => Some(self.name(&class, &method)?),
                        None => None,
                    };
                    known.methods.insert(*method, name);
                    name
                }
            };
            let (Some(name), Some(series)) = (name, self.series.get_mut(series)) else { continue };
            let (location, bytes) = series.location(name, *line, &self.names);
            locations.push(location);
            self.spend(bytes)?;
        }
        let of_locations = 2 * std::mem::size_of::<u64>() * locations.len();
        let (stack, is_new) = match self.series.get_mut(series) {
            Some(series) => series.stack(locations),
            None => (0, false),
        };
        known.stacks.insert((series, key), stack);
        self.spend(if is_new { KNOWN_BYTES + STACK_BYTES + of_locations } else { KNOWN_BYTES })?;
        Ok(stack)
    }

    /// The index of a frame's name.
    fn name(&mut self, class: &str, method: &str) -> Result<u32, Broken> {
        // Stubs and other code without a class keep the dot.
        let name = format!("{}.{method}", fold(class));
        // Of a known one too: many methods may have the same long name.
        self.spend(name.len())?;
        if let Some(id) = self.by_name.get(&name) {
            return Ok(*id);
        }
        self.spend(NAME_BYTES + name.len())?;
        let id = self.names.len() as u32;
        self.names.push(name.clone());
        self.by_name.insert(name, id);
        Ok(id)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Broken> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.caps.max_inflated_bytes {
            return Ok(());
        }
        Err(Broken::Refused(self.too_large()))
    }

    fn too_large(&self) -> Fault {
        Fault::over(
            FaultId::UnfoldsTooLarge,
            "JFR: the stacks of the recording take more than allowed",
            format_args!("{} bytes", self.caps.max_inflated_bytes),
        )
    }

    /// One profile a series.
    pub(super) fn finish(
        mut self,
        upload: &Upload<'_>,
        snapshot: &LabelsSnapshot,
        out: &mut Ingested,
    ) -> Result<(), Fault> {
        let mut built = 0usize;
        for series in std::mem::take(&mut self.series) {
            let mut labels = upload.labels_with_service(series.counted.shape().name, &upload.name.app);
            if !series.event.is_empty() {
                labels.push((JFR_EVENT.to_owned(), series.event.clone()));
            }
            let max_bytes = or_unlimited(self.caps.max_profile_bytes);
            let pprof = series.finish(upload, snapshot, max_bytes).filter(|pprof| pprof.len() <= max_bytes);
            let Some(pprof) = pprof else { return Err(profile_too_large(self.caps)) };
            built += pprof.len();
            if built > self.caps.max_inflated_bytes {
                return Err(self.too_large());
            }
            out.profiles.push(RawProfile {
                labels: labels.into(),
                pprof: pprof.into(),
                spy: Spy::Other,
                arrival: Arrival::Ingest { from_nanos: upload.from_nanos },
                decoded: None,
            });
        }
        Ok(())
    }
}

/// What has been looked up in the pools of a chunk.
struct Known<'p, 'a> {
    pools: &'p Pools<'a>,
    ticks_per_second: i64,
    /// Whether events of the chunk say what CPU time they stand for.
    has_cpu_time: bool,
    /// Index of the frame's name, by the method's key; `None` where the pools do not know the method.
    methods: Map<i64, Option<u32>>,
    stacks: Map<(usize, i64), u32>,
}

impl Known<'_, '_> {
    fn nanos(&self, ticks: i64) -> i64 {
        let nanos = i128::from(ticks) * i128::from(NANOS_PER_SECOND) / i128::from(self.ticks_per_second);
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

/// Whether a chunk has an event of this name.
fn has_event(chunk: &Chunk<'_>, types: &Types, name: &str) -> bool {
    // Chunks of older programs do not know the name, and their events are not looked at.
    types.has_name(name) && chunk.events().flatten().any(|(id, _)| types.name(id) == Some(name))
}

/// The pprof of one kind of event.
struct Series {
    counted: Counted,
    event: String,
    writer: Writer,
    mapping: u64,
    locations: Map<(u32, i64), u64>,
    stacks: Vec<Box<[u64]>>,
    by_locations: Map<Box<[u64]>, u32>,
    samples: Vec<Counts>,
    by_stack: Map<(u32, Correlation), usize>,
}

struct Counts {
    stack: u32,
    correlation: Correlation,
    values: [i64; 2],
}

impl Series {
    fn new(counted: Counted, event: String, period: i64) -> Self {
        let mut writer = Writer::new();
        let shape = counted.shape();
        shape.columns.iter().for_each(|(kind, unit)| writer.sample_type(kind, unit));
        let (period_type, period_unit) = shape.period_type;
        if !period_type.is_empty() {
            writer.period(period_type, period_unit, if period_unit == "nanoseconds" { period } else { 0 });
        }
        let has_all = 0b111;
        let none = Default::default();
        let mapping = Mapping {
            memory_start: 0,
            memory_limit: 0,
            file_offset: 0,
            filename: none,
            build_id: none,
            flags: has_all,
        };
        let mapping = writer.mapping(&mapping, 0, 0);
        Series {
            counted,
            event,
            writer,
            mapping,
            locations: Map::default(),
            stacks: Vec::new(),
            by_locations: Map::default(),
            samples: Vec::new(),
            by_stack: Map::default(),
        }
    }

    /// The location of a frame, and about what it takes if it is a new one.
    fn location(&mut self, name: u32, line: i64, all: &[String]) -> (u64, usize) {
        if let Some(location) = self.locations.get(&(name, line)) {
            return (*location, 0);
        }
        let name_text = all.get(name as usize).map_or("", String::as_str);
        let text = self.writer.string(name_text);
        let function = self.writer.function(text, 0, 0, 0);
        let location = self.writer.location(self.mapping, 0, &[(function, line)], false);
        self.locations.insert((name, line), location);
        (location, LOCATION_BYTES + name_text.len())
    }

    /// The index of a stack, and whether it is a new one.
    fn stack(&mut self, locations: Vec<u64>) -> (u32, bool) {
        let locations = locations.into_boxed_slice();
        if let Some(stack) = self.by_locations.get(&locations) {
            return (*stack, false);
        }
        let stack = self.stacks.len() as u32;
        self.stacks.push(locations.clone());
        self.by_locations.insert(locations, stack);
        (stack, true)
    }

    /// `None` as soon as it is sure to be larger than `max_bytes`.
    fn finish(mut self, upload: &Upload<'_>, snapshot: &LabelsSnapshot, max_bytes: usize) -> Option<Vec<u8>> {
        self.writer.time_nanos(upload.from_nanos);
        self.writer.duration_nanos(upload.until_nanos.saturating_sub(upload.from_nanos).max(0));
        let columns = self.counted.shape().columns.len();
        let mut bytes = 0usize;
        for counts in &self.samples {
            let texts = counts.correlation.texts(snapshot);
            let labels: Vec<Label<'_>> = texts.iter().map(|(key, text)| Label::Text { key, text }).collect();
            let stack = self.stacks.get(counts.stack as usize).map_or(&[][..], |stack| stack);
            // A frame takes a byte at least, and a label with its keys and lengths six.
            bytes += stack.len() + 6 * labels.len();
            if bytes > max_bytes {
                return None;
            }
            self.writer.sample(stack, counts.values.get(..columns).unwrap_or_default(), &labels);
        }
        Some(self.writer.finish())
    }
}

impl Correlation {
    /// The labels of samples. A span's id keeps the old name that clients of JFR know it by.
    fn texts<'s>(&self, snapshot: &'s LabelsSnapshot) -> Vec<(&'s str, Cow<'s, str>)> {
        let mut texts: Vec<(&str, Cow<'_, str>)> =
            snapshot.labels(self.context).map(|(key, value)| (key, Cow::Borrowed(value))).collect();
        if self.span_id != 0 {
            texts.push((names::PROFILE_ID, Cow::Owned(format!("{:016x}", self.span_id))));
        }
        if let Some(name) = snapshot.text(self.span_name).filter(|_| self.span_name != 0) {
            texts.push((SPAN_NAME, Cow::Borrowed(name)));
        }
        if self.trace_id != (0, 0) {
            texts.push((names::TRACE_ID, Cow::Owned(format!("{:016x}{:016x}", self.trace_id.0, self.trace_id.1))));
        }
        texts
    }
}
