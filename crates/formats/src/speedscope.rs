//! Speedscope files, sampled and evented (<https://www.speedscope.app/file-format-schema.json>).
//!
//! Weights and times are what the file's unit says, so they become nanoseconds whatever the request's sample rate;
//! only `none` counts samples. Of frames the names are kept.

mod file;

use std::collections::BTreeMap;

use flamestore_model::{Fault, FaultId, Kind};

use crate::ingest::{DEFAULT_SAMPLE_RATE, Upload};
use crate::ingested::{Ingested, Notes};
use crate::speedscope::file::{EventKind, File, Frame, Profile};
use crate::stacks::{NodeId, Stacks};
use crate::suffix::{self, TreeType};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";
/// The label that tells the profiles of a file apart.
const PROFILE_NAME: &str = "profile_name";

/// Reads a file: one profile for each name, kind, unit and start in it.
///
/// Errors: `Unprocessable` when it is not speedscope, or contradicts itself.
pub(crate) fn read(upload: &Upload<'_>, body: &[u8], out: &mut Ingested) -> Result<(), Fault> {
    let file: File<'_> = serde_json::from_slice(body)
        .map_err(|e| Fault::unprocessable(format!("speedscope: the body is not the JSON it should be: {e}")))?;
    if file.schema != SCHEMA {
        return Err(Fault::unprocessable(format!("speedscope: \"$schema\" must be {SCHEMA:?}, not {:?}", file.schema)));
    }
    let is_alone = file.profiles.len() == 1;
    let mut merged: BTreeMap<Key<'_>, Stacks> = BTreeMap::new();
    let mut unfolded = 0usize;
    for (index, profile) in file.profiles.iter().enumerate() {
        let key = Key {
            start_nanos: Unit::of(&profile.unit).nanos(profile.start_value),
            name: &profile.name,
            kind: &profile.kind,
            unit: &profile.unit,
        };
        let (_, tree_type) = service_and_type(upload, &profile.unit, is_alone)?;
        let scale = scale(&profile.unit, tree_type);
        let stacks = merged.entry(key).or_insert_with(|| Stacks::new(&upload.caps));
        let before = stacks.bytes();
        count(profile, &file.shared.frames, scale, stacks, &mut out.notes)
            .map_err(|fault| fault.at(format_args!("speedscope: profile {index}")))?;
        // Profiles share the file's frames, so that a small file can unfold into much.
        unfolded += stacks.bytes() - before;
        if unfolded > upload.caps.max_inflated_bytes {
            return Err(Fault::over(
                FaultId::UnfoldsTooLarge,
                "speedscope: the profiles of the file unfold to more than allowed",
                format_args!("{} bytes", upload.caps.max_inflated_bytes),
            ));
        }
    }
    for (key, stacks) in &merged {
        let (service, tree_type) = service_and_type(upload, key.unit, is_alone)?;
        let mut labels = upload.labels_with_service(tree_type.name, service);
        labels.push((PROFILE_NAME.to_owned(), key.name.to_owned()));
        upload.push_tree(stacks, tree_type, 1, labels, out)?;
    }
    Ok(())
}

/// What profiles are merged by, and the order in which they come.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    start_nanos: i64,
    name: &'a str,
    kind: &'a str,
    unit: &'a str,
}

/// The unit of a file's numbers.
#[derive(Clone, Copy)]
enum Unit {
    /// This many nanoseconds.
    Time(f64),
    /// Samples, or bytes, or something unknown.
    Plain,
}

impl Unit {
    fn of(name: &str) -> Unit {
        match name {
            "nanoseconds" => Unit::Time(1.0),
            "microseconds" => Unit::Time(1e3),
            "milliseconds" => Unit::Time(1e6),
            "seconds" => Unit::Time(1e9),
            _ => Unit::Plain,
        }
    }

    fn nanos(self, value: f64) -> i64 {
        match self {
            Unit::Time(nanos) => (value * nanos).round() as i64,
            Unit::Plain => value.round() as i64,
        }
    }
}

