//! Every function once, with exact self and total.

use crate::children::Children;
use crate::tree::Tree;

/// One function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    pub name: String,
    /// The value of stacks that end in the function.
    pub self_value: i64,
    /// The value of stacks that hold the function, however often.
    pub total: i64,
}

/// The functions of a tree; the largest self value first, then the largest total, then by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FunctionTable {
    pub rows: Vec<FunctionRow>,
    /// The value of all stacks: what the numbers of a row are shares of.
    pub total: i64,
    /// How many functions there are, shown or not.
    pub functions: usize,
}

impl FunctionTable {
    /// Exact for a tree that was not truncated. A recursive call adds nothing to the total of its function.
    pub fn of(tree: &Tree) -> FunctionTable {
        let totals = tree.totals();
        let children = Children::of(&tree.parent, &tree.name, &tree.names);
        let mut sums = vec![(0i64, 0i64); tree.names.len()];
        // By name: how many calls of it are open on the path to the current node.
        let mut open = vec![0u32; tree.names.len()];
        let mut todo: Vec<Step> = children.get(0).iter().map(|child| Step::Enter(*child)).collect();
        while let Some(step) = todo.pop() {
            match step {
                Step::Enter(node) => {
                    let name = tree.name[node as usize] as usize;
                    let (own, total) = &mut sums[name];
                    *own = own.saturating_add(tree.self_values[node as usize]);
                    if open[name] == 0 {
                        *total = total.saturating_add(totals[node as usize]);
                    }
                    open[name] += 1;
                    todo.push(Step::Leave(name));
                    todo.extend(children.get(node).iter().map(|child| Step::Enter(*child)));
                }
                Step::Leave(name) => open[name] -= 1,
            }
        }
        let rows: Vec<FunctionRow> = sums
            .into_iter()
            .enumerate()
            .filter(|(_, (_, total))| *total != 0)
            .map(|(id, (self_value, total))| FunctionRow {
                name: tree.names.get(id as u32).to_owned(),
                self_value,
                total,
            })
            .collect();
        let mut table = FunctionTable { functions: rows.len(), total: tree.total(), rows };
        table.order();
        table
    }

    /// Shows no more than the `max_rows` functions with the largest totals; 0 shows all. The numbers stay what they are.
    pub fn truncate(&mut self, max_rows: usize) {
        if max_rows == 0 || self.rows.len() <= max_rows {
            return;
        }
        let heavier = |a: &FunctionRow, b: &FunctionRow| {
            (b.total, b.self_value).cmp(&(a.total, a.self_value)).then_with(|| a.name.cmp(&b.name))
        };
        self.rows.select_nth_unstable_by(max_rows - 1, heavier);
        self.rows.truncate(max_rows);
        self.order();
    }

    fn order(&mut self) {
        self.rows.sort_unstable_by(|a, b| {
            (b.self_value, b.total).cmp(&(a.self_value, a.total)).then_with(|| a.name.cmp(&b.name))
        });
    }
}

enum Step {
    Enter(u32),
    /// By name.
    Leave(usize),
}
