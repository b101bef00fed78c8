//! The protobuf wire format, read field by field without a schema.

/// What stands behind a field's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// Text, a message or packed numbers.
    Bytes(&'a [u8]),
}

/// The bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// The fields of one message, in order.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn read(&mut self) -> Result<(u32, Value<'a>), Broken> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|n| *n > 0).ok_or(Broken)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(*chunk(&mut self.rest)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Broken)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Broken)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*chunk(&mut self.rest)?)),
            // Groups are of another age: none of the messages read here has one.
            _ => return Err(Broken),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl Value<'_> {
    /// The number of a varint field; 0 for what is none.
    pub(crate) fn number(self) -> u64 {
        match self {
            Value::Varint(n) | Value::Fixed64(n) => n,
            Value::Fixed32(n) => u64::from(n),
            Value::Bytes(_) => 0,
        }
    }

    /// Appends the numbers of a repeated field, packed or not.
    pub(crate) fn numbers(self, out: &mut Vec<u64>) -> Result<(), Broken> {
        match self {
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    out.push(varint(&mut packed)?);
                }
            }
            one => out.push(one.number()),
        }
        Ok(())
    }
}

/// The messages in a field of one whose fields have been looked at before. They are not gathered: there may be millions.
pub(crate) fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::of(message).filter_map(move |field| match field {
        Ok((n, Value::Bytes(inside))) if n == number => Some(inside),
        _ => None,
    })
}

/// The numbers of a field 1 that is all of a message.
pub(crate) fn numbers_of_field_1(message: &[u8], out: &mut Vec<u64>) -> Result<(), Broken> {
    for field in Fields::of(message) {
        if let (1, value) = field? {
            value.numbers(out)?;
        }
    }
    Ok(())
}

fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0u64;
    for (at, byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *rest = rest.get(at + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(Broken)
}

fn chunk<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], Broken> {
    let (chunk, tail) = rest.split_first_chunk().ok_or(Broken)?;
    *rest = tail;
    Ok(chunk)
}

/// Writing, for tests.
#[cfg(test)]
pub(crate) mod write {
    pub(crate) fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    pub(crate) fn fixed(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
    }

    pub(crate) fn bytes(field: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let bytes = bytes.as_ref();
        [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
    }

    pub(crate) fn packed(field: u64, values: &[u64]) -> Vec<u8> {
        bytes(field, values.iter().flat_map(|v| varint(*v)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_come_in_order() {
        let message =
            [write::number(1, 300), write::fixed(2, 7), write::bytes(3, "ab"), vec![0x25, 1, 0, 0, 0]].concat();
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        let expected =
            [(1, Value::Varint(300)), (2, Value::Fixed64(7)), (3, Value::Bytes(b"ab")), (4, Value::Fixed32(1))];
        assert_eq!(fields, expected);
    }

    #[test]
    fn repeated_numbers_may_be_packed_or_not() {
        let message = [write::number(1, 5), write::packed(1, &[6, 1 << 40]), write::number(2, 9)].concat();
        let mut numbers = Vec::new();
        numbers_of_field_1(&message, &mut numbers).unwrap();
        assert_eq!(numbers, [5, 6, 1 << 40]);
    }

    #[test]
    fn what_is_cut_or_no_field_is_broken() {
        for bytes in [&[0x08][..], &[0x0a, 2, 1], &[0x09, 1, 2], &[0x00, 1], &[0x0b], &[0x08, 0xff, 0xff]] {
            assert_eq!(Fields::of(bytes).last(), Some(Err(Broken)), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for (_, value) in Fields::of(&bytes).flatten() {
                let _ = value.numbers(&mut Vec::new());
            }
        }
    }
}
