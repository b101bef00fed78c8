//! Pprofs that look like those of a Go service: 163 samples, 17 frames deep, 2 to 4 sample types, and about 500
//! locations of 380 functions.

use flamestore_model::{Labels, StoredSeries};
use flamestore_pprof::profile::{Function, Line, Location, Mapping, Sample, StrRef};
use flamestore_pprof::{Group, Normalized, Profile};

pub(crate) const SAMPLES: usize = 163;
pub(crate) const DEPTH: usize = 17;

/// A small generator (splitmix64), so that every run sees the same profiles.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A service: its call tree, of which each profile shows some stacks.
pub(crate) struct Service {
    /// Root first, as numbers of code places.
    stacks: Vec<Vec<u32>>,
}

impl Service {
    /// With about `stacks` different stacks. Stacks branch off one another near the leaf, as real ones do.
    pub(crate) fn new(stacks: usize) -> Self {
        let mut chance = Chance(7);
        let mut all: Vec<Vec<u32>> = Vec::new();
        for _ in 0..stacks {
            let mut stack = match all.len() as u64 {
                0 => Vec::new(),
                n => all[chance.below(n) as usize].clone(),
            };
            stack.truncate(DEPTH - 1 - chance.below(5) as usize);
            while stack.len() < DEPTH {
                stack.push(chance.below(stacks as u64) as u32);
            }
            all.push(stack);
        }
        Service { stacks: all }
    }

    /// One pprof with `types` sample types. As in heap profiles, the first half of the types have a value for every
    /// sample, the others for a third of them.
    pub(crate) fn profile(&self, chance: &mut Chance, types: usize) -> Normalized {
        let mut b = Builder::default();
        for _ in 0..SAMPLES {
            let stack = &self.stacks[chance.below(self.stacks.len() as u64) as usize];
            let live = chance.below(3) == 0;
            let values: Vec<i64> = (0..types)
                .map(|t| if t < types.div_ceil(2) || live { 1 + chance.below(1 << 24) as i64 } else { 0 })
                .collect();
            b.sample(stack, &values);
        }
        b.finish(types)
    }
}

/// Names all sample types of the only group, with labels as a scraped pod has them.
pub(crate) fn series(pod: usize, types: usize) -> Vec<StoredSeries> {
    (0..types)
        .map(|column| StoredSeries {
            labels: Labels::from_pairs([
                ("__name__", "memory".to_string()),
                ("__profile_type__", profile_type(column)),
                ("__type__", format!("type{column}")),
                ("__unit__", "bytes".into()),
                ("__service_name__", "checkout".into()),
                ("service_name", "checkout".into()),
                ("namespace", "shop".into()),
                ("cluster", "eu-west-1".into()),
                ("pod", format!("checkout-6d4cf56db6-{pod:05}")),
                ("version", "v1.2.3".into()),
            ]),
            group: 0,
            column: column as u32,
        })
        .collect()
}

pub(crate) fn profile_type(column: usize) -> String {
    format!("memory:type{column}:bytes:space:bytes")
}

#[derive(Default)]
struct Builder {
    profile: Profile,
    /// (place, index of its location or function).
    locations: std::collections::HashMap<u32, u32>,
    functions: std::collections::HashMap<u32, u32>,
    files: std::collections::HashMap<u32, StrRef>,
}

impl Builder {
    fn text(&mut self, text: &str) -> StrRef {
        let offset = self.profile.text.len() as u32;
        self.profile.text.extend_from_slice(text.as_bytes());
        StrRef { offset, len: text.len() as u32 }
    }

    fn sample(&mut self, root_first: &[u32], values: &[i64]) {
        let first_location = self.profile.sample_locations.len() as u32;
        for place in root_first.iter().rev() {
            let location = self.location(*place);
            self.profile.sample_locations.push(location);
        }
        let end_location = self.profile.sample_locations.len() as u32;
        self.profile.samples.push(Sample { first_location, end_location, first_label: 0, end_label: 0 });
        self.profile.values.extend_from_slice(values);
    }

    /// Every third place is a line of one of a few popular functions; every eighth has one of them inlined.
    fn location(&mut self, place: u32) -> u32 {
        if let Some(known) = self.locations.get(&place) {
            return *known;
        }
        let first_line = self.profile.lines.len() as u32;
        if place.is_multiple_of(8) {
            let function = self.function(place / 8 % 61);
            self.profile.lines.push(Line { function, line: 12 });
        }
        let function = self.function(if place.is_multiple_of(3) { place % 97 } else { place });
        self.profile.lines.push(Line { function, line: i64::from(place % 400) });
        let end_line = self.profile.lines.len() as u32;
        let id = self.profile.locations.len() as u32;
        let address = 0x40_0000 + u64::from(place) * 37;
        self.profile.locations.push(Location { mapping: 0, address, is_folded: false, first_line, end_line });
        self.locations.insert(place, id);
        id
    }

    fn function(&mut self, number: u32) -> u32 {
        if let Some(known) = self.functions.get(&number) {
            return *known;
        }
        let package = number / 7;
        let name = self
            .text(&format!("github.com/acme/checkout/internal/package{package:04}.(*Handler).serveRequest{number}"));
        let filename = match self.files.get(&package) {
            Some(known) => *known,
            None => {
                let file = self.text(&format!("/home/runner/work/checkout/internal/package{package:04}/handler.go"));
                self.files.insert(package, file);
                file
            }
        };
        let id = self.profile.functions.len() as u32;
        self.profile.functions.push(Function {
            name,
            system_name: name,
            filename,
            start_line: i64::from(number % 900),
        });
        self.functions.insert(number, id);
        id
    }

    fn finish(mut self, types: usize) -> Normalized {
        let filename = self.text("/usr/bin/checkout");
        let build_id = self.text("0123456789abcdef");
        let mapping =
            Mapping { memory_start: 0x40_0000, memory_limit: 0x200_0000, file_offset: 0, filename, build_id, flags: 7 };
        self.profile.mappings.push(mapping);
        self.profile.sample_types = vec![Default::default(); types];
        self.profile.duration_nanos = 15_000_000_000;
        let group = Group { rows: (0..self.profile.samples.len() as u32).collect(), ..Group::default() };
        Normalized { profile: self.profile, groups: vec![group], ..Normalized::default() }
    }
}
