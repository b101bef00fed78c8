//! Normalising: repairs, then only good samples, each stack once per label group, only used objects.
//!
//! Hot: every upload passes here. Bench: `benches/decode.rs`.
//!
//! The steps stand in files of their own, in this order:
//!
//! | step | file | what it does |
//! |---|---|---|
//! | repair | `spy` | function names and sample types as the client's spy should have sent them |
//! | cut | `cut` | stacks to their root side, strings to their tail |
//! | point | `dangling` | finds stacks that point to nothing |
//! | Go names | `go_names` | strips shape type arguments, joins functions and locations that this makes equal |
//! | Go stacks | `go_stacks` | gives stacks that the runtime cut their roots back |
//! | group | `groups` | string labels become groups, span and trace ids columns |
//! | merge | `merge` | drops samples that mean nothing, sums equal ones, packs the columns |
//! | prune | `prune` | drops what no sample uses, and addresses of symbolised mappings |
//!
//! Order matters: Go stacks are mended with the help of all stacks, also of those whose values are zero; equal stacks
//! are summed after they were mended. A profile that needs none of the repairs is only read by their steps.

mod cut;
mod dangling;
mod go_names;
mod go_stacks;
mod groups;
mod merge;
mod prune;
mod spy;
mod text;

use crate::profile::{NormalizeOptions, Normalized, Profile};

/// Normalises a decoded pprof. Never fails; the same profile and options always give the same result.
///
/// What is dropped is counted in [`Normalized::dropped`]. The result has no groups when nothing is left. References are
/// all valid then, sums saturate, rows stand in the order in which the file first shows their stacks.
pub fn normalize(mut profile: Profile, options: &NormalizeOptions) -> Normalized {
    spy::mend(&mut profile, options);
    cut::stacks(&mut profile, options.max_depth);
    cut::strings(&mut profile, options.max_symbol_bytes);
    let dangling = dangling::rows(&profile);
    if options.go {
        go_names::strip(&mut profile);
        go_stacks::mend(&mut profile, &dangling);
    }
    let labelled = groups::by_labels(&profile);
    let (groups, dropped) = merge::merge(&mut profile, &dangling, labelled);
    prune::prune(&mut profile);
    Normalized { profile, groups, dropped }
}
