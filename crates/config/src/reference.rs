//! The reference page of the configuration, generated from the registry.

use std::fmt::Write;

use flamestore_limits::Limits;
use serde_json::Value;

use crate::key::{Key, Kind, Status};
use crate::keys::registry;

const HEAD: &str = "\
# Configuration

Generated from the registry of keys in `crates/config`; do not edit by hand.

Values come from the defaults, then from the YAML file of `-config.file`, then from flags. Flags take one dash or two,
`-name=value` or `-name value`; a bool may stand alone. With `-config.expand-env` the file may hold `${VAR}` and
`${VAR:-default}`. An unknown key or flag stops the start and names the nearest one. Durations: `15s`, `1h30m`, `7d`.

Keys marked *ours* exist only here; all others have the name and the meaning they have in Grafana Pyroscope. Keys marked
*not used yet* are read and checked; the log names each that is set.
";

/// The page as Markdown, the same text for the same code.
pub fn reference_markdown() -> String {
    let mut out = String::from(HEAD);
    let mut blocks: Vec<&str> = Vec::new();
    for key in registry().keys.iter().filter(|k| k.status.holds_a_value()) {
        if !blocks.contains(&heading(key)) {
            blocks.push(heading(key));
        }
    }
    for block in blocks {
        let _ = write!(out, "\n## {block}\n\n");
        if block == "limits" {
            out.push_str(
                "The same names under a tenant in `overrides:` of a runtime file hold for that tenant alone.\n\n",
            );
        }
        out.push_str("| key | flag | kind | default | |\n|---|---|---|---|---|\n");
        for key in registry().keys.iter().filter(|k| k.status.holds_a_value() && heading(k) == block) {
            let _ = writeln!(out, "{}", row(key));
        }
    }
    out.push_str("\n## Accepted, without effect\n\nA working configuration of the peer starts as it stands; each of these, when set, is named once in the log.\n\n| key | flag | why |\n|---|---|---|\n");
    for key in &registry().keys {
        if let Status::NoEffect(why) = key.status {
            let _ = writeln!(out, "| {} | {} | {why} |", code(key.path, ""), code(key.flag, "-"));
        }
    }
    for s in registry().subtrees {
        let path = if s.path.is_empty() { String::new() } else { format!("`{}.*`", s.path) };
        let flags = if s.flags.is_empty() { String::new() } else { format!("`-{}*`", s.flags) };
        let _ = writeln!(out, "| {path} | {flags} | {} |", s.why);
    }
    out.push_str("\n## Refused\n\nIgnoring these would be unsafe, so that any value stops the start.\n\n| key | flag | why |\n|---|---|---|\n");
    for key in &registry().keys {
        if let Status::Refused(why) = key.status {
            let _ = writeln!(out, "| {} | {} | {why} |", code(key.path, ""), code(key.flag, "-"));
        }
    }
    out
}

/// Keys without a block of their own stand together.
fn heading(key: &Key) -> &'static str {
    if key.path.contains('.') { key.block() } else { "process" }
}

fn row(key: &Key) -> String {
    let ours = if key.status.is_ours() { "*ours* — " } else { "" };
    let mut path = code(key.path, "");
    for alias in key.aliases {
        path.push_str(", ");
        path.push_str(&code(alias, ""));
    }
    let doc = key.doc.trim();
    let not_yet = match key.status {
        Status::NotYet { why, .. } => format!(" **Not used yet**: {why}."),
        _ => String::new(),
    };
    format!(
        "| {path} | {} | {} | {} | {ours}{doc}{not_yet} |",
        code(key.flag, "-"),
        key.kind.word(),
        code(&default_text(key), "")
    )
}

fn code(text: &str, before: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{before}{text}`") }
}

/// The default as one would write it; empty where there is none.
pub(crate) fn default_text(key: &Key) -> String {
    match key.kind {
        Kind::Limit(_) => match Limits::default().get(key.path.strip_prefix("limits.").unwrap_or(key.path)) {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        },
        _ => key.default.to_owned(),
    }
}
