//! Heap profiles out of jemalloc's own sampling, its text dump turned into pprof.
//!
//! Source: the section on heap profiling of jemalloc's manual, and the legacy heap format of gperftools.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::OnceLock;

use flamestore_model::{Fault, Kind};
use tikv_jemalloc_ctl::{profiling, raw};

use super::pprof_bytes::{Frame, PprofBytes};

/// Name of the file the dump goes to, in the scratch directory.
const DUMP_NAME: &str = "heap-profile.dump";
/// Largest dump that is read.
const MAX_DUMP_BYTES: u64 = 256 << 20;

pub(super) fn take(scratch: &Path, now_unix_nanos: i64) -> Result<Vec<u8>, Fault> {
    if !profiling::prof::read().unwrap_or(false) {
        let how = "heap profiling is off: start the process with the variable _RJEM_MALLOC_CONF=prof:true";
        return Err(Fault::new(Kind::Unimplemented, how));
    }
    let failed =
        |e: Box<dyn std::error::Error + Send + Sync>| Fault::internal("the heap profile cannot be taken").caused_by(e);
    let path = dump_path(scratch);
    raw::write_str(b"prof.dump\0", path).map_err(|e| failed(e.to_string().into()))?;
    let name = String::from_utf8_lossy(path.strip_suffix(b"\0").unwrap_or(path)).into_owned();
    let size = std::fs::metadata(&name).map_err(|e| failed(e.into()))?.len();
    if size > MAX_DUMP_BYTES {
        return Err(Fault::internal(format!("the heap dump has {size} bytes, more than {MAX_DUMP_BYTES}")));
    }
    let text = std::fs::read(&name).map_err(|e| failed(e.into()))?;
    // What stays behind is overwritten by the next dump.
    let _ = std::fs::remove_file(&name);
    let dump = parse(&String::from_utf8_lossy(&text))?;
    let mut names = Names::default();
    let types =
        [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];
    let mut out = PprofBytes::new(&types, (("space", "bytes"), i64::try_from(dump.sample_bytes).unwrap_or(i64::MAX)));
    for stack in &dump.stacks {
        let frames: Vec<Frame> = stack.addresses.iter().flat_map(|address| names.of(*address).to_vec()).collect();
        out.sample(without_the_allocator(&frames), &stack.values);
    }
    out.finish(now_unix_nanos, 0)
}

/// The allocator's own frames stand at the leaf of every stack and say nothing.
fn without_the_allocator(frames: &[Frame]) -> &[Frame] {
    let own = |f: &Frame| f.function.starts_with("_rjem_") || f.function.starts_with("prof_");
    let after = frames.iter().take(16).rposition(own).map_or(0, |at| at + 1);
    frames.get(after..).unwrap_or_default()
}

/// jemalloc keeps the name for as long as the process lives, so that there is one for good.
fn dump_path(scratch: &Path) -> &'static [u8] {
    static PATH: OnceLock<Vec<u8>> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut name = scratch.join(DUMP_NAME).as_os_str().as_encoded_bytes().to_vec();
        name.retain(|b| *b != 0);
        name.push(0);
        name
    })
}

/// A dump, scaled from what was sampled to what there is.
#[derive(Debug, PartialEq)]
struct Dump {
    sample_bytes: u64,
    stacks: Vec<Stack>,
}

#[derive(Debug, PartialEq)]
struct Stack {
    /// Return addresses, leaf first.
    addresses: Vec<u64>,
    /// Allocated objects and bytes, objects and bytes in use.
    values: [i64; 4],
}

