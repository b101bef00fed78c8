//! The request that a file is sent with.

use form_urlencoded::Serializer;

use crate::failure::Failure;
use crate::push::Push;
use crate::push::detect::Format;
use crate::times;

const OTLP_PATH: &str = "/v1development/profiles";
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Where a file goes, and what is said of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// With its query.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    /// `/ingest` sees by itself what is gzipped, OTLP has to be told.
    pub(crate) says_gzip: bool,
}

/// Reads `name=value`. The name that labels travel in has no way to escape its own signs.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err("the name is missing: write name=value".to_owned());
    }
    if value.contains([',', '}']) {
        return Err(format!("the value {value:?} has a ',' or '}}' in it, which cannot be sent"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The request for a file of this format.
pub(crate) fn build(args: &Push, format: Format, is_gzip: bool, now_nanos: i64) -> Result<Request, Failure> {
    if matches!(format, Format::Otlp | Format::OtlpJson) {
        return otlp(args, format, is_gzip);
    }
    let mut query = Serializer::new(String::new());
    query.append_pair("name", &name(args, format)?);
    query.append_pair("format", format.word());
    for (key, option, text) in [("from", "--from", &args.from), ("until", "--until", &args.until)] {
        if let Some(text) = text {
            let nanos = times::parse_time(text, now_nanos).map_err(|e| e.at(option))?;
            // 13 digits are milliseconds.
            query.append_pair(key, &format!("{:013}", nanos / NANOS_PER_MILLI));
        }
    }
    let rate = args.sample_rate.map(|hz| hz.to_string());
    for (key, value) in [
        ("spyName", &args.spy_name),
        ("sampleRate", &rate),
        ("units", &args.units),
        ("aggregationType", &args.aggregation),
    ] {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    let path = format!("/ingest?{}", query.finish());
    Ok(Request { path, content_type: "application/octet-stream", says_gzip: false })
}

fn otlp(args: &Push, format: Format, is_gzip: bool) -> Result<Request, Failure> {
    let is_said = args.service.is_some() || args.name.is_some() || args.profile_type.is_some();
    if is_said || !args.labels.is_empty() || args.from.is_some() || args.until.is_some() {
        return Err(Failure::usage(
            "an OTLP file says itself what it is of: leave out --service, --name, --label, --type, --from and --until",
        ));
    }
    let content_type = if format == Format::OtlpJson { "application/json" } else { "application/x-protobuf" };
    Ok(Request { path: OTLP_PATH.to_owned(), content_type, says_gzip: is_gzip })
}

/// `service.type{label=value}`.
fn name(args: &Push, format: Format) -> Result<String, Failure> {
    let is_named_by_type = !matches!(format, Format::Pprof | Format::Jfr);
    let app = match (&args.name, &args.service) {
        (Some(name), _) => name.clone(),
        (None, Some(service)) if service.contains(['{', '}']) => {
            return Err(Failure::usage("--service is a name alone: labels go into --label, or all of it into --name"));
        }
        (None, Some(service)) => match (&args.profile_type, is_named_by_type) {
            (Some(_), false) => {
                return Err(Failure::usage(format!(
                    "a {} file says itself what it counts: leave out --type",
                    format.word()
                )));
            }
            (Some(profile_type), true) => format!("{service}.{profile_type}"),
            // What stands behind a dot would be taken for the type.
            (None, true) if service.contains('.') => format!("{service}.cpu"),
            (None, _) => service.clone(),
        },
        (None, None) => return Err(Failure::usage("whose profile is it? Say it with --service")),
    };
    if args.labels.is_empty() {
        return Ok(app);
    }
    let labels: Vec<String> = args.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = labels.join(",");
    Ok(match app.trim_end().strip_suffix('}') {
        // The name has labels of its own.
        Some(open) if open.trim_end().ends_with('{') => format!("{open}{labels}}}"),
        Some(open) => format!("{open},{labels}}}"),
        None => format!("{app}{{{labels}}}"),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    const NOW: i64 = 1_795_000_205_000_000_000;

    fn build(words: &str, format: Format) -> Result<Request, Failure> {
        let words = ["flamectl", "push", "x"].into_iter().chain(words.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Push(args) => super::build(&args, format, true, NOW),
            other => panic!("{other:?}"),
        }
    }

    fn name(words: &str, format: Format) -> String {
        let path = build(words, format).unwrap().path;
        let (_, query) = path.split_once('?').unwrap();
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "name").unwrap().1.into_owned()
    }

    #[test]
    fn the_name_says_service_type_and_labels() {
        for (words, format, expected) in [
            ("--service a", Format::Folded, "a"),
            ("--service a.b", Format::Folded, "a.b.cpu"),
            ("--service a.b", Format::Pprof, "a.b"),
            ("--service a --type wall --label k=v --label l=w", Format::Speedscope, "a.wall{k=v,l=w}"),
            ("--name a.cpu{x=y} --label k=v", Format::Folded, "a.cpu{x=y,k=v}"),
            ("--name a{} --label k=v", Format::Folded, "a{k=v}"),
        ] {
            assert_eq!(name(words, format), expected, "{words}");
        }
    }

    #[test]
    fn times_and_rates_travel_in_the_query() {
        let request = build("--service a --from now-1h --until now --sample-rate 99 --spy-name pyspy", Format::Lines);
        assert_eq!(
            request.unwrap().path,
            "/ingest?name=a&format=lines&from=1794996605000&until=1795000205000&spyName=pyspy&sampleRate=99"
        );
    }

    #[test]
    fn an_otlp_file_goes_to_its_own_door_and_says_who_it_is_of() {
        let request = build("", Format::OtlpJson).unwrap();
        assert_eq!((&*request.path, request.content_type, request.says_gzip), (OTLP_PATH, "application/json", true));
        assert!(build("--service a", Format::Otlp).unwrap_err().message.contains("--service"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_the_option_to_use() {
        assert!(build("", Format::Folded).unwrap_err().message.contains("--service"));
        assert!(build("--service a --type cpu", Format::Pprof).unwrap_err().message.contains("--type"));
        assert!(build("--service a{b=c}", Format::Folded).unwrap_err().message.contains("--label"));
        assert!(build("--service a --from soon", Format::Folded).unwrap_err().message.starts_with("--from"));
        assert!(parse_label("a=b,c").is_err());
        assert!(parse_label("=b").is_err());
        assert!(parse_label("ab").is_err());
        assert_eq!(parse_label("a = b=c "), Ok(("a".into(), "b=c".into())));
    }
}
