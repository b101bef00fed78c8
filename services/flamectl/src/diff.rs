//! `flamectl diff`: two selections side by side, function by function, with conditions that a build can fail on.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, ValueEnum};
use flamestore_model::query_text::sides;

use crate::answer::Functions;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::merged::Selection;
use crate::output::Output;
use crate::paint::Paint;
use crate::selector::Wanted;
use crate::times::{self, Range, RangeArgs};
use crate::units::Measure;
use crate::{profile_type, query, selector};

mod changes;
mod condition;
mod json;
mod table;
mod verdict;

use changes::Changes;
use condition::Condition;
use verdict::Verdict;

/// Compare two selections, or one with its own past.
///
/// LEFT is the baseline, RIGHT is what is judged; without RIGHT it is the same selector. Both may stand in LEFT, as in
/// 'checkout vs {service="checkout",version="1.5"}'. Something must differ: the selectors, or the times (--offset, or
/// --left-from and --left-until).
#[derive(Debug, Args)]
#[command(after_long_help = condition::HELP)]
pub(crate) struct Diff {
    /// The baseline; written as for `query`, or `LEFT vs RIGHT`.
    left: String,

    /// What is judged; default: the same selector.
    right: Option<String>,

    #[arg(long = "type", value_name = "TYPE", help = profile_type::HELP)]
    profile_type: Option<String>,

    #[command(flatten)]
    range: RangeArgs,

    /// The baseline is so much earlier: `7d`, `1h30m`.
    #[arg(long, value_name = "DURATION", value_parser = times::parse_duration, conflicts_with_all = ["left_from", "left_until"])]
    offset: Option<Duration>,

    /// Where the baseline begins, if not at --from.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    left_from: Option<String>,

    /// Where the baseline ends, if not at --until.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    left_until: Option<String>,

    /// Where the judged side begins, if not at --from.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    right_from: Option<String>,

    /// Where the judged side ends, if not at --until.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    right_until: Option<String>,

    /// End with 1 if this holds, e.g. 'total>10%' or 'main.work self>5pp'; may be given several times.
    ///
    /// The grammar stands at the end of this help.
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    fail_if: Vec<Condition>,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Form,

    /// The most functions that the table shows, the largest change first; 0: all.
    #[arg(long, value_name = "ROWS", default_value_t = 30)]
    limit: usize,

    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The forms of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Every function with both sides and the change.
    Table,
    /// The same for scripts, with what became of each condition.
    Json,
}

/// Both sides of a comparison.
#[derive(Debug)]
pub(crate) struct Compared {
    left: Selection,
    right: Selection,
    changes: Changes,
}

impl Compared {
    fn of(left: Functions, right: Functions) -> Compared {
        let changes = Changes::of(&left.table, &right.table);
        Compared { left: left.selection, right: right.selection, changes }
    }

    fn measure(&self) -> Measure {
        self.right.measure()
    }
}

pub(crate) fn run(client: &Client, args: &Diff, color: ColorChoice) -> Result<Exit, Failure> {
    let (wanted_left, mut wanted_right) = args.sides()?;
    // A type that stands on one side is that of both.
    wanted_right.type_word = wanted_right.type_word.or_else(|| wanted_left.type_word.clone());
    let (left, right) = args.ranges(times::now_nanos())?;
    let (left, right) = (left.back_by(wanted_left.back), right.back_by(wanted_right.back));
    if (&wanted_left.labels, left) == (&wanted_right.labels, right) {
        return Err(Failure::usage("both sides are the same: name a second selector, or give --offset or --left-from"));
    }
    let mut out = Output::open(args.file.as_deref())?;
    let right = Selection::of(client, wanted_right, right).map_err(|e| e.at("right"))?;
    let mut left = Selection { range: left, labels: wanted_left.labels.clone(), ..right.clone() };
    if wanted_left.type_word.is_some() {
        left = Selection::of(client, wanted_left, left.range).map_err(|e| e.at("left"))?;
    }
    if left.profile_type != right.profile_type {
        return Err(Failure::usage(format!("{} cannot be compared with {}", left.profile_type, right.profile_type)));
    }
    let left = query::functions(client, left, 0).map_err(|e| e.at("left"))?;
    let right = query::functions(client, right, 0).map_err(|e| e.at("right"))?;
    let compared = Compared::of(left, right);
    let verdicts = verdict::judge(&args.fail_if, &compared.changes, compared.measure())?;
    match args.output {
        Form::Table => {
            let paint = if args.file.is_some() { Paint::OFF } else { Paint::for_stdout(color) };
            table::write(&mut out, &compared, &verdicts, args.limit, paint)?;
        }
        Form::Json => json::write(&mut out, &compared, &verdicts)?,
    }
    out.finish()?;
    Ok(if verdicts.iter().any(Verdict::holds) { Exit::Tripped } else { Exit::Done })
}

