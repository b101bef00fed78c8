//! The bytes of a segment, version 1. All numbers are little-endian.
//!
//! A log is a folder of files `<20-digit first LSN>.wal`. A record's LSN (log sequence number) is one more than that of
//! the record before it, from 1 on, across segments.
//!
//! | header, at 0 | bytes | |
//! |---|---|---|
//! | magic | 8 | `FLAMEWAL` |
//! | version | 4 | 1 |
//! | salt | 8 | random, one a segment |
//! | first_lsn | 8 | LSN of the first record |
//! | synced_lsn | 8 | every LSN up to it was synced before this segment was made; those between it and `first_lsn` belong to a batch that failed and were never acknowledged. Normally `first_lsn - 1` |
//! | checksum | 4 | CRC32C of the 36 bytes before |
//!
//! | record, from 40 on | bytes | |
//! |---|---|---|
//! | length | 4 | of the payload |
//! | checksum | 4 | CRC32C of payload, length, lsn, salt |
//! | lsn | 8 | |
//! | payload | length | |
//!
//! The salt is in the checksum so that nobody who chooses payloads can plant a record inside one: a reader that looks
//! for the next good record behind a damaged one would otherwise take it for real.
//!
//! Versions: 1, the first.

use crc32c::{crc32c, crc32c_append};

pub const MAGIC: [u8; 8] = *b"FLAMEWAL";
pub const VERSION: u32 = 1;
/// Bytes of a segment header.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 16;
/// The LSN of the first record ever.
pub const FIRST_LSN: u64 = 1;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub salt: u64,
    pub first_lsn: u64,
    pub synced_lsn: u64,
}

/// Why a segment header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    /// Shorter than a header, another magic or a wrong checksum.
    Damaged,
    /// A good header of a version that this program does not know.
    Version(u32),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..20].copy_from_slice(&self.salt.to_le_bytes());
        out[20..28].copy_from_slice(&self.first_lsn.to_le_bytes());
        out[28..36].copy_from_slice(&self.synced_lsn.to_le_bytes());
        let checksum = crc32c(&out[..36]);
        out[36..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadHeader> {
        if bytes[..8] != MAGIC || crc32c(&bytes[..36]) != u32_at(bytes, 36) {
            return Err(BadHeader::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => {
                Ok(Header { salt: u64_at(bytes, 12), first_lsn: u64_at(bytes, 20), synced_lsn: u64_at(bytes, 28) })
            }
            other => Err(BadHeader::Version(other)),
        }
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    pub length: u32,
    pub checksum: u32,
    pub lsn: u64,
}

impl RecordHeader {
    /// `payload_checksum` is the CRC32C of the payload alone, so that callers can compute it on their own threads.
    pub fn new(length: u32, lsn: u64, payload_checksum: u32, salt: u64) -> Self {
        RecordHeader { length, checksum: seal(length, lsn, payload_checksum, salt), lsn }
    }

    pub fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut out = [0; RECORD_HEADER_BYTES];
        out[..4].copy_from_slice(&self.length.to_le_bytes());
        out[4..8].copy_from_slice(&self.checksum.to_le_bytes());
        out[8..].copy_from_slice(&self.lsn.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Self {
        RecordHeader { length: u32_at(bytes, 0), checksum: u32_at(bytes, 4), lsn: u64_at(bytes, 8) }
    }

    pub fn seals(&self, payload: &[u8], salt: u64) -> bool {
        self.checksum == seal(self.length, self.lsn, crc32c(payload), salt)
    }
}

fn seal(length: u32, lsn: u64, payload_checksum: u32, salt: u64) -> u32 {
    let mut tail = [0; 20];
    tail[..4].copy_from_slice(&length.to_le_bytes());
    tail[4..12].copy_from_slice(&lsn.to_le_bytes());
    tail[12..].copy_from_slice(&salt.to_le_bytes());
    crc32c_append(payload_checksum, &tail)
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_version_1_never_change() {
        let header = Header { salt: 0x0102_0304_0506_0708, first_lsn: 9, synced_lsn: 8 };
        let bytes = header.encode();
        assert_eq!(&bytes[..12], b"FLAMEWAL\x01\0\0\0");
        assert_eq!(&bytes[12..20], &[8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(bytes[20], 9);
        assert_eq!(Header::decode(&bytes), Ok(header));
        let record = RecordHeader::new(3, 9, crc32c(b"abc"), header.salt);
        let mut whole = b"abc\x03\0\0\0\x09\0\0\0\0\0\0\0".to_vec();
        whole.extend_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(record.checksum, crc32c(&whole));
        assert_eq!(RecordHeader::decode(&record.encode()), record);
    }

    #[test]
    fn a_header_of_a_later_version_is_told_from_a_damaged_one() {
        let mut bytes = Header { salt: 1, first_lsn: 1, synced_lsn: 0 }.encode();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Damaged));
        let checksum = crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Version(2)));
    }

    #[test]
    fn another_salt_breaks_the_seal() {
        let record = RecordHeader::new(3, 9, crc32c(b"abc"), 1);
        assert!(record.seals(b"abc", 1));
        assert!(!record.seals(b"abc", 2));
    }
}
