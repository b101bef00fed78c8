//! Colours, where they are wanted.

use std::io::IsTerminal;

use clap::ColorChoice;

/// A share of the whole from which a number is shown hot, in percent.
const HOT_PERCENT: f64 = 10.0;
/// The same for warm.
const WARM_PERCENT: f64 = 1.0;

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) const OFF: Paint = Paint { on: false };

    /// For standard output.
    pub(crate) fn for_stdout(choice: ColorChoice) -> Paint {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Paint { on: wanted(choice, std::io::stdout().is_terminal(), no_color) }
    }

    pub(crate) fn head(self, text: &str) -> String {
        self.put("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.put("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.put("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.put("31", text)
    }

    /// By the share of the whole that the text speaks of.
    pub(crate) fn heat(self, percent: f64, text: &str) -> String {
        match percent {
            p if p >= HOT_PERCENT => self.put("1;31", text),
            p if p >= WARM_PERCENT => self.put("33", text),
            _ => text.to_owned(),
        }
    }

    fn put(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn wanted(choice: ColorChoice, is_terminal: bool, no_color: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && !no_color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        assert!(wanted(ColorChoice::Auto, true, false));
        assert!(!wanted(ColorChoice::Auto, true, true));
        assert!(!wanted(ColorChoice::Auto, false, false));
        assert!(wanted(ColorChoice::Always, false, true));
        assert!(!wanted(ColorChoice::Never, true, false));
    }

    #[test]
    fn without_colours_the_text_is_as_it_was() {
        assert_eq!(Paint::OFF.heat(50.0, "x"), "x");
        assert_eq!(Paint { on: true }.heat(50.0, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint { on: true }.heat(0.5, "x"), "x");
    }
}