/// Reads `heap_v2/<interval>`, then stacks `@ 0x… 0x…` each with a line `t*: objects: bytes [objects: bytes]`.
fn parse(text: &str) -> Result<Dump, Fault> {
    let bad = || Fault::internal("the heap dump is not in the format heap_v2");
    let mut lines = text.lines();
    let sample_bytes: u64 =
        lines.next().and_then(|l| l.strip_prefix("heap_v2/")).and_then(|n| n.trim().parse().ok()).ok_or_else(bad)?;
    let mut stacks = Vec::new();
    let mut addresses: Option<Vec<u64>> = None;
    for line in lines.take_while(|l| !l.starts_with("MAPPED_LIBRARIES")) {
        if let Some(stack) = line.strip_prefix("@ ") {
            let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
            addresses = Some(stack.split_whitespace().filter_map(hex).collect());
        } else if let Some(counts) = line.trim_start().strip_prefix("t*:") {
            // The first such line, before any stack, is the sum of all.
            let Some(addresses) = addresses.take() else { continue };
            let numbers: Vec<f64> =
                counts.split([':', '[', ']', ' ']).filter(|w| !w.is_empty()).filter_map(|w| w.parse().ok()).collect();
            let [in_use, in_use_bytes, allocated, allocated_bytes] = numbers[..] else { return Err(bad()) };
            let (o, b) = scale(in_use, in_use_bytes, sample_bytes as f64);
            // Without prof_accum jemalloc counts no past allocations: then those in use are all that is known.
            let (all_o, all_b) = scale(allocated.max(in_use), allocated_bytes.max(in_use_bytes), sample_bytes as f64);
            stacks.push(Stack { addresses, values: [all_o, all_b, o, b] });
        }
    }
    Ok(Dump { sample_bytes, stacks })
}

/// An allocation of `size` bytes is sampled with probability `1 - exp(-size/interval)`; dividing by it makes the sums
/// unbiased.
fn scale(objects: f64, bytes: f64, interval: f64) -> (i64, i64) {
    if objects <= 0.0 || bytes <= 0.0 {
        return (0, 0);
    }
    let factor = if interval <= 1.0 { 1.0 } else { 1.0 / (1.0 - (-(bytes / objects) / interval).exp()) };
    ((objects * factor).round() as i64, (bytes * factor).round() as i64)
}

/// Names of addresses, each looked up once.
#[derive(Default)]
struct Names(HashMap<u64, Vec<Frame>>);

impl Names {
    fn of(&mut self, address: u64) -> &[Frame] {
        self.0.entry(address).or_insert_with(|| {
            let mut frames = Vec::new();
            // A return address stands behind the call: one byte back is inside it.
            backtrace::resolve(address.saturating_sub(1) as *mut c_void, |symbol| {
                frames.push(Frame {
                    function: symbol.name().map_or_else(|| format!("0x{address:x}"), |n| format!("{n:#}")),
                    file: symbol.filename().map(|f| f.display().to_string()).unwrap_or_default(),
                    line: symbol.lineno().unwrap_or(0),
                    address,
                });
            });
            if frames.is_empty() {
                let function = format!("0x{address:x}");
                frames.push(Frame { function, file: String::new(), line: 0, address });
            }
            frames
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_reads_into_unbiased_stacks() {
        let text = "heap_v2/524288\n  t*: 3: 1049600 [0: 0]\n  t0: 3: 1049600 [0: 0]\n@ 0x10 0x20\n  t*: 1: 1024 [0: 0]\n  \
                    t0: 1: 1024 [0: 0]\n@ 0x30\n  t*: 2: 1048576 [4: 2097152]\nMAPPED_LIBRARIES:\n@ 0x99\n";
        let dump = parse(text).unwrap();
        assert_eq!(dump.sample_bytes, 524_288);
        assert_eq!(dump.stacks.len(), 2);
        assert_eq!(dump.stacks[0].addresses, [0x10, 0x20]);
        assert_eq!(dump.stacks[0].values[2], 513, "a small object stands for many");
        assert_eq!(dump.stacks[1].values, [6, 3_317_646, 3, 1_658_823]);
        for bad in ["", "heap_v1/1\n", "heap_v2/1\n@ 0x1\n t*: 1: x\n"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn without_profiling_the_answer_says_how_to_turn_it_on() {
        let fault = take(&std::env::temp_dir(), 0).unwrap_err();
        assert_eq!(fault.kind, Kind::Unimplemented);
        assert!(fault.message.contains("_RJEM_MALLOC_CONF=prof:true"));
    }
}
