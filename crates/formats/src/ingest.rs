//! One request to `/ingest`: read its parameters, choose the format, decode.

use bytes::Bytes;
use flamestore_model::Fault;
use flamestore_model::labels::names;

use crate::app_name::AppName;
use crate::arrival::Arrival;
use crate::attime;
use crate::caps::Caps;
use crate::folded;
use crate::form;
use crate::inflate;
use crate::ingested::{Ingested, Notes, RawProfile};
use crate::jfr;
use crate::multipart;
use crate::speedscope;
use crate::stacks::{PprofHead, Stacks};
use crate::suffix;
use crate::tree;
use crate::trie;

pub(crate) const SERVICE_NAME: &str = names::SERVICE_NAME;
/// Samples a second when the client gives no rate, or one that is no number.
pub const DEFAULT_SAMPLE_RATE: u32 = 100;

/// The query parameters of `/ingest` that mean something. Others (`units`, `aggregationType`, `spyVersion`) are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestParams {
    /// `app{key=value}`.
    pub name: String,
    /// Times as the client wrote them; empty: now.
    pub from: String,
    pub until: String,
    pub sample_rate: u32,
    pub spy_name: String,
    pub format: String,
}

impl IngestParams {
    /// From decoded key-value pairs; the first of a key counts.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let (mut name, mut from, mut until, mut rate, mut spy, mut format) = (None, None, None, None, None, None);
        for (key, value) in pairs {
            let slot = match key.as_ref() {
                "name" => &mut name,
                "from" => &mut from,
                "until" => &mut until,
                "sampleRate" => &mut rate,
                "spyName" => &mut spy,
                "format" => &mut format,
                _ => continue,
            };
            slot.get_or_insert_with(|| value.as_ref().to_owned());
        }
        IngestParams {
            name: name.unwrap_or_default(),
            from: from.unwrap_or_default(),
            until: until.unwrap_or_default(),
            sample_rate: rate.and_then(|r: String| r.parse().ok()).unwrap_or(DEFAULT_SAMPLE_RATE),
            spy_name: spy.filter(|s: &String| !s.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
            format: format.unwrap_or_default(),
        }
    }
}

/// A request to `/ingest` whose body has arrived.
#[derive(Debug, Clone)]
pub struct IngestRequest<'a> {
    pub params: &'a IngestParams,
    /// Headers as they came; empty where there was none.
    pub content_type: &'a str,
    pub content_encoding: &'a str,
    pub body: Bytes,
    pub now_nanos: i64,
    pub caps: Caps,
}

/// What all decoders need to know of the request.
pub(crate) struct Upload<'a> {
    pub(crate) name: AppName,
    pub(crate) from_nanos: i64,
    pub(crate) until_nanos: i64,
    pub(crate) sample_rate: u32,
    pub(crate) spy_name: &'a str,
    pub(crate) caps: Caps,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Groups,
    Lines,
    Trie,
    Tree,
    Speedscope,
    Jfr,
    Pprof,
    PprofForm,
}

/// The first rule that fits decides; what no rule knows is folded text.
fn choose(format: &str, content_type: &str) -> Format {
    match (format, content_type) {
        ("trie", _) | (_, "binary/octet-stream+trie") => Format::Trie,
        ("tree", _) | (_, "binary/octet-stream+tree") => Format::Tree,
        ("lines", _) => Format::Lines,
        ("jfr", _) => Format::Jfr,
        ("speedscope", _) => Format::Speedscope,
        (_, content_type) if multipart::is_multipart(content_type) => Format::PprofForm,
        ("pprof", _) => Format::Pprof,
        _ => Format::Groups,
    }
}

/// How large an upload says it is once it is inflated, which may be wrong: what stands in it is not read.
pub fn told_bytes(request: &IngestRequest<'_>) -> usize {
    let format = choose(&request.params.format, request.content_type);
    let in_form = format == Format::PprofForm || format == Format::Jfr && multipart::is_multipart(request.content_type);
    if request.content_encoding.trim() == "zstd" {
        inflate::told_of_zstd(&request.body)
    } else if in_form && let Ok(parts) = multipart::parts(request.content_type, &request.body) {
        parts.iter().map(|part| flamestore_pprof::told_bytes(&part.body)).sum()
    } else {
        flamestore_pprof::told_bytes(&request.body)
    }
}

