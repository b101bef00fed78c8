//! How the value of a limit reads from, and shows itself as, the scalars of YAML and flags.

use serde_json::Value;

use crate::human_duration::HumanDuration;

/// What a limit holds, for help texts and the reference page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    Bool,
    Int,
    Float,
    Text,
    Duration,
    /// Maps and lists; as a flag, JSON.
    Structured,
}

/// A type a limit may have.
pub(crate) trait LimitValue: Sized {
    const KIND: LimitKind;
    /// The error says what was expected; the caller adds the name.
    fn read(value: &Value) -> Result<Self, String>;
    fn show(&self) -> Value;
}

impl LimitValue for bool {
    const KIND: LimitKind = LimitKind::Bool;
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(b) => Ok(*b),
            Value::String(s) => match s.as_str() {
                "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(true),
                "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(false),
                _ => Err(format!("{s:?} is neither true nor false")),
            },
            other => Err(format!("{other} is neither true nor false")),
        }
    }
    fn show(&self) -> Value {
        Value::Bool(*self)
    }
}

/// Whole numbers; a negative one means the same as 0, as everywhere in these files.
impl LimitValue for u64 {
    const KIND: LimitKind = LimitKind::Int;
    fn read(value: &Value) -> Result<Self, String> {
        let whole = match value {
            Value::Number(n) => n.as_u64().or_else(|| n.as_i64().map(|_| 0)).or_else(|| {
                n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| if f < 0.0 { 0 } else { f as u64 })
            }),
            Value::String(s) => s.parse::<u64>().ok().or_else(|| s.parse::<i64>().ok().map(|_| 0)),
            _ => None,
        };
        whole.ok_or_else(|| format!("{value} is not a whole number"))
    }
    fn show(&self) -> Value {
        Value::from(*self)
    }
}

impl LimitValue for f64 {
    const KIND: LimitKind = LimitKind::Float;
    fn read(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => s.parse().ok(),
            _ => None,
        };
        number.filter(|n| n.is_finite()).ok_or_else(|| format!("{value} is not a number"))
    }
    fn show(&self) -> Value {
        // Whole numbers without a fraction, as they were written.
        if self.fract() == 0.0 && self.abs() < 9e15 { Value::from(*self as i64) } else { Value::from(*self) }
    }
}

impl LimitValue for String {
    const KIND: LimitKind = LimitKind::Text;
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(s) => Ok(s.clone()),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            _ => Err(format!("{value} is not a text")),
        }
    }
    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl LimitValue for HumanDuration {
    const KIND: LimitKind = LimitKind::Duration;
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(s) => s.parse(),
            Value::Number(n) if n.as_f64() == Some(0.0) => Ok(HumanDuration::ZERO),
            other => Err(format!("{other} is not a duration: write for example 15s, 1h30m or 7d")),
        }
    }
    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}
