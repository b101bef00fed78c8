//! One line of the log, put together key by key.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};

use super::Format;

/// Longest text of one field, in bytes; the rest is cut.
const MAX_FIELD_BYTES: usize = 8 << 10;

/// The value of a field.
#[derive(Debug)]
pub(super) enum Scalar {
    /// Numbers and bools: written as they are, in both formats.
    Bare(String),
    Text(String),
}

/// The fields of an event or a span, with the message apart.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub message: String,
    /// Where the event came from, when it came through the `log` facade.
    pub target: Option<String>,
    pub others: Vec<(&'static str, Scalar)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Scalar) {
        match (field.name(), value) {
            ("message", Scalar::Text(text) | Scalar::Bare(text)) => self.message = text,
            ("log.target", Scalar::Text(text)) => self.target = Some(text),
            ("log.module_path" | "log.file" | "log.line", _) => {}
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Scalar::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Scalar::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Scalar::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        // JSON knows no infinity.
        self.add(field, if value.is_finite() { Scalar::Bare(text) } else { Scalar::Text(text) });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Scalar::Text(cut(value).to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.record_str(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn cut(text: &str) -> &str {
    if text.len() <= MAX_FIELD_BYTES {
        return text;
    }
    let end = (0..=MAX_FIELD_BYTES).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A line while it grows.
#[derive(Debug)]
pub(super) struct Line {
    format: Format,
    out: String,
}

impl Line {
    pub(super) fn new(format: Format) -> Self {
        Line { format, out: String::with_capacity(160) }
    }

    /// A text, in logfmt with quotes only where they are needed.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        let plain = |c: char| c > ' ' && !matches!(c, '"' | '=' | '\\' | '\u{7f}');
        if self.format == Format::Logfmt && !text.is_empty() && text.chars().all(plain) {
            self.key(key);
            self.out.push_str(text);
        } else {
            self.quoted(key, text);
        }
    }

    /// A text in quotes. JSON's quoting is logfmt's, too.
    pub(super) fn quoted(&mut self, key: &str, text: &str) {
        self.key(key);
        self.out.push_str(&serde_json::Value::from(text).to_string());
    }

    pub(super) fn value(&mut self, key: &str, value: &Scalar) {
        match value {
            Scalar::Text(text) => self.text(key, text),
            Scalar::Bare(text) => {
                self.key(key);
                self.out.push_str(text);
            }
        }
    }

    /// What another line holds.
    pub(super) fn raw(&mut self, inner: &str) {
        if !inner.is_empty() {
            self.separate();
            self.out.push_str(inner);
        }
    }

    /// The keys so far.
    pub(super) fn inner(&self) -> &str {
        &self.out
    }

    pub(super) fn finish(self) -> String {
        match self.format {
            Format::Logfmt => self.out,
            Format::Json => format!("{{{}}}", self.out),
        }
    }

    fn separate(&mut self) {
        if !self.out.is_empty() {
            self.out.push(if self.format == Format::Json { ',' } else { ' ' });
        }
    }

    fn key(&mut self, key: &str) {
        self.separate();
        match self.format {
            Format::Logfmt => {
                self.out.push_str(key);
                self.out.push('=');
            }
            Format::Json => {
                self.out.push_str(&serde_json::Value::from(key).to_string());
                self.out.push(':');
            }
        }
    }
}