/// Decodes an upload.
///
/// Errors: `Invalid` (400) for a bad name or type suffix, `Unprocessable` (422) for a body that is not what it claims to
/// be, `TooLarge` (413) for one that inflates beyond [`Caps::max_inflated_bytes`], `Invalid` with a discard reason for
/// a profile beyond the other caps.
pub fn read(request: &IngestRequest<'_>) -> Result<Ingested, Fault> {
    let params = request.params;
    let upload = Upload {
        name: AppName::parse(&params.name)?,
        from_nanos: attime::parse(&params.from, request.now_nanos),
        until_nanos: attime::parse(&params.until, request.now_nanos),
        sample_rate: params.sample_rate,
        spy_name: &params.spy_name,
        caps: request.caps,
    };
    let format = choose(&params.format, request.content_type);
    let body = unpacked(request, format)?;
    let mut out = Ingested::default();
    match format {
        Format::Groups => upload.push_stacks(&mut out, |s, notes| folded::groups(&body, s, notes))?,
        Format::Lines => upload.push_stacks(&mut out, |s, _| {
            folded::lines(&body, s);
            Ok(())
        })?,
        Format::Trie => upload.push_stacks(&mut out, |s, _| trie::read(&body, s))?,
        Format::Tree => upload.push_stacks(&mut out, |s, _| tree::read(&body, &upload.caps, s))?,
        Format::Speedscope => speedscope::read(&upload, &body, &mut out)?,
        Format::Jfr => jfr::read(&upload, request.content_type, &body, &mut out)?,
        Format::Pprof => form::read(&upload, &body, None, &mut out)?,
        Format::PprofForm => form::read_form(&upload, &multipart::parts(request.content_type, &body)?, &mut out)?,
    }
    Ok(out)
}

/// The body without what was put around it for the way. A pprof stays compressed: it is stored as it came.
fn unpacked(request: &IngestRequest<'_>, format: Format) -> Result<Bytes, Fault> {
    match request.content_encoding.trim() {
        "" | "identity" | "gzip" | "x-gzip" => {}
        "zstd" => return inflate::unzstd(&request.body, request.caps.max_inflated_bytes, "the body"),
        encoding => {
            return Err(Fault::unprocessable(format!(
                "the Content-Encoding {encoding:?} is not known here: send the body as gzip, zstd or plain"
            )));
        }
    }
    if format == Format::Pprof && !inflate::is_gzip_twice(&request.body) {
        return Ok(request.body.clone());
    }
    // Clients exist that compress without saying so; no format but pprof starts like gzip.
    inflate::inflated(&request.body, request.caps.max_inflated_bytes, "the body")
}

