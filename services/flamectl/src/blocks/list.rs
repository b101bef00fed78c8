//! `flamectl blocks list`: which blocks there are, and what they are worth.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;

use crate::blocks::find::{self, Filter, Wanted};
use crate::blocks::row::{Row, State};
use crate::blocks::store::Store;
use crate::cli::Connection;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::series::write_json;
use crate::times;
use crate::units::Measure;

/// Services of a block that a table names; the others are counted.
const SHOWN_SERVICES: usize = 3;

/// List blocks: level, times, size, services, and what is wrong with them.
///
/// The live ones are those that queries read. With the storage options the bucket itself is asked, for --tenant or for all
/// tenants; without them the server at --url.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    wanted: Wanted,

    /// Blocks that are not live, too: dead (their files will be deleted), lost (gone from the bucket for good), orphan (a
    /// compaction that did not end), partial (no meta.json) and unreadable. A server tells of the dead and lost ones only.
    #[arg(long)]
    all: bool,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Form,
}

/// The forms of what is known of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// Everything that is known, for programs.
    Json,
}

pub(crate) fn run(store: &Store, args: &List) -> Result<Exit, Failure> {
    let filter = args.wanted.read()?;
    let mut rows = Vec::new();
    for tenant in store.tenants()? {
        let view = find::view(store, &tenant)?;
        rows.extend(view.live.iter().map(|meta| Row::of(meta, State::Live, &view.snapshot)));
        rows.extend(view.missing.iter().map(|meta| Row::of(meta, State::Missing, &view.snapshot)));
        if args.all {
            let name = tenant.as_str();
            rows.extend(view.snapshot.dead.iter().map(|dead| Row::of_dead(name, dead)));
            rows.extend(view.snapshot.lost.iter().map(|lost| Row::of_lost(name, lost)));
            rows.extend(view.orphans.iter().map(|meta| Row::of(meta, State::Orphan, &view.snapshot)));
            rows.extend(view.partial.iter().map(|ulid| Row::bare(name, *ulid, State::Partial)));
            rows.extend(view.unreadable.iter().map(|(ulid, fault)| Row::of_unreadable(name, *ulid, fault)));
        }
        if let Some(fault) = &view.damaged {
            eprintln!("flamectl: the index of tenant {tenant} is damaged; the list is made from the blocks: {fault}");
        }
        let unread = view.unreadable.len();
        if unread > 0 && !args.all {
            eprintln!("flamectl: {unread} blocks of tenant {tenant} cannot be read: --all names them");
        }
        warn_of_lost(view.snapshot.lost.len(), tenant.as_str(), args);
    }
    show(rows, &filter, args.output)
}

/// `GET /api/v1/blocks`.
#[derive(Deserialize)]
struct Answer {
    blocks: Vec<Row>,
    #[serde(default)]
    lost: Vec<Row>,
}

/// The part of `GET /api/v1/retention/plan` that names dead blocks.
#[derive(Deserialize)]
struct Plan {
    marked: Vec<Row>,
}

pub(crate) fn run_by_server(connection: &Connection, args: &List) -> Result<Exit, Failure> {
    let filter = args.wanted.read()?;
    let client = Client::new(connection)?;
    let answer = client.get("/api/v1/blocks")?;
    let Answer { blocks: mut rows, lost } = serde_json::from_str(&answer).map_err(Failure::bad_answer)?;
    let tenant = connection.tenant.as_deref().unwrap_or("anonymous");
    warn_of_lost(lost.len(), tenant, args);
    if args.all {
        rows.extend(lost.into_iter().map(|row| Row { state: State::Lost, ..row }));
        let plan = client.get("/api/v1/retention/plan")?;
        let plan: Plan = serde_json::from_str(&plan).map_err(Failure::bad_answer)?;
        rows.extend(plan.marked.into_iter().map(|row| Row { state: State::Dead, ..row }));
    }
    rows.iter_mut().for_each(|row| row.tenant = tenant.to_owned());
    show(rows, &filter, args.output)
}

fn warn_of_lost(blocks: usize, tenant: &str, args: &List) {
    if blocks > 0 && !args.all {
        eprintln!("flamectl: the bucket has lost {blocks} blocks of tenant {tenant}: --all names them");
    }
}

