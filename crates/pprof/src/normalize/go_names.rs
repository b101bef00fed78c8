//! Go's shape type arguments, stripped from function names.
//!
//! Go compiles one body for all type arguments of the same memory shape and names it `f[go.shape.int]`. Which of the
//! shapes a profile shows is a matter of chance (golang/go#64528), so that one function appears as several. Stripping
//! makes them one. The `[...]` that Go writes itself is kept.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use memchr::memmem::Finder;
use memchr::{memchr, memchr2_iter};

use super::text::{self, Texts};
use crate::profile::{Function, Line, Location, MISSING, Profile, StrRef};
use crate::triple;

const SHAPE: &[u8] = b"[go.shape.";

/// Strips the names, then joins functions, and locations, that have become equal. Index order stays that of the first
/// of the equals.
pub(super) fn strip(profile: &mut Profile) {
    // Most profiles have none, which is cheaper to see than to ask of each name.
    if !triple::contains(&profile.text, [SHAPE[0], SHAPE[1], SHAPE[2]]) {
        return;
    }
    let mut names = Names::default();
    for at in 0..profile.functions.len() {
        let Function { name, system_name, .. } = profile.functions[at];
        names.learn(&mut profile.text, name);
        if system_name != name {
            names.learn(&mut profile.text, system_name);
        }
    }
    if names.stripped.is_empty() {
        return;
    }
    let joined = join_functions(profile, &mut names);
    if joined.contains(&true) {
        join_locations(profile, &joined);
    }
}

/// What each name becomes. Looks at the text of each string once, however many functions share it.
#[derive(Default)]
struct Names {
    fates: HashMap<StrRef, Fate, RandomState>,
    /// Names that lost something, each text once.
    stripped: Texts,
    /// Bit `len % 64` for the length of each of them: most names can be told apart by that alone.
    stripped_lengths: u64,
}

#[derive(Clone, Copy)]
enum Fate {
    /// It has no shape arguments.
    Unshaped,
    /// It has none, and no stripped name equals it.
    Alone,
    /// It becomes this stripped name, or always was equal to it.
    Stripped(StrRef),
}

impl Names {
    /// First for all names: strips those that need it.
    fn learn(&mut self, text: &mut Vec<u8>, name: StrRef) {
        if self.fates.contains_key(&name) {
            return;
        }
        let mut fate = Fate::Unshaped;
        if let Some(short) = without_shapes(text::bytes(text, name)) {
            let start = text.len();
            text.extend_from_slice(&short);
            if let Some(new) = text::appended(text, start) {
                let stripped = self.stripped.intern(text, new);
                self.stripped_lengths |= length_bit(new);
                if stripped != new {
                    text.truncate(start);
                }
                fate = Fate::Stripped(stripped);
            }
        }
        self.fates.insert(name, fate);
    }

    /// Then, when all are known: what the name becomes, and whether that is a stripped name. A name that needed nothing
    /// may equal a stripped one; it then becomes that string, so that equal names are the same string.
    fn settle(&mut self, text: &[u8], name: StrRef) -> (StrRef, bool) {
        let fate = self.fates.entry(name).or_insert(Fate::Unshaped);
        if let Fate::Unshaped = fate {
            let could_be = self.stripped_lengths & length_bit(name) != 0;
            let equal = if could_be { self.stripped.find(text, name) } else { None };
            *fate = equal.map_or(Fate::Alone, Fate::Stripped);
        }
        match *fate {
            Fate::Stripped(stripped) => (stripped, true),
            Fate::Unshaped | Fate::Alone => (name, false),
        }
    }
}

fn length_bit(name: StrRef) -> u64 {
    1 << (name.len % 64)
}

/// The name without its shape arguments, brackets inside them counted; `None` when it has none. An argument that does
/// not end (in a name cut to size) is kept.
fn without_shapes(name: &[u8]) -> Option<Vec<u8>> {
    // Cheaper than the search for the whole word, and nearly always the end.
    memchr(SHAPE[0], name)?;
    let mut kept = Vec::new();
    let mut rest = name;
    let shape = Finder::new(SHAPE);
    while let Some(start) = shape.find(rest) {
        let Some(len) = bracketed(&rest[start..]) else { break };
        kept.extend_from_slice(&rest[..start]);
        rest = &rest[start + len..];
    }
    if rest.len() == name.len() {
        return None;
    }
    kept.extend_from_slice(rest);
    Some(kept)
}

