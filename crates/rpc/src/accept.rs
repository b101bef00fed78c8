//! The `Accept` header: checked on every request, and the place where clients say what they understand.

use http::HeaderMap;
use http::header::ACCEPT;

/// What the caller understands, beyond what every client does. Left with the request as an extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Label names that are not Prometheus' legacy names may be answered.
    pub allow_utf8_label_names: bool,
}

/// Reads every `Accept` header; none if one of them is not a list of media types.
pub(crate) fn read(headers: &HeaderMap) -> Option<Capabilities> {
    let mut capabilities = Capabilities::default();
    for value in headers.get_all(ACCEPT) {
        let text = value.to_str().ok()?;
        if text == "*/*" {
            continue;
        }
        for entry in split(text, ',') {
            let entry = entry.trim();
            if !entry.is_empty() {
                media_type(entry, &mut capabilities)?;
            }
        }
    }
    Some(capabilities)
}

fn media_type(entry: &str, capabilities: &mut Capabilities) -> Option<()> {
    let mut parts = split(entry, ';');
    let (main, sub) = match parts.next()?.trim().split_once('/') {
        Some((main, sub)) => (main, sub),
        // `*` alone is what old Java clients send.
        None => (parts_main(entry)?, "*"),
    };
    (is_token(main) && is_token(sub)).then_some(())?;
    for parameter in parts {
        let parameter = parameter.trim();
        if parameter.is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=')?;
        let (name, value) = (name.trim_end(), value.trim_start());
        let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let fits = is_token(name) && (quoted.is_some() || is_token(value));
        fits.then_some(())?;
        if name.eq_ignore_ascii_case("allow-utf8-labelnames") {
            capabilities.allow_utf8_label_names |= quoted.unwrap_or(value) == "true";
        }
    }
    Some(())
}

fn parts_main(entry: &str) -> Option<&str> {
    split(entry, ';').next().map(str::trim)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
}

/// Splits outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> Option<bool> {
        let headers = HeaderMap::from_iter([(ACCEPT, text.parse().unwrap())]);
        read(&headers).map(|c| c.allow_utf8_label_names)
    }

    #[test]
    fn the_table_of_headers() {
        for (text, want) in [
            ("*/*", Some(false)),
            ("", Some(false)),
            ("application/json", Some(false)),
            ("text/html, image/gif, *; q=.2, */*; q=.2", Some(false)),
            ("*/*;allow-utf8-labelnames=true", Some(true)),
            ("application/proto, */*; allow-utf8-labelnames=\"true\"; q=0.1", Some(true)),
            ("*/*;allow-utf8-labelnames=false", Some(false)),
            ("text/plain;a=\"b,c;d\"", Some(false)),
            ("a/b/c", None),
            ("a/b;c", None),
            ("/", None),
            ("a b/c", None),
        ] {
            assert_eq!(read_one(text), want, "{text:?}");
        }
    }
}
