//! How bodies are compressed: what a request says of its own, and what its caller accepts for the answer.

use bytes::Bytes;
use flamestore_model::{Fault, Kind};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};

use crate::workroom::{Place, Told, Tried};
use crate::{gzip, zstandard};

/// Answers smaller than this are not worth compressing: they fit in one packet anyway.
pub(crate) const COMPRESS_ABOVE_BYTES: usize = 1400;

/// What is understood, for the header of answers.
pub(crate) const UNDERSTOOD: HeaderValue = HeaderValue::from_static("gzip, zstd");

/// How many times smaller than what is inside the bodies are that do not say.
const USUAL_RATIO: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What a request says that its body is.
    ///
    /// # Errors
    /// `Unimplemented` for what is not understood.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => Ok(Encoding::Identity),
            Some(b"gzip") => Ok(Encoding::Gzip),
            Some(b"zstd") => Ok(Encoding::Zstd),
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                let why = format!("unknown Content-Encoding {name:?}: send gzip, zstd or identity");
                Err(Fault::new(Kind::Unimplemented, why))
            }
        }
    }

    /// What to compress an answer with: zstd, unless its caller does not accept it or would rather have gzip.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let text = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
        match (weight(text, "gzip", true), weight(text, "zstd", false)) {
            (gzip, zstd) if zstd > 0.0 && zstd >= gzip => Encoding::Zstd,
            (gzip, _) if gzip > 0.0 => Encoding::Gzip,
            _ => Encoding::Identity,
        }
    }

    /// As [`Encoding::accepted`] for answers that are only ever gzipped.
    pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
        let text = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
        weight(text, "gzip", true) > 0.0
    }

    /// The word for the header of an answer, if it needs one.
    pub(crate) fn header(self) -> Option<HeaderValue> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some(HeaderValue::from_static("gzip")),
            Encoding::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }

    /// How large a body says it is inside, which may be wrong. One that says nothing is taken at the usual ratio.
    pub(crate) fn told_bytes(self, body: &[u8]) -> usize {
        let told = match self {
            Encoding::Identity => return body.len(),
            Encoding::Gzip => gzip::told_bytes(body),
            Encoding::Zstd => zstandard::told_bytes(body),
        };
        told.unwrap_or(body.len().saturating_mul(USUAL_RATIO))
    }

    /// As [`Encoding::inflate`], where there is room for it, which is held until the request is answered. `fill` makes of the
    /// inflated bytes what is wanted, which takes `memory_per_byte` of each of them.
    pub(crate) async fn inflate_in(
        self,
        place: &Place,
        body: Bytes,
        size: Inside,
        fill: impl Fn(Vec<u8>) -> Result<Vec<u8>, Fault> + Send + Sync + 'static,
    ) -> Result<Vec<u8>, Fault> {
        let told = Told { bytes: self.told_bytes(&body), most: size.cap, memory_per_byte: size.memory_per_byte };
        let read = move |cap| {
            let inflated = self.inflate(&body, size.room, cap);
            if cap < size.cap && inflated.as_ref().is_err_and(|fault| fault.kind == Kind::TooLarge) {
                return Tried::TooSmall;
            }
            match inflated.and_then(&fill) {
                Ok(made) => {
                    let held = made.capacity();
                    Tried::Read(made, held)
                }
                Err(fault) => Tried::Refused(fault),
            }
        };
        let (made, part) = place.read(told, read).await?;
        place.keep(part);
        Ok(made)
    }

    /// A whole body inflated behind `room` zero bytes, which the caller fills.
    ///
    /// # Errors
    /// `Invalid` if it is not what it should be, `TooLarge` if more than `cap` bytes come out, of which it never holds more.
    pub(crate) fn inflate(self, body: &[u8], room: usize, cap: usize) -> Result<Vec<u8>, Fault> {
        match self {
            Encoding::Gzip if !body.is_empty() => gzip::inflate(body, room, cap),
            Encoding::Zstd if !body.is_empty() => zstandard::inflate(body, room, cap),
            _ => {
                let mut bytes = vec![0; room];
                bytes.extend_from_slice(body);
                Ok(bytes)
            }
        }
    }

    /// Compresses at the fastest level what is worth it.
    pub(crate) fn deflate(self, body: &[u8]) -> Option<Vec<u8>> {
        match self {
            _ if body.len() < COMPRESS_ABOVE_BYTES => None,
            Encoding::Identity => None,
            Encoding::Gzip => Some(gzip::deflate(body)),
            Encoding::Zstd => zstandard::deflate(body),
        }
    }
}

/// How a body is inflated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    /// Zero bytes in front.
    pub(crate) room: usize,
    /// The most bytes that may come out.
    pub(crate) cap: usize,
    /// Memory that is needed for each of them.
    pub(crate) memory_per_byte: usize,
}

/// How much a list of codings wants one, 0 to 1; `any` is whether `*` means it too.
fn weight(list: &str, name: &str, any: bool) -> f32 {
    let mut of_any = 0.0;
    for entry in list.split(',') {
        let mut parts = entry.split(';');
        let coding = parts.next().unwrap_or("").trim();
        let q = parts.find_map(|p| p.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(1.0));
        if coding.eq_ignore_ascii_case(name) {
            return q;
        }
        if any && coding == "*" {
            of_any = q;
        }
    }
    of_any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compressed_as_their_caller_would_have_it() {
        for (list, want) in [
            ("gzip", Encoding::Gzip),
            ("deflate, gzip;q=1.0", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0.0", Encoding::Identity),
            ("gzip;q=0.5", Encoding::Gzip),
            ("br", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("zstd", Encoding::Zstd),
            ("gzip, zstd", Encoding::Zstd),
            ("gzip, zstd;q=0.2", Encoding::Gzip),
            ("zstd;q=0, *", Encoding::Gzip),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(list))]);
            assert_eq!(Encoding::accepted(&headers), want, "{list}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Identity);
        assert!(!Encoding::accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed_one_way_is_not_read_the_other() {
        let text = b"flame ".repeat(1000);
        for (one, other) in [(Encoding::Gzip, Encoding::Zstd), (Encoding::Zstd, Encoding::Gzip)] {
            let packed = one.deflate(&text).unwrap();
            assert_eq!(one.inflate(&packed, 0, 1 << 20).unwrap(), text);
            assert_eq!(other.inflate(&packed, 0, 1 << 20).unwrap_err().kind, Kind::Invalid);
            assert_eq!(one.inflate(b"", 5, 0).unwrap(), [0; 5], "an empty body is no file, and not damaged either");
        }
    }
}
