//! Services that run for a month: the same stacks again and again with other values, and now and then a new one.

use flamestore_clock::{Chance, SeededChance};
use flamestore_pprof::encode::Writer;
use flamestore_proto::push::v1::{PushRequest, RawProfileSeries, RawSample};
use flamestore_proto::types::v1::LabelPair;
use prost::Message;

/// Stacks that a service has from the start.
const STACKS: usize = 4_000;
/// Functions that they are made of.
const FUNCTIONS: u64 = 1_500;
/// Frames of a stack, about.
const DEPTH: u64 = 17;
/// Of how many samples one has a stack that was never seen.
const NOVEL: u64 = 100;
/// A sample stands for so much CPU time.
const PERIOD_NANOS: i64 = 10_000_000;

/// How much there is.
pub(crate) struct Month {
    pub(crate) every_seconds: i64,
    pub(crate) services: usize,
    pub(crate) pods: usize,
    /// Of a profile.
    pub(crate) samples: usize,
}

impl Default for Month {
    fn default() -> Self {
        Month { every_seconds: 120, services: 4, pods: 2, samples: 250 }
    }
}

/// One service; every pod of it runs the same program.
pub(crate) struct Service {
    index: usize,
    samples: usize,
    chance: SeededChance,
    /// Functions of each stack, leaf first.
    stacks: Vec<Vec<u64>>,
}

impl Service {
    pub(crate) fn name(index: usize) -> String {
        format!("service-{index}")
    }

    pub(crate) fn new(index: usize, month: &Month) -> Self {
        let mut service = Service {
            index,
            samples: month.samples,
            chance: SeededChance::new(index as u64 + 1),
            stacks: vec![(0..4).collect()],
        };
        for _ in 1..STACKS {
            let stack = service.new_stack();
            service.stacks.push(stack);
        }
        service
    }

    /// A branch of a known stack, with callees of its own.
    fn new_stack(&mut self) -> Vec<u64> {
        let known = &self.stacks[self.below(self.stacks.len() as u64) as usize];
        let keep = self.below(known.len() as u64) as usize;
        let mut stack = known[keep..].to_vec();
        let more = 1 + self.below(DEPTH * 2 - (stack.len() as u64).min(DEPTH * 2 - 1));
        let leaves: Vec<u64> = (0..more).map(|_| self.below(FUNCTIONS)).collect();
        stack.splice(0..0, leaves);
        stack
    }

    /// A push request, and the sum of its values.
    pub(crate) fn upload(&mut self, pod: usize, at: i64) -> (Vec<u8>, i64) {
        let mut out = Writer::new();
        out.sample_type("samples", "count");
        out.sample_type("cpu", "nanoseconds");
        out.period("cpu", "nanoseconds", PERIOD_NANOS);
        out.time_nanos(at * 1_000_000_000);
        out.duration_nanos(10_000_000_000);
        let mut total = 0;
        for _ in 0..self.samples {
            // Most samples fall on few stacks.
            let (a, b) = (self.below(STACKS as u64), self.below(STACKS as u64));
            let mut stack = (a * b / STACKS as u64) as usize;
            if self.below(NOVEL) == 0 {
                let new = self.new_stack();
                stack = self.stacks.len();
                self.stacks.push(new);
            }
            let count = 1 + self.below(4) as i64 * self.below(4) as i64;
            let frames: Vec<u64> = self.stacks[stack].iter().map(|f| out.frame(&function(*f))).collect();
            out.sample(&frames, &[count, count * PERIOD_NANOS], &[]);
            total += count * PERIOD_NANOS;
        }
        // They are seen once: keeping them would make of them stacks like the others.
        self.stacks.truncate(STACKS);
        let labels = [
            ("__name__", "process_cpu".to_owned()),
            ("service_name", Self::name(self.index)),
            ("namespace", "shop".to_owned()),
            ("pod", format!("{}-{pod}", Self::name(self.index))),
        ];
        let series = RawProfileSeries {
            labels: labels.into_iter().map(|(name, value)| LabelPair { name: name.to_owned(), value }).collect(),
            samples: vec![RawSample { raw_profile: out.finish().into(), id: String::new() }],
            annotations: Vec::new(),
        };
        (PushRequest { series: vec![series] }.encode_to_vec(), total)
    }

    fn below(&self, bound: u64) -> u64 {
        self.chance.next_u64() % bound.max(1)
    }
}

fn function(id: u64) -> String {
    format!("github.com/example/shop/internal/package{}.(*Type{}).Method{id}", id % 40, id % 300)
}
