//! From the bytes of an upload to the bytes of the message: gzip or plain, never more than a cap.
//!
//! Hot: half of the cost of reading a small profile. Bench: `benches/decode.rs`.

use std::cell::RefCell;
use std::io::Read;

use flamestore_model::{Fault, FaultId};
use libdeflater::{DecompressionError, Decompressor};

use crate::triple;

/// Largest message taken when the tenant has no limit: offsets are 32 bits wide, and normalising may add strings.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1 << 31;

/// Deflate cannot inflate a byte to more than this.
const MAX_RATIO: usize = 1032;
/// The header and trailer of an empty gzip member.
const MIN_MEMBER_BYTES: usize = 18;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const MEMBER_START: [u8; 3] = [0x1f, 0x8b, 8];

thread_local! {
    /// Its tables take 12 KB; setting them up anew for each profile would cost more than a small profile does.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// The message inside `raw`, which is gzip when it starts with `1f 8b`. `max_bytes` 0: no limit but [`MAX_MESSAGE_BYTES`].
pub(crate) fn inflate(raw: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    let cap = if max_bytes == 0 { MAX_MESSAGE_BYTES } else { max_bytes.min(MAX_MESSAGE_BYTES) };
    if !raw.starts_with(&GZIP_MAGIC) {
        return if raw.len() > cap { Err(too_large(cap)) } else { Ok(raw.to_vec()) };
    }
    if may_have_more_members(raw) { members(raw, cap) } else { single(raw, cap) }
}

/// How large the message inside `raw` says it is: of a plain one its length, of gzip what its last four bytes claim, which costs
/// nothing to read and may be wrong; never more than gzip can make of so many bytes.
pub fn told_bytes(raw: &[u8]) -> usize {
    if !raw.starts_with(&GZIP_MAGIC) {
        return raw.len();
    }
    claimed_bytes(raw).min(raw.len().saturating_mul(MAX_RATIO))
}

fn claimed_bytes(raw: &[u8]) -> usize {
    raw.last_chunk().map_or(0, |last| u32::from_le_bytes(*last) as usize)
}

/// The fast way: one member, whose size the last four bytes claim.
fn single(raw: &[u8], cap: usize) -> Result<Vec<u8>, Fault> {
    let reachable = raw.len().saturating_mul(MAX_RATIO).min(cap);
    let mut size = claimed_bytes(raw).min(reachable);
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        loop {
            let mut out = vec![0; size];
            match decompressor.gzip_decompress(raw, &mut out) {
                Ok(len) => {
                    out.truncate(len);
                    return Ok(out);
                }
                Err(DecompressionError::BadData) => return Err(corrupt()),
                Err(DecompressionError::InsufficientSpace) if size >= reachable => {
                    return Err(if reachable == cap { too_large(cap) } else { corrupt() });
                }
                // The claim was wrong: a corrupt file, or one of more than 4 GiB.
                Err(DecompressionError::InsufficientSpace) => {
                    size = size.saturating_mul(2).clamp(4096.min(reachable), reachable);
                }
            }
        }
    })
}

/// The general way: members one after another, inflated as they come.
fn members(raw: &[u8], cap: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let limit = cap as u64 + 1;
    match flate2::bufread::MultiGzDecoder::new(raw).take(limit).read_to_end(&mut out) {
        Ok(_) if out.len() > cap => Err(too_large(cap)),
        Ok(_) => Ok(out),
        Err(e) => Err(corrupt().caused_by(e)),
    }
}

/// Whether something that could be the start of a second member stands in `raw`. By chance it does so in one of a
/// thousand files of 16 KB, which then only costs time.
fn may_have_more_members(raw: &[u8]) -> bool {
    triple::contains(raw.get(MIN_MEMBER_BYTES..).unwrap_or_default(), MEMBER_START)
}

fn too_large(cap: usize) -> Fault {
    Fault::over(
        FaultId::ProfileTooLarge,
        "the uncompressed profile is larger than allowed",
        format_args!("{cap} bytes"),
    )
}

fn corrupt() -> Fault {
    Fault::of(FaultId::ProfileNotPprof, "the profile is not a whole gzip file: it is cut short or damaged")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flamestore_model::{Discard, Kind};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn text() -> Vec<u8> {
        (0..20_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
    }

    #[test]
    fn plain_bytes_are_copied() {
        assert_eq!(inflate(b"plain", 0).unwrap(), b"plain");
        assert_eq!(inflate(b"", 0).unwrap(), b"");
    }

    #[test]
    fn gzip_of_one_and_of_many_members_is_inflated() {
        let (a, b) = (gzip(&text()), gzip(b"tail"));
        assert!(!may_have_more_members(&a));
        assert_eq!(inflate(&a, 0).unwrap(), text());
        assert_eq!(inflate(&[a.clone(), b.clone()].concat(), 0).unwrap(), [text(), b"tail".to_vec()].concat());
        assert_eq!(inflate(&[b.clone(), b].concat(), 8).unwrap(), b"tailtail");
    }

    #[test]
    fn a_wrong_size_claim_does_not_matter() {
        for claim in [0u32, 1, 79_999, 80_001, u32::MAX] {
            let mut raw = gzip(&text());
            raw.extend(claim.to_le_bytes());
            assert_eq!(inflate(&raw, 0).unwrap(), text(), "claim {claim}");
        }
    }

    #[test]
    fn what_a_file_says_of_its_size_is_read_without_inflating_it() {
        assert_eq!((told_bytes(b""), told_bytes(b"plain"), told_bytes(&[0x1f, 0x8b])), (0, 5, 0));
        let whole = gzip(&text());
        assert_eq!(told_bytes(&whole), text().len());
        let liar = [&whole[..], &[0xff; 4]].concat();
        assert_eq!(told_bytes(&liar), liar.len() * MAX_RATIO);
    }

    #[test]
    fn the_cap_is_the_largest_size_that_passes() {
        let text = text();
        for raw in [text.clone(), gzip(&text), [gzip(&text[..10]), gzip(&text[10..])].concat()] {
            assert_eq!(inflate(&raw, text.len()).unwrap(), text);
            let fault = inflate(&raw, text.len() - 1).unwrap_err();
            assert_eq!((fault.kind, fault.discard), (Kind::Invalid, Some(Discard::ProfileSizeLimit)));
            assert!(fault.message.contains("limits.max_profile_size_bytes"), "{fault}");
        }
    }

    #[test]
    fn a_bomb_is_refused_without_inflating_it() {
        let bomb = gzip(&vec![0; 200 << 20]);
        assert!(bomb.len() < 1 << 20);
        let fault = inflate(&bomb, 1 << 20).unwrap_err();
        assert_eq!(fault.discard, Some(Discard::ProfileSizeLimit));
    }

    #[test]
    fn a_cut_or_damaged_file_is_malformed() {
        let whole = gzip(&text());
        for cut in [2, 10, 17, 18, whole.len() / 2, whole.len() - 1] {
            let fault = inflate(&whole[..cut], 0).unwrap_err();
            assert_eq!(
                (fault.kind, fault.discard),
                (Kind::Unprocessable, Some(Discard::MalformedProfile)),
                "cut at {cut}"
            );
        }
        let mut damaged = whole.clone();
        damaged[1000] ^= 0xff;
        assert_eq!(inflate(&damaged, 0).unwrap_err().discard, Some(Discard::MalformedProfile));
        let two = [whole.clone(), whole].concat();
        assert_eq!(inflate(&two[..two.len() - 3], 0).unwrap_err().discard, Some(Discard::MalformedProfile));
    }
}
