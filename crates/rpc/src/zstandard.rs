//! Zstd in one go, with a cap on what may come out and on the memory that a frame may ask for.

use std::cell::RefCell;
use std::io::Read;

use flamestore_model::Fault;
use zstd::bulk::Compressor;

use crate::gzip::too_large;

/// The largest window that a frame may ask for, as a power of two: what level 19 uses.
const MAX_WINDOW_LOG: u32 = 23;

/// The level of answers, which wait for it.
const LEVEL: i32 = 1;

thread_local! {
    static DEFLATE: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
}

/// The size that the header of the first frame tells.
pub(crate) fn told_bytes(file: &[u8]) -> Option<usize> {
    zstd::zstd_safe::get_frame_content_size(file).ok().flatten().and_then(|size| usize::try_from(size).ok())
}

/// Inflates whole frames behind `room` zero bytes.
///
/// # Errors
/// `Invalid` if it is not zstd, `TooLarge` if more than `cap` bytes come out.
pub(crate) fn inflate(file: &[u8], room: usize, cap: usize) -> Result<Vec<u8>, Fault> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(file)
        .and_then(|mut reader| reader.window_log_max(MAX_WINDOW_LOG).map(|()| reader))
        .map_err(|e| Fault::internal("the zstd decoder cannot be made").caused_by(e))?;
    let mut bytes = vec![0; room];
    let most = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    (&mut reader)
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Fault::invalid("the body is not zstd although Content-Encoding says so").caused_by(e))?;
    if bytes.len() - room > cap {
        return Err(too_large(cap));
    }
    Ok(bytes)
}

/// Compresses at the fastest level. `None` when there is no memory for it.
pub(crate) fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    DEFLATE.with_borrow_mut(|deflate| deflate.as_mut()?.compress(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_model::Kind;

    #[test]
    fn what_was_compressed_inflates_behind_the_room_within_the_cap() {
        let text = b"flame ".repeat(1000);
        let file = deflate(&text).unwrap();
        let out = inflate(&file, 5, text.len()).unwrap();
        assert_eq!((&out[..5], &out[5..]), (&[0; 5][..], &text[..]));
        assert_eq!(inflate(&file, 5, text.len() - 1).unwrap_err().kind, Kind::TooLarge);
        let two = [file.clone(), file.clone()].concat();
        assert_eq!(inflate(&two, 0, 1 << 20).unwrap().len(), 2 * text.len());
        for broken in [&file[..file.len() - 2], b"{}", &file[1..]] {
            assert_eq!(inflate(broken, 0, 1 << 20).unwrap_err().kind, Kind::Invalid);
        }
    }

    #[test]
    fn a_frame_that_asks_for_a_large_window_is_refused() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        std::io::Write::write_all(&mut encoder, &vec![0; 200 << 20]).unwrap();
        assert_eq!(inflate(&encoder.finish().unwrap(), 0, 1 << 30).unwrap_err().kind, Kind::Invalid);
    }
}
