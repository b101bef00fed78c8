//! `offset=7d` among the matchers of a selector.

use std::borrow::Cow;

use super::scan::outside_quotes;
use crate::fault::Fault;

/// The furthest that a text may move the time, in milliseconds: a hundred years.
pub const MAX_OFFSET_MS: i64 = 100 * YEAR_MS;

const SECOND_MS: i64 = 1000;
const DAY_MS: i64 = 86_400 * SECOND_MS;
const YEAR_MS: i64 = 365 * DAY_MS;

/// The longest first: `ms` begins with the name of another unit.
const UNITS: [(&str, i64); 7] = [
    ("ms", 1),
    ("s", SECOND_MS),
    ("m", 60 * SECOND_MS),
    ("h", 3600 * SECOND_MS),
    ("d", DAY_MS),
    ("w", 7 * DAY_MS),
    ("y", YEAR_MS),
];

/// Takes `offset=7d` out of selectors in braces. Returns what is left, and the offset in milliseconds (0: none).
pub(super) fn taken_from(text: &str) -> Result<(Cow<'_, str>, i64), Fault> {
    let mut found: Option<i64> = None;
    let mut left = String::new();
    // Where the matcher begins that is being looked at, and where the text begins that is still to be copied.
    let (mut start, mut copied) = (0, 0);
    for (at, _) in outside_quotes(text).filter(|(_, c)| matches!(c, '{' | ',' | '}')) {
        if let Some(duration) = offset_of(&text[start..at]) {
            let ms = duration_ms(duration).ok_or_else(|| {
                Fault::invalid(format!("offset {duration:?} is no time such as 30m, 12h or 7d, of at most 100 years"))
            })?;
            if found.replace(ms).is_some() {
                return Err(Fault::invalid("a selection has one offset, and this one names two"));
            }
            left.push_str(&text[copied..start]);
            // With the comma behind it, or the one before it.
            copied = at;
            if text[at..].starts_with(',') {
                copied += 1;
            } else if left.ends_with(',') {
                left.pop();
            }
        }
        start = at + 1;
    }
    let Some(ms) = found else { return Ok((text.into(), 0)) };
    left.push_str(&text[copied..]);
    Ok((left.into(), ms))
}

/// The text behind `offset=`, unless it is quoted: then it is the value of a label.
fn offset_of(matcher: &str) -> Option<&str> {
    let value = matcher.trim().strip_prefix("offset")?.trim_start().strip_prefix('=')?.trim_start();
    (!value.starts_with(['"', '\'', '`', '~'])).then_some(value)
}

/// A length of time such as `7d` or `1h30m`.
fn duration_ms(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0i64);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let (unit, unit_ms) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        sum = number.parse::<i64>().ok()?.checked_mul(*unit_ms)?.checked_add(sum)?;
        rest = &behind[unit.len()..];
    }
    (!text.is_empty() && sum <= MAX_OFFSET_MS).then_some(sum)
}
