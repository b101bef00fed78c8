//! The log: one line an event on standard error, as logfmt or JSON.

mod line;
mod rfc3339;

use std::fmt;
use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_model::Fault;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use line::{Fields, Line};

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `ts=… level=info caller=… msg="…" key=value`.
    #[default]
    Logfmt,
    /// One JSON object a line with the same keys.
    Json,
}

impl Format {
    /// `logfmt` or `json`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "logfmt" => Ok(Format::Logfmt),
            "json" => Ok(Format::Json),
            other => Err(Fault::invalid(format!("log format {other:?} is neither logfmt nor json"))),
        }
    }
}

/// Libraries whose daily business is nobody's news: they are heard from `warn` upwards.
const QUIET: [&str; 8] = ["h2", "hyper", "hyper_util", "tower", "tonic", "object_store", "rustls", "pprof"];

/// Turns the log on for the whole process. `level` is debug, info, warn or error.
pub fn init(level: &str, format: Format, clock: Arc<dyn Clock>) -> Result<(), Fault> {
    subscriber(level, format, clock, std::io::stderr)?
        .try_init()
        .map_err(|e| Fault::internal("the log is already on").caused_by(e))
}

/// What [`init`] installs, for whoever wants the lines elsewhere.
pub fn subscriber<W>(
    level: &str,
    format: Format,
    clock: Arc<dyn Clock>,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + 'static, Fault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match level {
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warn" => Level::WARN,
        "error" => Level::ERROR,
        other => return Err(Fault::invalid(format!("log level {other:?} is not one of debug, info, warn, error"))),
    };
    let quiet = level.min(Level::WARN);
    let filter = Targets::new().with_default(level).with_targets(QUIET.map(|target| (target, quiet)));
    let lines = Lines { format, clock };
    let layer = tracing_subscriber::fmt::layer().fmt_fields(SpanFields(format)).event_format(lines).with_writer(writer);
    Ok(tracing_subscriber::registry().with(filter).with(layer))
}

/// Writes events.
struct Lines {
    format: Format,
    clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        let mut line = Line::new(self.format);
        line.text("ts", &rfc3339::utc_millis(self.clock.now_nanos()));
        line.text("level", level_word(*meta.level()));
        line.text("caller", fields.target.as_deref().unwrap_or(meta.target()));
        line.quoted("msg", &fields.message);
        fields.others.iter().for_each(|(name, value)| line.value(name, value));
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(formatted) = span.extensions().get::<FormattedFields<N>>() {
                line.raw(&formatted.fields);
            }
        }
        writeln!(writer, "{}", line.finish())
    }
}

/// Writes the fields of spans, to be put behind every event inside them.
struct SpanFields(Format);

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'w>,
        recorded: R,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        recorded.record(&mut fields);
        let mut line = Line::new(self.0);
        fields.others.iter().for_each(|(name, value)| line.value(name, value));
        writer.write_str(line.inner())
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_clock::ManualClock;
    use parking_lot::Mutex;
    use std::io;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Sink {
        type Writer = Sink;
        fn make_writer(&'a self) -> Sink {
            self.clone()
        }
    }

    fn lines(level: &str, format: Format, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let clock = ManualClock::at_nanos(1_795_234_567_890_000_000);
        let subscriber = subscriber(level, format, clock, sink.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn logfmt_lines_read_as_operators_grep_them() {
        let out = lines("info", Format::Logfmt, || {
            let _span = tracing::info_span!("push", tenant = "team a").entered();
            tracing::info!(target: "compactor", blocks = 3, "retention: deleting old blocks");
            tracing::error!(err = "no \"space\"\nleft", path = %"/data", ok = false, "flush failed");
            tracing::debug!("not shown");
        });
        assert_eq!(
            out,
            "ts=2026-11-21T04:16:07.890Z level=info caller=compactor msg=\"retention: deleting old blocks\" blocks=3 \
             tenant=\"team a\"\n\
             ts=2026-11-21T04:16:07.890Z level=error caller=flamestore_telemetry::logging::tests msg=\"flush failed\" \
             err=\"no \\\"space\\\"\\nleft\" path=/data ok=false tenant=\"team a\"\n"
        );
    }

    #[test]
    fn json_lines_hold_the_same_keys() {
        let out = lines("debug", Format::Json, || {
            let _span = tracing::info_span!("push", tenant = "a").entered();
            tracing::debug!(target: "t", n = 1, f = 0.5, ok = true, text = "q\"", "hi");
        });
        let parsed: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            parsed,
            serde_json::json!({"ts": "2026-11-21T04:16:07.890Z", "level": "debug", "caller": "t", "msg": "hi",
                "n": 1, "f": 0.5, "ok": true, "text": "q\"", "tenant": "a"})
        );
    }

    #[test]
    fn libraries_are_only_heard_when_they_warn() {
        let out = lines("debug", Format::Logfmt, || {
            tracing::debug!(target: "h2::client", "frame");
            tracing::warn!(target: "h2::client", "trouble");
        });
        assert!(!out.contains("frame") && out.contains("trouble"), "{out}");
    }

    #[test]
    fn unknown_levels_and_formats_are_refused() {
        let clock = ManualClock::at_nanos(0);
        assert!(subscriber("loud", Format::Json, clock, io::stderr).is_err());
        assert!(Format::parse("xml").is_err());
    }
}
