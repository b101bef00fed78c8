//! What certain clients are known to send wrong, mended before anything else looks at the profile.
//!
//! Behaviour of the peer: `/ingest` rewrites profiles of these spies so that flame graphs of scripting languages tell
//! functions of different files apart.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{cut, text};
use crate::profile::{MISSING, NormalizeOptions, Profile, Spy, StrRef};

/// Joining names may write this many times the file's size: file names are shared, so a small file could otherwise ask
/// for gigabytes. Functions beyond it keep their names.
const MAX_JOINED_SHARE: usize = 4;
/// What any file may write, in bytes.
const MIN_JOINED_BYTES: usize = 1 << 20;

pub(super) fn mend(profile: &mut Profile, options: &NormalizeOptions) {
    match options.spy {
        Spy::Other => {}
        Spy::Pyspy | Spy::Rbspy | Spy::Scripting => {
            prefix_names(profile, options.spy == Spy::Pyspy, options.max_symbol_bytes);
        }
        Spy::Dotnet => underscore_types(profile),
    }
}

/// Makes `«filename» «name»` of each function's name; functions that then have one name become one.
fn prefix_names(profile: &mut Profile, keep_absolute: bool, max_symbol_bytes: u32) {
    let mut joiner = Joiner {
        budget: profile.text.len().saturating_mul(MAX_JOINED_SHARE).max(MIN_JOINED_BYTES),
        max_symbol_bytes,
        texts: text::Texts::default(),
        function_of: HashMap::default(),
    };
    // By old index: the function that stands for it.
    let mut instead: Vec<Option<u32>> = vec![None; profile.functions.len()];
    for at in 0..profile.lines.len() {
        let index = profile.lines[at].function;
        if index == MISSING {
            continue;
        }
        let replacement = match instead[index as usize] {
            Some(known) => known,
            None => {
                let absolute = profile.bytes_of(profile.functions[index as usize].filename).starts_with(b"/");
                if keep_absolute && absolute { index } else { joiner.rename(profile, index) }
            }
        };
        instead[index as usize] = Some(replacement);
        profile.lines[at].function = replacement;
    }
}

struct Joiner {
    /// Bytes that may still be written, also those that turn out to be known.
    budget: usize,
    max_symbol_bytes: u32,
    texts: text::Texts,
    /// By joined name: the first function that has it.
    function_of: HashMap<StrRef, u32, RandomState>,
}

impl Joiner {
    /// Renames a function. Returns the one that stands for it.
    fn rename(&mut self, profile: &mut Profile, index: u32) -> u32 {
        let function = profile.functions[index as usize];
        let Some(name) = self.join(&mut profile.text, function.filename, function.name) else { return index };
        let known = self.texts.intern(&profile.text, name);
        if known != name {
            profile.text.truncate(name.offset as usize);
        }
        let first = *self.function_of.entry(known).or_insert(index);
        profile.functions[first as usize].name = known;
        first
    }

    /// Appends `«a» «b»`, or as much of its tail as is kept.
    fn join(&mut self, text: &mut Vec<u8>, a: StrRef, b: StrRef) -> Option<StrRef> {
        self.budget = self.budget.checked_sub(a.len as usize + 1 + b.len as usize)?;
        let start = text.len();
        text.extend_from_within(text::range(a));
        text.push(b' ');
        text.extend_from_within(text::range(b));
        let whole = text::appended(text, start)?;
        Some(if self.max_symbol_bytes != 0 { cut::tail(text, whole, self.max_symbol_bytes) } else { whole })
    }
}

/// `-` in sample types becomes `_`. The ids of the functions were mended by decoding.
fn underscore_types(profile: &mut Profile) {
    for at in 0..profile.sample_types.len() {
        let old = profile.sample_types[at].kind;
        if !profile.bytes_of(old).contains(&b'-') {
            continue;
        }
        let start = profile.text.len();
        profile.text.extend_from_within(text::range(old));
        let Some(new) = text::appended(&mut profile.text, start) else { return };
        profile.text[start..].iter_mut().filter(|b| **b == b'-').for_each(|b| *b = b'_');
        // Every use of the string is meant, as the names of a default or period type must go on matching.
        for t in profile.sample_types.iter_mut().chain([&mut profile.period_type]) {
            [&mut t.kind, &mut t.unit].into_iter().filter(|s| **s == old).for_each(|s| *s = new);
        }
        if profile.default_sample_type == old {
            profile.default_sample_type = new;
        }
    }
}
