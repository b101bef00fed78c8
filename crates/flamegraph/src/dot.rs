//! A call graph as DOT text, in the shape that `go tool pprof -dot` writes, for viewers that were made for it.

mod graph;
mod name;
mod scale;

use std::fmt::Write;

use crate::dot::graph::{Edge, Graph, Node};
use crate::dot::name::{escape, in_lines};
use crate::dot::scale::{Unit, percentage};
use crate::profile_merge::{PprofMeta, ProfileMerge};

/// Nodes of a graph when the caller does not say.
pub const DEFAULT_NODES: usize = 100;
/// The most nodes of a graph, whatever the caller says: no viewer lays out more.
pub const MAX_NODES: usize = 2_048;
/// A profile is cut to this many frames, or to the nodes of the graph when they are more, before it becomes a graph.
pub const MIN_FRAMES: usize = 512;

impl ProfileMerge {
    /// Draws the call graph with at most `max_nodes` nodes; 0: [`DEFAULT_NODES`]. Without a sample: no text.
    pub fn dot(&self, meta: &PprofMeta, max_nodes: usize) -> String {
        if self.is_empty() {
            return String::new();
        }
        let max_nodes = if max_nodes == 0 { DEFAULT_NODES } else { max_nodes.min(MAX_NODES) };
        let mut cut = self.clone();
        cut.truncate(max_nodes.max(MIN_FRAMES));
        let graph = Graph::of(&cut, max_nodes);
        let total = cut.total();
        let lightest = graph.nodes.iter().map(Node::weight).filter(|w| *w > 0).min().unwrap_or(total);
        let drawing =
            Drawing { graph: &graph, total, unit: Unit::fitting(&meta.profile_type.sample_unit, lightest, total) };
        drawing.draw(&legend(meta, &drawing))
    }
}

fn legend(meta: &PprofMeta, drawing: &Drawing<'_>) -> Vec<String> {
    let Drawing { graph, total, unit } = drawing;
    let mut lines = Vec::new();
    if let Some(binary) = &graph.binary {
        lines.push(format!("File: {binary}"));
    }
    lines.push(format!("Type: {}", meta.profile_type.sample_type));
    lines.push(format!("Time: {}", utc(meta.end_nanos.div_euclid(1_000_000_000))));
    let shown = graph.nodes.iter().fold(0i64, |sum, n| sum.saturating_add(n.flat));
    let (part, whole) = (unit.label(shown), unit.label(*total));
    lines.push(format!("Showing nodes accounting for {part}, {} of {whole} total", percentage(shown, *total)));
    if graph.dropped > 0 {
        let all = graph.nodes.len() + graph.dropped;
        lines.push(format!("Showing top {} nodes out of {all}", graph.nodes.len()));
    }
    lines
}

struct Drawing<'a> {
    graph: &'a Graph,
    total: i64,
    unit: Unit,
}

impl Drawing<'_> {
    fn draw(&self, legend: &[String]) -> String {
        let title = self.graph.binary.as_deref().unwrap_or("unnamed");
        let mut out = format!("digraph \"{}\" {{\nnode [style=filled fillcolor=\"#f8f8f8\"]\n", escape(title));
        let first = legend.first().map_or("", String::as_str);
        let lines: String = legend.iter().map(|line| escape(line) + "\\l").collect();
        put(
            &mut out,
            format_args!(
                "subgraph cluster_L {{ \"{}\" [shape=box fontsize=16 label=\"{lines}\" tooltip=\"{}\"] }}\n",
                escape(first),
                escape(title)
            ),
        );
        let max_flat = self.graph.nodes.iter().map(|n| n.flat).max().unwrap_or(0);
        for (id, node) in self.graph.nodes.iter().enumerate() {
            self.node(&mut out, id + 1, node, max_flat);
        }
        for edge in &self.graph.edges {
            self.edge(&mut out, edge);
        }
        out.push_str("}\n");
        out
    }

    fn node(&self, out: &mut String, id: usize, node: &Node, max_flat: i64) {
        let Node { flat, cum, .. } = *node;
        let share = |value| format!("{} ({})", self.unit.label(value), percentage(value, self.total));
        let value = match (flat, cum) {
            (0, 0) => "0".to_owned(),
            (0, cum) => format!("0 of {}", share(cum)),
            (flat, cum) if flat == cum => share(flat),
            (flat, cum) => format!("{}\\nof {}", share(flat), share(cum)),
        };
        // From 8 to 24 points; the square root keeps light nodes readable.
        let growth = if max_flat > 0 { (flat as f64 / max_flat as f64).max(0.0).sqrt() } else { 0.0 };
        let font_size = 8 + (16.0 * growth).ceil() as i64;
        let (line, fill) = self.colors(cum);
        put(
            out,
            format_args!(
                "N{id} [label=\"{}\\n{value}\" id=\"node{id}\" fontsize={font_size} shape=box \
                 tooltip=\"{} ({})\" color=\"{line}\" fillcolor=\"{fill}\"]\n",
                in_lines(&node.frame),
                escape(&node.frame.one_line()),
                self.unit.label(cum),
            ),
        );
    }

    fn edge(&self, out: &mut String, edge: &Edge) {
        let [from, to] = [edge.from, edge.to].map(|node| escape(&self.graph.nodes[node].frame.one_line()));
        let weight = self.unit.label(edge.weight);
        let inline = if edge.inline { "\\n (inline)" } else { "" };
        put(out, format_args!("N{} -> N{} [label=\" {weight}{inline}\"", edge.from + 1, edge.to + 1));
        let part = if self.total > 0 { edge.weight as f64 / self.total as f64 } else { 0.0 };
        let (thickness, width) = (1 + (part * 100.0) as i64, 1 + (part * 5.0) as i64);
        if thickness > 1 {
            put(out, format_args!(" weight={thickness}"));
        }
        if width > 1 {
            put(out, format_args!(" penwidth={width}"));
        }
        let arrow = if edge.residual { "..." } else { "->" };
        let tip = format!("{from} {arrow} {to} ({weight})");
        let (color, _) = self.colors(edge.weight);
        put(out, format_args!(" color=\"{color}\" tooltip=\"{tip}\" labeltooltip=\"{tip}\""));
        out.push_str(if edge.residual { " style=\"dotted\"]\n" } else { "]\n" });
    }

    /// A line and a fill colour: the heavier, the redder.
    fn colors(&self, value: i64) -> (String, String) {
        let part = if self.total > 0 { (value as f64 / self.total as f64).clamp(0.0, 1.0) } else { 0.0 };
        // Most values are small: the power tells them apart.
        let heat = part.powf(0.3);
        let mix = |cold: f64, hot: f64| (cold + (hot - cold) * heat).round() as u8;
        let color = |cold: [f64; 3], hot: [f64; 3]| {
            format!("#{:02x}{:02x}{:02x}", mix(cold[0], hot[0]), mix(cold[1], hot[1]), mix(cold[2], hot[2]))
        };
        (color([178.0, 178.0, 172.0], [178.0, 0.0, 0.0]), color([237.0, 237.0, 235.0], [237.0, 213.0, 213.0]))
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

/// `YYYY-MM-DD hh:mm:ss UTC`, in the Gregorian calendar.
fn utc(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March here, so that the leap day is the last day of its year; eras have 400 years.
    let since_0000_03_01 = days + 719_468;
    let (era, day_of_era) = (since_0000_03_01.div_euclid(146_097), since_0000_03_01.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_763_697_600), "2025-11-21 04:00:00 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
    }
}
