//! Who calls whom, as indented text.

use std::io::{self, Write};

use crate::answer::{Order, Stacks, walk};
use crate::paint::Paint;
use crate::units::percent;

/// Writes a line for each node below its caller, the heaviest first.
pub(crate) fn write(out: &mut dyn Write, answer: &Stacks, paint: Paint) -> io::Result<()> {
    let (tree, measure, whole) = (&answer.tree, answer.measure(), answer.total());
    let totals = tree.totals();
    let value = |values: &[i64], node: u32| values.get(node as usize).copied().unwrap_or(0);
    writeln!(out, "{}", paint.head(&format!("{:>10} {:>7} {:>10}  {}", "TOTAL", "TOTAL %", "SELF", "FUNCTION")))?;
    // By depth: the line that goes down to siblings still to come, or blanks.
    let mut rails: Vec<&str> = Vec::new();
    for step in walk(tree, &totals, Order::ByTotal) {
        let (total, own) = (value(&totals, step.node), value(tree.self_values(), step.node));
        let share = percent(total, whole);
        let total = paint.heat(share, &format!("{:>10} {share:>6.2}%", measure.show(total)));
        write!(out, "{total} {:>10}  ", measure.show(own))?;
        if step.depth == 0 {
            writeln!(out, "total")?;
            continue;
        }
        rails.truncate(step.depth - 1);
        let branch = if step.is_last { "└─ " } else { "├─ " };
        writeln!(out, "{}{}", paint.faint(&format!("{}{branch}", rails.concat())), tree.name_of(step.node))?;
        rails.push(if step.is_last { "   " } else { "│  " });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::stacks;
    use crate::golden;

    #[test]
    fn the_tree_is_as_it_was() {
        let mut out = Vec::new();
        write(&mut out, &stacks(), Paint::OFF).unwrap();
        golden::check("query.tree", &String::from_utf8(out).unwrap());
    }
}
