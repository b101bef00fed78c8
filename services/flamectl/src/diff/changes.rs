//! Functions of both sides, joined by name.

use std::collections::BTreeMap;

use flamestore_flamegraph::FunctionTable;

/// A value of both sides, in the profile's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pair {
    pub(crate) left: i64,
    pub(crate) right: i64,
}

impl Pair {
    pub(crate) fn change(self) -> i64 {
        self.right.saturating_sub(self.left)
    }

    /// The change in percent of the left. Something that was not there before has grown without bounds.
    pub(crate) fn change_percent(self) -> f64 {
        match (self.left, self.right) {
            (0, 0) => 0.0,
            (0, right) if right > 0 => f64::INFINITY,
            (left, _) => self.change() as f64 * 100.0 / left as f64,
        }
    }

    /// The change of its share of the whole, in percentage points.
    pub(crate) fn change_points(self, whole: Pair) -> f64 {
        crate::units::percent(self.right, whole.right) - crate::units::percent(self.left, whole.left)
    }
}

/// One function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) own: Pair,
    pub(crate) total: Pair,
}

/// Everything that either side has.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) whole: Pair,
    /// The largest change of the self value first, then of the total, then by name.
    pub(crate) rows: Vec<Change>,
}

impl Changes {
    pub(crate) fn of(left: &FunctionTable, right: &FunctionTable) -> Changes {
        let mut by_name: BTreeMap<&str, (Pair, Pair)> = BTreeMap::new();
        for row in &left.rows {
            let (own, total) = by_name.entry(&row.name).or_default();
            (own.left, total.left) = (row.self_value, row.total);
        }
        for row in &right.rows {
            let (own, total) = by_name.entry(&row.name).or_default();
            (own.right, total.right) = (row.self_value, row.total);
        }
        let row = |(name, (own, total)): (&str, (Pair, Pair))| Change { name: name.to_owned(), own, total };
        let mut rows: Vec<Change> = by_name.into_iter().map(row).collect();
        let weight = |c: &Change| (c.own.change().unsigned_abs(), c.total.change().unsigned_abs());
        // Stable: equal changes stay in the order of their names.
        rows.sort_by_key(|c| std::cmp::Reverse(weight(c)));
        Changes { whole: Pair { left: left.total, right: right.total }, rows }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Change> {
        self.rows.iter().find(|row| row.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::compared;

    #[test]
    fn functions_of_both_sides_are_joined_and_the_largest_change_comes_first() {
        let changes = compared().changes;
        assert_eq!(changes.whole, Pair { left: 1_000_000_000, right: 1_260_000_000 });
        assert_eq!(changes.rows[0].name, "encoding/json.(*Decoder).Decode");
        assert_eq!(changes.rows[0].own, Pair { left: 450_000_000, right: 900_000_000 });
        assert_eq!(changes.find("main.fresh").unwrap().own, Pair { left: 0, right: 20_000_000 });
        assert_eq!(changes.find("runtime.mallocgc").unwrap().total, Pair { left: 150_000_000, right: 0 });
        assert_eq!(changes.find("nobody"), None);
    }

    #[test]
    fn growth_from_nothing_is_more_than_any_percentage() {
        assert_eq!(Pair { left: 0, right: 1 }.change_percent(), f64::INFINITY);
        assert_eq!(Pair { left: 0, right: 0 }.change_percent(), 0.0);
        assert_eq!(Pair { left: 4, right: 1 }.change_percent(), -75.0);
        let whole = Pair { left: 100, right: 200 };
        assert_eq!(Pair { left: 10, right: 40 }.change_points(whole), 10.0);
    }
}
