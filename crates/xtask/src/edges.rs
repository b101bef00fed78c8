//! Doors open downwards only: which of our crates may use which, checked against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::shell::{Failure, output};

/// Each crate with what it may use, from the bottom up. What is not here may not be. `docs/ARCHITECTURE.md` says why.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &[]),
    // The store. It does not know the wire.
    ("pprof", &["model"]),
    ("symbols", &["model", "pprof"]),
    ("flamegraph", &["model", "pprof", "symbols"]),
    ("formats", &["model", "pprof"]),
    ("objstore", &["clock", "model"]),
    ("wal", &["clock", "model"]),
    ("head", &["flamegraph", "model", "pprof", "symbols"]),
    ("block", &["flamegraph", "model", "objstore", "symbols"]),
    ("index", &["block", "clock", "model", "objstore"]),
    ("compaction", &["block", "index", "model", "symbols"]),
    ("api", &["flamegraph", "model", "pprof"]),
    (
        "engine",
        &["api", "block", "clock", "flamegraph", "head", "index", "model", "objstore", "pprof", "symbols", "wal"],
    ),
    // The wire. It does not know blocks.
    ("proto", &[]),
    ("limits", &["clock", "model"]),
    ("config", &["limits", "model"]),
    ("telemetry", &["clock", "model"]),
    // Where the wings meet: the configuration names a bucket.
    ("storage", &["config", "model", "objstore"]),
    ("rpc", &["clock", "model", "proto"]),
    ("service", &["clock", "config", "limits", "model", "rpc", "telemetry"]),
    // The services. They never use each other, but for the one that links them all and the frontend's querier.
    ("distributor", &["api", "clock", "formats", "limits", "model", "pprof", "proto", "rpc", "telemetry"]),
    ("ingester", &["api", "block", "clock", "config", "engine", "limits", "model", "objstore", "telemetry", "wal"]),
    ("compactor", &["block", "clock", "compaction", "config", "index", "limits", "model", "objstore", "rpc"]),
    ("querier", &["api", "clock", "flamegraph", "model"]),
    (
        "query-frontend",
        // The bucket for settings and ad hoc profiles, which are files of their own; pprof and symbols to show the latter.
        &[
            "api",
            "clock",
            "flamegraph",
            "formats",
            "limits",
            "model",
            "objstore",
            "pprof",
            "proto",
            "querier",
            "rpc",
            "symbols",
            "telemetry",
        ],
    ),
    // The command line is a client: it knows the words, the forms and the wire, and no part of the server. For operators it
    // also reads buckets without one.
    (
        "flamectl",
        &[
            "block",
            "clock",
            "config",
            "flamegraph",
            "formats",
            "index",
            "model",
            "objstore",
            "pprof",
            "proto",
            "storage",
        ],
    ),
];

/// Which may use anything of ours.
const FREE: &[&str] = &["flamestore", "tests", "xtask"];

pub(crate) fn check() -> Result<(), Failure> {
    let text = output(Path::new("cargo"), &["metadata", "--format-version=1", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| Failure(e.to_string()))?;
    let found = edges(&metadata);
    let faults = faults(&found);
    if faults.is_empty() { Ok(()) } else { Err(Failure(faults.join("\n"))) }
}

fn faults(found: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (from, used) in found {
        if FREE.contains(&from.as_str()) {
            continue;
        }
        match ALLOWED.iter().find(|(name, _)| name == from) {
            None => faults.push(format!("crate {from} has no row in crates/xtask/src/edges.rs: say what it may use")),
            Some((_, allowed)) => faults.extend(
                used.iter().filter(|to| !allowed.contains(&to.as_str())).map(|to| format!("{from} may not use {to}")),
            ),
        }
    }
    faults
}

/// Our crates and what of ours each uses outside tests.
fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let short = |name: &str| name.strip_prefix("flamestore-").unwrap_or(name).to_owned();
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    packages
        .iter()
        .filter_map(|p| {
            let used = list(&p["dependencies"])
                .iter()
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .filter_map(|d| d["name"].as_str())
                .filter(|n| ours.contains(n))
                .map(short)
                .collect();
            Some((short(p["name"].as_str()?), used))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upward_or_sideways_use_is_a_fault() {
        let uses = |pairs: &[(&str, &[&str])]| {
            pairs.iter().map(|(f, t)| (f.to_string(), t.iter().map(|s| s.to_string()).collect())).collect()
        };
        assert!(faults(&uses(&[("pprof", &["model"]), ("flamestore", &["engine", "rpc"])])).is_empty());
        assert_eq!(faults(&uses(&[("pprof", &["engine"])])), ["pprof may not use engine"]);
        assert_eq!(faults(&uses(&[("engine", &["rpc"])])), ["engine may not use rpc"]);
        assert_eq!(faults(&uses(&[("newcomer", &[])])).len(), 1);
    }

    #[test]
    fn the_table_itself_has_no_circle() {
        for (i, (name, allowed)) in ALLOWED.iter().enumerate() {
            for used in *allowed {
                assert!(ALLOWED[..i].iter().any(|(n, _)| n == used), "{name} uses {used}, which stands above it");
            }
        }
    }
}
