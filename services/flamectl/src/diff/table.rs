//! Functions by how much they changed.

use std::io::{self, Write};

use crate::diff::Compared;
use crate::diff::changes::Pair;
use crate::diff::verdict::{Verdict, signed_percent};
use crate::paint::Paint;

/// Writes both questions, the first `limit` functions that changed (0: all), and what became of the conditions.
pub(crate) fn write(
    out: &mut dyn Write,
    compared: &Compared,
    verdicts: &[Verdict],
    limit: usize,
    paint: Paint,
) -> io::Result<()> {
    let (measure, changes) = (compared.measure(), &compared.changes);
    let (left, right) = (&compared.left, &compared.right);
    let whole = changes.whole;
    writeln!(out, "{}", right.profile_type)?;
    writeln!(out, "left  {} {}, total {}", left.labels, left.range, measure.show(whole.left))?;
    writeln!(
        out,
        "right {} {}, total {} ({})",
        right.labels,
        right.range,
        measure.show(whole.right),
        shown(whole, paint, 0)
    )?;
    if left.range.seconds() != right.range.seconds() {
        writeln!(out, "{}", paint.bad("The sides are not of the same length: compare shares, not values."))?;
    }
    writeln!(out)?;
    let columns = ["SELF LEFT", "SELF RIGHT", "CHANGE", "TOTAL LEFT", "TOTAL RIGHT", "CHANGE"];
    let head = columns.map(|c| format!("{c:>11}")).join(" ") + "  FUNCTION";
    writeln!(out, "{}", paint.head(&head))?;
    let changed: Vec<_> = changes.rows.iter().filter(|r| r.own.change() != 0 || r.total.change() != 0).collect();
    let count = if limit == 0 { changed.len() } else { limit.min(changed.len()) };
    for row in changed.iter().take(count) {
        for pair in [row.own, row.total] {
            let [left, right] = [pair.left, pair.right].map(|v| measure.show(v));
            write!(out, "{left:>11} {right:>11} {} ", shown(pair, paint, 11))?;
        }
        writeln!(out, " {}", row.name)?;
    }
    if count < changed.len() {
        let left = format!("… and {} more; --limit 0 shows all", changed.len() - count);
        writeln!(out, "{}", paint.faint(&left))?;
    }
    if !verdicts.is_empty() {
        writeln!(out)?;
    }
    for verdict in verdicts {
        let word = match (verdict.holds(), &verdict.unknown) {
            (true, _) => paint.bad("FAIL"),
            (false, Some(_)) => paint.bad("warn"),
            (false, None) => paint.good("ok  "),
        };
        writeln!(out, "{word} {}: {}", verdict.condition, verdict.says(measure))?;
    }
    Ok(())
}

/// The change in percent, more in red and less in green.
fn shown(pair: Pair, paint: Paint, width: usize) -> String {
    let text = format!("{:>width$}", signed_percent(pair));
    match pair.change() {
        change if change > 0 => paint.bad(&text),
        change if change < 0 => paint.good(&text),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::condition::Condition;
    use crate::diff::tests::compared;
    use crate::diff::verdict::judge;
    use crate::golden;

    #[test]
    fn the_table_is_as_it_was() {
        let compared = compared();
        let conditions: Vec<_> =
            ["total>10%", "main.work self>0", "main.typo self>1%"].map(|c| Condition::parse(c).unwrap()).into();
        let verdicts = judge(&conditions, &compared.changes, compared.measure()).unwrap();
        let mut out = Vec::new();
        write(&mut out, &compared, &verdicts, 0, Paint::OFF).unwrap();
        golden::check("diff.table", &String::from_utf8(out).unwrap());
    }
}
