//! Folded stacks: `main;work;decode 450000000` a line.

use std::io::{self, Write};

use flamestore_flamegraph::Tree;

use crate::answer::{Order, walk};

/// Writes a line for every stack that has a value of its own, in the order of the names.
///
/// A `;` in a name would make two of it, and a line break two lines: they become `:` and a blank.
pub(crate) fn write(out: &mut dyn Write, tree: &Tree) -> io::Result<()> {
    let mut stack: Vec<String> = Vec::new();
    for step in walk(tree, &[], Order::ByName).into_iter().skip(1) {
        stack.truncate(step.depth - 1);
        stack.push(tree.name_of(step.node).replace(';', ":").replace(['\n', '\r'], " "));
        match tree.self_values().get(step.node as usize) {
            Some(value) if *value != 0 => writeln!(out, "{} {value}", stack.join(";"))?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::{folded, stacks, tree};
    use crate::golden;

    #[test]
    fn the_collapsed_form_is_as_it_was() {
        golden::check("query.collapsed", &(folded(&stacks().tree).join("\n") + "\n"));
    }

    #[test]
    fn a_name_cannot_break_a_line() {
        let mut out = Vec::new();
        let mut merger = flamestore_flamegraph::TreeMerger::default();
        merger.add_child(0, "a;b\nc", 5);
        write(&mut out, &merger.finish()).unwrap();
        assert_eq!(out, b"a:b c 5\n");
        assert_eq!(folded(&tree(&["b 1", "a;c 2", "a 3"])), ["a 3", "a;c 2", "b 1"]);
    }
}
