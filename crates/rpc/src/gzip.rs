//! Gzip in one go, with a cap on what may come out.
//!
//! Hot: pushes come compressed. libdeflate is about twice as fast as the alternatives on bodies that fit in memory.

use std::cell::RefCell;
use std::io::Read;

use flamestore_model::{Fault, Kind};
use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// Deflate cannot make anything more than about 1032 times smaller; a trailer that claims more lies.
const MAX_RATIO: usize = 1032;

/// How every member begins: two magic bytes and the only method there is.
const MAGIC: &[u8] = &[0x1f, 0x8b, 8];

/// libdeflate's level for answers; its level 0, which it calls the fastest, does not compress at all.
const LEVEL: i32 = 1;

thread_local! {
    static INFLATE: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    static DEFLATE: RefCell<Compressor> = RefCell::new(Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default()));
}

/// Inflates a whole gzip file of any number of members behind `room` zero bytes, which the caller fills.
///
/// # Errors
/// `Invalid` if it is not gzip, `TooLarge` if more than `cap` bytes come out. Never holds more than `cap` bytes.
pub(crate) fn inflate(file: &[u8], room: usize, cap: usize) -> Result<Vec<u8>, Fault> {
    match inflate_single(file, room, cap) {
        Some(bytes) => Ok(bytes),
        None => inflate_slowly(file, room, cap),
    }
}

/// The size that the trailer of the last member tells.
pub(crate) fn told_bytes(file: &[u8]) -> Option<usize> {
    let told = usize::try_from(u32::from_le_bytes(*file.last_chunk::<4>()?)).ok()?;
    Some(told.min(file.len().saturating_mul(MAX_RATIO)))
}

/// The common case: one member, whose trailer tells the size.
fn inflate_single(file: &[u8], room: usize, cap: usize) -> Option<Vec<u8>> {
    let size = file.last_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    if size > cap || size > file.len().saturating_mul(MAX_RATIO) {
        return None;
    }
    // libdeflate reads one member and does not tell where it ended.
    if memchr::memmem::find(file.get(1..)?, MAGIC).is_some() {
        return None;
    }
    let mut bytes = vec![0; room + size];
    let inflated = INFLATE.with_borrow_mut(|inflate| inflate.gzip_decompress(file, bytes.get_mut(room..)?).ok())?;
    (inflated == size).then_some(bytes)
}

fn inflate_slowly(file: &[u8], room: usize, cap: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; room];
    let most = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    flate2::bufread::MultiGzDecoder::new(file)
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Fault::invalid("the body is not gzip although Content-Encoding says so").caused_by(e))?;
    if bytes.len() - room > cap {
        return Err(too_large(cap));
    }
    Ok(bytes)
}

/// The fault of a body over its cap.
pub(crate) fn too_large(cap: usize) -> Fault {
    Fault::new(Kind::TooLarge, format!("the request body is larger than the limit of {cap} bytes"))
}

/// Compresses at the fastest level.
pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    DEFLATE.with_borrow_mut(|deflate| {
        let mut file = vec![0; deflate.gzip_compress_bound(bytes.len())];
        // The bound is exact, so this cannot run out of room.
        let size = deflate.gzip_compress(bytes, &mut file).unwrap_or(0);
        file.truncate(size);
        file
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        deflate(bytes)
    }

    #[test]
    fn what_was_deflated_inflates_behind_the_room() {
        let text = b"flame ".repeat(1000);
        let out = inflate(&gz(&text), 5, 1 << 20).unwrap();
        assert_eq!((&out[..5], &out[5..]), (&[0; 5][..], &text[..]));
    }

    #[test]
    fn several_members_are_one_file() {
        for second in [&b"two"[..], b"one"] {
            let file = [gz(b"one"), gz(second)].concat();
            let out = inflate(&file, 0, 100).unwrap();
            assert_eq!(out, [b"one", second].concat());
        }
    }

    #[test]
    fn a_bomb_is_too_large_and_rubbish_is_invalid() {
        let bomb = gz(&vec![0; 10_000_000]);
        assert_eq!(inflate(&bomb, 0, 1 << 20).unwrap_err().kind, Kind::TooLarge);
        let mut liar = bomb;
        let size = liar.len();
        liar[size - 4..].copy_from_slice(&10u32.to_le_bytes());
        assert!(inflate(&liar, 0, 1 << 20).is_err());
        assert_eq!(inflate(b"{}", 0, 100).unwrap_err().kind, Kind::Invalid);
    }
}
