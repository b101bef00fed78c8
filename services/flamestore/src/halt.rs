//! For tests of crashes: `FLAMESTORE_HALT_AT=<fail point>:<n>` lets n hits of the point pass; the next one says that it
//! is reached and goes no further, so that the process can be killed exactly there.

use std::sync::atomic::{AtomicU64, Ordering};

use flamestore_model::Fault;

const VARIABLE: &str = "FLAMESTORE_HALT_AT";

/// Arms the point that the environment names, if it names one.
pub(crate) fn arm() -> Result<(), Fault> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let wrong = || Fault::invalid(format!("{VARIABLE}={text:?}: write <fail point>:<hits that pass>"));
    let (point, pass) = text.split_once(':').ok_or_else(wrong)?;
    let left = AtomicU64::new(pass.parse().map_err(|_| wrong())?);
    let name = point.to_owned();
    let halt = move || {
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
            return;
        }
        eprintln!("halted at fail point {name}");
        loop {
            std::thread::park();
        }
    };
    fail::cfg_callback(point, halt).map_err(Fault::invalid)
}
