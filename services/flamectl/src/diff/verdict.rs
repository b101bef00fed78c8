//! What became of the conditions.

use crate::diff::changes::{Change, Changes, Pair};
use crate::diff::condition::{Column, Condition, Unit, What};
use crate::failure::Failure;
use crate::units::{Measure, percent};

/// Functions that are named where any function may trip a condition.
const MAX_NAMED: usize = 5;

/// A condition with what it was held against.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) condition: String,
    /// Where it holds, the largest change first; of the whole profile the name is `total`.
    pub(crate) found: Vec<(String, Pair)>,
    /// What was looked at where it does not hold; none if that was every function, or one that neither side knows.
    pub(crate) missed: Option<Pair>,
    /// A function that neither side knows.
    pub(crate) unknown: Option<String>,
    /// Where shares are compared: what they are shares of.
    pub(crate) shares_of: Option<Pair>,
}

impl Verdict {
    pub(crate) fn holds(&self) -> bool {
        !self.found.is_empty()
    }

    /// The words behind the condition in the table.
    pub(crate) fn says(&self, measure: Measure) -> String {
        let pair = |p: &Pair| match self.shares_of {
            None => format!("{} to {}, {}", measure.show(p.left), measure.show(p.right), signed_percent(*p)),
            Some(whole) => {
                let [left, right] = [percent(p.left, whole.left), percent(p.right, whole.right)];
                format!("{left:.2}% to {right:.2}% of the whole, {:+.2}pp", p.change_points(whole))
            }
        };
        if let Some(name) = &self.unknown {
            return format!("neither side knows {name}");
        }
        match (self.found.as_slice(), &self.missed) {
            ([], Some(missed)) => pair(missed),
            ([], None) => "no function".to_owned(),
            ([(_, one)], _) if !self.is_of_any() => pair(one),
            (found, _) => {
                let named: Vec<String> =
                    found.iter().take(MAX_NAMED).map(|(name, p)| format!("{name} ({})", pair(p))).collect();
                let more = found.len().saturating_sub(MAX_NAMED);
                named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
            }
        }
    }

    fn is_of_any(&self) -> bool {
        self.condition.starts_with('*')
    }
}

/// `+12.5%`; `new` for what was not there before, `=` where nothing changed.
pub(crate) fn signed_percent(pair: Pair) -> String {
    match pair.change_percent() {
        _ if pair.change() == 0 => "=".to_owned(),
        p if p.is_infinite() => "new".to_owned(),
        p => format!("{p:+.1}%"),
    }
}

/// Holds every condition against the changes. `Usage`: a unit does not fit the profile.
pub(crate) fn judge(conditions: &[Condition], changes: &Changes, measure: Measure) -> Result<Vec<Verdict>, Failure> {
    conditions.iter().map(|condition| judge_one(condition, changes, measure)).collect()
}

fn judge_one(condition: &Condition, changes: &Changes, measure: Measure) -> Result<Verdict, Failure> {
    let limit = match &condition.unit {
        Unit::Percent | Unit::Points => condition.number,
        Unit::Amount(unit) => measure
            .read(condition.number, unit)
            .map_err(|why| Failure::usage(format!("--fail-if {:?}: {why}", condition.to_string())))?,
    };
    let holds = |pair: Pair| {
        let change = match condition.unit {
            Unit::Percent => pair.change_percent(),
            Unit::Points => pair.change_points(changes.whole),
            Unit::Amount(_) => pair.change() as f64,
        };
        condition.is.holds(change, limit)
    };
    let shares_of = (condition.unit == Unit::Points).then_some(changes.whole);
    let column = |change: &Change, column: Column| match column {
        Column::Own => change.own,
        Column::Total => change.total,
    };
    let mut verdict =
        Verdict { condition: condition.to_string(), found: Vec::new(), missed: None, unknown: None, shares_of };
    let mut look = |name: &str, pair: Pair| match holds(pair) {
        true => verdict.found.push((name.to_owned(), pair)),
        false => verdict.missed = Some(pair),
    };
    match &condition.what {
        What::Whole => look("total", changes.whole),
        What::Function(name, wanted) => {
            look(name, changes.find(name).map_or(Pair::default(), |change| column(change, *wanted)));
            if changes.find(name).is_none() {
                verdict.unknown = Some(name.clone());
            }
        }
        What::AnyFunction(wanted) => {
            let any = changes.rows.iter().map(|change| (change.name.clone(), column(change, *wanted)));
            verdict.found = any.filter(|(_, pair)| holds(*pair)).collect();
            verdict.found.sort_by_key(|(_, pair)| std::cmp::Reverse(pair.change().unsigned_abs()));
        }
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::compared;

    const NANOS: Measure = Measure::Time(1e-9);

    fn judge(text: &str) -> Verdict {
        let condition = Condition::parse(text).unwrap();
        judge_one(&condition, &compared().changes, NANOS).unwrap()
    }

    #[test]
    fn a_condition_holds_for_the_change_it_names() {
        // The whole goes from 1 s to 1.26 s, Decode itself from 450 ms to 900 ms: 45 % and 71.4 % of the whole.
        for (text, holds) in [
            ("total>25%", true),
            ("total>26%", false),
            ("total>=26%", true),
            ("total>200ms", true),
            ("total>300ms", false),
            ("encoding/json.(*Decoder).Decode self>99%", true),
            ("encoding/json.(*Decoder).Decode self>26pp", true),
            ("encoding/json.(*Decoder).Decode self>27pp", false),
            ("main.fresh self>1000000%", true),
            ("runtime.mallocgc total<-99%", true),
            ("main.work self>0", false),
            ("* self>40pp", false),
            ("* self>20pp", true),
        ] {
            assert_eq!(judge(text).holds(), holds, "{text}");
        }
    }

    #[test]
    fn a_verdict_says_what_it_saw() {
        assert_eq!(judge("total>26%").says(NANOS), "1.00 s to 1.26 s, +26.0%");
        assert_eq!(judge("main.fresh self>1%").says(NANOS), "0 s to 20.0 ms, new");
        assert_eq!(judge("* self>40pp").says(NANOS), "no function");
        assert_eq!(
            judge("* self>20pp").says(NANOS),
            "encoding/json.(*Decoder).Decode (45.00% to 71.43% of the whole, +26.43pp)"
        );
    }

    #[test]
    fn a_function_that_neither_side_knows_trips_nothing_and_is_named() {
        let verdict = judge("main.typo self>5%");
        assert!(!verdict.holds());
        assert_eq!(verdict.says(NANOS), "neither side knows main.typo");
    }

    #[test]
    fn an_amount_must_fit_the_profile() {
        let condition = Condition::parse("total>5MiB").unwrap();
        let failure = judge_one(&condition, &compared().changes, NANOS).unwrap_err();
        assert!(failure.message.contains("measures time"), "{failure}");
    }
}
