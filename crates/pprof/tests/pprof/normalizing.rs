//! Each rule of normalising, with an example.

use flamestore_pprof::encode::Writer;
use flamestore_pprof::{Dropped, Mapping, NormalizeOptions, Profile, Spy, decode, normalize};

use crate::decoding::message;
use crate::fixture::{assert_sound, folded, frames, options, show};
use crate::hostile::field;

fn normalized(profile: Profile, options: &NormalizeOptions) -> String {
    let n = normalize(profile, options);
    assert_sound(&n);
    show(&n)
}

fn lines(kind: &str, lines: &[&str]) -> String {
    normalized(folded(kind, lines), &options())
}

#[test]
fn equal_stacks_become_one_sample_in_the_order_of_their_first() {
    assert_eq!(lines("cpu", &["m;b 1", "m;a 2", "m;b 3", "m 4"]), "{}\nm;b [4]\nm;a [2]\nm [4]\n");
}

#[test]
fn sums_stay_at_the_largest_number() {
    let max = format!("a {}", i64::MAX);
    assert_eq!(lines("cpu", &[&max, "a 1"]), format!("{{}}\na [{}]\n", i64::MAX));
}

#[test]
fn samples_that_mean_nothing_are_dropped_and_counted() {
    let n = normalize(folded("cpu", &["a 1", "b 0", "c -1", " 5", "c 0", "a 0"]), &options());
    assert_sound(&n);
    assert_eq!(show(&n), "{}\na [1]\n");
    assert_eq!(n.dropped, Dropped { zero: 3, negative: 1, dangling: 0, stackless: 1 });
    assert_eq!(n.dropped.broken(), 2);
    assert_eq!(n.dropped.to_string(), "3 with zeros only, 1 with a negative value, 1 without a stack");
    assert_eq!(Dropped::default().to_string(), "none");
    assert_eq!(n.profile.functions.len(), 1, "what only they used is gone");
}

#[test]
fn one_negative_value_spoils_a_sample_and_one_positive_saves_it() {
    let mut w = Writer::new();
    w.sample_type("a", "");
    w.sample_type("b", "");
    let f = ["f", "g", "h"].map(|name| w.frame(name));
    w.sample(&f[..1], &[0, 1], &[]);
    w.sample(&f[1..2], &[5, -1], &[]);
    w.sample(&f[2..], &[0, 0], &[]);
    let n = normalize(decode(&w.finish(), 0).unwrap(), &options());
    assert_eq!(show(&n), "{}\nf [0, 1]\n");
    assert_eq!((n.dropped.negative, n.dropped.zero), (1, 1));
}

#[test]
fn nothing_left_means_no_groups() {
    let n = normalize(folded("cpu", &["a 0 k=v"]), &options());
    assert_sound(&n);
    assert!(n.groups.is_empty());
    assert!(normalize(folded("cpu", &[]), &options()).groups.is_empty());
}

#[test]
fn stacks_that_point_to_missing_objects_are_dropped() {
    let line = |function: u64| (4, message(&[(1, function)], &[]));
    let sample = |stack: &[u8], value| field(2, &message(&[(2, value)], &[(1, stack.to_vec())]));
    let bytes = [
        field(1, &message(&[(1, 1)], &[])),
        sample(&[1], 1),
        sample(&[1, 2], 10),
        sample(&[3], 100),
        sample(&[4, 1], 1000),
        sample(&[9], 10_000),
        sample(&[5, 1], 100_000),
        field(4, &message(&[(1, 1)], &[line(1)])),
        field(4, &message(&[(1, 2)], &[line(1), line(7)])),
        field(4, &message(&[(1, 3), (2, 4)], &[line(1)])),
        field(4, &message(&[(1, 4)], &[])),
        field(4, &message(&[(1, 5), (3, 0x40)], &[])),
        field(5, &message(&[(1, 1), (2, 2)], &[])),
        ["", "cpu", "f"].iter().flat_map(|s| field(6, s.as_bytes())).collect(),
    ];
    let n = normalize(decode(&bytes.concat(), 0).unwrap(), &options());
    assert_sound(&n);
    assert_eq!(show(&n), "{}\nf [1]\nf;+0x40 [100000]\n");
    assert_eq!(n.dropped, Dropped { dangling: 4, ..Dropped::default() });
}

