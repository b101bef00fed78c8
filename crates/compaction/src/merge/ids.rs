//! New ids by old ids, which climb: packed to about a byte each, on disk where memory is short.

use flamestore_block::spill::{Spill, SpillFile};
use flamestore_model::Fault;

use crate::merge::memory::{Held, Memory};

/// Ids that are packed together.
const LOT: usize = 128;
/// Words that are written to disk together.
const FLUSH_WORDS: usize = 32 << 10;

/// How the ids of one lot are packed: `first` plus, for the i-th, `i` if `climbs`, plus `width` bits.
#[derive(Debug, Clone, Copy)]
struct Lot {
    /// In words from the start.
    at: u64,
    first: u32,
    width: u8,
    climbs: bool,
}

/// A finished table.
#[derive(Debug)]
pub(crate) struct Ids {
    lots: Vec<Lot>,
    words: Words,
    len: usize,
    _held: Held,
}

#[derive(Debug)]
enum Words {
    Held(Vec<u64>),
    /// With the lot that was read last, and its words.
    Spilled(SpillFile, usize, Vec<u64>),
}

/// A table that grows.
#[derive(Debug)]
pub(crate) struct Growing {
    lots: Vec<Lot>,
    /// Those that are not in the file.
    words: Vec<u64>,
    file: Option<SpillFile>,
    written: u64,
    open: Vec<u32>,
    last: u32,
    len: usize,
    spill: Spill,
    memory: Memory,
    held: Held,
}

impl Growing {
    pub(crate) fn new(spill: &Spill, memory: &Memory) -> Self {
        Growing {
            lots: Vec::new(),
            words: Vec::new(),
            file: None,
            written: 0,
            open: Vec::with_capacity(LOT),
            last: 0,
            len: 0,
            spill: spill.clone(),
            memory: memory.clone(),
            held: memory.hold(0),
        }
    }

    /// The new id of the next old one; never less than the one before.
    pub(crate) fn push(&mut self, id: u32) -> Result<(), Fault> {
        debug_assert!(id >= self.last);
        self.last = id;
        self.len += 1;
        self.open.push(id);
        if self.open.len() == LOT { self.pack() } else { Ok(()) }
    }

    /// The next old id is not used.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        self.push(self.last)
    }

    fn pack(&mut self) -> Result<(), Fault> {
        let Some(&first) = self.open.first() else { return Ok(()) };
        // Neighbours mostly stay neighbours: then nothing is left to be written.
        let climbs = self.open.windows(2).all(|pair| pair[0] < pair[1]);
        let rest = |i: usize, id: u32| id - first - if climbs { i as u32 } else { 0 };
        let most = self.open.iter().enumerate().map(|(i, id)| rest(i, *id)).max().unwrap_or(0);
        let width = (u32::BITS - most.leading_zeros()) as usize;
        let at = self.written + self.words.len() as u64;
        self.lots.push(Lot { at, first, width: width as u8, climbs });
        let start = self.words.len();
        self.words.resize(start + (self.open.len() * width).div_ceil(64), 0);
        for (i, id) in self.open.iter().enumerate() {
            put(&mut self.words[start..], i * width, width, u64::from(rest(i, *id)));
        }
        self.open.clear();
        if self.file.is_none() && self.words.len() > FLUSH_WORDS && self.memory.is_short() {
            self.file = Some(self.spill.file()?);
        }
        if self.words.len() >= FLUSH_WORDS {
            self.flush()?;
        }
        if self.lots.len().is_multiple_of(64) {
            self.count();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if let Some(file) = &mut self.file {
            for words in self.words.chunks(FLUSH_WORDS) {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                file.append(&bytes)?;
            }
            self.written += self.words.len() as u64;
            self.words = Vec::new();
        }
        Ok(())
    }

    fn count(&mut self) {
        self.held.set(self.lots.capacity() * size_of::<Lot>() + self.words.capacity() * 8);
    }

    pub(crate) fn finish(mut self) -> Result<Ids, Fault> {
        self.pack()?;
        self.flush()?;
        self.count();
        let words = match self.file {
            Some(file) => Words::Spilled(file, usize::MAX, Vec::new()),
            None => Words::Held(self.words),
        };
        Ok(Ids { lots: self.lots, words, len: self.len, _held: self.held })
    }
}

