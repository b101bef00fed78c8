//! Reads a file that a person uploaded: pprof, or collapsed text.

use flamestore_flamegraph::{Tree, TreeMerger, fold};
use flamestore_model::{Fault, StackFilter};
use flamestore_pprof::encode::Writer;
use flamestore_pprof::{NormalizeOptions, Profile, Spy, decode, normalize};
use flamestore_symbols::Interner;

/// The largest inflated file, in bytes.
pub(crate) const MAX_INFLATED_BYTES: usize = 64 << 20;

/// One value of a file, merged.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What the file has values of.
    pub(crate) types: Vec<String>,
    /// Which of them `tree` shows.
    pub(crate) chosen: usize,
    pub(crate) unit: String,
    pub(crate) tree: Tree,
    /// Whether the file says nothing of itself, so that its name stands for its type.
    pub(crate) nameless: bool,
}

/// Opens a file; `wanted` names one of its types, otherwise the first is taken.
///
/// # Errors
/// `Invalid` when it is in no known form or broken.
pub(crate) fn open(name: &str, file: &[u8], wanted: Option<&str>) -> Result<Opened, Fault> {
    let collapsed = std::str::from_utf8(file).ok().and_then(collapsed);
    match collapsed {
        Some(pprof) => {
            let tree = merged(decode(&pprof, 0)?, 0)?;
            Ok(Opened { types: vec![name.to_owned()], chosen: 0, unit: String::new(), tree, nameless: true })
        }
        None => {
            let profile = decode(file, MAX_INFLATED_BYTES)
                .map_err(|fault| fault.at(format_args!("{name} is neither a pprof nor collapsed text")))?;
            if profile.period_type.kind.len == 0 {
                return Err(Fault::invalid(format!("{name}: the pprof has no period type")));
            }
            let types: Vec<String> = profile.sample_types.iter().map(|t| profile.str(t.kind).to_owned()).collect();
            let chosen = wanted.and_then(|w| types.iter().position(|t| t == w)).unwrap_or(0);
            let unit = profile.sample_types.get(chosen).map_or("", |t| profile.str(t.unit)).to_owned();
            Ok(Opened { types, chosen, unit, tree: merged(profile, chosen)?, nameless: false })
        }
    }
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
    let options =
        NormalizeOptions { max_depth: 0, max_symbol_bytes: 0, max_inflated_bytes: 0, go: false, spy: Spy::Other };
    let normalized = normalize(profile, &options);
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
        let opened = open("x.folded", b"a;b 3\na;c 4\n\n", None).unwrap();
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
        let total = |wanted| open("x", &file, wanted).unwrap().tree.total();
        assert_eq!((total(None), total(Some("cpu")), total(Some("nope"))), (2, 20, 2));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bad in [&b"\xff\xff\xff"[..], b"", b"hello", b"a;b -3\n"] {
            assert!(open("x", bad, None).is_err(), "{bad:?}");
        }
    }
}