#[test]
fn text_labels_make_groups_sorted_by_name_and_numbers_vanish() {
    let text = lines(
        "cpu",
        &[
            "m 1",
            "m 2 zone=z team=q",
            "m 4 team=q zone=z bytes=512",
            "m 8 bytes=512",
            "n 16 team=q zone=z",
            "m 32 team=r",
        ],
    );
    assert_eq!(text, "{}\nm [9]\n{team=q,zone=z}\nm [6]\nn [16]\n{team=r}\nm [32]\n");
}

#[test]
fn of_labels_with_one_name_the_first_text_of_the_file_stays() {
    assert_eq!(lines("cpu", &["m 1 a=x a=y", "m 2 a=y a=x", "m 4 a=y"]), "{a=x}\nm [3]\n{a=y}\nm [4]\n");
}

#[test]
fn span_and_trace_ids_become_columns_and_keep_samples_apart() {
    let text = lines(
        "cpu",
        &[
            "m 1 span_id=00000000000000ab op=x",
            "m 2 profile_id=00000000000000AB op=x trace_id=0123456789abcdef0123456789abcdef",
            "m 4 profile_id=00000000000000ab op=x",
            "m 8 span_id=nohexadecimals!! op=x",
            "m 16 op=x trace_id=abcd",
            "m 32 span_id=00000000000000ac",
        ],
    );
    assert_eq!(
        text,
        "{op=x}\nm [5] span 00000000000000ab\n\
         m [2] span 00000000000000ab trace 0123456789abcdef0123456789abcdef\nm [24]\n\
         {}\nm [32] span 00000000000000ac\n"
    );
    let n = normalize(folded("cpu", &["m 1 op=x", "m 2 span_id=00000000000000ab"]), &options());
    assert!(n.groups[0].span_ids.is_empty(), "no column where no sample has an id");
    assert_eq!((n.groups[1].span_ids.len(), n.groups[1].trace_ids.len()), (1, 0));
}

#[test]
fn deep_stacks_keep_their_root_side() {
    let o = NormalizeOptions { max_depth: 2, ..options() };
    assert_eq!(normalized(folded("cpu", &["a;b;c 1", "a;b 2", "a 4"]), &o), "{}\na;b [3]\na [4]\n");
}

#[test]
fn long_strings_keep_their_tail_from_a_whole_character_on() {
    let o = NormalizeOptions { max_symbol_bytes: 4, ..options() };
    assert_eq!(normalized(folded("ab", &["abcdef 1", "aüéx 2", "abcd 4"]), &o), "{}\ncdef [1]\néx [2]\nabcd [4]\n");
    let o = NormalizeOptions { max_symbol_bytes: 1, ..options() };
    assert_eq!(normalized(folded("a", &["aü 1"]), &o), "{}\n [1]\n");
}

