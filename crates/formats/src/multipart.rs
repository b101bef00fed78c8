//! `multipart/form-data` bodies (RFC 7578), cut into parts without copying.

use bytes::Bytes;
use flamestore_model::Fault;
use memchr::memmem;

/// Parts beyond this are a mistake: no client sends more than three.
pub(crate) const MAX_PARTS: usize = 64;
/// Headers of one part, in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 16 << 10;
/// RFC 2046 allows 70.
const MAX_BOUNDARY_BYTES: usize = 200;

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) has_filename: bool,
    pub(crate) body: Bytes,
}

/// Whether a Content-Type announces a form.
pub(crate) fn is_multipart(content_type: &str) -> bool {
    content_type.to_ascii_lowercase().contains("multipart/form-data")
}

/// The parts of a form, in order. A body that ends before its closing boundary is refused.
pub(crate) fn parts(content_type: &str, body: &Bytes) -> Result<Vec<Part>, Fault> {
    let boundary = boundary(content_type)?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let inner = [b"\r\n", &delimiter[..]].concat();
    let finder = memmem::Finder::new(&inner);
    let mut parts = Vec::new();

    // What stands before the first delimiter is a preamble; the delimiter needs no line end before it there.
    let mut at = if body.starts_with(&delimiter) {
        delimiter.len()
    } else {
        finder.find(body).map(|i| i + inner.len()).ok_or_else(|| broken("its first boundary is missing"))?
    };
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let line_end = memmem::find(rest, b"\r\n").ok_or_else(|| broken("a boundary has no line end"))?;
        if rest.get(..line_end).unwrap_or_default().iter().any(|b| !matches!(b, b' ' | b'\t')) {
            return Err(broken("something stands behind a boundary"));
        }
        // Headers end with an empty line, which is the first one when there are none.
        let headers_start = at + line_end;
        let headers = body.get(headers_start..).unwrap_or_default();
        let window = headers.get(..MAX_HEADER_BYTES).unwrap_or(headers);
        let headers_len =
            memmem::find(window, b"\r\n\r\n").ok_or_else(|| broken("the headers of a part do not end"))?;
        let disposition = disposition(headers.get(..headers_len).unwrap_or_default());
        let start = headers_start + headers_len + 4;
        // An empty part may end with the line end that closes its headers.
        let searched = body.get(start - 2..).unwrap_or_default();
        let end = start - 2 + finder.find(searched).ok_or_else(|| broken("its last boundary is missing"))?;
        if parts.len() == MAX_PARTS {
            return Err(Fault::unprocessable(format!("the form has more than {MAX_PARTS} parts")));
        }
        let (name, has_filename) = disposition;
        parts.push(Part { name, has_filename, body: body.slice(start.min(end)..end) });
        at = end + inner.len();
    }
}

fn boundary(content_type: &str) -> Result<String, Fault> {
    parameters(content_type)
        .into_iter()
        .find(|(name, _)| name == "boundary")
        .map(|(_, value)| value)
        .filter(|b| !b.is_empty() && b.len() <= MAX_BOUNDARY_BYTES)
        .ok_or_else(|| broken("its Content-Type header names no boundary"))
}

/// Name, and whether a filename is given, from the header lines of a part.
fn disposition(headers: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(headers);
    let line = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let parameters = parameters(line.unwrap_or_default());
    let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let has_filename = get("filename").is_some_and(|f| !f.is_empty()) || get("filename*").is_some();
    (get("name").unwrap_or_default(), has_filename)
}

/// `kind; a=b; c="d"` without its kind; names in lower case, quotes and their escapes undone.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut chars = header.chars().peekable();
    while chars.by_ref().any(|c| c == ';') {
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| !matches!(c, '=' | ';')) {
            name.push(c);
        }
        if chars.next_if_eq(&'=').is_none() {
            continue;
        }
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_some() {
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => value.extend(chars.next()),
                    c => value.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ';') {
                value.push(c);
            }
            value.truncate(value.trim_end().len());
        }
        found.push((name.trim().to_ascii_lowercase(), value));
    }
    found
}

fn broken(why: &str) -> Fault {
    Fault::unprocessable(format!("the multipart form cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=BB";

    fn read(body: &'static str) -> Result<Vec<Part>, Fault> {
        parts(TYPE, &Bytes::from_static(body.as_bytes()))
    }

    fn part(name: &str, has_filename: bool, body: &'static str) -> Part {
        Part { name: name.into(), has_filename, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn parts_come_with_name_filename_and_body() {
        let body = "preamble\r\n--BB\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"a;\\\"b\"\r\n\
                    Content-Type: text/json\r\n\r\none\r\ntwo\r\n--BB\r\n\
                    content-disposition: form-data; name=labels\r\n\r\n\r\n--BB\r\n\r\nx\r\n--BB--\r\nepilogue";
        assert_eq!(
            read(body).unwrap(),
            [part("profile", true, "one\r\ntwo"), part("labels", false, ""), part("", false, "x")]
        );
    }

    #[test]
    fn an_empty_form_has_no_parts() {
        assert_eq!(read("--BB--\r\n").unwrap(), []);
        assert_eq!(
            read("--BB\r\nContent-Disposition: form-data; name=a\r\n\r\n--BB--").unwrap(),
            [part("a", false, "")]
        );
    }

    #[test]
    fn the_boundary_may_be_quoted() {
        let content_type = "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"";
        assert!(is_multipart(content_type));
        assert_eq!(parts(content_type, &Bytes::from_static(b"--a b--")).unwrap(), []);
    }

    #[test]
    fn what_is_cut_short_is_unprocessable() {
        for body in ["", "text", "--BB", "--BB\r\n", "--BB\r\nA: b\r\n\r\nbody", "--BBx\r\n\r\n\r\n--BB--"] {
            assert_eq!(read(body).unwrap_err().kind, flamestore_model::Kind::Unprocessable, "{body:?}");
        }
        assert!(parts("multipart/form-data", &Bytes::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics(tail in "(\r\n|--BB|--|name=\"|[a-z:;=\"]){0,40}") {
            let _ = parts(TYPE, &Bytes::from(format!("--BB\r\n{tail}")));
        }

        #[test]
        fn bodies_come_back(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..5)) {
            let mut form = Vec::new();
            for (i, body) in bodies.iter().enumerate() {
                form.extend(format!("--b0undary\r\nContent-Disposition: form-data; name=\"p{i}\"\r\n\r\n").bytes());
                form.extend(body);
                form.extend(b"\r\n");
            }
            form.extend(b"--b0undary--\r\n");
            let read = parts("multipart/form-data; boundary=b0undary", &form.into()).unwrap();
            prop_assert_eq!(read.iter().map(|p| p.body.to_vec()).collect::<Vec<_>>(), bodies);
        }
    }
}
