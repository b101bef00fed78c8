//! The timeline of the legacy render answer: a value for every step, zeros where there is nothing.

/// The most steps of a timeline. A range cut by [`render_step_seconds`] has fewer than 2,200 unless it is decades long.
pub const MAX_STEPS: i64 = 50_000;

/// A range is cut in about this many steps.
const STEPS: i64 = 1_500;
const MIN_STEP_MS: i64 = 15_000;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// (steps up to so many milliseconds, are rounded to so many seconds)
const ROUNDED: &[(i64, i64)] = &[
    (17_500, 15),
    (25_000, 20),
    (45_000, 30),
    (90_000, MINUTE),
    (210_000, 2 * MINUTE),
    (450_000, 5 * MINUTE),
    (750_000, 10 * MINUTE),
    (1_050_000, 15 * MINUTE),
    (1_500_000, 20 * MINUTE),
    (45 * MINUTE * 1000, 30 * MINUTE),
    (90 * MINUTE * 1000, HOUR),
    (150 * MINUTE * 1000, 2 * HOUR),
    (270 * MINUTE * 1000, 3 * HOUR),
    (9 * HOUR * 1000, 6 * HOUR),
    (24 * HOUR * 1000, 12 * HOUR),
    (7 * DAY * 1000, DAY),
    (21 * DAY * 1000, 7 * DAY),
    (42 * DAY * 1000, 30 * DAY),
];
const LONGEST: i64 = 365 * DAY;

/// The step of the timeline of a range, in seconds: a round number near the 1500th part of it, at least 15 s.
pub fn render_step_seconds(from_ms: i64, until_ms: i64) -> i64 {
    let wanted = (until_ms.saturating_sub(from_ms) / STEPS).max(MIN_STEP_MS);
    ROUNDED.iter().find(|(up_to, _)| wanted <= *up_to).map_or(LONGEST, |(_, step)| *step)
}

/// Values at `start_seconds + i * step_seconds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Seconds since the epoch, a multiple of the step.
    pub start_seconds: i64,
    pub step_seconds: i64,
    pub samples: Vec<u64>,
}

impl Timeline {
    /// Lays points (milliseconds, value) on the steps of a range whose ends are floored to the step. Points outside
    /// are left out; points within one step add up. At most [`MAX_STEPS`] steps.
    pub fn of(points: impl IntoIterator<Item = (i64, f64)>, from_ms: i64, until_ms: i64, step_seconds: i64) -> Self {
        let step = step_seconds.max(1);
        let floor = |ms: i64| ms.div_euclid(1000).div_euclid(step);
        let first = floor(from_ms);
        let steps = floor(until_ms).saturating_sub(first).clamp(0, MAX_STEPS);
        let mut samples = vec![0u64; steps as usize];
        for (ms, value) in points {
            let place = usize::try_from(floor(ms).saturating_sub(first)).ok();
            if let Some(sample) = place.and_then(|i| samples.get_mut(i)) {
                *sample = sample.saturating_add(value as u64);
            }
        }
        Timeline { start_seconds: first * step, step_seconds: step, samples }
    }
}