#[test]
fn addresses_go_where_the_mapping_has_functions() {
    let mut w = Writer::new();
    w.sample_type("cpu", "");
    let binary = w.string("app");
    let mapping = |flags| Mapping {
        memory_start: 0x1000,
        memory_limit: 0x2000,
        file_offset: 0x10,
        filename: Default::default(),
        build_id: Default::default(),
        flags,
    };
    let (symbolised, bare) = (w.mapping(&mapping(1), binary, 0), w.mapping(&mapping(2), binary, 0));
    let unused = w.mapping(&mapping(0), 0, 0);
    let stack = [w.location(symbolised, 0x1234, &[], false), w.location(bare, 0x1235, &[], false)];
    let floating = w.location(0, 0x1236, &[], false);
    w.location(unused, 1, &[], false);
    w.sample(&[stack[0], stack[1], floating], &[1], &[]);
    let n = normalize(decode(&w.finish(), 0).unwrap(), &options());
    assert_sound(&n);
    assert_eq!(show(&n), "{}\n+0x1236;app+0x1235;app+0x0 [1]\n");
    let [a, b] = n.profile.mappings[..] else { panic!("two mappings are used") };
    assert_eq!((a.memory_start, a.memory_limit, a.file_offset, a.flags), (0, 0, 0, 1));
    assert_eq!((b.memory_start, b.memory_limit, b.file_offset), (0x1000, 0x2000, 0x10));
}

#[test]
fn shape_arguments_are_stripped_and_what_became_equal_is_joined() {
    let go = NormalizeOptions { go: true, ..options() };
    let stacks = ["main;f[go.shape.int] 1", "main;f[go.shape.string] 2", "main;f 4", "main;f[...] 8", "main;f[int] 16"];
    let n = normalize(folded("samples", &stacks), &go);
    assert_sound(&n);
    assert_eq!(show(&n), "{}\nmain;f [7]\nmain;f[...] [8]\nmain;f[int] [16]\n");
    assert_eq!((n.profile.functions.len(), n.profile.locations.len()), (4, 4));
    assert_eq!(lines("samples", &stacks[..1]), "{}\nmain;f[go.shape.int] [1]\n", "only for Go");
}

#[test]
fn functions_that_differ_by_file_or_line_are_not_joined() {
    let mut w = Writer::new();
    w.sample_type("cpu", "");
    let names = ["f[go.shape.int]", "f[go.shape.uint]"].map(|n| w.string(n));
    let files = ["a.go", "b.go"].map(|n| w.string(n));
    for (at, (name, file, line)) in [(0, 0, 1), (1, 1, 1), (1, 0, 1), (0, 0, 2)].into_iter().enumerate() {
        let f = w.function(names[name], names[name], files[file], 0);
        let l = w.location(0, 0x10, &[(f, line)], false);
        w.sample(&[l], &[1 << at], &[]);
    }
    let n = normalize(decode(&w.finish(), 0).unwrap(), &NormalizeOptions { go: true, ..options() });
    assert_sound(&n);
    assert_eq!(show(&n), "{}\nf [5]\nf [2]\nf [8]\n");
    assert_eq!(n.profile.functions.len(), 2);
}

/// `from;…;to` of a chain of calls, root first.
fn calls(from: u32, to: u32) -> String {
    (from..=to).map(|n| format!("f{n}")).collect::<Vec<_>>().join(";")
}

