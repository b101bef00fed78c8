//! How much one upload may grow into.

use flamestore_model::{Fault, FaultId};

/// Bounds of the decoders. Memory in use while decoding stays within sixteen times the larger of the body and
/// `max_inflated_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Largest inflated body (or form part) of any format but pprof, in bytes.
    pub max_inflated_bytes: usize,
    /// Largest inflated or built pprof, in bytes: `max_profile_size_bytes`. 0: no limit of its own.
    pub max_profile_bytes: usize,
    /// Most samples of a built pprof: `max_profile_stacktrace_samples`. 0: no limit of its own.
    pub max_samples: usize,
    /// Deepest stack of a built pprof, in frames; the root side is kept: `max_profile_stacktrace_depth`. 0: no limit of its own.
    pub max_depth: usize,
    /// Longest name in the binary tree format, in bytes: `max_profile_symbol_value_length`. 0: no limit of its own.
    pub max_symbol_bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Caps {
            max_inflated_bytes: 64 << 20,
            max_profile_bytes: 4 << 20,
            max_samples: 16_000,
            max_depth: 1_000,
            max_symbol_bytes: 65_535,
        }
    }
}

/// The limit as a number to compare with: 0 stands for none.
pub(crate) fn or_unlimited(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

/// The fault of a pprof that would be larger than [`Caps::max_profile_bytes`].
pub(crate) fn profile_too_large(caps: &Caps) -> Fault {
    let limit = format_args!("{} bytes", caps.max_profile_bytes);
    Fault::over(FaultId::ProfileTooLarge, "the profile would be larger than allowed", limit)
}
