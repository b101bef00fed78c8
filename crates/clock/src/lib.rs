//! Time and chance as parameters, so that a simulation can own them.
//!
//! The only crate that may read the wall clock or the system's randomness (`clippy.toml` refuses the raw calls elsewhere).

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// What time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Nanoseconds since the Unix epoch.
    fn now_nanos(&self) -> i64;
    /// Nanoseconds of a clock that never goes back; only differences mean something.
    fn monotonic_nanos(&self) -> u64;

    fn now_millis(&self) -> i64 {
        self.now_nanos() / 1_000_000
    }
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now_nanos(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<i64>);

impl ManualClock {
    pub fn at_nanos(now: i64) -> Arc<Self> {
        Arc::new(ManualClock(Mutex::new(now)))
    }

    pub fn advance(&self, by: Duration) {
        *self.0.lock() += i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    }
}

impl Clock for ManualClock {
    fn now_nanos(&self) -> i64 {
        *self.0.lock()
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(*self.0.lock()).unwrap_or(0)
    }
}

/// Random bits (not for secrets).
pub trait Chance: Send + Sync + fmt::Debug {
    fn next_u64(&self) -> u64;

    fn next_u128(&self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full-period sequence.
#[derive(Debug)]
pub struct SeededChance(Mutex<u64>);

impl SeededChance {
    pub fn new(seed: u64) -> Self {
        SeededChance(Mutex::new(seed))
    }

    /// Seeded by the system.
    pub fn from_system() -> Self {
        // `RandomState` is the standard library's door to the system's randomness.
        let seed = RandomState::new().build_hasher().finish();
        Self::new(seed)
    }
}

impl Chance for SeededChance {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        let (a, b) = (SeededChance::new(7), SeededChance::new(7));
        assert_eq!((a.next_u64(), a.next_u128()), (b.next_u64(), b.next_u128()));
        assert_ne!(a.next_u64(), SeededChance::new(8).next_u64());
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let c = ManualClock::at_nanos(5);
        assert_eq!(c.now_nanos(), 5);
        c.advance(Duration::from_nanos(2));
        assert_eq!((c.now_nanos(), c.monotonic_nanos()), (7, 7));
    }
}
