//! Two function tables, joined by name.

use hashbrown::HashMap;

use crate::functions::FunctionTable;

/// One function on both sides; a side that lacks it has zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FunctionDiffRow {
    pub name: String,
    pub left_self: i64,
    pub left_total: i64,
    pub right_self: i64,
    pub right_total: i64,
}

/// The functions of two trees; first those with the largest share of either side, then by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FunctionTableDiff {
    pub rows: Vec<FunctionDiffRow>,
    /// The value of all stacks on the left, and on the right.
    pub left_total: i64,
    pub right_total: i64,
    /// How many functions there are on either side, shown or not.
    pub functions: usize,
}

impl FunctionTableDiff {
    /// Joins two whole tables and shows no more than the first `max_rows` functions; 0 shows all.
    pub fn of(left: FunctionTable, right: FunctionTable, max_rows: usize) -> FunctionTableDiff {
        let (left_total, right_total) = (left.total, right.total);
        let mut rows: HashMap<String, FunctionDiffRow> = HashMap::with_capacity(left.rows.len().max(right.rows.len()));
        for row in left.rows {
            let joined = rows.entry_ref(&row.name).or_default();
            (joined.left_self, joined.left_total) = (row.self_value, row.total);
        }
        for row in right.rows {
            let joined = rows.entry_ref(&row.name).or_default();
            (joined.right_self, joined.right_total) = (row.self_value, row.total);
        }
        let mut rows: Vec<FunctionDiffRow> =
            rows.into_iter().map(|(name, row)| FunctionDiffRow { name, ..row }).collect();
        // Shares as products, so that nothing is rounded: l / L > r / R where l * R > r * L.
        let share = |row: &FunctionDiffRow| {
            let of = |value: i64, other_side: i64| i128::from(value) * i128::from(other_side.max(1));
            of(row.left_total, right_total).max(of(row.right_total, left_total))
        };
        rows.sort_unstable_by(|a, b| share(b).cmp(&share(a)).then_with(|| a.name.cmp(&b.name)));
        let functions = rows.len();
        if max_rows > 0 {
            rows.truncate(max_rows);
        }
        FunctionTableDiff { rows, left_total, right_total, functions }
    }
}
