//! Java Flight Recorder recordings, as async-profiler and the JDK write them.
//!
//! A recording is a row of chunks that stand alone: events, the types of all that is in the chunk (metadata), and tables
//! of what events refer to (constant pools). Everything is read by the chunk's own metadata, so that unknown events and
//! fields are skipped. Bench: `benches/formats.rs`.
//!
//! Source of the layout: the JDK's `jdk.jfr.internal` and `hotspot/share/jfr`, as described in
//! <https://www.morling.dev/blog/jdk-flight-recorder-file-format/>.

mod chunk;
mod cursor;
mod labels;
mod metadata;
mod names;
mod pools;
mod series;

use bytes::Bytes;
use flamestore_model::Fault;

use crate::inflate;
use crate::ingest::Upload;
use crate::ingested::Ingested;
use crate::jfr::labels::LabelsSnapshot;
use crate::jfr::series::Recording;
use crate::multipart;

/// After this many broken chunks the rest is not looked at.
const MAX_BROKEN_CHUNKS: u32 = 16;

/// Reads a recording: the body itself, or the part `jfr` of a form with an optional part `labels`. Both may be gzip.
///
/// Errors: `Unprocessable` when there is no recording, or none of its chunks can be read. A chunk that cannot be read
/// takes no other with it, and is noted.
pub(crate) fn read(upload: &Upload<'_>, content_type: &str, body: &Bytes, out: &mut Ingested) -> Result<(), Fault> {
    let cap = upload.caps.max_inflated_bytes;
    let (mut recording, mut snapshot) = (None, LabelsSnapshot::default());
    if multipart::is_multipart(content_type) {
        for part in multipart::parts(content_type, body)? {
            match part.name.as_str() {
                "jfr" => recording = Some(inflate::inflated(&part.body, cap, "the part jfr")?),
                "labels" => {
                    let bytes = inflate::inflated(&part.body, cap, "the part labels")?;
                    snapshot = LabelsSnapshot::read(&bytes).map_err(|_| {
                        Fault::unprocessable("the form part labels is not a LabelsSnapshot in protobuf")
                    })?;
                }
                _ => {
                    out.notes.parts_ignored += 1;
                    continue;
                }
            }
            out.notes.parts_without_filename += u64::from(!part.has_filename);
        }
    } else {
        recording = Some(body.clone());
    }
    let recording = recording.ok_or_else(|| Fault::unprocessable("the form has no part jfr, the recording itself"))?;

    let mut events = Recording::new(upload.sample_rate, &upload.caps);
    let mut rest = &recording[..];
    let (mut is_any_read, mut broken, mut first_why) = (false, 0, None);
    while !rest.is_empty() && broken < MAX_BROKEN_CHUNKS {
        match chunk::split(rest).and_then(|(chunk, tail)| Ok((events.chunk(chunk, &mut out.notes)?, tail))) {
            Ok(((), tail)) => {
                rest = tail;
                is_any_read = true;
            }
            Err(chunk::Broken::Refused(fault)) => return Err(fault),
            Err(chunk::Broken::Because(why)) => {
                // Its size may be as wrong as the rest of it.
                rest = chunk::next(rest);
                broken += 1;
                first_why.get_or_insert(why);
                out.notes.events_unreadable += 1;
            }
        }
    }
    match first_why {
        Some(why) if !is_any_read => {
            Err(Fault::unprocessable(format!("the recording is not JFR that can be read: {why}")))
        }
        _ => events.finish(upload, &snapshot, out),
    }
}

#[cfg(test)]
mod tests;