impl Upload<'_> {
    /// The labels of a series called `profile_name`, without its service.
    pub(crate) fn labels(&self, profile_name: &str) -> Vec<(String, String)> {
        let mut labels = vec![
            (names::PROFILE_NAME.to_owned(), profile_name.to_owned()),
            (names::DELTA.to_owned(), "false".to_owned()),
            (names::SPY.to_owned(), self.spy_name.to_owned()),
        ];
        labels.extend(self.name.public_labels().cloned());
        labels
    }

    /// The same with the service; where the name's labels say another one, the application goes to `app_name`.
    pub(crate) fn labels_with_service(&self, profile_name: &str, service: &str) -> Vec<(String, String)> {
        let mut labels = self.labels(profile_name);
        let taken = self.name.label(SERVICE_NAME).is_some();
        labels.push((if taken { names::APP_NAME } else { SERVICE_NAME }.to_owned(), service.to_owned()));
        labels
    }

    /// A profile from stacks whose type stands in the application's name.
    fn push_stacks(
        &self,
        out: &mut Ingested,
        read: impl FnOnce(&mut Stacks, &mut Notes) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (service, tree_type) = suffix::split(&self.name.app, self.sample_rate)?;
        let mut stacks = Stacks::new(&self.caps);
        read(&mut stacks, &mut out.notes)?;
        let labels = self.labels_with_service(tree_type.name, service);
        self.push_tree(&stacks, tree_type, tree_type.factor(), labels, out)
    }

    /// A profile from stacks, their values multiplied by `factor`.
    pub(crate) fn push_tree(
        &self,
        stacks: &Stacks,
        tree_type: suffix::TreeType,
        factor: i64,
        mut labels: Vec<(String, String)>,
        out: &mut Ingested,
    ) -> Result<(), Fault> {
        // Written on the name it belongs to the samples: the span that all of them were taken in.
        let span = labels.iter().position(|(name, _)| name == names::PROFILE_ID).map(|at| labels.remove(at).1);
        let head = PprofHead {
            tree_type,
            factor,
            span_id: span.as_deref(),
            time_nanos: self.from_nanos,
            duration_nanos: self.until_nanos.saturating_sub(self.from_nanos).max(0),
        };
        if let Some(pprof) = stacks.to_pprof(&head, &self.caps)? {
            out.profiles.push(RawProfile {
                labels: labels.into(),
                pprof,
                spy: flamestore_pprof::Spy::Other,
                arrival: Arrival::Ingest { from_nanos: self.from_nanos },
                decoded: None,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inflate::tests::gzip;
    use crate::testing::{NOW, folded, ingest, ingest_text};

    fn labels(profile: &RawProfile) -> String {
        profile.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn the_first_rule_that_fits_chooses_the_format() {
        for (format, content_type, expected) in [
            ("", "", Format::Groups),
            ("folded", "text/plain", Format::Groups),
            ("nosuch", "", Format::Groups),
            ("lines", "multipart/form-data; boundary=x", Format::Lines),
            ("trie", "", Format::Trie),
            ("", "binary/octet-stream+tree", Format::Tree),
            ("jfr", "multipart/form-data; boundary=x", Format::Jfr),
            ("pprof", "application/octet-stream", Format::Pprof),
            ("pprof", "multipart/form-data; boundary=x", Format::PprofForm),
            ("", "multipart/form-data; boundary=x", Format::PprofForm),
            ("speedscope", "", Format::Speedscope),
        ] {
            assert_eq!(choose(format, content_type), expected, "{format} {content_type}");
        }
    }

    #[test]
    fn parameters_have_defaults_and_the_first_of_a_key_counts() {
        let params = IngestParams::from_pairs([("sampleRate", "abc"), ("name", "a"), ("name", "b"), ("units", "x")]);
        assert_eq!((params.name.as_str(), params.sample_rate, params.spy_name.as_str()), ("a", 100, "unknown"));
        assert_eq!(IngestParams::from_pairs([("sampleRate", "0")]).sample_rate, 0);
        assert_eq!(IngestParams::from_pairs([("sampleRate", "-1")]).sample_rate, 100);
    }

    #[test]
    fn folded_text_becomes_a_profile_at_the_time_it_starts() {
        let ingested = ingest_text("svc.cpu{region=eu,__private__=x}", "folded", "a;b 2\na 1").unwrap();
        let [profile] = &ingested.profiles[..] else { panic!("{ingested:?}") };
        assert_eq!(folded(profile), "svc process_cpu:cpu:nanoseconds:cpu:nanoseconds a 10000000, a;b 20000000");
        assert_eq!(
            labels(profile),
            "__name__=process_cpu,__delta__=false,pyroscope_spy=unknown,region=eu,service_name=svc"
        );
        let decoded = flamestore_pprof::decode(&profile.pprof, 0).unwrap();
        assert_eq!((decoded.time_nanos, decoded.duration_nanos), (NOW - 10_000_000_000, 10_000_000_000));
    }

    #[test]
    fn a_service_name_label_wins_and_the_application_is_kept_beside_it() {
        let ingested = ingest_text("app.cpu{service_name=svc}", "", "a 1").unwrap();
        assert!(labels(&ingested.profiles[0]).ends_with("service_name=svc,app_name=app"));
    }

    #[test]
    fn a_profile_id_on_the_name_is_the_span_of_all_samples() {
        let ingested = ingest_text("app{profile_id=00000000000000ab}", "", "a 1").unwrap();
        assert_eq!(ingested.profiles[0].label("profile_id"), None);
        let decoded = flamestore_pprof::decode(&ingested.profiles[0].pprof, 0).unwrap();
        let [label] = decoded.labels[..] else { panic!("one label") };
        assert_eq!((decoded.str(label.key), decoded.str(label.text)), ("profile_id", "00000000000000ab"));
    }

    #[test]
    fn a_body_without_stacks_is_an_empty_success() {
        for (format, body) in [("", ""), ("", "a 0"), ("lines", ""), ("trie", ""), ("tree", "\0\0\0")] {
            assert!(ingest_text("svc", format, body).unwrap().profiles.is_empty(), "{format:?} {body:?}");
        }
    }

    #[test]
    fn a_compressed_body_is_inflated_whether_it_says_so_or_not() {
        for encoding in ["", "gzip"] {
            let ingested = ingest("svc", "", "", encoding, gzip(b"a 1")).unwrap();
            assert_eq!(ingested.profiles.len(), 1, "{encoding:?}");
        }
        assert!(ingest("svc", "", "", "br", gzip(b"a 1")).unwrap_err().message.contains("\"br\""));
    }

    fn pprof() -> Bytes {
        let mut w = flamestore_pprof::encode::Writer::new();
        w.sample_type("samples", "count");
        let frame = w.frame("main");
        w.sample(&[frame], &[1], &[]);
        w.finish().into()
    }

    #[test]
    fn what_an_upload_says_of_its_size_is_known_before_it_is_read() {
        let text = "main;work 3\n".repeat(1000);
        let (zstd, gzip) = (zstd::bulk::compress(text.as_bytes(), 3).unwrap(), gzip(text.as_bytes()));
        let form = [b"--BB\r\nContent-Disposition: form-data; name=\"profile\"\r\n\r\n", &gzip[..], b"\r\n--BB--\r\n"]
            .concat();
        for (content_type, content_encoding, body) in [
            ("", "", text.clone().into_bytes()),
            ("", "gzip", gzip.to_vec()),
            ("", "zstd", zstd),
            ("multipart/form-data; boundary=BB", "", form),
        ] {
            let params = IngestParams::from_pairs([("name", "svc")]);
            let (body, caps) = (body.into(), Caps::default());
            let request = IngestRequest { params: &params, content_type, content_encoding, body, now_nanos: NOW, caps };
            assert_eq!(told_bytes(&request), text.len(), "{content_type} {content_encoding}");
        }
    }

    #[test]
    fn a_pprof_stays_as_it_came() {
        for body in [pprof(), gzip(&pprof())] {
            let ingested = ingest("my.app{a=b}", "pprof", "", "", body.clone()).unwrap();
            let [profile] = &ingested.profiles[..] else { panic!("{ingested:?}") };
            assert_eq!(profile.pprof, body);
            assert_eq!(profile.arrival.time_nanos(0, NOW).0, NOW - 10_000_000_000);
            assert_eq!(
                labels(profile),
                "__name__=process_cpu,__delta__=false,pyroscope_spy=unknown,a=b,service_name=my.app"
            );
        }
        let twice = ingest("my.app", "pprof", "", "gzip", gzip(&gzip(&pprof()))).unwrap();
        assert_eq!(twice.profiles[0].pprof, gzip(&pprof()));
    }

    #[test]
    fn what_is_no_pprof_is_unprocessable_and_nothing_at_all_is_fine() {
        for body in [Bytes::from_static(b"text"), gzip(&pprof()).slice(..30)] {
            let fault = ingest("svc", "pprof", "", "", body).unwrap_err();
            assert_eq!(fault.kind, flamestore_model::Kind::Unprocessable);
        }
        assert!(ingest("svc", "pprof", "", "", Bytes::new()).unwrap().profiles.is_empty());
    }

    fn form(parts: &[(&str, &[u8])]) -> Result<Ingested, Fault> {
        let mut body = Vec::new();
        for (disposition, bytes) in parts {
            body.extend(format!("--BB\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").bytes());
            body.extend_from_slice(bytes);
            body.extend(b"\r\n");
        }
        body.extend(b"--BB--\r\n");
        ingest("svc", "", "multipart/form-data; boundary=BB", "", body.into())
    }

    #[test]
    fn a_form_carries_a_profile_and_how_to_show_it() {
        let config = br#"{"samples": {"display-name": "mutex_count"}}"#;
        let pprof = pprof();
        let ingested = form(&[
            ("name=\"sample_type_config\"; filename=\"c\"", config),
            ("name=\"profile\"", &pprof),
            ("name=\"other\"", b""),
        ])
        .unwrap();
        assert_eq!((ingested.profiles[0].name(), &ingested.profiles[0].pprof), ("mutex", &pprof));
        assert_eq!((ingested.notes.parts_without_filename, ingested.notes.parts_ignored), (1, 1));
        assert!(form(&[("name=\"other\"", b"x")]).unwrap().profiles.is_empty());
    }

    #[test]
    fn a_previous_profile_is_refused_with_the_reason() {
        let fault = form(&[("name=\"prev_profile\"; filename=\"p\"", b"x")]).unwrap_err();
        assert_eq!(fault.kind, flamestore_model::Kind::Unprocessable);
        assert!(fault.message.contains("cumulative"), "{fault}");
    }

    #[test]
    fn too_many_samples_are_refused() {
        let body: String = (0..16_001).map(|i| format!("f{i} 1\n")).collect();
        let fault = ingest_text("svc", "", &body).unwrap_err();
        assert_eq!(fault.discard, Some(flamestore_model::Discard::SamplesLimit));
    }
}
