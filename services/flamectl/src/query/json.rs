//! The answer for scripts.

use std::io::{self, Write};

use serde_json::json;

use crate::answer::Functions;

/// Writes one object: the question, the total, and every function with its self and total value, the largest self
/// value first. Values are in `unit`.
pub(crate) fn write(out: &mut dyn Write, answer: &Functions) -> io::Result<()> {
    let functions: Vec<_> = answer
        .table
        .rows
        .iter()
        .map(|row| json!({"name": row.name, "self": row.self_value, "total": row.total}))
        .collect();
    let selection = &answer.selection;
    let object = json!({
        "profileType": selection.profile_type.to_string(),
        "selector": selection.labels,
        "fromMs": selection.range.from_ms,
        "untilMs": selection.range.until_ms,
        "unit": selection.profile_type.sample_unit,
        "total": answer.table.total,
        "functions": functions,
    });
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::functions;
    use crate::golden;

    #[test]
    fn the_json_form_is_as_it_was() {
        let mut out = Vec::new();
        write(&mut out, &functions()).unwrap();
        golden::check("query.json", &String::from_utf8(out).unwrap());
    }
}