impl Diff {
    /// The left and the right.
    fn sides(&self) -> Result<(Wanted, Wanted), Failure> {
        let read = |text: &str| selector::read(Some(text), self.profile_type.as_deref());
        match (sides(&self.left).as_slice(), &self.right) {
            ([left, right], None) if left.is_empty() || right.is_empty() => {
                Err(Failure::usage("a comparison needs a selection on both sides of \"vs\""))
            }
            ([left, right], None) => Ok((read(left)?, read(right)?)),
            ([_, _, ..], _) => Err(Failure::usage("two selections are compared, and here are more")),
            (_, Some(right)) => Ok((read(&self.left)?, read(right)?)),
            (_, None) => read(&self.left).map(|both| (both.clone(), both)),
        }
    }

    /// Of the left and of the right.
    fn ranges(&self, now_nanos: i64) -> Result<(Range, Range), Failure> {
        let pick = |own: &Option<String>, option: &'static str, shared: &str, shared_option: &'static str| match own {
            Some(text) => (option, text.clone()),
            None => (shared_option, shared.to_owned()),
        };
        let read = |from: (&str, String), until: (&str, String)| {
            Range::read((from.0, &from.1), (until.0, &until.1), now_nanos)
        };
        let RangeArgs { from, until } = &self.range;
        let right = read(
            pick(&self.right_from, "--right-from", from, "--from"),
            pick(&self.right_until, "--right-until", until, "--until"),
        )?;
        let left = match self.offset {
            Some(offset) => right.back_by(offset),
            None => read(
                pick(&self.left_from, "--left-from", from, "--from"),
                pick(&self.left_until, "--left-until", until, "--until"),
            )?,
        };
        Ok((left, right))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;
    use flamestore_flamegraph::FunctionTable;

    use crate::answer::tests::{functions, tree};
    use crate::cli::{Cli, Command};

    const NOW: i64 = 1_795_000_000_000_000_000;

    /// The example of golden files, and what became of it.
    pub(crate) fn compared() -> Compared {
        let (left, mut right) = (functions(), functions());
        right.table = FunctionTable::of(&tree(&[
            "main.main;main.work;encoding/json.(*Decoder).Decode 900000000",
            "main.main;main.work 150000000",
            "main.main;main.recurse;main.recurse 90000000",
            "main.main;main.fresh 20000000",
            "runtime.gcBgMarkWorker;a<b>&\"c\" 100000000",
        ]));
        right.selection.range = Range { from_ms: 1_795_010_000_000, until_ms: 1_795_013_600_000 };
        Compared::of(left, right)
    }

    fn ranges(words: &[&str]) -> Result<(Range, Range), Failure> {
        let words = ["flamectl", "diff", "a"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Diff(args) => args.ranges(NOW),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_sides_may_stand_in_one_text() {
        let labels =
            |words: &[&str]| match Cli::try_parse_from([&["flamectl", "diff"][..], words].concat()).unwrap().command {
                Command::Diff(args) => args.sides().map(|(left, right)| [left.labels, right.labels]),
                other => panic!("{other:?}"),
            };
        let both = [r#"{service_name="a"}"#, r#"{pod="b"}"#].map(str::to_owned);
        assert_eq!(labels(&[r#"a vs {pod="b"}"#]), Ok(both.clone()));
        assert_eq!(labels(&["a", r#"{pod="b"}"#]), Ok(both));
        for wrong in [&["a vs "][..], &["a vs b vs c"], &["a vs b", "c"]] {
            assert_eq!(labels(wrong).unwrap_err().exit, Exit::Usage, "{wrong:?}");
        }
    }

    #[test]
    fn an_offset_moves_the_baseline_and_own_times_replace_the_shared_ones() {
        let (left, right) = ranges(&["--offset", "7d"]).unwrap();
        assert_eq!(right.until_ms, NOW / 1_000_000);
        assert_eq!(left.until_ms, right.until_ms - 7 * 86_400_000);
        assert_eq!(left.seconds(), right.seconds());
        let (left, right) = ranges(&["--left-from", "now-2h", "--left-until", "now-1h"]).unwrap();
        assert_eq!(left.until_ms, right.from_ms);
        assert!(
            ranges(&["--right-until", "now-2h"])
                .unwrap_err()
                .message
                .contains("--from now-1h lies behind --right-until")
        );
    }
}
