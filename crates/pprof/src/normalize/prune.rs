//! Dropping what no sample uses, and the addresses that say nothing more.

use crate::profile::{Location, NO_MAPPING, Profile};

const HAS_FUNCTIONS: u8 = 1;
/// In a table of new indexes: no sample uses the object.
const UNUSED: u32 = u32::MAX;

/// Packs the tables of locations, lines, functions and mappings to what samples use. Tables that are used up entirely
/// are left alone.
pub(super) fn prune(profile: &mut Profile) {
    prune_locations(profile);
    prune_functions(profile);
    prune_mappings(profile);
    clear_addresses(profile);
}

/// Gives each used object its new index and packs the table. `None`: all are used.
fn pack<T>(table: &mut Vec<T>, used: Vec<bool>) -> Option<Vec<u32>> {
    if !used.contains(&false) {
        return None;
    }
    let mut next = 0;
    let new_index = used
        .iter()
        .map(|used| {
            let index = if *used { next } else { UNUSED };
            next += u32::from(*used);
            index
        })
        .collect();
    let mut flags = used.into_iter();
    table.retain(|_| flags.next().unwrap_or(false));
    Some(new_index)
}

fn mark(used: &mut [bool], index: u32) {
    if let Some(flag) = used.get_mut(index as usize) {
        *flag = true;
    }
}

fn renumber(index: &mut u32, new_index: &[u32]) {
    *index = new_index.get(*index as usize).copied().unwrap_or(UNUSED);
}

fn prune_locations(profile: &mut Profile) {
    let mut used = vec![false; profile.locations.len()];
    profile.sample_locations.iter().for_each(|l| mark(&mut used, *l));
    if let Some(new_index) = pack(&mut profile.locations, used) {
        profile.sample_locations.iter_mut().for_each(|l| renumber(l, &new_index));
    }
    let len_of = |l: &Location| (l.end_line - l.first_line) as usize;
    if profile.locations.iter().map(len_of).sum::<usize>() == profile.lines.len() {
        return;
    }
    let mut lines = Vec::with_capacity(profile.lines.len());
    for l in &mut profile.locations {
        let first_line = lines.len() as u32;
        lines.extend_from_slice(&profile.lines[l.first_line as usize..l.end_line as usize]);
        (l.first_line, l.end_line) = (first_line, lines.len() as u32);
    }
    profile.lines = lines;
}

fn prune_functions(profile: &mut Profile) {
    let mut used = vec![false; profile.functions.len()];
    profile.lines.iter().for_each(|l| mark(&mut used, l.function));
    if let Some(new_index) = pack(&mut profile.functions, used) {
        profile.lines.iter_mut().for_each(|l| renumber(&mut l.function, &new_index));
    }
}

fn prune_mappings(profile: &mut Profile) {
    let mut used = vec![false; profile.mappings.len()];
    profile.locations.iter().for_each(|l| mark(&mut used, l.mapping));
    if let Some(new_index) = pack(&mut profile.mappings, used) {
        // What is no index stays none: `UNUSED` and `NO_MAPPING` are one number.
        const { assert!(UNUSED == NO_MAPPING) };
        profile.locations.iter_mut().for_each(|l| renumber(&mut l.mapping, &new_index));
    }
}

/// Where functions are known, addresses only keep equal stacks of different runs apart.
fn clear_addresses(profile: &mut Profile) {
    let mappings = &mut profile.mappings;
    for l in &mut profile.locations {
        if mappings.get(l.mapping as usize).is_some_and(|m| m.flags & HAS_FUNCTIONS != 0) {
            l.address = 0;
        }
    }
    for m in mappings.iter_mut().filter(|m| m.flags & HAS_FUNCTIONS != 0) {
        (m.memory_start, m.memory_limit, m.file_offset) = (0, 0, 0);
    }
}
