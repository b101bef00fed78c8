//! Exposition: what a scraper asks for decides the form, and the classic text keeps exact names.

use std::fmt::Write;

use prometheus_client::encoding::{prometheus_protobuf, text};
use prometheus_client::registry::Registry;

/// A form that Prometheus reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `text/plain; version=0.0.4`, what curl and older scrapers see.
    Classic,
    OpenMetrics,
    /// Length-delimited protobuf: the only one with native histograms.
    Protobuf,
}

impl Form {
    pub const fn content_type(self) -> &'static str {
        match self {
            Form::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A scrape's answer.
#[derive(Debug)]
pub struct Exposed {
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// The form with the highest `q` in an `Accept` header; the first of equals, and classic text where nothing fits.
pub fn negotiate(accept: Option<&str>) -> Form {
    let mut best = (Form::Classic, 0.0_f64);
    for entry in accept.unwrap_or_default().split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut delimited_families) = (1.0, true);
        for parameter in parts {
            match parameter.split_once('=').map(|(k, v)| (k.trim(), v.trim().trim_matches('"'))) {
                Some(("q", q)) => quality = q.parse().unwrap_or(0.0),
                Some(("proto", proto)) => delimited_families &= proto == "io.prometheus.client.MetricFamily",
                Some(("encoding", encoding)) => delimited_families &= encoding == "delimited",
                _ => {}
            }
        }
        let form = match media.as_str() {
            "application/vnd.google.protobuf" if delimited_families => Form::Protobuf,
            "application/openmetrics-text" => Form::OpenMetrics,
            "text/plain" | "text/*" | "*/*" => Form::Classic,
            _ => continue,
        };
        if quality > best.1 {
            best = (form, quality);
        }
    }
    best.0
}

pub(super) fn expose(registry: &Registry, form: Form) -> Exposed {
    let body = match form {
        Form::Protobuf => prometheus_protobuf::encode_to_vec(registry).unwrap_or_default(),
        Form::OpenMetrics => {
            let mut out = String::new();
            // Writing to a string cannot fail, nor can any encoder of ours.
            let _ = text::encode(&mut out, registry);
            out.into_bytes()
        }
        Form::Classic => {
            let mut out = String::new();
            let _ = text::encode_registry(&mut out, registry);
            to_classic(&out).into_bytes()
        }
    };
    Exposed { content_type: form.content_type(), body }
}

/// OpenMetrics text as classic text: there the head of a counter bears the name of its samples.
fn to_classic(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 4096);
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((named, text)) = help.take() {
                let _ = writeln!(out, "# HELP {named}{suffix} {text}");
            }
            let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
            continue;
        }
        if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_the_accept_header() {
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                          application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, form) in [
            (None, Form::Classic),
            (Some(""), Form::Classic),
            (Some("*/*"), Form::Classic),
            (Some("text/html,application/xhtml+xml"), Form::Classic),
            (Some("application/openmetrics-text; version=1.0.0,text/plain;q=0.5"), Form::OpenMetrics),
            (
                Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"),
                Form::Classic,
            ),
            (Some(prometheus), Form::Protobuf),
            (Some("application/openmetrics-text;q=0,text/plain;q=0.1"), Form::Classic),
        ] {
            assert_eq!(negotiate(accept), form, "{accept:?}");
        }
    }
}
