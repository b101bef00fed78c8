//! Reading and writing the protobuf wire format, without a schema.
//!
//! Hot: every byte of every upload passes here. Bench: `benches/decode.rs`.

/// What stands behind a field's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    /// Length-delimited: text, a message or packed numbers. The offset is that of `bytes` in the whole input.
    Bytes {
        offset: usize,
        bytes: &'a [u8],
    },
    Fixed64,
    Fixed32,
    Group,
}

/// Why bytes are not a protobuf message. A word for the error text, not a type of its own to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

const TRUNCATED: Broken = Broken("it ends in the middle of a field");
const LONG_VARINT: Broken = Broken("a varint is longer than ten bytes");
const BAD_KEY: Broken = Broken("a field has number 0 or an unknown wire type");
const BAD_GROUP: Broken = Broken("a group does not end");

/// Walks over the fields of one message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` in the whole input.
    base: usize,
    at: usize,
}

impl<'a> Reader<'a> {
    /// `base`: where `bytes` starts in the whole input.
    pub(crate) fn new(bytes: &'a [u8], base: usize) -> Self {
        Reader { bytes, base, at: 0 }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field's number and value; `None` at the end. Groups come as one field, their content skipped.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Broken> {
        if self.is_done() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| TRUNCATED)?;
                let start = self.at;
                Value::Bytes { offset: self.base + start, bytes: self.take(len)? }
            }
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            3 => {
                self.skip_group(number)?;
                Value::Group
            }
            _ => return Err(BAD_KEY),
        };
        Ok(Some((number, value)))
    }

    /// One varint, of packed numbers.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Broken> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.first() {
            Some(&b) if b < 0x80 => {
                self.at += 1;
                Ok(u64::from(b))
            }
            _ => self.long_varint(rest),
        }
    }

    fn long_varint(&mut self, rest: &[u8]) -> Result<u64, Broken> {
        let mut value = 0u64;
        for (i, &b) in rest.iter().enumerate().take(10) {
            value |= u64::from(b & 0x7f) << (7 * i);
            if b < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(if rest.len() < 10 { TRUNCATED } else { LONG_VARINT })
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u8), Broken> {
        let key = self.varint()?;
        match u32::try_from(key >> 3) {
            Ok(number) if number > 0 => Ok((number, (key & 7) as u8)),
            _ => Err(BAD_KEY),
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let end = self.at.checked_add(len).ok_or(TRUNCATED)?;
        let taken = self.bytes.get(self.at..end).ok_or(TRUNCATED)?;
        self.at = end;
        Ok(taken)
    }

    /// Skips to behind the end of a group. Without recursion, so that nesting costs the sender and not our stack.
    fn skip_group(&mut self, number: u32) -> Result<(), Broken> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            if self.is_done() {
                return Err(BAD_GROUP);
            }
            let (number, wire_type) = self.key()?;
            match wire_type {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let len = usize::try_from(self.varint()?).map_err(|_| TRUNCATED)?;
                    self.take(len)?;
                }
                3 => open.push(number),
                4 if number == innermost => drop(open.pop()),
                4 => return Err(BAD_GROUP),
                5 => drop(self.take(4)?),
                _ => return Err(BAD_KEY),
            }
        }
        Ok(())
    }
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number field; proto3 leaves zeros out.
#[inline]
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(field) << 3);
        put_varint(out, value);
    }
}

/// Appends a length-delimited field, even an empty one.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_come_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, !0 >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                let mut reader = Reader::new(&out, 0);
                assert_eq!(reader.varint(), Ok(value));
                assert!(reader.is_done());
            }
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        assert_eq!(Reader::new(&[0x80; 3], 0).varint(), Err(TRUNCATED));
        assert_eq!(Reader::new(&[0x80; 11], 0).varint(), Err(LONG_VARINT));
        assert_eq!(Reader::new(&[], 0).varint(), Err(TRUNCATED));
    }

    #[test]
    fn a_length_beyond_the_input_is_refused() {
        let mut bytes = vec![0x0a];
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(Reader::new(&bytes, 0).next(), Err(TRUNCATED));
        assert_eq!(Reader::new(&[0x0a, 2, 1], 0).next(), Err(TRUNCATED));
    }

    #[test]
    fn groups_are_skipped_whole_however_deep() {
        let depth = 100_000;
        let mut bytes = vec![0x0b; depth];
        bytes.extend(vec![0x0c; depth]);
        bytes.extend([0x10, 7]);
        let mut reader = Reader::new(&bytes, 0);
        assert_eq!(reader.next(), Ok(Some((1, Value::Group))));
        assert_eq!(reader.next(), Ok(Some((2, Value::Varint(7)))));
        assert_eq!(Reader::new(&[0x0b, 0x14], 0).next(), Err(BAD_GROUP));
        assert_eq!(Reader::new(&[0x0b], 0).next(), Err(BAD_GROUP));
    }

    #[test]
    fn field_number_zero_and_unknown_wire_types_are_refused() {
        assert_eq!(Reader::new(&[0x00, 0], 0).next(), Err(BAD_KEY));
        assert_eq!(Reader::new(&[0x0e, 0], 0).next(), Err(BAD_KEY));
        assert_eq!(Reader::new(&[0x0c], 0).next(), Err(BAD_KEY));
    }
}
