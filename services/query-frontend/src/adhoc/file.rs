//! Reads a file that a person uploaded: pprof, a rendered flame graph in JSON, collapsed text, or `perf script` text.

use flamestore_flamegraph::{Tree, TreeMerger, fold};
use flamestore_model::{Fault, StackFilter};
use flamestore_pprof::encode::Writer;
use flamestore_pprof::{NormalizeOptions, Profile, decode, normalize};
use flamestore_symbols::Interner;

use crate::adhoc::perf;
use crate::adhoc::rendered::{self, Shown};

/// The largest inflated file, in bytes.
pub(crate) const MAX_INFLATED_BYTES: usize = 64 << 20;

/// Memory that opening a file takes for each byte of it, inflated.
pub(crate) const MEMORY_PER_BYTE: usize = 16;

/// How large a file says it is once it is inflated.
pub(crate) fn told_bytes(file: &[u8]) -> usize {
    flamestore_pprof::told_bytes(file)
}

/// One value of a file, merged.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What the file has values of.
    pub(crate) types: Vec<String>,
    /// Which of them `tree` shows.
    pub(crate) chosen: usize,
    pub(crate) tree: Tree,
    pub(crate) said: Said,
}

/// What a file says of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing, so that its name stands for its type.
    Nothing,
    Unit(String),
    /// How it was shown before.
    Shown {
        units: String,
        sample_rate: u64,
    },
}

/// Opens a file that inflates to `max_bytes` at most; `wanted` names one of its types, otherwise the first is taken.
///
/// # Errors
/// `Invalid` or `Unprocessable` when it is in no known form or broken.
pub(crate) fn open(name: &str, file: &[u8], wanted: Option<&str>, max_bytes: usize) -> Result<Opened, Fault> {
    match std::str::from_utf8(file) {
        Ok(text) if rendered::is_json(text) => of_json(name, text).map_err(|fault| fault.at(name)),
        Ok(text) => match (collapsed(text), perf::read(text)) {
            (Some(pprof), _) => {
                let tree = merged(decode(&pprof, 0)?, 0)?;
                Ok(Opened { types: vec![name.to_owned()], chosen: 0, tree, said: Said::Nothing })
            }
            (None, Some(script)) => {
                let chosen = chosen(&script.events, wanted);
                let tree = merged(decode(&script.pprof(chosen), 0)?, 0)?;
                Ok(Opened { types: script.events, chosen, tree, said: Said::Unit("samples".to_owned()) })
            }
            (None, None) => of_pprof(name, file, wanted, max_bytes),
        },
        Err(_) => of_pprof(name, file, wanted, max_bytes),
    }
}

fn of_json(name: &str, text: &str) -> Result<Opened, Fault> {
    let Shown { tree, name: of_values, units, sample_rate } = rendered::read(text)?;
    let types = vec![if of_values.is_empty() { name.to_owned() } else { of_values }];
    Ok(Opened { types, chosen: 0, tree, said: Said::Shown { units, sample_rate } })
}

fn of_pprof(name: &str, file: &[u8], wanted: Option<&str>, max_bytes: usize) -> Result<Opened, Fault> {
    let profile = decode(file, max_bytes).map_err(|fault| {
        fault.at(format_args!(
            "{name} is neither a pprof, nor a flame graph in JSON, collapsed text or perf script text"
        ))
    })?;
    if profile.sample_types.is_empty() {
        return Err(Fault::invalid(format!("{name}: the pprof does not say what its values are")));
    }
    let types: Vec<String> = profile.sample_types.iter().map(|t| profile.str(t.kind).to_owned()).collect();
    let chosen = chosen(&types, wanted);
    let unit = profile.sample_types.get(chosen).map_or("", |t| profile.str(t.unit)).to_owned();
    Ok(Opened { types, chosen, tree: merged(profile, chosen)?, said: Said::Unit(unit) })
}

fn chosen(types: &[String], wanted: Option<&str>) -> usize {
    wanted.and_then(|wanted| types.iter().position(|t| t == wanted)).unwrap_or(0)
}

