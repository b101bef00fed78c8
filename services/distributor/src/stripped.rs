//! What is kept of a profile that sampling drops, where the tenant wants that: its labels and totals, without its stacks.

use flamestore_model::StoredSeries;
use flamestore_model::labels::names;
use flamestore_pprof::encode::{Label, Writer};
use flamestore_pprof::{NormalizeOptions, Normalized, Spy};

/// The one frame that the stacks of a stripped profile become. A flame graph that includes stripped profiles so has the
/// total that a series of them has.
pub const STRIPPED_FRAME: &str = "[stripped]";
/// What the label `__sampled__` says of stripped profiles.
pub const STRIPPED: &str = "true";

/// A pprof with one sample for each set of labels: the sums of its values. Spans and traces go with the stacks.
pub(crate) fn strip(normalized: &Normalized) -> Vec<u8> {
    let profile = &normalized.profile;
    let mut writer = Writer::new();
    for of_type in &profile.sample_types {
        writer.sample_type(profile.str(of_type.kind), profile.str(of_type.unit));
    }
    let frame = writer.frame(STRIPPED_FRAME);
    let mut totals = vec![0_i64; profile.sample_types.len()];
    for group in &normalized.groups {
        totals.fill(0);
        for row in &group.rows {
            for (total, value) in totals.iter_mut().zip(profile.values_of(*row as usize)) {
                // As sums of equal stacks do.
                *total = total.saturating_add(*value);
            }
        }
        let label = |(key, text): &(_, _)| Label::Text { key: profile.str(*key), text: profile.str(*text) };
        let labels: Vec<Label<'_>> = group.labels.iter().map(label).collect();
        writer.sample(&[frame], &totals, &labels);
    }
    writer.time_nanos(profile.time_nanos);
    writer.duration_nanos(profile.duration_nanos);
    writer.period(profile.str(profile.period_type.kind), profile.str(profile.period_type.unit), profile.period);
    writer.finish()
}

/// How a stripped pprof is normalised: the mistakes of its sender are mended already.
pub(crate) fn options(of_whole: NormalizeOptions) -> NormalizeOptions {
    NormalizeOptions { go: false, spy: Spy::Other, ..of_whole }
}

/// Labels the series as stripped ones, whatever the tenant's limits on labels are: the label is the server's.
pub(crate) fn mark(series: &mut [StoredSeries]) {
    for one in series {
        let mut labels = one.labels.to_builder();
        labels.set(names::SAMPLED, STRIPPED);
        one.labels = labels.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_pprof::{decode, normalize};

    fn options_of(spy: Spy) -> NormalizeOptions {
        NormalizeOptions { go: true, spy, ..NormalizeOptions::default() }
    }

    #[test]
    fn totals_and_labels_stay_and_stacks_spans_and_names_go() {
        let mut w = Writer::new();
        w.sample_type("samples", "count");
        w.sample_type("cpu", "nanoseconds");
        w.period("cpu", "nanoseconds", 10);
        let (leaf, root) = (w.frame("secret_leaf"), w.frame("secret_root"));
        let web = [Label::Text { key: "route", text: "web" }, Label::Text { key: "span_id", text: "00000000000000ff" }];
        w.sample(&[leaf, root], &[1, 10], &web);
        w.sample(&[root], &[2, 20], &[]);
        w.sample(&[leaf], &[3, i64::MAX], &[]);
        w.time_nanos(77);
        let whole = normalize(decode(&w.finish(), 0).unwrap(), &options_of(Spy::Other));
        let stripped = strip(&whole);
        assert!(!String::from_utf8_lossy(&stripped).contains("secret"));
        let back = normalize(decode(&stripped, 0).unwrap(), &options(options_of(Spy::Other)));
        assert_eq!((back.profile.time_nanos, back.profile.period, back.dropped.broken()), (77, 10, 0));
        let sums: Vec<(Vec<&str>, &[i64])> = back
            .groups
            .iter()
            .map(|g| {
                assert!(g.span_ids.is_empty(), "no span");
                let [row] = g.rows[..] else { panic!("one sample of each group") };
                (
                    g.labels.iter().map(|(_, text)| back.profile.str(*text)).collect(),
                    back.profile.values_of(row as usize),
                )
            })
            .collect();
        assert_eq!(sums, [(vec!["web"], &[1, 10][..]), (vec![], &[5, i64::MAX][..])]);
        let names: Vec<_> = back.profile.functions.iter().map(|f| back.profile.str(f.name)).collect();
        assert_eq!(names, [STRIPPED_FRAME]);
    }
}
