//! The arguments: what all commands share, and the list of commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand};

use crate::{blocks, completions, diff, labels, man, push, query, series, times, types, watch};

/// Push profiles to Flamestore, ask for them, compare them.
///
/// Works with any server that speaks the API of Grafana Pyroscope.
#[derive(Debug, Parser)]
#[command(name = "flamectl", version, after_help = crate::reference::exit_codes(), max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// When to use colours; `auto`: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub(crate) color: ColorChoice,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Connection {
    /// Where the server is, with the path in front of it if a proxy adds one.
    #[arg(long, global = true, env = "FLAMESTORE_URL", default_value = "http://127.0.0.1:4040")]
    pub(crate) url: String,

    /// The tenant, sent as X-Scope-OrgID; for reads also several: `a|b`.
    #[arg(long, global = true, env = "FLAMESTORE_TENANT")]
    pub(crate) tenant: Option<String>,

    /// Sent as `Authorization: Bearer`. Better given by the environment: arguments are seen by other users.
    #[arg(long, global = true, env = "FLAMESTORE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// Sent as `Authorization: Basic`.
    #[arg(
        long,
        global = true,
        env = "FLAMESTORE_BASIC_AUTH",
        hide_env_values = true,
        value_name = "USER:PASSWORD",
        conflicts_with = "token"
    )]
    pub(crate) basic_auth: Option<String>,

    /// PEM file with the certificates to trust for https, instead of the system's.
    #[arg(long, global = true, env = "FLAMESTORE_TLS_CA", value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// How long one request may take, all of it: `500ms`, `30s`, `5m`.
    #[arg(long, global = true, default_value = "1m", value_name = "DURATION", value_parser = times::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Push(push::Push),
    Query(query::Query),
    Diff(diff::Diff),
    Series(series::Series),
    Labels(labels::Labels),
    Types(types::Types),
    Watch(watch::Watch),
    Blocks(blocks::Blocks),
    /// Ask the server whether it is ready to serve.
    ///
    /// Prints `ready` and ends with 0, or prints the reason and ends with 5.
    Ready,
    /// Print the versions of this program and of the server.
    Version,
    Completions(completions::Completions),
    Man(man::Man),
    /// Print all commands and options as Markdown.
    #[command(hide = true)]
    Reference,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_put_together_soundly() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_token_and_a_password_cannot_both_be_sent() {
        assert!(Cli::try_parse_from(["flamectl", "ready", "--token", "a", "--basic-auth", "b:c"]).is_err());
        let cli = Cli::try_parse_from(["flamectl", "ready", "--timeout", "1500ms"]).unwrap();
        assert_eq!(cli.connection.timeout, Duration::from_millis(1500));
    }
}
