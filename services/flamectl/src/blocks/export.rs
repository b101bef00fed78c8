//! `flamectl blocks export`: copies blocks to a folder, where other programs read them.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use flamestore_block::{Block, Meta, Origin, meta};
use flamestore_model::Fault;
use indicatif::ProgressBar;

use crate::blocks::find::{self, Found, Wanted};
use crate::blocks::list::signed;
use crate::blocks::store::Store;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress;
use crate::units::Measure;

/// Copy blocks to a folder, for DuckDB and other engines.
///
/// Writes FOLDER/ULID/*.parquet and meta.json, checked against their checksums. Without ids it copies all blocks that
/// count, so that the recipes of block-format.md may read FOLDER/*/samples.parquet: no profile is there twice. A folder
/// with blocks that have been compacted into others since it was written is refused.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The blocks, by their ids; default: all that count.
    #[arg(value_name = "ULID")]
    blocks: Vec<String>,

    #[command(flatten)]
    wanted: Wanted,

    /// Where they go; made if need be.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(crate) fn run(store: &Store, args: &Export) -> Result<Exit, Failure> {
    let found = match args.blocks.as_slice() {
        [] => find::counting(store, &args.wanted.read()?)?,
        ids => find::named(store, &find::ids(ids)?)?,
    };
    if found.is_empty() {
        return Err(Failure::nothing("there are no blocks that fit"));
    }
    refuse_twice(&found, &args.to)?;
    let bar = progress::bytes(found.iter().map(|f| f.meta.stats.bytes).sum());
    for found in &found {
        one(store, found, &args.to, &bar)?;
    }
    bar.finish_and_clear();
    let hiding = found.iter().filter(|f| !f.row.deletions.is_empty()).count();
    if hiding > 0 {
        eprintln!(
            "flamectl: {hiding} of the blocks hold profiles that were deleted on request and that queries do not show: \
             they are in the copy"
        );
    }
    let bytes = found.iter().map(|f| f.meta.stats.bytes).sum();
    let mut out = Output::open(None)?;
    writeln!(out, "{}: {} blocks, {}", args.to.display(), found.len(), Measure::Bytes.show(signed(bytes)))?;
    out.finish()?;
    Ok(Exit::Done)
}

/// Refuses a folder in which another block has profiles of these, as one that was made of them has.
fn refuse_twice(found: &[Found], to: &Path) -> Result<(), Failure> {
    let profiles: HashSet<(&str, &Origin)> =
        found.iter().flat_map(|f| f.meta.origins().iter().map(|origin| (f.meta.tenant.as_str(), origin))).collect();
    let Ok(entries) = fs::read_dir(to) else { return Ok(()) };
    for entry in entries {
        let folder = entry.map_err(|e| Failure::file(&to.display().to_string(), &e))?.path();
        let is_one_of_these = |f: &Found| folder.file_name().is_some_and(|name| *name == *f.meta.ulid.to_string());
        let Ok(json) = fs::read(folder.join(meta::META_FILE)) else { continue };
        let Ok(other) = Meta::from_json(&json) else { continue };
        let is_there = |origin| profiles.contains(&(other.tenant.as_str(), origin));
        if !found.iter().any(is_one_of_these) && other.origins().iter().any(is_there) {
            let text = format!(
                "{} holds profiles that would be in FOLDER twice: it was copied before a compaction; copy into an empty \
                 folder, or remove it",
                folder.display()
            );
            return Err(Failure::new(Exit::File, text));
        }
    }
    Ok(())
}

fn one(store: &Store, found: &Found, to: &Path, bar: &ProgressBar) -> Result<(), Failure> {
    let folder = to.join(found.meta.ulid.to_string());
    fs::create_dir_all(&folder).map_err(|e| Failure::file(&folder.display().to_string(), &e))?;
    let block = store.open(&found.tenant, found.meta.clone())?;
    bar.set_message(found.meta.ulid.to_string());
    for file in &found.meta.files {
        // It becomes a name on this machine.
        if Path::new(&file.path).file_name().is_none_or(|name| name != file.path.as_str()) {
            let key = found.meta.key(meta::META_FILE);
            return Err(Failure::new(Exit::Damaged, format!("{key} names a file {:?}", file.path)));
        }
        copy(store, &block, file, &folder.join(&file.path), bar)?;
    }
    // Last, as in the bucket: a folder with it is whole.
    let path = folder.join(meta::META_FILE);
    let json = found.meta.to_json().map_err(|e| Failure::new(Exit::File, e.to_string()))?;
    fs::write(&path, json).map_err(|e| Failure::file(&path.display().to_string(), &e))
}

fn copy(store: &Store, block: &Block, file: &meta::File, path: &Path, bar: &ProgressBar) -> Result<(), Failure> {
    let mut copied = Output::open(Some(path))?;
    let mut broken = None;
    let read = store.wait(block.pieces(file, |at, bytes, right| {
        if !right {
            let key = block.meta().key(&file.path);
            return Err(Fault::corrupt(format!(
                "{key} bytes {} to {}: the checksum is wrong; nothing of this file is copied",
                at.start, at.end
            )));
        }
        bar.inc(bytes.len() as u64);
        copied.write_all(bytes).map_err(|e| {
            broken = Some(Failure::file(&path.display().to_string(), &e));
            Fault::internal("the copy cannot be written")
        })
    }));
    match broken {
        Some(failure) => Err(failure),
        None => read.and_then(|()| copied.finish()),
    }
}
