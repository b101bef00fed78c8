//! Numbers for people: `1.21 s`, `3.4 MiB`, `12.3 k`.

/// What the numbers of a profile measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measure {
    /// One is so many seconds.
    Time(f64),
    Bytes,
    Count,
}

/// The units of time that profiles are kept in, in seconds.
const TIMES: [(&str, f64); 4] =
    [("nanoseconds", 1e-9), ("microseconds", 1e-6), ("milliseconds", 1e-3), ("seconds", 1.0)];
const SHOWN_TIMES: [(&str, f64); 6] =
    [("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)];
const SHOWN_BYTES: [(&str, f64); 4] =
    [("TiB", 1_099_511_627_776.0), ("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1024.0)];
const SHOWN_COUNTS: [(&str, f64); 3] = [("G", 1e9), ("M", 1e6), ("k", 1e3)];
/// Counts below this are shown to the last digit.
const EXACT_BELOW: f64 = 10_000.0;

/// Units in which an amount can be written, with what they measure and how many seconds or bytes they are.
const WRITTEN: &[(&str, Measure, f64)] = &[
    ("ns", Measure::Time(1.0), 1e-9),
    ("us", Measure::Time(1.0), 1e-6),
    ("µs", Measure::Time(1.0), 1e-6),
    ("ms", Measure::Time(1.0), 1e-3),
    ("s", Measure::Time(1.0), 1.0),
    ("min", Measure::Time(1.0), 60.0),
    ("h", Measure::Time(1.0), 3600.0),
    ("B", Measure::Bytes, 1.0),
    ("kB", Measure::Bytes, 1e3),
    ("MB", Measure::Bytes, 1e6),
    ("GB", Measure::Bytes, 1e9),
    ("KiB", Measure::Bytes, 1024.0),
    ("MiB", Measure::Bytes, 1_048_576.0),
    ("GiB", Measure::Bytes, 1_073_741_824.0),
];

impl Measure {
    /// Of a profile type's sample unit.
    pub(crate) fn of(unit: &str) -> Measure {
        match TIMES.iter().find(|(name, _)| *name == unit) {
            Some((_, seconds)) => Measure::Time(*seconds),
            None if unit == "bytes" => Measure::Bytes,
            None => Measure::Count,
        }
    }

    /// A value with three digits and its unit.
    pub(crate) fn show(self, value: i64) -> String {
        let value = value as f64;
        match self {
            Measure::Time(seconds) => scaled(value * seconds, &SHOWN_TIMES, "s"),
            Measure::Bytes => scaled(value, &SHOWN_BYTES, "B"),
            Measure::Count if value.abs() < EXACT_BELOW => format!("{value}"),
            Measure::Count => scaled(value, &SHOWN_COUNTS, ""),
        }
    }

    /// An amount in the profile's own unit; `Err` with the reason where the unit written does not fit.
    pub(crate) fn read(self, number: f64, unit: &str) -> Result<f64, String> {
        if unit.is_empty() {
            return Ok(number);
        }
        let Some((_, measure, size)) = WRITTEN.iter().find(|(name, ..)| *name == unit) else {
            return Err(format!("{unit:?} is no unit that is known here"));
        };
        match (self, measure) {
            (Measure::Time(seconds), Measure::Time(_)) => Ok(number * size / seconds),
            (Measure::Bytes, Measure::Bytes) => Ok(number * size),
            (Measure::Time(_), _) => Err(format!("the profile measures time, and {unit:?} is no time")),
            (Measure::Bytes, _) => Err(format!("the profile measures bytes, and {unit:?} is no number of bytes")),
            (Measure::Count, _) => Err(format!("the profile counts things: write the number without {unit:?}")),
        }
    }
}

/// Whether an amount may be written in this unit.
pub(crate) fn is_written(unit: &str) -> bool {
    WRITTEN.iter().any(|(name, ..)| *name == unit)
}

/// By the largest unit that the value reaches; the smallest, or `plain`, where it reaches none.
fn scaled(value: f64, units: &[(&str, f64)], plain: &str) -> String {
    if value == 0.0 {
        return format!("0 {plain}").trim_end().to_owned();
    }
    // Half a unit in the last place shown, so that 999.9996 ms is 1.00 s.
    let size = value.abs() * 1.0005;
    let smallest_is_below_one = units.last().is_some_and(|(_, s)| *s < 1.0);
    match units.iter().find(|(_, s)| size >= *s) {
        Some((unit, s)) => format!("{} {unit}", three_digits(value / s)),
        None if smallest_is_below_one => match units.last() {
            Some((unit, s)) => format!("{} {unit}", three_digits(value / s)),
            None => three_digits(value),
        },
        None => format!("{value:.0} {plain}").trim_end().to_owned(),
    }
}

fn three_digits(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// `part` of `whole` in percent; 0 of nothing.
pub(crate) fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_the_largest_unit_that_fits() {
        let nanos = Measure::of("nanoseconds");
        for (value, shown) in [
            (0, "0 s"),
            (1, "1.00 ns"),
            (999, "999 ns"),
            (1_234, "1.23 µs"),
            (40_000_000, "40.0 ms"),
            (999_999_999, "1.00 s"),
            (90_000_000_000, "1.50 min"),
            (7_200_000_000_000, "2.00 h"),
            (-40_000_000, "-40.0 ms"),
        ] {
            assert_eq!(nanos.show(value), shown, "{value}");
        }
        assert_eq!(Measure::of("seconds").show(2), "2.00 s");
        for (value, shown) in
            [(0, "0 B"), (512, "512 B"), (1536, "1.50 KiB"), (5 << 20, "5.00 MiB"), (3 << 40, "3.00 TiB")]
        {
            assert_eq!(Measure::of("bytes").show(value), shown, "{value}");
        }
        for (value, shown) in [(0, "0"), (9_999, "9999"), (12_345, "12.3 k"), (5_000_000, "5.00 M")] {
            assert_eq!(Measure::of("count").show(value), shown, "{value}");
        }
    }

    #[test]
    fn an_amount_is_read_in_the_unit_of_the_profile() {
        assert_eq!(Measure::of("nanoseconds").read(5.0, "ms"), Ok(5e6));
        assert_eq!(Measure::of("bytes").read(2.0, "KiB"), Ok(2048.0));
        assert_eq!(Measure::of("count").read(7.0, ""), Ok(7.0));
        assert!(Measure::of("bytes").read(1.0, "ms").unwrap_err().contains("bytes"));
        assert!(Measure::of("count").read(1.0, "s").is_err());
        assert!(Measure::of("nanoseconds").read(1.0, "parsecs").is_err());
    }

    #[test]
    fn nothing_is_no_percent_of_nothing() {
        assert_eq!(percent(0, 0), 0.0);
        assert_eq!(percent(1, 4), 25.0);
    }
}
