use flamestore_model::Kind;
use flamestore_pprof::profile::{self as pb, StrRef};
use flamestore_pprof::{Group, Normalized, Profile};
use proptest::prelude::*;

use super::*;

/// A location as a test writes it: (mapping, address, lines as (function, line)).
type Place = (Option<u8>, u64, Vec<(u8, i64)>);

/// A profile with one value column. Function `i` is `fn{i % 5}` of file `f{i % 3}.go`; mapping `i` is `/bin/m{i}`.
fn profile(places: &[Place], stacks: &[Vec<u8>]) -> Normalized {
    let mut p = Profile::default();
    p.sample_types.push(Default::default());
    let text = |p: &mut Profile, s: &str| {
        let offset = p.text.len() as u32;
        p.text.extend_from_slice(s.as_bytes());
        StrRef { offset, len: s.len() as u32 }
    };
    for i in 0..8 {
        let name = text(&mut p, &format!("fn{}", i % 5));
        let filename = text(&mut p, &format!("f{}.go", i % 3));
        p.functions.push(pb::Function { name, system_name: name, filename, start_line: i });
        let filename = text(&mut p, &format!("/bin/m{i}"));
        p.mappings.push(pb::Mapping {
            memory_start: 0,
            memory_limit: 1 << 20,
            file_offset: 0,
            filename,
            build_id: StrRef::default(),
            flags: 7,
        });
    }
    for (mapping, address, lines) in places {
        let first_line = p.lines.len() as u32;
        p.lines.extend(lines.iter().map(|(f, line)| pb::Line { function: u32::from(*f % 8), line: *line }));
        p.locations.push(pb::Location {
            mapping: mapping.map_or(pb::NO_MAPPING, |m| u32::from(m % 8)),
            address: *address,
            is_folded: false,
            first_line,
            end_line: p.lines.len() as u32,
        });
    }
    for stack in stacks {
        let first_location = p.sample_locations.len() as u32;
        p.sample_locations.extend(stack.iter().map(|l| u32::from(*l) % places.len() as u32));
        let end_location = p.sample_locations.len() as u32;
        p.samples.push(pb::Sample { first_location, end_location, first_label: 0, end_label: 0 });
        p.values.push(1);
    }
    let group = Group { rows: (0..stacks.len() as u32).collect(), ..Group::default() };
    Normalized { profile: p, groups: vec![group], ..Normalized::default() }
}

/// Leaf first, one text a location, with all that tells locations apart.
fn stack_in_tables(s: &Symbols, mut node: u32) -> Vec<String> {
    let mut out = Vec::new();
    while node != ROOT {
        let id = s.stacks.location[node as usize];
        let l = s.locations[id as usize];
        let mapping = (l.mapping != NO_MAPPING).then(|| s.strings.get(s.mappings[l.mapping as usize].filename));
        let lines: Vec<_> = s
            .lines_of(id)
            .iter()
            .map(|line| {
                let f = s.functions[line.function as usize];
                (
                    s.strings.get(f.name),
                    s.strings.get(f.system_name),
                    s.strings.get(f.filename),
                    f.start_line,
                    line.line,
                )
            })
            .collect();
        out.push(format!("{:?} {} {:?}", mapping, l.address, lines));
        assert!(s.stacks.parent[node as usize] < node, "a parent comes before its child");
        node = s.stacks.parent[node as usize];
    }
    out
}

fn stack_in_profile(p: &Profile, row: usize) -> Vec<String> {
    let one = |&l: &u32| {
        let l = p.locations[l as usize];
        let mapping = (l.mapping != pb::NO_MAPPING).then(|| p.str(p.mappings[l.mapping as usize].filename));
        let lines: Vec<_> = p.lines[l.first_line as usize..l.end_line as usize]
            .iter()
            .map(|line| {
                let f = p.functions[line.function as usize];
                (p.str(f.name), p.str(f.system_name), p.str(f.filename), f.start_line, line.line)
            })
            .collect();
        format!("{:?} {} {:?}", mapping, l.address, lines)
    };
    p.locations_of(&p.samples[row]).iter().map(one).collect()
}

/// The names on the way from the root of the function tree.
fn names_to(s: &Symbols, mut node: u32) -> Vec<String> {
    let mut out = Vec::new();
    while node != ROOT {
        out.push(s.strings.get(s.fn_tree.name[node as usize]).to_string());
        node = s.fn_tree.parent[node as usize];
    }
    out.reverse();
    out
}

fn names_in_profile(p: &Profile, row: usize) -> Vec<String> {
    let mut out = Vec::new();
    for &l in p.locations_of(&p.samples[row]).iter().rev() {
        let l = p.locations[l as usize];
        let lines = &p.lines[l.first_line as usize..l.end_line as usize];
        if lines.is_empty() {
            let binary = match l.mapping {
                pb::NO_MAPPING => "unknown",
                m => p.str(p.mappings[m as usize].filename).trim_start_matches("/bin/"),
            };
            out.push(format!("{binary}+0x{:x}", l.address));
        }
        out.extend(lines.iter().rev().map(|line| p.str(p.functions[line.function as usize].name).to_string()));
    }
    out
}

