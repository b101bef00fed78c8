//! Requests made and answers read in one line each.

use bytes::Bytes;
use flamestore_model::Fault;

use crate::Caps;
use crate::ingest::{IngestParams, IngestRequest, read};
use crate::ingested::{Ingested, RawProfile};

pub(crate) const NOW: i64 = 1_795_000_215_000_000_000;

pub(crate) fn ingest(
    name: &str,
    format: &str,
    content_type: &str,
    content_encoding: &str,
    body: Bytes,
) -> Result<Ingested, Fault> {
    let params = IngestParams::from_pairs([("name", name), ("format", format), ("from", "now-10s"), ("until", "now")]);
    let caps = Caps::default();
    read(&IngestRequest { params: &params, content_type, content_encoding, body, now_nanos: NOW, caps })
}

pub(crate) fn ingest_text(name: &str, format: &str, body: &str) -> Result<Ingested, Fault> {
    ingest(name, format, "", "", Bytes::copy_from_slice(body.as_bytes()))
}

/// `service type stack value, stack value`, root first, sorted, for each sample type.
pub(crate) fn folded(profile: &RawProfile) -> String {
    let p = flamestore_pprof::decode(&profile.pprof, 0).unwrap();
    let lines: Vec<String> = p
        .sample_types
        .iter()
        .enumerate()
        .map(|(column, t)| {
            let mut stacks: Vec<String> = p
                .samples
                .iter()
                .enumerate()
                .map(|(row, sample)| {
                    let mut names: Vec<&str> = p
                        .locations_of(sample)
                        .iter()
                        .flat_map(|l| {
                            let location = p.locations[*l as usize];
                            &p.lines[location.first_line as usize..location.end_line as usize]
                        })
                        .map(|line| p.str(p.functions[line.function as usize].name))
                        .collect();
                    names.reverse();
                    format!("{} {}", names.join(";"), p.values_of(row)[column])
                })
                .collect();
            stacks.sort();
            format!(
                "{} {}:{}:{}:{}:{} {}",
                profile.label("service_name").unwrap_or("-"),
                profile.name(),
                p.str(t.kind),
                p.str(t.unit),
                p.str(p.period_type.kind),
                p.str(p.period_type.unit),
                stacks.join(", ")
            )
        })
        .collect();
    lines.join(" | ")
}
