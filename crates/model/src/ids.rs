//! Ids made once at the door and carried through log, head and blocks.

use std::fmt;

/// 128 bits that name one stored profile (all sample types of one pprof share it): a UUID, time-ordered when we make it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ProfileId(pub [u8; 16]);

const URN: &str = "urn:uuid:";

impl ProfileId {
    /// Reads the usual text forms: with or without hyphens, in braces, or as a URN.
    pub fn parse(text: &str) -> Option<Self> {
        let in_braces = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        let urn = text.get(..URN.len()).filter(|start| start.eq_ignore_ascii_case(URN)).and(text.get(URN.len()..));
        let text = in_braces.or(urn).unwrap_or(text);
        let mut bytes = [0u8; 16];
        let mut nibbles = 0;
        for c in text.bytes().filter(|c| *c != b'-') {
            let v = (c as char).to_digit(16)? as u8;
            *bytes.get_mut(nibbles / 2)? |= if nibbles % 2 == 0 { v << 4 } else { v };
            nibbles += 1;
        }
        (nibbles == 32).then_some(ProfileId(bytes))
    }

    /// A version 7 UUID (RFC 9562, 5.7) from a wall clock in milliseconds and 74 random bits.
    pub fn v7(unix_ms: u64, random: u128) -> Self {
        let mut b = [0u8; 16];
        b[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        b[6..].copy_from_slice(&random.to_be_bytes()[..10]);
        b[6] = (b[6] & 0x0f) | 0x70;
        b[8] = (b[8] & 0x3f) | 0x80;
        ProfileId(b)
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let id = ProfileId::v7(1_763_697_600_000, u128::MAX / 3);
        assert_eq!(ProfileId::parse(&id.to_string()), Some(id));
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(&id.to_string()[14..15], "7");
        for form in [format!("{{{id}}}"), format!("urn:uuid:{id}"), id.to_string().to_uppercase().replace('-', "")] {
            assert_eq!(ProfileId::parse(&form), Some(id), "{form}");
        }
    }

    #[test]
    fn anything_but_32_hex_digits_is_refused() {
        for bad in ["", "abc", "zz", &"0".repeat(31), &"0".repeat(33), "{", "{}", "urn:uuid:"] {
            assert_eq!(ProfileId::parse(bad), None, "{bad}");
        }
    }
}
