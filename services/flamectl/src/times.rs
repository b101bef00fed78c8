//! Times and durations as they are written on the command line.

use std::time::Duration;

use clap::Args;
use flamestore_clock::{Clock, SystemClock};
use flamestore_formats::attime;
use prost_types::Timestamp;

use crate::failure::Failure;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// A closed range, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
}

/// `--from` and `--until`.
#[derive(Debug, Args)]
pub(crate) struct RangeArgs {
    /// Where the time range begins: `now-1h`, seconds or milliseconds since the epoch, or 2026-02-28T10:00:00Z.
    #[arg(long, value_name = "TIME", default_value = "now-1h", allow_hyphen_values = true)]
    pub(crate) from: String,

    /// Where it ends.
    #[arg(long, value_name = "TIME", default_value = "now", allow_hyphen_values = true)]
    pub(crate) until: String,
}

impl RangeArgs {
    pub(crate) fn read(&self, now_nanos: i64) -> Result<Range, Failure> {
        Range::read(("--from", &self.from), ("--until", &self.until), now_nanos)
    }
}

impl Range {
    /// From two texts, each with the option that it was given by.
    pub(crate) fn read(from: (&str, &str), until: (&str, &str), now_nanos: i64) -> Result<Range, Failure> {
        let read = |(option, text): (&str, &str)| {
            parse_time(text, now_nanos).map(|nanos| nanos / NANOS_PER_MILLI).map_err(|e| e.at(option))
        };
        let range = Range { from_ms: read(from)?, until_ms: read(until)? };
        if range.from_ms > range.until_ms {
            return Err(Failure::usage(format!("{} {} lies behind {} {}", from.0, from.1, until.0, until.1)));
        }
        Ok(range)
    }

    /// The same stretch of time, so much earlier.
    pub(crate) fn back_by(self, offset: Duration) -> Range {
        let offset = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
        Range { from_ms: self.from_ms.saturating_sub(offset), until_ms: self.until_ms.saturating_sub(offset) }
    }

    pub(crate) fn seconds(self) -> f64 {
        (self.until_ms - self.from_ms) as f64 / 1e3
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", shown(self.from_ms), shown(self.until_ms))
    }
}

/// The machine's time, in nanoseconds since the epoch.
pub(crate) fn now_nanos() -> i64 {
    SystemClock::default().now_nanos()
}

/// A time in nanoseconds since the epoch, from the words of the server's own pages or RFC 3339.
pub(crate) fn parse_time(text: &str, now_nanos: i64) -> Result<i64, Failure> {
    let rfc3339 = || {
        let t: Timestamp = text.parse().ok()?;
        t.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(t.nanos))
    };
    attime::try_parse(text, now_nanos).or_else(rfc3339).ok_or_else(|| {
        Failure::usage(format!(
            "{text:?} is no time: write now, now-1h30m, seconds or milliseconds since the epoch, or 2026-02-28T10:00:00Z"
        ))
    })
}

/// `500ms`, `30s`, `1h30m`, `7d`; a number alone is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let whole = |text: &str| text.parse::<u64>().ok();
    let nanos = match (whole(text), text.strip_suffix("ms").map(whole)) {
        (Some(seconds), _) => return Ok(Duration::from_secs(seconds)),
        (None, Some(Some(millis))) => return Ok(Duration::from_millis(millis)),
        _ if text.starts_with(|c: char| c.is_ascii_digit()) => attime::try_parse(&format!("+{text}"), 0),
        _ => None,
    };
    nanos
        .and_then(|n| u64::try_from(n).ok())
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("{text:?} is no duration: write 500ms, 30s, 1h30m or 7d"))
}

/// RFC 3339 without fractions of a second.
pub(crate) fn shown(ms: i64) -> String {
    Timestamp { seconds: ms.div_euclid(1000), nanos: 0 }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_205_000_000_000;

    #[test]
    fn a_time_is_a_word_a_number_or_a_date() {
        for (text, nanos) in [
            ("now", NOW),
            ("now-1h", NOW - 3_600_000_000_000),
            ("1795000205", NOW),
            ("1795000205000", NOW),
            ("2026-11-18T11:10:05Z", NOW),
            ("2026-11-18T12:10:05+01:00", NOW),
        ] {
            assert_eq!(parse_time(text, NOW), Ok(nanos), "{text}");
        }
        for text in ["", "yesterday", "now-5", "2026-13-01T00:00:00Z"] {
            assert!(parse_time(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_names_the_option_that_is_wrong() {
        let read = |from, until| Range::read(("--from", from), ("--until", until), NOW);
        let range = read("now-1h", "now").unwrap();
        assert_eq!(range.seconds(), 3600.0);
        assert_eq!(range.to_string(), "2026-11-18T10:10:05Z to 2026-11-18T11:10:05Z");
        assert_eq!(range.back_by(Duration::from_secs(3600)).until_ms, range.from_ms);
        assert!(read("now", "soon").unwrap_err().message.starts_with("--until: "));
        assert!(read("now", "now-1h").unwrap_err().message.contains("lies behind"));
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, millis) in [("30", 30_000), ("500ms", 500), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-5s", "+5s", "5q", "ms", "1.5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
