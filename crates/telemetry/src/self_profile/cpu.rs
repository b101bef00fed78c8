//! CPU profiles: a signal a hundred times a second of CPU time, on whichever thread is running.

use std::fmt;
use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_model::Fault;
use pprof::{ProfilerGuard, ProfilerGuardBuilder};

use super::pprof_bytes::{Frame, PprofBytes};
use super::{CPU_HZ, Turn};

/// Libraries inside which the stack is not walked: a signal may have come while they held a lock.
const NOT_WALKED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// A CPU profile being taken. Dropping it stops the signals.
pub struct RunningCpuProfile {
    guard: ProfilerGuard<'static>,
    clock: Arc<dyn Clock>,
    began_unix_nanos: i64,
    began_nanos: u64,
    _turn: Turn,
}

impl fmt::Debug for RunningCpuProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningCpuProfile").field("began_unix_nanos", &self.began_unix_nanos).finish_non_exhaustive()
    }
}

impl RunningCpuProfile {
    pub(super) fn start(clock: Arc<dyn Clock>, turn: Turn) -> Result<Self, Fault> {
        let guard = ProfilerGuardBuilder::default()
            .frequency(CPU_HZ)
            .blocklist(&NOT_WALKED)
            .build()
            .map_err(|e| Fault::internal("a CPU profile of this process cannot be taken").caused_by(e))?;
        let (began_unix_nanos, began_nanos) = (clock.now_nanos(), clock.monotonic_nanos());
        Ok(RunningCpuProfile { guard, clock, began_unix_nanos, began_nanos, _turn: turn })
    }

    /// Ends the profile: gzipped pprof with `samples:count` and `cpu:nanoseconds`. Finding names takes a while; not for
    /// a thread that must not block.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        let report = self
            .guard
            .report()
            .build()
            .map_err(|e| Fault::internal("the CPU profile of this process cannot be read").caused_by(e))?;
        let period = 1_000_000_000 / i64::from(CPU_HZ);
        let types = [("samples", "count"), ("cpu", "nanoseconds")];
        let mut out = PprofBytes::new(&types, (("cpu", "nanoseconds"), period));
        for (stack, count) in &report.data {
            // Frames inlined into one another stand as frames of their own, innermost first.
            let frames: Vec<Frame> = stack
                .frames
                .iter()
                .flatten()
                .map(|symbol| Frame {
                    function: symbol.name(),
                    file: symbol.filename().into_owned(),
                    line: symbol.lineno(),
                    address: 0,
                })
                .collect();
            let count = *count as i64;
            out.sample(&frames, &[count, count.saturating_mul(period)]);
        }
        let lasted = self.clock.monotonic_nanos().saturating_sub(self.began_nanos);
        out.finish(self.began_unix_nanos, i64::try_from(lasted).unwrap_or(i64::MAX))
    }
}
