//! The profiles of several sources by series, time and id, each once.

use flamestore_block::read::source::{DatasetSource, ProfileHead, ProfileReader};
use flamestore_block::write::ProfileInput;
use flamestore_block::write::stream::Profiles;
use flamestore_model::{Fault, Labels};

use crate::merge::heap::Heap;
use crate::merge::memory::Memory;

/// Gets the source and the stack ids of each profile, and writes those that the profile is given with.
pub(crate) type Stacks<'s> = dyn FnMut(usize, &[u32], &mut Vec<u32>) -> Result<(), Fault> + 's;

/// Gives every series and profile that is shown. One that another source has under the same time and id, which a push that
/// was tried again leaves, comes once, from the first of them.
pub(crate) fn walk(
    sources: &[DatasetSource],
    memory: &Memory,
    stacks: &mut Stacks<'_>,
    to: &mut dyn Profiles,
) -> Result<(), Fault> {
    let mut readers = Vec::with_capacity(sources.len());
    let mut left = Vec::new();
    for (i, source) in (0u32..).zip(sources) {
        let mut reader = source.profiles()?;
        if reader.next_series()? {
            left.push(i);
        }
        readers.push(reader);
    }
    let mut ids = Vec::new();
    while let Some((profile_type, labels)) = left.iter().filter_map(|i| readers[*i as usize].series()).min() {
        memory.go_on()?;
        let series = (profile_type.to_owned(), labels.clone());
        let members: Vec<u32> = left.iter().copied().filter(|i| is(&readers[*i as usize], &series)).collect();
        to.series(&series.1, &series.0)?;
        one_series(sources, &mut readers, &members, &mut ids, stacks, to)?;
        for i in members {
            let reader = &mut readers[i as usize];
            if !reader.next_series()? {
                left.retain(|other| *other != i);
            } else if reader.series().is_none_or(|next| next <= (&series.0, &series.1)) {
                return Err(sources[i as usize].out_of_order("series"));
            }
        }
    }
    Ok(())
}

fn is(reader: &ProfileReader, series: &(String, Labels)) -> bool {
    reader.series().is_some_and(|(profile_type, labels)| profile_type == series.0 && *labels == series.1)
}

/// The profiles of the series that `members` stand at.
fn one_series(
    sources: &[DatasetSource],
    readers: &mut [ProfileReader],
    members: &[u32],
    ids: &mut Vec<u32>,
    stacks: &mut Stacks<'_>,
    to: &mut dyn Profiles,
) -> Result<(), Fault> {
    let mut heads: Vec<Option<ProfileHead>> = Vec::with_capacity(members.len());
    for i in members {
        heads.push(readers[*i as usize].next_profile()?);
    }
    let key = |head: &ProfileHead| (head.time_nanos, head.profile_id);
    let before = |heads: &[Option<ProfileHead>], a: u32, b: u32| {
        (heads[a as usize].as_ref().map(key), a) < (heads[b as usize].as_ref().map(key), b)
    };
    let some = (0..members.len() as u32).filter(|m| heads[*m as usize].is_some());
    let mut heap = Heap::of(some, |a, b| before(&heads, a, b));
    let mut kept: Option<(ProfileHead, u32)> = None;
    while let Some(member) = heap.first() {
        let source = members[member as usize] as usize;
        let Some(head) = heads[member as usize] else { break };
        if kept.is_none_or(|(last, from)| last != head || from == member) {
            let profile = readers[source].profile()?;
            ids.clear();
            stacks(source, profile.stacks, ids)?;
            to.profile(&ProfileInput { stacks: ids, ..profile })?;
            kept = Some((head, member));
        }
        let next = readers[source].next_profile()?;
        if next.as_ref().is_some_and(|next| key(next) < key(&head)) {
            return Err(sources[source].out_of_order("profiles"));
        }
        heads[member as usize] = next;
        heap.moved(next.is_some(), |a, b| before(&heads, a, b));
    }
    Ok(())
}
