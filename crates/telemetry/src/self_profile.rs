//! Profiles of this process itself, as gzipped pprof: what `/debug/pprof/profile` and `/debug/pprof/heap` answer.

mod cpu;
#[cfg(feature = "jemalloc")]
mod heap;
mod pprof_bytes;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flamestore_clock::Clock;
use flamestore_model::{Fault, Kind};

pub use cpu::RunningCpuProfile;

/// Longest CPU profile of one request.
pub const MAX_SECONDS: u64 = 120;
/// Length when the request names none.
pub const DEFAULT_SECONDS: u64 = 30;
/// Samples a second.
pub const CPU_HZ: i32 = 100;

/// Takes one profile at a time.
#[derive(Debug)]
pub struct SelfProfiler {
    clock: Arc<dyn Clock>,
    busy: Arc<AtomicBool>,
    #[cfg_attr(not(feature = "jemalloc"), allow(dead_code))]
    scratch: PathBuf,
}

impl SelfProfiler {
    /// `scratch` is a directory for a file that lives as long as a heap profile is taken.
    pub fn new(clock: Arc<dyn Clock>, scratch: PathBuf) -> Self {
        SelfProfiler { clock, busy: Arc::default(), scratch }
    }

    /// Begins a CPU profile. The caller waits and then calls [`RunningCpuProfile::finish`].
    ///
    /// `Conflict` while another profile is taken.
    pub fn start_cpu(&self) -> Result<RunningCpuProfile, Fault> {
        let turn = self.turn()?;
        RunningCpuProfile::start(Arc::clone(&self.clock), turn)
    }

    /// Memory in use by the stack that asked for it. Blocks on a small file.
    ///
    /// `Unimplemented` when the process was built or started without heap profiling.
    pub fn heap(&self) -> Result<Vec<u8>, Fault> {
        let _turn = self.turn()?;
        #[cfg(feature = "jemalloc")]
        return heap::take(&self.scratch, self.clock.now_nanos());
        #[cfg(not(feature = "jemalloc"))]
        Err(Fault::new(Kind::Unimplemented, "heap profiles need a build with the feature jemalloc"))
    }

    fn turn(&self) -> Result<Turn, Fault> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(Fault::new(Kind::Conflict, "another profile of this process is being taken: try again later"));
        }
        Ok(Turn(Arc::clone(&self.busy)))
    }
}

/// The right to take a profile, given back when it is dropped.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The length asked for by `?seconds=N`: whole or broken seconds, more than 0 and at most [`MAX_SECONDS`].
pub fn parse_seconds(text: Option<&str>) -> Result<Duration, Fault> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(Duration::from_secs(DEFAULT_SECONDS)) };
    let seconds = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= MAX_SECONDS as f64);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Fault::invalid(format!("seconds={text}: must be more than 0 and at most {MAX_SECONDS}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_clock::SystemClock;

    #[test]
    fn the_length_is_bounded() {
        for (text, secs) in [(None, 30.0), (Some(""), 30.0), (Some("5"), 5.0), (Some("0.5"), 0.5), (Some("120"), 120.0)]
        {
            assert_eq!(parse_seconds(text).unwrap().as_secs_f64(), secs);
        }
        for bad in ["0", "-1", "121", "x", "NaN", "inf"] {
            assert!(parse_seconds(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cpu_profile_shows_where_the_time_went_and_only_one_is_taken_at_a_time() {
        let profiler = SelfProfiler::new(Arc::new(SystemClock::default()), std::env::temp_dir());
        let running = profiler.start_cpu().unwrap();
        assert_eq!(profiler.start_cpu().unwrap_err().kind, Kind::Conflict);
        let mut hash = 1_u64;
        // So much work and not so much time, of which a busy machine may give us little: a tenth of a second at least.
        for _ in 0..100_000_000 {
            hash = std::hint::black_box(hash.wrapping_mul(31).rotate_left(7));
        }
        let gzipped = running.finish().unwrap();
        assert_eq!(gzipped[..2], [0x1f, 0x8b]);
        let mut raw = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzipped[..]), &mut raw).unwrap();
        let text = String::from_utf8_lossy(&raw);
        for word in ["samples", "count", "cpu", "nanoseconds", "self_profile"] {
            assert!(text.contains(word), "{word}");
        }
        drop(profiler.start_cpu().unwrap());
    }
}
