//! Waiting for something to come about, however slow the machine is.

use std::thread;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);
/// Two minutes: only what does not come at all takes so long.
const LOOKS: u32 = 2400;

/// Looks again and again, until `look` finds what it looks for. Panics with what was seen last when that never comes.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    for _ in 0..LOOKS {
        match look() {
            Ok(found) => return found,
            Err(seen) => last = seen,
        }
        thread::sleep(PAUSE);
    }
    panic!("{what} never came: {last}");
}
