//! How a profile came, and what becomes of a time that cannot be right.

const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// 1971-01-01T00:00:00Z: an earlier time on `/ingest` is a client without a clock, or with none set.
const YEAR_1971_NANOS: i64 = 365 * 24 * 3600 * NANOS_PER_SECOND;
/// 2000-01-01T00:00:00Z: no OTLP profile is older. Counts of seconds, milliseconds and microseconds since 1970 that are sent as
/// nanoseconds lie before it.
pub const EARLIEST_OTLP_NANOS: i64 = 946_684_800 * NANOS_PER_SECOND;
/// No OTLP profile is further ahead of the time at which it is received: one day. A zone or a daylight saving that a clock
/// got wrong is less.
pub const MAX_OTLP_AHEAD_NANOS: i64 = 24 * 3600 * NANOS_PER_SECOND;

/// The door that a profile came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    Push,
    /// `from_nanos` is the request's time, in nanoseconds since the epoch.
    Ingest {
        from_nanos: i64,
    },
    Otlp,
}

/// Why a profile's own time is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeRepair {
    /// It has none.
    Zero,
    TooEarly,
    TooLate,
}

impl Arrival {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Arrival::Push => "push",
            Arrival::Ingest { .. } => "ingest",
            Arrival::Otlp => "otlp",
        }
    }

    /// A profile's time, given the one in the file and that of its reception, both in nanoseconds since the epoch; and why
    /// it is not the one in the file.
    ///
    /// On `/ingest`, the request's time stands in for one of 1970. Over OTLP, where no request has a time, what cannot be
    /// right becomes the time of reception. What is pushed is taken at its word: the window of ingestion judges it.
    pub fn time_nanos(self, in_file_nanos: i64, now_nanos: i64) -> (i64, Option<TimeRepair>) {
        let why = match self {
            _ if in_file_nanos == 0 => TimeRepair::Zero,
            Arrival::Ingest { .. } if (0..YEAR_1971_NANOS).contains(&in_file_nanos) => TimeRepair::TooEarly,
            Arrival::Otlp if in_file_nanos < EARLIEST_OTLP_NANOS => TimeRepair::TooEarly,
            Arrival::Otlp if in_file_nanos > now_nanos.saturating_add(MAX_OTLP_AHEAD_NANOS) => TimeRepair::TooLate,
            _ => return (in_file_nanos, None),
        };
        let of_request = match self {
            Arrival::Ingest { from_nanos } if from_nanos != 0 => from_nanos,
            _ => now_nanos,
        };
        (of_request, Some(why))
    }
}

impl TimeRepair {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            TimeRepair::Zero => "zero",
            TimeRepair::TooEarly => "too_early",
            TimeRepair::TooLate => "too_late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_205_000_000_000;

    #[test]
    fn a_time_in_1970_is_replaced_by_from_and_others_are_kept() {
        let from = NOW - 7;
        let ingest = |in_file| Arrival::Ingest { from_nanos: from }.time_nanos(in_file, NOW);
        assert_eq!(ingest(0), (from, Some(TimeRepair::Zero)));
        assert_eq!(ingest(12_345), (from, Some(TimeRepair::TooEarly)));
        assert_eq!(ingest(from - 5), (from - 5, None));
        assert_eq!(Arrival::Ingest { from_nanos: 0 }.time_nanos(0, NOW), (NOW, Some(TimeRepair::Zero)));
    }

    #[test]
    fn what_is_pushed_is_taken_at_its_word_but_for_no_time_at_all() {
        let push = |in_file| Arrival::Push.time_nanos(in_file, NOW);
        assert_eq!(push(0), (NOW, Some(TimeRepair::Zero)));
        for kept in [12_345, -1, i64::MAX] {
            assert_eq!(push(kept), (kept, None));
        }
    }

    #[test]
    fn an_otlp_time_that_cannot_be_right_becomes_the_time_of_reception() {
        let otlp = |in_file| Arrival::Otlp.time_nanos(in_file, NOW);
        assert_eq!(otlp(0), (NOW, Some(TimeRepair::Zero)));
        // Seconds, milliseconds and microseconds that were taken for nanoseconds.
        for early in [NOW / 1_000_000_000, NOW / 1_000_000, NOW / 1000, -1, EARLIEST_OTLP_NANOS - 1] {
            assert_eq!(otlp(early), (NOW, Some(TimeRepair::TooEarly)), "{early}");
        }
        for late in [NOW + MAX_OTLP_AHEAD_NANOS + 1, i64::MAX] {
            assert_eq!(otlp(late), (NOW, Some(TimeRepair::TooLate)), "{late}");
        }
        for kept in [EARLIEST_OTLP_NANOS, NOW - 3_600_000_000_000, NOW + MAX_OTLP_AHEAD_NANOS] {
            assert_eq!(otlp(kept), (kept, None), "{kept}");
        }
    }
}
