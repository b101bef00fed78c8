//! Values with a unit that reads well, and percentages.

/// A family of units: the names of its members, and how large they are.
struct Family {
    /// (names, label, factor); by factor.
    units: &'static [(&'static [&'static str], &'static str, f64)],
    /// For values below the smallest unit.
    default: usize,
}

const FAMILIES: [Family; 2] = [
    Family {
        units: &[
            (&["ns", "nanosecond"], "ns", 1e-9),
            (&["us", "μs", "microsecond"], "us", 1e-6),
            (&["ms", "millisecond"], "ms", 1e-3),
            (&["s", "sec", "second"], "s", 1.0),
            (&["hour", "hrs", "hr"], "hrs", 3600.0),
        ],
        default: 3,
    },
    Family {
        units: &[
            (&["b", "byte"], "B", 1.0),
            (&["kb", "kbyte", "kilobyte"], "kB", 1024.0),
            (&["mb", "mbyte", "megabyte"], "MB", 1048576.0),
            (&["gb", "gbyte", "gigabyte"], "GB", 1073741824.0),
            (&["tb", "tbyte", "terabyte"], "TB", 1099511627776.0),
            (&["pb", "pbyte", "petabyte"], "PB", 1125899906842624.0),
        ],
        default: 0,
    },
];

/// The unit of all values of a graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    factor: f64,
    label: &'static str,
}

impl Unit {
    /// The unit in which both the lightest and the total read well: that of the lightest, or when the total is in
    /// another unit and over 100 times as large, that of 100 times the lightest, which then is at least 0.01.
    pub(super) fn fitting(sample_unit: &str, lightest: i64, total: i64) -> Unit {
        let Some((family, factor)) = find(sample_unit) else {
            return Unit { factor: 1.0, label: "" };
        };
        let natural = |value: f64| {
            let fits = family.units.iter().rposition(|(_, _, size)| value * factor / size >= 1.0);
            fits.unwrap_or(family.default)
        };
        let (small, large) = (lightest as f64, total as f64);
        let far_apart = natural(small) != natural(large) && small * 100.0 < large;
        let (_, label, size) = family.units[natural(if far_apart { small * 100.0 } else { small })];
        Unit { factor: factor / size, label }
    }

    /// Two decimals, or none when they are zeros.
    pub(super) fn label(&self, value: i64) -> String {
        let text = format!("{:.2}", value as f64 * self.factor);
        match text.strip_suffix(".00").unwrap_or(&text) {
            zero @ ("0" | "-0") => zero.trim_start_matches('-').to_owned(),
            number => format!("{number}{}", self.label),
        }
    }
}

fn find(unit: &str) -> Option<(&'static Family, f64)> {
    let name = unit.to_lowercase();
    let singular = name.strip_suffix('s').filter(|s| !s.is_empty()).unwrap_or(&name);
    FAMILIES.iter().find_map(|family| {
        let (_, _, factor) =
            family.units.iter().find(|(names, ..)| names.contains(&name.as_str()) || names.contains(&singular))?;
        Some((family, *factor))
    })
}

/// Two decimals from 1% on, two digits below; about all is `100%`.
pub(super) fn percentage(value: i64, total: i64) -> String {
    let ratio = if total == 0 { 0.0 } else { (value as f64 / total as f64).abs() * 100.0 };
    match ratio {
        r if (99.95..=100.05).contains(&r) => "100%".to_owned(),
        r if r >= 1.0 => format!("{r:.2}%"),
        r => format!("{}%", two_digits(r)),
    }
}

/// A number below 1 with two significant digits, without zeros at the end.
fn two_digits(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{x:.1e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let trim =
        |s: &str| if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.').to_owned() } else { s.to_owned() };
    match exponent.parse::<i32>().unwrap_or(0) {
        tiny if tiny < -4 => format!("{}e-{:02}", trim(digits), -tiny),
        exponent => trim(&format!("{x:.*}", (1 - exponent).max(0) as usize)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_that_show_the_lightest_node() {
        let label =
            |unit: &str, lightest: i64, total: i64, value: i64| Unit::fitting(unit, lightest, total).label(value);
        assert_eq!(label("nanoseconds", 10_000_000, 14_210_000_000, 10_000_000), "0.01s");
        assert_eq!(label("nanoseconds", 10_000_000, 14_210_000_000, 14_210_000_000), "14.21s");
        assert_eq!(label("nanoseconds", 10_000_000, 500_000_000, 500_000_000), "500ms");
        assert_eq!(label("nanoseconds", 5_000_000_000, 7_200_000_000_000, 7_200_000_000_000), "7200s");
        assert_eq!(label("bytes", 524_288, 1 << 30, 1 << 30), "1024MB");
        assert_eq!(label("bytes", 512, 2048, 512), "512B");
        assert_eq!(label("count", 1, 2647, 2647), "2647");
        assert_eq!(label("count", 1, 2647, 0), "0");
        assert_eq!(label("", 1, 1, 1), "1");
    }

    #[test]
    fn percentages_have_two_decimals_or_two_digits() {
        for (value, total, text) in [
            (3480, 14210, "24.49%"),
            (1, 2678, "0.037%"),
            (34, 3785, "0.9%"),
            (910, 14210, "6.40%"),
            (99_999, 100_000, "100%"),
            (996, 100_000, "1%"),
            (0, 10, "0%"),
            (1, 100_000_000, "1e-06%"),
            (5, 0, "0%"),
        ] {
            assert_eq!(percentage(value, total), text, "{value} of {total}");
        }
    }
}