fn show(mut rows: Vec<Row>, filter: &Filter<'_>, form: Form) -> Result<Exit, Failure> {
    rows.retain(|row| filter.admits(row));
    rows.sort_by(|a, b| (&a.tenant, a.min_time_ms, &a.block).cmp(&(&b.tenant, b.min_time_ms, &b.block)));
    let mut out = Output::open(None)?;
    match form {
        Form::Json => write_json(&mut out, &json!({ "blocks": rows }))?,
        Form::Table => table(&mut out, &rows)?,
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn table(out: &mut impl Write, rows: &[Row]) -> Result<(), Failure> {
    let several = rows.iter().any(|row| row.tenant != rows[0].tenant);
    let head = ["TENANT", "BLOCK", "LEVEL", "FROM", "TO", "PROFILES", "SIZE", "SERVICES", "MARKS"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let skip = usize::from(!several);
    write_columns(out, &lines, skip)?;
    let live = rows.iter().filter(|row| row.state == State::Live);
    let bytes: u64 = live.clone().filter_map(|row| row.bytes).sum();
    let profiles: u64 = live.clone().filter_map(|row| row.profiles).sum();
    let (bytes, profiles) = (Measure::Bytes.show(signed(bytes)), Measure::Count.show(signed(profiles)));
    writeln!(out, "{} live blocks, {profiles} profiles, {bytes}", live.count())?;
    Ok(())
}

fn cells(row: &Row) -> [String; 9] {
    let number = |n: Option<u64>, measure: Measure| n.map_or("-".to_owned(), |n| measure.show(signed(n)));
    let time = |ms: Option<i64>| ms.map_or("-".to_owned(), times::shown);
    [
        row.tenant.clone(),
        row.block.clone(),
        row.level.map_or("-".to_owned(), |level| level.to_string()),
        time(row.min_time_ms),
        time(row.max_time_ms),
        number(row.profiles, Measure::Count),
        number(row.bytes, Measure::Bytes),
        services(&row.services),
        marks(row),
    ]
}

fn services(names: &[String]) -> String {
    let mut text = names.iter().take(SHOWN_SERVICES).map(String::as_str).collect::<Vec<_>>().join(",");
    match names.len().checked_sub(SHOWN_SERVICES) {
        Some(more) if more > 0 => text.push_str(&format!(",+{more}")),
        _ if names.is_empty() => text.push('-'),
        _ => {}
    }
    text
}

/// What sets a block apart from a live one that is well.
pub(crate) fn marks(row: &Row) -> String {
    let mut marks = Vec::new();
    if row.state != State::Live {
        marks.push(
            row.why.as_ref().map_or(row.state.as_str().to_owned(), |why| format!("{}: {why}", row.state.as_str())),
        );
    }
    if let Some(fault) = &row.quarantined {
        marks.push(format!("quarantined: {fault}"));
    }
    if !row.deletions.is_empty() {
        marks.push(format!("hides {} deletions", row.deletions.len()));
    }
    marks.join("; ")
}

/// Lines of cells, each column as wide as its widest; the first `skip` columns are left out.
pub(crate) fn write_columns<const N: usize>(
    out: &mut impl Write,
    lines: &[[String; N]],
    skip: usize,
) -> std::io::Result<()> {
    let width = |c: usize| lines.iter().map(|line| line[c].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for line in lines {
        let cells = line.iter().zip(widths).skip(skip).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_a_block_is_worth() {
        let live = Row {
            tenant: "t".into(),
            block: "01A".into(),
            level: Some(1),
            min_time_ms: Some(0),
            max_time_ms: Some(60_000),
            services: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            profiles: Some(12),
            bytes: Some(2048),
            quarantined: Some("bad".into()),
            deletions: vec!["x".into()],
            ..Row::default()
        };
        let dead = Row { state: State::Dead, why: Some("retention".into()), block: "01B".into(), ..live.clone() };
        let dead = Row { quarantined: None, deletions: vec![], services: vec![], ..dead };
        let mut out = Vec::new();
        table(&mut out, &[live, dead]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "BLOCK  LEVEL  FROM                  TO                    PROFILES  SIZE      SERVICES  MARKS\n\
             01A    1      1970-01-01T00:00:00Z  1970-01-01T00:01:00Z  12        2.00 KiB  a,b,c,+1  \
             quarantined: bad; hides 1 deletions\n\
             01B    1      1970-01-01T00:00:00Z  1970-01-01T00:01:00Z  12        2.00 KiB  -         dead: retention\n\
             1 live blocks, 12 profiles, 2.00 KiB\n"
        );
    }
}
