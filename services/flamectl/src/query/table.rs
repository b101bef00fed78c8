//! Functions by their own share.

use std::io::{self, Write};

use crate::answer::Functions;
use crate::paint::Paint;
use crate::units::percent;

/// Writes what was asked, and the first `limit` functions (0: all) with the value of stacks that end in them (self)
/// and of those that pass through them (total).
pub(crate) fn write(out: &mut dyn Write, answer: &Functions, limit: usize, paint: Paint) -> io::Result<()> {
    let Functions { selection, table } = answer;
    let (measure, whole) = (selection.measure(), table.total);
    writeln!(out, "{} {}", selection.profile_type, selection.labels)?;
    writeln!(out, "{}, total {}, {} functions", selection.range, measure.show(whole), table.functions)?;
    writeln!(out)?;
    let head = format!("{:>10} {:>7} {:>10} {:>7}  {}", "SELF", "SELF %", "TOTAL", "TOTAL %", "FUNCTION");
    writeln!(out, "{}", paint.head(&head))?;
    let shown = if limit == 0 { table.rows.len() } else { limit.min(table.rows.len()) };
    for row in table.rows.iter().take(shown) {
        let (own, total) = (percent(row.self_value, whole), percent(row.total, whole));
        let own = paint.heat(own, &format!("{:>10} {own:>6.2}%", measure.show(row.self_value)));
        writeln!(out, "{own} {:>10} {total:>6.2}%  {}", measure.show(row.total), row.name)?;
    }
    if shown < table.functions {
        let left = format!("… and {} more; --limit 0 shows all", table.functions - shown);
        writeln!(out, "{}", paint.faint(&left))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::functions;
    use crate::golden;

    #[test]
    fn the_table_is_as_it_was() {
        let mut out = Vec::new();
        write(&mut out, &functions(), 0, Paint::OFF).unwrap();
        golden::check("query.table", &String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_table_that_is_cut_says_so() {
        let mut out = Vec::new();
        write(&mut out, &functions(), 2, Paint::OFF).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(text.ends_with("… and 6 more; --limit 0 shows all\n"), "{text}");
    }
}