/// One profile is of the type that the application's name says. Of several, the unit says it; without a unit, the name.
fn service_and_type<'u>(upload: &'u Upload<'_>, unit: &str, is_alone: bool) -> Result<(&'u str, TreeType), Fault> {
    let app = &upload.name.app;
    // With a unit of time the rate is only the period, which must not make the type a plain count.
    let rate = match (Unit::of(unit), upload.sample_rate) {
        (Unit::Time(_), 0) => DEFAULT_SAMPLE_RATE,
        (_, rate) => rate,
    };
    let unprocessable = |fault: Fault| fault.as_kind(Kind::Unprocessable);
    if is_alone || unit == "none" {
        return suffix::split(app, rate).map_err(unprocessable);
    }
    match suffix::tree_type(unit, rate) {
        Some(tree_type) => Ok((app, tree_type)),
        None => Err(Fault::unprocessable(format!(
            "speedscope: unknown unit {unit:?}: use none, nanoseconds, microseconds, milliseconds, seconds or bytes"
        ))),
    }
}

/// What a weight is multiplied with.
fn scale(unit: &str, tree_type: TreeType) -> f64 {
    match Unit::of(unit) {
        Unit::Time(nanos) if tree_type.sample_unit == "nanoseconds" => nanos,
        Unit::Plain if unit != "bytes" => tree_type.factor() as f64,
        _ => 1.0,
    }
}

