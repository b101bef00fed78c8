//! The reference page of the metrics, generated from what is registered.

use std::fmt::Write;

use super::{BuildInfo, Metrics};

const HEAD: &str = "\
# Metrics

Generated from the registry in `crates/telemetry`; do not edit by hand.

`/metrics` answers classic text, OpenMetrics or protobuf, as the scraper asks; histograms carry classic and native buckets,
the native ones in protobuf only. Names that begin with `flamestore_` exist only here; the others are those of Grafana
Pyroscope. A tenant or profile name beyond the first few hundred is counted as `other`.
";

/// The page as Markdown, the same text for the same code.
pub fn reference_markdown() -> String {
    let metrics = Metrics::new(&BuildInfo { version: "", revision: "", branch: "", compiler: "" });
    let mut out = String::from(HEAD);
    let mut components: Vec<&str> = Vec::new();
    for family in &metrics.described {
        if !components.contains(&family.component) {
            components.push(family.component);
        }
    }
    for component in components {
        let _ = write!(out, "\n## {component}\n\n| metric | type | labels | |\n|---|---|---|---|\n");
        for family in metrics.described.iter().filter(|f| f.component == component) {
            let labels = family.labels.join(", ");
            let _ = writeln!(out, "| `{}` | {} | {labels} | {}. |", family.name, family.kind, family.help);
        }
    }
    out
}
