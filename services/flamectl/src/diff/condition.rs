//! The conditions of `--fail-if`: what they say, and how they are written.

use std::fmt;

use crate::units::is_written;

/// The grammar, for the help.
pub(crate) const HELP: &str = "\
Conditions of --fail-if:

  CONDITION = WHAT (> | >= | < | <=) NUMBER [UNIT]
  WHAT      = total              the whole profile
            | FUNCTION self      stacks that end in the function
            | FUNCTION total     stacks that pass through it
            | * self | * total   any function

  NUMBER is the change from left to right; negative: it became less. UNIT says in what:
    %                 percent of the left value; what was not there before has grown without bounds
    pp                percentage points of the share of the whole, which does not depend on load
    ns us ms s min h  time, for profiles that measure time
    B kB MB GB KiB MiB GiB  bytes, for profiles that measure bytes
    none              the profile's own unit

  --fail-if 'total>10%'             the whole grew by more than 10 %
  --fail-if 'main.work self>5pp'    main.work itself has a share that is more than 5 points larger
  --fail-if '* self>2pp'            any function's own share grew by more than 2 points
  --fail-if 'cache.Get total<-50%'  cache.Get and what it calls lost more than half

A function that neither side knows has not changed; a warning says so.";

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// As it was written.
    text: String,
    pub(crate) what: What,
    pub(crate) is: Comparison,
    pub(crate) number: f64,
    pub(crate) unit: Unit,
}

/// Which value is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Whole,
    /// Of one function, by name.
    Function(String, Column),
    AnyFunction(Column),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Own,
    Total,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
}

/// In what a change is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    Percent,
    Points,
    /// A unit of time or bytes; empty: the profile's own.
    Amount(String),
}

impl Comparison {
    pub(crate) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::More => value > limit,
            Comparison::AtLeast => value >= limit,
            Comparison::Less => value < limit,
            Comparison::AtMost => value <= limit,
        }
    }
}

impl Condition {
    /// Reads one. Functions may have `<`, `>` and blanks in their names: the last comparison and the last word before
    /// it count.
    pub(crate) fn parse(text: &str) -> Result<Condition, String> {
        let wrong = |why: &str| format!("{why}: write 'total>10%', 'main.work self>5pp' or '* total>=100ms'");
        let at = text.rfind(['<', '>']).ok_or_else(|| wrong("there is no < or > in it"))?;
        let (what, rest) = text.split_at(at);
        let (is, amount) = match (rest.strip_prefix(">="), rest.strip_prefix("<=")) {
            (Some(amount), _) => (Comparison::AtLeast, amount),
            (_, Some(amount)) => (Comparison::AtMost, amount),
            _ if rest.starts_with('>') => (Comparison::More, &rest[1..]),
            _ => (Comparison::Less, &rest[1..]),
        };
        let amount = amount.trim();
        let end = amount.rfind(|c: char| c.is_ascii_digit()).map_or(0, |last| last + 1);
        let (number, unit) = amount.split_at(end);
        let number = number.parse::<f64>().map_err(|_| wrong(&format!("{amount:?} is no number with a unit")))?;
        let unit = match unit.trim() {
            "%" => Unit::Percent,
            "pp" => Unit::Points,
            unit if unit.is_empty() || is_written(unit) => Unit::Amount(unit.to_owned()),
            unit => return Err(wrong(&format!("{unit:?} is no unit"))),
        };
        let what = What::parse(what.trim()).ok_or_else(|| wrong("it does not say what should be compared"))?;
        if what == What::Whole && unit == Unit::Points {
            return Err(wrong("the whole is always 100 % of itself"));
        }
        Ok(Condition { text: text.trim().to_owned(), what, is, number, unit })
    }
}

impl What {
    fn parse(text: &str) -> Option<What> {
        if text == "total" {
            return Some(What::Whole);
        }
        let (name, column) = text.rsplit_once(char::is_whitespace)?;
        let column = match column {
            "self" => Column::Own,
            "total" => Column::Total,
            _ => return None,
        };
        Some(match name.trim() {
            "" => return None,
            "*" => What::AnyFunction(column),
            name => What::Function(name.to_owned(), column),
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (What, Comparison, f64, Unit) {
        let c = Condition::parse(text).unwrap();
        (c.what, c.is, c.number, c.unit)
    }

    #[test]
    fn a_condition_says_what_how_and_how_much() {
        let function = |name: &str, column| What::Function(name.to_owned(), column);
        assert_eq!(read("total>10%"), (What::Whole, Comparison::More, 10.0, Unit::Percent));
        assert_eq!(
            read("main.work self >= 5.5pp"),
            (function("main.work", Column::Own), Comparison::AtLeast, 5.5, Unit::Points)
        );
        assert_eq!(
            read("std::vec::Vec<T>::push total<-50 %"),
            (function("std::vec::Vec<T>::push", Column::Total), Comparison::Less, -50.0, Unit::Percent)
        );
        assert_eq!(
            read("* total<=100ms"),
            (What::AnyFunction(Column::Total), Comparison::AtMost, 100.0, Unit::Amount("ms".into()))
        );
        assert_eq!(read("a b self>7").0, function("a b", Column::Own));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in [
            "",
            "total",
            "total=5",
            "total>",
            "total>x%",
            "total>5parsecs",
            "main>5%",
            "main.work>5%",
            "total>5pp",
            " self>1",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
