//! Reading a value as the kind its key has, into one normal form.

use flamestore_limits::HumanDuration;
use serde_json::Value;

use crate::key::Kind;

impl Kind {
    /// Whether the flag may stand alone, meaning true.
    pub(crate) fn is_bool(self) -> bool {
        matches!(self, Kind::Bool | Kind::Limit(flamestore_limits::LimitKind::Bool))
    }

    /// The word for help texts.
    pub(crate) fn word(self) -> String {
        use flamestore_limits::LimitKind as L;
        match self {
            Kind::Bool | Kind::Limit(L::Bool) => "bool".into(),
            Kind::Int | Kind::Limit(L::Int) => "int".into(),
            Kind::Port => "port".into(),
            Kind::Float | Kind::Limit(L::Float) => "number".into(),
            Kind::Text | Kind::Limit(L::Text) => "text".into(),
            Kind::Secret => "secret".into(),
            Kind::Duration | Kind::Limit(L::Duration) => "duration".into(),
            Kind::List => "list".into(),
            Kind::OneOf(words) => words.join(" \\| "),
            Kind::Limit(L::Structured) => "map or list".into(),
            Kind::Any => "any".into(),
        }
    }

    /// The value in normal form; the error says what was expected, without the key's name.
    pub(crate) fn read(self, value: &Value) -> Result<Value, String> {
        let shown = || match value {
            Value::String(s) => format!("{s:?}"),
            other => other.to_string(),
        };
        let text = || match value {
            Value::String(s) => Ok(s.clone()),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            _ => Err(format!("{} is not a text", shown())),
        };
        match self {
            Kind::Any | Kind::Limit(_) => Ok(value.clone()),
            Kind::Bool => match text()?.as_str() {
                "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(Value::Bool(true)),
                "false" | "False" | "FALSE" | "f" | "F" | "0" | "" => Ok(Value::Bool(false)),
                _ => Err(format!("{} is neither true nor false", shown())),
            },
            Kind::Int => {
                let n: Option<i64> = text().ok().and_then(|t| t.parse().ok());
                // A negative number is an old way to say 0.
                n.map(|n| Value::from(n.max(0))).ok_or_else(|| format!("{} is not a whole number", shown()))
            }
            Kind::Port => {
                let n: Option<u16> = text().ok().and_then(|t| t.parse().ok());
                n.map(Value::from).ok_or_else(|| format!("{} is not a port, 0 to 65535", shown()))
            }
            Kind::Float => {
                let n: Option<f64> = text().ok().and_then(|t| t.parse().ok()).filter(|n: &f64| n.is_finite());
                n.map(Value::from).ok_or_else(|| format!("{} is not a number", shown()))
            }
            Kind::Text | Kind::Secret => text().map(Value::String),
            Kind::Duration => text()?.parse::<HumanDuration>().map(|d| Value::String(d.to_string())),
            Kind::OneOf(words) => match text()? {
                known if words.contains(&known.as_str()) => Ok(Value::String(known)),
                _ => Err(format!("{} is not one of {}", shown(), words.join(", "))),
            },
            Kind::List => match value {
                Value::Array(items) => items.iter().map(|i| Kind::Text.read(i)).collect(),
                _ => Ok(text()?.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Value::from).collect()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_reads_yaml_and_flag_forms_alike() {
        for (kind, from, to) in [
            (Kind::Bool, json!("true"), json!(true)),
            (Kind::Bool, json!(false), json!(false)),
            (Kind::Int, json!("12"), json!(12)),
            (Kind::Int, json!(-1), json!(0)),
            (Kind::Port, json!("4040"), json!(4040)),
            (Kind::Float, json!("0.05"), json!(0.05)),
            (Kind::Text, json!(7), json!("7")),
            (Kind::Duration, json!("2h"), json!("2h")),
            (Kind::Duration, json!(0), json!("0s")),
            (Kind::List, json!("a, b,"), json!(["a", "b"])),
            (Kind::List, json!(["a", 1]), json!(["a", "1"])),
            (Kind::OneOf(&["s3"]), json!("s3"), json!("s3")),
        ] {
            assert_eq!(kind.read(&from), Ok(to), "{kind:?} {from}");
        }
        for (kind, from) in [
            (Kind::Bool, json!("yep")),
            (Kind::Int, json!("1.5")),
            (Kind::Port, json!(65536)),
            (Kind::Float, json!("x")),
            (Kind::Text, json!({})),
            (Kind::Duration, json!(5)),
            (Kind::OneOf(&["s3"]), json!("swift")),
            (Kind::List, json!([[1]])),
        ] {
            assert!(kind.read(&from).is_err(), "{kind:?} {from}");
        }
    }
}
