//! `flamectl blocks`: what lies in the bucket, with a server or without one.

mod export;
mod find;
mod inspect;
mod list;
mod row;
mod storage;
mod store;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::Connection;
use crate::failure::{Exit, Failure};
use storage::StorageArgs;

/// List, inspect, verify and export the blocks that profiles are kept in.
///
/// Needs no server: say which bucket with --config.file, the server's own file, or with the server's own storage flags. The
/// bucket is only read. Without either, list asks the server at --url.
#[derive(Debug, Args)]
pub(crate) struct Blocks {
    #[command(flatten)]
    storage: StorageArgs,

    #[command(subcommand)]
    command: BlocksCommand,
}

#[derive(Debug, Subcommand)]
enum BlocksCommand {
    List(list::List),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Export(export::Export),
}

pub(crate) fn run(connection: &Connection, args: &Blocks) -> Result<Exit, Failure> {
    let store = || args.storage.open(connection.tenant.as_deref());
    match &args.command {
        BlocksCommand::List(list) if !args.storage.is_given() => list::run_by_server(connection, list),
        BlocksCommand::List(list) => list::run(&store()?, list),
        BlocksCommand::Inspect(inspect) => inspect::run(&store()?, inspect),
        BlocksCommand::Verify(verify) => verify::run(&store()?, verify),
        BlocksCommand::Export(export) => export::run(&store()?, export),
    }
}
