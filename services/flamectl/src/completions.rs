//! `flamectl completions`: what a shell needs to complete the arguments.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Print completions for a shell.
///
/// For bash: flamectl completions bash > /etc/bash_completion.d/flamectl
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Completions) -> Result<Exit, Failure> {
    // The generator panics where it cannot write; memory can always be written.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flamectl", &mut script);
    let mut out = Output::open(None)?;
    out.write_all(&script)?;
    out.finish()?;
    Ok(Exit::Done)
}
