//! `flamectl blocks inspect`: what is in a block, down to the columns of its files.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use flamestore_block::read::Inside;
use serde_json::json;

use crate::blocks::find::{self, Found};
use crate::blocks::list::{Form, marks, signed, write_columns};
use crate::blocks::store::Store;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::series::write_json;
use crate::times;
use crate::units::{Measure, percent};

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Show what is in a block: its origin, its services, its files with their columns, encodings and sizes.
///
/// As JSON: the whole meta.json, and every row group of every file.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The block's id, as list shows it.
    #[arg(value_name = "ULID", required = true)]
    blocks: Vec<String>,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Form,
}

pub(crate) fn run(store: &Store, args: &Inspect) -> Result<Exit, Failure> {
    let mut seen = Vec::new();
    for found in find::named(store, &find::ids(&args.blocks)?)? {
        let block = store.open(&found.tenant, found.meta.clone())?;
        let mut files = Vec::new();
        for file in &found.meta.files {
            files.push((file.path.clone(), store.wait(block.inside(&file.path))?));
        }
        seen.push((found, files));
    }
    let mut out = Output::open(None)?;
    match args.output {
        Form::Json => {
            let blocks = seen.iter().map(|(found, files)| {
                let files: BTreeMap<_, _> = files.iter().map(|(path, inside)| (path, inside)).collect();
                json!({ "state": found.row.state, "why": found.row.why, "quarantined": found.row.quarantined,
                        "deletions": found.row.deletions, "meta": found.meta, "files": files })
            });
            write_json(&mut out, &json!({ "blocks": blocks.collect::<Vec<_>>() }))?;
        }
        Form::Table => {
            for (i, (found, files)) in seen.iter().enumerate() {
                if i > 0 {
                    writeln!(out)?;
                }
                describe(&mut out, found, files)?;
            }
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn describe(out: &mut impl Write, found: &Found, files: &[(String, Option<Inside>)]) -> Result<(), Failure> {
    let meta = &found.meta;
    let time = |nanos: i64| times::shown(nanos.div_euclid(NANOS_PER_MILLI));
    let (bytes, marks) = (Measure::Bytes.show(signed(meta.stats.bytes)), marks(&found.row));
    writeln!(out, "block     {} of tenant {}, format version {}", meta.ulid, meta.tenant, meta.version)?;
    writeln!(out, "state     {}", if marks.is_empty() { found.row.state.as_str() } else { &marks })?;
    match meta.sources.as_slice() {
        [] if meta.level == 0 => {
            writeln!(out, "level     0, flushed by {}, epoch {}", meta.origin.ingester, meta.origin.epoch)?;
        }
        sources => {
            writeln!(out, "level     {}, of {} flushes", meta.level, meta.origins().len())?;
            for source in sources {
                writeln!(out, "source    {source}")?;
            }
        }
    }
    writeln!(out, "times     {} to {}", time(meta.min_time_nanos), time(meta.max_time_nanos))?;
    let stats = &meta.stats;
    writeln!(out, "holds     {} series, {} profiles, {} samples", stats.series, stats.profiles, stats.samples)?;
    let each = percent(1, signed(stats.profiles)) * stats.bytes as f64 / 100.0;
    writeln!(out, "bytes     {bytes}, {each:.0} a profile")?;

    let mut lines =
        vec![["SERVICE", "FROM", "TO", "SERIES", "PROFILES", "SAMPLES", "STACKS", "TYPES"].map(str::to_owned)];
    lines.extend(meta.datasets.iter().map(|d| {
        [
            d.service_name.clone(),
            time(d.min_time_nanos),
            time(d.max_time_nanos),
            d.rows.series.1.to_string(),
            d.rows.profiles.1.to_string(),
            d.rows.samples.1.to_string(),
            d.rows.stacktraces.1.to_string(),
            d.profile_types.join(","),
        ]
    }));
    writeln!(out)?;
    write_columns(out, &lines, 0)?;

    for (path, inside) in files {
        let size = meta.files.iter().find(|f| f.path == *path).map_or(0, |f| f.size);
        let shown = Measure::Bytes.show(signed(size));
        let share = percent(signed(size), signed(meta.stats.bytes));
        writeln!(out)?;
        let Some(inside) = inside else {
            writeln!(out, "{path}  {shown}, {share:.1} %: not a file that this program knows")?;
            continue;
        };
        let groups = inside.row_groups.len();
        writeln!(out, "{path}  {shown}, {share:.1} %: {} rows in {groups} row groups", inside.rows)?;
        write_columns(out, &columns(inside), 0)?;
    }
    Ok(())
}

/// A line for each column, its row groups added up.
fn columns(inside: &Inside) -> Vec<[String; 7]> {
    let mut lines =
        vec![["  COLUMN", "TYPE", "ENCODINGS", "COMPRESSION", "PAGES", "BYTES", "UNCOMPRESSED"].map(str::to_owned)];
    let Some(first) = inside.row_groups.first() else { return lines };
    for (c, column) in first.columns.iter().enumerate() {
        let chunks = || inside.row_groups.iter().filter_map(|group| group.columns.get(c));
        let mut encodings: Vec<&str> = chunks().flat_map(|chunk| chunk.encodings.iter().map(String::as_str)).collect();
        encodings.sort_unstable();
        encodings.dedup();
        lines.push([
            format!("  {}", column.name),
            column.physical_type.clone(),
            encodings.join(","),
            column.compression.clone(),
            chunks().map(|chunk| chunk.pages).sum::<usize>().to_string(),
            chunks().map(|chunk| chunk.bytes).sum::<u64>().to_string(),
            chunks().map(|chunk| chunk.uncompressed_bytes).sum::<u64>().to_string(),
        ]);
    }
    lines
}
