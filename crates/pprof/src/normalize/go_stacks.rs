//! Stacks that the Go runtime cut at its depth limit, given their roots back.
//!
//! Heap profiles of Go before 1.23 keep 32 frames of a stack, CPU profiles 64, always those next to the leaf. Such a
//! stack seems to start in the middle of nowhere, differently at each depth of a recursion. Its root can be guessed
//! when another stack overlaps with it. The heuristic is the peer's, kept exactly so that both draw the same graphs:
//!
//! - only stacks of at least [`TAIL`] locations take part, and they are taken in groups of equal tails, a tail being
//!   the [`TAIL`] locations next to the root;
//! - a group's *anchor* is the [`ANCHOR`] locations next to its root. When the anchor stands in another group's tail,
//!   1 to [`REACH`] locations away from the root, that group knows what came before: so many locations are missing.
//!   Of several such groups the one with the most is taken, and of equals the first in the order of tails;
//! - that group may itself lack its root, so the chain is followed to its end and the distances are summed. The last
//!   group's first stack lends so many of its root-most locations.
//!
//! ```text
//!   leaf …  d e f g h            d e f g h found in the tail of the lender, two away from its root:
//!   leaf … c d e f g h i j       the stack above becomes  leaf … d e f g h i j
//! ```

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::profile::Profile;

/// How far from the root an anchor is looked for.
const REACH: usize = 8;
/// Locations that must agree.
const ANCHOR: usize = 16;
const TAIL: usize = ANCHOR + REACH;
/// A chain of so many groups is a recursion that says nothing certain: mending ends there.
const MAX_CHAIN: usize = 56;

const HEAP_DEPTH: usize = 32;
const CPU_DEPTH: usize = 64;
/// The runtime may drop a few frames of its own after it has cut.
const SLACK: usize = 4;

/// Appends the missing locations to all stacks that were cut. `dangling` rows neither lend nor borrow.
pub(super) fn mend(profile: &mut Profile, dangling: &[bool]) {
    if !may_be_cut(profile) {
        return;
    }
    let groups = Groups::of(profile, dangling);
    let lent = groups.loans(profile);
    if !lent.is_empty() {
        append(profile, &lent);
    }
}

