//! Cutting to size: deep stacks keep their root side, long strings their tail.

use crate::profile::{Profile, StrRef};

/// Keeps the `max` locations of each stack that are next to the root. 0: no limit.
pub(super) fn stacks(profile: &mut Profile, max: u32) {
    if max == 0 {
        return;
    }
    for s in &mut profile.samples {
        s.first_location = s.first_location.max(s.end_location.saturating_sub(max));
    }
}

/// Keeps at most the last `max` bytes of each string, less where that would split a character. 0: no limit.
pub(super) fn strings(profile: &mut Profile, max: u32) {
    if max == 0 {
        return;
    }
    let text = &profile.text;
    let cut = |s: &mut StrRef| {
        if s.len > max {
            *s = tail(text, *s, max);
        }
    };
    for t in profile.sample_types.iter_mut().chain([&mut profile.period_type]) {
        cut(&mut t.kind);
        cut(&mut t.unit);
    }
    cut(&mut profile.default_sample_type);
    for f in &mut profile.functions {
        cut(&mut f.name);
        cut(&mut f.system_name);
        cut(&mut f.filename);
    }
    for m in &mut profile.mappings {
        cut(&mut m.filename);
        cut(&mut m.build_id);
    }
    for l in &mut profile.labels {
        cut(&mut l.key);
        cut(&mut l.text);
    }
}

/// The longest suffix of `s` that has at most `max` bytes and starts with a whole character.
pub(super) fn tail(text: &[u8], s: StrRef, max: u32) -> StrRef {
    let mut len = s.len.min(max);
    let continues = |len: u32| {
        let first = text.get((s.offset + s.len - len) as usize);
        len > 0 && first.is_some_and(|b| b & 0xc0 == 0x80)
    };
    while continues(len) {
        len -= 1;
    }
    if len == 0 { StrRef::default() } else { StrRef { offset: s.offset + s.len - len, len } }
}
