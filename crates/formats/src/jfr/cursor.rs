//! Numbers and texts of a chunk, from front to back.

use std::borrow::Cow;

use crate::jfr::chunk::Broken;

/// Reads from the front. Integers are LEB128, of at most nine bytes of which the last has eight bits; floats are raw.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

/// A text as it stands in an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Text<'a> {
    #[default]
    Null,
    Here(Cow<'a, str>),
    /// The key of an entry in the pool of strings.
    Pooled(i64),
}

const ENDS: Broken = Broken::Because("it ends in the middle of a value");

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ENDS)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let (byte, rest) = self.rest.split_first().ok_or(ENDS)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<i64, Broken> {
        let mut value = 0u64;
        for at in 0..8 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value as i64);
            }
        }
        Ok((value | u64::from(self.byte()?) << 56) as i64)
    }

    /// A number of things that take a byte each at least.
    pub(super) fn count(&mut self) -> Result<usize, Broken> {
        let count = self.number()?;
        usize::try_from(count).ok().filter(|count| *count <= self.left()).ok_or(ENDS)
    }

    /// An encoding and what it says: 0 null, 1 empty, 2 the key of a pooled text, 3 UTF-8, 4 UTF-16 units, 5 Latin 1.
    pub(super) fn text(&mut self) -> Result<Text<'a>, Broken> {
        Ok(match self.byte()? {
            0 => Text::Null,
            1 => Text::Here(Cow::Borrowed("")),
            2 => Text::Pooled(self.number()?),
            3 => {
                let length = self.count()?;
                Text::Here(String::from_utf8_lossy(self.take(length)?))
            }
            4 => {
                let length = self.count()?;
                let units =
                    (0..length).map(|_| self.number().map(|unit| unit as u16)).collect::<Result<Vec<_>, _>>()?;
                Text::Here(String::from_utf16_lossy(&units).into())
            }
            5 => {
                let length = self.count()?;
                Text::Here(self.take(length)?.iter().map(|byte| char::from(*byte)).collect::<String>().into())
            }
            _ => return Err(Broken::Because("a text has an unknown encoding")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_up_to_nine_bytes() {
        for (bytes, value) in [
            (&[0x05][..], 5),
            (&[0x80, 0x01], 128),
            (&[0xff; 9], -1),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], i64::MAX),
        ] {
            let mut cursor = Cursor::new(bytes);
            assert_eq!(cursor.number().unwrap(), value);
            assert_eq!(cursor.left(), 0);
        }
        assert!(Cursor::new(&[0x80]).number().is_err());
    }

    #[test]
    fn texts_come_in_six_encodings() {
        let here = |text: &'static str| Text::Here(text.into());
        for (bytes, text) in [
            (&[0][..], Text::Null),
            (&[1], here("")),
            (&[2, 7], Text::Pooled(7)),
            (&[3, 2, 0xc3, 0xa9], here("é")),
            (&[4, 1, 0xe9, 0x01], here("é")),
            (&[5, 1, 0xe9], here("é")),
        ] {
            assert_eq!(Cursor::new(bytes).text().unwrap(), text);
        }
        assert!(Cursor::new(&[6]).text().is_err());
        assert!(Cursor::new(&[3, 9, 1]).text().is_err());
    }
}
