//! Ids of uploaded files: sortable by time, and readable.

/// Crockford's base 32, as ULIDs use it.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_CHARS: usize = 10;
const ULID_CHARS: usize = 26;
/// The longest id that is looked up, in bytes.
pub(crate) const MAX_ID_BYTES: usize = 255;

/// A ULID of the time and 80 random bits, and the name as far as it fits.
pub(crate) fn make(time_ms: i64, random: u128, name: &str) -> String {
    let number = u128::from(time_ms.max(0) as u64) << 80 | (random & ((1 << 80) - 1));
    let digit = |at: usize| ALPHABET[(number >> (5 * (ULID_CHARS - 1 - at)) & 31) as usize] as char;
    let mut id: String = (0..ULID_CHARS).map(digit).collect();
    id.push('-');
    let safe = |c: char| if is_plain(c) { c } else { '_' };
    id.extend(name.chars().map(safe).take(MAX_ID_BYTES - ULID_CHARS - 1));
    id
}

/// When the file of an id was uploaded, and its name in the id's alphabet. `None`: we did not make the id.
pub(crate) fn read(id: &str) -> Option<(i64, &str)> {
    let (ulid, name) = id.split_at_checked(ULID_CHARS)?;
    let name = name.strip_prefix('-')?;
    let mut time_ms = 0i64;
    for digit in ulid.bytes().take(TIME_CHARS) {
        let value = ALPHABET.iter().position(|c| *c == digit)?;
        time_ms = time_ms << 5 | value as i64;
    }
    Some((time_ms, name))
}

/// Whether an id may be part of a key: an id that is not can neither exist nor be looked for.
pub(crate) fn is_valid(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.chars().all(is_plain) && !matches!(id, "." | "..")
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_and_sort_by_time() {
        let (early, late) = (make(1_795_000_000_000, u128::MAX, "a b/ü.pprof"), make(1_795_000_000_001, 0, "x"));
        assert!(early < late);
        assert_eq!(read(&early), Some((1_795_000_000_000, "a_b__.pprof")));
        assert!(is_valid(&early) && is_valid(&make(0, 0, &"n".repeat(500))));
    }

    #[test]
    fn no_id_leaves_its_folder() {
        for bad in ["", ".", "..", "a/b", "../x", "ü", &"a".repeat(256)] {
            assert!(!is_valid(bad), "{bad}");
        }
        assert!(is_valid("nosuch"));
        assert_eq!(read("nosuch"), None);
    }
}