/// Length of the bracketed text at the start of `s`. Shapes of structs run to hundreds of bytes, so only brackets are
/// looked at.
fn bracketed(s: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    for at in memchr2_iter(b'[', b']', s) {
        depth = if s[at] == b'[' { depth + 1 } else { depth.checked_sub(1)? };
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Gives functions their settled names and lets lines name the first of equal ones. Returns which functions stand for
/// another one too.
fn join_functions(profile: &mut Profile, names: &mut Names) -> Vec<bool> {
    let hasher = RandomState::default();
    let key = |f: &Function| (f.name, f.system_name, f.filename, f.start_line);
    let hash = |f: &Function| hasher.hash_one(key(f));
    let mut joined = vec![false; profile.functions.len()];
    let mut instead: Vec<u32> = (0..profile.functions.len() as u32).collect();
    let mut firsts: HashTable<u32> = HashTable::new();
    for (at, instead) in instead.iter_mut().enumerate() {
        let function = &mut profile.functions[at];
        let (name, may_be_joined) = names.settle(&profile.text, function.name);
        function.system_name = if function.system_name == function.name {
            name
        } else {
            names.settle(&profile.text, function.system_name).0
        };
        function.name = name;
        if !may_be_joined {
            continue;
        }
        let (functions, function) = (&profile.functions, profile.functions[at]);
        match firsts.find(hash(&function), |first| key(&functions[*first as usize]) == key(&function)) {
            Some(&first) => {
                joined[first as usize] = true;
                *instead = first;
            }
            None => drop(firsts.insert_unique(hash(&function), at as u32, |f| hash(&functions[*f as usize]))),
        }
    }
    for line in profile.lines.iter_mut().filter(|l| l.function != MISSING) {
        line.function = instead[line.function as usize];
    }
    joined
}

/// Lets stacks name the first of equal locations, and drops the others.
fn join_locations(profile: &mut Profile, joined: &[bool]) {
    let hasher = RandomState::default();
    let lines = &profile.lines;
    let lines_of = |l: &Location| lines.get(l.first_line as usize..l.end_line as usize).unwrap_or_default();
    let key_of_line = |l: &Line| (l.function, l.line);
    let hash = |l: &Location| {
        let of_lines = lines_of(l).iter().fold(0, |h: u64, line| hasher.hash_one((h, key_of_line(line))));
        hasher.hash_one((l.address, l.mapping, of_lines))
    };
    let same = |a: &Location, b: &Location| {
        (a.address, a.mapping) == (b.address, b.mapping)
            && lines_of(a).iter().map(key_of_line).eq(lines_of(b).iter().map(key_of_line))
    };
    let mut instead: Vec<u32> = Vec::with_capacity(profile.locations.len());
    let mut kept: Vec<Location> = Vec::with_capacity(profile.locations.len());
    let mut firsts: HashTable<u32> = HashTable::new();
    for location in &profile.locations {
        let changed = lines_of(location).iter().any(|l| joined.get(l.function as usize) == Some(&true));
        let next = kept.len() as u32;
        if changed {
            let hashed = hash(location);
            if let Some(&first) = firsts.find(hashed, |first| same(&kept[*first as usize], location)) {
                instead.push(first);
                continue;
            }
            kept.push(*location);
            firsts.insert_unique(hashed, next, |first| hash(&kept[*first as usize]));
        } else {
            kept.push(*location);
        }
        instead.push(next);
    }
    if kept.len() == profile.locations.len() {
        return;
    }
    for location in profile.sample_locations.iter_mut().filter(|l| **l != MISSING) {
        *location = instead[*location as usize];
    }
    profile.locations = kept;
}

#[cfg(test)]
mod tests {
    use super::without_shapes;

    fn stripped(name: &str) -> String {
        let bytes = without_shapes(name.as_bytes()).unwrap_or_else(|| name.as_bytes().to_vec());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn shape_arguments_go_and_everything_else_stays() {
        assert_eq!(stripped("slices.SortFunc[go.shape.[]int,go.shape.int]"), "slices.SortFunc");
        assert_eq!(stripped("main.(*T[go.shape.int]).Do.func1"), "main.(*T).Do.func1");
        assert_eq!(stripped("a[go.shape.int].b[go.shape.struct { x [4]int }].c"), "a.b.c");
        assert_eq!(stripped("a[...].b"), "a[...].b");
        assert_eq!(stripped("a[int].b[go.shape.int]"), "a[int].b");
        assert_eq!(stripped("[go.shape.int]"), "");
        assert_eq!(stripped("runtime.main"), "runtime.main");
    }

    #[test]
    fn an_argument_without_an_end_stays() {
        assert_eq!(stripped("a[go.shape.[]int"), "a[go.shape.[]int");
        assert_eq!(stripped("a[go.shape.int]b[go.shape.int"), "ab[go.shape.int");
    }
}
