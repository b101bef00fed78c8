//! Ids of blocks: 48 bits of time, 80 bits of whatever made the block.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

/// A ULID (<https://github.com/ulid/spec>): sorts by time as bytes and as its 26 characters of text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ulid(pub u128);

/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Ulid {
    /// From milliseconds since the epoch (48 bits) and 80 other bits; higher bits of both are cut off.
    pub const fn new(unix_ms: u64, rest: u128) -> Self {
        Ulid(((unix_ms as u128) << 80) | (rest & ((1 << 80) - 1)))
    }

    pub const fn unix_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// Reads 26 characters, in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        // The first character carries three bits; a larger one would overflow.
        if text.len() != 26 || text.as_bytes()[0] > b'7' {
            return None;
        }
        let mut bits = 0u128;
        for c in text.bytes() {
            let digit = DIGITS.iter().position(|d| *d == c.to_ascii_uppercase())?;
            bits = (bits << 5) | digit as u128;
        }
        Some(Ulid(bits))
    }
}

/// The id of the block that holds what `parts` name, from `start_ms` on. The same parts give the same id for ever, so
/// that a flush which is done again aims at the same keys: XXH3-128 over each part's length (u64, little-endian) and bytes.
pub fn block_id(start_ms: u64, parts: &[&[u8]]) -> Ulid {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Ulid::new(start_ms, hash.digest128())
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for i in (0..26).rev() {
            let digit = (self.0 >> (i * 5)) & 31;
            write!(f, "{}", DIGITS[digit as usize] as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Ulid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Ulid::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a ULID")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_that_of_the_specification() {
        let id = Ulid::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        assert_eq!(id.unix_ms(), 1_469_922_850_259);
        assert_eq!(id.to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        for bad in [
            "",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "é1ARZ3NDEKTSV4RRFFQ69G5FA",
        ] {
            assert_eq!(Ulid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_of_blocks_never_change() {
        let id = block_id(1_763_697_600_000, &[b"ingester-0", &7u64.to_le_bytes(), b"anonymous"]);
        assert_eq!(id.to_string(), "01KAJ939G0V1D0K20BV89T4VFT");
        assert_ne!(id, block_id(1_763_697_600_000, &[b"ingester-", b"0", &7u64.to_le_bytes(), b"anonymous"]));
    }

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_the_order(a: u128, b: u128) {
            let (a, b) = (Ulid(a), Ulid(b));
            prop_assert_eq!(Ulid::parse(&a.to_string()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
