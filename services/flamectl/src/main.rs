//! `flamectl`: pushes profiles, asks for them and compares them, from a terminal or a script.
//!
//! One file for each command; [`query`] and [`diff`] have one more for each form of their answer. [`client`] is the only
//! place that speaks to the server, [`blocks`] the only one that can do without.

mod answer;
mod blocks;
mod cli;
mod client;
mod completions;
mod diff;
mod failure;
mod labels;
mod man;
mod merged;
mod output;
mod paint;
mod profile_type;
mod progress;
mod push;
mod query;
mod reference;
mod selector;
mod series;
mod status;
mod times;
mod types;
mod units;
mod watch;

#[cfg(test)]
mod golden;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    // Wrong arguments end here, with clap's own sentence and code 2.
    let cli = Cli::parse();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("flamectl: {failure}");
            }
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let client = || Client::new(&cli.connection);
    let color = cli.color;
    match &cli.command {
        Command::Push(args) => push::run(&client()?, args),
        Command::Query(args) => query::run(&client()?, args, color),
        Command::Diff(args) => diff::run(&client()?, args, color),
        Command::Series(args) => series::run(&client()?, args),
        Command::Labels(args) => labels::run(&client()?, args),
        Command::Types(args) => types::run(&client()?, args),
        Command::Watch(args) => watch::run(&client()?, args, color),
        Command::Blocks(args) => blocks::run(&cli.connection, args),
        Command::Ready => status::ready(&client()?),
        Command::Version => status::version(&client()?),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Reference => reference::run(),
    }
}
