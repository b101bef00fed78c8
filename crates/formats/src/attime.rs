//! Times as people and scripts write them: seconds to nanoseconds by their length, dates, `now-1h`.

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 24 * 3600 * SECOND;

/// Reads a time in nanoseconds since the epoch. What cannot be read is `now_nanos`, as in the peer.
///
/// Only digits: 8 of them that make a date are `yyyymmdd`; 13 are milliseconds, 16 microseconds, 19 nanoseconds, any
/// other number of them seconds. Otherwise `now`, followed by offsets such as `-1h` or `+1d12h`; units `s m min h d w M
/// mon y` and their plurals, a month being 30 days and a year 365. Blanks, `_` and `,` do not count.
pub fn parse(text: &str, now_nanos: i64) -> i64 {
    try_parse(text, now_nanos).unwrap_or(now_nanos)
}

/// Like [`parse`], but `None` where the text is no time.
pub fn try_parse(text: &str, now_nanos: i64) -> Option<i64> {
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '_' | ',')).collect();
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return digits(&text);
    }
    match text.strip_prefix("now") {
        Some(offset) => now_nanos.checked_add(parse_offset(offset)?),
        None if text.starts_with(['-', '+']) => now_nanos.checked_add(parse_offset(&text)?),
        None => None,
    }
}

fn digits(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    let unit = match text.len() {
        8 => match date(number) {
            Some(nanos) => return Some(nanos),
            None => SECOND,
        },
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => SECOND,
    };
    number.checked_mul(unit)
}

/// `yyyymmdd` in UTC, if it is a date after 1900.
fn date(number: i64) -> Option<i64> {
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    if year <= 1900 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    days_from_civil(year, month, day).checked_mul(DAY)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `-1h`, `+5m`, `-1d12h`: a sign holds until the next one.
fn parse_offset(mut text: &str) -> Option<i64> {
    let mut sign = 1;
    let mut sum: i64 = 0;
    while !text.is_empty() {
        if let Some(rest) = text.strip_prefix('-') {
            (sign, text) = (-1, rest);
        } else if let Some(rest) = text.strip_prefix('+') {
            (sign, text) = (1, rest);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, rest) = rest.split_at(letters);
        let step = number.parse::<i64>().ok()?.checked_mul(unit_nanos(unit)?)?;
        sum = sum.checked_add(sign * step)?;
        text = rest;
    }
    Some(sum)
}

fn unit_nanos(unit: &str) -> Option<i64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hour" | "hours" => 3600 * SECOND,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "M" | "mon" | "month" | "months" => 30 * DAY,
        "y" | "year" | "years" => 365 * DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_205 * SECOND;

    #[test]
    fn the_number_of_digits_tells_the_unit() {
        for (text, nanos) in [
            ("1795000205", NOW),
            ("1795000205000", NOW),
            ("1795000205000005", NOW + 5_000),
            ("1795000205000000005", NOW + 5),
            ("20261118", 1_794_960_000 * SECOND),
            ("99999999", 99_999_999 * SECOND),
            ("17_950_002_05", NOW),
            ("0", 0),
        ] {
            assert_eq!(parse(text, 7), nanos, "{text}");
        }
    }

    #[test]
    fn offsets_are_taken_from_now() {
        for (text, nanos) in [
            ("now", NOW),
            ("now-1h", NOW - 3600 * SECOND),
            ("now + 5m", NOW + 300 * SECOND),
            ("now-1d12h", NOW - 36 * 3600 * SECOND),
            ("now-1M", NOW - 30 * DAY),
            ("-2min", NOW - 120 * SECOND),
        ] {
            assert_eq!(parse(text, NOW), nanos, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_now() {
        for text in
            ["", "yesterday", "now-", "now-5", "now-1q", "now-99999999999y", "99999999999999999999", "1.5", "né"]
        {
            assert_eq!(parse(text, NOW), NOW, "{text}");
        }
    }
}