impl Ids {
    /// The new id of an old one. Cheap for neighbours one after another, also where it is on disk.
    pub(crate) fn get(&mut self, old: u32) -> Result<u32, Fault> {
        let (at, i) = (old as usize / LOT, old as usize % LOT);
        let lot = match self.lots.get(at) {
            Some(lot) if (old as usize) < self.len => *lot,
            _ => return Err(Fault::internal("a merge asks for an id that there is not")),
        };
        let width = usize::from(lot.width);
        let rest = match &mut self.words {
            _ if width == 0 => 0,
            Words::Held(words) => take(words.get(lot.at as usize..).unwrap_or_default(), i * width, width),
            Words::Spilled(file, here, words) => {
                if *here != at {
                    let rows = (self.len - at * LOT).min(LOT);
                    let mut bytes = vec![0; (rows * width).div_ceil(64) * 8];
                    file.read_at(&mut bytes, lot.at * 8)?;
                    words.clear();
                    let (chunks, _) = bytes.as_chunks::<8>();
                    words.extend(chunks.iter().map(|word| u64::from_le_bytes(*word)));
                    *here = at;
                }
                take(words, i * width, width)
            }
        };
        Ok(lot.first + rest as u32 + if lot.climbs { i as u32 } else { 0 })
    }
}

fn put(words: &mut [u64], bit: usize, width: usize, value: u64) {
    if width == 0 {
        return;
    }
    let (word, shift) = (bit / 64, bit % 64);
    words[word] |= value << shift;
    if shift + width > 64 {
        words[word + 1] |= value >> (64 - shift);
    }
}

fn take(words: &[u64], bit: usize, width: usize) -> u64 {
    let (word, shift) = (bit / 64, bit % 64);
    let at = |i: usize| words.get(i).copied().unwrap_or(0);
    let mut value = at(word) >> shift;
    if shift + width > 64 {
        value |= at(word + 1) << (64 - shift);
    }
    value & (u64::MAX >> (64 - width))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(ids: &[u32], budget: u64) -> (Ids, tempfile::TempDir, Spill) {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(dir.path());
        let memory = Memory::of(budget);
        let _other = memory.hold(1000);
        let mut growing = Growing::new(&spill, &memory);
        ids.iter().for_each(|id| growing.push(*id).unwrap());
        (growing.finish().unwrap(), dir, spill)
    }

    proptest! {
        #[test]
        fn every_id_comes_back(steps in proptest::collection::vec(prop_oneof![Just(1u32), 0..3u32, 0..100_000u32], 0..700)) {
            let ids: Vec<u32> = steps.iter().scan(0u32, |at, step| { *at += step; Some(*at) }).collect();
            let (mut table, _dir, _) = table(&ids, 1 << 20);
            for (old, new) in ids.iter().enumerate() {
                prop_assert_eq!(table.get(old as u32).unwrap(), *new);
            }
            prop_assert!(table.get(ids.len() as u32).is_err());
        }
    }

    #[test]
    fn a_table_without_room_goes_to_disk_and_reads_the_same() {
        let ids: Vec<u32> = (0..2_000_000u64).map(|i| (i * 2000 + i % 7 * i % 1999) as u32).collect();
        let mut ids = ids;
        ids.sort_unstable();
        let (mut table, _dir, spill) = table(&ids, 0);
        assert!(spill.written_bytes() > 1_000_000, "{}", spill.written_bytes());
        for old in (0..ids.len()).step_by(97).chain([ids.len() - 1, 0]) {
            assert_eq!(table.get(old as u32).unwrap(), ids[old]);
        }
    }

    #[test]
    fn neighbours_that_stay_neighbours_cost_next_to_nothing() {
        let ids: Vec<u32> = (5..1_000_005).collect();
        let (table, _dir, _) = table(&ids, 1 << 30);
        assert!(matches!(&table.words, Words::Held(words) if words.is_empty()));
    }
}
