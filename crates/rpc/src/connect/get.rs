//! A call in the query of a GET: `?connect=v1&encoding=json&message=…`, with `base64=1` and `compression=` for what is no text.

use axum::body::Body;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flamestore_model::Fault;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request};

/// With or without `=` at the end, as callers like it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a GET is meant as a call, and not as a look at what is there.
pub(super) fn is_call(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or("");
    request.method() == Method::GET && parameters(query).any(|(name, _)| name == b"message" || name == b"connect")
}

/// The same call as a POST. One that does not say how its message is written has no content type.
///
/// # Errors
/// `Invalid` when the query is no call of this version.
pub(super) fn as_post(request: Request<Body>) -> Result<Request<Body>, Fault> {
    let (mut parts, _) = request.into_parts();
    let (mut message, mut is_base64) = (None, false);
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    for (name, value) in parameters(parts.uri.query().unwrap_or("")) {
        match (name.as_slice(), value.as_slice()) {
            (b"connect", b"v1") => {}
            (b"connect", _) => return Err(Fault::invalid("the query parameter connect must be v1")),
            (b"encoding", b"json") => {
                parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            (b"encoding", b"proto") => {
                parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/proto"));
            }
            (b"base64", flag) => is_base64 = flag == b"1",
            (b"compression", coding) => {
                let coding = HeaderValue::from_bytes(coding);
                let coding = coding.map_err(|_| Fault::invalid("the query parameter compression is no word"))?;
                parts.headers.insert(CONTENT_ENCODING, coding);
            }
            (b"message", _) => message = Some(value),
            _ => {}
        }
    }
    let mut message = message.ok_or_else(|| Fault::invalid("the query parameter message is missing"))?;
    if is_base64 {
        message = BASE64
            .decode(&message)
            .map_err(|e| Fault::invalid("the query parameter message is not URL-safe base64").caused_by(e))?;
    }
    parts.headers.insert(CONTENT_LENGTH, message.len().into());
    parts.method = Method::POST;
    Ok(Request::from_parts(parts, Body::from(message)))
}

/// Names and values, unescaped. They are bytes: a binary message need not be text.
fn parameters(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(name), unescape(value))
    })
}

fn unescape(text: &str) -> Vec<u8> {
    let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                bytes = ahead;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_bytes_and_what_is_none_stays() {
        for (text, want) in
            [("a%20b+c", &b"a b c"[..]), ("%ff%00", &[0xff, 0]), ("100%", b"100%"), ("%4", b"%4"), ("%zz", b"%zz")]
        {
            assert_eq!(unescape(text), want, "{text}");
        }
    }

    #[tokio::test]
    async fn a_binary_message_comes_through_as_it_is() {
        let uri = "/x?connect=v1&encoding=proto&compression=zstd&message=%0a%FF+%2B";
        let post = as_post(Request::get(uri).header("content-type", "x").body(Body::empty()).unwrap()).unwrap();
        let header = |name: &str| post.headers()[name].to_str().unwrap();
        assert_eq!((header("content-type"), header("content-encoding")), ("application/proto", "zstd"));
        assert_eq!(header("content-length"), "4");
        let body = http_body_util::BodyExt::collect(post.into_body()).await.unwrap().to_bytes();
        assert_eq!(&body[..], b"\x0a\xff +");
    }

    #[test]
    fn a_get_is_a_call_when_it_says_so() {
        let is_call = |uri: &str| super::is_call(&Request::get(uri).body(Body::empty()).unwrap());
        assert!(is_call("/x?message=%7B%7D&encoding=json") && is_call("/x?connect=v1"));
        assert!(!is_call("/x") && !is_call("/x?query=message"));
    }
}
