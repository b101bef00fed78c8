//! Durations as operators write them: `15s`, `1h30m`, `7d`, `0`.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration that reads `1h30m`, `1.5h`, `7d`, `1w`, `250ms` or a bare `0`, and shows itself the same way.
///
/// Units: `ns us µs ms s m h d w y`, with a day of 24 hours and a year of 365 days. Never negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// Units with their nanoseconds; longer names first where one is the start of another.
const UNITS: [(&str, u64); 11] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
    ("y", 31_536_000_000_000_000),
];

/// Units a duration is shown in, largest first.
const SHOWN: [(&str, u64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl HumanDuration {
    pub const ZERO: Self = HumanDuration(Duration::ZERO);

    pub const fn from_secs(secs: u64) -> Self {
        HumanDuration(Duration::from_secs(secs))
    }

    /// `None` for zero, which everywhere means "off".
    pub fn enabled(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }

    /// Nanoseconds, at most `i64::MAX` (292 years).
    pub fn nanos(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl Deref for HumanDuration {
    type Target = Duration;
    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(d: Duration) -> Self {
        HumanDuration(d)
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.trim();
        if whole == "0" {
            return Ok(Self::ZERO);
        }
        if whole.starts_with('-') {
            return Err(format!("{text:?} is negative: use 0 to switch off"));
        }
        let bad = || format!("{text:?} is not a duration: write for example 15s, 1h30m or 7d");
        let mut rest = whole.strip_prefix('+').unwrap_or(whole);
        let mut nanos: u64 = 0;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(|c| c.is_ascii_digit() || *c == b'.').count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(|c| !c.is_ascii_digit() && *c != b'.').count();
            let (unit, tail) = tail.split_at(letters);
            let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else { return Err(bad()) };
            let part = match number.split_once('.') {
                None => number.parse::<u64>().ok().and_then(|n| n.checked_mul(*size)),
                // A fraction of a unit is exact enough in 53 bits; fractions of years are nobody's use.
                Some(_) => number
                    .parse::<f64>()
                    .ok()
                    .map(|n| (n * *size as f64).round())
                    .and_then(|n| (n.is_finite() && n < u64::MAX as f64).then_some(n as u64)),
            };
            nanos = part.and_then(|p| nanos.checked_add(p)).ok_or_else(bad)?;
            rest = tail;
        }
        Ok(HumanDuration(Duration::from_nanos(nanos)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        // Weeks and days only where they come out even: `25h` is easier read than `1d1h`.
        let even = |size: u64| size < 86_400_000_000_000 || self.0.as_nanos().is_multiple_of(u128::from(size));
        for (unit, size) in SHOWN {
            if left >= size && even(size) {
                write!(f, "{}{unit}", left / size)?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 15s, 1h30m or 7d")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<HumanDuration, E> {
                if n == 0 { Ok(HumanDuration::ZERO) } else { Err(E::custom(format!("the duration {n} lacks a unit"))) }
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<HumanDuration, E> {
                self.visit_u64(u64::try_from(n).map_err(|_| E::custom("a duration is never negative"))?)
            }
        }
        d.deserialize_any(Text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_operators_write_them() {
        for (text, secs) in [
            ("0", 0.0),
            ("0s", 0.0),
            ("15s", 15.0),
            ("720h", 2_592_000.0),
            ("7d", 604_800.0),
            ("1w", 604_800.0),
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            ("100ms", 0.1),
            ("24h0m0s", 86400.0),
            (" 2h ", 7200.0),
        ] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().as_secs_f64(), secs, "{text}");
        }
        for bad in ["", "5", "h", "1x", "-1h", "1h-", "1..5h", "99999999999999999999s", "9999999999y", "1 h"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_show_themselves_so_that_they_read_back() {
        for (text, shown) in
            [("720h", "30d"), ("168h", "1w"), ("25h", "25h"), ("90m", "1h30m"), ("0", "0s"), ("1500ms", "1s500ms")]
        {
            let d: HumanDuration = text.parse().unwrap();
            assert_eq!(d.to_string(), shown);
            assert_eq!(shown.parse::<HumanDuration>().unwrap(), d);
        }
    }
}