fn mended(kind: &str, stacks: &[String]) -> Vec<String> {
    let lines: Vec<String> = stacks.iter().enumerate().map(|(at, s)| format!("{s} {}", 1 << at)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let n = normalize(folded(kind, &lines), &NormalizeOptions { go: true, ..options() });
    assert_sound(&n);
    show(&n).lines().skip(1).map(|l| l.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn a_cut_heap_stack_gets_the_root_of_a_stack_it_overlaps_with() {
    let (cut, whole) = (calls(9, 40), calls(1, 30));
    assert_eq!(mended("inuse_space", &[cut.clone(), whole.clone()]), [calls(1, 40), whole.clone()]);
    assert_eq!(mended("alloc_objects", &[whole.clone(), cut.clone()]), [whole.clone(), calls(1, 40)]);
    let too_far = calls(10, 41);
    assert_eq!(mended("inuse_space", &[too_far.clone(), whole.clone()]), [too_far, whole.clone()]);
    assert_eq!(mended("goroutine", &[cut.clone(), whole.clone()]), [cut, whole], "only heap and CPU");
}

#[test]
fn mending_follows_chains_and_helps_equal_tails_alike() {
    let stacks = [calls(13, 44), calls(7, 38), calls(1, 32), calls(13, 43) + ";x"];
    assert_eq!(mended("inuse_space", &stacks), [calls(1, 44), calls(1, 38), calls(1, 32), calls(1, 43) + ";x"]);
}

#[test]
fn profiles_without_stacks_at_the_limit_are_not_mended() {
    let (cut, whole) = (calls(9, 35), calls(1, 27));
    assert_eq!(mended("inuse_space", &[cut.clone(), whole.clone()]), [cut, whole]);
    let (cut, whole, deep) = (calls(9, 40), calls(1, 30), calls(100, 132));
    let stacks = [cut, whole, deep];
    assert_eq!(mended("inuse_space", &stacks), stacks, "a Go without that limit");
    let (cut, whole) = (calls(9, 67), calls(1, 30));
    assert_eq!(mended("cpu", &[cut.clone(), whole.clone()]), [cut, whole.clone()]);
    assert_eq!(mended("cpu", &[calls(9, 68), whole.clone()]), [calls(1, 68), whole]);
}

#[test]
fn stacks_of_zero_still_lend_their_roots() {
    let (cut, whole) = (calls(9, 40) + " 1", calls(1, 30) + " 0");
    let n = normalize(folded("inuse_space", &[&cut, &whole]), &NormalizeOptions { go: true, ..options() });
    assert_eq!(show(&n), format!("{{}}\n{} [1]\n", calls(1, 40)));
}

fn with_files(functions: &[(&str, &str)]) -> Profile {
    let mut w = Writer::new();
    w.sample_type("cpu", "");
    for (at, (file, name)) in functions.iter().enumerate() {
        let (file, name) = (w.string(file), w.string(name));
        let f = w.function(name, name, file, at as i64);
        let l = w.location(0, 0, &[(f, 1)], false);
        w.sample(&[l], &[1 << at], &[]);
    }
    decode(&w.finish(), 0).unwrap()
}

#[test]
fn scripting_spies_get_the_file_before_the_name() {
    let p = with_files(&[("a.rb", "f"), ("/usr/b.rb", "f"), ("a.rb", "f"), ("", "g")]);
    let by = |spy| normalized(p.clone(), &NormalizeOptions { spy, ..options() });
    assert_eq!(by(Spy::Rbspy), "{}\na.rb f [1]\n/usr/b.rb f [2]\na.rb f [4]\n g [8]\n");
    assert_eq!(by(Spy::Scripting), by(Spy::Rbspy));
    assert_eq!(by(Spy::Pyspy), "{}\na.rb f [1]\nf [2]\na.rb f [4]\n g [8]\n", "not for absolute paths");
    let n = normalize(p.clone(), &NormalizeOptions { spy: Spy::Rbspy, ..options() });
    assert_eq!(n.profile.functions.len(), 3, "functions of one name have become one");
    let n = normalize(p, &NormalizeOptions { spy: Spy::Rbspy, max_symbol_bytes: 5, ..options() });
    assert_eq!(frames(&n.profile, 0), ".rb f", "as a whole it is cut to size");
}

#[test]
fn dotnet_types_get_underscores() {
    let n = normalize(folded("inuse-space", &["a 1"]), &NormalizeOptions { spy: Spy::Dotnet, ..options() });
    assert_eq!(n.profile.str(n.profile.sample_types[0].kind), "inuse_space");
}

#[test]
fn a_profile_that_needs_nothing_is_left_as_it_is() {
    let p = folded("cpu", &["a;b 1", "a;c 2"]);
    let n =
        normalize(p.clone(), &NormalizeOptions { max_depth: 1000, max_symbol_bytes: 65_535, go: true, ..options() });
    assert_eq!(n.profile.text, p.text);
    assert_eq!(n.profile.sample_locations, p.sample_locations);
    assert_eq!(n.profile.values, p.values);
    assert_eq!(n.groups.len(), 1);
}
