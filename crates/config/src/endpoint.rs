//! An address to listen on, in one text as OTLP receivers write it: `host:port`, either of which may be left out.

/// Where to listen. The host is looked up when the port is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Empty = all addresses. Without the brackets of IPv6.
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, `:port` or `host`. The error says what was expected, without the key's name.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let refuse = || Err(format!("{text:?} is not an address to listen on: write host:port, such as 0.0.0.0:4317"));
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => match port.parse() {
                Ok(port) => (host, port),
                Err(_) => return refuse(),
            },
            _ => (text, default_port),
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let number = text.bytes().all(|b| b.is_ascii_digit());
        if number || host.contains('/') || (bare.is_none() && host.contains([':', '[', ']'])) {
            return refuse();
        }
        Ok(Endpoint { host: bare.unwrap_or(host).to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_or_port_may_be_left_out_and_nothing_else_is_taken() {
        for (text, host, port) in [
            ("0.0.0.0:4317", "0.0.0.0", 4317),
            ("localhost:9", "localhost", 9),
            (":4319", "", 4319),
            ("127.0.0.1", "127.0.0.1", 4317),
            ("[::1]:4318", "::1", 4318),
            ("[::]", "::", 4317),
        ] {
            assert_eq!(Endpoint::parse(text, 4317), Ok(Endpoint { host: host.into(), port }), "{text}");
        }
        for text in ["http://localhost:4317", "4317", "a:b", "a:70000", "::1", "a:", "", "x]:1"] {
            assert!(Endpoint::parse(text, 4317).unwrap_err().contains("host:port"), "{text}");
        }
    }
}
