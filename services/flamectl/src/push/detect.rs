//! Which format a file is written in: by its first bytes where they tell, then by its name, then by its content.

use std::io::Read;

use clap::ValueEnum;
use flamestore_proto::opentelemetry::proto::collector::profiles::v1development::ExportProfilesServiceRequest;
use flate2::read::MultiGzDecoder;
use prost::Message;

use crate::failure::Failure;

/// What is inflated to look at the beginning of a file, in bytes.
const LOOK_BYTES: u64 = 64 << 10;
/// The most that is inflated to read a whole file, in bytes.
const MAX_INFLATED_BYTES: usize = 1 << 30;
/// Lines of a text that are looked at.
const LOOK_LINES: usize = 20;

const GZIP: &[u8] = &[0x1f, 0x8b];
const JFR: &[u8] = b"FLR\0";

/// The formats of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Find out from the file
    Auto,
    /// Go's and everybody's protobuf
    Pprof,
    /// Stacks with a count: `main;work 12`
    Folded,
    /// Stacks without a count
    Lines,
    /// Java Flight Recorder
    Jfr,
    /// Of py-spy and others, in JSON
    Speedscope,
    /// Pyroscope's prefix tree
    Trie,
    /// Pyroscope's call tree
    Tree,
    /// OpenTelemetry's export request, in protobuf or JSON
    Otlp,
    /// The same in JSON; found out from the file
    #[value(skip)]
    OtlpJson,
}

impl Format {
    /// As it is written on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::Pprof => "pprof",
            Format::Folded => "folded",
            Format::Lines => "lines",
            Format::Jfr => "jfr",
            Format::Speedscope => "speedscope",
            Format::Trie => "trie",
            Format::Tree => "tree",
            Format::Otlp | Format::OtlpJson => "otlp",
        }
    }
}

/// Endings of names that tell the format, without `.gz`.
const ENDINGS: &[(&str, Format)] = &[
    (".pprof", Format::Pprof),
    (".pb", Format::Pprof),
    (".jfr", Format::Jfr),
    (".folded", Format::Folded),
    (".collapsed", Format::Folded),
    (".trie", Format::Trie),
    (".tree", Format::Tree),
    (".otlp", Format::Otlp),
];

pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(GZIP)
}

/// Whether an OTLP file is JSON; its protobuf begins with a tag.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    head(bytes).trim_ascii_start().starts_with(b"{")
}

/// Tells the format, or fails with a request to say it.
pub(crate) fn format(name: &str, bytes: &[u8]) -> Result<Format, Failure> {
    let head = head(bytes);
    let text = head.trim_ascii_start();
    if head.starts_with(JFR) {
        return Ok(Format::Jfr);
    }
    if text.starts_with(b"{") {
        let has = |word: &str| text.windows(word.len()).any(|w| w == word.as_bytes());
        if has("\"resourceProfiles\"") || has("\"resource_profiles\"") {
            return Ok(Format::OtlpJson);
        }
        if has("speedscope") || has("\"shared\"") || has("\"profiles\"") {
            return Ok(Format::Speedscope);
        }
    }
    let bare = name.strip_suffix(".gz").unwrap_or(name);
    if let Some((_, format)) = ENDINGS.iter().find(|(ending, _)| bare.ends_with(ending)) {
        return Ok(*format);
    }
    by_content(bytes, &head).ok_or_else(|| Failure::usage("its format cannot be told: say it with --format"))
}

/// The first bytes, inflated.
fn head(bytes: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    let mut read = |from: &mut dyn Read| from.take(LOOK_BYTES).read_to_end(&mut head).map(drop);
    // What cannot be inflated to its end has told enough at its beginning, or tells nothing.
    let _ = if is_gzip(bytes) { read(&mut MultiGzDecoder::new(bytes)) } else { read(&mut &*bytes) };
    head
}

fn by_content(bytes: &[u8], head: &[u8]) -> Option<Format> {
    if let Some(format) = of_text(head) {
        return Some(format);
    }
    if flamestore_pprof::decode(bytes, MAX_INFLATED_BYTES).is_ok_and(|p| !p.sample_types.is_empty()) {
        return Some(Format::Pprof);
    }
    let mut whole = Vec::new();
    let whole: &[u8] = if is_gzip(bytes) {
        MultiGzDecoder::new(bytes).take(MAX_INFLATED_BYTES as u64).read_to_end(&mut whole).ok()?;
        &whole
    } else {
        bytes
    };
    let request = ExportProfilesServiceRequest::decode(whole).ok()?;
    (!request.resource_profiles.is_empty()).then_some(Format::Otlp)
}

/// Folded text has a number at the end of its lines.
fn of_text(head: &[u8]) -> Option<Format> {
    let whole = head.iter().rposition(|b| *b == b'\n').map_or(head, |end| head.get(..end).unwrap_or_default());
    let text = std::str::from_utf8(whole).ok()?;
    if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return None;
    }
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).take(LOOK_LINES).peekable();
    lines.peek()?;
    let counted = |line: &str| {
        line.rsplit_once([' ', '\t'])
            .is_some_and(|(_, count)| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut stacks = lines.clone();
    if lines.all(counted) {
        return Some(Format::Folded);
    }
    stacks.any(|line| line.contains(';')).then_some(Format::Lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flamestore_pprof::encode::Writer;
    use flamestore_proto::opentelemetry::proto::profiles::v1development::ResourceProfiles;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pprof() -> Vec<u8> {
        let mut pprof = Writer::new();
        pprof.sample_type("cpu", "nanoseconds");
        let location = pprof.frame("main");
        pprof.sample(&[location], &[10], &[]);
        pprof.finish()
    }

    #[test]
    fn the_format_is_told_by_content_plain_or_gzipped() {
        let otlp = ExportProfilesServiceRequest {
            resource_profiles: vec![ResourceProfiles { schema_url: "x".into(), ..ResourceProfiles::default() }],
            ..ExportProfilesServiceRequest::default()
        };
        for (bytes, format_of) in [
            (b"FLR\0\0\x02\0\x01rest".to_vec(), Format::Jfr),
            (br#" {"$schema":"https://www.speedscope.app/file-format-schema.json"}"#.to_vec(), Format::Speedscope),
            (br#"{"resourceProfiles":[]}"#.to_vec(), Format::OtlpJson),
            (b"main;work 12\nmain 3\n\n".to_vec(), Format::Folded),
            (b"main;work\nmain;idle\n".to_vec(), Format::Lines),
            (pprof(), Format::Pprof),
            (otlp.encode_to_vec(), Format::Otlp),
        ] {
            assert_eq!(format("-", &bytes), Ok(format_of));
            assert_eq!(format("x", &gzip(&bytes)), Ok(format_of));
        }
    }

    #[test]
    fn a_name_tells_what_the_content_does_not() {
        assert_eq!(format("a/b.trie.gz", b"\x01\x02"), Ok(Format::Trie));
        assert_eq!(format("x.tree", b"\0\0"), Ok(Format::Tree));
        for bytes in [&b""[..], b"\xff\xfe\x01", b"some words", b"{}"] {
            assert!(format("x", bytes).unwrap_err().message.contains("--format"), "{bytes:?}");
        }
    }
}
