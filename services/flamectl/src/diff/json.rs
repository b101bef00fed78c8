//! The comparison for scripts.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::diff::Compared;
use crate::diff::changes::Pair;
use crate::diff::verdict::Verdict;
use crate::merged::Selection;

/// Writes one object: both questions with their totals, every function of either side, the largest change first, and
/// the conditions. Values are in `unit`.
pub(crate) fn write(out: &mut dyn Write, compared: &Compared, verdicts: &[Verdict]) -> io::Result<()> {
    let whole = compared.changes.whole;
    let side = |selection: &Selection, total: i64| {
        json!({
            "selector": selection.labels,
            "fromMs": selection.range.from_ms,
            "untilMs": selection.range.until_ms,
            "total": total,
        })
    };
    let functions: Vec<Value> = compared
        .changes
        .rows
        .iter()
        .map(|row| json!({"name": row.name, "self": pair(row.own), "total": pair(row.total)}))
        .collect();
    let conditions: Vec<Value> = verdicts
        .iter()
        .map(|v| {
            let names: Vec<&str> = v.found.iter().map(|(name, _)| name.as_str()).collect();
            json!({"condition": v.condition, "holds": v.holds(), "for": names, "known": v.unknown.is_none()})
        })
        .collect();
    let profile_type = &compared.right.profile_type;
    let object = json!({
        "profileType": profile_type.to_string(),
        "unit": profile_type.sample_unit,
        "left": side(&compared.left, whole.left),
        "right": side(&compared.right, whole.right),
        "functions": functions,
        "conditions": conditions,
    });
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}

fn pair(pair: Pair) -> Value {
    json!({"left": pair.left, "right": pair.right})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::condition::Condition;
    use crate::diff::tests::compared;
    use crate::diff::verdict::judge;
    use crate::golden;

    #[test]
    fn the_json_is_as_it_was() {
        let compared = compared();
        let conditions = [Condition::parse("* self>20pp").unwrap(), Condition::parse("total>50%").unwrap()];
        let verdicts = judge(&conditions, &compared.changes, compared.measure()).unwrap();
        let mut out = Vec::new();
        write(&mut out, &compared, &verdicts).unwrap();
        golden::check("diff.json", &String::from_utf8(out).unwrap());
    }
}
