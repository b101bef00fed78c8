//! Reading and writing the protobuf wire format, without a schema.
//!
//! Hot: every byte of every upload passes here. Bench: `benches/decode.rs`.

/// Wire types.
pub(crate) const VARINT: u32 = 0;
const FIXED64: u32 = 1;
/// Length-delimited: text, a message or packed numbers.
pub(crate) const BYTES: u32 = 2;
const GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const FIXED32: u32 = 5;

/// Why bytes are not a protobuf message. A word for the error text, not a type of its own to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

const TRUNCATED: Broken = Broken("it ends in the middle of a field");
const LONG_VARINT: Broken = Broken("a varint is longer than ten bytes");
const BAD_KEY: Broken = Broken("a field has number 0 or an unknown wire type");
const BAD_GROUP: Broken = Broken("a group does not end");
const WRONG_TYPE: Broken = Broken("a field has the wrong wire type");

/// Walks over the fields of one message: ask for a key, then for what the key says, or skip it.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    /// The whole file, also beyond this message, so that eight bytes can nearly always be read at once.
    text: &'a [u8],
    at: usize,
    /// Where this message ends, within `text`.
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Reader { text, at: 0, end: text.len() }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// Offset in the file and length of what is left.
    #[inline]
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.at, self.end - self.at)
    }

    /// The next field's number and wire type.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<(u32, u32), Broken> {
        let key = match self.text.get(self.at) {
            Some(&b) if b < 0x80 && self.at < self.end => {
                self.at += 1;
                u64::from(b)
            }
            _ => self.varint()?,
        };
        match u32::try_from(key >> 3) {
            Ok(number) if number > 0 => Ok((number, (key & 7) as u32)),
            _ => Err(BAD_KEY),
        }
    }

    /// A number. Without a branch on its length, which nobody can predict.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Broken> {
        const CONTINUE: u64 = 0x8080_8080_8080_8080;
        if let Some(eight) = self.text.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*eight);
            let last = !word & CONTINUE;
            if last != 0 {
                let len = last.trailing_zeros() as usize / 8 + 1;
                if len > self.end - self.at {
                    return Err(TRUNCATED);
                }
                self.at += len;
                return Ok(join_sevens(word & (last ^ (last - 1))));
            }
        }
        self.long_varint()
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, Broken> {
        let rest = self.text.get(self.at..self.end).unwrap_or_default();
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

    /// A length-delimited field, to be read on its own.
    #[inline]
    pub(crate) fn message(&mut self) -> Result<Reader<'a>, Broken> {
        let len = self.varint()?;
        if len > (self.end - self.at) as u64 {
            return Err(TRUNCATED);
        }
        let start = self.at;
        self.at += len as usize;
        Ok(Reader { text: self.text, at: start, end: self.at })
    }

    /// Skips a field that nobody wants. Fields of the numbers in `known`, a set of bits, should have been wanted: theirs
    /// is the wrong wire type.
    #[cold]
    pub(crate) fn skip(&mut self, (number, wire_type): (u32, u32), known: u32) -> Result<(), Broken> {
        if number < 32 && known >> number & 1 == 1 {
            return Err(WRONG_TYPE);
        }
        if wire_type == GROUP { self.skip_group(number) } else { self.skip_plain(wire_type) }
    }

    fn skip_plain(&mut self, wire_type: u32) -> Result<(), Broken> {
        match wire_type {
            VARINT => self.varint().map(drop),
            BYTES => self.message().map(drop),
            FIXED64 => self.advance(8),
            FIXED32 => self.advance(4),
            _ => Err(BAD_KEY),
        }
    }

    fn advance(&mut self, len: usize) -> Result<(), Broken> {
        if len > self.end - self.at {
            return Err(TRUNCATED);
        }
        self.at += len;
        Ok(())
    }

    /// Skips to behind the end of a group. Without recursion, so that nesting costs the sender and not our stack.
    fn skip_group(&mut self, number: u32) -> Result<(), Broken> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            if self.is_done() {
                return Err(BAD_GROUP);
            }
            match self.key()? {
                (number, GROUP) => open.push(number),
                (number, END_GROUP) if number == innermost => drop(open.pop()),
                (_, END_GROUP) => return Err(BAD_GROUP),
                (_, wire_type) => self.skip_plain(wire_type)?,
            }
        }
        Ok(())
    }
}

