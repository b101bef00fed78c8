//! When a push that was refused for the moment is sent again.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// How often one push is sent at most.
const MAX_TRIES: u32 = 5;
/// The wait after the first try where the server does not say how long; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What an answer says about another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Later {
    /// After so long at the earliest.
    after: Duration,
}

impl Later {
    /// `None`: it would be refused again.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Later> {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return None;
        }
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Some(Later { after: Duration::from_secs(seconds.unwrap_or_default()) })
    }

    /// How long to wait after so many tries, with `left` to wait at most; `None`: that is enough. Of `chance`, any number,
    /// depends how much longer than the server asks for, so that many clients do not come back at once.
    pub(super) fn wait(self, tries: u32, left: Duration, chance: u64) -> Option<Duration> {
        let own = FIRST_WAIT.checked_mul(1 << tries.saturating_sub(1).min(MAX_TRIES))?;
        let share = (chance % 1000) as u32;
        let wait = self.after.max(own / 2).checked_add(own / 2 * share / 1000)?;
        (tries < MAX_TRIES && wait <= left).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn later(status: u16, retry_after: Option<&str>) -> Option<Later> {
        let headers = retry_after.map(|text| (RETRY_AFTER, text.parse().unwrap())).into_iter().collect();
        Later::of(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [400, 401, 413, 422, 500, 501, 502, 504] {
            assert_eq!(later(status, Some("1")), None, "{status}");
        }
        for status in [429, 503] {
            assert!(later(status, None).is_some(), "{status}");
        }
    }

    #[test]
    fn waits_double_and_are_never_shorter_than_the_server_asks() {
        let unsaid = later(503, None).unwrap();
        let shortest: Vec<u128> = (1..MAX_TRIES).map(|n| unsaid.wait(n, LONG, 0).unwrap().as_millis()).collect();
        assert_eq!(shortest, [250, 500, 1000, 2000]);
        assert!(unsaid.wait(1, LONG, 999).unwrap() < FIRST_WAIT);
        let asked = later(429, Some("7")).unwrap();
        assert_eq!(asked.wait(1, LONG, 0), Some(Duration::from_secs(7)));
        assert_eq!(later(429, Some("Fri, 31 Dec 1999 23:59:59 GMT")), later(429, None));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let asked = later(429, Some("7")).unwrap();
        assert_eq!(asked.wait(MAX_TRIES, LONG, 0), None);
        assert_eq!(asked.wait(1, Duration::from_secs(6), 0), None);
        assert_eq!(later(429, Some(&u64::MAX.to_string())).unwrap().wait(1, LONG, 999), None);
    }
}
