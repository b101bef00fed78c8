//! The head of one service: interned symbols, series, and samples in columns.
//!
//! Hot; measured by `benches/append.rs`.

use flamestore_model::{Annotation, Fault, Fingerprint, Labels, ProfileId, StoredSeries, TimeRange};
use flamestore_pprof::{Group, Normalized, Profile};
use flamestore_symbols::{Interner, Symbols};

use crate::annotations::AnnotationLists;
use crate::samples::{Gathered, Place, SampleStore};
use crate::series::{Row, SeriesTable};

/// Buffers above this many bytes are given back after the profile that needed them.
pub const MAX_IDLE_BUFFER_BYTES: usize = 256 << 10;

/// What an append has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Over all series.
    pub samples: u64,
    /// By how much [`DatasetHead::bytes`] has grown.
    pub bytes: usize,
}

/// The newest profiles of one service of one tenant. Whoever shares it puts a lock around it.
#[derive(Debug, Default)]
pub struct DatasetHead {
    service: String,
    interner: Interner,
    pub(crate) series: SeriesTable,
    pub(crate) samples: SampleStore,
    pub(crate) annotations: AnnotationLists,
    profiles: u64,
    buffers: Buffers,
}

/// Reused from append to append.
#[derive(Debug, Default)]
struct Buffers {
    /// Stack id by row of the pprof.
    stacks: Vec<u32>,
    gathered: Gathered,
}

impl Buffers {
    fn bytes(&self) -> usize {
        self.stacks.capacity() * 4 + self.gathered.bytes()
    }
}

impl DatasetHead {
    pub fn new(service: impl Into<String>) -> Self {
        DatasetHead { service: service.into(), ..Self::default() }
    }

    /// The value of the label `service_name`.
    pub fn service(&self) -> &str {
        &self.service
    }

    pub fn symbols(&self) -> &Symbols {
        self.interner.symbols()
    }

    /// From the first to the last profile; `None` while empty.
    pub fn range(&self) -> Option<TimeRange> {
        self.series.range()
    }

    /// Profiles stored, each sample type counted.
    pub fn profiles(&self) -> u64 {
        self.profiles
    }

    /// Heap bytes held, reserved space and indexes included. Costs a few additions.
    pub fn bytes(&self) -> usize {
        self.service.capacity()
            + self.interner.bytes()
            + self.series.bytes()
            + self.samples.bytes()
            + self.annotations.bytes()
            + self.buffers.bytes()
    }

    /// Stores the named columns of the named groups as one profile for each set of labels. Zero values are dropped; a
    /// series without any other value gets no profile.
    ///
    /// All or nothing: after a fault no query sees anything of it. `Unavailable` means that the head must be cut first.
    pub fn append(
        &mut self,
        normalized: &Normalized,
        time_nanos: i64,
        profile_id: ProfileId,
        stored: &[StoredSeries],
    ) -> Result<Appended, Fault> {
        self.append_annotated(normalized, time_nanos, profile_id, stored, &[])
    }

    /// As [`DatasetHead::append`], with what queries are to tell of the profile.
    pub fn append_annotated(
        &mut self,
        normalized: &Normalized,
        time_nanos: i64,
        profile_id: ProfileId,
        stored: &[StoredSeries],
        annotations: &[Annotation],
    ) -> Result<Appended, Fault> {
        let before = self.bytes();
        let profile = &normalized.profile;
        check_columns(profile, stored)?;
        let groups = used_groups(normalized, stored)?;
        self.series.check_room(stored.len())?;
        self.samples.check_room(stored.len())?;
        let rows = groups.iter().flat_map(|group| group.rows.iter().copied());
        self.interner.intern_rows(profile, rows, &mut self.buffers.stacks)?;

        // From here on nothing fails.
        let annotations = self.annotations.intern(annotations);
        let Buffers { stacks, gathered } = &mut self.buffers;
        let mut of_this_group: Vec<Place> = Vec::new();
        let mut group = None;
        let mut appended = Appended::default();
        let same_labels = SameLabels::of(stored);
        for one in same_labels.iter() {
            gathered.clear();
            for s in one.members.iter().map(|&(_, i)| &stored[i as usize]) {
                gather(profile, &normalized.groups[s.group as usize], s.column as usize, stacks, gathered);
            }
            if gathered.stacks.is_empty() {
                continue;
            }
            // The sample types of one group mostly have values for the same stacks: keep those once.
            if group.replace(one.group) != Some(one.group) {
                of_this_group.clear();
            }
            let same_stacks = of_this_group.iter().find(|place| self.samples.get(place).stacks == gathered.stacks);
            let place = self.samples.put(gathered, same_stacks);
            if same_stacks.is_none() {
                of_this_group.push(place);
            }
            let row = Row {
                time_nanos,
                duration_nanos: profile.duration_nanos,
                profile_id,
                total: gathered.values.iter().fold(0i64, |sum, v| sum.saturating_add(*v)),
                samples: place,
                annotations,
            };
            self.series.push(one.labels, one.fingerprint, row);
            self.profiles += 1;
            appended.samples += gathered.values.len() as u64;
        }
        if self.buffers.bytes() > MAX_IDLE_BUFFER_BYTES {
            self.buffers = Buffers::default();
        }
        appended.bytes = self.bytes().saturating_sub(before);
        Ok(appended)
    }
}