/// Lines of `root;…;leaf count` as a pprof. `None`: the text is something else.
fn collapsed(text: &str) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    writer.sample_type("samples", "count");
    let mut any = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (stack, count) = line.rsplit_once(char::is_whitespace)?;
        let count: i64 = count.parse().ok().filter(|n| *n >= 0)?;
        let locations: Vec<u64> = stack.trim().rsplit(';').map(|name| writer.frame(name)).collect();
        writer.sample(&locations, &[count], &[]);
        any = true;
    }
    any.then(|| writer.finish())
}

/// The stacks of one column.
fn merged(profile: Profile, column: usize) -> Result<Tree, Fault> {
    let normalized = normalize(profile, &NormalizeOptions::default());
    let (mut interner, mut stacks) = (Interner::new(), Vec::new());
    interner.intern(&normalized, &mut stacks)?;
    let symbols = interner.symbols();
    let mut sums = vec![0i64; symbols.stacks.parent.len()];
    let rows = normalized.groups.iter().flat_map(|g| g.rows.iter());
    for (row, stack) in rows.zip(&stacks) {
        let value = normalized.profile.values_of(*row as usize).get(column).copied().unwrap_or(0);
        if let Some(sum) = sums.get_mut(*stack as usize) {
            *sum = sum.saturating_add(value);
        }
    }
    let mut by_function = Vec::new();
    fold(&sums, &symbols.stacks.fn_node, &mut by_function);
    let mut merger = TreeMerger::default();
    merger.add(&symbols.strings, &symbols.fn_tree, &by_function, &StackFilter::default());
    Ok(merger.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapsed_text_is_named_after_its_file() {
        let opened = open("x.folded", b"a;b 3\na;c 4\n\n", None, MAX_INFLATED_BYTES).unwrap();
        assert_eq!((opened.types, opened.tree.total()), (vec!["x.folded".to_owned()], 7));
    }

    #[test]
    fn a_pprof_shows_the_type_that_was_asked_for_or_its_first() {
        let mut w = Writer::new();
        w.sample_type("samples", "count");
        w.sample_type("cpu", "nanoseconds");
        w.period("cpu", "nanoseconds", 1);
        let main = w.frame("main");
        w.sample(&[main], &[2, 20], &[]);
        let file = w.finish();
        let total = |wanted| open("x", &file, wanted, MAX_INFLATED_BYTES).unwrap().tree.total();
        assert_eq!((total(None), total(Some("cpu")), total(Some("nope"))), (2, 20, 2));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bad in [&b"\xff\xff\xff"[..], b"", b"hello", b"a;b -3\n", b"{", b"{}", b"x 1 2.5: cycles:\n\tnope\n"] {
            assert!(open("x", bad, None, MAX_INFLATED_BYTES).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_script_shows_the_event_that_was_asked_for() {
        let text =
            b"x 1 1.5: cycles:\n\t1 main (x)\n\nx 1 2.5: faults:\n\t1 main (x)\n\t2 start (x)\n\nx 1 3.5: cycles:\n\n";
        let opened = open("x.txt", text, None, MAX_INFLATED_BYTES).unwrap();
        assert_eq!(
            (opened.types.as_slice(), opened.tree.total()),
            (["cycles", "faults"].map(str::to_owned).as_slice(), 2)
        );
        assert_eq!(open("x.txt", text, Some("faults"), MAX_INFLATED_BYTES).unwrap().tree.total(), 1);
    }

    #[test]
    fn a_flame_graph_says_what_it_shows() {
        let file = br#"{"flamebearer":{"names":["total","a"],"levels":[[0,3,0,0],[0,3,3,1]]},
            "metadata":{"units":"bytes","sampleRate":1}}"#;
        let opened = open("x.json", file, None, MAX_INFLATED_BYTES).unwrap();
        assert_eq!((opened.types, opened.tree.total()), (vec!["x.json".to_owned()], 3));
        assert_eq!(opened.said, Said::Shown { units: "bytes".into(), sample_rate: 1 });
    }
}
