//! The texts of `-help` and `-help-all`.

use std::fmt::Write;

use crate::key::{Key, Status};
use crate::keys::registry;
use crate::reference::default_text;

/// Flags most deployments set.
const COMMON: [&str; 16] = [
    "target",
    "auth.multitenancy-enabled",
    "server.http-listen-address",
    "server.http-listen-port",
    "server.grpc-listen-port",
    "log.level",
    "log.format",
    "storage.backend",
    "storage.filesystem.dir",
    "storage.s3.bucket-name",
    "storage.s3.endpoint",
    "pyroscopedb.data-path",
    "runtime-config.file",
    "compactor.blocks-retention-period",
    "distributor.ingestion-rate-limit-mb",
    "ingester.max-head-bytes",
];

const HEAD: &str = "\
Usage: flamestore [flags]

A database for continuous profiles. Values come from the defaults, then from the file, then from flags.

  -config.file path
        YAML file to read.
  -config.expand-env
        Puts ${VAR} and ${VAR:-default} of the environment into that file before it is read.
  -version, -modules, -help, -help-all
        Prints and ends.
";

/// The flags most deployments set.
pub fn help() -> String {
    let mut out = String::from(HEAD);
    COMMON.iter().filter_map(|flag| registry().by_flag(flag)).for_each(|key| line(&mut out, key));
    out.push_str("\n-help-all lists every flag.\n");
    out
}

/// Every flag that holds a value, by name.
pub fn help_all() -> String {
    let mut out = String::from(HEAD);
    let shown = |k: &&Key| !k.flag.is_empty() && k.status.holds_a_value();
    let mut keys: Vec<_> = registry().keys.iter().filter(shown).collect();
    keys.sort_by_key(|k| k.flag);
    keys.into_iter().for_each(|key| line(&mut out, key));
    out.push_str("\nFlags of the peer that have no effect here are accepted too; the log names them.\n");
    out
}

fn line(out: &mut String, key: &Key) {
    let default = default_text(key);
    let default = if default.is_empty() { String::new() } else { format!(" (default {default})") };
    let not_yet = match key.status {
        Status::NotYet { why, .. } => format!(" Not used yet: {why}."),
        _ => String::new(),
    };
    let word = key.kind.word().replace("\\|", "|");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  -{} {word}\n        {}{default}{not_yet}", key.flag, key.doc);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_help_names_nothing_that_is_not_used_and_the_long_one_says_what_is_not() {
        assert!(!help().contains("Not used yet"), "{}", help());
        let all = help_all();
        assert!(all.contains("None = a cluster of one. Not used yet: "), "{all}");
        assert!(COMMON.iter().all(|flag| registry().by_flag(flag).is_some()));
    }
}
