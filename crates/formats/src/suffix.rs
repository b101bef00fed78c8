//! The type suffix of an application name: `svc.alloc_space` is the service `svc` and its allocated bytes.

use flamestore_model::{Fault, FaultId};

/// What the numbers of a tree-like upload are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TreeType {
    /// `__name__`.
    pub(crate) name: &'static str,
    pub(crate) sample_type: &'static str,
    pub(crate) sample_unit: &'static str,
    /// Type and unit; both empty where there is no period.
    pub(crate) period_type: (&'static str, &'static str),
    /// What one sample stands for, in `period_type`'s unit; 0 where there is none.
    pub(crate) period: i64,
}

impl TreeType {
    /// What a count is multiplied with. Counts of samples taken at a rate become time.
    pub(crate) fn factor(&self) -> i64 {
        self.period.max(1)
    }
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Splits an application name into service and type. A name without a dot is all service, and counts CPU samples taken
/// `sample_rate` times a second.
///
/// Errors: `Invalid` for a suffix that means no type, because guessing would store numbers under a wrong unit.
pub(crate) fn split(app: &str, sample_rate: u32) -> Result<(&str, TreeType), Fault> {
    let (service, suffix) = app.rsplit_once('.').unwrap_or((app, "cpu"));
    match tree_type(suffix, sample_rate) {
        Some(tree_type) => Ok((service, tree_type)),
        None => Err(Fault::of(
            FaultId::UploadNameIllegal,
            format!(
                "name: unknown profile type {suffix:?}: the part behind the last dot of {app:?} says what is counted; \
             end it with .cpu, .wall, .alloc_space, .inuse_objects or another known type"
            ),
        )),
    }
}

/// The type that a suffix stands for.
pub(crate) fn tree_type(suffix: &str, sample_rate: u32) -> Option<TreeType> {
    Some(match suffix {
        "cpu" | "itimer" => timed("process_cpu", "cpu", sample_rate),
        "wall" | "seconds" | "milliseconds" | "microseconds" | "nanoseconds" => timed("wall", "wall", sample_rate),
        "inuse_objects" => plain("memory", "inuse_objects", "count"),
        "alloc_objects" => plain("memory", "alloc_objects", "count"),
        "inuse_space" => plain("memory", "inuse_space", "bytes"),
        "alloc_space" => plain("memory", "alloc_space", "bytes"),
        "alloc_in_new_tlab_objects" => plain("memory", "alloc_in_new_tlab_objects", "count"),
        "alloc_in_new_tlab_bytes" => plain("memory", "alloc_in_new_tlab_bytes", "bytes"),
        "alloc_outside_tlab_objects" => plain("memory", "alloc_outside_tlab_objects", "count"),
        "alloc_outside_tlab_bytes" => plain("memory", "alloc_outside_tlab_bytes", "bytes"),
        "live" => plain("memory", "live", "count"),
        "bytes" => plain("memory", "samples", "bytes"),
        "goroutines" => plain("goroutine", "goroutines", "count"),
        "mutex_count" => plain("mutex", "contentions", "count"),
        "mutex_duration" => plain("mutex", "delay", "nanoseconds"),
        "block_count" | "lock_count" => plain("block", "contentions", "count"),
        "block_duration" | "lock_duration" => plain("block", "delay", "nanoseconds"),
        "exceptions" => plain("exceptions", "samples", "count"),
        _ => return None,
    })
}

fn timed(name: &'static str, sample_type: &'static str, sample_rate: u32) -> TreeType {
    if sample_rate == 0 {
        return plain(name, "samples", "count");
    }
    TreeType {
        name,
        sample_type,
        sample_unit: "nanoseconds",
        period_type: ("cpu", "nanoseconds"),
        period: (NANOS_PER_SECOND / i64::from(sample_rate)).max(1),
    }
}

fn plain(name: &'static str, sample_type: &'static str, sample_unit: &'static str) -> TreeType {
    TreeType { name, sample_type, sample_unit, period_type: ("", ""), period: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(app: &str, rate: u32) -> (String, i64) {
        let (service, t) = split(app, rate).unwrap();
        let (period_type, period_unit) = t.period_type;
        (format!("{service} {}:{}:{}:{period_type}:{period_unit}", t.name, t.sample_type, t.sample_unit), t.factor())
    }

    #[test]
    fn the_last_part_of_the_name_says_what_is_counted() {
        for (app, rate, expected, factor) in [
            ("svc", 100, "svc process_cpu:cpu:nanoseconds:cpu:nanoseconds", 10_000_000),
            ("a.b.cpu", 99, "a.b process_cpu:cpu:nanoseconds:cpu:nanoseconds", 10_101_010),
            ("svc.itimer", 0, "svc process_cpu:samples:count::", 1),
            ("svc.wall", 100, "svc wall:wall:nanoseconds:cpu:nanoseconds", 10_000_000),
            ("svc.seconds", 0, "svc wall:samples:count::", 1),
            ("svc.alloc_space", 100, "svc memory:alloc_space:bytes::", 1),
            ("svc.goroutines", 100, "svc goroutine:goroutines:count::", 1),
            ("svc.lock_duration", 100, "svc block:delay:nanoseconds::", 1),
            ("svc.bytes", 100, "svc memory:samples:bytes::", 1),
            ("svc.cpu", u32::MAX, "svc process_cpu:cpu:nanoseconds:cpu:nanoseconds", 1),
        ] {
            assert_eq!(id(app, rate), (expected.to_owned(), factor), "{app}");
        }
    }

    #[test]
    fn an_unknown_suffix_is_refused_and_named() {
        let fault = split("my.app", 100).unwrap_err();
        assert_eq!(fault.kind, flamestore_model::Kind::Invalid);
        assert!(fault.message.contains("\"app\""), "{fault}");
    }
}
