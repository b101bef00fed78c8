//! `flamectl man`: the manual as man pages.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Print the man page.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for each command into this folder instead, as flamectl.1, flamectl-push.1, …
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Man) -> Result<Exit, Failure> {
    if let Some(dir) = &args.dir {
        let named = |e| Failure::file(&dir.display().to_string(), &e);
        std::fs::create_dir_all(dir).map_err(named)?;
        clap_mangen::generate_to(Cli::command(), dir).map_err(named)?;
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    Page::new(Cli::command()).render(&mut page)?;
    let mut out = Output::open(None)?;
    out.write_all(&page)?;
    out.finish()?;
    Ok(Exit::Done)
}
