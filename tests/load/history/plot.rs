//! Curves as a picture: SVG without a library, since it is a few lines and some text.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 4] = ["#c2410c", "#1d4ed8", "#15803d", "#7e22ce"];

pub(crate) struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Curve {
    pub(crate) fn new(name: &'static str) -> Self {
        Curve { name, points: Vec::new() }
    }

    pub(crate) fn add(&mut self, x: f64, y: f64) {
        self.points.push((x, y));
    }
}

/// Days to the right, milliseconds upwards, both from zero; the dashed line is what the last curve would be if its cost
/// grew like the range.
pub(crate) fn svg(title: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|c| c.points.iter());
    let max_x = all().map(|p| p.0).fold(1.0, f64::max);
    let max_y = all().map(|p| p.1).fold(1.0, f64::max) * 1.1;
    let x = |v: f64| MARGIN + v / max_x * (WIDTH - 2.0 * MARGIN);
    let y = |v: f64| HEIGHT - MARGIN - v.min(max_y) / max_y * (HEIGHT - 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{MARGIN}\" y=\"24\" \
         font-size=\"14\">{title}</text>\n"
    );
    let mut line = |from: (f64, f64), to: (f64, f64), style: &str| {
        let _ = writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {style}/>",
            x(from.0),
            y(from.1),
            x(to.0),
            y(to.1)
        );
    };
    line((0.0, 0.0), (max_x, 0.0), "stroke=\"black\"");
    line((0.0, 0.0), (0.0, max_y), "stroke=\"black\"");
    if let Some((first_x, first_y)) = curves.last().and_then(|c| c.points.first()) {
        let slope = first_y / first_x;
        let end = if slope * max_x > max_y { (max_y / slope, max_y) } else { (max_x, slope * max_x) };
        line((0.0, 0.0), end, "stroke=\"gray\" stroke-dasharray=\"4 4\"");
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<String> = curve.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", points.join(" "));
        for (px, py) in &curve.points {
            let (at_x, at_y) = (x(*px), y(*py));
            let _ = writeln!(out, "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            let _ =
                writeln!(out, "<text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{py:.0}</text>", at_y - 8.0);
        }
        if let Some((px, py)) = curve.points.last() {
            let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", x(*px) + 12.0, y(*py), curve.name);
        }
    }
    for day in [1.0, 7.0, 30.0] {
        let _ =
            writeln!(out, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{day} d</text>", x(day), HEIGHT - 36.0);
    }
    out.push_str("</svg>\n");
    out
}
