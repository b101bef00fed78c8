//! `flamectl query`: merges what a selector finds, and shows it in one of many forms.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::{Args, ColorChoice, ValueEnum};
use flamestore_flamegraph::Tree;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::answer::{Functions, Stacks};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::merged::Selection;
use crate::output::Output;
use crate::paint::Paint;
use crate::progress;
use crate::times::{self, RangeArgs};
use crate::{profile_type, selector};

pub(crate) mod collapsed;
mod json;
mod svg;
pub(crate) mod table;
mod tree;

/// Nodes of the tree form when nobody says; what fits on some screens.
const TREE_NODES: i64 = 200;
/// What is read of a pprof at a time, in bytes.
const COPY_BYTES: usize = 64 << 10;
/// A pprof without samples is shorter than this, in bytes.
const EMPTY_PPROF_BYTES: usize = 5;

/// Show where the time, or the memory, went.
///
/// Merges all profiles that a selector finds in a time range.
#[derive(Debug, Args)]
pub(crate) struct Query {
    #[arg(help = selector::HELP)]
    selector: Option<String>,

    #[arg(long = "type", value_name = "TYPE", help = profile_type::HELP)]
    profile_type: Option<String>,

    #[command(flatten)]
    range: RangeArgs,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Form,

    /// The most functions that the table shows; 0: all.
    #[arg(long, value_name = "ROWS", default_value_t = 50)]
    limit: usize,

    /// The most nodes that are not merged into `other`.
    ///
    /// Default: nothing is cut from collapsed and pprof; 200 for tree; what the server is set to for svg and dot. Table
    /// and json count every function before anything is cut.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    max_nodes: Option<i64>,

    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Every function with its own and its whole share.
    Table,
    /// Who calls whom, as indented text.
    Tree,
    /// Folded stacks, `main;work 12`, as flame graph tools read them.
    Collapsed,
    /// A gzipped pprof for `go tool pprof`; needs --file or a pipe.
    Pprof,
    /// A call graph for Graphviz.
    Dot,
    /// A flame graph to open in a browser.
    Svg,
    /// Every function, for scripts.
    Json,
}

pub(crate) fn run(client: &Client, args: &Query, color: ColorChoice) -> Result<Exit, Failure> {
    let wanted = selector::read(args.selector.as_deref(), args.profile_type.as_deref())?;
    let range = args.range.read(times::now_nanos())?.back_by(wanted.back);
    if args.max_nodes.is_some() && matches!(args.output, Form::Table | Form::Json) {
        return Err(Failure::usage("table and json have no nodes to cut: leave out --max-nodes, or use --limit"));
    }
    let file = args.file.as_deref();
    let paint = if file.is_some() { Paint::OFF } else { Paint::for_stdout(color) };
    // Refused before the server is asked to work.
    let mut out = match args.output {
        Form::Pprof => Output::open_binary(file, "a pprof")?,
        _ => Output::open(file)?,
    };
    let selection = Selection::of(client, wanted, range)?;
    match args.output {
        Form::Pprof => pprof(client, &selection, args.max_nodes, &mut out)?,
        Form::Dot => {
            let dot = selection.dot(client, args.max_nodes)?;
            if dot.is_empty() {
                return Err(selection.nothing());
            }
            out.write_all(dot.as_bytes())?;
        }
        Form::Table => table::write(&mut out, &functions(client, selection, args.limit)?, args.limit, paint)?,
        Form::Json => json::write(&mut out, &functions(client, selection, 0)?)?,
        Form::Tree => {
            let max_nodes = Some(args.max_nodes.unwrap_or(TREE_NODES));
            let tree = selection.cut(client, max_nodes)?;
            tree::write(&mut out, &stacks(selection, tree)?, paint)?;
        }
        Form::Svg => {
            let tree = selection.cut(client, args.max_nodes)?;
            svg::write(&mut out, &stacks(selection, tree)?)?;
        }
        Form::Collapsed => {
            let tree = match args.max_nodes {
                None => selection.whole(client)?,
                max_nodes => selection.cut(client, max_nodes)?,
            };
            collapsed::write(&mut out, &stacks(selection, tree)?.tree)?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// The functions of a selection, of which there must be any.
pub(crate) fn functions(client: &Client, selection: Selection, limit: usize) -> Result<Functions, Failure> {
    let table = selection.functions(client, limit)?;
    if table.rows.is_empty() { Err(selection.nothing()) } else { Ok(Functions { selection, table }) }
}

fn stacks(selection: Selection, tree: Tree) -> Result<Stacks, Failure> {
    if tree.is_empty() { Err(selection.nothing()) } else { Ok(Stacks { selection, tree }) }
}

/// Passes a pprof on while it comes, so that its size does not matter.
fn pprof(client: &Client, selection: &Selection, max_nodes: Option<i64>, out: &mut Output) -> Result<(), Failure> {
    let waiting = progress::waiting("asking");
    let mut stream = waiting.wrap_read(selection.pprof(client, max_nodes)?);
    let mut buffer = vec![0; COPY_BYTES];
    let mut gzip = GzEncoder::new(out, Compression::default());
    let mut length = 0;
    loop {
        let n = stream.read(&mut buffer).map_err(|e| client.broken_off(&e))?;
        if n == 0 {
            break;
        }
        length += n;
        gzip.write_all(buffer.get(..n).unwrap_or_default())?;
    }
    waiting.finish_and_clear();
    if length < EMPTY_PPROF_BYTES {
        return Err(selection.nothing());
    }
    gzip.finish()?;
    Ok(())
}
