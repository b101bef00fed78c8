//! `flamectl watch`: the table of the last minutes, again and again.

use std::io::{IsTerminal, Write};
use std::thread;
use std::time::Duration;

use clap::{Args, ColorChoice};

use crate::answer::Functions;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::merged::Selection;
use crate::output::Output;
use crate::paint::Paint;
use crate::query::{self, table};
use crate::selector::Wanted;
use crate::times::{self, Range};
use crate::{profile_type, selector};

/// Puts the cursor into the corner and clears what is below it: the whole screen, without the flicker of clearing it.
const HOME: &str = "\x1b[H\x1b[J";
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Show the busiest functions, and keep showing them until ctrl-c.
///
/// On a terminal the table is redrawn in place; elsewhere one table follows another.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[arg(help = selector::HELP)]
    selector: Option<String>,

    #[arg(long = "type", value_name = "TYPE", help = profile_type::HELP)]
    profile_type: Option<String>,

    /// How far back each table looks.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = times::parse_duration)]
    window: Duration,

    /// How long to wait between two tables.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = times::parse_duration)]
    interval: Duration,

    /// The most functions that are shown; 0: all.
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    limit: usize,

    /// End after so many tables; default: go on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn run(client: &Client, args: &Watch, color: ColorChoice) -> Result<Exit, Failure> {
    let wanted = selector::read(args.selector.as_deref(), args.profile_type.as_deref())?;
    let in_place = std::io::stdout().is_terminal();
    let paint = Paint::for_stdout(color);
    let mut shown = 0;
    loop {
        let mut screen: Vec<u8> = Vec::new();
        match look(client, &wanted, args) {
            Ok(answer) => table::write(&mut screen, &answer, args.limit, paint)?,
            // What may pass is shown and watched on; what is wrong with the question will not.
            Err(failure) if is_passing(failure.exit) => writeln!(screen, "{}", paint.bad(&failure.message))?,
            Err(failure) => return Err(failure),
        }
        let mut out = Output::open(None)?;
        if in_place {
            write!(out, "{HOME}")?;
        } else if shown > 0 {
            writeln!(out)?;
        }
        out.write_all(&screen)?;
        out.finish()?;
        shown += 1;
        if args.count.is_some_and(|count| shown >= count) {
            return Ok(Exit::Done);
        }
        thread::sleep(args.interval);
    }
}

fn look(client: &Client, wanted: &Wanted, args: &Watch) -> Result<Functions, Failure> {
    let now_ms = times::now_nanos() / NANOS_PER_MILLI;
    let until_now = Range { from_ms: now_ms, until_ms: now_ms };
    let range = Range { from_ms: until_now.back_by(args.window).from_ms, until_ms: now_ms };
    let selection = Selection::of(client, wanted.clone(), range.back_by(wanted.back))?;
    query::functions(client, selection, args.limit)
}

fn is_passing(exit: Exit) -> bool {
    matches!(exit, Exit::Unreachable | Exit::ServerFailed | Exit::Nothing)
}
