//! The address of a store, as `host[:port]` or as a URL.

use flamestore_model::Fault;

/// A host, and whether it is spoken to in plain HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) plain: bool,
    /// Host, port and path, without a slash at the end.
    pub(crate) host: String,
}

impl Endpoint {
    /// Reads the value of `key`. Without a scheme it is HTTPS.
    pub(crate) fn parse(key: &str, text: &str) -> Result<Self, Fault> {
        let (plain, host) = match text.split_once("://") {
            None => (false, text),
            Some(("https", host)) => (false, host),
            Some(("http", host)) => (true, host),
            Some((scheme, _)) => {
                return Err(Fault::invalid(format!("{key} is {scheme}://...: stores speak http and https")));
            }
        };
        let host = host.trim_end_matches('/');
        let bad = |c: char| c.is_whitespace() || c.is_control() || "@?#\\".contains(c);
        if host.is_empty() || host.starts_with(['/', ':']) || host.contains(bad) {
            return Err(Fault::invalid(format!("{key} is {text:?}, which is not a host such as s3.example.com:9000")));
        }
        Ok(Endpoint { plain, host: host.to_owned() })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.plain { "http" } else { "https" }, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_optional_and_anything_but_a_host_is_refused() {
        let parse = |text| Endpoint::parse("k", text).map(|e| e.url()).map_err(|f| f.to_string());
        assert_eq!(parse("minio:9000"), Ok("https://minio:9000".into()));
        assert_eq!(parse("http://minio:9000/"), Ok("http://minio:9000".into()));
        assert_eq!(parse("https://h/path/"), Ok("https://h/path".into()));
        for bad in ["", "http://", "ftp://h", "://", ":9000", "a b", "key:secret@h", "h?x=1"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
