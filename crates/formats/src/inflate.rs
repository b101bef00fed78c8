//! Gzip and zstd, bounded.

use std::io::Read;

use bytes::Bytes;
use flamestore_model::{Fault, FaultId};

/// Whether the bytes start like a gzip file.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The bytes, inflated if they are gzip; `what` names them in errors.
///
/// Errors: `Unprocessable` when the gzip file is damaged or cut short, `TooLarge` beyond `cap` bytes.
pub(crate) fn inflated(bytes: &Bytes, cap: usize, what: &str) -> Result<Bytes, Fault> {
    if !is_gzip(bytes) {
        return Ok(bytes.clone());
    }
    bounded(flate2::bufread::MultiGzDecoder::new(&bytes[..]), bytes.len(), cap, what, "gzip")
}

/// The largest window that a zstd frame may ask for, as a power of two: what level 19 uses.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// The size that the first of zstd frames tells; of what tells none, the usual multiple.
pub(crate) fn told_of_zstd(bytes: &[u8]) -> usize {
    const USUAL_RATIO: usize = 8;
    let told = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    told.map_or(bytes.len().saturating_mul(USUAL_RATIO), |size| usize::try_from(size).unwrap_or(usize::MAX))
}

/// The bytes of zstd frames. Errors as [`inflated`].
pub(crate) fn unzstd(bytes: &Bytes, cap: usize, what: &str) -> Result<Bytes, Fault> {
    let opened = zstd::stream::read::Decoder::with_buffer(&bytes[..]).and_then(|mut reader| {
        reader.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
        Ok(reader)
    });
    let reader = opened.map_err(|e| Fault::internal("the zstd decoder cannot be made").caused_by(e))?;
    bounded(reader, bytes.len(), cap, what, "zstd")
}

fn bounded(reader: impl Read, packed_bytes: usize, cap: usize, what: &str, format: &str) -> Result<Bytes, Fault> {
    let mut out = Vec::with_capacity(packed_bytes.saturating_mul(4).min(cap));
    reader.take(cap as u64 + 1).read_to_end(&mut out).map_err(|e| {
        Fault::unprocessable(format!("{what} is not a whole {format} file: it is cut short or damaged")).caused_by(e)
    })?;
    if out.len() > cap {
        return Err(Fault::over(
            FaultId::UnfoldsTooLarge,
            format_args!("{what} inflates to more than allowed"),
            format_args!("{cap} bytes"),
        ));
    }
    Ok(out.into())
}

/// Whether gzip bytes have gzip bytes inside: compressed for the way and before it.
pub(crate) fn is_gzip_twice(bytes: &[u8]) -> bool {
    let mut head = [0; 2];
    is_gzip(bytes) && flate2::bufread::GzDecoder::new(bytes).read_exact(&mut head).is_ok() && is_gzip(&head)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;
    use flamestore_model::Kind;

    pub(crate) fn gzip(bytes: &[u8]) -> Bytes {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        out.write_all(bytes).unwrap();
        out.finish().unwrap().into()
    }

    #[test]
    fn zstd_is_unpacked_within_the_cap_and_damage_is_told() {
        let packed: Bytes = zstd::encode_all(&[7u8; 100_000][..], 3).unwrap().into();
        assert_eq!(unzstd(&packed, 100_000, "x").unwrap().len(), 100_000);
        assert_eq!(unzstd(&packed, 99_999, "x").unwrap_err().kind, Kind::TooLarge);
        assert_eq!(unzstd(&packed.slice(..packed.len() / 2), 100_000, "x").unwrap_err().kind, Kind::Unprocessable);
        assert_eq!(unzstd(&Bytes::from_static(b"plain"), 9, "x").unwrap_err().kind, Kind::Unprocessable);
    }

    #[test]
    fn gzip_is_inflated_and_all_else_is_left_alone() {
        assert_eq!(inflated(&Bytes::from_static(b"plain"), 3, "x").unwrap(), "plain");
        assert_eq!(inflated(&gzip(b"packed"), 6, "x").unwrap(), "packed");
        assert!(!is_gzip_twice(&gzip(b"packed")));
        assert!(is_gzip_twice(&gzip(&gzip(b"packed"))));
    }

    #[test]
    fn a_bomb_and_a_cut_file_are_refused() {
        let bomb = gzip(&vec![0; 50 << 20]);
        assert_eq!(inflated(&bomb, 1 << 20, "the body").unwrap_err().kind, Kind::TooLarge);
        let whole = gzip(b"packed");
        assert_eq!(inflated(&whole.slice(..whole.len() - 3), 100, "x").unwrap_err().kind, Kind::Unprocessable);
    }
}
