//! Bars and spinners for long work: on standard error, only where that is a terminal, and gone when the work is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// How often a spinner turns while nothing comes.
const TICK: Duration = Duration::from_millis(150);

/// A bar for bytes that are sent.
pub(crate) fn bytes(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_finish(ProgressFinish::AndClear);
    style(&bar, "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}");
    bar
}

/// A spinner for an answer of unknown length, with the bytes that have come.
pub(crate) fn waiting(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    style(&bar, "{spinner} {msg} {bytes}");
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// A template that indicatif does not know leaves its usual look.
fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