fn count(
    profile: &Profile<'_>,
    frames: &[Frame<'_>],
    scale: f64,
    stacks: &mut Stacks,
    notes: &mut Notes,
) -> Result<(), Fault> {
    match &*profile.kind {
        "sampled" => count_samples(profile, frames, scale, stacks, notes),
        "evented" => count_events(profile, frames, scale, stacks),
        other => Err(Fault::unprocessable(format!("the type is {other:?}: it must be \"sampled\" or \"evented\""))),
    }
}

fn count_samples(
    profile: &Profile<'_>,
    frames: &[Frame<'_>],
    scale: f64,
    stacks: &mut Stacks,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let (samples, weights) = (profile.samples.len(), profile.weights.len());
    if samples != weights {
        return Err(Fault::unprocessable(format!("there are {samples} samples and {weights} weights")));
    }
    for (sample, weight) in profile.samples.iter().zip(&profile.weights) {
        if *weight < 0.0 {
            return Err(Fault::unprocessable(format!("a weight is negative: {weight}")));
        }
        let mut node = NodeId::ROOT;
        for frame in sample {
            node = stacks.child(node, name(frames, *frame)?.as_bytes());
        }
        let value = (weight * scale).round() as i64;
        notes.samples_dropped += u64::from(value == 0 || sample.is_empty());
        stacks.add(node, value);
    }
    Ok(())
}

fn count_events(profile: &Profile<'_>, frames: &[Frame<'_>], scale: f64, stacks: &mut Stacks) -> Result<(), Fault> {
    let mut open: Vec<(u32, NodeId)> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for event in &profile.events {
        if event.at < last {
            return Err(Fault::unprocessable(format!("the event at {} comes after one at {last}", event.at)));
        }
        let innermost = open.last().copied();
        if let Some((_, node)) = innermost {
            // The difference of rounded times, so that errors of rounding do not add up.
            stacks.add(node, ((event.at * scale).round() - (last * scale).round()) as i64);
        }
        last = event.at;
        match (event.kind, innermost) {
            (EventKind::Open, innermost) => {
                let parent = innermost.map_or(NodeId::ROOT, |(_, node)| node);
                open.push((event.frame, stacks.child(parent, name(frames, event.frame)?.as_bytes())));
            }
            (EventKind::Close, Some((frame, _))) if frame == event.frame => drop(open.pop()),
            (EventKind::Close, _) => {
                return Err(Fault::unprocessable(format!(
                    "the event at {} closes frame {}, which is not the innermost open one",
                    event.at, event.frame
                )));
            }
        }
    }
    Ok(())
}

fn name<'f>(frames: &'f [Frame<'_>], index: u32) -> Result<&'f str, Fault> {
    match frames.get(index as usize) {
        Some(frame) => Ok(&frame.name),
        None => Err(Fault::unprocessable(format!("frame {index} is used, but the file has {} frames", frames.len()))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{folded, ingest_text};

    /// Types with their stacks, from a file with the frames a, b, c and these profiles.
    fn read(app: &str, profiles: &str) -> Result<Vec<String>, Fault> {
        let file = format!(
            r#"{{"$schema": {SCHEMA:?}, "profiles": [{profiles}],
                "shared": {{"frames": [{{"name": "a"}}, {{"name": "b", "line": 3}}, {{"name": "c"}}]}}}}"#
        );
        let ingested = ingest_text(app, "speedscope", &file)?;
        Ok(ingested.profiles.iter().map(folded).collect())
    }

    fn sampled(unit: &str, weights: &str) -> String {
        format!(
            r#"{{"type": "sampled", "name": "t", "unit": "{unit}", "startValue": 0, "endValue": 1,
                "samples": [[0], [0, 1]], "weights": {weights}}}"#
        )
    }

    #[test]
    fn weights_of_every_unit_of_time_become_nanoseconds() {
        for (unit, weights, expected) in [
            ("nanoseconds", "[42, 7]", "a 42, a;b 7"),
            ("microseconds", "[42, 0.5]", "a 42000, a;b 500"),
            ("milliseconds", "[42, 7]", "a 42000000, a;b 7000000"),
            ("seconds", "[0.01, 0.02]", "a 10000000, a;b 20000000"),
            ("none", "[42, 7]", "a 420000000, a;b 70000000"),
            ("bytes", "[42, 7]", "a 42, a;b 7"),
        ] {
            let read = read("svc.cpu", &sampled(unit, weights)).unwrap();
            assert_eq!(read, [format!("svc process_cpu:cpu:nanoseconds:cpu:nanoseconds {expected}")], "{unit}");
        }
    }

    #[test]
    fn of_several_profiles_the_unit_says_the_type_and_equal_ones_are_merged() {
        let (seconds, bytes) = (sampled("seconds", "[1, 2]"), sampled("bytes", "[3, 4]"));
        assert_eq!(
            read("svc", &format!("{seconds}, {bytes}, {seconds}")).unwrap(),
            [
                "svc memory:samples:bytes:: a 3, a;b 4",
                "svc wall:wall:nanoseconds:cpu:nanoseconds a 2000000000, a;b 4000000000",
            ]
        );
    }

    #[test]
    fn an_evented_profile_credits_every_interval_in_full() {
        let evented = r#"{"type": "evented", "name": "t", "unit": "microseconds", "events": [
            {"type": "O", "frame": 0, "at": 0}, {"type": "O", "frame": 1, "at": 4}, {"type": "C", "frame": 1, "at": 20},
            {"type": "C", "frame": 0, "at": 30}]}"#;
        assert_eq!(
            read("svc", evented).unwrap(),
            ["svc process_cpu:cpu:nanoseconds:cpu:nanoseconds a 14000, a;b 16000"]
        );
    }

    #[test]
    fn a_file_that_contradicts_itself_is_unprocessable() {
        let event = |kind: &str, frame: u32, at: u32| format!(r#"{{"type": "{kind}", "frame": {frame}, "at": {at}}}"#);
        let evented = |events: &[String]| {
            format!(r#"{{"type": "evented", "name": "t", "unit": "seconds", "events": [{}]}}"#, events.join(","))
        };
        for profile in [
            sampled("seconds", "[1]"),
            sampled("seconds", "[1, -1]"),
            r#"{"type": "sampled", "unit": "seconds", "samples": [[3]], "weights": [1]}"#.to_owned(),
            r#"{"type": "sampled", "unit": "seconds", "samples": [[-1]], "weights": [1]}"#.to_owned(),
            r#"{"type": "other"}"#.to_owned(),
            evented(&[event("O", 3, 0)]),
            evented(&[event("C", 0, 0)]),
            evented(&[event("O", 0, 5), event("C", 0, 4)]),
            evented(&[event("O", 0, 0), event("O", 1, 1), event("C", 0, 2)]),
            format!("{}, {}", sampled("parsecs", "[1, 1]"), sampled("seconds", "[1, 1]")),
        ] {
            assert_eq!(read("svc", &profile).unwrap_err().kind, Kind::Unprocessable, "{profile}");
        }
        assert_eq!(read("my.app", &sampled("seconds", "[1, 1]")).unwrap_err().kind, Kind::Unprocessable);
        assert!(ingest_text("svc", "speedscope", r#"{"$schema": "x"}"#).unwrap_err().message.contains("$schema"));
        assert!(ingest_text("svc", "speedscope", "text").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(profile in r#"(\{"type":"(sampled|evented)","(samples|events|weights)":\[*[0-9{},.-]{0,9}\]*\}|.{0,20})"#) {
            let _ = read("svc", &profile);
        }
    }
}
