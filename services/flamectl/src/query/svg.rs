//! A flame graph in one SVG file: the root on top, callees below their callers, names and numbers on hover.

use std::fmt::Write as _;
use std::io::{self, Write};

use flamestore_flamegraph::tree::OTHER;

use crate::answer::{Order, Stacks, walk};
use crate::units::percent;

/// Width of the picture and its margins, in pixels.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
/// Height of the lines above the graph.
const HEAD: f64 = 56.0;
/// Height of a box with the gap below it.
const ROW: f64 = 18.0;
/// Width of a letter of the monospaced font at the size below.
const LETTER: f64 = 6.7;
const FONT_SIZE: u32 = 11;
/// Narrower boxes are left out: they cannot be seen.
const MIN_WIDTH: f64 = 0.2;
/// Fewer letters than this tell nothing.
const MIN_LETTERS: usize = 3;

/// Writes the picture. Boxes of one package have one colour, the same in every picture.
pub(crate) fn write(out: &mut dyn Write, answer: &Stacks) -> io::Result<()> {
    let (tree, measure, whole) = (&answer.tree, answer.measure(), answer.total());
    let totals = tree.totals();
    let scale = (WIDTH - 2.0 * MARGIN) / whole.max(1) as f64;
    let mut boxes = String::new();
    let mut deepest = 0;
    // By depth: where the next box begins, in units of the profile.
    let mut next: Vec<i64> = vec![0];
    for step in walk(tree, &totals, Order::ByName) {
        let value = |values: &[i64]| values.get(step.node as usize).copied().unwrap_or(0);
        let (total, own) = (value(&totals), value(tree.self_values()));
        next.truncate(step.depth + 1);
        let Some(x) = next.last_mut() else { continue };
        let left = *x;
        *x = x.saturating_add(total);
        next.push(left.saturating_add(own));
        let width = total as f64 * scale;
        if width < MIN_WIDTH {
            continue;
        }
        deepest = deepest.max(step.depth);
        let name = if step.depth == 0 { "total" } else { tree.name_of(step.node) };
        let place = Place { x: MARGIN + left as f64 * scale, y: HEAD + step.depth as f64 * ROW, width };
        let says =
            format!("{name}: {} ({:.2} %), self {}", measure.show(total), percent(total, whole), measure.show(own));
        let color = if step.depth == 0 || name == OTHER { "#d8d8d8".to_owned() } else { color(package(name)) };
        place.draw(&mut boxes, name, &says, &color);
    }
    let height = HEAD + (deepest + 1) as f64 * ROW + MARGIN;
    let selection = &answer.selection;
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"ui-monospace,Menlo,Consolas,monospace\" font-size=\"{FONT_SIZE}\">\n\
         <style>rect{{stroke:#fff;stroke-width:.5}}g:hover rect{{stroke:#000;stroke-width:1}}text{{pointer-events:none}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{MARGIN}\" y=\"42\">{}, {}, total {}</text>\n",
        escape(&selection.labels),
        escape(&selection.profile_type.to_string()),
        selection.range,
        measure.show(whole),
    )?;
    out.write_all(boxes.as_bytes())?;
    writeln!(out, "</svg>")
}

/// Of a box, in pixels.
struct Place {
    x: f64,
    y: f64,
    width: f64,
}

impl Place {
    fn draw(&self, to: &mut String, name: &str, says: &str, color: &str) {
        let Place { x, y, width } = self;
        // Writing to a string cannot fail.
        let _ = write!(
            to,
            "<g><title>{}</title><rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" rx=\"1\" fill=\"{color}\"/>",
            escape(says),
            ROW - 1.0,
        );
        if let Some(text) = fitting(name, *width) {
            let _ = write!(to, "<text x=\"{:.2}\" y=\"{}\">{}</text>", x + 3.0, y + 12.5, escape(&text));
        }
        to.push_str("</g>\n");
    }
}

/// As much of a name as fits into a box.
fn fitting(name: &str, width: f64) -> Option<String> {
    let letters = ((width - 6.0) / LETTER).max(0.0) as usize;
    if letters < MIN_LETTERS {
        return None;
    }
    if name.chars().count() <= letters {
        return Some(name.to_owned());
    }
    Some(name.chars().take(letters - 1).chain(['…']).collect())
}

/// What a function belongs to: the path before the first dot of Go's and Java's names, or before the first `::`. Type
/// arguments do not count.
fn package(name: &str) -> &str {
    let name = name.trim_start_matches(['<', '&']);
    let name = name.split('<').next().unwrap_or(name);
    let tail = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = match (name.find("::"), name[tail..].find('.')) {
        (Some(colons), _) => colons,
        (None, Some(dot)) => tail + dot,
        (None, None) => name.len(),
    };
    &name[..end]
}

/// A light, warm colour: black letters can be read on all of them.
fn color(package: &str) -> String {
    let hash = fnv1a(package.as_bytes());
    let (red, green, blue) = (200 + hash % 55, 110 + hash / 55 % 120, 60 + hash / 6600 % 80);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// FNV-1a with 32 bits (Fowler, Noll, Vo): the same on every machine.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// For text and attributes. Characters that XML cannot hold at all become blanks.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::stacks;
    use crate::golden;

    #[test]
    fn the_picture_is_as_it_was() {
        let mut out = Vec::new();
        write(&mut out, &stacks()).unwrap();
        golden::check("query.svg", &String::from_utf8(out).unwrap());
    }

    #[test]
    fn functions_of_one_package_share_a_colour() {
        for (name, of) in [
            ("github.com/a/b.(*T).Run", "github.com/a/b"),
            ("java/util/HashMap.get", "java/util/HashMap"),
            ("std::vec::Vec<T>::push", "std"),
            ("<core::pin::Pin<P> as Future>::poll", "core"),
            ("deref<&mut core::pin::Pin>", "deref"),
            ("main.main", "main"),
            ("read", "read"),
            ("", ""),
        ] {
            assert_eq!(package(name), of, "{name}");
        }
        assert_eq!(color(package("main.a")), color(package("main.b")));
        assert_ne!(color("main"), color("runtime"));
    }

    #[test]
    fn a_name_is_cut_to_its_box() {
        assert_eq!(fitting("main.work", 200.0).unwrap(), "main.work");
        assert_eq!(fitting("größer.als.die.box", 6.0 + 5.0 * LETTER).unwrap(), "größ…");
        assert_eq!(fitting("main.work", 20.0), None);
    }

    #[test]
    fn no_name_can_leave_its_place_in_the_file() {
        assert_eq!(escape("<a & \"b\">\u{0}"), "&lt;a &amp; &quot;b&quot;&gt; ");
    }
}
