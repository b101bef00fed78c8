//! Small profiles written as text, and profiles shown as text.

use std::fmt::Write;

use flamestore_pprof::encode::{Label, Writer};
use flamestore_pprof::{Group, NO_MAPPING, NormalizeOptions, Normalized, Profile, decode};

pub(crate) fn options() -> NormalizeOptions {
    NormalizeOptions::default()
}

/// A profile of one sample type from lines `root;…;leaf value key=text …`.
pub(crate) fn folded(kind: &str, lines: &[&str]) -> Profile {
    let mut w = Writer::new();
    w.sample_type(kind, "count");
    for line in lines {
        let mut words = line.split(' ');
        let stack = words.next().unwrap();
        let locations: Vec<u64> = stack.split(';').filter(|f| !f.is_empty()).rev().map(|f| w.frame(f)).collect();
        let value = words.next().unwrap().parse().unwrap();
        let labels: Vec<Label<'_>> = words
            .map(|word| word.split_once('=').unwrap())
            .map(|(key, text)| match text.parse() {
                Ok(num) if text.len() < 10 => Label::Number { key, num, unit: "" },
                _ => Label::Text { key, text },
            })
            .collect();
        w.sample(&locations, &[value], &labels);
    }
    decode(&w.finish(), 0).unwrap()
}

/// The frames of a location, outermost first: function names, or `binary+address` when there are none.
pub(crate) fn frames(profile: &Profile, location: u32) -> String {
    let l = profile.locations[location as usize];
    let lines = &profile.lines[l.first_line as usize..l.end_line as usize];
    let names: Vec<_> = lines.iter().rev().map(|l| profile.str(profile.functions[l.function as usize].name)).collect();
    let binary = match l.mapping {
        NO_MAPPING => "",
        m => profile.str(profile.mappings[m as usize].filename),
    };
    if names.is_empty() { format!("{binary}+{:#x}", l.address) } else { names.join(",") }
}

pub(crate) fn stack(profile: &Profile, row: u32) -> String {
    let locations = profile.locations_of(&profile.samples[row as usize]).iter().rev();
    locations.map(|l| frames(profile, *l)).collect::<Vec<_>>().join(";")
}

fn row(out: &mut String, profile: &Profile, group: &Group, at: usize) {
    let row = group.rows[at];
    write!(out, "{} {:?}", stack(profile, row), profile.values_of(row as usize)).unwrap();
    match group.span_ids.get(at) {
        Some(id) if *id != 0 => write!(out, " span {id:016x}").unwrap(),
        _ => {}
    }
    match group.trace_ids.get(at) {
        Some(id) if *id != 0 => write!(out, " trace {id:032x}").unwrap(),
        _ => {}
    }
    out.push('\n');
}

/// All that was kept: a line for each group's labels, indented lines for its rows.
pub(crate) fn show(n: &Normalized) -> String {
    let mut out = String::new();
    for group in &n.groups {
        let labels: Vec<_> =
            group.labels.iter().map(|(name, v)| format!("{}={}", n.profile.str(*name), n.profile.str(*v))).collect();
        writeln!(out, "{{{}}}", labels.join(",")).unwrap();
        (0..group.rows.len()).for_each(|at| row(&mut out, &n.profile, group, at));
    }
    out
}

/// Fails when a reference points to nothing or an object is used by nobody.
pub(crate) fn assert_sound(n: &Normalized) {
    let p = &n.profile;
    let mut rows: Vec<u32> = n.groups.iter().flat_map(|g| g.rows.iter().copied()).collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..p.samples.len() as u32).collect::<Vec<_>>(), "each sample is in one group");
    assert_eq!(p.values.len(), p.samples.len() * p.sample_types.len());
    let mut used = vec![false; p.locations.len()];
    for s in &p.samples {
        assert!(!p.locations_of(s).is_empty());
        p.locations_of(s).iter().for_each(|l| used[*l as usize] = true);
    }
    assert!(!used.contains(&false), "a location is unused");
    assert_eq!(p.sample_locations.len(), p.samples.iter().map(|s| p.locations_of(s).len()).sum::<usize>());
    let mut used = (vec![false; p.functions.len()], vec![false; p.mappings.len()]);
    for l in &p.locations {
        let lines = &p.lines[l.first_line as usize..l.end_line as usize];
        lines.iter().for_each(|line| used.0[line.function as usize] = true);
        if l.mapping != NO_MAPPING {
            used.1[l.mapping as usize] = true;
        }
    }
    assert!(!used.0.contains(&false), "a function is unused");
    assert!(!used.1.contains(&false), "a mapping is unused");
    for (row, _) in p.samples.iter().enumerate() {
        assert!(p.values_of(row).iter().all(|v| *v >= 0) && p.values_of(row).iter().any(|v| *v > 0));
    }
    let strings = p.functions.iter().flat_map(|f| [f.name, f.system_name, f.filename]);
    let labels = n.groups.iter().flat_map(|g| g.labels.iter().flat_map(|(a, b)| [*a, *b]));
    for s in strings.chain(labels) {
        assert!(std::str::from_utf8(p.bytes_of(s)).is_ok());
    }
}
