//! The blocks that this store has made lately, kept in its data folder: a start finds them also when a listing of the bucket
//! does not show them yet.
//!
//! The log gives back what is in blocks, and until the index lists a block only a listing leads to it. Stores of today list
//! what was just written, but proxies, caches and copies of buckets do not always. It is a help, not a record: what it
//! names and the bucket does not have is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use flamestore_block::Ulid;
use flamestore_model::{Fault, TenantId};
use parking_lot::Mutex;

use crate::small_file;

const FILE: &str = "blocks-written";
/// No listing is that old, and compaction has listed by then what it has not replaced.
const KEEP_MS: u64 = 2 * 86_400_000;
/// Blocks that are remembered; beyond, the oldest of each tenant go first.
const MAX_BLOCKS: usize = 100_000;

/// Blocks by tenant.
pub(crate) type Blocks = BTreeMap<TenantId, BTreeSet<Ulid>>;

#[derive(Debug, Default)]
pub(crate) struct Lately(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    blocks: Blocks,
    count: usize,
    /// Since it was saved.
    changed: bool,
}

impl Lately {
    pub(crate) fn of(blocks: Blocks) -> Self {
        let count = blocks.values().map(BTreeSet::len).sum();
        Lately(Mutex::new(Inside { blocks, count, changed: false }))
    }

    pub(crate) fn add(&self, tenant: &TenantId, block: Ulid) {
        let mut inside = self.0.lock();
        let full = inside.count >= MAX_BLOCKS;
        let of_tenant = inside.blocks.entry(tenant.clone()).or_default();
        if of_tenant.insert(block) && !(full && of_tenant.pop_first().is_some()) {
            inside.count += 1;
        }
        inside.changed = true;
    }

    /// They are no longer needed to find their profiles.
    pub(crate) fn forget(&self, tenant: &TenantId, blocks: &[Ulid]) {
        let mut inside = self.0.lock();
        let Some(of_tenant) = inside.blocks.get_mut(tenant) else { return };
        let gone = blocks.iter().filter(|block| of_tenant.remove(block)).count();
        inside.count -= gone;
        inside.changed |= gone > 0;
    }

    /// Tenants stay: a listing may not show them either.
    pub(crate) fn save(&self, dir: &Path, now_ms: i64) -> Result<(), Fault> {
        let oldest = u64::try_from(now_ms).unwrap_or(0).saturating_sub(KEEP_MS);
        let text = {
            let mut inside = self.0.lock();
            if !inside.changed {
                return Ok(());
            }
            inside.blocks.values_mut().for_each(|blocks| blocks.retain(|block| block.unix_ms() >= oldest));
            inside.count = inside.blocks.values().map(BTreeSet::len).sum();
            inside.changed = false;
            to_text(&inside.blocks)
        };
        small_file::replace(dir, FILE, text.as_bytes()).inspect_err(|_| self.0.lock().changed = true)
    }
}

/// What was saved last; nothing at the first start.
pub(crate) fn load(dir: &Path) -> Result<Blocks, Fault> {
    let path = dir.join(FILE);
    match std::fs::read(&path) {
        Ok(text) => Ok(of_text(&String::from_utf8_lossy(&text), &path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Blocks::new()),
        Err(e) => Err(small_file::failed(&path, e)),
    }
}

/// A line for each tenant: its name and its blocks.
fn to_text(blocks: &Blocks) -> String {
    let line = |(tenant, blocks): (&TenantId, &BTreeSet<Ulid>)| {
        let blocks: String = blocks.iter().map(|block| format!(" {block}")).collect();
        format!("{}{blocks}\n", tenant.as_str())
    };
    blocks.iter().map(line).collect()
}

fn of_text(text: &str, path: &Path) -> Blocks {
    let mut blocks = Blocks::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let tenant = words.next().and_then(|name| TenantId::parse(name).ok());
        let ids: Option<BTreeSet<Ulid>> = words.map(Ulid::parse).collect();
        match tenant.zip(ids) {
            Some((tenant, ids)) => drop(blocks.insert(tenant, ids)),
            None => tracing::error!(path = %path.display(), line, "a line of this file cannot be read and is ignored"),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_remembered_until_it_is_replaced_or_old() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let id = |day: u64, n| Ulid::new(day * 86_400_000, n);
        let written = Lately::of(load(dir.path()).unwrap());
        for (tenant, block) in [(&a, id(10, 1)), (&a, id(13, 2)), (&a, id(13, 3)), (&b, id(10, 4))] {
            written.add(tenant, block);
        }
        written.forget(&a, &[id(13, 3), id(13, 9)]);
        written.save(dir.path(), 14 * 86_400_000).unwrap();
        let read = load(dir.path()).unwrap();
        assert_eq!(read[&a], BTreeSet::from([id(13, 2)]));
        assert!(read[&b].is_empty(), "the tenant stays");
        std::fs::write(dir.path().join(FILE), "a nonsense\nb\n\u{fffd}").unwrap();
        assert_eq!(load(dir.path()).unwrap().keys().collect::<Vec<_>>(), [&b]);
    }

    #[test]
    fn the_bound_holds() {
        let written = Lately::default();
        let tenant = TenantId::parse("a").unwrap();
        (0..MAX_BLOCKS as u128 + 5).for_each(|n| written.add(&tenant, Ulid(n)));
        let inside = written.0.lock();
        assert_eq!((inside.count, inside.blocks[&tenant].len()), (MAX_BLOCKS, MAX_BLOCKS));
        assert_eq!(inside.blocks[&tenant].first(), Some(&Ulid(5)));
    }
}