fn places() -> impl Strategy<Value = Vec<Place>> {
    let line = (0..8u8, 0..2i64);
    let place = (prop::option::of(0..3u8), 0..4u64, prop::collection::vec(line, 0..3));
    prop::collection::vec(place, 1..12)
}

fn stacks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..12u8, 0..9), 0..40)
}

fn all_distinct<T: PartialEq + std::fmt::Debug>(rows: &[T]) {
    for (i, row) in rows.iter().enumerate() {
        assert!(!rows[..i].contains(row), "{row:?} is there twice");
    }
}

proptest! {
    #[test]
    fn a_stack_id_means_the_stack_of_the_profile(a in places(), sa in stacks(), b in places(), sb in stacks()) {
        let mut interner = Interner::new();
        let mut again = Interner::new();
        let (mut ids, mut same) = (Vec::new(), Vec::new());
        let mut by_stack = std::collections::HashMap::new();
        for n in [profile(&a, &sa), profile(&b, &sb), profile(&a, &sa)] {
            interner.intern(&n, &mut ids).unwrap();
            again.intern(&n, &mut same).unwrap();
            prop_assert_eq!(&ids, &same, "ids depend on nothing but the order");
            let s = interner.symbols();
            for (row, &id) in ids.iter().enumerate() {
                let stack = stack_in_profile(&n.profile, row);
                prop_assert_eq!(&stack_in_tables(s, id), &stack);
                prop_assert_eq!(names_to(s, s.stacks.fn_node[id as usize]), names_in_profile(&n.profile, row));
                prop_assert_eq!(*by_stack.entry(stack).or_insert(id), id, "a stack has one id");
            }
        }
        let s = interner.symbols();
        all_distinct(&(0..s.strings.len() as u32).map(|i| s.strings.get(i)).collect::<Vec<_>>());
        all_distinct(&s.functions);
        all_distinct(&s.mappings);
        all_distinct(&s.stacks.parent.iter().zip(&s.stacks.location).collect::<Vec<_>>());
        all_distinct(&s.fn_tree.parent.iter().zip(&s.fn_tree.name).collect::<Vec<_>>());
    }
}

#[test]
fn known_stacks_need_no_new_bytes() {
    let places: Vec<Place> = (0..12).map(|i| (Some(0), i, vec![(i as u8, 1)])).collect();
    let stacks: Vec<Vec<u8>> = (0..200u8).map(|i| vec![i % 12, i / 12, i % 5]).collect();
    let mut interner = Interner::new();
    let mut ids = Vec::new();
    interner.intern(&profile(&places, &stacks), &mut ids).unwrap();
    let bytes = interner.bytes();
    let nodes = interner.symbols().stacks.parent.len();
    interner.intern(&profile(&places, &stacks), &mut ids).unwrap();
    assert_eq!(interner.bytes(), bytes);
    assert_eq!(interner.symbols().stacks.parent.len(), nodes);
}

#[test]
fn rows_not_asked_for_leave_nothing_behind() {
    let n = profile(&[(None, 1, vec![]), (None, 2, vec![])], &[vec![0], vec![1]]);
    let mut interner = Interner::new();
    let mut ids = Vec::new();
    interner.intern_rows(&n.profile, [1], &mut ids).unwrap();
    assert_eq!(ids, [NOT_INTERNED, 1]);
    assert_eq!(interner.symbols().locations.len(), 1);
    assert_eq!(names_to(interner.symbols(), 1), ["unknown+0x2"]);
}

#[test]
fn a_full_table_is_a_fault_that_says_to_cut_and_keeps_what_it_has() {
    let places: Vec<Place> = (0..12).map(|i| (Some(0), i, vec![(i as u8, 1)])).collect();
    for bounds in [Bounds { text_bytes: 30, ..Bounds::default() }, Bounds { rows: 6, ..Bounds::default() }] {
        let mut interner = Interner::with_bounds(bounds);
        let mut ids = Vec::new();
        interner.intern(&profile(&places, &[vec![0]]), &mut ids).unwrap();
        let fault = interner.intern(&profile(&places, &[vec![0], (0..12).collect()]), &mut ids).unwrap_err();
        assert_eq!(fault.kind, Kind::Unavailable);
        assert!(fault.message.contains("cut"), "{fault}");
        interner.intern(&profile(&places, &[vec![0]]), &mut ids).unwrap();
        assert_eq!(names_to(interner.symbols(), interner.symbols().stacks.fn_node[ids[0] as usize]), ["fn0"]);
    }
}

#[test]
fn the_cache_stays_within_its_bound() {
    let mut cache = StackCache::default();
    for i in 1..1_000_000u32 {
        cache.put(hash_of(&[i]), i);
    }
    assert_eq!(cache.bytes(), stack_cache::MAX_CACHED_STACKS * 8);
}
