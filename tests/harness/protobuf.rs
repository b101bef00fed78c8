//! Protobuf by hand, for messages that are broken, or newer than ours.

/// A field of wire type 2: text, bytes, a message, packed numbers.
pub fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(number << 3 | 2);
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

/// A field of wire type 0.
pub fn number(number: u64, value: u64) -> Vec<u8> {
    let mut out = varint(number << 3);
    out.extend(varint(value));
    out
}

/// A field of wire type 1 that holds a `double`.
pub fn double(number: u64, value: f64) -> Vec<u8> {
    let mut out = varint(number << 3 | 1);
    out.extend(value.to_le_bytes());
    out
}

pub fn varint(mut v: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
    out
}