/// Joins the low seven bits of each byte.
#[inline]
fn join_sevens(word: u64) -> u64 {
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
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
                // With and without bytes behind it, since eight are read at once where there are eight.
                for behind in [0, 20] {
                    let len = out.len();
                    out.extend(vec![0xff; behind]);
                    let mut reader = Reader { text: &out, at: 0, end: len };
                    assert_eq!(reader.varint(), Ok(value));
                    assert!(reader.is_done());
                }
            }
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        assert_eq!(Reader::new(&[0x80; 3]).varint(), Err(TRUNCATED));
        assert_eq!(Reader::new(&[0x80; 11]).varint(), Err(LONG_VARINT));
        assert_eq!(Reader::new(&[]).varint(), Err(TRUNCATED));
        let text = [0x80, 0x80, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(Reader { text: &text, at: 0, end: 2 }.varint(), Err(TRUNCATED), "it ends beyond its message");
        assert_eq!(Reader { text: &text, at: 2, end: 2 }.key(), Err(TRUNCATED));
    }

    #[test]
    fn a_length_beyond_the_message_is_refused() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(Reader::new(&bytes).message().map(|r| r.range()), Err(TRUNCATED));
        assert_eq!(Reader::new(&[2, 1]).message().map(|r| r.range()), Err(TRUNCATED));
        let mut inner = Reader::new(&[2, 2, 0, 0, 0, 0, 0, 0, 0, 0]).message().unwrap();
        assert_eq!(inner.range(), (1, 2));
        assert_eq!(inner.message().map(|r| r.range()), Err(TRUNCATED), "there are bytes, but not its own");
    }

    fn skipped(bytes: &[u8]) -> Result<usize, Broken> {
        let mut reader = Reader::new(bytes);
        let key = reader.key()?;
        reader.skip(key, 1 << 9)?;
        Ok(reader.at)
    }

    #[test]
    fn fields_of_every_wire_type_are_skipped() {
        assert_eq!(skipped(&[0x08, 0x80, 1, 9]), Ok(3));
        assert_eq!(skipped(&[0x09, 0, 0, 0, 0, 0, 0, 0, 0, 9]), Ok(9));
        assert_eq!(skipped(&[0x0a, 2, 0, 0, 9]), Ok(4));
        assert_eq!(skipped(&[0x0d, 0, 0, 0, 0, 9]), Ok(5));
        assert_eq!(skipped(&[0x0d, 0, 0, 0]), Err(TRUNCATED));
        assert_eq!(skipped(&[0x4d, 0, 0, 0, 0]), Err(WRONG_TYPE), "field 9 is known");
    }

    #[test]
    fn groups_are_skipped_whole_however_deep() {
        let depth = 100_000;
        let mut bytes = vec![0x0b; depth];
        bytes.extend(vec![0x0c; depth]);
        bytes.extend([0x10, 7]);
        assert_eq!(skipped(&bytes), Ok(2 * depth));
        assert_eq!(skipped(&[0x0b, 0x14]), Err(BAD_GROUP));
        assert_eq!(skipped(&[0x0b]), Err(BAD_GROUP));
    }

    #[test]
    fn field_number_zero_and_unknown_wire_types_are_refused() {
        assert_eq!(skipped(&[0x00, 0]), Err(BAD_KEY));
        assert_eq!(skipped(&[0x0e, 0]), Err(BAD_KEY));
        assert_eq!(skipped(&[0x0c]), Err(BAD_KEY));
    }
}