/// Whether some stack is as deep as the runtime's limit. Heap stacks deeper than 32 come from a Go whose limit is 128,
/// which needs no mending.
fn may_be_cut(profile: &Profile) -> bool {
    let has = |kinds: &[&str]| profile.sample_types.iter().any(|t| kinds.contains(&profile.str(t.kind)));
    let (cut_at, sane) = if has(&["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]) {
        (HEAP_DEPTH, HEAP_DEPTH)
    } else if has(&["cpu"]) {
        (CPU_DEPTH, usize::MAX)
    } else {
        return false;
    };
    let deepest = profile.samples.iter().map(|s| profile.locations_of(s).len()).max().unwrap_or(0);
    (cut_at - SLACK..=sane).contains(&deepest)
}

/// What a stack gets: the last `len` locations of the stack of `row`.
#[derive(Clone, Copy)]
struct Loan {
    row: u32,
    len: u32,
}

/// Another group that knows the root of this one better, by `distance` locations.
#[derive(Clone, Copy)]
struct Lender {
    group: u32,
    distance: u32,
}

/// The deep rows, grouped by equal tails.
struct Groups {
    rows: Vec<u32>,
    /// Where in `rows` each group starts.
    starts: Vec<usize>,
}

impl Groups {
    fn of(profile: &Profile, dangling: &[bool]) -> Self {
        let tail_of = |row: u32| tail(stack(profile, row), TAIL);
        let mut rows: Vec<u32> = (0..profile.samples.len() as u32)
            .filter(|row| !dangling.get(*row as usize).copied().unwrap_or(false))
            .filter(|row| stack(profile, *row).len() >= TAIL)
            .collect();
        // The peer compares tails as bytes of little-endian ids, and the order of groups settles draws between lenders.
        let order = |location: &u32| location.wrapping_add(1).swap_bytes();
        rows.sort_by(|a, b| tail_of(*a).iter().map(order).cmp(tail_of(*b).iter().map(order)));
        let mut starts = Vec::new();
        for at in 0..rows.len() {
            if at == 0 || tail_of(rows[at]) != tail_of(rows[at - 1]) {
                starts.push(at);
            }
        }
        Groups { rows, starts }
    }

    fn first_row(&self, group: usize) -> u32 {
        self.rows[self.starts[group]]
    }

    fn rows_of(&self, group: usize) -> &[u32] {
        let end = self.starts.get(group + 1).copied().unwrap_or(self.rows.len());
        &self.rows[self.starts[group]..end]
    }

    /// For each row that was cut, what it gets.
    fn loans(&self, profile: &Profile) -> Vec<(u32, Loan)> {
        let lenders = self.lenders(profile);
        let mut lent = Vec::new();
        for (group, lender) in lenders.iter().enumerate() {
            let Some(mut last) = *lender else { continue };
            let mut len = 0;
            for step in 1.. {
                len += last.distance;
                let Some(next) = lenders[last.group as usize] else { break };
                if step == MAX_CHAIN {
                    return lent;
                }
                last = next;
            }
            let row = self.first_row(last.group as usize);
            if (len as usize) < stack(profile, row).len() {
                lent.extend(self.rows_of(group).iter().map(|borrower| (*borrower, Loan { row, len })));
            }
        }
        lent
    }

    /// For each group the one that knows its root best; `None` where no other does.
    fn lenders(&self, profile: &Profile) -> Vec<Option<Lender>> {
        let hasher = RandomState::default();
        let hash = |anchor: &[u32]| hasher.hash_one(anchor);
        let anchor_at = |at: &Lender| {
            let end = TAIL - at.distance as usize;
            &tail(stack(profile, self.first_row(at.group as usize)), TAIL)[end - ANCHOR..end]
        };
        let mut anchors: HashTable<Lender> = HashTable::new();
        for group in 0..self.starts.len() as u32 {
            for distance in 1..=REACH as u32 {
                let here = Lender { group, distance };
                let anchor = anchor_at(&here);
                let mut known =
                    anchors.entry(hash(anchor), |at| anchor_at(at) == anchor, |at| hash(anchor_at(at))).or_insert(here);
                if distance > known.get().distance {
                    *known.get_mut() = here;
                }
            }
        }
        let best = |group: usize| {
            let anchor = tail(stack(profile, self.first_row(group)), ANCHOR);
            anchors.find(hash(anchor), |at| anchor_at(at) == anchor).copied().filter(|at| at.group as usize != group)
        };
        (0..self.starts.len()).map(best).collect()
    }
}

fn stack(profile: &Profile, row: u32) -> &[u32] {
    profile.samples.get(row as usize).map_or(&[], |s| profile.locations_of(s))
}

/// The last `len` locations of a stack that has as many.
fn tail(stack: &[u32], len: usize) -> &[u32] {
    &stack[stack.len().saturating_sub(len)..]
}

/// Writes all stacks anew, with what they get. Lenders are never borrowers, so the order does not matter.
fn append(profile: &mut Profile, lent: &[(u32, Loan)]) {
    let added: usize = lent.iter().map(|(_, loan)| loan.len as usize).sum();
    let Some(len) = profile.sample_locations.len().checked_add(added).filter(|len| *len < u32::MAX as usize) else {
        // Indexes would not fit. The stacks stay cut.
        return;
    };
    let mut loan_of: Vec<Option<Loan>> = vec![None; profile.samples.len()];
    lent.iter().for_each(|(row, loan)| loan_of[*row as usize] = Some(*loan));
    let mut locations = Vec::with_capacity(len);
    let mut samples = profile.samples.clone();
    for (row, sample) in samples.iter_mut().enumerate() {
        let first_location = locations.len() as u32;
        locations.extend_from_slice(profile.locations_of(sample));
        if let Some(loan) = loan_of[row] {
            locations.extend_from_slice(tail(stack(profile, loan.row), loan.len as usize));
        }
        (sample.first_location, sample.end_location) = (first_location, locations.len() as u32);
    }
    (profile.samples, profile.sample_locations) = (samples, locations);
}