/// What is to be stored, by labels: two groups can come to the same ones, when the labels that told them apart are
/// overruled or dropped. They make one profile.
struct SameLabels<'a> {
    stored: &'a [StoredSeries],
    /// (fingerprint, index in `stored`), equal labels side by side.
    order: Vec<(Fingerprint, u32)>,
}

/// One future profile.
struct OneProfile<'a> {
    labels: &'a Labels,
    fingerprint: Fingerprint,
    /// Of the first member.
    group: u32,
    members: &'a [(Fingerprint, u32)],
}

impl<'a> SameLabels<'a> {
    fn of(stored: &'a [StoredSeries]) -> Self {
        let mut order: Vec<_> = (0u32..).zip(stored).map(|(i, s)| (s.labels.fingerprint(), i)).collect();
        // Comparing labels only tells apart those that share a fingerprint by accident.
        order.sort_by(|a, b| {
            let labels = |i: u32| &stored[i as usize].labels;
            a.0.cmp(&b.0).then_with(|| labels(a.1).cmp(labels(b.1)))
        });
        SameLabels { stored, order }
    }

    /// Group by group.
    fn iter(&self) -> impl Iterator<Item = OneProfile<'_>> {
        let of = |i: u32| &self.stored[i as usize];
        let mut all: Vec<OneProfile<'_>> = self
            .order
            .chunk_by(|a, b| a.0 == b.0 && of(a.1).labels == of(b.1).labels)
            .map(|members| {
                let (fingerprint, first) = members[0];
                OneProfile { labels: &of(first).labels, fingerprint, group: of(first).group, members }
            })
            .collect();
        all.sort_by_key(|one| (one.group, one.members[0].1));
        all.into_iter()
    }
}

/// Adds the rows of a group that have a value in the column.
fn gather(profile: &Profile, group: &Group, column: usize, stacks: &[u32], into: &mut Gathered) {
    let columns = profile.sample_types.len();
    // A group without spans may come after one with them.
    let fill = |into: &mut Gathered| {
        if !into.span_ids.is_empty() || !group.span_ids.is_empty() {
            into.span_ids.resize(into.stacks.len(), 0);
        }
        if !into.trace_ids.is_empty() || !group.trace_ids.is_empty() {
            into.trace_ids.resize(into.stacks.len(), 0);
        }
    };
    fill(into);
    for (k, &row) in group.rows.iter().enumerate() {
        let value = profile.values[row as usize * columns + column];
        if value == 0 {
            continue;
        }
        into.stacks.push(stacks[row as usize]);
        into.values.push(value);
        if let Some(id) = group.span_ids.get(k) {
            into.span_ids.push(*id);
        }
        if let Some(id) = group.trace_ids.get(k) {
            into.trace_ids.push(*id);
        }
    }
    fill(into);
}

fn check_columns(profile: &Profile, stored: &[StoredSeries]) -> Result<(), Fault> {
    let columns = profile.sample_types.len();
    if profile.values.len() != profile.samples.len() * columns {
        return Err(Fault::internal(format!(
            "a decoded profile has {} values for {} samples of {columns} types",
            profile.values.len(),
            profile.samples.len()
        )));
    }
    match stored.iter().find(|s| s.column as usize >= columns) {
        Some(s) => Err(absent("column", s.column, columns)),
        None => Ok(()),
    }
}

/// The groups that something is stored of, each once.
fn used_groups<'a>(normalized: &'a Normalized, stored: &[StoredSeries]) -> Result<Vec<&'a Group>, Fault> {
    let mut used: Vec<u32> = stored.iter().map(|s| s.group).collect();
    used.sort_unstable();
    used.dedup();
    let of = |g: u32| normalized.groups.get(g as usize).ok_or_else(|| absent("group", g, normalized.groups.len()));
    used.into_iter().map(of).collect()
}

#[cold]
fn absent(what: &str, index: u32, len: usize) -> Fault {
    Fault::internal(format!("a stored series names {what} {index} of a profile that has {len}"))
}
